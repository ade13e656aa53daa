//! The lock objects of a change, by the pair's kind of locks.
//!
//! Rules: the owner of the memory holds TX, and has its descriptions under fixed numbers; a guest has some of its
//! own for one change. Nothing here waits.
use crate::attach::handle::Session;
use crate::attach::holder;
use crate::attach::session;
use crate::process::actor::{OWN_PID, SPLIT};
use core::sync::atomic::Ordering;
use mirror_core::{Errno, Leg, LockKind, LockMiss, StateWord};
use mirror_pair::locks;
use mirror_pair::words::{Standing, Taken, Wanted};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Most lock descriptions of a guest's transaction: two directories, a file, the whole, and one of a
/// crashed process, on two legs.
const GUEST_LOCKS: usize = 12;

/// What one run of a change holds.
pub struct Held {
    /// It is the owner's, in the owner's table of descriptors.
    own: bool,
    /// TX is held.
    alone: bool,
    /// Its slot is the process's. (Of threads with descriptors of their own, one may have what another has not.)
    lasting: bool,
    /// A guest's open lock objects: (leg, object, descriptor or −1).
    guest: [(Leg, usize, i32); GUEST_LOCKS],
    /// Where locks are words: how this process takes part.
    standing: Option<Standing>,
    /// What it holds by them.
    taken: Taken,
}

impl Held {
    /// Nothing, of the owner's or a guest's. `alone`: TX is held.
    pub fn nothing(own: bool, alone: bool) -> Held {
        Held {
            own,
            alone,
            lasting: own && !SPLIT.load(Ordering::Relaxed),
            guest: [(Leg::A, 0, -1); GUEST_LOCKS],
            standing: None,
            taken: Taken::default(),
        }
    }

    /// Takes a leg's lock object. `asks`: whether its holder lives is asked at once.
    pub fn take(
        &mut self,
        s: &Session,
        leg: Leg,
        object: usize,
        asks: bool,
    ) -> Result<(), LockMiss> {
        let failed = |e| locks::missed(object, e);
        if self.own {
            session::turn(s.pair, leg, object, true).map_err(failed)?;
        }
        let r = match s.locks {
            LockKind::Flock => self.flock(s, leg, object).map_err(failed),
            LockKind::Memory => self.by_word(s, leg, object, asks),
        };
        if self.own && r.is_err() {
            let _ = session::turn(s.pair, leg, object, false);
        }
        r
    }

    /// Gives it back, and wakes who waits.
    pub fn give_back(&mut self, s: &Session, leg: Leg, object: usize) {
        match self.standing {
            Some(standing) => {
                let mut taken = core::mem::take(&mut self.taken);
                let flock = &mut |_| {
                    self.unflock(s, leg, object);
                    Ok(())
                };
                taken.give_back(s.runtime(), standing, Wanted { leg, object, flock });
                self.taken = taken;
            }
            None => self.unflock(s, leg, object),
        }
        if self.own {
            let _ = session::turn(s.pair, leg, object, false);
        }
        if locks::wakes(s.runtime(), leg, object) {
            s.wake(object);
        }
    }

    /// See [`mirror_core::LegLock::stands`].
    pub fn stands(&self, word: StateWord) -> bool {
        self.taken.stands(word)
    }

    /// Nothing is held any more, nor will be.
    pub fn end(&mut self) {
        if let Some(standing) = self.standing.take().filter(|_| !self.lasting) {
            holder::end(standing);
        }
    }

    fn by_word(
        &mut self,
        s: &Session,
        leg: Leg,
        object: usize,
        asks: bool,
    ) -> Result<(), LockMiss> {
        let standing = self.standing(s).map_err(|e| locks::missed(object, e))?;
        if self.alone && !self.lasting && !session::FAMILY.load(Ordering::Relaxed) {
            holder::free_former(s, leg, object);
        }
        // A guest begins anew each time.
        let mut seen = match self.lasting && !asks {
            true => holder::seen(),
            false => s.runtime().lock_word(leg, object),
        };
        let mut taken = core::mem::take(&mut self.taken);
        let flock = &mut |on: bool| match on {
            true => self.flock(s, leg, object),
            false => {
                self.unflock(s, leg, object);
                Ok(())
            }
        };
        let pid = OWN_PID.load(Ordering::Relaxed) as u32;
        let w = Wanted { leg, object, flock };
        let r = taken.take(s.runtime(), standing, w, holder::next, &mut seen, pid);
        self.taken = taken;
        if r.is_err() && self.lasting {
            holder::miss(seen);
        }
        r
    }

    fn standing(&mut self, s: &Session) -> Sys<Standing> {
        if let Some(standing) = self.standing {
            return Ok(standing);
        }
        let standing = match self.lasting {
            true => holder::of_owner(s)?,
            false => holder::of_guest(s)?,
        };
        self.standing = Some(standing);
        Ok(standing)
    }

    fn flock(&mut self, s: &Session, leg: Leg, object: usize) -> Sys<()> {
        if self.own {
            let n = mirror_core::numbers::lock(s.slot, leg, object);
            return match locks::take(n) {
                Err(Errno::EBADF) => session::open_lock(s, leg, object).and_then(locks::take),
                r => r,
            };
        }
        let slot = self.guest.iter_mut().find(|g| g.2 < 0);
        let slot = slot.ok_or(Errno::ENOLCK)?;
        let n = session::guest_lock(s, leg, object)?;
        if let Err(e) = locks::take(n) {
            let _ = sys::close(n);
            return Err(e);
        }
        *slot = (leg, object, n);
        Ok(())
    }

    fn unflock(&mut self, s: &Session, leg: Leg, object: usize) {
        if self.own {
            locks::give_back(mirror_core::numbers::lock(s.slot, leg, object));
        } else if let Some(g) = self
            .guest
            .iter_mut()
            .find(|g| g.2 >= 0 && (g.0, g.1) == (leg, object))
        {
            let _ = sys::close(g.2);
            g.2 = -1;
        }
    }
}
