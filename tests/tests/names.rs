//! A file with a further name outside its leg (`cp -al`, a store of packages) has another number of names
//! than its partner, and is no difference. One that only one leg has inside is.
use mirror_tests::{Kind, Level, Output, Pair, compile, need};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The calls of paired.c that can be made twice.
const AGAIN: &[&str] = &[
    "open",
    "open read-write",
    "open append",
    "create",
    "create append",
    "create or empty",
    "empty",
    "empty, reading",
    "chmod",
    "chown",
    "shrink",
    "grow",
    "utimens",
    "setxattr",
    "fchmod, reading",
    "exchange",
];
/// And those that cannot.
const ONCE: &[&str] = &["rename", "rename over", "link", "unlink"];

/// How many names outside legs a and b.
const OUTSIDE: &[[usize; 2]] = &[[1, 0], [0, 1], [1, 2], [2, 1], [1, 1]];

fn helper(pair: &Pair) -> Option<PathBuf> {
    compile(
        &pair.programs(),
        "paired",
        include_str!("../programs/paired.c"),
    )
}

/// How often somebody took the pair exclusively, or removed a directory.
fn generation(pair: &Pair) -> u64 {
    let f = fs::File::open(&pair.runtime_files()[0]).unwrap();
    let mut word = [0; 8];
    f.read_exact_at(&mut word, 136).unwrap();
    u64::from_le_bytes(word)
}

/// The same file on both legs, with these numbers of names outside them.
fn put(pair: &Pair, name: &str, outside: [usize; 2]) {
    for ((root, leg), n) in [pair.a(), pair.b()]
        .into_iter()
        .zip(["a", "b"])
        .zip(outside)
    {
        fs::write(root.join(name), "a text of some length").unwrap();
        for i in 0..n {
            // Beside the leg, on its file system.
            let store = root.parent().unwrap().join("store");
            fs::create_dir_all(&store).unwrap();
            fs::hard_link(root.join(name), store.join(format!("{name} {leg}{i}"))).unwrap();
        }
    }
    dated(&[&pair.a().join(name), &pair.b().join(name)]);
}

fn dated(paths: &[&Path]) {
    let o = std::process::Command::new("touch")
        .args(["-d", "@1000000000.123456789"])
        .args(paths)
        .status();
    assert!(o.unwrap().success());
}

fn change(pair: &Pair, program: &Path, change: &str, name: &str, new: &str) -> String {
    let mut c = pair.preloaded(program);
    c.arg(change)
        .arg(pair.v().join(name))
        .arg(pair.v().join(new));
    let o = Output::from_std(c.output().unwrap());
    String::from_utf8_lossy(&o.err).trim().to_owned()
}

#[track_caller]
fn assert_in_sync(pair: &Pair, why: &str) {
    pair.assert_equal();
    pair.assert_nothing_pending();
    let s = pair.status();
    assert!(s.code == 0, "{why}: {s:?}");
}

#[test]
fn names_outside_are_no_difference() {
    let pair = Pair::striped(Kind::InPlace, None);
    let Some(program) = helper(&pair) else {
        return;
    };
    for outside in OUTSIDE {
        for what in AGAIN.iter().chain(ONCE) {
            let name = format!("{what} {outside:?}");
            let new = format!("{name} new");
            put(&pair, &name, *outside);
            if what.starts_with("exchange") || *what == "rename over" {
                put(&pair, &new, [outside[1], outside[0]]);
            }
            assert_eq!(change(&pair, &program, what, &name, &new), "0", "{name}");
            if AGAIN.contains(what) {
                let before = generation(&pair);
                assert_eq!(change(&pair, &program, what, &name, &new), "0", "{name}");
                assert_eq!(generation(&pair), before, "{name}, again");
            }
        }
        assert_in_sync(&pair, &format!("{outside:?}"));
    }
    pair.verify().ok();
}

#[test]
fn many_files_are_looked_at_once() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("mkdir $V/d $V/d/e; cd $V/d/e; for i in $(seq 200); do echo $i > f$i; done; ln f1 ../f1")
            .ok();
        // Who is older than the look is covered by it.
        pair.bypass("cp -al $A/d ${A%/*}/backup; touch $S/mark; until [ $S/later -nt $S/mark ]; do touch $S/later; done")
            .ok();
        need!("strace");
        let mut c = pair.preloaded("strace");
        c.args([
            "-f",
            "-qq",
            "-e",
            "trace=getdents64",
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(pair.scratch().join("log"))
        .args(["chmod", "-R", "g-r"])
        .arg(pair.v().join("d"));
        assert!(c.status().unwrap().success());
        let log = fs::read_to_string(pair.scratch().join("log")).unwrap();
        let listings = log.matches("getdents64").count();
        assert!(listings < 200, "{listings} listings");
        assert_in_sync(pair, "chmod -R");
        pair.run("rm -r $V/d").ok();
        assert_in_sync(pair, "rm -r");
    });
}

#[test]
fn a_name_inside_one_leg_is_a_difference() {
    let pair = Pair::striped(Kind::InPlace, None);
    for (inside, other) in [("A", "B"), ("B", "A")] {
        // With one name outside the other leg both files have two.
        let (here, there) = (
            format!("ln ${inside}/f $S/outside"),
            format!("ln ${other}/f $S/one; ln ${other}/f $S/two"),
        );
        for outside in ["", here.as_str(), &there] {
            for touch in ["echo more >> $V/f", "chmod 600 $V/f", "truncate -s 3 $V/f"] {
                pair.run("mkdir $V/d; echo text > $V/f").ok();
                pair.bypass(&format!(
                    "cp -p $A/f $A/d/g; cp -p $B/f $B/d/g; ln -f ${inside}/f ${inside}/d/g; {outside}"
                ))
                .ok();
                pair.run(touch).ok();
                let s = pair.status();
                assert!(
                    s.code == 1 && s.text().contains("REPAIR PENDING"),
                    "{inside} {outside} {touch}: {s:?}"
                );
                pair.resync().ok();
                assert_in_sync(&pair, touch);
                pair.run("rm -r $V/d $V/f; rm -f $S/outside $S/one $S/two")
                    .ok();
            }
        }
    }
}

#[test]
fn the_same_names_inside_and_some_outside() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("mkdir $V/d; echo text > $V/f; ln $V/f $V/d/g; ln $V/f $V/h")
            .ok();
        pair.bypass("ln $A/f ${A%/*}/outside").ok();
        pair.run("echo more >> $V/d/g; chmod 600 $V/h; rm $V/f")
            .ok();
        assert_in_sync(pair, "three names");
        pair.verify().ok();
    });
}

#[test]
fn what_differs_in_content_is_mended_and_kept() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("echo 'a text' > $V/f; echo 'a text' > $V/g").ok();
        pair.bypass("ln $A/f ${A%/*}/outside; echo 'b text' > $B/f; ln $B/g ${B%/*}/outside; echo 'longer text' > $B/g")
            .ok();
        pair.run("chmod 600 $V/f $V/g").ok();
        assert_in_sync(pair, "mended");
        let kept = fs::read_dir(pair.b().join(".mirror/kept/programs")).unwrap();
        let mut kept: Vec<String> = kept
            .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
            .collect();
        kept.sort();
        assert_eq!(kept, ["b text\n", "longer text\n"]);
    });
}

/// Equal sizes and times are no equal files: what is too large to be read in a program is on record.
#[test]
fn large_files_are_told_by_their_bytes() {
    Pair::with(Kind::InPlace, |pair| {
        let cases = [("same", 17u64), ("torn", 17), ("huge", 65)];
        for (name, size) in cases {
            put(pair, name, [1, 0]);
            for root in [pair.a(), pair.b()] {
                let f = fs::File::options().write(true).open(root.join(name));
                f.unwrap().set_len(size << 20).unwrap();
            }
        }
        let torn = fs::File::options().write(true).open(pair.b().join("torn"));
        torn.unwrap().write_at(b"torn", 9 << 20).unwrap();
        for (name, _) in cases {
            dated(&[&pair.a().join(name), &pair.b().join(name)]);
        }
        pair.run("chmod 600 $V/same").ok();
        assert!(!pair.evidence().pending, "the same bytes");
        for name in ["torn", "huge"] {
            pair.run(&format!("chmod 600 $V/{name}")).ok();
            assert!(pair.evidence().pending, "{name}");
            pair.resync().ok();
            assert_in_sync(pair, "repaired");
        }
        pair.run("chmod 640 $V/huge").ok();
        assert_in_sync(pair, "said once");
    });
}

/// A file that got its name after it was made, and was never written, has one time on both legs.
#[test]
fn what_was_made_without_a_name_has_one_time() {
    need!("python3");
    Pair::with(Kind::InPlace, |pair| {
        let script = "import os, sys
for i in range(300):
    fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_WRONLY, 0o640)
    os.link('/proc/self/fd/%d' % fd, '%s/%d' % (sys.argv[1], i), src_dir_fd=0, follow_symlinks=True)
    os.close(fd)
";
        fs::write(pair.programs().join("nameless.py"), script).unwrap();
        pair.run("python3 $P/nameless.py $V").ok();
        assert_eq!(fs::read_dir(pair.b()).unwrap().count(), 301);
        pair.assert_legs(Level::Strict);
    });
}
