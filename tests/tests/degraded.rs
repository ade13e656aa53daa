//! Leg b is lost, left behind and brought back: what programs see, what the legs hold, what `status` says.
//! Compared from outside, with tools that know nothing of the mirror.
use mirror_tests::{Fs, Kind, Level, Output, Pair, Told, Tree, need};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

#[path = "degraded/faults.rs"]
mod faults;
#[path = "degraded/ways.rs"]
mod ways;

/// A pair whose leg b may be left behind.
fn pair(kind: Kind, fs: Fs) -> Option<Pair> {
    let p = Pair::bare(kind, fs)?;
    p.init(&["--on-failure", "degrade"]).ok();
    Some(p)
}

fn plain(kind: Kind) -> Pair {
    pair(kind, Fs::Plain).expect("plain folders")
}

fn v(p: &Pair) -> &str {
    p.v().to_str().unwrap()
}

/// The word of the pair's state and the exit code of `status`.
#[track_caller]
fn state(p: &Pair, code: i32, word: &str) {
    let o = p.mirror("status", &[v(p)]);
    let text = String::from_utf8_lossy(&o.out).into_owned();
    assert!(
        o.code == code && text.contains(&format!("state     {word}\n")),
        "{o:?}"
    );
}

#[track_caller]
fn degraded(p: &Pair) {
    state(p, 1, "DEGRADED");
    let o = p.mirror("status", &[v(p)]);
    let text = String::from_utf8_lossy(&o.out).into_owned();
    assert!(text.contains("was left behind at"), "{o:?}");
    assert!(text.contains("mirror explain M-104"), "{o:?}");
    assert!(text.contains("action    "), "{o:?}");
}

fn offline(p: &Pair) {
    p.mirror("leg", &["offline", v(p), "b"]).ok();
}

fn online(p: &Pair) -> Output {
    p.mirror("leg", &["online", v(p), "b", "--yes"])
}

/// Descriptors of a program that lead below a directory.
fn holds(t: &Told, dir: &Path) -> usize {
    let fds = fs::read_dir(format!("/proc/{}/fd", t.pid())).unwrap();
    let to = fds.filter_map(|f| fs::read_link(f.ok()?.path()).ok());
    to.filter(|t| t.starts_with(dir)).count()
}

#[track_caller]
fn same(before: &Tree, dir: &Path) {
    let d = before.differences(&Tree::read(dir), Level::Strict);
    assert!(d.0.is_empty(), "{}:\n{d}", dir.display());
}

/// Every kind of change, as a script below `$V`.
const CHANGES: &str = "set -e; cd $V; echo one > new; echo two >> old; mkdir -p d/e; echo x > d/e/f; mv d/e/f d/g
ln old hard; ln -s old soft; rm gone; truncate -s 3 cut; chmod 640 old; touch -d @1700000000 d/g; rmdir d/e
mv dir moved; mkfifo fifo; cp old copy; exec 5<>old; echo end >&5; exec 5>&-; dd if=/dev/zero of=zero bs=4096 count=3 conv=fsync 2>/dev/null
rm -r tree; mv -T copy over; sync new";
/// What is there before them.
const BEFORE: &str = "cd $V; echo old > old; echo gone > gone; echo cut-me > cut; mkdir dir; echo f > dir/f; mkdir -p tree/x/y; echo z > tree/x/y/z; echo over > over";

/// Taken offline by hand: running programs and new ones go on with leg a as on a plain directory, nothing
/// reaches leg b, and its own paths are refused.
#[test]
fn programs_go_on_with_leg_a_alone() {
    for kind in [Kind::InPlace, Kind::Link] {
        let p = plain(kind);
        p.both_ok(BEFORE);
        let mut running = Told::shell(&p);
        running.does("exec 7>>\"$V/log\" && echo before >&7 && cd \"$V/dir\"");
        assert!(holds(&running, p.b()) > 0);
        offline(&p);
        degraded(&p);
        let b = Tree::read(p.b());
        p.run(CHANGES).ok();
        p.plain(CHANGES).ok();
        running.does("echo after >&7 && echo rel > rel");
        assert_eq!(
            fs::read_to_string(p.a().join("moved/rel")).unwrap(),
            "rel\n"
        );
        running.does("sync \"$V/log\"");
        assert_eq!(holds(&running, p.b()), 0, "leg b is let go of");
        for refused in [
            "echo x > \"$B/old\"",
            "rm \"$B/old\"",
            "mkdir \"$B/m\"",
            "mv \"$V/old\" \"$B/moved-over\"",
            "chmod 600 \"$B/old\"",
        ] {
            running.fails(&format!("{refused} 2>/dev/null"));
        }
        assert_eq!(
            fs::read_to_string(p.a().join("log")).unwrap(),
            "before\nafter\n"
        );
        same(&b, p.b());
        running.end();
        p.plain("echo before > $V/log; echo after >> $V/log; echo rel > $V/moved/rel");
        assert_eq!(online(&p).code, 0);
        state(&p, 0, "IN SYNC");
        p.assert_equal();
        p.run("echo both > $V/both").ok();
        assert_eq!(fs::read_to_string(p.b().join("both")).unwrap(), "both\n");
    }
}

/// The legs' comparison with a plain directory after all these changes.
#[test]
fn what_is_done_alone_is_what_a_plain_directory_has() {
    let p = plain(Kind::InPlace);
    p.both_ok(BEFORE);
    offline(&p);
    p.run(CHANGES).ok();
    p.plain(CHANGES).ok();
    assert_eq!(online(&p).code, 0);
    p.assert_like_native();
    p.assert_equal();
    p.both_ok("cd $V; echo more >> old; rm -r moved; mkdir again");
    p.assert_like_native();
    p.assert_equal();
}

/// Leg b does not come back as a source, nor by a look, and comes back under a program that works on leg a alone.
#[test]
fn leg_b_is_back_only_when_it_is_equal() {
    let p = plain(Kind::InPlace);
    p.run(BEFORE).ok();
    offline(&p);
    let mut early = Told::shell(&p);
    early.does("echo 1 > \"$V/one\"");
    degraded(&p);
    early.does("echo 2 > \"$V/two\"");
    assert!(!p.b().join("two").exists());
    let o = p.mirror("resync", &[v(&p), "--from", "b", "--yes"]);
    assert!(o.code == 2 && p.a().join("two").exists(), "{o:?}");
    let o = p.mirror("verify", &[v(&p)]);
    assert_eq!(o.code, 1, "{o:?}");
    degraded(&p);
    let o = p.mirror("run", &["--require", "in-sync", "--", "true"]);
    assert!(
        o.code == 125 && format!("{o:?}").contains("DEGRADED"),
        "{o:?}"
    );
    let o = p.mirror("status", &[v(&p), "--json"]);
    assert!(o.text().contains("\"state\":\"degraded\""), "{o:?}");
    assert_eq!(p.mirror("wait", &[v(&p), "--timeout", "0"]).code, 1);
    assert_eq!(p.resync().code, 0);
    p.mirror("wait", &[v(&p), "--timeout", "0"]).ok();
    state(&p, 0, "IN SYNC");
    early.does("echo 3 > \"$V/three\"");
    assert!(p.b().join("two").exists() && p.b().join("three").exists());
    early.end();
    p.assert_equal();
    assert_eq!(p.mirror("leg", &["offline", v(&p), "a"]).code, 64);
}

/// A descriptor that a program has inherited from before does not lead to leg b as it was then.
#[test]
fn no_partner_outlives_its_epoch() {
    need!("python3");
    let p = plain(Kind::InPlace);
    p.run("echo 0 > $V/log").ok();
    let mut c = p.preloaded("bash");
    let python = "import sys,os\nprint('up',flush=True)\nsys.stdin.readline()\nos.write(3,b'1\\n')\nprint('done',flush=True)";
    c.arg("-c")
        .arg("exec 3>>\"$V/log\"; exec python3 -c \"$1\"")
        .arg("-")
        .arg(python);
    let mut heir = Told::start(c);
    assert_eq!(heir.line(), "up");
    offline(&p);
    // The object behind the name on leg b is another one when it is back.
    fs::remove_file(p.b().join("log")).unwrap();
    assert_eq!(online(&p).code, 0);
    heir.tell("go");
    assert_eq!(heir.line(), "done");
    heir.end();
    for leg in [p.a(), p.b()] {
        assert_eq!(fs::read_to_string(leg.join("log")).unwrap(), "0\n1\n");
    }
    state(&p, 0, "IN SYNC");
}

/// A leg that is not there, empty, or read-only while the mark stands: never taken for an empty leg, never
/// written, and no obstacle.
#[test]
fn a_leg_that_is_away_is_not_looked_for() {
    let p = plain(Kind::InPlace);
    p.run(BEFORE).ok();
    offline(&p);
    let aside = p.b().with_extension("aside");
    fs::rename(p.b(), &aside).unwrap();
    let b = Tree::read(&aside);
    p.run("echo 1 > $V/one; echo out > $S/out").ok();
    degraded(&p);
    assert_eq!(online(&p).code, 2);
    fs::create_dir(p.b()).unwrap();
    p.run("echo 2 > $V/two; rm $V/gone; echo out > $S/out; ! echo x > $B/x")
        .ok();
    degraded(&p);
    assert_eq!(online(&p).code, 2);
    assert_eq!(fs::read_dir(p.b()).unwrap().count(), 0);
    fs::remove_dir(p.b()).unwrap();
    fs::rename(&aside, p.b()).unwrap();
    same(&b, p.b());
    // Changed by hand, and older than it was.
    fs::write(p.b().join("old"), "stale").unwrap();
    fs::write(p.b().join("extra"), "stale").unwrap();
    p.run("echo 3 > $V/three").ok();
    assert_eq!(fs::read_to_string(p.b().join("old")).unwrap(), "stale");
    assert_eq!(online(&p).code, 0);
    assert_eq!(fs::read_to_string(p.a().join("old")).unwrap(), "old\n");
    p.assert_equal();
    state(&p, 0, "IN SYNC");
}

/// A mark that was damaged counts as one that stands; one on leg b closes the pair.
#[test]
fn marks_that_cannot_be_right_never_make_a_source() {
    let p = plain(Kind::InPlace);
    p.run(BEFORE).ok();
    let mark = |leg: &Path| leg.join(".mirror/away");
    offline(&p);
    let whole = fs::read(mark(p.a())).unwrap();
    let mut bytes = whole.clone();
    bytes[60] ^= 1;
    fs::write(mark(p.a()), &bytes).unwrap();
    p.run("echo 1 > $V/one").ok();
    assert!(!p.b().join("one").exists());
    state(&p, 1, "DEGRADED");
    assert_eq!(online(&p).code, 0);
    state(&p, 0, "IN SYNC");
    p.assert_equal();
    fs::write(mark(p.b()), &whole).unwrap();
    state(&p, 2, "SPLIT BRAIN");
    assert_ne!(
        p.preloaded("bash")
            .args(["-c", "echo 2 > $V/two"])
            .status()
            .unwrap()
            .code(),
        Some(0)
    );
    assert!(!p.a().join("two").exists() && !p.b().join("two").exists());
    offline(&p);
    state(&p, 2, "SPLIT BRAIN");
    assert_eq!(p.resync().code, 2);
    fs::remove_file(mark(p.b())).unwrap();
    assert_eq!(online(&p).code, 0);
    state(&p, 0, "IN SYNC");
}
