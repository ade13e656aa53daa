//! Flags of inodes (chattr) are part of what verify compares and resync copies.
use mirror_tests::{Kind, Pair, need};

/// Whether this user can set a flag here.
fn can(pair: &Pair, flag: &str) -> bool {
    let o = pair.bypass(&format!(
        "touch $S/t && chattr +{flag} $S/t 2>&1 && chattr -{flag} $S/t"
    ));
    o.code == 0
}

/// The flags that count, with names, of both legs.
#[track_caller]
fn lists(pair: &Pair) -> [String; 2] {
    ["$A", "$B"].map(|leg| {
        let script = format!(
            "cd {leg}; find . -path ./.mirror -prune -o \\( -type f -o -type d \\) ! -name . -print | sort | xargs lsattr -d | sed 's/^\\([^ ]*\\)/x\\1/; :a; s/^\\([^ ]*\\)[^aidAS ]/\\1/; ta; s/^x//'"
        );
        pair.bypass(&script).ok().text()
    })
}

#[track_caller]
fn assert_equal(pair: &Pair) {
    let [a, b] = lists(pair);
    assert_eq!(a, b);
    pair.verify().ok();
}

#[test]
fn verify_finds_and_resync_copies_them() {
    need!("chattr", "lsattr");
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let flags: Vec<&str> = ["A", "d", "S", "i", "a"]
        .into_iter()
        .filter(|f| can(&pair, f))
        .collect();
    if flags.is_empty() {
        mirror_tests::skip("a file system with flags");
        return;
    }
    for f in &flags {
        pair.bypass(&format!(
            "mkdir $A/dir-{f}; echo x > $A/dir-{f}/in; echo x > $A/file-{f}; chattr +{f} $A/dir-{f} $A/file-{f}"
        ))
        .ok();
    }
    pair.init(&[]).ok();
    assert_equal(&pair);
    let [a, _] = lists(&pair);
    for f in &flags {
        assert!(
            a.contains(&format!("{f} ./file-{f}")) && a.contains(&format!("{f} ./dir-{f}")),
            "{a}"
        );
    }
    for f in &flags {
        for (what, script) in [
            ("flags", "chattr -F $B/file-F"),
            ("flags", "chattr -F $A/file-F"),
            ("flags", "chattr +F $B/file-F $B/dir-F"),
            ("flags", "chattr -F $B/dir-F"),
            ("flags", "chattr +F $B/dir-F; chattr -F $A/dir-F"),
            (
                "size",
                "chattr +F $B/file-F; chattr -F $A/file-F; echo more >> $A/file-F; chattr +F $A/file-F",
            ),
            ("only in b", "echo new > $B/new; chattr +F $B/new"),
            (
                "only in a",
                "mkdir $A/newdir; echo y > $A/newdir/in; chattr +F $A/newdir",
            ),
        ] {
            pair.bypass(&script.replace('F', f)).ok();
            let o = pair.verify();
            assert!(
                o.code == 1 && o.text().contains(what),
                "{f} {script}: {o:?}"
            );
            pair.resync().ok();
            assert_equal(&pair);
        }
        pair.bypass(&format!("chattr -R -{f} $A $B; rm -rf $A/newdir $B/newdir"))
            .ok();
    }
    pair.bypass("chattr -R -ia $A $B 2>&1; true").ok();
}
