//! The oracles are tested too: each deliberate defect of the ports must be seen, and said for what
//! it is.
use mirror_core::Errno;
use mirror_sim::{Case, Crash, Sabotage, Which, run, shrink};

/// Runs seeds until the defect shows; it must be seen as `says`, and shrunk to at most `ops` calls.
fn seen(what: Sabotage, says: &str, ops: usize, make: impl Fn(u64) -> Case) {
    let found = (0..400).filter_map(|seed| {
        let case = Case {
            sabotage: Some(what),
            ..make(seed)
        };
        run(&case)
            .is_err_and(|e| e.starts_with(says))
            .then_some(case)
    });
    let left = |c: &Case| -> usize { c.programs.iter().map(Vec::len).sum() };
    // How far one can be made smaller is a matter of luck.
    let shrunk = found.take(4).map(|c| shrink(&c));
    let best = shrunk.min_by_key(|(c, _)| left(c));
    let (small, why) = best.unwrap_or_else(|| panic!("{what:?} is not seen as {says:?}"));
    let left = left(&small);
    assert!(
        left <= ops,
        "{what:?}: {why}: {left} calls are left: {small:?}"
    );
    assert!(
        run(&Case {
            sabotage: None,
            ..small
        })
        .is_ok(),
        "it fails without the defect"
    );
}

fn full(seed: u64) -> Case {
    Case::random(seed, 2, 8).with_error(true, Errno::ENOSPC, 1)
}

#[test]
fn the_second_lock_is_skipped() {
    seen(Sabotage::SecondLock, "process", 1, |s| {
        Case::random(s, 2, 6)
    });
}

#[test]
fn locks_do_not_exclude() {
    // Who shares a lock is caught giving back what is another's.
    seen(Sabotage::Exclusion, "process", 4, |s| Case::random(s, 3, 6));
}

#[test]
fn dead_processes_are_not_healed() {
    seen(Sabotage::Crashed, "legs", 5, |s| {
        Case::random(s, 2, 8).with_kills(2)
    });
}

#[test]
fn undo_is_skipped() {
    seen(Sabotage::Undo, "history", 3, full);
}

#[test]
fn unwrite_is_skipped() {
    seen(Sabotage::Unwrite, "history", 10, full);
}

#[test]
fn heal_is_skipped() {
    // An error of somebody else's tree that is there again when the call is alone.
    seen(Sabotage::Heal, "legs", 6, |s| {
        Case::random(s, 2, 8).with_error(true, Errno::ENOENT, 3)
    });
}

#[test]
fn pending_is_not_recorded() {
    // An unlink that the second leg refuses for good.
    seen(Sabotage::Pending, "legs", 4, |s| {
        Case::random(s, 2, 8).with_error(true, Errno::EIO, 3)
    });
}

#[test]
fn the_second_leg_is_written_elsewhere() {
    seen(Sabotage::Offset, "legs", 2, |s| Case::random(s, 2, 6));
}

#[test]
fn the_position_is_not_set() {
    seen(Sabotage::Position, "history", 2, |s| Case::random(s, 2, 6));
}

/// The rules of the locks are looked at too, not the outcomes alone.
#[test]
fn the_right_objects_are_locked() {
    let random = |s| Case::random(s, 2, 10);
    for what in [Sabotage::Late, Sabotage::Names, Sabotage::Rename] {
        seen(what, "process", 3, random);
    }
    // A writer inside, and a rename of a directory.
    seen(Sabotage::Bit, "process", 12, random);
    seen(Sabotage::Quiesce, "process", 12, random);
    seen(Sabotage::Hold, "NeedLock", 4, |s| Case::random(s, 3, 10));
}

fn crash(seed: u64, which: Which) -> Case {
    let mut c = Case::random(seed, 2, 12);
    c.faults.crash = Some(Crash {
        which,
        at: 150,
        lag: false,
        locks: false,
    });
    c
}

#[test]
fn a_sync_reaches_one_leg_only() {
    seen(Sabotage::Sync, "synced", 12, |s| crash(s, Which::Both));
}

/// After a resync both legs are equal, however wrong: the history is asked.
#[test]
fn the_leg_that_lived_lacks_something() {
    seen(Sabotage::Offset, "history", 4, |s| crash(s, Which::First));
}
