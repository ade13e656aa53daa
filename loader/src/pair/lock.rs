//! The pair's lock objects in each leg, leg a before leg b: the same objects that every mirrored program
//! takes. The command takes the whole pair, exclusively.
use super::runtime::Runtime;
use crate::fail::{Context, Res};
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::object::std;
use mirror_core::{
    BothLocked, Errno, Leg, LegLock, LockKind, LockMiss, LockWord, OBJECTS, PerLeg, Posts,
    StateWord, WHOLE,
};
use mirror_pair::words::{self, Standing, Taken, Wanted};
use mirror_pair::{locks, posts};
use mirror_sys::Sys;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// This process's own descriptions of the lock objects, opened as they are needed.
pub struct Locks {
    legs: PerLeg<Root>,
    fds: BTreeMap<(Leg, usize), OwnedFd>,
    /// Where locks are words: how this process takes part, and the description with its slot's byte.
    standing: Option<(Standing, Option<OwnedFd>)>,
    taken: Taken,
    count: u64,
}

impl Locks {
    /// Opens the objects of the whole pair; fails if this user may not.
    pub fn open(legs: PerLeg<&Root>) -> Res<Locks> {
        let mut l = Locks {
            legs: PerLeg {
                a: legs.a.again()?,
                b: legs.b.again()?,
            },
            fds: BTreeMap::new(),
            standing: None,
            taken: Taken::default(),
            count: 0,
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
    pub fn any_dead(&mut self, runtime: &Runtime) -> bool {
        let mut of = Of {
            locks: self,
            runtime,
        };
        (WHOLE..OBJECTS).any(|o| posts::crashed(&mut of, runtime.view(), o))
    }

    fn flock(&mut self, leg: Leg, object: usize, on: bool) -> Sys<()> {
        let n = self.fd(leg, object)?;
        match on {
            true => locks::take(n),
            false => {
                locks::give_back(n);
                Ok(())
            }
        }
    }

    /// How this process takes part where locks are words.
    fn standing(&mut self, runtime: &Runtime) -> Sys<Standing> {
        if let Some((standing, _)) = &self.standing {
            return Ok(*standing);
        }
        let file = runtime.file.as_ref().ok_or(Errno::EIO)?.as_raw_fd();
        let own = runtime.view().own().and_then(|rt| {
            let n = mirror_sys::open_again(file, libc::O_RDWR).ok()?;
            // SAFETY: a descriptor that was opened just now and belongs to nobody else.
            let n = unsafe { OwnedFd::from_raw_fd(n) };
            let holder = words::prove(n.as_raw_fd(), rt).ok()?;
            Some((holder, n))
        });
        let standing = match own {
            Some((holder, n)) => (Standing::Words(holder), Some(n)),
            None => {
                runtime.rely()?;
                (Standing::Flocks(file), None)
            }
        };
        Ok(self.standing.insert(standing).0)
    }

    /// Whether a holder lives is asked at once: of those who look once whether somebody has died, too.
    fn take(&mut self, rt: &Runtime, leg: Leg, object: usize) -> Result<(), LockMiss> {
        let failed = |e| locks::missed(object, e);
        if rt.locks == LockKind::Flock {
            return self.flock(leg, object, true).map_err(failed);
        }
        let standing = self.standing(rt).map_err(failed)?;
        let mut seen = rt.view().lock_word(leg, object);
        self.count = self.count.wrapping_add(1);
        let (count, pid) = (self.count, std::process::id());
        let mut taken = std::mem::take(&mut self.taken);
        let flock = &mut |on| self.flock(leg, object, on);
        let w = Wanted { leg, object, flock };
        let next = |slot| LockWord::of(slot, count);
        let r = taken.take(rt.view(), standing, w, next, &mut seen, pid);
        self.taken = taken;
        r
    }

    fn give_back(&mut self, rt: &Runtime, leg: Leg, object: usize) {
        match self.standing {
            Some((standing, _)) => {
                let mut taken = std::mem::take(&mut self.taken);
                let flock = &mut |on| self.flock(leg, object, on);
                taken.give_back(rt.view(), standing, Wanted { leg, object, flock });
                self.taken = taken;
            }
            None => {
                let _ = self.flock(leg, object, false);
            }
        }
        if locks::wakes(rt.view(), leg, object) {
            rt.wake(object);
        }
    }
}

/// The locks of a pair with this runtime file.
struct Of<'a> {
    locks: &'a mut Locks,
    runtime: &'a Runtime,
}

impl LegLock for Of<'_> {
    fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.locks.take(self.runtime, leg, object)
    }
    fn unlock(&mut self, leg: Leg, object: usize) {
        self.locks.give_back(self.runtime, leg, object);
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
        self.locks.take(self.runtime, leg, object)
    }
    fn unlock(&mut self, leg: Leg, object: usize) {
        self.locks.give_back(self.runtime, leg, object);
    }
    fn stands(&self, word: StateWord) -> bool {
        self.locks.taken.stands(word)
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
