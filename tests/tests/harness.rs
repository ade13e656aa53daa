//! The built command and the harness fit together: a pair is made, used, checked and undone.
use mirror_tests::{Pair, each_kind};

each_kind! {
    fn a_file_lands_on_both_legs(pair) {
        pair.both_ok("echo hello > $V/f; cat $V/f");
        assert_eq!(std::fs::read(pair.b().join("f")).unwrap(), b"hello\n");
    }

    fn a_bypass_is_seen_by_the_harness_and_by_verify(pair) {
        pair.both_ok("echo one > $V/f");
        assert_eq!(pair.verify().code, 0, "equal trees");
        std::fs::write(pair.a().join("f"), "two\n").unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pair.assert_equal()));
        assert!(caught.is_err(), "the comparison must see it");
        let v = pair.verify();
        assert_eq!(v.code, 1, "{v:?}");
        assert!(v.text().contains('f'), "names the file: {v:?}");
        pair.resync().ok();
        pair.assert_equal();
    }
}

#[test]
fn nothing_is_left_behind() {
    let pair = Pair::new(mirror_tests::Kind::Link, mirror_tests::Fs::Plain).unwrap();
    let base = pair.tab().parent().unwrap().to_owned();
    let record = std::fs::read_to_string(pair.a().join(".mirror/leg")).unwrap();
    let id = record
        .lines()
        .find_map(|l| l.strip_prefix("pair="))
        .unwrap()
        .to_owned();
    pair.run("echo x > $V/f").ok();
    let there = pair.runtime_files();
    assert_eq!(there.len(), 1, "{there:?}");
    // The command removes it, not the harness.
    pair.mirror("detach", &[pair.v().to_str().unwrap()]).ok();
    assert!(!there[0].exists(), "{there:?}");
    drop(pair);
    assert!(!base.exists(), "{}", base.display());
    let left = mirror_tests::runtime_files_of(&[id]);
    assert!(left.is_empty(), "{left:?}");
}
