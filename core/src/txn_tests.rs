//! `transact` against a port that writes down what is asked of it. The simulator (package
//! mirror-sim) runs it against trees.
extern crate std;
use crate::Refused;
use crate::runtime::ANNOUNCED;
use crate::script_txn_tests::{DIR, FILE, Script, dir, file};
use crate::{
    Action, Errno, Leg, LockMiss, LockPlan, Prepared, StateWord, Undo, Verdict, WHOLE, Where,
    recover, transact,
};
use std::string::String;
use std::{format, vec};

const CALL: Action = Action::Call {
    undo: Undo::Possible,
};
const APPEND: Action = Action::Write(Where::End { moves: true });

fn ran(set: impl FnOnce(&mut Script), action: Action) -> (Verdict, String) {
    let mut s = Script::new();
    set(&mut s);
    s.run(action)
}

#[test]
fn effects_come_in_their_order() {
    let (v, log) = ran(|_| {}, CALL);
    assert_eq!(
        (v, &*log),
        (Verdict::Done(Ok(7)), "prepare publish first second leave")
    );
    let (v, log) = ran(|_| {}, Action::Write(Where::Position));
    assert_eq!(v, Verdict::Done(Ok(10)));
    assert_eq!(log, "prepare publish first@40 second@40+0..10 pos=50 leave");
    let (_, log) = ran(|_| {}, Action::Write(Where::At(3)));
    assert_eq!(log, "prepare publish first@3 second@3+0..10 leave");
}

#[test]
fn a_busy_lock_leaves_nothing_held() {
    for (l, log) in [(Leg::A, ""), (Leg::B, "+1a -1a")] {
        let mut s = Script {
            busy: Some((DIR, l)),
            ..Script::new()
        };
        assert_eq!(transact(&mut s, dir(), CALL), Verdict::NeedLock(DIR));
        assert_eq!(s.log.join(" "), log);
    }
}

#[test]
fn what_is_found_late_is_locked_before_anything_is_announced() {
    let mut s = Script {
        late: file(),
        ..Script::new()
    };
    assert_eq!(transact(&mut s, dir(), CALL), Verdict::Done(Ok(7)));
    assert_eq!(
        s.log.join(" "),
        "+1a +1b enter prepare +65a +65b enter publish first second leave -65b -65a -1b -1a"
    );
    assert!(s.posts.iter().all(|&p| p == 0));
    // Busy: nothing is held, nothing was announced.
    let mut s = Script {
        late: file(),
        busy: Some((FILE, Leg::B)),
        ..Script::new()
    };
    assert_eq!(transact(&mut s, dir(), CALL), Verdict::NeedLock(FILE));
    assert_eq!(
        s.log.join(" "),
        "+1a +1b enter prepare +65a -65a leave -1b -1a"
    );
    // A crashed process's: its post stays for whoever recovers it.
    let mut s = Script {
        late: file(),
        ..Script::new()
    };
    s.posts[FILE] = (FILE as u32 + 1) | ANNOUNCED;
    assert_eq!(transact(&mut s, dir(), CALL), Verdict::Recover);
    assert_eq!((s.posts[DIR], s.posts[FILE] & ANNOUNCED), (0, ANNOUNCED));
}

#[test]
fn a_dead_holder_is_in_the_way_until_it_is_mended() {
    let mut s = Script::new();
    s.posts[DIR] = (DIR as u32 + 1) | ANNOUNCED;
    s.posts[FILE] = DIR as u32 + 1;
    s.posts[FILE + 1] = FILE as u32 + 2;
    assert_eq!(transact(&mut s, dir(), CALL), Verdict::Recover);
    assert_eq!(s.log.join(" "), "+1a +1b -1b -1a");
    s.log.clear();
    assert_eq!(recover(&mut s), Ok(()));
    // One was in mid-change with two objects; the other one had come in and touched nothing.
    // The living are looked for on all objects before the first repair.
    assert_eq!(
        s.log.join(" "),
        "+0a +0b out +1a +1b -1b -1a +65a +65b -65b -65a +66a +66b -66b -66a \
         +1a +1b recover(1) forget(1) -1b -1a +65a +65b forget(65) -65b -65a \
         +66a +66b forget(66) -66b -66a in -0b -0a"
    );
    s.log.clear();
    assert_eq!(s.run(CALL).0, Verdict::Done(Ok(7)));
}

#[test]
fn exclusive_changes_wait_for_those_inside() {
    let busy = |leaves| {
        let mut s = Script {
            busy: Some((FILE, Leg::A)),
            leaves,
            ..Script::new()
        };
        s.posts[FILE] = (FILE as u32 + 1) | ANNOUNCED;
        s
    };
    let mut s = busy(Some((FILE, 2)));
    assert_eq!(
        transact(&mut s, LockPlan::EXCLUSIVE, CALL),
        Verdict::Done(Ok(7))
    );
    assert_eq!(
        s.log.join(" "),
        "+0a +0b out pause pause enter prepare publish first second leave in -0b -0a"
    );
    // Who does not leave is waited for outside.
    let mut s = busy(None);
    assert_eq!(
        transact(&mut s, LockPlan::EXCLUSIVE, CALL),
        Verdict::NeedLock(FILE)
    );
    assert_eq!(s.log.join(" "), "+0a +0b out pause in -0b -0a");
    assert_eq!(recover(&mut s), Err(LockMiss::Busy(FILE)));
    assert!(!StateWord(s.word).exclusive());
}

#[test]
fn who_meets_an_exclusive_holder_touches_nothing() {
    let mut s = Script {
        word: StateWord::FRESH.0 | StateWord::EXCLUSIVE,
        busy: Some((WHOLE, Leg::A)),
        ..Script::new()
    };
    assert_eq!(transact(&mut s, dir(), CALL), Verdict::NeedLock(WHOLE));
    assert_eq!(s.log.join(" "), "+1a +1b enter leave -1b -1a");
    // The one who kept us out is dead.
    s.busy = None;
    assert_eq!(transact(&mut s, dir(), CALL), Verdict::Recover);
    s.posts[WHOLE] = 1 | ANNOUNCED;
    s.log.clear();
    assert_eq!(recover(&mut s), Ok(()));
    assert_eq!(
        s.log.join(" "),
        "+0a +0b out recover(0) forget(0) in -0b -0a"
    );
    // Its change cannot be ended yet: nobody comes in.
    s.posts[WHOLE] = 1 | ANNOUNCED;
    s.word |= StateWord::EXCLUSIVE;
    s.posts[FILE] = FILE as u32 + 1;
    s.busy = Some((FILE, Leg::B));
    assert_eq!(recover(&mut s), Err(LockMiss::Busy(FILE)));
    assert!(StateWord(s.word).exclusive());
}

#[test]
fn what_is_not_ours_leaves_nothing_published() {
    let (v, log) = ran(|s| s.prepared = Prepared::Forward, CALL);
    assert_eq!((v, &*log), (Verdict::Forward, "prepare leave"));
    let (v, log) = ran(|s| s.prepared = Prepared::Unresolved, CALL);
    assert_eq!((v, &*log), (Verdict::Unresolved, "prepare leave"));
    for (why, is) in [
        (Refused::Unresolved, Verdict::Unresolved),
        (Refused::Apart, Verdict::Exclusive),
    ] {
        let (v, log) = ran(|s| s.misled = Some(why), CALL);
        assert_eq!((v, &*log), (is, "prepare publish first leave"));
    }
    let (v, log) = ran(|s| s.prepared = Prepared::Answer(Err(Errno::EBADF)), APPEND);
    assert_eq!(
        (v, &*log),
        (Verdict::Done(Err(Errno::EBADF)), "prepare leave")
    );
}

#[test]
fn an_error_of_the_first_leg_is_the_answer() {
    let (v, log) = ran(|s| s.applies = vec![Err(Errno::ENOENT)], CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Err(Errno::ENOENT)),
            "prepare publish first leave"
        )
    );
}

#[test]
fn a_refusal_of_the_second_leg_is_undone() {
    let refuse = |s: &mut Script| s.applies = vec![Ok(7), Err(Errno::ENOSPC)];
    let (v, log) = ran(refuse, CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Err(Errno::ENOSPC)),
            "prepare publish first second undo leave"
        )
    );
    // What cannot be undone stays, and is recorded.
    let (v, log) = ran(refuse, Action::Call { undo: Undo::Never });
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(7)),
            "prepare publish first second pending(ENOSPC) leave"
        )
    );
    let (v, log) = ran(|s| (refuse(s), s.repair = Err(Errno::EIO)).1, CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(7)),
            "prepare publish first second undo pending(ENOSPC) leave"
        )
    );
}

/// What the second leg has is a source for the undo only if it has refused the call as a whole, and if
/// nothing is pending.
#[test]
fn a_half_done_or_pending_second_leg_is_no_source() {
    for part in [true, false] {
        let half = |s: &mut Script| {
            s.applies = vec![Ok(7), Err(Errno::ENOSPC)];
            s.part = part;
            s.word |= if part { 0 } else { StateWord::PENDING };
        };
        let (v, log) = ran(half, CALL);
        assert_eq!(
            (v, &*log),
            (
                Verdict::Done(Err(Errno::ENOSPC)),
                "prepare publish first second undo(no source) leave"
            )
        );
    }
    // A write's old bytes stand on the second leg alone: without a source they are not brought back.
    let write = |s: &mut Script| {
        s.seconds = vec![Ok(4), Err(Errno::ENOSPC)];
        s.word |= StateWord::PENDING;
    };
    let (v, log) = ran(write, Action::Write(Where::Position));
    assert_eq!(v, Verdict::Done(Ok(10)));
    assert!(
        log.contains("pending(ENOSPC)") && !log.contains("unwrite"),
        "{log}"
    );
}

/// The program was told of success, and the first leg has it no more.
#[test]
fn what_is_taken_back_in_part_is_no_success() {
    let half = |s: &mut Script| {
        s.half = true;
        s.repair = Err(Errno::EIO);
    };
    for (second, want) in [
        (Errno::ENOSPC, Errno::ENOSPC),
        (Errno::EEXIST, Errno::EEXIST),
    ] {
        let refused = |s: &mut Script| {
            half(s);
            s.applies = vec![Ok(7), Err(second)];
        };
        let (v, log) = ran(refused, CALL);
        assert_eq!(v, Verdict::Done(Err(want)), "{log}");
        assert!(log.contains("pending("), "{log}");
    }
    for (taken, want) in [(4, Ok(4)), (0, Err(Errno::ENOSPC))] {
        let refused = |s: &mut Script| {
            half(s);
            s.seconds = match taken {
                0 => vec![Err(Errno::ENOSPC)],
                n => vec![Ok(n), Err(Errno::ENOSPC)],
            };
        };
        let (v, log) = ran(refused, Action::Write(Where::Position));
        assert_eq!(v, Verdict::Done(want), "{log}");
        assert!(log.contains("pending(ENOSPC)"), "{log}");
    }
}

#[test]
fn a_semantic_error_of_the_second_leg_is_tried_again_alone() {
    let differ = |s: &mut Script| s.applies = vec![Ok(7), Err(Errno::EEXIST)];
    let (v, log) = ran(differ, CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Exclusive,
            "prepare publish first second undo leave"
        )
    );
    let (v, log) = ran(|s| (differ(s), s.holds = true).1, CALL);
    assert_eq!(
        (v, &*log),
        (Verdict::Done(Ok(7)), "prepare publish first second leave")
    );
    // What cannot be undone stays announced, for recovery.
    let mut s = Script::new();
    differ(&mut s);
    let (v, log) = s.run(Action::Call { undo: Undo::Never });
    assert_eq!(
        (v, &*log),
        (Verdict::Left(7), "prepare publish first second")
    );
    assert_ne!(s.posts[DIR] & ANNOUNCED, 0);
    assert_eq!(recover(&mut s), Ok(()));
    assert!(s.log.contains(&"recover(1)".into()) && s.posts[DIR] == 0);
    // Alone it still differs: somebody touched one tree.
    let alone = |repair| {
        let mut s = Script {
            repair,
            ..Script::new()
        };
        differ(&mut s);
        assert_eq!(
            transact(&mut s, LockPlan::EXCLUSIVE, CALL),
            Verdict::Done(Ok(7))
        );
        s.log.join(" ")
    };
    assert_eq!(
        alone(Ok(())),
        "+0a +0b out enter prepare publish first second heal leave in -0b -0a"
    );
    assert_eq!(
        alone(Err(Errno::EIO)),
        "+0a +0b out enter prepare publish first second heal pending(EEXIST) leave in -0b -0a"
    );
}

#[test]
fn a_full_second_leg_shortens_the_write() {
    let full = |s: &mut Script| s.seconds = vec![Ok(4), Err(Errno::EINTR), Err(Errno::ENOSPC)];
    let (v, log) = ran(full, Action::Write(Where::Position));
    assert_eq!(v, Verdict::Done(Ok(4)));
    let writes = "first@40 second@40+0..10 second@40+4..10 second@40+4..10";
    assert_eq!(
        log,
        format!("prepare publish {writes} unwrite(44..50,None) pos=44 leave")
    );
    // Nothing fitted: the errno, and the position stays.
    let (v, log) = ran(
        |s| s.seconds = vec![Err(Errno::ENOSPC)],
        Action::Write(Where::Position),
    );
    assert_eq!(v, Verdict::Done(Err(Errno::ENOSPC)));
    assert_eq!(
        log,
        "prepare publish first@40 second@40+0..10 unwrite(40..50,None) leave"
    );
    let (v, log) = ran(
        |s| (full(s), s.repair = Err(Errno::EIO)).1,
        Action::Write(Where::At(0)),
    );
    assert_eq!(v, Verdict::Done(Ok(10)));
    assert!(
        log.ends_with("unwrite(4..10,None) pending(ENOSPC) leave"),
        "{log}"
    );
}

#[test]
fn an_append_lands_where_the_first_leg_put_it() {
    let (v, log) = ran(|_| {}, APPEND);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(10)),
            "prepare publish first@end second@90+0..10 leave"
        )
    );
    let (v, log) = ran(|s| s.seconds = vec![Ok(4), Err(Errno::ENOSPC)], APPEND);
    assert_eq!(v, Verdict::Done(Ok(4)));
    assert!(
        log.ends_with("unwrite(94..100,Some(90)) pos=94 leave"),
        "{log}"
    );
    // The kernel had moved the position: a failed write puts it back to where it was.
    let (v, log) = ran(|s| s.seconds = vec![Err(Errno::ENOSPC)], APPEND);
    assert_eq!(v, Verdict::Done(Err(Errno::ENOSPC)));
    assert!(
        log.ends_with("unwrite(90..100,Some(90)) pos=40 leave"),
        "{log}"
    );
    // pwrite on such a descriptor moves nothing.
    let (_, log) = ran(
        |s| s.seconds = vec![Err(Errno::ENOSPC)],
        Action::Write(Where::End { moves: false }),
    );
    assert!(log.ends_with("unwrite(90..100,Some(90)) leave"), "{log}");
    // Written, but nobody knows where: never an unrecorded difference.
    let (v, log) = ran(|s| s.size = Err(Errno::EIO), APPEND);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(10)),
            "prepare publish first@end pending(EIO) leave"
        )
    );
}

/// What the dead have left is not ended by legs of another epoch, whoever asks for it.
#[test]
fn nothing_is_ended_by_legs_of_another_epoch() {
    let mut s = Script {
        turned: true,
        ..Script::new()
    };
    s.posts[DIR] = ANNOUNCED | (DIR as u32 + 1);
    assert_eq!(recover(&mut s), Err(LockMiss::Busy(WHOLE)));
    let v = transact(&mut s, LockPlan::EXCLUSIVE, CALL);
    assert_eq!(v, Verdict::Replan);
    let ended = |l: &String| l.starts_with("recover") || l == "first";
    assert!(!s.log.iter().any(ended), "{:?}", s.log);
    assert_ne!(s.posts[DIR], 0);
}
