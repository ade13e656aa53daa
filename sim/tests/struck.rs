//! Every kind of operation, struck at every call that it makes on either leg: the call fails with each errno,
//! once and for good, is cut short, or its process dies before it and after it; alone, and with a second
//! process that comes by. What is right then, the oracles say: success, and both trees have it; an error, and
//! both are as before; or it is recorded. Never a difference in silence.
use mirror_core::{Errno, Leg};
use mirror_sim::{CAPABILITY, Case, ErrorAt, How, Op, Place, Range, run};

const ERRNOS: [Errno; 8] = [
    Errno::EIO,
    Errno::ENOSPC,
    Errno::EDQUOT,
    Errno::EPERM,
    Errno::EMFILE,
    Errno::ENOMEM,
    Errno::EINTR,
    Errno::ENOENT,
];

fn s(text: &str) -> String {
    text.to_owned()
}

fn open(path: &str, (create, excl, trunc): (bool, bool, bool)) -> Op {
    Op::Open {
        slot: 2,
        path: s(path),
        create,
        excl,
        trunc,
        append: false,
        mode: 0o640,
    }
}

fn rename(from: &str, to: &str, how: How) -> Op {
    Op::Rename {
        from: s(from),
        to: s(to),
        how,
    }
}

fn range(slot: usize, how: Range, at: usize, len: usize) -> Op {
    Op::Allocate { slot, how, at, len }
}

fn names() -> Vec<Op> {
    let (file, make) = ((false, false, false), (true, false, false));
    vec![
        open("n", make),
        open("d/e/n", (true, true, false)),
        open("n", (true, false, true)),
        open("a", file),
        open("a", (false, false, true)),
        open("shared", (true, false, true)),
        open("d/b", make),
        Op::Mkdir {
            path: s("n"),
            mode: 0o751,
        },
        Op::Mkdir {
            path: s("d/e/n"),
            mode: 0o1777,
        },
        Op::Mknod {
            path: s("n"),
            mode: 0o600,
            bind: false,
        },
        Op::Mknod {
            path: s("d/n"),
            mode: 0o612,
            bind: true,
        },
        Op::Symlink {
            path: s("n"),
            text: s("target"),
        },
        Op::Link {
            from: s("a"),
            to: s("d/n"),
        },
        Op::Unlink { path: s("a") },
        Op::Unlink { path: s("shared") },
        Op::Rmdir { path: s("d/e") },
        rename("a", "n", How::Plain),
        rename("a", "d/n", How::Plain),
        rename("a", "d/b", How::Plain),
        rename("d", "n", How::Plain),
        rename("d/e", "n", How::Plain),
        rename("a", "n", How::NoReplace),
        rename("a", "d/b", How::Exchange),
        rename("d/e", "a", How::Exchange),
        rename("d", "shared", How::Exchange),
    ]
}

fn data() -> Vec<Op> {
    let write = |slot, n| Op::Write {
        slot,
        data: vec![b'w'; n],
    };
    let at = |slot, at, n| Op::PWrite {
        slot,
        at,
        data: vec![b'p'; n],
    };
    vec![
        write(0, 3),
        write(0, 30),
        write(1, 3),
        write(1, 30),
        at(0, 4, 5),
        at(0, 8, 20),
        at(0, 50, 5),
        at(1, 4, 5),
        Op::FTruncate { slot: 0, len: 40 },
        Op::FTruncate { slot: 0, len: 3 },
        Op::FTruncate { slot: 0, len: 10 },
        Op::Truncate {
            path: s("shared"),
            len: 40,
        },
        Op::Truncate {
            path: s("shared"),
            len: 3,
        },
        Op::Truncate {
            path: s("a"),
            len: 9,
        },
        range(0, Range::Reserve, 0, 40),
        range(0, Range::Reserve, 0, 4),
        range(0, Range::Clear, 2, 6),
        range(0, Range::Collapse, 2, 4),
        range(0, Range::Insert, 2, 4),
    ]
}

fn attributes() -> Vec<Op> {
    let path = || s("a");
    vec![
        Op::Chmod {
            path: path(),
            mode: 0o600,
        },
        Op::Chmod {
            path: s("d/b"),
            mode: 0o4711,
        },
        Op::Chmod {
            path: s("d"),
            mode: 0o2750,
        },
        Op::FChmod {
            slot: 0,
            mode: 0o600,
        },
        Op::Chown {
            path: path(),
            uid: 7,
        },
        Op::Chown {
            path: s("d"),
            uid: 7,
        },
        Op::FChown { slot: 0, uid: 7 },
        Op::Utimens {
            path: path(),
            mtime: 99,
        },
        Op::Utimens {
            path: s("d"),
            mtime: 99,
        },
        Op::FUtimens { slot: 0, mtime: 99 },
        Op::SetXattr {
            path: path(),
            name: s("user.k"),
            value: vec![1],
        },
        Op::SetXattr {
            path: path(),
            name: s(CAPABILITY),
            value: vec![2],
        },
        Op::SetXattr {
            path: s("d"),
            name: s("user.k"),
            value: vec![1],
        },
        Op::FSetXattr {
            slot: 0,
            name: s("user.k"),
            value: vec![1],
        },
        Op::RemoveXattr {
            path: path(),
            name: s(CAPABILITY),
        },
    ]
}

/// Each with its content: those of data twice, on a file with bytes, and on an empty one with set-id bits and
/// capabilities.
fn kinds() -> Vec<Vec<Op>> {
    let fill = Op::PWrite {
        slot: 0,
        at: 0,
        data: b"0123456789".to_vec(),
    };
    let bare = data().into_iter().map(|op| vec![op]);
    let full = data().into_iter().map(|op| vec![fill.clone(), op]);
    let rest = names().into_iter().chain(attributes()).map(|op| vec![op]);
    bare.chain(full).chain(rest).collect()
}

/// One process alone, or with one that comes by and touches the same; either leg first.
fn cases() -> impl Iterator<Item = Case> {
    let by = vec![
        Op::Chmod {
            path: s("shared"),
            mode: 0o711,
        },
        Op::Mkdir {
            path: s("d/m"),
            mode: 0o700,
        },
    ];
    kinds().into_iter().flat_map(move |program| {
        let by = by.clone();
        (0..4).map(move |n| {
            let mut programs = vec![program.clone()];
            if n > 1 {
                programs.push(by.clone());
            }
            Case {
                seed: n as u64,
                source: Leg::of(n),
                stripes: [1, 64, 3, 2][n],
                ..Case::of(programs)
            }
        })
    })
}

/// More errors in turn: those of `MIRROR_SIM_STEPS` runs are all struck with all.
fn all() -> bool {
    std::env::var_os("MIRROR_SIM_STEPS").is_some()
}

fn judged(c: &Case) -> mirror_sim::Report {
    run(c).unwrap_or_else(|e| panic!("{e}\n{c:?}"))
}

#[test]
fn there_are_many_kinds() {
    let n = names().len() + data().len() + attributes().len();
    assert!(n >= 45, "{n}");
}

#[test]
fn every_call_fails_with_every_errno() {
    let (mut struck, mut calls) = (0, 0);
    for (k, case) in cases().enumerate() {
        for second in [false, true] {
            for place in [Place::Effect, Place::Look] {
                for nth in 0.. {
                    let mut met = 0;
                    for (i, errno) in ERRNOS.into_iter().enumerate() {
                        // Once with each; lasting with another one at each call.
                        let lasting = all() || (k + nth as usize + i).is_multiple_of(ERRNOS.len());
                        for times in [1, 6].into_iter().take(1 + usize::from(lasting)) {
                            let mut c = case.clone();
                            c.faults.errors.push(ErrorAt {
                                second,
                                place,
                                nth,
                                times,
                                errno,
                            });
                            met += judged(&c).injected;
                            struck += 1;
                        }
                    }
                    if met == 0 {
                        break;
                    }
                    calls += 1;
                }
            }
        }
    }
    println!("{calls} calls, {struck} strikes");
    assert!(calls > 1500, "{calls} calls were struck");
}

/// An error of the second leg, and then one of what takes it back on the first.
#[test]
fn what_takes_it_back_fails_too() {
    let mut met = 0;
    for case in cases().filter(|c| c.programs.len() == 1) {
        for nth in 0..8 {
            for back in 0..10 {
                let mut c = case.clone();
                for (second, nth, errno) in [(true, nth, Errno::ENOSPC), (false, back, Errno::EIO)]
                {
                    c.faults.errors.push(ErrorAt {
                        second,
                        place: Place::Effect,
                        nth,
                        times: 1,
                        errno,
                    });
                }
                met += u32::from(judged(&c).injected == 2);
            }
        }
    }
    assert!(met > 500, "{met}");
}

#[test]
fn every_call_is_the_last_of_its_process() {
    for case in cases() {
        let steps = judged(&case).steps[0];
        for at in 0..=steps {
            let mut c = case.clone();
            c.faults.kills.push((0, at));
            assert_eq!(judged(&c).pending, 0);
        }
    }
}

/// It dies, and what ends the change is refused by either leg.
#[test]
fn what_ends_it_fails_too() {
    let mut met = 0;
    let every = if all() { 1 } else { 3 };
    for case in cases().filter(|c| c.programs.len() == 2) {
        let steps = judged(&case).steps[0];
        for at in (0..=steps).step_by(every) {
            for (second, nth) in [(true, 0), (true, 2), (true, 4), (false, 1), (false, 3)] {
                let mut c = case.clone();
                c.faults.kills.push((0, at));
                c.faults.errors.push(ErrorAt {
                    second,
                    place: Place::Effect,
                    nth,
                    times: 1,
                    errno: Errno::EIO,
                });
                met += judged(&c).injected;
            }
        }
    }
    assert!(met > 500, "{met}");
}

#[test]
fn every_write_is_cut_short() {
    for case in cases() {
        for seed in 0..8 {
            let c = Case {
                seed,
                ..case.clone().with_short()
            };
            judged(&c);
        }
    }
}
