//! The loop around [`transact`](crate::transact): what comes after each verdict, until there is an
//! answer. The library and the simulator run it; what differs is how they wait.
use crate::{Errno, LockMiss, LockPlan, Prepared, Verdict, WHOLE};

/// A plan that did not stand this often is made exclusively.
const REPLANS: u8 = 3;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Plan and run again; the intent of the last run is void.
    Again,
    /// End what a crashed process, or this change itself, has left: [`crate::recover`], then
    /// [`Drive::recovered`]. For the `nth` time, beginning with 0: before each but the first, wait a little.
    Recover(u32),
    /// This object is held elsewhere: wait holding nothing, then begin anew.
    Wait(usize),
    /// The answer for the program.
    Answer(Result<u64, Errno>),
    /// Not ours: the kernel's.
    Native,
    /// Resolve the name again, and begin anew with what is found.
    Unresolved,
    /// Leg b is away, and no tree is changed: the kernel's.
    Alone,
    /// Leg b is away: the kernel's answer, from leg a.
    Lone(Result<u64, Errno>),
}

/// One request on its way.
#[derive(Clone, Debug, Hash)]
pub struct Drive {
    /// The change is to be exclusive.
    exclusive: bool,
    replans: u8,
    /// Rounds that are left before it waits outside, if they are counted.
    rounds: Option<u32>,
    /// The answer of a change that the second leg lacks, and that is still announced.
    left: Option<u64>,
    recoveries: u32,
    /// How often the own change is tried to be ended before that is left to others.
    patience: u32,
}

impl Drive {
    /// A request that has not begun. `rounds`: how many it takes before it waits outside, since whoever
    /// can write the posts can ask for one more each time. `patience`: how often it tries to end its own
    /// change that the second leg lacks.
    pub fn new(rounds: Option<u32>, patience: u32) -> Drive {
        Drive {
            exclusive: false,
            replans: 0,
            rounds,
            left: None,
            recoveries: 0,
            patience,
        }
    }

    /// Whether the change is to be exclusive.
    pub fn exclusive(&self) -> bool {
        self.exclusive
    }

    /// The answer of a change that is announced and that the second leg lacks.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// The plan for the next run. `plan` finds out without locks which objects are needed; it may know
    /// the answer already.
    pub fn plan(
        &mut self,
        plan: impl FnOnce() -> Result<LockPlan, Prepared>,
    ) -> Result<LockPlan, Next> {
        if let Some(rounds) = self.rounds {
            self.rounds = Some(rounds.checked_sub(1).ok_or(Next::Wait(WHOLE))?);
        }
        if self.exclusive {
            return Ok(LockPlan::EXCLUSIVE);
        }
        match plan() {
            Ok(plan) => Ok(plan),
            Err(Prepared::Answer(r)) => Err(Next::Answer(r)),
            Err(Prepared::Forward) => Err(Next::Native),
            Err(Prepared::Unresolved) => Err(Next::Unresolved),
            Err(_) => {
                self.exclusive = true;
                Ok(LockPlan::EXCLUSIVE)
            }
        }
    }

    /// After a run. `unequal`: on the way the legs were seen to differ, so an error is no answer before
    /// the pair was taken exclusively.
    pub fn ran(&mut self, verdict: Verdict, unequal: bool) -> Next {
        match verdict {
            Verdict::Done(Err(_)) if unequal && !self.exclusive => {
                self.exclusive = true;
                Next::Again
            }
            Verdict::Done(r) => Next::Answer(r),
            Verdict::Forward => Next::Native,
            Verdict::Unresolved => Next::Unresolved,
            Verdict::Alone => Next::Alone,
            Verdict::Lone(r) => Next::Lone(r),
            Verdict::NeedLock(object) => Next::Wait(object),
            Verdict::Replan => {
                self.replans = self.replans.saturating_add(1);
                self.exclusive |= self.replans > REPLANS;
                Next::Again
            }
            Verdict::Exclusive => {
                self.exclusive = true;
                Next::Again
            }
            Verdict::Recover => Next::Recover(0),
            Verdict::Left(answer) => {
                self.left = Some(answer);
                Next::Recover(0)
            }
        }
    }

    /// After [`crate::recover`].
    pub fn recovered(&mut self, r: Result<(), LockMiss>) -> Next {
        match (r, self.left) {
            (Ok(()), None) => Next::Again,
            (Err(LockMiss::Busy(object)), None) => Next::Wait(object),
            (Err(LockMiss::Failed(e)), None) => Next::Answer(Err(e)),
            (Err(LockMiss::Busy(_)), Some(_))
                if self.recoveries.saturating_add(1) < self.patience =>
            {
                self.recoveries = self.recoveries.saturating_add(1);
                Next::Recover(self.recoveries)
            }
            // It is announced: whoever comes upon it ends it.
            (_, Some(answer)) => Next::Answer(Ok(answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Result<LockPlan, Prepared> = Ok(LockPlan::EMPTY);

    #[test]
    fn plans_that_do_not_stand_end_exclusively() {
        let mut d = Drive::new(None, 2);
        for _ in 0..REPLANS {
            assert_eq!(d.ran(Verdict::Replan, false), Next::Again);
            assert_eq!(d.plan(|| PLAN), Ok(LockPlan::EMPTY));
        }
        assert_eq!(d.ran(Verdict::Replan, false), Next::Again);
        assert_eq!(d.plan(|| PLAN), Ok(LockPlan::EXCLUSIVE));
        // What was decided once stays so.
        assert_eq!(d.ran(Verdict::Replan, false), Next::Again);
        assert_eq!(d.plan(|| PLAN), Ok(LockPlan::EXCLUSIVE));
    }

    #[test]
    fn an_error_is_an_answer_only_where_the_legs_looked_alike() {
        let e = Verdict::Done(Err(Errno::ENOENT));
        let mut d = Drive::new(None, 2);
        assert_eq!(d.ran(e, true), Next::Again);
        assert!(d.exclusive());
        assert_eq!(d.ran(e, true), Next::Answer(Err(Errno::ENOENT)));
        assert_eq!(
            Drive::new(None, 2).ran(e, false),
            Next::Answer(Err(Errno::ENOENT))
        );
    }

    #[test]
    fn rounds_have_an_end() {
        let mut d = Drive::new(Some(2), 2);
        assert!(d.plan(|| PLAN).is_ok());
        assert!(d.plan(|| PLAN).is_ok());
        assert_eq!(d.plan(|| PLAN), Err(Next::Wait(WHOLE)));
    }

    #[test]
    fn an_announced_change_is_ended_or_left_with_its_answer() {
        let busy = || Err(LockMiss::Busy(7));
        let mut d = Drive::new(None, 3);
        assert_eq!(d.ran(Verdict::Left(5), false), Next::Recover(0));
        assert_eq!(d.recovered(busy()), Next::Recover(1));
        assert_eq!(d.recovered(busy()), Next::Recover(2));
        assert_eq!(d.recovered(busy()), Next::Answer(Ok(5)));
        let mut d = Drive::new(None, 3);
        assert_eq!(d.ran(Verdict::Recover, false), Next::Recover(0));
        assert_eq!(d.recovered(busy()), Next::Wait(7));
        assert_eq!(d.recovered(Ok(())), Next::Again);
        let failed = Err(LockMiss::Failed(Errno::EIO));
        assert_eq!(d.recovered(failed), Next::Answer(Err(Errno::EIO)));
    }

    #[test]
    fn a_plan_may_know_the_answer() {
        let mut d = Drive::new(None, 2);
        let answer = d.plan(|| Err(Prepared::Answer(Ok(3))));
        assert_eq!(answer, Err(Next::Answer(Ok(3))));
        assert_eq!(d.plan(|| Err(Prepared::Forward)), Err(Next::Native));
        let unresolved = d.plan(|| Err(Prepared::Unresolved));
        assert_eq!(unresolved, Err(Next::Unresolved));
        assert_eq!(d.ran(Verdict::Unresolved, true), Next::Unresolved);
        assert!(!d.exclusive());
        assert_eq!(d.plan(|| Err(Prepared::Exclusive)), Ok(LockPlan::EXCLUSIVE));
    }
}
