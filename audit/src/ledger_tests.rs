use crate::raw::{Kind, Raw, bits};
use crate::{Event, Judged, Ledger, Op, PATIENCE, Range, Tier};
use alloc::string::String;
use alloc::vec::Vec;
use mirror_core::Leg;

const NOW: u64 = 5_000_000_000;
const DIR: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const BOTH: u8 = bits::HELD_BOTH;

fn raw(kind: Kind, nr: i32, leg: Leg, rel: &str) -> Raw {
    Raw {
        kind,
        flags: 0,
        time: NOW,
        tgid: 7,
        tid: 7,
        uid: 0,
        parent: 1,
        comm: b"sh".to_vec(),
        nr,
        mode: FILE,
        result: 0,
        args: [0; 6],
        offset: 0,
        inode: 1,
        device: 1,
        generation: 1,
        links: 1,
        leg,
        held: BOTH,
        rel: rel.into(),
        names: [Vec::new(), Vec::new()],
    }
}

fn write(leg: Leg, at: u64, len: i64) -> Raw {
    Raw {
        offset: at,
        result: len,
        ..raw(Kind::Call, 18, leg, "f")
    }
}

fn touch(nr: i32, leg: Leg, rel: &str, mode: u32, inode: u64) -> Raw {
    Raw {
        mode,
        inode,
        ..raw(Kind::Touch, nr, leg, rel)
    }
}

fn end(nr: i32, first: &str, second: &str) -> Raw {
    Raw {
        names: [first.into(), second.into()],
        ..raw(Kind::Call, nr, Leg::A, "")
    }
}

/// What comes of records, the last of what waits included.
fn of(records: &[Raw]) -> Vec<Event> {
    let mut ledger = Ledger::new(Tier::T2, 0);
    let mut out = Vec::new();
    for r in records {
        ledger.take(r.clone(), &mut out);
    }
    ledger.expire(u64::MAX, &mut out);
    out
}

fn shown(events: &[Event]) -> Vec<String> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    events
        .iter()
        .map(|e| {
            let to = e.to.as_deref().map(text).unwrap_or_default();
            let leg = e.leg.letter();
            alloc::format!("{:?} {leg} {} {} {to}", e.judged, e.op.word(), text(&e.rel))
        })
        .collect()
}

#[test]
fn the_same_on_the_other_leg_is_a_match() {
    let events = of(&[write(Leg::A, 10, 5), write(Leg::B, 10, 5)]);
    assert_eq!(shown(&events), ["Mirrored a write f "]);
    assert_eq!(events[0].range, Some(Range { at: 10, len: 5 }));
}

#[test]
fn nothing_else_is() {
    let other = |change: fn(&mut Raw)| {
        let mut r = write(Leg::B, 10, 5);
        change(&mut r);
        r
    };
    let others = [
        other(|r| r.leg = Leg::A),
        other(|r| r.tid = 8),
        other(|r| r.offset = 11),
        other(|r| r.rel = b"g".to_vec()),
        other(|r| r.nr = 91),
    ];
    for o in others {
        let events = of(&[write(Leg::A, 10, 5), o.clone()]);
        assert!(events.iter().all(|e| e.judged == Judged::Open), "{o:?}");
        assert_eq!(events.len(), 2, "{o:?}");
    }
}

#[test]
fn a_range_may_be_met_in_pieces_and_what_is_left_is_told() {
    let all = of(&[
        write(Leg::A, 0, 10),
        write(Leg::B, 0, 4),
        write(Leg::B, 4, 6),
    ]);
    assert_eq!(shown(&all), ["Mirrored a write f "]);
    let part = of(&[write(Leg::A, 0, 10), write(Leg::B, 0, 4)]);
    assert_eq!(shown(&part), ["Open a write f "]);
}

#[test]
fn without_both_locks_no_match_counts() {
    for held in [0, 1, 2, 4 | 1, BOTH | bits::HELD_BY_PARENT] {
        let with = |leg| Raw {
            held,
            ..write(leg, 0, 1)
        };
        let events = of(&[with(Leg::A), with(Leg::B)]);
        let judged: Vec<Judged> = events.iter().map(|e| e.judged).collect();
        assert_eq!(judged, [Judged::Unmirrored; 2], "held {held}");
    }
}

/// The library sets the second leg's times to the first one's when it has written to both.
#[test]
fn times_follow_what_was_changed_on_both_legs() {
    let times = |leg| [touch(280, leg, "f", FILE, 1), end(280, "f", "")];
    let both = [write(Leg::A, 0, 1), write(Leg::B, 0, 1)];
    let judged = |records: &[&[Raw]]| -> Vec<Judged> {
        of(&records.concat()).iter().map(|e| e.judged).collect()
    };
    use Judged::{Mirrored, Open};
    assert_eq!(judged(&[&both, &times(Leg::B)]), [Mirrored, Mirrored]);
    assert_eq!(
        judged(&[&both, &times(Leg::A)]),
        [Mirrored, Open],
        "the first leg"
    );
    assert_eq!(
        judged(&[&both, &times(Leg::B), &times(Leg::B)]),
        [Mirrored, Mirrored, Open],
        "once"
    );
    assert_eq!(judged(&[&times(Leg::B)]), [Open], "after nothing");
    let own = judged(&[&both, &times(Leg::A), &times(Leg::B)]);
    assert_eq!(own, [Mirrored, Mirrored], "a mirrored call");
}

/// Any program may be a child of the one that holds the whole pair.
#[test]
fn a_repairing_child_is_looked_at() {
    let child = Raw {
        held: bits::HELD_WHOLE | bits::HELD_BY_PARENT,
        ..write(Leg::B, 0, 1)
    };
    assert_eq!(of(&[child])[0].judged, Judged::Open);
}

#[test]
fn names_are_those_of_the_directories_that_were_touched() {
    let stranger = |mut r: Raw| {
        r.held = 0;
        r
    };
    let cases: [(&[Raw], Raw, &str); 6] = [
        (
            &[touch(83, Leg::A, "d", DIR, 1)],
            end(83, "x/../n/", ""),
            "Unmirrored a mkdir d/n ",
        ),
        (
            &[
                touch(84, Leg::B, "d/n", DIR, 2),
                touch(84, Leg::B, "d", DIR, 1),
            ],
            end(84, "n", ""),
            "Unmirrored b rmdir d/n ",
        ),
        (
            &[
                touch(87, Leg::A, "d", DIR, 1),
                touch(87, Leg::A, "d/n", FILE, 2),
            ],
            end(87, "/v/d/n", ""),
            "Unmirrored a unlink d/n ",
        ),
        (
            &[
                touch(82, Leg::A, "d/n", FILE, 3),
                touch(82, Leg::A, "d", DIR, 1),
                touch(82, Leg::A, "e", DIR, 2),
            ],
            end(82, "n", "../e/m"),
            "Unmirrored a rename d/n e/m",
        ),
        (
            &[
                touch(82, Leg::A, "d/n", DIR, 3),
                touch(82, Leg::A, "d", DIR, 1),
            ],
            end(82, "n", "m"),
            "Unmirrored a rename d/n d/m",
        ),
        (
            &[touch(82, Leg::A, "", DIR, 1)],
            end(82, "/elsewhere/n", "m"),
            "Unmirrored a rename m ",
        ),
    ];
    for (touched, call, wanted) in cases {
        let mut all = touched.to_vec();
        all.push(stranger(call));
        // Of the other names that it may have been about the legs tell.
        let (open, told): (Vec<String>, _) = shown(&of(&all))
            .into_iter()
            .partition(|e| e.starts_with("Open"));
        assert_eq!(told, [wanted]);
        assert!(open.iter().all(|e| e.contains("rename")), "{open:?}");
    }
}

#[test]
fn an_exchange_may_touch_its_directory_alone() {
    let mut exchange = end(316, "x", "d/../y");
    exchange.args[4] = 2;
    let events = of(&[touch(316, Leg::A, "d", DIR, 2), exchange]);
    assert_eq!(shown(&events), ["Open a exchange d/x d/y"]);
}

/// A directory that is exchanged is not the one that holds the names.
#[test]
fn a_directory_and_a_file_change_places() {
    let (dir, file) = (
        touch(316, Leg::A, "p/d", DIR, 3),
        touch(316, Leg::A, "p/f", FILE, 4),
    );
    for (first, second) in [("f", "d"), ("d", "f")] {
        let mut exchange = Raw {
            held: 0,
            ..end(316, first, second)
        };
        exchange.args[4] = 2;
        let p = touch(316, Leg::A, "p", DIR, 2);
        let events = of(&[p, dir.clone(), file.clone(), exchange]);
        let wanted = alloc::format!("Unmirrored a exchange p/{first} p/{second}");
        assert!(shown(&events).contains(&wanted), "{:?}", shown(&events));
    }
}

/// Which directory has which name is not known: each name may have been meant.
#[test]
fn an_exchange_between_two_directories_may_touch_these_alone() {
    let mut exchange = Raw {
        held: 0,
        ..end(316, "x", "y")
    };
    exchange.args[4] = 2;
    let p = touch(316, Leg::A, "p", DIR, 2);
    let q = touch(316, Leg::A, "q", DIR, 3);
    let mut names: Vec<String> = of(&[p, q, exchange])
        .iter()
        .map(|e| String::from_utf8_lossy(&e.rel).into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["p/x", "p/y", "q/x", "q/y"]);
}

/// What was changed at a path that is too long is not known; on both legs it is a match all the same.
#[test]
fn what_has_no_match_and_no_whole_path_is_counted() {
    let cut = |r: Raw| Raw {
        flags: bits::CUT,
        ..r
    };
    let both = [cut(write(Leg::A, 0, 4)), cut(write(Leg::B, 0, 4))];
    let stranger = Raw {
        held: 0,
        ..both[0].clone()
    };
    let ring = cut(touch(crate::raw::nr::RING, Leg::A, "f", FILE, 3));
    let name = [
        cut(touch(83, Leg::A, "d", DIR, 1)),
        Raw {
            held: 0,
            ..end(83, "n", "")
        },
    ];
    let cases: [(&[Raw], u64, usize); 5] = [
        (&both, 0, 1),
        (&both[..1], 1, 0),
        (&[stranger], 1, 0),
        (&[ring], 1, 0),
        (&name, 1, 0),
    ];
    for (records, nowhere, told) in cases {
        let mut ledger = Ledger::new(Tier::T2, 0);
        let mut out = Vec::new();
        for r in records {
            ledger.take(r.clone(), &mut out);
        }
        ledger.expire(u64::MAX, &mut out);
        assert_eq!(
            (ledger.nowhere(), out.len()),
            (nowhere, told),
            "{records:?}"
        );
    }
}

#[test]
fn ioctls_that_reserve_are_told_by_their_end() {
    for command in [
        0x4030_5828,
        0x4030_582a,
        0x4030_5829,
        0x4030_582b,
        0x4030_5839,
    ] {
        let call = |leg| Raw {
            args: [3, command, 0, 0, 0, 0],
            ..raw(Kind::Call, 16, leg, "f")
        };
        let events = of(&[call(Leg::A), call(Leg::B)]);
        assert_eq!(shown(&events), ["Mirrored a fallocate f "]);
        let events = of(&[call(Leg::A)]);
        assert_eq!(shown(&events), ["Open a fallocate f "]);
    }
}

#[test]
fn a_symlink_on_the_way_is_not_what_was_changed() {
    let on_the_way = touch(90, Leg::A, "link", 0o120_777, 2);
    let events = of(&[
        on_the_way.clone(),
        touch(90, Leg::A, "f", FILE, 3),
        end(90, "", ""),
    ]);
    assert_eq!(shown(&events), ["Open a chmod f "]);
    let events = of(&[on_the_way, end(90, "", "")]);
    assert_eq!(shown(&events), ["Open a chmod link "]);
}

#[test]
fn a_change_that_was_only_begun_is_looked_at() {
    let tried = Raw {
        flags: bits::TRIED,
        ..touch(crate::raw::nr::RING, Leg::A, "f", FILE, 3)
    };
    assert_eq!(shown(&of(&[tried])), ["Open a write f "]);
    let done = touch(crate::raw::nr::RING, Leg::A, "f", FILE, 3);
    assert_eq!(shown(&of(&[done])), ["Unmirrored a write f "]);
}

#[test]
fn a_move_out_has_no_new_name() {
    let touched = [
        touch(82, Leg::A, "d/n", FILE, 3),
        touch(82, Leg::A, "d", DIR, 1),
    ];
    let out = Raw {
        flags: bits::OUTSIDE,
        held: 0,
        ..end(82, "n", "/tmp/m")
    };
    let all = [&touched[..], &[out]].concat();
    let told = shown(&of(&all));
    assert_eq!(told, ["Open a rename d/m ", "Unmirrored a rename d/n "]);
}

#[test]
fn a_path_that_was_overwritten_leads_nowhere_else() {
    for name in ["..", "x/..", "", "."] {
        let call = Raw {
            held: 0,
            ..end(87, name, "")
        };
        let events = of(&[touch(87, Leg::A, "d", DIR, 1), call]);
        assert_eq!(shown(&events), ["Unmirrored a change d "], "{name:?}");
    }
}

#[test]
fn a_failed_call_changes_no_names() {
    let failed = Raw {
        result: -2,
        ..end(87, "n", "")
    };
    assert!(of(&[touch(87, Leg::A, "d", DIR, 1), failed]).is_empty());
}

#[test]
fn stores_and_the_kernel_need_no_end_of_a_call() {
    use crate::raw::nr;
    for (nr, op) in [
        (nr::KERNEL, Op::Write),
        (nr::RING, Op::Write),
        (426, Op::Write),
        (nr::COMPAT, Op::Change),
    ] {
        let events = of(&[touch(nr, Leg::B, "f", FILE, 1)]);
        let said: Vec<_> = events.iter().map(|e| (e.judged, e.op)).collect();
        assert_eq!(said, [(Judged::Unmirrored, op)]);
    }
    // Only a comparison, and who has the file mapped, tell whether a store is a mirrored program's.
    for nr in [nr::FAULT, 0, 310] {
        let events = of(&[touch(nr, Leg::B, "f", FILE, 1)]);
        assert_eq!(shown(&events), ["Open b mapped write f "]);
    }
}

#[test]
fn what_waits_is_looked_at_when_its_time_has_come() {
    let mut ledger = Ledger::new(Tier::T2, 0);
    let mut out = Vec::new();
    ledger.take(write(Leg::A, 0, 1), &mut out);
    ledger.expire(NOW + PATIENCE - 1, &mut out);
    assert!(out.is_empty());
    ledger.expire(NOW + PATIENCE, &mut out);
    assert_eq!(shown(&out), ["Open a write f "]);
}
