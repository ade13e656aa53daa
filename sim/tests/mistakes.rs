//! The old mistakes, put back one by one: each must be seen by an oracle within so many random cases, and
//! the case that shows it must be good without the mistake.
use mirror_core::{Errno, Leg};
use mirror_sim::{CAPABILITY, Case, ErrorAt, How, Op, Place, Range, Rng, Sabotage, run};

/// Random cases that a mistake may take to be seen.
const SEEDS: u64 = 2500;

/// The first case that shows it.
fn seen(what: Sabotage, says: &[&str], make: impl Fn(&mut Rng) -> Case) {
    let mut other = String::new();
    for seed in 0..SEEDS {
        let mut r = Rng::new(seed ^ 0x0157);
        let mut case = Case {
            seed,
            ..make(&mut r)
        };
        let good = run(&case);
        case.sabotage = Some(what);
        let Err(why) = run(&case) else { continue };
        if !says.iter().any(|s| why.starts_with(s)) {
            other = why;
            continue;
        }
        assert_eq!(good.err(), None, "{what:?}: bad without it: {case:?}");
        println!("{what:?}: seed {seed}: {why}");
        return;
    }
    panic!("{what:?} is not seen as {says:?} in {SEEDS} cases (but {other:?})");
}

fn s(text: &str) -> String {
    text.to_owned()
}

fn error(second: bool, nth: usize, times: u32, errno: Errno) -> ErrorAt {
    ErrorAt {
        second,
        place: Place::Effect,
        nth: nth as u32,
        times,
        errno,
    }
}

/// One of these calls, with an error of the second leg somewhere in it, or of both.
fn refused(calls: &[Op], both: bool) -> impl Fn(&mut Rng) -> Case {
    move |r| {
        let op = calls[r.below(calls.len())].clone();
        let mut case = Case {
            source: Leg::of(r.below(2)),
            ..Case::of(vec![vec![op]])
        };
        let errno = [Errno::ENOSPC, Errno::EIO, Errno::EPERM, Errno::EMFILE][r.below(4)];
        let again = 1 + r.below(2) as u32;
        case.faults
            .errors
            .push(error(true, r.below(5), again, errno));
        if both {
            case.faults
                .errors
                .push(error(false, r.below(9), 1, Errno::EIO));
        }
        case
    }
}

/// One of these calls, and its process dies; another one comes by.
fn killed(calls: &[Op]) -> impl Fn(&mut Rng) -> Case {
    move |r| {
        let op = calls[r.below(calls.len())].clone();
        let by = Op::Chmod {
            path: s("d/b"),
            mode: 0o600,
        };
        let mut case = Case {
            source: Leg::of(r.below(2)),
            stripes: [1, 64][r.below(2)],
            ..Case::of(vec![vec![op], vec![by.clone(), by]])
        };
        case.faults.kills.push((0, r.below(60) as u32));
        case
    }
}

fn open(path: &str, trunc: bool) -> Op {
    Op::Open {
        slot: 2,
        path: s(path),
        create: true,
        excl: false,
        trunc,
        append: false,
        mode: 0o640,
    }
}

fn write(slot: usize, n: usize) -> Op {
    Op::Write {
        slot,
        data: vec![b'w'; n],
    }
}

fn rename(how: How) -> Op {
    Op::Rename {
        from: s("a"),
        to: s(if how == How::Exchange { "shared" } else { "n" }),
        how,
    }
}

fn made() -> [Op; 5] {
    [
        open("n", false),
        Op::Mkdir {
            path: s("n"),
            mode: 0o750,
        },
        Op::Mknod {
            path: s("n"),
            mode: 0o640,
            bind: false,
        },
        Op::Mknod {
            path: s("n"),
            mode: 0o640,
            bind: true,
        },
        Op::Symlink {
            path: s("n"),
            text: s("x"),
        },
    ]
}

fn owners() -> [Op; 2] {
    [
        Op::Chown {
            path: s("a"),
            uid: 7,
        },
        Op::FChown { slot: 0, uid: 7 },
    ]
}

fn grown() -> [Op; 2] {
    [
        Op::Truncate {
            path: s("a"),
            len: 9,
        },
        Op::FTruncate { slot: 0, len: 9 },
    ]
}

const SILENT: &[&str] = &["legs", "history"];

#[test]
fn what_went_with_the_owner_does_not_come_back() {
    seen(Sabotage::Chown, SILENT, refused(&owners(), false));
}

#[test]
fn a_growth_is_not_taken_back() {
    seen(Sabotage::Growth, SILENT, refused(&grown(), false));
}

#[test]
fn what_a_failed_call_has_made_is_left_on_the_second_leg() {
    seen(Sabotage::Made, SILENT, refused(&made()[..4], false));
}

#[test]
fn a_refused_write_keeps_what_it_took_beside() {
    seen(
        Sabotage::Beside,
        SILENT,
        refused(&[write(0, 3), write(1, 9)], false),
    );
    let data = [grown()[1].clone()];
    seen(Sabotage::Beside, SILENT, refused(&data, false));
}

#[test]
fn a_rename_that_replaced_nothing_is_not_taken_back() {
    let says = &["pending though it could be undone"];
    let calls = [rename(How::Plain), rename(How::NoReplace)];
    seen(Sabotage::Unmoved, says, refused(&calls, false));
}

#[test]
fn what_a_failed_call_took_is_left_on_the_second_leg() {
    seen(Sabotage::After, SILENT, |r| {
        let mut case = Case {
            source: Leg::of(r.below(2)),
            ..Case::of(vec![vec![write(r.below(2), 3)]])
        };
        let errno = [Errno::ENOSPC, Errno::EDQUOT][r.below(2)];
        case.faults.errors.push(error(false, r.below(2), 1, errno));
        case
    });
}

#[test]
fn what_is_taken_back_in_part_is_told_as_done() {
    let clear = Op::Allocate {
        slot: 0,
        how: Range::Clear,
        at: 0,
        len: 9,
    };
    let calls = [owners()[0].clone(), grown()[0].clone(), write(0, 12), clear];
    seen(Sabotage::Told, &["history"], |r| {
        let mut case = refused(&calls, true)(r);
        let fill = Op::PWrite {
            slot: 1,
            at: 0,
            data: vec![b'f'; 12],
        };
        if r.one_in(2) {
            case.programs[0].insert(0, fill);
        }
        case
    });
}

#[test]
fn a_half_done_second_leg_is_a_source() {
    let calls = [Range::Collapse, Range::Insert].map(|how| Op::Allocate {
        slot: 0,
        how,
        at: 1,
        len: 4,
    });
    seen(Sabotage::Part, SILENT, |r| {
        let mut case = refused(&calls, false)(r);
        let data = (b'a'..b'm').collect();
        case.programs[0].insert(
            0,
            Op::PWrite {
                slot: 1,
                at: 0,
                data,
            },
        );
        case
    });
}

#[test]
fn what_is_pending_is_a_source() {
    let value = |n: u8| Op::SetXattr {
        path: s("a"),
        name: s("user.k"),
        value: vec![n],
    };
    // The second leg refuses for good, the first leg's undo fails: recorded. Then it refuses once more.
    seen(Sabotage::Source, SILENT, |r| {
        let mut case = Case {
            source: Leg::of(r.below(2)),
            ..Case::of(vec![vec![value(1), value(2)]])
        };
        let errno = Errno::EIO;
        case.faults.errors.push(error(true, r.below(4), 1, errno));
        case.faults
            .errors
            .push(error(true, 4 + r.below(6), 1, errno));
        case.faults.errors.push(error(false, r.below(7), 1, errno));
        case
    });
}

#[test]
fn a_short_count_is_taken_for_all() {
    seen(Sabotage::Short, &["legs"], |r| {
        Case::random(r.draw(), 1, 6).with_short()
    });
}

#[test]
fn a_repair_makes_zeros_of_a_long_append() {
    seen(Sabotage::Zeros, SILENT, killed(&[write(1, 12)]));
}

#[test]
fn a_repair_loses_capabilities() {
    let fill = Op::PWrite {
        slot: 0,
        at: 0,
        data: vec![b'f'; 6],
    };
    let capable = Op::FSetXattr {
        slot: 0,
        name: s(CAPABILITY),
        value: vec![2],
    };
    seen(Sabotage::Capabilities, SILENT, |r| {
        let mut case = killed(&[write(0, 3)])(r);
        case.programs[0].splice(0..0, [fill.clone(), capable.clone()]);
        case.faults.kills[0].1 = r.below(120) as u32;
        case
    });
}

#[test]
fn a_repair_leaves_what_was_removed() {
    let call = Op::RemoveXattr {
        path: s("a"),
        name: s(CAPABILITY),
    };
    seen(Sabotage::Stale, SILENT, killed(&[call]));
}

#[test]
fn what_is_equal_is_recorded() {
    let calls = [rename(How::Plain), rename(How::Exchange)];
    seen(
        Sabotage::False,
        &["pending without an error"],
        killed(&calls),
    );
}

#[test]
fn a_repair_looks_at_one_leg() {
    let link = Op::Link {
        from: s("a"),
        to: s("n"),
    };
    let calls = [rename(How::Plain), rename(How::Exchange), link];
    for call in calls {
        let says = &["legs", "history", "pending without an error"];
        seen(Sabotage::OneLeg, says, killed(&[call]));
    }
}

#[test]
fn what_a_repair_could_not_end_is_not_recorded() {
    seen(Sabotage::Unsaid, SILENT, |r| {
        let mut case = killed(&[write(0, 9), owners()[0].clone()])(r);
        let second = r.one_in(2);
        let mut e = error(second, r.below(6), 9, Errno::EIO);
        e.nth += 1;
        case.faults.errors.push(e);
        case
    });
}

#[test]
fn absence_is_believed() {
    let call = Op::Unlink { path: s("a") };
    seen(Sabotage::Believed, &["legs"], |r| {
        let mut case = Case {
            source: Leg::of(r.below(2)),
            ..Case::of(vec![vec![call.clone()]])
        };
        case.faults
            .errors
            .push(error(true, r.below(3), 1, Errno::ENOENT));
        case
    });
}

#[test]
fn both_names_are_there_so_the_two_are_equal() {
    let call = Op::Rename {
        from: s("a"),
        to: s("d/b"),
        how: How::Exchange,
    };
    seen(Sabotage::Alike, &["legs"], |r| {
        let mut case = Case {
            source: Leg::of(r.below(2)),
            ..Case::of(vec![vec![call.clone()]])
        };
        case.faults
            .errors
            .push(error(true, r.below(2), 1, Errno::EPERM));
        case
    });
}

#[test]
fn an_intent_is_published_after_the_first_leg() {
    let calls = [open("n", false), write(0, 3), owners()[0].clone()];
    seen(Sabotage::Publish, SILENT, killed(&calls));
}

/// Who dies while it leaves has freed one of two names: what another makes of that is no state of its change.
#[test]
fn an_intent_outlives_the_first_post_that_is_freed() {
    let make = |r: &mut Rng| {
        let exchange = Op::Rename {
            from: s("d/a"),
            to: s("a"),
            how: How::Exchange,
        };
        let by = Op::Mkdir {
            path: s("d/a"),
            mode: 0o755,
        };
        let mut case = Case {
            source: Leg::of(r.below(2)),
            stripes: 64,
            ..Case::of(vec![vec![exchange], vec![by]])
        };
        case.faults.kills.push((0, 8 + r.below(20) as u32));
        case
    };
    seen(Sabotage::Announced, &["pending without"], make);
}

#[test]
fn a_post_is_freed_before_the_second_leg() {
    let calls = [open("n", false), write(0, 3), owners()[0].clone()];
    seen(Sabotage::Freed, SILENT, killed(&calls));
}

#[test]
fn a_post_is_freed_after_the_lock() {
    let says = &[
        "a change was healed",
        "legs",
        "history",
        "process",
        "NeedLock",
        "changes left",
    ];
    seen(Sabotage::Unlock, says, |r| Case::random(r.draw(), 3, 6));
}

#[test]
fn an_intent_stands_under_another_object() {
    let far = Op::Rename {
        from: s("a"),
        to: s("d/n"),
        how: How::Plain,
    };
    let says = &["legs", "history", "changes left"];
    seen(Sabotage::Lead, says, killed(&[far]));
}

#[test]
fn the_other_legs_lock_is_taken_first() {
    seen(Sabotage::LegOrder, &["process"], |r| Case {
        mixed: true,
        ..Case::random(r.draw(), 2, 4)
    });
}

#[test]
fn a_refusal_is_told_as_success() {
    seen(Sabotage::Swallowed, &["legs"], refused(&made(), false));
}

#[test]
fn the_removal_of_a_directory_is_not_counted() {
    let says = &["errors of a healthy leg", "legs", "history", "process"];
    let chmod = Op::Chmod {
        path: s("d/e/no"),
        mode: 0o600,
    };
    let dir = |op: fn(String) -> Op| op(s("d/e"));
    let mkdir = |path| Op::Mkdir { path, mode: 0o700 };
    seen(Sabotage::Count, says, |r| Case {
        stripes: [2, 64][r.below(2)],
        ..Case::of(vec![
            vec![
                chmod.clone(),
                open("d/e/x", false),
                Op::Unlink { path: s("d/e/x") },
            ],
            vec![
                dir(|path| Op::Rmdir { path }),
                dir(mkdir),
                dir(|path| Op::Rmdir { path }),
            ],
        ])
    });
}
