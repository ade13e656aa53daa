//! Addresses that the kernel refuses, in every pointer argument of every call that the library sees:
//! its errno, as in a process without the library, and never a signal.
use mirror_tests::{Output, Pair, compile, each_kind};

fn lines(o: &Output) -> Vec<String> {
    o.text().lines().map(str::to_owned).collect()
}

/// The lines in which the mirrored run differs from the native one.
fn differences(native: &Output, mirrored: &Output) -> Vec<String> {
    let (n, m) = (lines(native), lines(mirrored));
    assert!(n.len() > 1000, "only {} lines: {native:?}", n.len());
    assert!(!n.iter().any(|l| l.contains("SIGNAL")), "{native:?}");
    assert_eq!(n.len(), m.len(), "{mirrored:?}");
    n.iter()
        .zip(&m)
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("plain: {a}; mirrored: {b}"))
        .collect()
}

fn program(pair: &Pair) -> bool {
    let source = include_str!("../programs/pointers.c");
    compile(&pair.programs(), "pointers", source).is_some()
}

each_kind! {
    fn every_call_in_v(pair) {
        if program(pair) {
            let found = differences(
                &pair.plain("$P/pointers $V").ok(),
                &pair.run("$P/pointers $V").ok(),
            );
            assert!(found.is_empty(), "{}", found.join("\n"));
            pair.assert_nothing_pending();
            pair.assert_equal();
        }
    }
}

#[test]
fn every_call_outside() {
    Pair::with(mirror_tests::Kind::Link, |pair| {
        if program(pair) {
            let make = "mkdir $S/here; $P/pointers $S/here";
            let found = differences(&pair.plain(make).ok(), &pair.run(make).ok());
            assert!(found.is_empty(), "{}", found.join("\n"));
        }
    });
}
