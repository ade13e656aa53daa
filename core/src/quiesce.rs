//! Exclusive access, and ending what crashed processes left.
//!
//! There is no list of processes. A transaction occupies the posts of its lock objects, then looks at
//! the EXCLUSIVE bit; whoever wants to be alone sets the bit, then looks at the posts. One of the two
//! sees the other. A post that stays occupied while its locks can be taken is a crashed process's: the kernel
//! frees the locks of the crashed, whatever their pids, namespaces and zombies look like.
use crate::errno::Errno;
use crate::lock::{
    BothLocked, LegLock, LockMiss, LockPlan, OBJECTS, WHOLE, lock_both, lock_one, unlock_both,
    unlock_one,
};
use crate::runtime::{ANNOUNCED, first_lock};
use crate::word::StateWord;

/// The state word and the posts: what exclusive access needs.
pub trait Posts {
    /// Loads the state word.
    fn word(&self) -> StateWord;
    /// An error: the memory of posts, intents and word is gone, and nothing that was read is true.
    fn sound(&self) -> Result<(), Errno> {
        Ok(())
    }
    /// The state of an object's post: not 0 while somebody is inside. Seen with the object's locks
    /// held, it is a crashed process's.
    fn state(&self, object: usize) -> u32;
    /// The first object from `from` on with somebody inside.
    fn occupied(&self, from: usize) -> Option<usize> {
        (from..OBJECTS).find(|&o| self.state(o) != 0)
    }
    /// Frees the post of a crashed process, whose change has been ended.
    fn forget(&mut self, object: usize, held: &BothLocked);
    /// Sets or clears the EXCLUSIVE bit. Clearing it also counts the generation: what others know of
    /// paths may have ended.
    fn set_exclusive(&mut self, held: &BothLocked, on: bool);
    /// Waits a little, for the `nth` time, for somebody to leave an object. `false`: it was enough.
    fn pause(&mut self, object: usize, nth: u32) -> bool;
    /// Ends the change of the intent in this object's record. The caller is exclusive.
    fn recover(&mut self, object: usize, held: &BothLocked);
}

/// Waits until nobody is inside, then ends what crashed processes left. The whole pair is locked and the bit set.
pub(crate) fn quiesce<P: LegLock + Posts + ?Sized>(
    p: &mut P,
    held: &BothLocked,
) -> Result<(), LockMiss> {
    // First all the living, of every object: a repair reads and writes beyond its own.
    if visit(p, held, false)? {
        stands(p)?;
        visit(p, held, true)?;
    }
    p.sound().map_err(LockMiss::Failed)
}

/// Asked before what the dead have left is ended: whether what this process has of the legs, and holds, is still of
/// the word. If not it begins anew.
fn stands<P: LegLock + Posts + ?Sized>(p: &P) -> Result<(), LockMiss> {
    match p.stands(p.word()) {
        true => Ok(()),
        false => Err(LockMiss::Busy(WHOLE)),
    }
}

/// How often a post is freed again that was freed just now.
const BURIED_AGAIN: u32 = 3;

/// Goes over all objects, waits for the living and finds, or buries, the dead. Whether there are any.
fn visit<P: LegLock + Posts + ?Sized>(
    p: &mut P,
    held: &BothLocked,
    end: bool,
) -> Result<bool, LockMiss> {
    let mut dead = false;
    // In the order of locking: a first lock is healed before the posts that name it are freed.
    let mut next = WHOLE + 1;
    while let Some(object) = p.occupied(next) {
        next = object.saturating_add(1);
        let mut nth = 0;
        while p.state(object) != 0 {
            match lock_one(p, object) {
                Ok(()) => {
                    if end {
                        recover_object(p, object, held);
                    }
                    dead |= p.state(object) != 0;
                    unlock_one(p, object);
                    if !end {
                        break;
                    }
                    // Somebody who holds no locks writes into the post.
                    if nth > BURIED_AGAIN {
                        return Err(LockMiss::Busy(object));
                    }
                    nth = nth.saturating_add(1);
                }
                Err(LockMiss::Busy(_)) if p.pause(object, nth) => nth = nth.saturating_add(1),
                Err(miss) => return Err(miss),
            }
        }
    }
    Ok(dead)
}

/// Ends the change of a crashed process, if there is one. The object's locks are held.
fn recover_object<P: Posts + ?Sized>(p: &mut P, object: usize, held: &BothLocked) {
    let state = p.state(object);
    if state == 0 {
        return;
    }
    // With leg b away, what leg a has is what there is.
    if state & ANNOUNCED != 0 && first_lock(state) == object && !p.word().alone() {
        p.recover(object, held);
    }
    p.forget(object, held);
}

/// Ends all that crashed processes left. Never waits long: [`LockMiss::Busy`] names who is in the way.
pub fn recover<P: LegLock + Posts + ?Sized>(p: &mut P) -> Result<(), LockMiss> {
    alone(p, |_, _| ())
}

/// Runs `act` exclusively, with nothing half done.
pub fn alone<P: LegLock + Posts + ?Sized, T>(
    p: &mut P,
    act: impl FnOnce(&mut P, &BothLocked) -> T,
) -> Result<T, LockMiss> {
    let held = lock_both(p, LockPlan::EXCLUSIVE)?;
    p.set_exclusive(&held, true);
    let r = quiesce(p, &held).and_then(|()| stands(p));
    let r = r.map(|()| {
        recover_object(p, WHOLE, &held);
        act(p, &held)
    });
    // While a crashed process's exclusive change is not ended, nobody may come in.
    if p.state(WHOLE) == 0 {
        p.set_exclusive(&held, false);
    }
    unlock_both(p, held);
    r
}
