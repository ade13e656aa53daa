//! A file of a leg that is changed by a name outside the leg: known from the walk of `init`, `verify` or `resync`
//! on, and then recorded, whatever call makes the change.
use mirror_tests::{Fs, Kind, Output, Pair, Told, need};

/// Changes of the file of which `$O` is the outer name; each by a program of its own.
const CHANGES: &[&str] = &[
    "echo more >> $O",
    ": > $O",
    "cd $S && echo more >> other",
    "cd $S/.. && echo more >> $(basename $S)/other",
    "ln -s $O $S/link && echo more > $S/link",
    "truncate -s 3 $O",
    "chmod 600 $O",
    "chown 5 $O",
    "touch -d @5 $O",
    "python3 -c 'import os; os.setxattr(os.environ[\"O\"], \"user.a\", b\"1\")'",
    "python3 -c 'import os; n = os.open(os.environ[\"O\"], os.O_RDONLY); os.fchmod(n, 0o604)'",
    "python3 -c 'import os; n = os.open(os.environ[\"O\"], os.O_RDWR); os.pwrite(n, b\"x\", 0)'",
    "python3 -c 'import os; n = os.open(os.environ[\"O\"], os.O_RDWR | os.O_CREAT); os.ftruncate(n, 1)'",
    "python3 -c 'import mmap, os; m = mmap.mmap(os.open(os.environ[\"O\"], os.O_RDWR), 1); m[0] = 1'",
    "python3 -c 'import os; open(\"/proc/self/fd/%d\" % os.open(os.environ[\"O\"], os.O_RDONLY), \"w\")'",
];

/// A pair whose file f has the name `$S/other` too.
fn linked(kind: Kind) -> Pair {
    let pair = Pair::bare(kind, Fs::Plain).expect("plain folders can always be made");
    pair.bypass("echo content > $A/f; echo content > $B/f; touch -d @1000000000 $A/f $B/f; ln $A/f $S/other; echo o > $S/one; ln $S/one $S/two")
        .ok();
    pair.init(&[]).ok();
    pair
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.err).into_owned()
}

fn word(pair: &Pair) -> String {
    let text = pair.mirror("status", &[pair.v().to_str().unwrap()]).text();
    println!("{text}");
    let state = ["IN SYNC", "UNVERIFIED", "REPAIR PENDING", "DIFFERENT"];
    let found = state.iter().find(|s| text.contains(**s));
    (*found.unwrap_or(&"")).into()
}

fn each_change_is_recorded(kind: Kind) {
    need!(root);
    need!("python3");
    let pair = linked(kind);
    let mut script = String::from("export O=$S/other\n");
    for change in CHANGES {
        script += &format!("({change})\n");
    }
    let o = pair.run(&script);
    assert!(said(&o.ok()).contains("by a name outside the leg"));
    let json = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
    let text = json.text().replace(' ', "");
    println!("{text}");
    let parts: Vec<&str> = text.split("\"why\":\"byanameoutsidetheleg\"").collect();
    let times = |part: &&str| {
        let digits = part.rsplit("\"times\":").next().expect("a number");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().expect("a number")
    };
    let counted: usize = parts.iter().take(parts.len() - 1).map(times).sum();
    assert_eq!(counted, CHANGES.len());
    assert_eq!(word(&pair), "UNVERIFIED");
    assert_eq!(pair.verify().code, 1);
    pair.resync().ok();
    assert_eq!(word(&pair), "IN SYNC");
}

#[test]
fn each_change_is_recorded_in_place() {
    each_change_is_recorded(Kind::InPlace);
}

/// What only looks, or has two names outside alone, is no reason.
#[test]
fn nothing_else_is_recorded() {
    let pair = linked(Kind::InPlace);
    let o = pair.run(
        "cat $S/other > /dev/null; ls -l $S; echo x >> $S/one; chmod 600 $S/two; echo n > $S/new; rm $S/two; mv $S/other $S/moved",
    );
    assert_eq!(said(&o.ok()), "");
    assert_eq!(word(&pair), "IN SYNC");
}

/// A name that was made since is known from the next comparison on, and forgotten by the one after its end.
#[test]
fn a_later_name_is_known_after_a_verify() {
    let pair = Pair::striped(Kind::Link, None);
    pair.run("echo content > $V/f; echo content > $V/g").ok();
    let change = "echo more >> $S/other";
    pair.bypass("ln $A/f $S/other").ok();
    pair.verify().ok();
    pair.run(change).ok();
    assert_eq!(word(&pair), "UNVERIFIED");
    pair.resync().ok();
    pair.run(change).ok();
    assert_eq!(word(&pair), "UNVERIFIED");
    pair.bypass("rm $S/other").ok();
    pair.resync().ok();
    assert!(!pair.a().join(".mirror/outside").exists());
}

/// That a leg has no list is believed when two calls say so.
#[test]
fn one_look_that_fails_hides_no_list() {
    need!("strace");
    for errno in ["ENOENT", "ENOTDIR", "EACCES", "EIO"] {
        let pair = linked(Kind::InPlace);
        let mut c = pair.command("strace");
        let trace = pair.scratch().join("trace");
        c.args(["-f", "-qq", "-o"]).arg(&trace).arg("-P");
        c.arg(pair.a().join(".mirror/outside"));
        c.args(["-e", "trace=statx", "-e"]);
        c.arg(format!("inject=statx:error={errno}"));
        let script = "echo more >> $S/other";
        let o = Output::from_std(
            c.args(["sh", "-c", script])
                .output()
                .expect("running strace"),
        );
        assert!(
            said(&o.ok()).contains("by a name outside the leg"),
            "{errno}"
        );
        let trace = std::fs::read_to_string(trace).expect("the trace");
        assert!(trace.contains("(INJECTED)"), "{errno}: {trace}");
        assert_eq!(word(&pair), "UNVERIFIED");
    }
}

/// Calls that fail: on numbers that are no descriptors, and on what is not there.
const FAILING: &str = r#"
import os, mmap
V = os.environ["V"]; O = os.environ["S"] + "/other"
r = os.open(O, os.O_RDONLY)
def tries(f):
    try: f()
    except (OSError, ValueError): pass
for n in (777, -1, -100000, 2**31 - 1, r):
    for f in (
        lambda: os.open("x", os.O_WRONLY | os.O_CREAT, dir_fd=n), lambda: os.open("../x", os.O_WRONLY, dir_fd=n),
        lambda: os.open("x/", os.O_WRONLY, dir_fd=n), lambda: os.open("", os.O_WRONLY, dir_fd=n),
        lambda: os.mkdir("x", dir_fd=n), lambda: os.unlink("x", dir_fd=n), lambda: os.symlink("y", "x", dir_fd=n),
        lambda: os.rename("x", "y", src_dir_fd=n, dst_dir_fd=n), lambda: os.link("x", "y", src_dir_fd=n, dst_dir_fd=n),
        lambda: os.chmod("x", 0o600, dir_fd=n), lambda: os.chown("x", 0, 0, dir_fd=n), lambda: os.utime("x", dir_fd=n),
    ): tries(f)
for n in (777, -1, -100000, 2**31 - 1):
    for f in (
        lambda: os.fchmod(n, 0o600), lambda: os.fchown(n, 0, 0), lambda: os.utime(n), lambda: os.setxattr(n, "user.a", b"1"),
        lambda: os.removexattr(n, "user.a"), lambda: os.truncate(n, 1), lambda: mmap.mmap(n, 1),
        lambda: os.write(n, b"x"), lambda: os.pwrite(n, b"x", 0), lambda: os.ftruncate(n, 1),
        lambda: os.posix_fallocate(n, 0, 10), lambda: os.fsync(n), lambda: os.sendfile(n, r, 0, 1),
        lambda: os.copy_file_range(r, n, 1), lambda: os.splice(r, n, 1),
    ): tries(f)
for p in (
    "/nowhere/x", "/dev/null/x", O + "/", O + "/x", "/proc/self/fd/777", "/proc/self/fd/777/x", "/proc/999999/fd/1",
    os.environ["S"] + "/loop", os.environ["S"] + "/" + "n" * 300, "/" + "d/" * 3000, "", "\udcff", V + "/../nowhere/x",
):
    for f in (
        lambda: os.open(p, os.O_WRONLY), lambda: os.open(p, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW),
        lambda: os.truncate(p, 1), lambda: os.chmod(p, 0o600), lambda: os.chown(p, 0, 0), lambda: os.utime(p),
        lambda: os.setxattr(p, "user.a", b"1"), lambda: os.rename(p, p + "y"), lambda: os.link(p, p + "y"),
    ): tries(f)
"#;

/// What fails changes nothing, wherever.
#[test]
fn what_fails_is_not_recorded() {
    need!("python3");
    let pair = linked(Kind::InPlace);
    std::fs::write(pair.programs().join("failing.py"), FAILING).unwrap();
    let o = pair.run("ln -s loop $S/loop; python3 $P/failing.py");
    assert_eq!(said(&o.ok()), "");
    assert_eq!(word(&pair), "IN SYNC");
}

/// The files on leg a's list.
fn listed(pair: &Pair) -> Vec<u64> {
    let bytes = std::fs::read(pair.a().join(".mirror/outside")).unwrap_or_default();
    let numbers = bytes.get(16..).unwrap_or_default().chunks(8);
    numbers
        .map(|n| u64::from_le_bytes(n.try_into().expect("whole numbers")))
        .collect()
}

/// The number of the file with this name outside.
fn outsider(pair: &Pair) -> u64 {
    let outer = std::fs::metadata(pair.scratch().join("outer")).expect("the outer name");
    std::os::unix::fs::MetadataExt::ino(&outer)
}

/// Names that come and go while it is walked are no names outside, when there is a moment in which they stand.
/// One that has a name outside is never taken for one that has none.
#[test]
fn names_that_move_during_a_walk_are_inside() {
    need!("python3");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("cd $V; for d in $(seq 40); do mkdir d$d; for f in $(seq 20); do echo $f > d$d/$f; done; done; for f in $(seq 40); do echo x > d1/l$f; ln d1/l$f d40/l$f; done; rm d40/l1")
        .ok();
    pair.bypass("ln $A/d1/l1 $S/outer").ok();
    let code = "import os, sys, time\nV = os.environ['V']\nwhile sys.stdin not in __import__('select').select([sys.stdin], [], [], 0.2)[0]:\n t = time.time()\n while time.time() - t < 0.1:\n  for f in range(1, 41):\n   for d, to in ((1, 20), (40, 2), (20, 40), (2, 1)):\n    if f > 1 or to != 2 and d != 2: os.rename(f'{V}/d{d}/l{f}', f'{V}/d{to}/l{f}')\n    elif d == 2: os.rename(f'{V}/d40/l1', f'{V}/d1/l1')\n";
    let moves = Told::python(&pair, code);
    for _ in 0..12 {
        let o = pair.verify();
        assert_eq!(listed(&pair), [outsider(&pair)], "{o:?}");
        assert!(
            o.text().contains("1 file has further hard links outside"),
            "{o:?}"
        );
    }
    moves.end();
}

/// Nor when no look finds its directory as it was.
#[test]
fn a_name_that_never_rests_is_not_taken_for_two() {
    need!("python3");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("cd $V; for d in $(seq 300); do mkdir d$d; done; echo x > d1/f")
        .ok();
    pair.bypass("ln $A/d1/f $S/outer").ok();
    pair.verify().ok();
    assert_eq!(listed(&pair), [outsider(&pair)]);
    let code = "import os, random, sys\nV = os.environ['V']\nat = 1\nwhile sys.stdin not in __import__('select').select([sys.stdin], [], [], 0)[0]:\n  to = random.choice([n for n in (1, 75, 150, 225, 300) if n != at])\n  os.rename(f'{V}/d{at}/f', f'{V}/d{to}/f')\n  at = to\n";
    let moves = Told::python(&pair, code);
    for _ in 0..20 {
        let o = pair.verify();
        assert!(listed(&pair).contains(&outsider(&pair)), "{o:?}");
    }
    moves.end();
}
