//! What `init` finds out about two file systems, and what it refuses.
use super::*;

/// A mount of a kind that needs no device.
fn mount(e: &Env, rel: &str, kind: &str) -> Option<Mount> {
    let p = e.p(rel);
    let done = Command::new("mount")
        .args(["-t", kind, "mirror-test"])
        .arg(&p)
        .output();
    if done.is_ok_and(|o| o.status.success()) {
        return Some(Mount(p));
    }
    skip(format!("cannot mount {kind} here"));
    None
}

/// `mirror init` with one system call failing on one leg: what a poorer file system would answer.
fn poorer(e: &Env, inject: &str, args: &[&str]) -> Out {
    let mut c = Command::new("strace");
    c.args(["-f", "-o", "/dev/null"])
        .args(["-e", &format!("inject={inject}")])
        .arg(dist().join("mirror"))
        .arg("init")
        .args(args)
        .current_dir(&e.dir)
        .env("MIRRORTAB", e.p("tab"))
        .stdin(Stdio::null());
    finish(&mut c)
}

#[test]
fn the_checks_are_shown() {
    let e = Env::new("checks");
    let o = e.expect(
        &["init", "a", "b", "--dry-run"],
        0,
        &[
            "checks: locks ok",
            "symlinks ok",
            "modes ok",
            "names 255 bytes",
        ],
    );
    assert_eq!(o.out.matches("checks:").count(), 2, "{}", o.out);
    e.nothing_left();
}

#[test]
fn a_leg_inside_the_other_by_a_bind_mount() {
    need!(root);
    let e = Env::new("bind");
    fs::create_dir_all(e.p("a/deep/sub")).unwrap();
    let bind = |from: &str, to: &str| {
        let o = Command::new("mount")
            .arg("--bind")
            .args([e.p(from), e.p(to)])
            .output();
        o.is_ok_and(|o| o.status.success()).then(|| Mount(e.p(to)))
    };
    let Some(m) = bind("a/deep/sub", "b") else {
        return skip("cannot bind a directory here");
    };
    e.refused_init(&["a", "b", "--yes"], &["is inside", "(as deep/sub)"]);
    e.refused_init(&["b", "a", "--yes"], &["is inside", "(as deep/sub)"]);
    drop(m);
    let _m = bind("a", "b");
    e.refused_init(&["a", "b", "--yes"], &["the same directory"]);
}

#[test]
fn lost_attributes_are_counted() {
    need!(root);
    need!("setfattr");
    let e = Env::new("noxattr");
    let Some(_m) = mount(&e, "b", "ramfs") else {
        return;
    };
    for f in ["1", "2", "3"] {
        e.write(&format!("a/{f}"), f);
    }
    for f in ["1", "3"] {
        let o = Command::new("setfattr")
            .args(["-n", "user.x", "-v", "y"])
            .arg(e.p(&format!("a/{f}")))
            .output()
            .unwrap();
        if !o.status.success() {
            return skip("no extended attributes in the temporary directory");
        }
    }
    e.refused_init(
        &["a", "b", "--yes", "--fidelity", "full"],
        &["no extended attributes", "2 files", "M-203"],
    );
    e.expect(
        &["init", "a", "b", "--yes"],
        0,
        &[
            "xattrs no",
            "leg b has no extended attributes: 2 files",
            "IN SYNC",
        ],
    );
    // What b cannot hold is no difference.
    e.expect(&["verify"], 0, &["0 differences"]);
    e.expect(&["diff", "a"], 0, &["0 differences"]);
    e.expect(&["resync", "--from", "a"], 0, &["nothing to do"]);
}

#[test]
fn coarse_times_are_told() {
    need!(root);
    need!("mkfs.ext4");
    let e = Env::new("coarse");
    // Inodes of 128 bytes have whole seconds only.
    fs::File::create(e.p("image"))
        .unwrap()
        .set_len(16 << 20)
        .unwrap();
    let o = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-I", "128"])
        .arg(e.p("image"))
        .output()
        .unwrap();
    assert!(o.status.success(), "{o:?}");
    let done = Command::new("mount")
        .args(["-t", "ext4", "-o", "loop"])
        .args([e.p("image"), e.p("b")])
        .output();
    if !done.is_ok_and(|o| o.status.success()) {
        return skip("cannot mount a loop device here");
    }
    let _b = Mount(e.p("b"));
    e.write("a/f", "x");
    let o = e.expect(
        &["init", "a", "b", "--yes"],
        0,
        &[
            "time 1 s",
            "leg b keeps times to 1 s only: 1 file time will be rounded",
            "IN SYNC",
        ],
    );
    assert!(o.out.contains("time 1 ns"), "{}", o.out);
    e.expect(&["verify"], 0, &["0 differences"]);
    e.expect(&["detach", "a"], 0, &[]);
}

#[test]
fn legs_of_other_kinds_fit() {
    need!(root);
    let e = Env::new("kinds");
    let (Some(_a), Some(_b)) = (mount(&e, "a", "tmpfs"), mount(&e, "b", "tmpfs")) else {
        return;
    };
    for d in ["a/low", "a/up", "a/work", "a/over"] {
        fs::create_dir(e.p(d)).unwrap();
    }
    let options = format!(
        "lowerdir={0}/low,upperdir={0}/up,workdir={0}/work",
        e.p("a").display()
    );
    let done = Command::new("mount")
        .args(["-t", "overlay", "-o", &options, "mirror-test"])
        .arg(e.p("a/over"))
        .output();
    if !done.is_ok_and(|o| o.status.success()) {
        return skip("cannot mount an overlay here");
    }
    let over = Mount(e.p("a/over"));
    e.write("a/over/f", "x");
    e.expect(
        &["init", "a/over", "b", "--yes"],
        0,
        &["overlay", "tmpfs", "locks ok", "IN SYNC"],
    );
    e.expect(&["run", "--", "sh", "-c", "echo y > a/over/g"], 0, &[]);
    assert_eq!(fs::read_to_string(e.p("b/g")).unwrap(), "y\n");
    e.expect(&["verify"], 0, &["0 differences"]);
    e.expect(&["detach", "a/over"], 0, &[]);
    drop(over);
}

#[test]
fn locks_that_do_not_work_are_refused() {
    need!("strace");
    let e = Env::new("noflock");
    // No lock at all on the second leg; and locks that every process gets.
    for (inject, text) in [
        ("flock:error=ENOLCK:when=2", "flock is not possible there"),
        ("flock:retval=0", "does not keep processes apart"),
    ] {
        let o = poorer(&e, inject, &["a", "b", "--yes"]);
        check(o, &["init"], 1, &["mirror: init: leg", text, "M-202"]);
        e.nothing_left();
    }
}

#[test]
fn contents_that_a_leg_cannot_hold_are_refused() {
    need!("strace");
    let e = Env::new("cannothold");
    // One trial per leg: the second is leg b's.
    let links = "symlinkat:error=EPERM:when=2";
    symlink("x", e.p("a/link")).unwrap();
    let o = poorer(&e, links, &["a", "b", "--yes"]);
    check(
        o,
        &["init"],
        1,
        &[
            "leg b cannot hold symlinks, and leg a has 1 symlink",
            "M-202",
        ],
    );
    e.nothing_left();
    assert!(fs::read_dir(e.p("b")).unwrap().next().is_none());
    // With none there today it is a warning, and a refusal for who wants everything.
    fs::remove_file(e.p("a/link")).unwrap();
    e.write("a/f", "x");
    let o = poorer(&e, links, &["a", "b", "--yes", "--fidelity", "full"]);
    check(
        o,
        &["init"],
        1,
        &["--fidelity full", "cannot hold symlinks"],
    );
    e.nothing_left();
    let o = poorer(&e, links, &["a", "b", "--yes"]);
    check(
        o,
        &["init"],
        0,
        &[
            "! leg b cannot hold symlinks: programs that make some get an error",
            "IN SYNC",
        ],
    );
}

#[test]
fn missing_hard_links_are_counted() {
    need!("strace");
    let e = Env::new("nolinks");
    e.write("a/f", "x");
    fs::hard_link(e.p("a/f"), e.p("a/g")).unwrap();
    let o = poorer(&e, "linkat:error=EPERM:when=2", &["a", "b", "--dry-run"]);
    check(
        o,
        &["init"],
        0,
        &[
            "hard links no",
            "leg b has no hard links: 2 names",
            "nothing was done",
        ],
    );
    e.nothing_left();
}
