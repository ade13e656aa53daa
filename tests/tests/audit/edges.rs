//! What lies at the edge of what a tier sees: it is found, or counted as lost.
use super::*;

/// What is found on leg a, and how much was lost.
fn audited(pair: &Pair, tier: &str, script: &str) -> (Vec<String>, u64) {
    let audit = Audit::of(pair, &["--tier", tier]);
    pair.in_legs(script);
    let told = audit.end();
    (told.places(), told.count("lost"))
}

/// An ioctl that frees a range, reserves one, or makes it zeros, as fallocate does.
const RESERVES: &str = "
import fcntl, struct, sys
f = open(sys.argv[1], 'r+b')
arg = struct.pack('=hhxxxxqqiI4i', 0, 0, int(sys.argv[3]), 4096, 0, 0, 0, 0, 0, 0)
fcntl.ioctl(f, int(sys.argv[2], 16), arg)
";

#[test]
fn ioctls_that_reserve_are_found_t2() {
    Pair::with(Kind::InPlace, |pair| {
        if !have("python3") {
            return skip("needs python3");
        }
        if !has_tier(pair, "t2") {
            return;
        }
        pair.run("cd $V; for f in reserve reserve64 free free64 zero; do head -c 8192 /dev/urandom > $f; done")
            .ok();
        fs::write(pair.scratch().join("reserves.py"), RESERVES).unwrap();
        let (found, lost) = audited(
            pair,
            "t2",
            "cd $A; P() { python3 $S/reserves.py $@; }; P reserve 40305828 8192; P reserve64 4030582a 8192
            P free 40305829 0; P free64 4030582b 0; P zero 40305839 0",
        );
        assert_eq!(
            found,
            ["a free", "a free64", "a reserve", "a reserve64", "a zero"]
        );
        assert_eq!(lost, 0);
    });
}

#[test]
fn a_file_with_many_names_outside_is_found_t2() {
    Pair::with(Kind::InPlace, |pair| {
        if !has_tier(pair, "t2") {
            return;
        }
        for (many, names) in [(false, 20), (true, 80)] {
            pair.run("rm -f $V/f; echo one > $V/f").ok();
            // The newest names come first.
            pair.in_legs(&format!(
                "rm -f $S/n*; cat $A/f > /dev/null; for i in $(seq {names}); do ln $A/f $S/n$i; done"
            ));
            let (found, lost) = audited(pair, "t2", "echo two > $S/n1");
            match many {
                false => assert_eq!((found, lost), (vec!["a f".to_owned()], 0)),
                // A blind spot.
                true => assert_eq!((found, lost), (vec![], 0)),
            }
        }
    });
}

#[test]
fn what_lies_deep_is_found_t2() {
    Pair::with(Kind::InPlace, |pair| {
        if !has_tier(pair, "t2") {
            return;
        }
        let deep = |n: usize| "d/".repeat(n);
        let (seen, unseen) = (deep(100), deep(300));
        pair.run(&format!("mkdir -p $V/{unseen}")).ok();
        let (found, lost) = audited(pair, "t2", &format!("echo x > $A/{seen}f"));
        assert_eq!((found, lost), (vec![format!("a {seen}f")], 0));
        // A blind spot: whether it is below a leg is not known, and others have deep trees too.
        let told = audited(pair, "t2", &format!("echo x > $A/{unseen}f"));
        assert_eq!(told, (vec![], 0));
    });
}

/// The kernel has no text for such a path.
#[test]
fn what_has_too_long_a_path_is_lost_t3() {
    need!(root);
    Pair::with(Kind::InPlace, |pair| {
        if !have("python3") {
            return skip("needs python3");
        }
        let script = "
import os, sys
os.chdir(sys.argv[1])
for i in range(25):
    os.mkdir('n' * 200)
    os.chdir('n' * 200)
open('f', 'w').close()
";
        fs::write(pair.scratch().join("deep.py"), script).unwrap();
        // Elsewhere on the same file system it is nobody's.
        let outside = audited(pair, "t3", "mkdir $S/o; python3 $S/deep.py $S/o");
        assert_eq!(outside, (vec![], 0));
        let (_, lost) = audited(pair, "t3", "python3 $S/deep.py $A");
        assert!(lost > 0);
        pair.in_legs("rm -rf $A/n*");
    });
}
