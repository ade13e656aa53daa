//! Scratch stacks: mirrored calls run on them, because a program's stack may have 500 bytes left
//! (8 KiB signal stacks, posix_spawn's child).
//!
//! Rules of this file:
//! - `enter` and `leave` run on the program's stack with all signals blocked: a few words only;
//! - a slot is mapped when it is first used, with a guard gap below; never unmapped;
//! - memory is shared with vfork children: a slot carries its owner's thread id, so that one whose
//!   owner died in it can be taken back. A successful execve must therefore be executed natively,
//!   after `leave`: a program that has become another one is not dead.
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::process::actor::{OWN_PID, THREADED, guest};
use crate::regs::Regs;
use mirror_sys::{ret, syscall0, syscall2, syscall3, syscall6};

const SLOTS: u32 = 64;
const SIZE: usize = 384 << 10;
const GUARD: usize = 4 << 10;
/// Serves when nothing can be mapped (RLIMIT_AS, overcommit).
const LAST: u32 = SLOTS - 1;

#[repr(C, align(4096))]
struct Emergency([AtomicU8; SIZE]);
static EMERGENCY: Emergency = Emergency([const { AtomicU8::new(0) }; SIZE]);

static USED: AtomicU64 = AtomicU64::new(0);
static BASE: [AtomicUsize; SLOTS as usize] = [const { AtomicUsize::new(0) }; SLOTS as usize];
static OWNER: [AtomicI32; SLOTS as usize] = [const { AtomicI32::new(0) }; SLOTS as usize];

/// A process that never had a second thread, nor a child on its memory, is its own only thread.
fn tid() -> i32 {
    if !THREADED.load(Ordering::Relaxed) && !guest() {
        return OWN_PID.load(Ordering::Relaxed);
    }
    // SAFETY: gettid takes and touches nothing.
    unsafe { syscall0(libc::SYS_gettid) as i32 }
}

/// The top of a stack for this thread, or 0 if all are taken.
pub extern "C" fn enter(regs: &mut Regs) -> usize {
    let mut i = claim(!USED.load(Ordering::Relaxed) & !(1 << LAST));
    let mut top = i.map_or(0, base);
    if top == 0 {
        if let Some(i) = i {
            release(i);
        }
        i = claim(1 << LAST);
        top = i.map_or(0, base);
    }
    let Some(i) = i else {
        sweep();
        return 0;
    };
    if let Some(o) = OWNER.get(i as usize) {
        o.store(tid(), Ordering::Relaxed);
    }
    regs.scratch = i as usize + 1;
    top
}

/// Gives the stack back.
pub extern "C" fn leave(regs: &mut Regs) {
    if let Some(i) = regs.scratch.checked_sub(1) {
        regs.scratch = 0;
        release(i as u32);
    }
}

/// In the child of a fork: the other threads' slots have no owner here.
pub fn after_fork_in_child(regs: &Regs) {
    let Some(i) = regs.scratch.checked_sub(1) else {
        USED.store(0, Ordering::Release);
        return;
    };
    USED.store(1 << (i as u32 & LAST), Ordering::Release);
    if let Some(o) = OWNER.get(i) {
        o.store(tid(), Ordering::Relaxed);
    }
}

/// Takes one of the wished slots that is free.
fn claim(mut wish: u64) -> Option<u32> {
    loop {
        let bit = wish & wish.wrapping_neg();
        if bit == 0 {
            return None;
        }
        if USED.fetch_or(bit, Ordering::Acquire) & bit == 0 {
            return Some(bit.trailing_zeros());
        }
        wish &= !bit;
    }
}

fn release(i: u32) {
    if let Some(o) = OWNER.get(i as usize) {
        o.store(0, Ordering::Relaxed);
    }
    USED.fetch_and(!(1 << (i & LAST)), Ordering::Release);
}

/// Top of slot `i`, mapped if need be; 0 if that is refused.
fn base(i: u32) -> usize {
    let Some(cell) = BASE.get(i as usize) else {
        return 0;
    };
    let known = cell.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let top = if i == LAST {
        (&raw const EMERGENCY).addr().wrapping_add(SIZE)
    } else {
        map()
    };
    cell.store(top, Ordering::Relaxed);
    top
}

fn map() -> usize {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    let len = SIZE + GUARD;
    // SAFETY: a new anonymous mapping at a place of the kernel's choice replaces nothing.
    let at = ret(unsafe {
        syscall6(
            libc::SYS_mmap,
            0,
            len,
            libc::PROT_NONE as usize,
            flags,
            usize::MAX,
            0,
        )
    });
    let Ok(at) = at else { return 0 };
    let rw = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: the range lies inside the mapping made above, which nobody else knows.
    if ret(unsafe { syscall3(libc::SYS_mprotect, at.wrapping_add(GUARD), SIZE, rw) }).is_err() {
        // SAFETY: as above.
        unsafe { syscall2(libc::SYS_munmap, at, len) };
        return 0;
    }
    at.wrapping_add(len)
}

/// Frees the slots of dead owners (vfork children killed in a mirrored call).
#[cold]
fn sweep() {
    for (i, owner) in OWNER.iter().enumerate() {
        let t = owner.load(Ordering::Relaxed);
        // SAFETY: signal 0 only asks whether the thread or process exists.
        let gone = |nr| unsafe { syscall2(nr, t as usize, 0) } == -(libc::ESRCH as isize);
        // A thread of another process that shares our memory answers to kill, not to a thread group.
        if t > 0
            && gone(libc::SYS_kill)
            && gone(libc::SYS_tkill)
            && owner
                .compare_exchange(t, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            USED.fetch_and(!(1 << (i as u32 & LAST)), Ordering::Release);
        }
    }
}
