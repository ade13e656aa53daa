//! Architecture code: what happens between a patched site and the handlers (x86-64).
//!
//! Rules of this folder:
//! - every register that the system call ABI keeps is kept: only rcx and r11 may change, as with the
//!   `syscall` instruction itself (status flags are proved dead by the preparer);
//! - the pre-filter touches no vector register and no stack;
//! - at most 512 bytes of the program's stack below its red zone, then a scratch stack;
//! - static CFI is exact at every instruction, so that cancellation, C++ unwinding, backtraces and
//!   debuggers pass through;
//! - while a scratch stack is in use all 64 signals are blocked.
use core::sync::atomic::{AtomicU8, AtomicUsize};

pub mod mem;
mod net;
mod slots;

pub use net::{
    CHILD, CLONE_GATE, PARENT, RANGE, RESUME, Resume, after_clone, dispatched, on_scratch,
    own_gate, own_trampoline, thread_pointer,
};
pub use slots::{common, common_exit, find_dynamic};

/// Execute the call at its own address, with the arguments in [`Regs`].
pub const NATIVE: usize = 0;
/// The call is done; its result is in `regs.nr`.
pub const DONE: usize = 1;
/// From `filter` only: go on in `heavy`.
pub const HEAVY: usize = 2;
/// From `heavy` only: leave everything, call `wait`, then `heavy` again.
pub const WAIT: usize = 3;
/// From `filter` only: execute the clone at [`CLONE_GATE`]; the last argument is a [`Resume`].
pub const GATED: usize = 4;
/// Call `finish`, on the program's stack and mask.
pub const FINISH: usize = 5;

/// [`WATCH`]: the call is wanted.
pub const WATCHED: u8 = 1;
/// [`WATCH`]: the first argument is a descriptor; one whose hint is [`OUT`] is not ours.
pub const BY_FD: u8 = 2;
/// [`WATCH`]: open-like, flags in the second argument.
pub const FLAGS_1: u8 = 4;
/// [`WATCH`]: open-like, flags in the third argument.
pub const FLAGS_2: u8 = 8;
/// [`WATCH`]: the path in the first argument is looked at if the control folder may be named in it. With
/// FLAGS_*: only that of opens that read.
pub const PATH_0: u8 = 32;
/// [`WATCH`]: the same with the second argument.
pub const PATH_1: u8 = 64;

/// [`HINTS`]: this descriptor is certainly not ours.
pub const OUT: u8 = 1;

const fn zeros<const N: usize>() -> [AtomicU8; N] {
    [const { AtomicU8::new(0) }; N]
}

/// By system call number: 0 = native at once, else the bits above. Numbers beyond it are native.
pub static WATCH: [AtomicU8; 512] = zeros();
/// Not zero: the process has something to settle when it exits. The exit place is native without it.
pub static ACTIVE: AtomicU8 = AtomicU8::new(0);
/// In [`PAGES`]: none. No address has this page number (0 is the number of one).
pub const NO_PAGE: usize = usize::MAX;
/// Pages (addresses >> 12) that were found readable, by their number modulo 64.
pub static PAGES: [AtomicUsize; 64] = [const { AtomicUsize::new(NO_PAGE) }; 64];
/// By descriptor number.
pub static HINTS: [AtomicU8; 4096] = zeros();

/// The registers of an intercepted call, in the frame of the slot.
#[repr(C)]
#[derive(Debug)]
pub struct Regs {
    /// rax: the number; with [`DONE`] the result.
    pub nr: usize,
    /// rdi rsi rdx r10 r8 r9.
    pub args: [usize; 6],
    /// Address of the original `syscall` instruction, dispatched or prepared (at the exit place: where to
    /// go on).
    pub site: usize,
    /// Signal mask of the program while `heavy` runs.
    pub old_mask: u64,
    /// Scratch slot in use, plus one.
    pub scratch: usize,
}

/// The number of exit_group.
const EXIT_GROUP: usize = 231;

/// First Rust code behind the pre-filter.
pub extern "C" fn filter(regs: &mut Regs) -> usize {
    if regs.nr == EXIT_GROUP {
        HEAVY
    } else {
        crate::handlers::filter(regs)
    }
}

/// On the scratch stack, signals blocked.
extern "C" fn heavy(regs: &mut Regs) -> usize {
    if regs.nr == EXIT_GROUP {
        crate::handlers::before_exit(regs);
        return NATIVE;
    }
    crate::handlers::heavy(regs)
}

pub extern "C" fn wait(regs: &mut Regs) {
    crate::handlers::wait(regs);
}

/// On the program's stack and mask, after `heavy`: NATIVE or DONE.
pub extern "C" fn finish(regs: &mut Regs) -> usize {
    crate::handlers::finish(regs)
}
