//! The pair's lock: one object in each leg, leg a before leg b. The same objects that every mirrored
//! program takes for every change.
use crate::fail::{Context, Res};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::record::LOCK_FILE;
use mirror_core::{BothLocked, Errno, LegLock, LockMiss, LockPlan, lock_both, unlock_both};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::os::fd::OwnedFd;

/// This process's own descriptions of both lock objects.
pub struct Locks {
    fds: [OwnedFd; 2],
}

impl Locks {
    /// Opens them.
    pub fn open(legs: [&Root; 2]) -> Res<Locks> {
        let one = |r: &Root| {
            r.open_at(LOCK_FILE, OFlags::RDWR | OFlags::NOFOLLOW, Mode::empty())
                .about(format!("{}/{}", text::path(&r.path), text::show(LOCK_FILE)))
        };
        Ok(Locks {
            fds: [one(legs[0])?, one(legs[1])?],
        })
    }

    /// Waits for both. Waiting while holding leg a's is safe: everybody takes them in this order.
    pub fn wait(&mut self) -> Res<BothLocked> {
        lock_both(self, LockPlan::SINGLE).map_err(|m| match m {
            LockMiss::Failed(e) => {
                crate::fail::Fail::io("the pair's locks", std::io::Error::from_raw_os_error(e.0))
            }
            LockMiss::Busy => crate::fail::Fail::failed("the pair's locks are busy"),
        })
    }

    /// Takes both if nobody holds them.
    pub fn attempt(&mut self) -> Option<BothLocked> {
        lock_both(&mut Attempt(self), LockPlan::SINGLE).ok()
    }

    /// Gives both back.
    pub fn release(&mut self, held: BothLocked) {
        unlock_both(self, held);
    }
}

fn flock(fd: &OwnedFd, how: FlockOperation) -> Result<(), LockMiss> {
    loop {
        return match rustix::fs::flock(fd, how) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockMiss::Busy),
            Err(e) => Err(LockMiss::Failed(Errno(e.raw_os_error()))),
        };
    }
}

/// The command waits in the kernel: unlike the preloaded library it has no program's stack to go back to.
impl LegLock for Locks {
    fn try_lock(&mut self, leg: usize, _: LockPlan) -> Result<(), LockMiss> {
        flock(&self.fds[leg & 1], FlockOperation::LockExclusive)
    }
    fn unlock(&mut self, leg: usize, _: LockPlan) {
        let _ = flock(&self.fds[leg & 1], FlockOperation::Unlock);
    }
}

struct Attempt<'a>(&'a mut Locks);

impl LegLock for Attempt<'_> {
    fn try_lock(&mut self, leg: usize, _: LockPlan) -> Result<(), LockMiss> {
        flock(
            &self.0.fds[leg & 1],
            FlockOperation::NonBlockingLockExclusive,
        )
    }
    fn unlock(&mut self, leg: usize, plan: LockPlan) {
        self.0.unlock(leg, plan);
    }
}
