//! Whether a post is a crashed process's.
use mirror_core::{LegLock, View, WHOLE};

/// Whether somebody is inside with an object, or keeps everybody else out.
fn inside(rt: View<'_>, object: usize) -> bool {
    rt.state(object) != 0 || (object == WHOLE && rt.word().exclusive())
}

/// Whether a post is occupied by a process that has died: occupied still while nobody holds the object's
/// lock, which the kernel frees at a death. Looked at before the lock is asked for, since nearly all are
/// free, and again under it, since its owner may have left in between.
pub fn crashed<L: LegLock + ?Sized>(locks: &mut L, rt: View<'_>, object: usize) -> bool {
    if !inside(rt, object) || locks.try_lock(0, object).is_err() {
        return false;
    }
    let crashed = inside(rt, object);
    locks.unlock(0, object);
    crashed
}
