//! What a change of a pair costs: the system calls of each kind, with the two of the floor, and no more.
use mirror_tests::{Kind, Pair, compile};

const ROUNDS: u32 = 128;

/// What is looked at again now and then. And where a new file's times have to be made equal, since the clock has
/// ticked (each 4 ms at most often) between the two legs' calls, ten calls for each tick: the more, the slower the
/// machine.
fn now_and_then(kind: &str, milliseconds: u32) -> u32 {
    match kind {
        "create" | "small" | "spread" => 106 + milliseconds * 10 / 4,
        _ => 96 + milliseconds / 2,
    }
}

/// Calls of each change by a relative name, or of a descriptor.
const KINDS: [(&str, u32); 17] = [
    // Four of the locks, two masks, and the two writes.
    ("pwrite", 8),
    // The position, before.
    ("write", 9),
    // The position, the end.
    ("append", 10),
    // A pwrite, then two masks and the two syncs.
    ("fsync", 12),
    ("ftruncate", 9),
    ("fchmod", 9),
    ("chmod", 26),
    ("open", 22),
    ("create", 25),
    ("small", 34),
    ("spread", 34),
    ("mkdir", 15),
    ("symlink", 15),
    ("link", 18),
    ("unlink", 17),
    ("rename", 19),
    // The whole pair is locked at once; two opened directories, four looks and one before.
    ("directory", 21),
];

#[test]
fn a_change_makes_so_many_calls() {
    // One lock object in each table: how many are opened for the first time does not depend on inodes.
    let pair = Pair::striped(Kind::InPlace, Some(1));
    let source = include_str!("../programs/changes.c");
    if compile(&pair.programs(), "changes", source).is_none() {
        return;
    }
    let mut dear = Vec::new();
    for (kind, most) in KINDS {
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
