//! Which side wins a first copy (`init --source`), what the loser had, and copies that were interrupted.
use super::*;

/// Two trees that differ in every way; returns what leg b had.
pub(super) fn differing(e: &Env) {
    for (f, d) in [
        ("a/only-a", "1"),
        ("a/x", "one"),
        ("b/x", "two, longer"),
        ("b/only-b", "3"),
    ] {
        e.write(f, d);
    }
    fs::create_dir(e.p("b/dir")).unwrap();
    e.write("b/dir/deep", "deep");
    e.write("a/kind", "a file");
    fs::create_dir(e.p("b/kind")).unwrap();
    e.write("b/kind/inner", "inner");
    symlink("x", e.p("a/link")).unwrap();
    symlink("elsewhere", e.p("b/link")).unwrap();
    e.write("a/g1", "group");
    fs::hard_link(e.p("a/g1"), e.p("a/g2")).unwrap();
    e.write("b/g1", "group");
    e.write("b/g2", "other");
}

/// Contents of a tree without the control folder: path, and text, `/` or the link's text.
pub(super) fn contents(root: &Path) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(d) = todo.pop() {
        for entry in fs::read_dir(&d).unwrap().flatten() {
            let p = entry.path();
            let rel = p.strip_prefix(root).unwrap().display().to_string();
            let t = entry.file_type().unwrap();
            if rel == ".mirror" {
                continue;
            }
            let what = if t.is_dir() {
                todo.push(p);
                "/".into()
            } else if t.is_symlink() {
                fs::read_link(&p).unwrap().display().to_string()
            } else {
                fs::read_to_string(&p).unwrap()
            };
            out.push((rel, what));
        }
    }
    out.sort();
    out
}

/// All kept versions of a leg, over all runs: names relative to the run's folder.
pub(super) fn kept(leg: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for run in fs::read_dir(leg.join(".mirror/kept")).unwrap().flatten() {
        all.extend(contents(&run.path()));
    }
    all.sort();
    all
}

pub(super) fn has(list: &[(String, String)], name: &str, what: &str) {
    assert!(
        list.iter().any(|(n, w)| n == name && w == what),
        "{name} = {what:?} is not in {list:?}"
    );
}

#[test]
fn the_named_source_wins_and_the_other_is_kept() {
    for (source, winner, loser) in [("a", "a", "b"), ("b", "b", "a")] {
        let e = Env::new(&format!("source-{source}"));
        differing(&e);
        let (before, lost) = (contents(&e.p(winner)), contents(&e.p(loser)));
        let o = e.expect(
            &["init", "a", "b", "--source", source, "--yes"],
            0,
            &["kept", "IN SYNC"],
        );
        assert!(o.out.contains(&format!("versions of {loser}")), "{}", o.out);
        assert_eq!(contents(&e.p(winner)), before, "the winner is untouched");
        assert_eq!(
            contents(&e.p(loser)),
            before,
            "the loser is like the winner"
        );
        let kept = kept(&e.p(loser));
        for (name, what) in &lost {
            // What was equal needs no keeping.
            if !before.contains(&(name.clone(), what.clone())) && what != "/" {
                has(&kept, name, what);
            }
        }
        if source == "a" {
            let (x, y) = (
                fs::metadata(e.p("b/g1")).unwrap(),
                fs::metadata(e.p("b/g2")).unwrap(),
            );
            assert_eq!(x.ino(), y.ino(), "the hard link is one on the copy");
        }
        e.expect(&["verify"], 0, &["0 differences"]);
        e.expect(&["status"], 0, &["IN SYNC"]);
        assert!(!e.p(loser).join(".mirror/keep").exists());
        // The same words again are no harm, and say what would be the way now.
        e.expect(
            &["init", "a", "b", "--source", source, "--yes"],
            0,
            &["already a pair", "--from"],
        );
    }
}

#[test]
fn without_a_source_or_a_yes_nothing_is_done() {
    let e = Env::new("nosource");
    differing(&e);
    let (a, b) = (contents(&e.p("a")), contents(&e.p("b")));
    e.refused_init(
        &["a", "b", "--yes"],
        &[
            "differ",
            "only in b",
            "mirror diff",
            "--source a | --source b",
        ],
    );
    e.refused_init(
        &["a", "b", "--source", "b"],
        &[
            "would be overwritten",
            "kept aside",
            "Nothing was done",
            "--yes",
        ],
    );
    e.expect(
        &["init", "a", "b", "--source", "b", "--dry-run"],
        0,
        &["would make a like b", "dry run: nothing was done"],
    );
    e.nothing_left();
    assert_eq!((contents(&e.p("a")), contents(&e.p("b"))), (a, b));
}

#[test]
fn an_empty_source_would_empty_the_other() {
    let e = Env::new("emptysource");
    e.write("b/f", "precious");
    e.refused_init(
        &["a", "b", "--source", "a", "--yes"],
        &["leg a is empty", "Is its disk mounted?"],
    );
    assert_eq!(fs::read_to_string(e.p("b/f")).unwrap(), "precious");
    // The full one as the source is what happens anyway, also when that is b.
    e.expect(
        &["init", "a", "b", "--source", "b", "--yes"],
        0,
        &["IN SYNC"],
    );
    assert_eq!(fs::read_to_string(e.p("a/f")).unwrap(), "precious");
}

/// Stops `init` at the first copied file by a sink that can take no more, then goes on.
#[test]
fn an_interrupted_copy_to_leg_a_goes_on_and_keeps_aside() {
    need!("strace");
    let e = Env::new("interrupted-b");
    differing(&e);
    for i in 0..20 {
        e.write(&format!("b/n{i:02}"), "new");
    }
    let lost = contents(&e.p("a"));
    // Killed when it has put the tenth object in its place.
    let init = ["init", "a", "b", "--source", "b", "--yes"];
    let mut c = Command::new("strace");
    c.args(["-f", "-o", "/dev/null", "-e", "trace=renameat"])
        .args(["-e", "inject=renameat:signal=KILL:when=14"])
        .arg(dist().join("mirror"))
        .args(init)
        .current_dir(&e.dir)
        .env("MIRRORTAB", e.p("tab"));
    let o = finish(&mut c);
    assert_ne!(o.code, 0, "{}{}", o.out, o.err);
    assert!(e.p("tab").exists(), "killed too early: {}{}", o.out, o.err);
    e.expect(
        &["status", "a"],
        1,
        &[
            "INCOMPLETE",
            "sink, incomplete",
            "from leg b to leg a",
            "mirror resync",
        ],
    );
    e.expect(&["run", "true"], 125, &["has not been copied completely"]);
    e.expect(
        &["init", "a", "b", "--source", "a", "--yes"],
        1,
        &["a copy from leg b to leg a has begun"],
    );
    e.expect(
        &["resync", "--from", "a", "--yes"],
        2,
        &[
            "the first copy to leg a has not finished",
            "so a cannot be the source",
        ],
    );
    e.expect(&["init", "a", "b", "--source", "b"], 1, &["add --yes"]);
    e.expect(&init, 0, &["IN SYNC"]);
    assert_eq!(contents(&e.p("a")), contents(&e.p("b")));
    let kept = kept(&e.p("a"));
    for (name, what) in &lost {
        if !contents(&e.p("b")).contains(&(name.clone(), what.clone())) && what != "/" {
            has(&kept, name, what);
        }
    }
    e.expect(&["verify"], 0, &["0 differences"]);
}

/// Killed at each of its renames and at each of its writes, the first copy goes on by the same command,
/// and nothing that the losing leg had is gone.
fn killed_at_every(call: &str) {
    need!("strace");
    let init = ["init", "a", "b", "--source", "b", "--yes"];
    let mut ended = false;
    for n in 1..80 {
        let e = Env::new(&format!("sweep-{call}-{n}"));
        differing(&e);
        let (lost, won) = (contents(&e.p("a")), contents(&e.p("b")));
        let mut c = Command::new("strace");
        c.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=KILL:when={n}")])
            .arg(dist().join("mirror"))
            .args(init)
            .current_dir(&e.dir)
            .env("MIRRORTAB", e.p("tab"));
        ended = finish(&mut c).code == 0;
        e.expect(&init, 0, &["ready "]);
        assert_eq!(contents(&e.p("a")), won, "{call} {n}");
        assert_eq!(contents(&e.p("b")), won, "{call} {n}");
        let kept = kept(&e.p("a"));
        for (name, what) in &lost {
            if !won.contains(&(name.clone(), what.clone())) && what != "/" {
                has(&kept, name, what);
            }
        }
        assert!(!e.p("a/.mirror/keep").exists());
        assert!(fs::read_dir(e.p("a/.mirror/tmp")).unwrap().next().is_none());
        if ended {
            break;
        }
    }
    assert!(ended, "{call}: it was killed each time");
}

#[test]
fn a_first_copy_killed_at_every_rename() {
    killed_at_every("renameat");
}

#[test]
fn a_first_copy_killed_at_every_write() {
    killed_at_every("pwrite64");
}

#[test]
fn two_inits_at_once_make_one_pair() {
    let e = Env::new("twoinits");
    e.write("a/f", "x");
    let start = |tab: &str| {
        e.command(&["init", "a", "b", "--yes"])
            .env("MIRRORTAB", e.p(tab))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let all: Vec<_> = (0..6).map(|_| start("tab")).collect();
    let codes: Vec<_> = all
        .into_iter()
        .map(|mut c| c.wait().unwrap().code())
        .collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(codes.iter().all(|c| matches!(c, Some(0 | 1))), "{codes:?}");
    e.expect(&["status"], 0, &["IN SYNC"]);
    e.expect(&["verify"], 0, &["0 differences"]);
    assert_eq!(fs::read_to_string(e.p("b/f")).unwrap(), "x");
}
