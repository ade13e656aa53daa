//! What a change of a pair costs: the system calls of each kind, with the two of the floor, and no more.
use mirror_tests::{Fs, Kind, Pair, compile};

const ROUNDS: u32 = 128;

/// What is looked at again now and then. And where a new file's times have to be made equal, since the clock has
/// ticked (each 4 ms at most often) between the two legs' calls, ten calls for each tick: the more, the slower the
/// machine.
fn now_and_then(kind: &str, milliseconds: u32) -> u32 {
    match kind {
        "create" | "exclusive" | "small" | "spread" => 106 + milliseconds * 10 / 4,
        _ => 96 + milliseconds / 2,
    }
}

/// Calls of each change by a relative name, or of a descriptor: with locks in memory, and with flocks.
const KINDS: [(&str, u32, u32); 18] = [
    // One or four of the locks, two masks, and the two writes.
    ("pwrite", 5, 8),
    // The position, before.
    ("write", 6, 9),
    // The position, the end.
    ("append", 7, 10),
    // A pwrite, then two masks and the two syncs.
    ("fsync", 9, 12),
    ("ftruncate", 6, 9),
    ("fchmod", 6, 9),
    ("chmod", 19, 26),
    ("open", 19, 22),
    ("create", 22, 25),
    // Nobody looks whether it is there.
    ("exclusive", 21, 24),
    ("small", 28, 34),
    ("spread", 28, 34),
    ("mkdir", 12, 15),
    ("symlink", 12, 15),
    ("link", 15, 18),
    ("unlink", 14, 17),
    ("rename", 16, 19),
    // The whole pair is locked at once; two opened directories, four looks and one before.
    ("directory", 18, 21),
];

fn calls(locks: &str) {
    // One lock object in each table: how many are opened for the first time does not depend on inodes.
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    pair.init(&["--stripes", "1", "--locks", locks]).ok();
    let source = include_str!("../programs/changes.c");
    if compile(&pair.programs(), "changes", source).is_none() {
        return;
    }
    let mut dear = Vec::new();
    for (kind, memory, flock) in KINDS {
        let most = if locks == "memory" { memory } else { flock };
        let script = format!("mkdir $V/{kind} && cd $V/{kind} && exec $P/changes {kind} {ROUNDS}");
        let o = pair.run(&script);
        assert_eq!(o.code, 0, "{kind}: {o:?}");
        let text = o.text();
        let (calls, time) = text.trim().split_once(' ').unwrap();
        let (calls, time): (u32, u32) = (calls.parse().unwrap(), time.parse().unwrap());
        println!("{kind} {:.2}", f64::from(calls) / f64::from(ROUNDS));
        if calls > most * ROUNDS + now_and_then(kind, time) {
            dear.push(format!("{kind}: {calls} in {time} ms"));
        }
    }
    assert!(dear.is_empty(), "{dear:#?}");
    pair.assert_equal();
}

#[test]
fn a_change_makes_so_many_calls() {
    calls("flock");
}

#[test]
fn with_locks_in_memory_it_makes_fewer() {
    calls("memory");
}
