//! The handler of SIGSYS: a call that the kernel did not carry out.
//!
//! Rules: it runs on the program's signal stack, with the program's mask. What the handlers of the library
//! answer is stored into the context; every call that is to be executed is executed in normal context,
//! after the return from here: then masks, stacks, restarts, cancellation and longjmp are the kernel's
//! and libc's affair as ever.
use crate::arch::gates::{self, CLONE_GATE};
use crate::door::entry::filter;
use crate::door::scratch::on_scratch;
use crate::door::{finish, finish_ahead, wait};
use crate::net::arming::leaf;
use crate::net::signals::{self, Info};
use crate::net::stacks;
use crate::regs::{DONE, FINISH, GATED, HEAVY, NATIVE, Regs, WAIT, answer};
use crate::tables::{BY_FD, HINTS, OUT, WATCH};
use core::sync::atomic::Ordering;
use libc as c;

/// si_code of a dispatched call (SYS_USER_DISPATCH).
const USER_DISPATCH: i32 = 2;
/// si_arch of x86-64 (AUDIT_ARCH_X86_64).
const X86_64: u32 = 0xc000_003e;
/// In the number of a call of the x32 interface.
const X32: usize = 1 << 30;

/// Registers of a context, as the library's handlers have them.
struct Context<'a>(&'a mut c::ucontext_t);

impl Context<'_> {
    fn get(&self, reg: i32) -> usize {
        let all = &self.0.uc_mcontext.gregs;
        all.get(reg as usize).map_or(0, |v| *v as usize)
    }
    fn set(&mut self, reg: i32, v: usize) {
        if let Some(r) = self.0.uc_mcontext.gregs.get_mut(reg as usize) {
            *r = v as i64;
        }
    }
    const ARGS: [i32; 6] = [
        c::REG_RDI,
        c::REG_RSI,
        c::REG_RDX,
        c::REG_R10,
        c::REG_R8,
        c::REG_R9,
    ];
    fn regs(&self) -> Regs {
        Regs {
            nr: self.get(c::REG_RAX),
            args: Self::ARGS.map(|r| self.get(r)),
            site: self.get(c::REG_RIP).wrapping_sub(2),
            old_mask: 0,
            scratch: 0,
        }
    }
    /// The mask that holds again after the handler: the kernel's eight bytes.
    fn mask(&mut self) -> &mut u64 {
        // SAFETY: uc_sigmask is larger than eight bytes and aligned for them.
        unsafe { &mut *(&raw mut self.0.uc_sigmask).cast() }
    }
}

/// SIGSYS.
pub extern "C" fn handler(sig: i32, info: &Info, uc: &mut c::ucontext_t) {
    if info.code != USER_DISPATCH {
        signals::foreign(sig, info, uc);
        return;
    }
    let mut at = Context(uc);
    let mut regs = at.regs();
    // The kernel looks at 32 bits of the number.
    regs.nr = regs.nr as u32 as usize;
    if info.arch != X86_64 || regs.nr & X32 != 0 {
        at.set(c::REG_RAX, (c::ENOSYS as usize).wrapping_neg());
        return;
    }
    match regs.nr as i64 {
        // A foreign trampoline: the frame stands where the stack pointer is.
        c::SYS_rt_sigreturn => {
            signals::strip_frame(at.get(c::REG_RSP));
            return at.set(c::REG_RIP, leaf());
        }
        c::SYS_sigaltstack => {
            if let Some(r) = stacks::dispatched(&mut regs, at.0) {
                answer(&mut regs, r);
                return at.set(c::REG_RAX, regs.nr);
            }
        }
        c::SYS_rt_sigprocmask => {
            let r = signals::mask_of(&regs, at.mask());
            answer(&mut regs, r);
            return at.set(c::REG_RAX, regs.nr);
        }
        _ => {}
    }
    let by_itself = regs.nr as i64 == c::SYS_sigaltstack;
    match if by_itself { NATIVE } else { decide(&mut regs) } {
        DONE => return at.set(c::REG_RAX, regs.nr),
        GATED => {
            at.set(c::REG_R9, regs.args.get(5).copied().unwrap_or(0));
            return at.set(c::REG_RIP, CLONE_GATE.load(Ordering::Relaxed));
        }
        _ => {}
    }
    // The stack may be somebody else's already: nothing is put on it.
    if regs.nr as i64 == c::SYS_exit {
        return at.set(c::REG_RIP, leaf());
    }
    for (r, v) in Context::ARGS.into_iter().zip(regs.args) {
        at.set(r, v);
    }
    if regs.nr as i64 == c::SYS_exit_group && regs.old_mask == u64::MAX {
        // What `before_exit` wants: no handler runs between it and the end.
        *at.mask() = u64::MAX;
    }
    let back = at.get(c::REG_RIP);
    at.set(c::REG_RCX, back);
    at.set(c::REG_RIP, gates::dispatched());
}

/// As `mirror_common`: NATIVE, DONE or GATED.
fn decide(regs: &mut Regs) -> usize {
    let watch = WATCH.get(regs.nr).map_or(0, |w| w.load(Ordering::Relaxed));
    if watch == 0 {
        return NATIVE;
    }
    let first = regs.args.first().map_or(0, |v| *v as u32 as usize);
    let out = |h: &core::sync::atomic::AtomicU8| h.load(Ordering::Relaxed) == OUT;
    if watch & BY_FD != 0 && HINTS.get(first).is_some_and(out) {
        return NATIVE;
    }
    let mut r = filter(regs);
    loop {
        r = match r {
            HEAVY => on_scratch(regs),
            WAIT => {
                wait(regs);
                on_scratch(regs)
            }
            FINISH if finish_ahead(regs) => return NATIVE,
            FINISH => finish(regs),
            _ => return r,
        };
    }
}
