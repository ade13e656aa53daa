//! An intercepted call: its registers, and what becomes of it.
use core::sync::atomic::Ordering;
use mirror_core::Errno;
use mirror_core::calls::{self, Call, Row};
use mirror_sys as sys;
use mirror_sys::Sys;

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

impl Regs {
    /// The call's row, if it is in the table. Its number is that of the low 32 bits, as for the kernel.
    pub fn row(&self) -> Option<&'static Row> {
        calls::row(self.nr as u32)
    }

    /// The call, if it is in the table.
    pub fn call(&self) -> Option<Call> {
        self.row().map(|r| r.call)
    }

    /// Whether it is this call.
    pub fn is(&self, call: Call) -> bool {
        self.call() == Some(call)
    }
}

/// The answer for the program.
pub fn answer(regs: &mut Regs, r: Sys<u64>) -> usize {
    regs.nr = match r {
        Ok(v) => v as usize,
        Err(e) => (e.0 as usize).wrapping_neg(),
    };
    DONE
}

pub fn fail(regs: &mut Regs, e: Errno) -> usize {
    answer(regs, Err(e))
}

/// An argument as a descriptor (the kernel looks at 32 bits).
pub fn fd_arg(regs: &Regs, i: usize) -> i32 {
    arg(regs, i) as i32
}

pub fn arg(regs: &Regs, i: usize) -> usize {
    regs.args.get(i).copied().unwrap_or(0)
}

/// The call as the program made it, from here: for calls that do not block.
pub fn raw(regs: &Regs) -> Sys<u64> {
    let [a, b, c, d, e, f] = regs.args;
    let nr = regs.nr as i64;
    // SAFETY: the program's own call with the program's own arguments; the kernel checks its pointers.
    let r = unsafe {
        if sys::GATED.load(Ordering::Relaxed) == 0 {
            sys::frequent6(nr, a, b, c, d, e, f)
        } else {
            sys::syscall6_at(sys::direct(), nr, [a, b, c, d, e, f])
        }
    };
    sys::ret(r).map(|v| v as u64)
}

/// The call's registers, for a change that makes it under the locks.
pub fn copy_of(regs: &Regs) -> Regs {
    Regs {
        nr: regs.nr,
        args: regs.args,
        site: regs.site,
        old_mask: regs.old_mask,
        scratch: 0,
    }
}
