//! Locks in memory: a process that lives never looks dead, whatever it does to the library's descriptors by calls
//! that nobody sees; and each way to have relatives goes on with locks as it does without a mirror.
use mirror_tests::words::Words;
use mirror_tests::{Kind, Level, Pair, Talker, compile};
use std::process::Stdio;

/// The number of the description with the slot's byte, in the first block.
const PROVER: u32 = 4072;
const BYTES: u64 = 1 << 40;

/// The slot whose byte the process holds by that description.
fn slot_of(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{PROVER}")).ok()?;
    let line = text.lines().find(|l| l.contains("OFDLCK"))?;
    line.split_whitespace()
        .last()?
        .parse::<u64>()
        .ok()?
        .checked_sub(BYTES)
}

/// `looks`: its slot is a lasting one.
fn lives(how: &str, looks: bool) {
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).expect("plain folders");
    pair.init(&["--locks", "memory"]).ok();
    pair.run("echo zero > $V/f").ok();
    let source = include_str!("../programs/holders.c");
    let Some(program) = compile(&pair.programs(), "holders", source) else {
        return;
    };
    let file = pair.v().join("f");
    let mut c = pair.preloaded(program.to_str().unwrap());
    c.arg(how)
        .arg(&file)
        .arg(PROVER.to_string())
        .stdin(Stdio::piped());
    let mut t = Talker::start(&mut c);
    let mut input = t.input();
    assert_eq!(t.line(), "done", "{how}");
    let w = Words::of(&pair);
    if looks {
        // It holds the byte, and of the slot that its words have: others' words of a living slot it would wait for.
        let slot = slot_of(t.pid()).unwrap_or_else(|| panic!("{how}: it looks dead"));
        w.forge(slot << 24 | 0xabcdef, &[0, 1], false);
    }
    use std::io::Write;
    writeln!(input, "go").expect("its input");
    assert_eq!(t.line(), "again", "{how}");
    if looks {
        assert!(slot_of(t.pid()).is_some(), "{how}: it looks dead");
        w.forge(0, &[0, 1], false);
    }
    drop(input);
    assert_eq!(t.end(), 0, "{how}");
    assert_eq!(w.held(), 0, "{how}");
    let lines = std::fs::read_to_string(pair.a().join("f")).unwrap();
    assert!(lines.ends_with("second\nagain\n"), "{how}: {lines}");
    pair.assert_legs(Level::NoTimes);
    pair.assert_sound();
}

#[test]
fn that_closes_it() {
    for how in ["close", "close_range", "dup2", "by name"] {
        lives(how, true);
    }
}

#[test]
fn whose_copies_close_it() {
    for how in ["a copy closes all", "a copy changes"] {
        lives(how, true);
    }
}

/// Where a relative is known, each change has a slot of its own.
#[test]
fn whose_relatives_and_threads_have_tables() {
    for how in [
        "a relative closes",
        "a relative changes",
        "own table",
        "a table before",
        "a table and a loss",
        "a table unseen",
    ] {
        lives(how, false);
    }
}
