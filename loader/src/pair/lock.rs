//! The pair's lock objects in each leg, leg a before leg b: the same objects that every mirrored program
//! takes. The command takes the whole pair, exclusively.
use super::runtime::Runtime;
use crate::fail::{Context, Res};
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::object::std;
use mirror_core::{
    BothLocked, Errno, Leg, LegLock, LockMiss, OBJECTS, PerLeg, Posts, StateWord, View, WHOLE,
};
use mirror_pair::{locks, posts};
use mirror_sys::Sys;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// This process's own descriptions of the lock objects, opened as they are needed.
pub struct Locks {
    legs: PerLeg<Root>,
    fds: BTreeMap<(Leg, usize), OwnedFd>,
}

impl Locks {
    /// Opens the objects of the whole pair; fails if this user may not.
    pub fn open(legs: [&Root; 2]) -> Res<Locks> {
        let mut l = Locks {
            legs: PerLeg {
                a: legs[0].again()?,
                b: legs[1].again()?,
            },
            fds: BTreeMap::new(),
        };
        for leg in Leg::BOTH {
            let name = format!("{}/.mirror/locks/whole", text::path(&l.legs[leg].path));
            std(l.fd(leg, WHOLE)).about(name)?;
        }
        Ok(l)
    }

    fn fd(&mut self, leg: Leg, object: usize) -> Sys<i32> {
        use std::collections::btree_map::Entry;
        match self.fds.entry((leg, object)) {
            Entry::Occupied(e) => Ok(e.get().as_raw_fd()),
            Entry::Vacant(v) => {
                let root = self.legs[leg].fd().as_raw_fd();
                let n = match locks::open(root, object, libc::O_RDWR) {
                    // A comparison of a read-only leg locks too.
                    Err(Errno::EROFS) => locks::open(root, object, libc::O_RDONLY)?,
                    r => r?,
                };
                // SAFETY: a descriptor that was opened just now and belongs to nobody else.
                v.insert(unsafe { OwnedFd::from_raw_fd(n) });
                Ok(n)
            }
        }
    }

    /// Whether any post is a crashed process's.
    pub fn any_dead(&mut self, rt: View<'_>) -> bool {
        (WHOLE..OBJECTS).any(|o| posts::crashed(self, rt, o))
    }
}

impl LegLock for Locks {
    fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        let taken = self.fd(leg, object).and_then(locks::take);
        taken.map_err(|e| locks::missed(object, e))
    }
    fn unlock(&mut self, leg: Leg, object: usize) {
        if let Ok(n) = self.fd(leg, object) {
            locks::give_back(n);
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
    fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.locks.try_lock(leg, object)
    }
    fn unlock(&mut self, leg: Leg, object: usize) {
        self.locks.unlock(leg, object);
        if locks::wakes(self.runtime.view(), leg, object) {
            self.runtime.wake(object);
        }
    }
}

impl<H: FnMut(usize, &BothLocked)> Posts for Alone<'_, H> {
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
        posts::set_exclusive(self.runtime.view(), on);
    }
    fn pause(&mut self, _: usize, nth: u32) -> bool {
        std::thread::sleep(Duration::from_micros(200));
        nth < 250
    }
    fn recover(&mut self, object: usize, held: &BothLocked) {
        (self.heal)(object, held);
    }
}
