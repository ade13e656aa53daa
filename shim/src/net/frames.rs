//! The place of a handler of the program's for SIGSYS: the kernel has the library's handler run on the
//! thread's signal stack, where the program's may not have room, since it has not asked for that stack
//! (SA_ONSTACK).
//!
//! Rules: the frame is moved to where the kernel would have put it, and everything is as if it had: the
//! signal stack is free again while the program's handler runs, since signals that come then use it.
use core::ptr;
use libc as c;

/// The kernel's struct rt_sigframe: return address, context (its mask has eight bytes), siginfo.
const BEFORE: usize = 8;
const CONTEXT: usize = 304;
const INFO: usize = 128;
const FRAME: usize = BEFORE + CONTEXT + INFO;
/// Of a function's stack, below its pointer.
const RED_ZONE: usize = 128;
/// What fxsave writes, and in it: mxcsr, FP_XSTATE_MAGIC1, and the size with all extensions. Behind it: which
/// components are not in their first state.
const FXSAVE: usize = 512;
const MXCSR: usize = 24;
const MAGIC: usize = 464;
const EXTENDED: usize = 468;
const MAGIC1: u32 = 0x4650_5853;
/// SS_AUTODISARM.
const AUTODISARM: u32 = 1 << 31;
const FIRST_MXCSR: u32 = 0x1f80;
/// The trap, direction and resume flags.
const FLAGS: i64 = 0x1_0500;

/// What a handler is called with.
pub struct Entry {
    pub handler: usize,
    pub restorer: usize,
    /// Blocked while it runs, beside what is blocked.
    pub mask: u64,
}

fn register(uc: &c::ucontext_t, reg: i32) -> usize {
    let all = &uc.uc_mcontext.gregs;
    all.get(reg as usize).map_or(0, |v| *v as usize)
}

/// Whether the frame stands on the signal stack, and what has been interrupted does not.
pub fn is_elsewhere(uc: &c::ucontext_t) -> bool {
    let (start, size) = (uc.uc_stack.ss_sp.addr(), uc.uc_stack.ss_size);
    let on = |sp: usize| sp > start && sp.wrapping_sub(start) <= size;
    size != 0 && on(ptr::from_ref(uc).addr()) && !on(register(uc, c::REG_RSP))
}

/// Moves the frame to the interrupted stack. The return from the library's handler then leads into the
/// program's, and the return from that one to where the signal came.
///
/// # Safety
///
/// `uc` is that of a frame of the kernel's for SIGSYS, with `info` behind it, and its handler does nothing more.
pub unsafe fn lead_into(entry: &Entry, uc: &mut c::ucontext_t) {
    let (from, fp) = (ptr::from_mut(uc).addr(), uc.uc_mcontext.fpregs.addr());
    let state = state_size(fp);
    let sp = register(uc, c::REG_RSP).wrapping_sub(RED_ZONE);
    let fp_to = sp.wrapping_sub(state) & !63;
    let to = (fp_to.wrapping_sub(FRAME) & !15).wrapping_sub(8);
    let context = to.wrapping_add(BEFORE);
    // SAFETY: both lie in the kernel's frame; the targets are free stack of the interrupted thread, as they are for
    // the kernel. Where there is none, the thread faults here and not in the kernel.
    unsafe {
        ptr::copy_nonoverlapping(fp as *const u8, fp_to as *mut u8, state);
        let old = from.wrapping_sub(BEFORE) as *const u8;
        ptr::copy_nonoverlapping(old, to as *mut u8, FRAME);
        *(to as *mut usize) = entry.restorer;
        (&raw mut (*(context as *mut c::ucontext_t)).uc_mcontext.fpregs).write(if state == 0 {
            ptr::null_mut()
        } else {
            fp_to as *mut _
        });
        *(&raw mut uc.uc_sigmask).cast::<u64>() |= entry.mask;
    }
    first_state(fp, state);
    // A stack that is given up for as long as a handler runs, on it or not.
    if uc.uc_stack.ss_flags as u32 & AUTODISARM != 0 {
        (uc.uc_stack.ss_flags, uc.uc_stack.ss_size) = (c::SS_DISABLE, 0);
    }
    let mut set = |reg: i32, v: usize| {
        if let Some(r) = uc.uc_mcontext.gregs.get_mut(reg as usize) {
            *r = v as i64;
        }
    };
    set(c::REG_RIP, entry.handler);
    set(c::REG_RSP, to);
    set(c::REG_RAX, 0);
    set(c::REG_RDI, c::SIGSYS as usize);
    set(c::REG_RSI, context.wrapping_add(CONTEXT));
    set(c::REG_RDX, context);
    if let Some(r) = uc.uc_mcontext.gregs.get_mut(c::REG_EFL as usize) {
        *r &= !FLAGS;
    }
}

fn word(at: usize) -> u32 {
    // SAFETY: `at` lies in the state that the kernel has saved, aligned for four bytes.
    unsafe { *(at as *const u32) }
}

/// Of the vector registers that the kernel has saved; 0: it has not.
fn state_size(fp: usize) -> usize {
    if fp == 0 {
        return 0;
    }
    match word(fp.wrapping_add(MAGIC)) {
        MAGIC1 => word(fp.wrapping_add(EXTENDED)) as usize,
        _ => FXSAVE,
    }
}

/// A handler begins with vector registers in their first state.
fn first_state(fp: usize, state: usize) {
    if state < FXSAVE + 8 {
        return;
    }
    // SAFETY: inside the state that the kernel has saved, which ends behind both.
    unsafe {
        *(fp.wrapping_add(MXCSR) as *mut u32) = FIRST_MXCSR;
        *(fp.wrapping_add(FXSAVE) as *mut u64) = 0;
    }
}
