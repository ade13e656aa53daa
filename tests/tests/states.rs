//! Every condition in which a pair can be: its word and exit code in each command, that nothing changes
//! on either leg meanwhile, and that what `status` says to type mends it.
use mirror_tests::{Fs, Kind, Level, Output, Pair, Tree, is_root, need, skip};
use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "states/stopped.rs"]
mod stopped;
#[path = "states/table.rs"]
mod table;
use table::{Row, mounts, rows};

/// Bash with the pair's directories, and `mirror` in its path.
fn shell(p: &Pair, script: &str) -> Output {
    let tab = p.tab();
    let dist = mirror_tests::dist();
    p.bypass(&format!(
        "export PATH={}:$PATH TAB={}; {script}",
        dist.display(),
        tab.display()
    ))
}

fn expect(what: &str, o: &Output, code: i32, texts: &[&str]) {
    assert_eq!(o.code, code, "{what}: {o:?}");
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&o.out),
        String::from_utf8_lossy(&o.err)
    );
    for t in texts {
        assert!(all.contains(t), "{what}: {t:?} is not in {o:?}");
    }
}

/// Mounts on leg b end before its directory goes.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        while Command::new("umount")
            .args(["-l".as_ref(), self.0])
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
        {}
    }
}

fn tree(dir: &Path) -> Option<Tree> {
    // A tree with paths that are too long cannot be read by name.
    let deep = dir.join("0".repeat(250)).exists();
    (dir.exists() && !deep).then(|| Tree::read(dir))
}

/// Both legs are as they were.
fn untouched(what: &str, p: &Pair, before: &[Option<Tree>; 2]) {
    for (leg, old) in [p.a(), p.b()].into_iter().zip(before) {
        match (tree(leg), old) {
            (Some(now), Some(old)) => {
                let d = old.differences(&now, Level::Strict);
                assert!(d.0.is_empty(), "{what} changed {}:\n{d}", leg.display());
            }
            (now, old) => assert_eq!(now.is_some(), old.is_some(), "{what}: {}", leg.display()),
        }
    }
}

fn go(r: &Row, mounted: bool) {
    let p = Pair::bare(r.kind, Fs::Plain).expect("plain folders");
    let guard = Mounted(p.b());
    if mounted {
        shell(
            &p,
            "mount -t tmpfs -o size=8m,nr_inodes=400,mode=755 none $B",
        )
        .ok();
    }
    fs::write(p.a().join("f"), "one").unwrap();
    p.init(&[]).ok();
    shell(&p, r.breaks).ok();
    let before = [tree(p.a()), tree(p.b())];
    let v = p.v().to_str().unwrap();
    let check = |what: &str, o: &Output, code: i32, texts: &[&str]| {
        let what = format!("{}: {what}", r.name);
        expect(&what, o, code, texts);
        untouched(&what, &p, &before);
    };
    let c = &r.codes;
    check(
        "status",
        &p.mirror("status", &[v]),
        c.status,
        &[r.word, r.code, "action"],
    );
    let key = format!("\"state\":\"{}\"", r.word.to_lowercase().replace(' ', "-"));
    check(
        "status --json",
        &p.mirror("status", &[v, "--json"]),
        c.status,
        &[&key],
    );
    check(
        "status of all",
        &p.mirror("status", &[]),
        c.status,
        &[r.word],
    );
    check("explain", &p.mirror("explain", &[r.code]), 0, &[r.code]);
    check(
        "wait",
        &p.mirror("wait", &[v, "--timeout", "0"]),
        1,
        &[r.word],
    );
    check("ps", &p.mirror("ps", &[v]), c.ps, &[]);
    let required = p.mirror("run", &["--require", "in-sync", "--", "true"]);
    check("run --require", &required, 125, &[r.word]);
    check("run", &p.mirror("run", &["--", "true"]), c.run, &[]);
    check(
        "run --pair",
        &p.mirror("run", &["--pair", v, "--", "true"]),
        c.run,
        &[],
    );
    check("diff", &p.mirror("diff", &[v]), c.diff, &[]);
    // What diff finds, it records.
    let preview = p.mirror("resync", &[v, "--dry-run"]);
    check("resync -n", &preview, c.preview, &[]);
    if c.preview == 2 {
        check("resync", &p.mirror("resync", &[v]), 2, &[]);
    }
    check("verify", &p.mirror("verify", &[v]), c.verify, &[]);
    if c.run == 125 {
        // A program that is preloaded all the same changes nothing, or both.
        let mut sh = p.preloaded("sh");
        let o = sh.arg("-c").arg("echo x > \"$V/new\"").output().unwrap();
        match o.status.success() {
            false => untouched(&format!("{}: a program", r.name), &p, &before),
            true => p.assert_legs(Level::NoTimes),
        }
    }
    shell(&p, &format!("set -e; {}", r.mends)).ok();
    let o = p.mirror("status", &[v]);
    assert!(
        o.code == 0 && o.text().contains("IN SYNC"),
        "{}: not mended by {}: {o:?}",
        r.name,
        r.mends
    );
    p.assert_legs(Level::NoTimes);
    expect(r.name, &p.mirror("detach", &[v]), 0, &["detached"]);
    drop(guard);
}

#[test]
fn conditions_of_trees_and_legs() {
    rows()[0].iter().for_each(|r| go(r, false));
}

#[test]
fn conditions_of_control_files_and_v() {
    rows()[1].iter().for_each(|r| go(r, false));
}

#[test]
fn conditions_of_file_systems() {
    if !is_root() {
        return skip("mounting needs root");
    }
    need!("mount");
    mounts().iter().for_each(|r| go(r, true));
}

/// Whatever is broken, the pair can be ended, and both trees stay.
#[test]
fn a_broken_pair_can_be_detached() {
    for r in rows().iter().flatten() {
        let p = Pair::bare(r.kind, Fs::Plain).expect("plain folders");
        fs::write(p.a().join("f"), "one").unwrap();
        p.init(&[]).ok();
        shell(&p, r.breaks).ok();
        let before = [tree(p.a()), tree(p.b())];
        expect(
            r.name,
            &p.mirror("detach", &[p.v().to_str().unwrap()]),
            0,
            &["detached"],
        );
        untouched(r.name, &p, &before);
        expect(r.name, &p.mirror("config", &["check"]), 0, &["no pairs"]);
    }
}

#[test]
fn control_files_are_not_made_again_under_a_program() {
    let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    p.init(&[]).ok();
    let mut cat = p.command("sh");
    let mut child = cat
        .args(["-c", "echo x > $V/x; echo; read x; echo y > $V/y"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Read;
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    for gone in [
        "rm -r $B/.mirror/locks",
        "rm $A/.mirror/owner $B/.mirror/owner",
    ] {
        shell(&p, gone).ok();
        let o = p.resync();
        expect(gone, &o, 2, &["Stop them first"]);
        assert!(!p.b().join(".mirror/locks").exists());
    }
    drop(child.stdin.take());
    let _ = child.wait();
    expect("after", &p.resync(), 0, &["IN SYNC"]);
    p.assert_legs(Level::NoTimes);
}

#[test]
fn with_a_pair_named_the_others_are_closed() {
    for kind in [Kind::InPlace, Kind::Link] {
        let (p, q) = (
            Pair::bare(kind, Fs::Plain).expect("plain folders"),
            Pair::bare(kind, Fs::Plain).expect("plain folders"),
        );
        p.init(&[]).ok();
        fs::write(q.a().join("old"), "old").unwrap();
        q.init(&[]).ok();
        let both = format!(
            "{}{}",
            fs::read_to_string(p.tab()).unwrap(),
            fs::read_to_string(q.tab()).unwrap()
        );
        fs::write(p.tab(), both).unwrap();
        let before = [tree(q.a()), tree(q.b())];
        let other = q.v().to_str().unwrap();
        for change in [
            "echo x > $O/new",
            "echo x >> $O/old",
            "mkdir $O/d",
            "rm $O/old",
            "mv $O/old $O/o2",
            "ln $O/old $O/o2",
            "ln -s x $O/l",
            "chmod 600 $O/old",
            "touch -d 2001-01-01 $O/old",
            "truncate -s 1 $O/old",
            "echo y > $V/y; mv $V/y $O/y",
            "env -i sh -c \"echo x > $O/new\"",
            "cd $O; echo x > new",
        ] {
            let mut c = p.mirror_command("run");
            c.args(["--pair", p.v().to_str().unwrap(), "--", "bash", "-c"]);
            let script = format!("O={other}; cat $O/old >/dev/null && {{ {change}; }} 2>/dev/null");
            let o = Output::from_std(c.arg(script).output().unwrap());
            assert_ne!(o.code, 0, "{change}: {o:?}");
            untouched(change, &q, &before);
        }
        p.run("echo z > $V/z").ok();
        p.assert_equal();
    }
}

#[test]
fn a_lost_pair_stops_only_what_touches_it() {
    let (p, q) = (
        Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders"),
        Pair::bare(Kind::Link, Fs::Plain).expect("plain folders"),
    );
    p.init(&[]).ok();
    q.init(&[]).ok();
    let both = format!(
        "{}{}",
        fs::read_to_string(p.tab()).unwrap(),
        fs::read_to_string(q.tab()).unwrap()
    );
    fs::write(p.tab(), both).unwrap();
    fs::rename(q.b(), q.b().with_extension("away")).unwrap();
    let before = [tree(q.a()), tree(q.b())];
    let script = format!("echo x > $V/x; echo y > {}/y", q.v().display());
    let o = p.mirror("run", &["--", "bash", "-c", &script]);
    expect(
        "run",
        &o,
        1,
        &["LEG LOST", "Input/output error", "mirror status"],
    );
    untouched("run", &q, &before);
    assert!(p.b().join("x").exists());
    p.assert_equal();
    for args in [
        &["--require", "in-sync", "--", "true"][..],
        &["--pair", q.v().to_str().unwrap(), "--", "true"],
    ] {
        expect("run", &p.mirror("run", args), 125, &["LEG LOST"]);
    }
    expect(
        "verify",
        &p.mirror("verify", &[]),
        2,
        &["EQUAL", "LEG LOST"],
    );
    expect(
        "json",
        &p.mirror("verify", &["--json"]),
        2,
        &["\"state\":\"in-sync\"", "\"state\":\"leg-lost\""],
    );
}

/// Changes through V, by every kind of name, when V is not the link to leg a.
#[test]
fn nothing_is_changed_through_a_v_that_is_not_the_link() {
    for broken in [
        "rm $V",
        "mkdir $S/else; ln -sfn $S/else $V",
        "ln -sfn $B $V",
        "rm $V; mkdir $V",
    ] {
        let p = Pair::bare(Kind::Link, Fs::Plain).expect("plain folders");
        fs::write(p.a().join("f"), "one").unwrap();
        fs::create_dir(p.a().join("d")).unwrap();
        p.init(&[]).ok();
        shell(&p, broken).ok();
        let before = [tree(p.a()), tree(p.b())];
        for change in [
            "echo x > $V/new",
            "echo x >> $V/f",
            "echo x > $V/./new",
            "echo x > $V/d/../new",
            "mkdir $V/n",
            "rm $V/f",
            "rmdir $V/d",
            "mv $V/f $V/g",
            "mv $V/f $S/g",
            "echo s > $S/s; mv $S/s $V/s",
            "ln -s x $V/l",
            "chmod 600 $V/f",
            "chmod 700 $V",
            "truncate -s 0 $V/f",
            "cd $(dirname $V); echo x > v/new",
            "cd $(dirname $V); mkdir v/../v/n",
        ] {
            let o = p.preloaded("bash").arg("-c").arg(change).output().unwrap();
            assert!(!o.status.success(), "{broken}; {change}: {o:?}");
            untouched(change, &p, &before);
        }
        // Mended, the same names work.
        shell(
            &p,
            "rm -rf $V; ln -s $(realpath --relative-to=$(dirname $V) $A) $V",
        )
        .ok();
        p.run("echo x > $V/new; mkdir $V/n; mv $V/f $V/g").ok();
        p.assert_equal();
    }
}

#[test]
fn policies_are_shown() {
    for (options, shown) in [
        (&[][..], "on-failure=fail,on-full=error"),
        (
            &["--on-failure", "degrade", "--on-full", "degrade"],
            "on-failure=degrade,on-full=degrade",
        ),
    ] {
        let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
        p.init(options).ok();
        for args in [&["status"][..], &["config", "check"]] {
            expect(args[0], &p.mirror(args[0], &args[1..]), 0, &[shown]);
        }
    }
}
