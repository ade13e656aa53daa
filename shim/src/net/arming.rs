//! Arming a thread: its calls are dispatched from then on.
pub use crate::arch::gates::{BUSY, CHILDREN};
use crate::arch::gates::{CLONE_GATE, DISPATCH, LEAF, PR_SYS_DISPATCH_ON, RANGE, TRAMPOLINE};
use crate::net::{filters, signals};
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_sys as sys;

/// This memory's process is armed.
#[unsafe(link_section = ".data.boot")]
pub static ON: AtomicBool = AtomicBool::new(false);

/// How often a thread is waited for; one may have been killed.
const LOOKS: u32 = 4096;

/// No thread arms itself from here on: none will do so below the filter that comes next, which may be for all
/// threads. What was.
pub fn stop_children() -> bool {
    let were = CHILDREN.swap(false, Ordering::SeqCst);
    for _ in 0..LOOKS {
        if BUSY.load(Ordering::SeqCst) == 0 {
            break;
        }
        // SAFETY: takes and touches nothing.
        unsafe { sys::syscall0(c::SYS_sched_yield) };
    }
    were
}

/// Arms the calling thread if threads are to be.
pub fn arm_late() {
    BUSY.fetch_add(1, Ordering::SeqCst);
    if CHILDREN.load(Ordering::SeqCst) {
        arm_thread();
    }
    BUSY.fetch_sub(1, Ordering::SeqCst);
}

/// It makes calls of its own, as far as is known.
#[unsafe(link_section = ".data.boot")]
pub static NEEDED: AtomicBool = AtomicBool::new(false);

/// They are not dispatched, and nobody has written that down.
#[unsafe(link_section = ".data.boot")]
pub static OWED: AtomicBool = AtomicBool::new(false);

/// Whether calls are dispatched.
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// What the image says, once it is installed: libc's text, and the places in it.
pub fn places(text: [usize; 2], [leaf, trampoline, gate]: [usize; 3]) {
    for (r, v) in RANGE.iter().zip(text) {
        r.store(v, Ordering::Relaxed);
    }
    CLONE_GATE.store(gate, Ordering::Relaxed);
    LEAF.store(leaf, Ordering::Relaxed);
    TRAMPOLINE.store(trampoline, Ordering::Relaxed);
}

/// The address of a `syscall; ret` in libc.
pub fn leaf() -> usize {
    LEAF.load(Ordering::Relaxed)
}

/// Arms the calling thread; false: this system, libc or sandbox has no dispatch.
pub fn arm() -> bool {
    let (leaf, trampoline) = (leaf(), TRAMPOLINE.load(Ordering::Relaxed));
    if leaf == 0 || !filters::permit() {
        return false;
    }
    sys::lead_through(core::ptr::without_provenance_mut(leaf));
    if !signals::take(trampoline) {
        return false;
    }
    if !arm_thread() {
        signals::give_back();
        return false;
    }
    crate::tables::watch_for_the_net();
    ON.store(true, Ordering::Relaxed);
    CHILDREN.store(true, Ordering::Relaxed);
    true
}

pub fn arm_thread() -> bool {
    let [start, len] = [0, 1].map(|i| RANGE.get(i).map_or(0, |r| r.load(Ordering::Relaxed)));
    // SAFETY: no pointer but the selector, which is none; dispatched calls find the handler installed.
    let r = unsafe { sys::syscall5(c::SYS_prctl, DISPATCH, PR_SYS_DISPATCH_ON, start, len, 0) };
    sys::ret(r).is_ok()
}
