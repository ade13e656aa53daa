//! The pair's lock objects in each leg, leg a before leg b: the same objects that every mirrored program
//! takes. The command takes the whole pair and keeps everybody else out.
use super::runtime::Runtime;
use crate::fail::{Context, Res};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::record::lock_name;
use mirror_core::{BothLocked, Errno, LegLock, LockMiss, OBJECTS, Posts, StateWord, View, WHOLE};
use mirror_pair::posts;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// This process's own descriptions of the lock objects, opened as they are needed.
pub struct Locks {
    legs: [Root; 2],
    fds: BTreeMap<(usize, usize), OwnedFd>,
}

impl Locks {
    /// Opens the objects of the whole pair; fails if this user may not.
    pub fn open(legs: [&Root; 2]) -> Res<Locks> {
        let mut l = Locks {
            legs: [legs[0].again()?, legs[1].again()?],
            fds: BTreeMap::new(),
        };
        for leg in 0..2 {
            let name = format!("{}/.mirror/locks/whole", text::path(&l.legs[leg].path));
            l.fd(leg, WHOLE).about(name)?;
        }
        Ok(l)
    }

    fn fd(&mut self, leg: usize, object: usize) -> std::io::Result<&OwnedFd> {
        use std::collections::btree_map::Entry;
        match self.fds.entry((leg, object)) {
            Entry::Occupied(e) => Ok(e.into_mut()),
            Entry::Vacant(v) => {
                let name = lock_name(object).ok_or(std::io::ErrorKind::InvalidInput)?;
                let root = &self.legs[leg & 1];
                let open = |how: OFlags| root.control(name.as_bytes(), how, Mode::empty());
                Ok(v.insert(match open(OFlags::RDWR) {
                    // A comparison of a read-only leg locks too.
                    Err(e) if e.raw_os_error() == Some(libc::EROFS) => open(OFlags::RDONLY)?,
                    r => r?,
                }))
            }
        }
    }

    /// Whether any post is a crashed process's.
    pub fn any_dead(&mut self, rt: View<'_>) -> bool {
        (WHOLE..OBJECTS).any(|o| posts::crashed(self, rt, o))
    }
}

impl LegLock for Locks {
    fn try_lock(&mut self, leg: usize, object: usize) -> Result<(), LockMiss> {
        let failed =
            |e: std::io::Error| LockMiss::Failed(Errno(e.raw_os_error().unwrap_or(libc::EIO)));
        let fd = self.fd(leg, object).map_err(failed)?;
        loop {
            return match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::WOULDBLOCK) => Err(LockMiss::Busy(object)),
                Err(e) => Err(LockMiss::Failed(Errno(e.raw_os_error()))),
            };
        }
    }
    fn unlock(&mut self, leg: usize, object: usize) {
        if let Ok(fd) = self.fd(leg, object) {
            let _ = rustix::fs::flock(fd, FlockOperation::Unlock);
        }
    }
}

/// The locks, the posts, and what ends a crashed process's change.
pub struct Alone<'a, H> {
    /// The lock objects.
    pub locks: &'a mut Locks,
    /// The runtime file.
    pub runtime: &'a Runtime,
    /// Ends the change in an object's record.
    pub heal: H,
}

impl<H> LegLock for Alone<'_, H> {
    fn try_lock(&mut self, leg: usize, object: usize) -> Result<(), LockMiss> {
        self.locks.try_lock(leg, object)
    }
    fn unlock(&mut self, leg: usize, object: usize) {
        self.locks.unlock(leg, object);
        if leg == 0 && self.runtime.view().waited_for(object) {
            self.runtime.wake(object);
        }
    }
}

impl<H: FnMut(usize, &BothLocked) -> bool> Posts for Alone<'_, H> {
    fn word(&self) -> StateWord {
        self.runtime.word()
    }
    fn sound(&self) -> Result<(), Errno> {
        self.runtime.view().sound()
    }
    fn state(&self, object: usize) -> u32 {
        self.runtime.view().state(object)
    }
    fn forget(&mut self, object: usize, _: &BothLocked) {
        self.runtime.view().forget(object);
    }
    fn set_exclusive(&mut self, _: &BothLocked, on: bool) {
        if on {
            self.runtime.view().set_bits(StateWord::EXCLUSIVE);
        } else {
            self.runtime.view().count_generation();
            self.runtime.view().clear_bits(StateWord::EXCLUSIVE);
        }
    }
    fn pause(&mut self, _: usize, nth: u32) -> bool {
        std::thread::sleep(Duration::from_micros(200));
        nth < 250
    }
    fn recover(&mut self, object: usize, held: &BothLocked) {
        (self.heal)(object, held);
    }
}
