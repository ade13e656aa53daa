//! Hard cases of writable shared mappings (see `mappings`): each is as in a plain directory, an errno, or recorded.
use mirror_tests::{Fs, FsType, Kind, Level, Pair, compile_with};

fn program(pair: &Pair) -> bool {
    let source = include_str!("../programs/mapped.c");
    compile_with(&pair.programs(), "mapped", source, "c", &["-pthread"]).is_some()
}

fn cases(names: &[&str]) {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if program(&pair) {
        for name in names {
            println!("{name}");
            pair.both_ok(&format!("$P/mapped {name}"));
        }
    }
}

#[test]
fn names_come_and_go() {
    cases(&["tmpfile", "received", "relink", "replaced"]);
}

#[test]
fn signals_and_threads() {
    cases(&["signals", "cancel", "stack", "storm"]);
}

#[test]
fn the_file_and_its_mappings_change() {
    cases(&[
        "bus",
        "private",
        "advice",
        "part",
        "posix_spawn",
        "space",
        "address_space",
    ]);
}

/// What it says, and whether the legs are equal.
fn says(name: &str, words: &[&str]) -> Option<Pair> {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if !program(&pair) {
        return None;
    }
    let o = pair.run(&format!("$P/mapped {name}"));
    for w in words {
        assert!(o.text().contains(w), "{w}: {}", o.text());
    }
    Some(pair)
}

#[test]
fn a_nameless_file_of_another_process() {
    for (name, word) in [
        ("tmpfile_of_another", "refused No such device"),
        ("tmpfile_of_a_mapper", "refused"),
    ] {
        if let Some(pair) = says(name, &[word]) {
            pair.assert_legs(Level::NoTimes);
        }
    }
}

#[test]
fn a_nameless_file_that_got_a_name_before_the_kill() {
    if let Some(pair) = says("tmpfile_killed", &["link ok"]) {
        // Its entry has been told its name.
        pair.run("echo x > $V/other").ok();
        assert_eq!(pair.verify().code, 0);
        pair.assert_equal();
    }
}

#[test]
fn more_files_than_can_be_mapped() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if program(&pair) {
        let o = pair.run("$P/mapped hundreds").ok();
        assert_eq!(o.text().trim(), "enough");
        pair.assert_legs(Level::NoTimes);
        pair.assert_nothing_pending();
    }
}

#[test]
fn a_full_second_leg_is_said_to_be_full() {
    let ext4 = FsType::Ext4;
    let Some(pair) = Pair::new(Kind::InPlace, Fs::Loop(ext4, ext4)) else {
        return;
    };
    if !program(&pair) {
        return;
    }
    pair.run("truncate -s 2M $V/f").ok();
    pair.bypass("cat /dev/zero > $B/../fill; sync $B/../fill");
    let o = pair.run("$P/mapped full").ok();
    let full = "No space left on device";
    for call in ["msync", "fsync"] {
        let line = format!("{call} {full}");
        assert!(o.text().contains(&line), "{line}: {}", o.text());
    }
    // Nothing is lost: it is pending, until there is room.
    assert_eq!(pair.verify().code, 1);
    let status = pair.mirror("status", &[&pair.v().to_string_lossy()]);
    assert_eq!(status.code, 1, "{}", status.text());
    pair.bypass("rm $B/../fill; sync $B/..");
    pair.resync().ok();
    pair.assert_equal();
}
