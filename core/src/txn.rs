//! The one algorithm for every change (design §5):
//! lock, come in, resolve under the lock, publish the intent, first leg, second leg, settle, leave,
//! unlock. The preloaded library and the simulator both run this code; what differs is the port.
use crate::lock::{
    BothLocked, LegLock, LockMiss, LockPlan, WHOLE, lock_both, lock_more, unlock_both, unlock_late,
};
use crate::port::{Action, Journal, LegIo, Lone, Prepared, Step, Undo};
use crate::quiesce::quiesce;
use crate::refused::{Applied, Refused, Untouched};
use crate::write::write;
use crate::{Errno, ErrorClass, Leg};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer for the program.
    Done(Result<u64, Errno>),
    /// Not ours.
    Forward,
    /// Leg b is away, and no tree is changed: the kernel's. Whoever changes the object on both legs has ended that:
    /// its locks on leg a were held.
    Alone,
    /// Leg b is away, and it was carried out on leg a alone, under its locks: this was the kernel's answer.
    Lone(Result<u64, Errno>),
    /// This object is held elsewhere: wait holding nothing, then ask again.
    NeedLock(usize),
    /// The plan is out of date: make it anew.
    Replan,
    /// Ask again with [`LockPlan::EXCLUSIVE`].
    Exclusive,
    /// Nothing was done: resolve the name again.
    Unresolved,
    /// A crashed process's change is in the way: [`crate::recover`], then ask again.
    Recover,
    /// The answer for the program. The second leg lacks the change: it stays announced, and
    /// [`crate::recover`] ends it.
    Left(u64),
}

/// Runs one change.
pub fn transact<P: LegLock + Journal + LegIo + ?Sized>(
    p: &mut P,
    plan: LockPlan,
    action: Action,
) -> Verdict {
    let held = match lock_both(p, plan) {
        Ok(h) => h,
        Err(miss) => return missed(miss),
    };
    if plan.objects().any(|o| p.state(o) != 0) {
        let word = p.word();
        if !word.alone() || word.exclusive() || !p.stands(word) {
            unlock_both(p, held);
            return match word.alone() && !word.exclusive() {
                true => Verdict::Replan,
                false => Verdict::Recover,
            };
        }
        // What crashed processes have left is nobody's concern then: all is compared before leg b is back.
        for o in plan.objects() {
            p.forget(o, &held);
        }
    }
    if plan.is_exclusive() {
        return exclusive(p, held, action);
    }
    p.enter(&held, plan);
    let word = p.word();
    if let Err(e) = p.sound() {
        return given_up(p, held, e);
    }
    if word.exclusive() {
        p.leave(&held, plan);
        unlock_both(p, held);
        return meets_exclusive(p);
    }
    let stands = p.stands(word);
    if word.alone() || !stands {
        let verdict = match stands {
            true => lone(p, &held),
            false => Verdict::Replan,
        };
        p.leave(&held, plan);
        unlock_both(p, held);
        return verdict;
    }
    let (held, verdict) = inside(p, held, action);
    if !matches!(verdict, Verdict::Left(_)) {
        p.leave(&held, held.plan());
    }
    unlock_both(p, held);
    verdict
}

/// Leg a's alone, where whoever makes leg b equal waits for its end.
fn lone<P: LegIo + ?Sized>(p: &mut P, held: &BothLocked) -> Verdict {
    match p.lone(held) {
        Lone::Done(answer) => Verdict::Lone(answer),
        Lone::Kernel => Verdict::Alone,
        Lone::Forward => Verdict::Forward,
        Lone::Replan => Verdict::Replan,
        Lone::Exclusive => Verdict::Exclusive,
        Lone::Unresolved => Verdict::Unresolved,
    }
}

/// Nothing was touched.
fn given_up<P: LegLock + Journal + ?Sized>(p: &mut P, held: BothLocked, e: Errno) -> Verdict {
    p.leave(&held, held.plan());
    unlock_both(p, held);
    Verdict::Done(Err(e))
}

fn missed(miss: LockMiss) -> Verdict {
    match miss {
        LockMiss::Busy(object) => Verdict::NeedLock(object),
        LockMiss::Failed(e) => Verdict::Done(Err(e)),
    }
}

/// Somebody keeps us out, or has died doing so.
fn meets_exclusive<P: LegLock + Journal + ?Sized>(p: &mut P) -> Verdict {
    match p.try_lock(Leg::A, WHOLE) {
        Ok(()) => {
            let dead = p.word().exclusive();
            p.unlock(Leg::A, WHOLE);
            if dead {
                Verdict::Recover
            } else {
                Verdict::NeedLock(WHOLE)
            }
        }
        Err(miss) => missed(miss),
    }
}

/// An exclusive change: the rename of a directory, or what needs a still picture.
fn exclusive<P: LegLock + Journal + LegIo + ?Sized>(
    p: &mut P,
    held: BothLocked,
    action: Action,
) -> Verdict {
    p.set_exclusive(&held, true);
    let before = p.stands(p.word());
    if before && let Err(miss) = quiesce(p, &held) {
        p.set_exclusive(&held, false);
        unlock_both(p, held);
        return missed(miss);
    }
    let word = p.word();
    let stands = before && p.stands(word);
    if word.alone() || !stands {
        let verdict = match stands {
            true => lone(p, &held),
            false => Verdict::Replan,
        };
        p.set_exclusive(&held, false);
        unlock_both(p, held);
        return verdict;
    }
    p.enter(&held, LockPlan::EXCLUSIVE);
    let (held, verdict) = inside(p, held, action);
    // In this order: a death in between leaves the bit, which is mended, never an intent without it.
    p.leave(&held, held.plan());
    p.set_exclusive(&held, false);
    unlock_both(p, held);
    verdict
}

/// From the first lock to the answer. Gives back what is held.
fn inside<P: LegLock + Journal + LegIo + ?Sized>(
    p: &mut P,
    held: BothLocked,
    action: Action,
) -> (BothLocked, Verdict) {
    let verdict = match p.prepare(&held) {
        Prepared::Ready => return ready(p, held, action),
        Prepared::Write(w) => return ready(p, held, Action::Write(w)),
        Prepared::Forward => Verdict::Forward,
        Prepared::Answer(r) => Verdict::Done(r),
        Prepared::Replan => Verdict::Replan,
        Prepared::Exclusive => Verdict::Exclusive,
        Prepared::Unresolved => Verdict::Unresolved,
    };
    (held, verdict)
}

fn ready<P: LegLock + Journal + LegIo + ?Sized>(
    p: &mut P,
    held: BothLocked,
    action: Action,
) -> (BothLocked, Verdict) {
    let mut held = held;
    if !held.plan().is_exclusive() {
        let more = p.late(&held).without(held.plan());
        if !more.is_empty() {
            held = match late(p, held, more) {
                Ok(h) => h,
                Err(out) => return out,
            };
        }
    }
    p.publish(&held);
    // Unannounced, a death in between would go unseen.
    if let Err(e) = p.sound() {
        return (held, Verdict::Done(Err(e)));
    }
    let verdict = match action {
        Action::Write(w) => Verdict::Done(write(p, w, &held)),
        Action::Call { undo } => call(p, undo, &held),
    };
    (held, verdict)
}

/// Locks what was found late.
fn late<P: LegLock + Journal + ?Sized>(
    p: &mut P,
    held: BothLocked,
    more: LockPlan,
) -> Result<BothLocked, (BothLocked, Verdict)> {
    let held = match lock_more(p, held, more) {
        Ok(h) => h,
        Err((h, miss)) => return Err((h, missed(miss))),
    };
    if more.objects().all(|o| p.state(o) == 0) {
        p.enter(&held, more);
        return Ok(held);
    }
    // A crashed process's post is not ours to free: give these back before the rest is left.
    Err((unlock_late(p, held, more), Verdict::Recover))
}

fn call<P: Journal + LegIo + ?Sized>(p: &mut P, undo: Undo, held: &BothLocked) -> Verdict {
    let answer = match p.apply(Step::First, held) {
        Ok(Applied(a)) => a,
        Err(Refused::Unresolved) => return Verdict::Unresolved,
        Err(Refused::Apart) => return Verdict::Exclusive,
        Err(why) => return Verdict::Done(Err(why.errno())),
    };
    let Err(why) = p.apply(Step::Second, held) else {
        return Verdict::Done(Ok(answer));
    };
    let e = why.errno();
    match e.class() {
        // Another change was half done on the way, or somebody touched one tree alone.
        ErrorClass::Semantic => semantic(p, undo, answer, why, held),
        ErrorClass::Leg | ErrorClass::Refusal | ErrorClass::ProcessLocal => {
            p.partner_error(e);
            let back = undone(p, undo, why, held);
            if back.is_ok() {
                return Verdict::Done(Err(e));
            }
            p.pending(held, e);
            Verdict::Done(answered(back, e, answer))
        }
    }
}

/// Takes the change back, if that is possible.
fn undone<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    undo: Undo,
    why: Refused,
    held: &BothLocked,
) -> Result<(), Refused> {
    if undo == Undo::Never {
        return Err(why.errno().into());
    }
    let source = Untouched::of(held, p.is_pending(held), why);
    p.undo(held, source.as_ref())
}

/// The answer where the second leg has refused with `e` and the change is not taken back: the first leg has
/// it, unless a part of it is gone again.
fn answered(back: Result<(), Refused>, e: Errno, answer: u64) -> Result<u64, Errno> {
    match back {
        Err(Refused::Part(_)) => Err(e),
        _ => Ok(answer),
    }
}

/// Retried once with exclusive access; then the first leg answers, and the second is made like
/// it.
fn semantic<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    undo: Undo,
    answer: u64,
    why: Refused,
    held: &BothLocked,
) -> Verdict {
    let e = why.errno();
    if p.holds(e, held) {
        p.partner_error(e);
        return Verdict::Done(Ok(answer));
    }
    if !held.plan().is_exclusive() {
        let back = undone(p, undo, why, held);
        if back.is_ok() {
            return Verdict::Exclusive;
        }
        p.partner_error(e);
        if let Err(Refused::Part(_)) = back {
            p.pending(held, e);
            return Verdict::Done(Err(e));
        }
        return Verdict::Left(answer);
    }
    p.partner_error(e);
    if p.heal(held).is_err() {
        p.pending(held, e);
    }
    Verdict::Done(Ok(answer))
}
