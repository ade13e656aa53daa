//! ptrace(2): a debugger that makes another process call the kernel.
//!
//! Rules: what the other process's own library would carry out is not noted. A call that is put before the
//! kernel with other registers, at a system call instruction, is none that its library has seen: the pairs are to
//! be compared.
use crate::calls::exec::count::count_traced;
use crate::regs::{HEAVY, NATIVE, Regs, arg};
use crate::user::word;
use libc as c;
use mirror_sys as sys;

const SET_REGISTERS: usize = 13;
const SET_REGISTER_SET: usize = 0x4205;
const SET_CALL: usize = 0x4212;
const SET_WORD: usize = 6;
/// Of struct user: the call's number, its result, where the process goes on.
const ORIG_RAX: usize = 15 * 8;
const RAX: usize = 10 * 8;
const RIP: usize = 16 * 8;
/// NT_PRSTATUS.
const GENERAL: usize = 1;
const PEEK: usize = 1;
const PEEK_USER: usize = 3;

/// On the program's stack.
pub fn filter(regs: &Regs) -> usize {
    match arg(regs, 0) {
        SET_REGISTERS | SET_CALL => HEAVY,
        SET_REGISTER_SET if arg(regs, 2) == GENERAL => HEAVY,
        SET_WORD if matches!(arg(regs, 2), ORIG_RAX | RAX | RIP) => HEAVY,
        _ => NATIVE,
    }
}

/// On the scratch stack.
#[inline(never)]
pub fn trace(regs: &Regs) -> usize {
    let (pid, data) = (arg(regs, 1), arg(regs, 3));
    let at = |registers: usize| word(registers.wrapping_add(RIP));
    let goes_on = match arg(regs, 0) {
        SET_REGISTERS => at(data),
        SET_REGISTER_SET => word(data).and_then(|base| at(base as usize)),
        SET_WORD if arg(regs, 2) == RIP => Some(data as u64),
        SET_CALL => {
            count_traced();
            return NATIVE;
        }
        _ => peek(PEEK_USER, pid, RIP),
    };
    let Some(rip) = goes_on.map(|rip| rip as usize) else {
        return NATIVE;
    };
    let calls = |at: usize| {
        let code = peek(PEEK, pid, at).unwrap_or(0) as u16;
        // syscall, sysenter, int 0x80
        matches!(code.to_le_bytes(), [0x0f, 0x05 | 0x34] | [0xcd, 0x80])
    };
    // It has stopped before such an instruction, or at its call.
    if calls(rip) || calls(rip.wrapping_sub(2)) {
        count_traced();
    }
    NATIVE
}

/// A word of the other process: the kernel stores it here.
fn peek(request: usize, pid: usize, at: usize) -> Option<u64> {
    let mut word = 0u64;
    let to = &raw mut word as usize;
    // SAFETY: the kernel stores one word into a variable of ours.
    let r = sys::ret(unsafe { sys::syscall4(c::SYS_ptrace, request, pid, at, to) });
    r.is_ok().then_some(word)
}
