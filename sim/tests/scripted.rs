//! The scenarios F1 … F27 of the crash studies: small programs, every schedule of them. Each is run
//! once as it is, with one, two, three and 64 stripes, and once with the old mistake put back, where
//! an oracle that looks at outcomes alone must see it.
use mirror_core::Errno;
use mirror_sim::{Budget, Case, Choice, ErrorAt, How, Op, Place, Sabotage, explore, run};

const LIMIT: usize = 400_000;
const QUIET: Budget = Budget { kills: 0, stops: 0 };
const DEATH: Budget = Budget { kills: 1, stops: 0 };
const STOP: Budget = Budget { kills: 0, stops: 1 };

fn s(t: &str) -> String {
    t.to_owned()
}

fn write(slot: usize, n: usize) -> Op {
    Op::Write {
        slot,
        data: vec![b'w'; n],
    }
}

fn open(path: &str, create: bool, trunc: bool) -> Op {
    Op::Open {
        slot: 2,
        path: s(path),
        create,
        excl: false,
        trunc,
        append: false,
        mode: 0o640,
    }
}

fn mkdir(path: &str) -> Op {
    Op::Mkdir {
        path: s(path),
        mode: 0o700,
    }
}

fn rmdir(path: &str) -> Op {
    Op::Rmdir { path: s(path) }
}

fn unlink(path: &str) -> Op {
    Op::Unlink { path: s(path) }
}

fn chmod(path: &str) -> Op {
    Op::Chmod {
        path: s(path),
        mode: 0o711,
    }
}

fn rename(from: &str, to: &str, how: How) -> Op {
    Op::Rename {
        from: s(from),
        to: s(to),
        how,
    }
}

/// Every schedule of the programs is good.
fn good(programs: &[Vec<Op>], budget: Budget) {
    // Faults make many states.
    let stripes: &[usize] = match budget {
        QUIET => &[1, 2, 3, 64],
        _ => &[1, 64],
    };
    for &stripes in stripes {
        let c = Case {
            stripes,
            ..Case::of(programs.to_vec())
        };
        check(&c, budget);
    }
}

fn check(c: &Case, budget: Budget) {
    match explore(c, budget, LIMIT) {
        Ok(e) => assert!(e.ends > 0),
        Err(bad) => panic!("{}\n{:?}", bad.1, bad.0),
    }
}

/// With the mistake some schedule is bad, and it can be run again.
fn seen(programs: &[Vec<Op>], what: Sabotage, budget: Budget, says: &[&str]) {
    let c = Case {
        sabotage: Some(what),
        strict: false,
        ..Case::of(programs.to_vec())
    };
    seen_in(c, budget, says);
}

fn seen_in(c: Case, budget: Budget, says: &[&str]) {
    let what = c.sabotage;
    let Err(bad) = explore(&c, budget, LIMIT) else {
        panic!("{what:?} is not seen");
    };
    let (c, why) = *bad;
    let said = |why: &str| says.iter().any(|s| why.contains(s));
    assert!(said(&why), "{what:?} is seen as {why}");
    let again = run(&c).expect_err("the schedule leads there again");
    assert!(said(&again), "{why}, then {again}");
    assert!(
        run(&Case {
            sabotage: None,
            schedule: Vec::new(),
            ..c
        })
        .is_ok()
    );
}

/// F1: a reader moves the shared position between the two writes.
#[test]
fn f1_offsets_are_given() {
    let fill = Op::PWrite {
        slot: 0,
        at: 0,
        data: vec![b'0'; 9],
    };
    let programs = [vec![fill, write(0, 3)], vec![Op::Read { slot: 0, len: 4 }]];
    good(&programs, QUIET);
    seen(&programs, Sabotage::Derived, QUIET, &["legs"]);
}

/// F2: an open meets a name that is replaced.
#[test]
fn f2_opens_are_paired_under_the_lock() {
    let programs = [
        vec![rename("a", "d/b", How::Plain)],
        vec![open("d/b", false, false), write(2, 3)],
    ];
    good(&programs, QUIET);
    seen(&programs, Sabotage::Open, QUIET, &["legs", "history"]);
}

/// F9: rmdir against create, unlink and attributes of the directory.
#[test]
fn f9_a_directory_has_one_lock() {
    let first = [open("d/e/x", true, false), mkdir("d/e/x"), chmod("d/e")];
    for op in first {
        good(&[vec![op.clone()], vec![rmdir("d/e")]], QUIET);
        good(&[vec![op], vec![chmod("d/e")]], QUIET);
    }
    good(&[vec![mkdir("d/x")], vec![chmod("d/x")]], QUIET);
    let programs = [
        vec![open("d/e/x", true, false), unlink("d/e/x")],
        vec![rmdir("d/e")],
    ];
    good(&programs, QUIET);
    seen(
        &programs,
        Sabotage::Names,
        QUIET,
        &["errors of a healthy leg", "legs"],
    );
}

/// F15: a writer dies, and the file's name is moved, linked or removed before the repair.
#[test]
fn f15_an_intent_knows_inodes() {
    for op in [
        rename("shared", "b", How::Plain),
        unlink("shared"),
        Op::Link {
            from: s("shared"),
            to: s("d/l"),
        },
    ] {
        good(&[vec![write(0, 3)], vec![op]], DEATH);
    }
    seen(
        &[vec![write(0, 3)], vec![rename("shared", "b", How::Plain)]],
        Sabotage::Intent,
        DEATH,
        &["legs", "history"],
    );
}

/// F16: death at every step, and whoever comes next.
#[test]
fn f16_the_dead_are_in_nobodys_way() {
    let programs = [vec![write(0, 3)], vec![write(0, 2)]];
    good(&programs, DEATH);
    good(
        &[vec![mkdir("d/e/x")], vec![rename("d", "x", How::Plain)]],
        DEATH,
    );
    seen(
        &programs,
        Sabotage::Leak,
        DEATH,
        &["deadlock", "the last one got"],
    );
}

/// F17: a thread ends the program while another one is between the legs.
#[test]
fn f17_exit_waits_for_the_other_threads() {
    for op in [write(0, 3), mkdir("d/e/x"), rename("d", "x", How::Plain)] {
        let programs = [vec![op], vec![Op::Exit]];
        good(&programs, QUIET);
        seen(
            &programs,
            Sabotage::Gate,
            QUIET,
            &["left announced", "legs"],
        );
    }
}

/// F19: directories are renamed and exchanged against changes deep below.
#[test]
fn f19_no_path_straddles_a_rename() {
    let renames = [
        vec![rename("d", "x", How::Plain)],
        vec![rename("d/e", "a", How::Exchange)],
        vec![rename("d/e", "x", How::Plain), mkdir("d/e")],
    ];
    for r in &renames {
        for op in [mkdir("d/e/x"), open("d/b", false, true), rmdir("d/e")] {
            for stripes in [1, 3] {
                let c = Case {
                    stripes,
                    ..Case::of(vec![r.clone(), vec![op.clone()]])
                };
                check(&c, QUIET);
            }
        }
    }
    for what in [Sabotage::Rename, Sabotage::Bit, Sabotage::Quiesce] {
        let programs = [renames[2].clone(), vec![mkdir("d/e/x")]];
        seen(
            &programs,
            what,
            QUIET,
            &["errors of a healthy leg", "legs", "history"],
        );
    }
}

/// F20: the file behind a name is found late; keys mean the same to everybody; two keys in a stripe.
#[test]
fn f20_keys_name_one_object() {
    let programs = [
        vec![Op::Truncate {
            path: s("shared"),
            len: 1,
        }],
        vec![write(0, 4)],
    ];
    good(&programs, QUIET);
    seen(&programs, Sabotage::Late, QUIET, &["legs", "history"]);
    // What is found out before the file is locked is no ground to take its truncation back.
    let mut full = Case {
        strict: false,
        ..Case::of(vec![vec![write(0, 4)], vec![open("shared", true, true)]])
    };
    // One is the write's, three come before the first leg's open.
    full.faults.errors.push(ErrorAt {
        second: true,
        place: Place::Effect,
        nth: 4,
        times: 1,
        errno: Errno::ENOSPC,
    });
    check(&full, QUIET);
    full.sabotage = Some(Sabotage::Early);
    seen_in(full, QUIET, &["history"]);
    let both = |stripes, sabotage| Case {
        mixed: true,
        stripes,
        sabotage,
        strict: sabotage.is_none(),
        ..Case::of(vec![vec![mkdir("d/e/x")], vec![rmdir("d/e")]])
    };
    for stripes in [1, 2, 3, 64] {
        check(&both(stripes, None), QUIET);
        let two = [
            vec![rename("a", "d/e/a", How::Plain)],
            vec![rename("d/b", "b", How::Plain)],
        ];
        check(
            &Case {
                stripes,
                ..Case::of(two.to_vec())
            },
            QUIET,
        );
    }
    seen_in(
        both(64, Some(Sabotage::Keys)),
        QUIET,
        &["errors of a healthy leg", "legs", "history"],
    );
}

/// F27: a process is stopped at every step; whoever waits for it holds nothing.
#[test]
fn f27_who_waits_holds_nothing() {
    let programs = [
        vec![rename("d/b", "d/e/b", How::Plain)],
        vec![mkdir("d/e/x")],
    ];
    good(&programs, STOP);
    good(
        &[vec![write(0, 3)], vec![rename("d", "x", How::Plain)]],
        STOP,
    );
    let three = [
        vec![mkdir("d/e/x")],
        vec![rename("d/b", "d/e/b", How::Plain)],
        vec![mkdir("d/y")],
    ];
    seen(
        &three,
        Sabotage::Hold,
        STOP,
        &["which waits", "deadlock", "locks left behind"],
    );
}

/// What a process remembers of paths ends with the generation, and a plan is proved under the locks.
#[test]
fn a_remembered_directory_is_removed_and_made_again() {
    let programs = [
        vec![chmod("d/e/no"), open("d/e/x", true, false), unlink("d/e/x")],
        vec![rmdir("d/e"), mkdir("d/e"), rmdir("d/e")],
    ];
    let mut fewer = programs.clone();
    fewer[0].pop();
    for stripes in [2, 64] {
        let c = Case {
            stripes,
            ..Case::of(fewer.to_vec())
        };
        check(&c, QUIET);
    }
    let says = ["errors of a healthy leg", "legs", "history"];
    seen(&programs, Sabotage::Generation, QUIET, &says);
    let programs = [
        vec![open("d/e/x", true, false)],
        vec![rmdir("d/e"), mkdir("d/e"), open("d/e/x", false, false)],
    ];
    good(&programs, QUIET);
    seen(&programs, Sabotage::Plan, QUIET, &says);
}

/// A repair reads one leg and writes the other: no writer of the same file may be inside.
#[test]
fn a_repair_waits_for_the_living() {
    let programs = [
        vec![rename("shared", "b", How::Plain)],
        vec![write(0, 3)],
        vec![chmod("a")],
    ];
    let c = Case {
        stripes: 1,
        strict: false,
        ..Case::of(programs.to_vec())
    };
    check(&c, DEATH);
}

/// A process dies at each step of a directory's rename, with nobody beside it; then every schedule of
/// two others. One of them may come in, or mend, while the other one looks.
#[test]
fn a_half_done_rename_keeps_everybody_out() {
    let programs = [
        vec![mkdir("z"), rename("d", "z", How::Exchange)],
        vec![mkdir("d/x")],
        vec![chmod("a")],
    ];
    let alone = Case {
        stripes: 1,
        ..Case::of(programs[..1].to_vec())
    };
    let steps = run(&alone).expect("a run without faults").steps[0] as usize;
    for at in 1..steps {
        let mut schedule = vec![Choice::Step(0); at];
        schedule.push(Choice::Kill(0));
        let c = Case {
            stripes: 1,
            schedule,
            ..Case::of(programs.to_vec())
        };
        check(&c, QUIET);
    }
}
