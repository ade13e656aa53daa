//! Programs ask the kernel what it knows of seccomp, by calls that fail, and install filters that forbid nothing:
//! they are mirrored as before, and nothing is said of them.
use mirror_tests::{Fs, Kind, Level, Pair, compile};

fn probes(net: &str) {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source = include_str!("../programs/probes.c");
    if compile(&pair.programs(), "probes", source).is_none() {
        return;
    }
    for case in 0..8 {
        let script = |dir: &str| format!("export MIRROR_NET={net}; $P/probes {case} {dir}");
        let plain = pair.plain(&script("$V")).ok();
        let o = pair.run(&script("$V")).ok();
        assert_eq!(plain.text(), o.text(), "{case}");
        let said = String::from_utf8_lossy(&o.err).into_owned();
        assert_eq!(said, "", "{case}");
        let status = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
        let text = status.text();
        assert!(
            status.code == 0 && text.contains("\"unmirrored\":[]"),
            "{case}: {text}"
        );
    }
    pair.assert_legs(Level::Strict);
    pair.assert_nothing_pending();
}

#[test]
fn without_the_net() {
    probes("never");
}

#[test]
fn with_the_net() {
    probes("always");
}
