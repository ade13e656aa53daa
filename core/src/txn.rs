//! The one algorithm for every change (design §5):
//! lock, heal what a dead holder left, resolve under the lock, publish the intent, first leg, second
//! leg, settle, retract, unlock. The preloaded library and the simulator both run this code; what
//! differs is the port.
use crate::lock::{BothLocked, LegLock, LockMiss, LockPlan, lock_both, unlock_both};
use crate::word::StateWord;
use crate::{Errno, ErrorClass};

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
    /// The request has no business with the pair: let the kernel do it.
    Forward,
    /// There is nothing to do: this is the answer.
    Answer(Result<u64, Errno>),
}

/// The state word and the intents.
pub trait Journal {
    /// Loads the state word.
    fn word(&self) -> StateWord;
    /// Whether the record behind the held locks is that of a dead holder.
    fn orphan(&self, held: &BothLocked) -> bool;
    /// Stores the intent (memory stores only), before the first leg is touched.
    fn publish(&mut self, held: &BothLocked);
    /// Clears it.
    fn retract(&mut self, held: &BothLocked);
    /// Counts an error of the second leg, whatever becomes of it: in a healthy pair there is none.
    fn partner_error(&mut self, _why: Errno) {}
    /// Records durably that this transaction's object differs between the legs, and why.
    fn pending(&mut self, held: &BothLocked, why: Errno);
}

/// Effects on the legs. Whatever changes a leg wants the proof of both locks.
pub trait LegIo {
    /// Resolves the request on both legs.
    fn prepare(&mut self, held: &BothLocked) -> Prepared;
    /// The call of an [`Action::Call`] on one leg.
    fn apply(&mut self, step: Step, held: &BothLocked) -> Result<u64, Errno>;
    /// Takes the first leg's call back. Refused if that would lose something (a replaced name, cut
    /// data), or if the second leg's object is pending: it is no source.
    fn undo(&mut self, held: &BothLocked) -> Result<(), Errno>;
    /// Whether the second leg already is as the call would leave it.
    fn holds(&mut self, held: &BothLocked) -> bool;
    /// Makes the object equal, from the first leg to the second.
    fn heal(&mut self, held: &BothLocked) -> Result<(), Errno>;
    /// Ends what a dead holder left.
    fn heal_orphan(&mut self, held: &BothLocked);

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
    /// is the size before). Refused if the object is pending: the second leg's copy is no source.
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        old_size: Option<u64>,
        held: &BothLocked,
    ) -> Result<(), Errno>;
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer for the program.
    Done(Result<u64, Errno>),
    /// Not ours.
    Forward,
    /// A lock is held elsewhere: wait holding nothing, then ask again.
    NeedLock,
}

/// Runs one change.
pub fn transact<P: LegLock + Journal + LegIo + ?Sized>(
    p: &mut P,
    plan: LockPlan,
    action: Action,
) -> Verdict {
    let held = match lock_both(p, plan) {
        Ok(h) => h,
        Err(LockMiss::Busy) => return Verdict::NeedLock,
        Err(LockMiss::Failed(e)) => return Verdict::Done(Err(e)),
    };
    if p.orphan(&held) {
        p.heal_orphan(&held);
        p.retract(&held);
    }
    let verdict = match p.prepare(&held) {
        Prepared::Forward => Verdict::Forward,
        Prepared::Answer(r) => Verdict::Done(r),
        Prepared::Ready => {
            p.publish(&held);
            let r = match action {
                Action::Write(w) => write(p, w, &held),
                Action::Call { undo } => call(p, undo, &held),
            };
            p.retract(&held);
            Verdict::Done(r)
        }
    };
    unlock_both(p, held);
    verdict
}

fn call<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    undo: Undo,
    held: &BothLocked,
) -> Result<u64, Errno> {
    let answer = p.apply(Step::First, held)?;
    let Err(e) = p.apply(Step::Second, held) else {
        return Ok(answer);
    };
    p.partner_error(e);
    match e.class() {
        // Somebody touched one tree alone. The first leg answers; the second is made like it.
        ErrorClass::Semantic => {
            if !p.holds(held) && p.heal(held).is_err() {
                p.pending(held, e);
            }
            Ok(answer)
        }
        ErrorClass::Leg | ErrorClass::Refusal | ErrorClass::ProcessLocal => {
            if undo == Undo::Possible && p.undo(held).is_ok() {
                return Err(e);
            }
            p.pending(held, e);
            Ok(answer)
        }
    }
}

/// Offsets are given, never derived: a reader that shares the descriptor moves its position without
/// any lock.
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
        Some(e) => match p.unwrite(
            at.saturating_add(done),
            at.saturating_add(k),
            old_size,
            held,
        ) {
            // Both legs are equal again, shorter by what the second could not take.
            Ok(()) if done > 0 => Ok(done),
            Ok(()) => Err(e),
            Err(_) => {
                p.pending(held, e);
                Ok(k)
            }
        },
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
