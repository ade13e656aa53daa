//! The posts: whether one is a crashed process's, and how everybody is kept out.
use mirror_core::{Leg, LegLock, StateWord, View, WHOLE};

/// Whether somebody is inside with an object, or holds the pair exclusively.
fn inside(rt: View<'_>, object: usize) -> bool {
    rt.state(object) != 0 || (object == WHOLE && rt.word().exclusive())
}

/// Whether a post is occupied by a process that has died: occupied still while nobody holds the object's
/// lock, which the kernel frees at a death. Looked at before the lock is asked for, since nearly all are
/// free, and again under it, since its owner may have left in between.
pub fn crashed<L: LegLock + ?Sized>(locks: &mut L, rt: View<'_>, object: usize) -> bool {
    if !inside(rt, object) || locks.try_lock_asking(Leg::A, object).is_err() {
        return false;
    }
    let crashed = inside(rt, object);
    locks.unlock(Leg::A, object);
    crashed
}

/// Everybody else is kept out from now on, or let in again: then what was planned before does not stand.
pub fn set_exclusive(rt: View<'_>, on: bool) {
    if on {
        rt.set_bits(StateWord::EXCLUSIVE);
    } else {
        rt.count_generation();
        rt.clear_bits(StateWord::EXCLUSIVE);
    }
}
