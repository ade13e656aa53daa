//! The net: system call user dispatch, by which the kernel sends every system call that is not made in
//! libc's text to a handler of SIGSYS. Libraries and programs that make calls by instructions of their own
//! come to the same handlers by it.
//!
//! Rules: once a process is armed, all calls of the library go through a `syscall` of libc's
//! (`mirror_sys::GATE`); SIGSYS is never blocked or ignored in the kernel while the program runs
//! (`signals`), because a dispatched call would then kill it; fork, clone and exec clear the dispatch, so
//! every child arms itself.
pub mod arming;
mod clones;
pub mod filters;
mod frames;
mod late;
mod needed;
pub mod signals;
pub mod stacks;

pub use clones::clone;
pub use late::{look, stop};

use crate::arch::gates::{self, DISPATCH, PR_SYS_DISPATCH_ON};
use crate::net::arming::{BUSY, CHILDREN, NEEDED, OWED, arm, arm_thread, leaf, on, places};
use crate::process::actor::UNSEEN;
use crate::program::elf;
use crate::program::env::{self, Var};
use crate::program::files::Folders;
use crate::program::info::BootInfo;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_sys as sys;

/// Of the auxiliary vector: the largest frame of a signal.
const AT_MINSIGSTKSZ: usize = 51;

/// Whether that is to be written down now.
pub fn owes() -> bool {
    OWED.load(Ordering::Relaxed) && OWED.swap(false, Ordering::Relaxed)
}

/// Arms the process if it is to be. `false`: calls of its own go past the mirror, although nobody has said
/// that they may. `handler` is what SIGSYS comes to.
pub fn boot(b: &BootInfo, folders: &mut Folders<'_>, handler: signals::Handler) -> bool {
    signals::handled_by(handler);
    stacks::frame(b.auxv(AT_MINSIGSTKSZ));
    let said = env::get(Var::MirrorNet);
    let seen = match said {
        Some(b"never") => true,
        Some(b"always") if !under_valgrind(b) => arm() || !needed::at_boot(b, folders),
        _ if needed::at_boot(b, folders) => {
            NEEDED.store(true, Ordering::Relaxed);
            !under_valgrind(b) && arm()
        }
        _ => {
            if !under_valgrind(b) {
                late::watch();
            }
            true
        }
    };
    if !seen || said == Some(b"never") {
        goes_past();
    }
    seen
}

/// From here on calls may go past the library.
fn goes_past() {
    UNSEEN.store(true, Ordering::Relaxed);
}

/// Whether the process has calls of its own, and new threads and children of it are not dispatched.
pub fn leaves_some() -> bool {
    NEEDED.load(Ordering::Relaxed) && on()
}

/// Arms a process that has no libc, if it is to be: the allowed text is this library's own then.
pub fn boot_alone(b: &BootInfo, handler: signals::Handler) {
    signals::handled_by(handler);
    // Until it is armed.
    goes_past();
    if under_valgrind(b) || env::get(Var::MirrorNet) == Some(b"never") {
        return;
    }
    // SAFETY: this library is loaded at that address.
    let text = unsafe { elf::read(b.own_base) };
    let Some(text) = text else { return };
    let start = b.own_base.wrapping_add(text.text_vaddr as usize);
    let leaf = sys::GATE.load(Ordering::Relaxed).addr();
    stacks::frame(b.auxv(AT_MINSIGSTKSZ));
    places(
        [start, text.text_len as usize],
        [leaf, gates::own_trampoline(), gates::own_gate()],
    );
    if arm() {
        UNSEEN.store(false, Ordering::Relaxed);
    }
}

/// Whether a program with calls of its own would be seen: a user may have said no, an old system or a
/// sandbox, too.
pub fn possible() -> bool {
    if env::get(Var::MirrorNet) == Some(b"never") || leaf() == 0 || late::filtered() {
        return false;
    }
    if on() {
        return CHILDREN.load(Ordering::Relaxed);
    }
    if !filters::permit() {
        return false;
    }
    // All text allowed, for a moment: nothing is dispatched.
    // SAFETY: no pointers but the selector, which is none.
    let dispatch =
        |how: usize, len: usize| unsafe { sys::syscall5(c::SYS_prctl, DISPATCH, how, 0, len, 0) };
    let possible = dispatch(PR_SYS_DISPATCH_ON, usize::MAX) == 0;
    dispatch(0, 0);
    possible
}

/// valgrind makes its calls in text of its own, in the same process.
fn under_valgrind(b: &BootInfo) -> bool {
    env::entry(b, b"LD_PRELOAD=").is_some_and(|v| v.windows(9).any(|w| w == b"vgpreload"))
}

/// The calling thread's own calls go to the kernel, before a filter that would end its handlers.
pub fn disarm_thread() {
    // SAFETY: no pointers.
    unsafe { sys::syscall5(c::SYS_prctl, DISPATCH, 0, 0, 0, 0) };
}

/// There is no such filter after all.
pub fn rearm_thread() {
    arm_thread();
}

/// In a copy that was made without our fork; it has been armed as it went on.
pub fn copied() {
    BUSY.store(0, Ordering::Relaxed);
    clones::forget();
    stacks::forget();
}

/// In the child of a fork.
pub fn child() {
    copied();
    if CHILDREN.load(Ordering::Relaxed) && !arm_thread() {
        goes_past();
    }
}

/// The program has put itself under a filter: new threads are left as they are.
pub fn no_more() {
    late::stop();
    CHILDREN.store(false, Ordering::Relaxed);
}
