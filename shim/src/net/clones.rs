//! Clones that are executed at the gate: what leads parent and child back.
//!
//! Rules of this file: the clone of a program does not fail because others are under way; a place is
//! not lost when a child is killed before it has gone on.
use crate::arch::gates::{CHILD, PARENT, RESUME, Resume};
use crate::net::arming::{CHILDREN, on};
use crate::process::actor::guest;
use crate::regs::{self, GATED, NATIVE, Regs, arg};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;

/// CLONE_CLEAR_SIGHAND: the child has no handler of SIGSYS.
const CLEAR_SIGHAND: usize = 1 << 32;
/// Attempts to find a place before the clone fails after all.
const ATTEMPTS: u32 = 4096;

/// Places that have been used are below it.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Somebody looks for places of the dead.
static SWEEPING: AtomicBool = AtomicBool::new(false);

/// A clone that is not a plain fork. `regs.site` is the program's own instruction.
pub fn clone(regs: &mut Regs, flags: usize) -> usize {
    if !on() {
        return NATIVE;
    }
    let has = |f: i32| flags & f as usize != 0;
    // The parent of a vfork goes on when its child needs the place no more, dead or not. A child with
    // memory of its own has a place of its own.
    let (users, leaves) = match (has(c::CLONE_VM), has(c::CLONE_VFORK)) {
        (true, true) => (PARENT, !0),
        (true, false) => (PARENT | CHILD, !CHILD),
        (false, _) => (PARENT, 0),
    };
    let Some(r) = place(users) else {
        return regs::fail(regs, Errno::EAGAIN);
    };
    let arm = CHILDREN.load(Ordering::Relaxed) && flags & CLEAR_SIGHAND == 0;
    r.back.store(regs.site.wrapping_add(2), Ordering::Relaxed);
    r.r9.store(arg(regs, 5), Ordering::Relaxed);
    r.arm.store(u32::from(arm), Ordering::Relaxed);
    r.leaves.store(leaves, Ordering::Relaxed);
    if let Some(a) = regs.args.get_mut(5) {
        *a = core::ptr::from_ref(r).addr();
    }
    GATED
}

/// In the child of a fork: the clones of others are not its own.
pub fn forget() {
    let used = USED.swap(0, Ordering::Relaxed);
    for r in RESUME.iter().take(used) {
        r.users.store(0, Ordering::Relaxed);
    }
    SWEEPING.store(false, Ordering::Relaxed);
}

/// A free place; if there is none, others get the time to go on.
fn place(users: u32) -> Option<&'static Resume> {
    for _ in 0..ATTEMPTS {
        let free = RESUME.iter().enumerate().find(|(_, r)| {
            r.users.load(Ordering::Relaxed) == 0
                && r.users
                    .compare_exchange(0, users, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        });
        if let Some((i, r)) = free {
            r.child.store(0, Ordering::Relaxed);
            USED.fetch_max(i.wrapping_add(1), Ordering::Relaxed);
            return Some(r);
        }
        sweep();
        // SAFETY: takes and touches nothing.
        unsafe { sys::syscall0(c::SYS_sched_yield) };
    }
    None
}

/// Frees the places of children that were killed before they went on. One at a time, so that no place
/// is in use again when it is freed.
#[cold]
fn sweep() {
    if guest() || SWEEPING.swap(true, Ordering::Acquire) {
        return;
    }
    for r in &RESUME {
        if r.users.load(Ordering::Acquire) != CHILD {
            continue;
        }
        let t = r.child.load(Ordering::Relaxed) as usize;
        // SAFETY: signal 0 only asks whether the thread or process exists.
        let gone = |nr| unsafe { sys::syscall2(nr, t, 0) } == -(c::ESRCH as isize);
        if t != 0 && gone(c::SYS_kill) && gone(c::SYS_tkill) {
            r.users.store(0, Ordering::Release);
        }
    }
    SWEEPING.store(false, Ordering::Release);
}
