//! A repair that a program makes may be ended, or refused, anywhere in it: what differs stays to be seen, and
//! no version that was put aside before is lost by it.
use mirror_tests::{Kind, Output, Pair, need};
use std::fs;

/// Strikes a repair's `nth` call while a program changes `name`'s mode.
fn struck(pair: &Pair, call: &str, how: &str, nth: usize, name: &str) -> Output {
    let mut c = pair.preloaded("strace");
    c.args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .args(["-e", &format!("inject={call}:{how}:when={nth}")])
        .args(["chmod", "600"])
        .arg(pair.v().join(name));
    Output::from_std(c.output().expect("running strace"))
}

/// Who copies may be killed with everybody else of its group, and then nobody says that the two differ: their
/// sizes must, until they are equal.
#[test]
fn a_repair_that_is_killed_leaves_what_is_seen() {
    need!("strace");
    Pair::with(Kind::InPlace, |pair| {
        // The pair is attached to: what is struck is the repair's.
        pair.run("echo > $V/first").ok();
        let mut partly = 0;
        let sizes = [(40_000, Some(5)), (20_000, Some(40_000)), (40_000, None)];
        for (case, (here, there)) in sizes.into_iter().enumerate() {
            let calls = (1..=8).map(|n| ("pwrite64", n)).chain([("ftruncate", 1)]);
            for (call, nth) in calls {
                let name = format!("f.{case}.{call}.{nth}");
                let (a, b) = (pair.a().join(&name), pair.b().join(&name));
                fs::write(&a, vec![b'a'; here]).unwrap();
                if let Some(there) = there {
                    fs::write(&b, vec![b'b'; there]).unwrap();
                }
                struck(pair, call, "signal=KILL", nth, &name);
                assert_eq!(fs::read(&a).unwrap(), vec![b'a'; here], "{name}");
                // Without a copy there, none is made before all is written.
                let found = fs::read(&b);
                assert!(found.is_ok() || there.is_none(), "{name}: gone");
                if let Ok(found) = found {
                    let equal = found == vec![b'a'; here];
                    partly += usize::from(!equal && found.contains(&b'a'));
                    assert!(equal || found.len() != here, "{name}: not to be seen");
                }
            }
        }
        assert!(partly > 8, "{partly} repairs were struck in the middle");
        pair.resync().ok();
        pair.assert_equal();
    });
}

/// A version that could not be put aside costs no other version, and leaves no part of itself.
#[test]
fn a_version_that_cannot_be_kept_costs_no_other() {
    need!("strace");
    Pair::with(Kind::InPlace, |pair| {
        pair.bypass(
            "mkdir $B/.mirror/kept/programs
             for i in $(seq 64); do echo $i > $B/.mirror/kept/programs/$i-old; done
             echo first > $A/f; head -c 20000 /dev/zero > $B/f",
        )
        .ok();
        struck(pair, "pwrite64", "error=ENOSPC", 2, "f").ok();
        let kept = fs::read_dir(pair.b().join(".mirror/kept/programs")).unwrap();
        let old = kept.filter(|e| {
            let name = e.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with("-old")
        });
        assert_eq!(old.count(), 64);
        let kept = fs::read_dir(pair.b().join(".mirror/kept/programs")).unwrap();
        assert_eq!(kept.count(), 64);
        assert_eq!(fs::read(pair.b().join("f")).unwrap(), vec![0; 20_000]);
        pair.resync().ok();
        pair.assert_equal();
    });
}
