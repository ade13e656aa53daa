//! The one algorithm for every change (design §5):
//! lock, come in, resolve under the lock, publish the intent, first leg, second leg, settle, leave,
//! unlock. The preloaded library and the simulator both run this code; what differs is the port.
use crate::lock::{
    BothLocked, LegLock, LockMiss, LockPlan, WHOLE, lock_both, lock_more, unlock_both, unlock_late,
};
use crate::quiesce::{Posts, quiesce};
use crate::refused::{Applied, Refused, Untouched};
use crate::{Errno, ErrorClass, Leg};

/// What a change does, as far as the engine must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Data at the position of a descriptor, at an offset, or at the end.
    Write(Where),
    /// Anything else: the same call on the second leg, with what the first leg answered.
    Call {
        /// Whether the first leg can be put back after the second has refused.
        undo: Undo,
    },
}

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// At the descriptor's position, which moves.
    Position,
    /// At this offset; the position stays.
    At(u64),
    /// At the end of the file; the kernel moves the position if `moves`.
    End {
        /// write(2) moves the position of an O_APPEND descriptor, pwrite(2) does not.
        moves: bool,
    },
}

/// Whether the first leg's change can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It made something new or changed attributes that the second leg still has.
    Possible,
    /// It removed a name or data: it is finished, never undone.
    Never,
}

/// The first or the second leg of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The leg that the request addresses: its answer is the program's.
    First,
    /// The other one.
    Second,
}

/// What the port found when it resolved the request under the locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Both legs' objects are at hand.
    Ready,
    /// The same, of a write; only now is it known where it goes.
    Write(Where),
    /// The request has no business with the pair: let the kernel do it.
    Forward,
    /// There is nothing to do: this is the answer.
    Answer(Result<u64, Errno>),
    /// The plan was made from what is not true any more: plan again.
    Replan,
    /// The legs do not look alike on the way: another change is half done, or somebody touched one tree.
    /// That can be told only with exclusive access.
    Exclusive,
    /// The name does not lead where it promised: nothing is done, and it is resolved again outside.
    Unresolved,
}

/// The intents.
pub trait Journal: Posts {
    /// Occupies the posts of `plan`'s objects, with the lead of what is held. The word is looked at after
    /// it.
    fn enter(&mut self, held: &BothLocked, plan: LockPlan);
    /// Stores the intent (memory stores only) in the lead's record, before the first leg is touched.
    fn publish(&mut self, held: &BothLocked);
    /// Frees the posts of `plan`'s objects, the lead last.
    fn leave(&mut self, held: &BothLocked, plan: LockPlan);
    /// Counts an error of the second leg, whatever becomes of it: in a healthy pair there is none.
    fn partner_error(&mut self, _why: Errno) {}
    /// Records durably that this transaction's object differs between the legs, and why.
    fn pending(&mut self, held: &BothLocked, why: Errno);
    /// Whether this transaction's object is on record as differing already.
    fn is_pending(&self, _held: &BothLocked) -> bool {
        self.word().pending()
    }
}

/// Effects on the legs. Whatever changes a leg wants the proof of both locks.
pub trait LegIo {
    /// Resolves the request on both legs.
    fn prepare(&mut self, held: &BothLocked) -> Prepared;
    /// What else must be locked, now that the request is resolved: of the last table only.
    fn late(&mut self, _held: &BothLocked) -> LockPlan {
        LockPlan::EMPTY
    }
    /// The call of an [`Action::Call`] on one leg.
    fn apply(&mut self, step: Step, held: &BothLocked) -> Result<Applied, Refused>;
    /// Takes the first leg's call back, and what the second leg has done of it. Refused if that would lose
    /// something: a replaced name, cut data. The second leg is a source only with `source`. In part: what the
    /// first leg has now is neither what it was nor what the call makes of it.
    fn undo(&mut self, held: &BothLocked, source: Option<&Untouched<'_>>) -> Result<(), Refused>;
    /// Whether the second leg, which has answered `why`, already is as the call would leave it.
    fn holds(&mut self, why: Errno, held: &BothLocked) -> bool;
    /// Makes the object equal, from the first leg to the second. The caller is exclusive.
    fn heal(&mut self, held: &BothLocked) -> Result<(), Errno>;

    /// The descriptor's position on the first leg.
    fn position(&mut self) -> Result<u64, Errno>;
    /// Sets it.
    fn set_position(&mut self, to: u64, held: &BothLocked) -> Result<(), Errno>;
    /// Size of the file on the first leg.
    fn size(&mut self) -> Result<u64, Errno>;
    /// Writes on the first leg: at `Some(offset)`, or at the end as the kernel sees it.
    fn write_first(&mut self, at: Option<u64>, held: &BothLocked) -> Result<u64, Errno>;
    /// Writes bytes `done..upto` of the request's data on the second leg at `at + done`.
    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        held: &BothLocked,
    ) -> Result<u64, Errno>;
    /// Brings the first leg back to what the second has from `from` on (`to` was written; `old_size`
    /// is the size before). In part: some of these bytes.
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        old_size: Option<u64>,
        source: &Untouched<'_>,
    ) -> Result<(), Refused>;
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer for the program.
    Done(Result<u64, Errno>),
    /// Not ours.
    Forward,
    /// Leg b is away: the kernel's, on leg a alone. Whoever changes the object on both legs has ended it: its
    /// locks on leg a were held.
    Alone,
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
        let stands = p.stands(word);
        unlock_both(p, held);
        // What crashed processes have left is nobody's concern then: all is compared before leg b is back.
        return if word.alone() && !word.exclusive() {
            Verdict::alone(stands)
        } else {
            Verdict::Recover
        };
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
        p.leave(&held, plan);
        unlock_both(p, held);
        return Verdict::alone(word.alone() && stands);
    }
    let (held, verdict) = inside(p, held, action);
    if !matches!(verdict, Verdict::Left(_)) {
        p.leave(&held, held.plan());
    }
    unlock_both(p, held);
    verdict
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
    if let Err(miss) = quiesce(p, &held) {
        p.set_exclusive(&held, false);
        unlock_both(p, held);
        return missed(miss);
    }
    if p.word().alone() {
        p.set_exclusive(&held, false);
        unlock_both(p, held);
        return Verdict::Alone;
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

/// Offsets are given, never derived: a reader that shares the descriptor moves its position without
/// any lock.
// long: one write in its order: place, first leg, second leg, cut
fn write<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    w: Where,
    held: &BothLocked,
) -> Result<u64, Errno> {
    // Only for appends that move the position: the kernel moves it with bytes that are taken back.
    let mut before = 0;
    let (at, k, old_size) = match w {
        Where::Position => {
            let at = p.position()?;
            (at, p.write_first(Some(at), held)?, None)
        }
        Where::At(at) => (at, p.write_first(Some(at), held)?, None),
        Where::End { moves } => {
            if moves {
                before = p.position()?;
            }
            let k = p.write_first(None, held)?;
            // All appenders hold the locks, so the end is where these k bytes end.
            let at = match p.size() {
                Ok(size) => size.saturating_sub(k),
                // Written, and nobody can tell where: the program has its answer.
                Err(e) => {
                    p.pending(held, e);
                    return Ok(k);
                }
            };
            (at, k, Some(at))
        }
    };
    let mut done = 0;
    let mut failed = None;
    while done < k {
        match p.write_second(at, done, k, held) {
            Ok(0) => {
                failed = Some(Errno::EIO);
                break;
            }
            Ok(n) => done = done.saturating_add(n).min(k),
            Err(Errno::EINTR) => {}
            Err(e) => {
                failed = Some(e);
                break;
            }
        }
    }
    if let Some(e) = failed {
        p.partner_error(e);
    }
    let kept = match failed {
        None => Ok(k),
        Some(e) => {
            // A refused write takes nothing: behind what it has taken, the second leg is what it was.
            let source = Untouched::of(held, p.is_pending(held), Refused::Whole(e));
            let (from, to) = (at.saturating_add(done), at.saturating_add(k));
            match source.map(|s| p.unwrite(from, to, old_size, &s)) {
                // Both legs are equal again, shorter by what the second could not take.
                Some(Ok(())) if done > 0 => Ok(done),
                Some(Ok(())) => Err(e),
                Some(Err(Refused::Whole(_) | Refused::Unresolved | Refused::Apart)) | None => {
                    p.pending(held, e);
                    Ok(k)
                }
                // Of the rest, some is gone again.
                Some(Err(Refused::Part(_))) => {
                    p.pending(held, e);
                    if done > 0 { Ok(done) } else { Err(e) }
                }
            }
        }
    };
    match (w, kept) {
        (Where::Position, Ok(n)) if n > 0 => p.set_position(at.saturating_add(n), held)?,
        (Where::End { moves: true }, Ok(n)) if n < k => {
            p.set_position(at.saturating_add(n), held)?
        }
        // A failed write leaves the position where it was.
        (Where::End { moves: true }, Err(_)) => p.set_position(before, held)?,
        _ => {}
    }
    kept
}
