//! Leg b crashes for good under `on-failure=degrade`: no program gets an error for it, what is acknowledged is on
//! leg a, the mark is there before any success that leg b lacks, and the return makes both equal; whoever is
//! killed or stopped on the way, at any step.
use mirror_sim::{Case, Crash, Sabotage, Which, run};

fn case(seed: u64, at: u32, locks: bool) -> Case {
    let mut c = Case::random(seed, 2, 5);
    c.source = mirror_core::Leg::A;
    c.mixed = false;
    c.faults.degrade = true;
    c.faults.crash = Some(Crash {
        which: Which::Second,
        at,
        lag: false,
        locks,
    });
    c
}

/// Changes of leg a alone.
fn sound(c: &Case) -> u32 {
    match run(c) {
        Ok(r) => r.lone,
        Err(e) => panic!("{e}\n{c:?}"),
    }
}

#[test]
fn leg_b_crashes_at_every_step() {
    let mut lone = 0;
    for seed in 0..40 {
        for at in (0..120).step_by(3) {
            lone += sound(&case(seed, at, seed % 2 == 1));
        }
    }
    assert!(lone > 1000, "{lone} changes of leg a alone");
}

#[test]
fn and_a_process_dies_or_stops() {
    for seed in 0..400 {
        let at = (seed * 7 % 90) as u32;
        sound(&case(seed, at, false).with_kills(1));
        sound(&case(seed, at, true).with_stops(2));
    }
}

#[test]
fn a_success_before_the_mark_is_seen() {
    let wrong = |seed| {
        let mut c = case(seed, 20, false);
        c.sabotage = Some(Sabotage::Mark);
        run(&c).is_err()
    };
    assert!((0..40).any(wrong));
}
