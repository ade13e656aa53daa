//! Locks in memory: a process that lives never looks dead, whatever it does to the library's descriptors by calls
//! that nobody sees; and each way to have relatives goes on with locks as it does without a mirror.
use mirror_tests::words::Words;
use mirror_tests::{Kind, Level, Pair, Talker, compile};
use std::process::Stdio;

/// The number of the description with the slot's byte, in the first block.
const PROVER: u32 = 4072;
const BYTES: u64 = 1 << 40;

/// The slots whose bytes the process holds by that description.
fn slots_of(pid: i32) -> Vec<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{PROVER}")).unwrap_or_default();
    let lines = text.lines().filter(|l| l.contains("OFDLCK"));
    // Neighbours are one lock.
    let bytes = |l: &str| {
        let mut ends = l.split_whitespace().rev().map(str::parse::<u64>);
        let (to, from) = (ends.next()?.ok()?, ends.next()?.ok()?);
        Some(from.checked_sub(BYTES)?..=to.checked_sub(BYTES)?)
    };
    lines.filter_map(bytes).flatten().collect()
}

/// Whose words the process has, counted from the first that it took.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    /// The one with this number, and it holds its byte.
    Nth(u64),
    /// Another one for each change: what stands in a word of its former slot is nobody's.
    Each,
}

/// `net`: whether calls of the program's own are seen.
fn lives(how: &str, net: bool, slot: Slot) {
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).expect("plain folders");
    pair.init(&["--locks", "memory"]).ok();
    pair.run("echo zero > $V/f").ok();
    let source = include_str!("../programs/holders.c");
    let Some(program) = compile(&pair.programs(), "holders", source) else {
        return;
    };
    let w = Words::of(&pair);
    let before = w.last();
    let file = pair.v().join("f");
    let mut c = pair.preloaded(program.to_str().unwrap());
    c.arg(how)
        .arg(&file)
        .arg(PROVER.to_string())
        .env("MIRROR_NET", if net { "auto" } else { "never" })
        .stdin(Stdio::piped());
    let mut t = Talker::start(&mut c);
    let mut input = t.input();
    assert_eq!(t.line(), "done", "{how}");
    let held = slots_of(t.pid());
    let own = match slot {
        Slot::Nth(n) => Some(before + n),
        Slot::Each => held.first().copied(),
    };
    if let Some(own) = own {
        assert!(
            held.contains(&own),
            "{how}: it looks dead: {held:?}, not {own}"
        );
        // Of a living slot it would wait for others' words: these are its own, or nobody's.
        w.forge(own << 24 | 0xabcdef, &[0, 1], false);
    }
    use std::io::Write;
    writeln!(input, "go").expect("its input");
    assert_eq!(t.line(), "again", "{how}");
    if let Some(own) = own {
        assert!(slots_of(t.pid()).contains(&own), "{how}: it looks dead");
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
        lives(how, true, Slot::Nth(1));
    }
}

/// Nobody sees these calls: a loss is noticed before the next change, which has another slot.
#[test]
fn that_closes_it_unseen() {
    for how in ["close", "close_range", "a relative closes"] {
        lives(how, false, Slot::Nth(2));
    }
    // These do not reach it.
    for how in ["dup2", "by name"] {
        lives(how, false, Slot::Nth(1));
    }
}

/// What stands under the number is the relative's own, then: its parent's byte is locked again there.
#[test]
fn whose_relative_changes_unseen() {
    lives("a relative changes", false, Slot::Nth(1));
}

#[test]
fn whose_copies_close_it() {
    for how in ["a copy closes all", "a copy changes"] {
        lives(how, true, Slot::Nth(1));
        lives(how, false, Slot::Nth(1));
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
        lives(how, true, Slot::Each);
    }
}
