//! The lock objects of a pair: files in both legs' `.mirror/locks`, locked by flock(2). Which there are, and
//! what takes which, stands in `mirror_core::lock`; here is how one is opened, taken and given back.
//!
//! Rules: nothing waits for a lock. The kernel frees it at the holder's death, which is the only sign of one.
use crate::control;
use libc as c;
use mirror_core::record::lock_name;
use mirror_core::{Errno, Leg, LockMiss, STRIPES_MAX, View, WHOLE};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Opens a lock object below a leg's root. `access`: O_RDWR, since some network file systems lock no other
/// description exclusively.
pub fn open(root: i32, object: usize, access: i32) -> Sys<i32> {
    let name = lock_name(object).ok_or(Errno::EIO)?;
    control::open(root, &name, access, 0)
}

/// Takes what a descriptor is. EAGAIN: somebody has it.
pub fn take(n: i32) -> Sys<()> {
    loop {
        match sys::flock(n, c::LOCK_EX | c::LOCK_NB) {
            Err(Errno::EINTR) => {}
            r => return r.map(drop),
        }
    }
}

/// Gives it back.
pub fn give_back(n: i32) {
    let _ = sys::flock(n, c::LOCK_UN);
}

/// What the engine makes of an error of [`open`] or [`take`].
pub fn missed(object: usize, e: Errno) -> LockMiss {
    match e {
        Errno::EAGAIN => LockMiss::Busy(object),
        e => LockMiss::Failed(e),
    }
}

/// Whether a pair with so many stripes has this object.
pub fn in_use(object: usize, stripes: usize) -> bool {
    object == WHOLE || (object.wrapping_sub(1) % STRIPES_MAX) < stripes
}

/// Whether somebody is to be woken, now that a leg's object was given back: leg a's is the last to go.
pub fn wakes(rt: View<'_>, leg: Leg, object: usize) -> bool {
    leg == Leg::A && rt.waited_for(object)
}
