//! The door: what happens between a patched site, or a dispatched call, and the handlers (x86-64).
//!
//! Rules of this folder:
//! - every register that the system call ABI keeps is kept: only rcx and r11 may change, as with the
//!   `syscall` instruction itself (status flags are proved dead by the preparer);
//! - the pre-filter touches no vector register and no stack;
//! - at most 512 bytes of the program's stack below its red zone, then a scratch stack;
//! - static CFI is exact at every instruction, so that cancellation, C++ unwinding, backtraces and
//!   debuggers pass through;
//! - while a scratch stack is in use all 64 signals are blocked.
use crate::calls::{dispatch, process};
use crate::regs::{HEAVY, NATIVE, Regs};

pub mod dispatched;
mod entry;
mod scratch;
pub mod slots;

/// The number of exit_group.
const EXIT_GROUP: usize = 231;

/// In the place of a call's number: what `entry` wants of a copy.
const COPY: usize = usize::MAX;

/// What is decided without a scratch stack.
fn filter(regs: &mut Regs) -> usize {
    if regs.nr == EXIT_GROUP {
        HEAVY
    } else {
        dispatch::filter(regs)
    }
}

/// On the scratch stack, signals blocked.
extern "C" fn heavy(regs: &mut Regs) -> usize {
    if regs.nr == EXIT_GROUP {
        dispatch::before_exit(regs);
        return NATIVE;
    }
    if regs.nr == COPY {
        process::own_copy(regs);
        return NATIVE;
    }
    dispatch::heavy(regs)
}

pub extern "C" fn wait(regs: &mut Regs) {
    dispatch::wait(regs);
}

/// Whether what `finish` is for has been done ahead of the call, since no handler could return behind it.
pub fn finish_ahead(regs: &Regs) -> bool {
    dispatch::finish_ahead(regs)
}

/// On the program's stack and mask, after `heavy`: NATIVE or DONE.
pub extern "C" fn finish(regs: &mut Regs) -> usize {
    dispatch::finish(regs)
}
