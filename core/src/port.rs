//! What the engine asks of those who run it: the library, the simulator, the tests.
use crate::Errno;
use crate::lock::{BothLocked, LockPlan};
use crate::quiesce::Posts;
use crate::refused::{Applied, Refused, Untouched};

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

/// What became of a change that is leg a's alone. Whatever is done is done to what was planned, and what was shown to
/// be it under the locks: a name or a number that leads elsewhere by then is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Lone {
    /// It is carried out: the kernel's answer.
    Done(Result<u64, Errno>),
    /// It changes no tree: the kernel's, when nothing is held any more.
    Kernel,
    /// The request has no business with the pair: let the kernel do it.
    Forward,
    /// What was planned does not stand, and nothing was done: plan again.
    Replan,
    /// It can be done only with exclusive access, and nothing was done.
    Exclusive,
    /// The name, or the number, does not lead where it promised: nothing was done, and it is resolved again outside.
    Unresolved,
}

impl Lone {
    /// What there is to be said before the call, after leg a's part was prepared. `None`: the call can be made.
    pub fn before(found: Prepared) -> Option<Lone> {
        match found {
            Prepared::Ready | Prepared::Write(_) => None,
            Prepared::Forward => Some(Lone::Forward),
            Prepared::Answer(r) => Some(Lone::Done(r)),
            Prepared::Replan => Some(Lone::Replan),
            Prepared::Exclusive => Some(Lone::Exclusive),
            Prepared::Unresolved => Some(Lone::Unresolved),
        }
    }
    /// After leg a's call.
    pub fn after(r: Result<u64, Refused>) -> Lone {
        match r {
            Ok(answer) => Lone::Done(Ok(answer)),
            Err(Refused::Unresolved) => Lone::Unresolved,
            Err(Refused::Apart) => Lone::Exclusive,
            Err(why) => Lone::Done(Err(why.errno())),
        }
    }
}

/// The intents.
pub trait Journal: Posts {
    /// Occupies the posts of `plan`'s objects, with the first lock of what is held. The word is looked at after
    /// it.
    fn enter(&mut self, held: &BothLocked, plan: LockPlan);
    /// Stores the intent (memory stores only) in the first lock's record, before the first leg is touched.
    fn publish(&mut self, held: &BothLocked);
    /// Frees the posts of `plan`'s objects, the first lock last.
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
    /// With leg b away: carries the whole change out on leg a. What is done here has ended before leg b can be on its
    /// way back.
    fn lone(&mut self, _held: &BothLocked) -> Lone {
        Lone::Kernel
    }
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
