//! Every schedule of every pair of calls, with and without a death at each step. Not a sample: the
//! search ends when no state is left that was not looked at.
//!
//! `MIRROR_SIM_STEPS` set: all pairs also with deaths, and three processes (minutes).
use mirror_core::{Errno, Leg};
use mirror_sim::{Budget, Case, ErrorAt, How, Op, Place, explore};

const LIMIT: usize = 3_000_000;

fn calls() -> Vec<Op> {
    let s = |t: &str| t.to_owned();
    let rename = |from: &str, to: &str, how| Op::Rename {
        from: s(from),
        to: s(to),
        how,
    };
    let open = |path: &str, trunc| Op::Open {
        slot: 2,
        path: s(path),
        create: true,
        excl: false,
        trunc,
        append: false,
        mode: 0o640,
    };
    let (data, mode) = (b"abc".to_vec(), 0o711);
    vec![
        open("d/x", false),
        open("shared", true),
        Op::Write {
            slot: 0,
            data: data.clone(),
        },
        Op::Write { slot: 1, data },
        Op::FTruncate { slot: 0, len: 5 },
        Op::Truncate {
            path: s("shared"),
            len: 4,
        },
        Op::Unlink { path: s("shared") },
        Op::Mkdir {
            path: s("d/x"),
            mode,
        },
        Op::Mkdir {
            path: s("d/e/x"),
            mode,
        },
        Op::Rmdir { path: s("d/e") },
        Op::Chmod {
            path: s("d/e"),
            mode,
        },
        Op::Chmod {
            path: s("d/x"),
            mode,
        },
        rename("shared", "d/e/x", How::Plain),
        rename("d/b", "a", How::Exchange),
        rename("d/e", "x", How::Plain),
        rename("d", "shared", How::Exchange),
        Op::Link {
            from: s("shared"),
            to: s("d/x"),
        },
    ]
}

fn soak() -> bool {
    std::env::var_os("MIRROR_SIM_STEPS").is_some()
}

/// Searches a case; the number of states.
fn search(c: &Case, kills: usize) -> usize {
    match explore(c, Budget { kills, stops: 0 }, LIMIT) {
        Ok(e) => e.states,
        Err(bad) => panic!("{}\n{:?}", bad.1, bad.0),
    }
}

fn pairs(part: impl Fn(usize) -> bool, kills: usize, mixed: bool, words: bool) {
    let (calls, mut states, mut n) = (calls(), 0, 0);
    for (i, a) in calls.iter().enumerate() {
        for b in &calls[i..] {
            n += 1;
            if !part(n) {
                continue;
            }
            let c = Case {
                stripes: [1, 64, 3][n % 3],
                source: Leg::of(n),
                mixed,
                words,
                ..Case::of(vec![vec![a.clone()], vec![b.clone()]])
            };
            states += search(&c, kills);
        }
    }
    println!("{states} states");
    assert!(states > 0);
}

#[test]
fn every_schedule_of_two_calls() {
    pairs(|_| true, 0, false, false);
}

#[test]
fn every_schedule_of_two_calls_on_either_leg() {
    pairs(|n| soak() || n % 3 == 0, 0, true, false);
}

#[test]
fn every_schedule_of_two_calls_with_a_death() {
    pairs(|n| soak() || n % 7 == 0, 1, false, false);
}

/// Where locks are words, those of the dead stay: who comes upon one succeeds it.
#[test]
fn every_schedule_of_two_calls_with_a_death_and_words() {
    pairs(|n| soak() || n % 7 == 3, 1, false, true);
}

/// The second leg answers an error of each class, at each of its first effects.
#[test]
fn every_schedule_of_two_calls_with_an_error() {
    let (calls, mut states, mut n) = (calls(), 0, 0);
    let errnos = [Errno::EIO, Errno::ENOSPC, Errno::EEXIST, Errno::EMFILE];
    for a in &calls {
        for b in &calls {
            n += 1;
            if !soak() && n % 9 != 0 {
                continue;
            }
            for (k, errno) in errnos.into_iter().enumerate() {
                let mut c = Case {
                    stripes: [1, 64][n % 2],
                    ..Case::of(vec![vec![a.clone()], vec![b.clone()]])
                };
                c.faults.errors.push(ErrorAt {
                    second: true,
                    place: Place::Effect,
                    nth: k as u32 % 2,
                    times: 1 + k as u32 / 2,
                    errno,
                });
                states += search(&c, 0);
            }
        }
    }
    assert!(states > 0);
}

/// Two random programs of two calls each. Those with too many states are passed over.
#[test]
fn every_schedule_of_random_programs() {
    let env = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let (from, to) = match env("MIRROR_SIM_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, env("MIRROR_SIM_STEPS").unwrap_or(60)),
    };
    let (mut states, mut large) = (0, 0);
    for seed in from..to {
        let mut c = Case::random(seed, 2, 2);
        c.mixed = seed % 5 == 0;
        c.words = seed % 4 < 2;
        let kills = usize::from(seed % 2 == 0);
        match explore(&c, Budget { kills, stops: 0 }, 8_000) {
            Ok(e) => states += e.states,
            Err(bad) if bad.1.starts_with("more than") => large += 1,
            Err(bad) => panic!("MIRROR_SIM_SEED={seed}: {}\n{:?}", bad.1, bad.0),
        }
    }
    println!("{states} states, {large} programs were too large");
    assert!(states > 0);
}

#[test]
fn every_schedule_of_three_calls() {
    let calls = calls();
    let n = calls.len();
    for i in 0..if soak() { n } else { 3 } {
        let three = [i, (5 * i + 7) % n, (3 * i + 9) % n];
        let programs = three.map(|k| vec![calls[k].clone()]);
        let c = Case {
            stripes: [1, 64][i % 2],
            ..Case::of(programs.to_vec())
        };
        println!("{three:?}: {} states", search(&c, 0));
    }
}
