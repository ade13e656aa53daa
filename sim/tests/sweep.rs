//! Every kind of call, killed at each of its yield points, and failed at each of its effects.
use mirror_core::{Errno, Leg};
use mirror_sim::{Case, Crash, ErrorAt, How, Op, Place, Which, run};

fn open(path: &str, create: bool, trunc: bool, append: bool) -> Op {
    Op::Open {
        slot: 2,
        path: path.into(),
        create,
        excl: false,
        trunc,
        append,
        mode: 0o640,
    }
}

fn calls() -> Vec<Op> {
    let (data, s) = (b"hello".to_vec(), |t: &str| t.to_owned());
    let rename = |from: &str, to: &str, how| Op::Rename {
        from: from.into(),
        to: to.into(),
        how,
    };
    vec![
        open("new", true, false, false),
        open("shared", false, true, false),
        Op::Write {
            slot: 0,
            data: data.clone(),
        },
        Op::Write {
            slot: 1,
            data: data.clone(),
        },
        Op::PWrite {
            slot: 0,
            at: 9,
            data: data.clone(),
        },
        Op::PWrite {
            slot: 1,
            at: 9,
            data,
        },
        Op::FTruncate { slot: 0, len: 3 },
        Op::FChmod {
            slot: 0,
            mode: 0o600,
        },
        Op::Truncate {
            path: s("shared"),
            len: 30,
        },
        rename("shared", "b", How::Plain),
        rename("shared", "a", How::Plain),
        rename("d", "e", How::Plain),
        rename("d", "shared", How::Exchange),
        Op::Unlink { path: s("shared") },
        Op::Rmdir { path: s("d/e") },
        Op::Mkdir {
            path: s("d/e/x"),
            mode: 0o700,
        },
        Op::Link {
            from: s("shared"),
            to: s("d/l"),
        },
        Op::Symlink {
            path: s("d/s"),
            text: s(".."),
        },
        Op::Chmod {
            path: s("d"),
            mode: 0o711,
        },
        Op::Chown {
            path: s("a"),
            uid: 7,
        },
        Op::SetXattr {
            path: s("a"),
            name: s("user.k"),
            value: vec![1],
        },
        Op::Utimens {
            path: s("a"),
            mtime: 99,
        },
    ]
}

/// Some content first, the call, then more that depends on it. A second process looks on.
fn cases() -> impl Iterator<Item = Case> {
    calls().into_iter().flat_map(|op| {
        Leg::BOTH.into_iter().map(move |source| {
            let first = Op::PWrite {
                slot: 0,
                at: 0,
                data: b"0123456789".to_vec(),
            };
            let after = Op::Write {
                slot: 1,
                data: b"tail".to_vec(),
            };
            let programs = vec![vec![first, op.clone(), after.clone()], vec![after]];
            Case {
                programs,
                source,
                ..Case::random(source.index() as u64, 0, 0)
            }
        })
    })
}

#[test]
fn killed_at_every_yield_point() {
    for case in cases() {
        let steps = run(&case).expect("a run without faults").steps[0];
        for at in 0..steps {
            let mut c = case.clone();
            c.faults.kills.push((0, at));
            let r = run(&c).unwrap_or_else(|e| panic!("{e}\n{c:?}"));
            assert_eq!(r.pending, 0);
        }
    }
}

/// The healer of a crashed process's change dies too, at each of its own points.
#[test]
fn the_healer_is_killed_too() {
    for case in cases().step_by(2) {
        let steps = run(&case).expect("a run without faults").steps[0];
        for at in (steps / 3..steps).step_by(2) {
            for second in (1..14).step_by(3) {
                let mut c = case.clone();
                c.faults.kills.extend([(0, at), (1, second)]);
                run(&c).unwrap_or_else(|e| panic!("{e}\n{c:?}"));
            }
        }
    }
}

/// One of each class at each call of a port: effects, resolutions, locks.
#[test]
fn every_error_at_every_effect() {
    let errnos = [Errno::EIO, Errno::ENOSPC, Errno::ENOENT, Errno::EINTR];
    let mut met = 0;
    for case in cases() {
        for second in [false, true] {
            for (place, calls) in [(Place::Effect, 7), (Place::Look, 4), (Place::Lock, 9)] {
                for nth in 0..calls {
                    for errno in errnos {
                        met += struck(&case, second, place, nth, errno);
                    }
                }
            }
        }
    }
    assert!(met > 0);
}

/// Runs the call with an error, once and lasting; how often it was met.
fn struck(case: &Case, second: bool, place: Place, nth: u32, errno: Errno) -> u32 {
    let mut met = 0;
    // An EINTR that never ends is no error: the engine tries again.
    let lasting = if errno == Errno::EINTR { 3 } else { u32::MAX };
    for times in [1, lasting] {
        let mut c = case.clone();
        c.programs.truncate(1);
        c.faults.errors.push(ErrorAt {
            second,
            place,
            nth,
            times,
            errno,
        });
        met += run(&c).unwrap_or_else(|e| panic!("{e}\n{c:?}")).injected;
    }
    met
}

/// A leg crashes at each step of each call, or both do.
#[test]
fn a_leg_crashes_at_every_step() {
    for case in cases() {
        let steps: u32 = run(&case).expect("a run without faults").steps.iter().sum();
        for at in 0..steps {
            for (which, lag, locks) in [
                (Which::Second, true, false),
                (Which::Second, false, true),
                (Which::First, true, at % 2 == 0),
                (Which::Both, true, false),
            ] {
                let mut c = case.clone();
                c.faults.crash = Some(Crash {
                    which,
                    at,
                    lag,
                    locks,
                });
                run(&c).unwrap_or_else(|e| panic!("{e}\n{c:?}"));
            }
        }
    }
}

/// A refusal of the second leg leaves both legs equal, except where the first has lost something.
#[test]
fn a_full_second_leg_leaves_both_equal() {
    for case in cases() {
        let mut c = case.clone();
        c.programs.truncate(1);
        // Effect 1 on the second leg is that of the call.
        c.faults.errors.push(ErrorAt {
            second: true,
            place: Place::Effect,
            nth: 1,
            times: 1,
            errno: Errno::ENOSPC,
        });
        let r = run(&c).unwrap_or_else(|e| panic!("{e}\n{c:?}"));
        let op = &c.programs[0][1];
        // Before a file is emptied by its open, the second leg's is open.
        let lost = op.removes()
            || matches!(op, Op::FTruncate { .. })
            || matches!(op, Op::Rename { to, how: How::Plain, .. } if to == "a");
        assert_eq!((r.injected, r.pending), (1, usize::from(lost)), "{op:?}");
    }
}
