//! The protocol of lock words (`mirror_core::words`): who takes one, how a dead holder is told, and how those
//! who cannot take words keep the others out.
//!
//! Rules: a process locks its slot's byte before its first word. Nobody is asked for who is met for the first
//! time: the kernel looks through all locks of the file. Who cannot change words (it may not look at the mapping,
//! or it has no description of its own) *relies on the flocks*: it sets FLOCKED, from then on all take the
//! flocks beside the words, and it waits for the words of those who have not seen the bit.
use crate::locks::missed;
use core::sync::atomic::Ordering;
use mirror_core::runtime::RuntimeFile;
use mirror_core::words::SLOT_MAX;
use mirror_core::{Errno, Leg, LockMiss, LockWord, StateWord, View};
use mirror_sys as sys;
use mirror_sys::{Byte, Sys};

/// Where the bytes of slots begin: far behind what is ever written.
const SLOTS: u64 = 1 << 40;
/// The byte that is shared by all who rely on the flocks.
const RELYING: u64 = SLOTS - 1;
/// Slots that are tried: only of a counter that was turned back is the first one taken.
const TRIES: u32 = 64;

/// Who takes words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its own description of the runtime file.
    pub fd: i32,
    /// Its slot.
    pub slot: u64,
}

/// A new holder. `fd`: a description that nobody else has.
pub fn prove(fd: i32, rt: &RuntimeFile) -> Sys<Holder> {
    for _ in 0..TRIES {
        let slot = rt.next_slot();
        match sys::lock_of_description(fd, byte(slot), Byte::Alone) {
            Ok(()) => return Ok(Holder { fd, slot }),
            Err(Errno::EAGAIN) => {}
            Err(e) => return Err(e),
        }
    }
    Err(Errno::EIO)
}

/// A slot's byte.
pub const fn byte(slot: u64) -> u64 {
    SLOTS.saturating_add(slot & SLOT_MAX)
}

/// Whether the holder of a word lives. What cannot be told is taken for life.
pub fn lives(fd: i32, word: LockWord) -> bool {
    sys::is_locked(fd, byte(word.slot())) != Ok(false)
}

/// Takes an object's word on a leg. `seen`: what stood there, or elsewhere, when this process last missed one;
/// who stands there still is asked for. Only what its own lock shows to be dead is taken over; that its post may
/// be occupied is for the caller to see, as with any lock of the dead.
///
/// A word with one's own slot is not one's own: the caller holds nothing of this object. It is a dead
/// relative's, where a family shares a slot and takes turns, or nobody's.
pub fn take(
    rt: &RuntimeFile,
    me: Holder,
    own: LockWord,
    (leg, object): (Leg, usize),
    seen: &mut LockWord,
) -> Result<(), LockMiss> {
    let Err(there) = rt.change_word(leg, object, LockWord::FREE, own) else {
        return Ok(());
    };
    let met = there == *seen;
    *seen = there;
    if there.slot() != me.slot && (!met || lives(me.fd, there)) {
        return Err(LockMiss::Busy(object));
    }
    // One of several that have seen it dies with it: the others miss the next one.
    let taken = rt.change_word(leg, object, there, own);
    taken.map_err(|_| LockMiss::Busy(object))
}

/// How a process keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// By words.
    Words(Holder),
    /// By the flocks; this descriptor asks for those who have words.
    Flocks(i32),
}

/// One object, and how its flock is taken (true) or given back.
pub struct Wanted<'a> {
    /// The leg.
    pub leg: Leg,
    /// The object.
    pub object: usize,
    /// Its flock, without waiting.
    pub flock: &'a mut dyn FnMut(bool) -> Sys<()>,
}

/// Changes between two looks whether anybody relies on the flocks still, beginning with a process's first: many
/// programs make few.
const LOOKS: u64 = 64;

/// What one change holds by words.
#[derive(Default)]
pub struct Taken {
    /// The word that stands in all of it.
    word: LockWord,
    /// How many.
    words: u32,
    /// One of them without its flock.
    bare: bool,
    /// Flocks were taken beside words.
    flocked: bool,
}

impl Taken {
    /// Takes an object's lock. `next`: a word that this process has not had; `seen`: see [`take`]; `pid`: for
    /// display.
    pub fn take(
        &mut self,
        rt: View<'_>,
        standing: Standing,
        w: Wanted<'_>,
        next: impl FnOnce(u64) -> LockWord,
        seen: &mut LockWord,
        pid: u32,
    ) -> Result<(), LockMiss> {
        let object = w.object;
        let failed = |e| missed(object, e);
        let me = match standing {
            Standing::Words(me) => me,
            Standing::Flocks(fd) => {
                (w.flock)(true).map_err(failed)?;
                if is_alone(fd, rt, w.leg, object) {
                    return Ok(());
                }
                let _ = (w.flock)(false);
                return Err(LockMiss::Busy(object));
            }
        };
        let file = rt.own().ok_or(LockMiss::Failed(Errno::EIO))?;
        if self.words == 0 {
            *self = Taken {
                word: next(me.slot),
                ..Taken::default()
            };
        }
        take(file, me, self.word, (w.leg, object), seen)?;
        self.words = self.words.saturating_add(1);
        if let Some(p) = file.posts.get(object) {
            // Before it comes in: others may ask who that is.
            p.pid.store(pid, Ordering::Relaxed);
        }
        if !rt.word().flocked() {
            self.bare = true;
            return Ok(());
        }
        self.flocked = true;
        if let Err(e) = (w.flock)(true) {
            self.free(rt, w.leg, object);
            return Err(failed(e));
        }
        if self.word.0 % LOOKS == 1 {
            drop_flocked(me.fd, rt);
        }
        Ok(())
    }

    /// Gives it back.
    pub fn give_back(&mut self, rt: View<'_>, standing: Standing, w: Wanted<'_>) {
        match standing {
            Standing::Flocks(_) => {
                let _ = (w.flock)(false);
            }
            Standing::Words(_) => {
                if self.flocked {
                    let _ = (w.flock)(false);
                }
                self.free(rt, w.leg, w.object);
            }
        }
    }

    /// See [`mirror_core::LegLock::stands`].
    pub fn stands(&self, word: StateWord) -> bool {
        !(self.bare && word.flocked())
    }

    /// Somebody who writes into others' words may have taken it away.
    fn free(&mut self, rt: View<'_>, leg: Leg, object: usize) {
        if let Some(file) = rt.own() {
            let _ = file.change_word(leg, object, self.word, LockWord::FREE);
        }
        self.words = self.words.saturating_sub(1);
    }
}

/// From now on everybody takes the flocks as well. `fd`: the description that holds this as long as it is
/// open, if it can; else it holds as long as the domain. `pause`: waits about a millisecond, for one who is just taking the bit out.
pub fn rely(fd: i32, rt: View<'_>, mut pause: impl FnMut()) -> Sys<()> {
    for _ in 0..TRIES {
        match sys::lock_of_description(fd, RELYING, Byte::Shared) {
            Err(Errno::EAGAIN) => pause(),
            r => {
                // A filter refuses such locks: nothing says when this one ends, so the flocks are taken from now on.
                let stays = if r.is_ok() { 0 } else { StateWord::FLOCKED_ON };
                rt.set_bits(StateWord::FLOCKED | stays);
                return rt.sound();
            }
        }
    }
    Err(Errno::EIO)
}

/// Whether one who relies on the flocks, and holds this one, is alone with the object: nobody living has its
/// word from before the bit was there.
pub fn is_alone(fd: i32, rt: View<'_>, leg: Leg, object: usize) -> bool {
    if !rt.word().flocked() {
        // Taken out by somebody's mistake. Who has come in without it is seen by its word.
        rt.set_bits(StateWord::FLOCKED);
    }
    let word = rt.lock_word(leg, object);
    word == LockWord::FREE || !lives(fd, word)
}

/// Takes the bit out, if nobody relies on the flocks any more. `fd`: a description; what it has on the byte ends.
pub fn drop_flocked(fd: i32, rt: View<'_>) {
    if rt.word().flocked_on() {
        return;
    }
    if sys::lock_of_description(fd, RELYING, Byte::Alone).is_ok() {
        rt.clear_bits(StateWord::FLOCKED);
    }
    let _ = sys::lock_of_description(fd, RELYING, Byte::Free);
}
