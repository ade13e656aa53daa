//! Calls that change a file in other words than write: ioctl by the table of `core/src/ioctls.rs`, system
//! calls newer than the C library, and calls that change something although they answer an error.
use mirror_tests::{Fs, FsType, Kind, Output, Pair, compile, each_kind, need};

fn helper(pair: &Pair) -> bool {
    let source = include_str!("../programs/ioctls.c");
    compile(&pair.programs(), "ioctls", source).is_some()
}

/// Runs tables natively and in V; every printed answer must be the same. At least `lines` are.
fn tables(pair: &Pair, modes: &[(&str, usize)]) {
    if !helper(pair) {
        return;
    }
    for (mode, lines) in modes {
        let o = pair.both(&format!("$P/ioctls {mode}"));
        assert_eq!(o.code, 0, "{mode}: {o:?}");
        let n = o.text().lines().count();
        assert!(n >= *lines, "{mode}: {n} lines\n{}", o.text());
    }
}

const TABLES: &[(&str, usize)] = &[
    ("spaces", 1684),
    ("allocations", 720),
    ("xattrs", 23),
    ("marks", 12),
    ("projects", 7),
    ("inherited", 5),
    ("shaken", 3),
];

each_kind! {
    fn as_in_a_plain_directory(pair) {
        tables(pair, TABLES);
        pair.verify().ok();
    }
}

/// Where the second leg's file system can do other things.
#[test]
fn as_in_a_plain_directory_on_other_file_systems() {
    for (a, b) in [(FsType::Xfs, FsType::Ext4), (FsType::Ext4, FsType::Xfs)] {
        if let Some(pair) = Pair::new(Kind::Link, Fs::Loop(a, b)) {
            tables(&pair, &[("allocations", 720), ("marks", 12), ("shaken", 3)]);
        }
    }
}

/// What both legs have as flags, by a program without the library.
fn flags(pair: &Pair, what: &str) -> [String; 2] {
    [pair.a(), pair.b()].map(|leg| {
        let o = pair.bypass(&format!("lsattr -d {}", leg.join(what).display()));
        o.ok().text().split(' ').next().unwrap_or("?").to_owned()
    })
}

#[test]
fn flags_are_set_on_both_legs_or_on_neither() {
    need!("chattr", "lsattr");
    let Some(pair) = Pair::new(Kind::InPlace, Fs::Loop(FsType::Ext4, FsType::Xfs)) else {
        return;
    };
    let script = "cd $V; echo x > f; mkdir d; chattr +d f; chattr +Ad d; chattr +i f";
    pair.run(script).ok();
    for leg in flags(&pair, "f") {
        assert!(leg.contains('d') && leg.contains('i'), "{leg}");
    }
    for leg in flags(&pair, "d") {
        assert!(leg.contains('d') && leg.contains('A'), "{leg}");
    }
    assert_ne!(pair.run("echo y >> $V/f").code, 0);
    pair.run("cd $V; chattr -i f; echo y >> f; chattr -d f")
        .ok();
    for leg in flags(&pair, "f") {
        assert!(!leg.contains('d') && !leg.contains('i'), "{leg}");
    }
    // XFS does not have this one.
    let o = pair.run("chattr +s $V/f");
    assert!(
        o.code != 0 && format!("{o:?}").contains("not supported"),
        "{o:?}"
    );
    let [a, b] = flags(&pair, "f");
    assert!(!a.contains('s') && !b.contains('s'), "{a} {b}");
    pair.assert_equal();
}

#[test]
fn what_the_other_leg_cannot_follow_is_refused() {
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        let o = pair.run("$P/ioctls refused");
        let text = o.ok().text();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some("-1 ENOTTY"));
        assert_eq!(lines.len(), 18);
        for l in lines {
            assert!(l.ends_with(" -1 ENOTTY -1 ENOTTY"), "{l}");
        }
        pair.assert_equal();
    });
}

/// One that no file system knows leaves no record; one that was carried out does.
#[test]
fn what_is_unknown_is_recorded() {
    need!("strace");
    Pair::with(Kind::Link, |pair| {
        if !helper(pair) {
            return;
        }
        pair.run("echo x > $V/u").ok();
        assert_eq!(pair.run("$P/ioctls unknown").ok().text(), "-1");
        pair.assert_nothing_pending();
        let o = Output::from_std(
            pair.preloaded("strace")
                .args(["-qq", "-o", "/dev/null", "-e", "trace=ioctl"])
                .args(["-e", "inject=ioctl:retval=0"])
                .arg(pair.programs().join("ioctls"))
                .arg("unknown")
                .output()
                .expect("a program"),
        );
        assert_eq!(o.ok().text(), "0");
        let list = std::fs::read_to_string(pair.b().join(".mirror/pending")).expect("a list");
        assert!(list.lines().any(|l| l == "u"), "{list}");
    });
}
