//! `transact` against a port that writes down what is asked of it. The simulator (package
//! mirror-sim) runs it against trees.
extern crate std;
use crate::{
    Action, BothLocked, Errno, Journal, LegIo, LegLock, LockMiss, LockPlan, Prepared, StateWord,
    Step, Undo, Verdict, Where, transact,
};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

/// Answers are popped from the front of their list; an empty list answers "good".
struct Script {
    log: Vec<String>,
    busy: Option<usize>,
    orphan: bool,
    prepared: Prepared,
    applies: Vec<Result<u64, Errno>>,
    seconds: Vec<Result<u64, Errno>>,
    repair: Result<(), Errno>,
    holds: bool,
    size: Result<u64, Errno>,
}

impl Script {
    fn new() -> Script {
        Script {
            log: vec![],
            busy: None,
            orphan: false,
            prepared: Prepared::Ready,
            applies: vec![],
            seconds: vec![],
            repair: Ok(()),
            holds: false,
            size: Ok(100),
        }
    }
    fn note(&mut self, what: &str) {
        self.log.push(what.into());
    }
    /// Runs, and gives what was asked for between the locks.
    fn run(&mut self, action: Action) -> (Verdict, String) {
        let v = transact(self, LockPlan::SINGLE, action);
        let all = self.log.join(" ");
        let inner = all
            .strip_prefix("+0 +1")
            .and_then(|l| l.strip_suffix("-1 -0"));
        let inner = String::from(
            inner
                .unwrap_or_else(|| panic!("not between the locks: {all}"))
                .trim(),
        );
        (v, inner)
    }
}

fn next(from: &mut Vec<Result<u64, Errno>>, good: u64) -> Result<u64, Errno> {
    if from.is_empty() {
        Ok(good)
    } else {
        from.remove(0)
    }
}

impl LegLock for Script {
    fn try_lock(&mut self, leg: usize, _: LockPlan) -> Result<(), LockMiss> {
        if self.busy == Some(leg) {
            return Err(LockMiss::Busy);
        }
        self.note(&format!("+{leg}"));
        Ok(())
    }
    fn unlock(&mut self, leg: usize, _: LockPlan) {
        self.note(&format!("-{leg}"));
    }
}

impl Journal for Script {
    fn word(&self) -> StateWord {
        StateWord::FRESH
    }
    fn orphan(&self, _: &BothLocked) -> bool {
        self.orphan
    }
    fn publish(&mut self, _: &BothLocked) {
        self.note("publish");
    }
    fn retract(&mut self, _: &BothLocked) {
        self.note("retract");
    }
    fn pending(&mut self, _: &BothLocked, why: Errno) {
        self.note(&format!("pending({})", why.name()));
    }
}

impl LegIo for Script {
    fn prepare(&mut self, _: &BothLocked) -> Prepared {
        self.note("prepare");
        self.prepared
    }
    fn apply(&mut self, step: Step, _: &BothLocked) -> Result<u64, Errno> {
        self.note(if step == Step::First {
            "first"
        } else {
            "second"
        });
        next(&mut self.applies, 7)
    }
    fn undo(&mut self, _: &BothLocked) -> Result<(), Errno> {
        self.note("undo");
        self.repair
    }
    fn holds(&mut self, _: &BothLocked) -> bool {
        self.holds
    }
    fn heal(&mut self, _: &BothLocked) -> Result<(), Errno> {
        self.note("heal");
        self.repair
    }
    fn heal_orphan(&mut self, _: &BothLocked) {
        self.note("heal_orphan");
    }
    fn position(&mut self) -> Result<u64, Errno> {
        Ok(40)
    }
    fn set_position(&mut self, to: u64, _: &BothLocked) -> Result<(), Errno> {
        self.note(&format!("pos={to}"));
        Ok(())
    }
    fn size(&mut self) -> Result<u64, Errno> {
        self.size
    }
    fn write_first(&mut self, at: Option<u64>, _: &BothLocked) -> Result<u64, Errno> {
        self.note(&at.map_or("first@end".into(), |a| format!("first@{a}")));
        next(&mut self.applies, 10)
    }
    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        _: &BothLocked,
    ) -> Result<u64, Errno> {
        self.note(&format!("second@{at}+{done}..{upto}"));
        next(&mut self.seconds, upto - done)
    }
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        old: Option<u64>,
        _: &BothLocked,
    ) -> Result<(), Errno> {
        self.note(&format!("unwrite({from}..{to},{old:?})"));
        self.repair
    }
}

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
        (Verdict::Done(Ok(7)), "prepare publish first second retract")
    );
    let (v, log) = ran(|_| {}, Action::Write(Where::Position));
    assert_eq!(v, Verdict::Done(Ok(10)));
    assert_eq!(
        log,
        "prepare publish first@40 second@40+0..10 pos=50 retract"
    );
    let (_, log) = ran(|_| {}, Action::Write(Where::At(3)));
    assert_eq!(log, "prepare publish first@3 second@3+0..10 retract");
}

#[test]
fn a_busy_lock_leaves_nothing_held() {
    for (leg, log) in [(0, ""), (1, "+0 -0")] {
        let mut s = Script {
            busy: Some(leg),
            ..Script::new()
        };
        assert_eq!(transact(&mut s, LockPlan::SINGLE, CALL), Verdict::NeedLock);
        assert_eq!(s.log.join(" "), log);
    }
}

#[test]
fn a_dead_holder_is_healed_before_anything_is_resolved() {
    let (_, log) = ran(|s| s.orphan = true, CALL);
    assert_eq!(
        log,
        "heal_orphan retract prepare publish first second retract"
    );
}

#[test]
fn what_is_not_ours_leaves_nothing_published() {
    let (v, log) = ran(|s| s.prepared = Prepared::Forward, CALL);
    assert_eq!((v, &*log), (Verdict::Forward, "prepare"));
    let (v, log) = ran(|s| s.prepared = Prepared::Answer(Err(Errno::EBADF)), APPEND);
    assert_eq!((v, &*log), (Verdict::Done(Err(Errno::EBADF)), "prepare"));
}

#[test]
fn an_error_of_the_first_leg_is_the_answer() {
    let (v, log) = ran(|s| s.applies = vec![Err(Errno::ENOENT)], CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Err(Errno::ENOENT)),
            "prepare publish first retract"
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
            "prepare publish first second undo retract"
        )
    );
    // What cannot be undone stays, and is recorded.
    let (v, log) = ran(refuse, Action::Call { undo: Undo::Never });
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(7)),
            "prepare publish first second pending(ENOSPC) retract"
        )
    );
    let (v, log) = ran(|s| (refuse(s), s.repair = Err(Errno::EIO)).1, CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(7)),
            "prepare publish first second undo pending(ENOSPC) retract"
        )
    );
}

#[test]
fn a_semantic_error_of_the_second_leg_heals_the_object() {
    let differ = |s: &mut Script| s.applies = vec![Ok(7), Err(Errno::EEXIST)];
    let (v, log) = ran(differ, CALL);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(7)),
            "prepare publish first second heal retract"
        )
    );
    let (_, log) = ran(|s| (differ(s), s.holds = true).1, CALL);
    assert_eq!(log, "prepare publish first second retract");
    let (_, log) = ran(|s| (differ(s), s.repair = Err(Errno::EIO)).1, CALL);
    assert_eq!(
        log,
        "prepare publish first second heal pending(EEXIST) retract"
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
        format!("prepare publish {writes} unwrite(44..50,None) pos=44 retract")
    );
    // Nothing fitted: the errno, and the position stays.
    let (v, log) = ran(
        |s| s.seconds = vec![Err(Errno::ENOSPC)],
        Action::Write(Where::Position),
    );
    assert_eq!(v, Verdict::Done(Err(Errno::ENOSPC)));
    assert_eq!(
        log,
        "prepare publish first@40 second@40+0..10 unwrite(40..50,None) retract"
    );
    let (v, log) = ran(
        |s| (full(s), s.repair = Err(Errno::EIO)).1,
        Action::Write(Where::At(0)),
    );
    assert_eq!(v, Verdict::Done(Ok(10)));
    assert!(
        log.ends_with("unwrite(4..10,None) pending(ENOSPC) retract"),
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
            "prepare publish first@end second@90+0..10 retract"
        )
    );
    let (v, log) = ran(|s| s.seconds = vec![Ok(4), Err(Errno::ENOSPC)], APPEND);
    assert_eq!(v, Verdict::Done(Ok(4)));
    assert!(
        log.ends_with("unwrite(94..100,Some(90)) pos=94 retract"),
        "{log}"
    );
    // The kernel had moved the position: a failed write puts it back to where it was.
    let (v, log) = ran(|s| s.seconds = vec![Err(Errno::ENOSPC)], APPEND);
    assert_eq!(v, Verdict::Done(Err(Errno::ENOSPC)));
    assert!(
        log.ends_with("unwrite(90..100,Some(90)) pos=40 retract"),
        "{log}"
    );
    // pwrite on such a descriptor moves nothing.
    let (_, log) = ran(
        |s| s.seconds = vec![Err(Errno::ENOSPC)],
        Action::Write(Where::End { moves: false }),
    );
    assert!(log.ends_with("unwrite(90..100,Some(90)) retract"), "{log}");
    // Written, but nobody knows where: never an unrecorded difference.
    let (v, log) = ran(|s| s.size = Err(Errno::EIO), APPEND);
    assert_eq!(
        (v, &*log),
        (
            Verdict::Done(Ok(10)),
            "prepare publish first@end pending(EIO) retract"
        )
    );
}
