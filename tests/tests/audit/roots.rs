//! Attributes of the two roots themselves, changed on one leg alone.
use super::*;
use mirror_tests::Level;

/// What is done to a root, and whether it is part of the copy.
const ROWS: &[(&str, bool)] = &[
    ("chmod 711", true),
    ("chown 1", true),
    ("chgrp 1", true),
    ("setfattr -n user.x -v y", true),
    ("setfattr -x user.one", true),
    ("touch -d 2001-01-01", false),
];

fn roots(tier: &str) {
    need!(root);
    if !have("setfattr") {
        return skip("needs setfattr (attr)");
    }
    for leg in ["a", "b"] {
        let pair = Pair::new(Kind::Link, mirror_tests::Fs::Plain).unwrap();
        if tier == "t2" && !has_tier(&pair, "t2") {
            return;
        }
        let up = leg.to_uppercase();
        pair.in_legs("setfattr -n user.one -v 1 $A; setfattr -n user.one -v 1 $B");
        let audit = Audit::of(&pair, &["--tier", tier]);
        let told = {
            pair.in_legs(&format!("chmod 700 ${up}"));
            audit.end()
        };
        assert_eq!((told.code, told.places()), (3, vec![format!("{leg} ")]));
        assert!(!in_sync(&pair), "{tier} {leg}");
        pair.in_legs("chmod 755 $A $B");
        pair.verify().ok();
        // T2 takes long to begin.
        for (what, copied) in ROWS.iter().step_by(if tier == "t2" { 2 } else { 1 }) {
            let audit = Audit::of(&pair, &["--tier", tier, "--heal"]);
            pair.in_legs(&format!("{what} ${up}"));
            let told = audit.end();
            let done: Vec<&Value> = told.findings().map(|f| &f["done"]).collect();
            let word = if leg == "a" { "healed" } else { "undone" };
            match copied {
                true => assert_eq!(done, [word], "{tier} {leg} {what}"),
                false => assert!(done.iter().all(|d| **d == "equal"), "{tier} {leg} {what}"),
            }
            pair.assert_legs(Level::Strict);
            assert!(in_sync(&pair), "{tier} {leg} {what}");
        }
        // By a mirrored program it is no finding.
        let audit = Audit::of(&pair, &["--tier", tier, "--heal"]);
        pair.run("chmod 750 $V; chmod 755 $V").ok();
        let told = audit.end();
        assert_eq!((told.code, told.places()), (0, vec![]), "{tier}");
        // What differed before is left as it was.
        pair.in_legs("chmod 700 $B");
        let audit = Audit::of(&pair, &["--tier", tier, "--heal"]);
        pair.in_legs(&format!("chown 2 ${up}"));
        audit.end();
        pair.in_legs("test $(stat -c %a $A) = 755; test $(stat -c %a $B) = 700");
    }
}

#[test]
fn attributes_of_a_root_are_found_and_healed_t2() {
    roots("t2");
}

#[test]
fn attributes_of_a_root_are_found_and_healed_t3() {
    roots("t3");
}

#[test]
fn attributes_of_a_root_are_found_and_healed_t4() {
    roots("t4");
}
