//! Claim 6 as a type: the change is inhibited until the locks of both copies are held.
//!
//! [`BothLocked`] has no public constructor; only [`lock_both`] makes one, and every port that
//! changes a leg demands it.
use crate::Errno;

/// Which stripes a transaction needs. With one stripe per pair it is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockPlan {
    /// Bit n = stripe n.
    stripes: u64,
}

impl LockPlan {
    /// The one stripe of a single-stripe pair.
    pub const SINGLE: LockPlan = LockPlan { stripes: 1 };
    /// The stripes, as bits.
    pub const fn stripes(self) -> u64 {
        self.stripes
    }
}

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMiss {
    /// Somebody holds it: wait outside, holding nothing, and try again.
    Busy,
    /// It cannot be taken at all.
    Failed(Errno),
}

/// A leg's lock objects. Never waits.
pub trait LegLock {
    /// Takes `leg`'s lock objects of the plan, exclusively.
    fn try_lock(&mut self, leg: usize, plan: LockPlan) -> Result<(), LockMiss>;
    /// Gives them back.
    fn unlock(&mut self, leg: usize, plan: LockPlan);
}

/// Proof that the locks on each leg's copy are held (claim 6). Cannot be made elsewhere:
/// ```compile_fail,E0451
/// let _ = mirror_core::BothLocked { plan: mirror_core::LockPlan::SINGLE };
/// ```
#[derive(Debug)]
pub struct BothLocked {
    plan: LockPlan,
}

impl BothLocked {
    /// What is held.
    pub fn plan(&self) -> LockPlan {
        self.plan
    }
}

/// Takes the locks of both legs in the order of leg ids, or none.
pub fn lock_both<L: LegLock + ?Sized>(l: &mut L, plan: LockPlan) -> Result<BothLocked, LockMiss> {
    l.try_lock(0, plan)?;
    if let Err(miss) = l.try_lock(1, plan) {
        l.unlock(0, plan);
        return Err(miss);
    }
    Ok(BothLocked { plan })
}

/// Gives both back, in reverse order; consumes the proof.
pub fn unlock_both<L: LegLock + ?Sized>(l: &mut L, held: BothLocked) {
    l.unlock(1, held.plan);
    l.unlock(0, held.plan);
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[derive(Default)]
    struct Rec {
        log: Vec<(char, usize)>,
        busy: Option<usize>,
    }
    impl LegLock for Rec {
        fn try_lock(&mut self, leg: usize, _: LockPlan) -> Result<(), LockMiss> {
            if self.busy == Some(leg) {
                return Err(LockMiss::Busy);
            }
            self.log.push(('+', leg));
            Ok(())
        }
        fn unlock(&mut self, leg: usize, _: LockPlan) {
            self.log.push(('-', leg));
        }
    }

    #[test]
    fn order_and_release() {
        let mut r = Rec::default();
        let k = lock_both(&mut r, LockPlan::SINGLE).unwrap();
        unlock_both(&mut r, k);
        assert_eq!(r.log, [('+', 0), ('+', 1), ('-', 1), ('-', 0)]);
    }

    #[test]
    fn a_miss_holds_nothing() {
        for (busy, log) in [(0, &[][..]), (1, &[('+', 0), ('-', 0)][..])] {
            let mut r = Rec {
                busy: Some(busy),
                ..Rec::default()
            };
            assert_eq!(
                lock_both(&mut r, LockPlan::SINGLE).unwrap_err(),
                LockMiss::Busy
            );
            assert_eq!(r.log, log);
        }
    }
}
