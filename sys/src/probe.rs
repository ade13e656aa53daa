//! Questions to the kernel whose refusal is an answer: whether memory is there, whether a descriptor is.
//!
//! Rules: an answer is only what the kernel itself says. What a seccomp filter makes of a question is none: it
//! is put by another call then. Where that is refused too, "yes" is assumed: what is done on it fails, or
//! reaches what is there; on a false "no" a change would go past the library.
use crate::calls::{Sys, call, fcntl, fstat};
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Errno;

/// What rt_sigprocmask takes for no operation.
pub const NO_HOW: usize = 0x7fff;

/// Whether memory is asked for by futex alone.
#[unsafe(link_section = ".data.boot")]
static BY_FUTEX: AtomicBool = AtomicBool::new(false);

/// From now on memory is asked for by futex: a filter may end the program for the other call.
pub fn ask_by_futex() {
    BY_FUTEX.store(true, Ordering::Relaxed);
}

/// Whether the aligned word at (or around) `addr`, and so its page, may be read. rt_sigprocmask copies
/// the set before it looks at an invalid `how`, so EINVAL means readable and EFAULT means not; nothing
/// changes.
pub fn readable(addr: usize) -> bool {
    // At 0 the kernel sees no set at all; that page, too, may be mapped.
    let word = (addr & !7).max(1);
    if !BY_FUTEX.load(Ordering::Relaxed) {
        match call!(syscall4, c::SYS_rt_sigprocmask, NO_HOW, word, 0, 8) {
            Err(Errno::EINVAL) => return true,
            Err(Errno::EFAULT) => return false,
            _ => {}
        }
    }
    waits(addr & !7)
}

/// The same by a wait for no time, which reads the word first.
#[cold]
fn waits(word: usize) -> bool {
    /// Rarely there: the wait then ends before it begins.
    const EXPECTED: usize = 0x6d69_7272;
    let now = [0u64; 2];
    let op = (c::FUTEX_WAIT | c::FUTEX_PRIVATE_FLAG) as usize;
    let now = now.as_ptr() as usize;
    call!(syscall4, c::SYS_futex, word, op, EXPECTED, now) != Err(Errno::EFAULT)
}

/// Whether eight bytes at `addr` may be written. Their content is lost: the kernel has written there.
///
/// # Safety
/// The eight bytes are the caller's to overwrite.
pub unsafe fn writable(addr: usize) -> bool {
    if !BY_FUTEX.load(Ordering::Relaxed) {
        let how = c::SIG_BLOCK as usize;
        // SAFETY: the kernel checks the address; the caller gives the bytes away.
        let r = unsafe { crate::syscall4(c::SYS_rt_sigprocmask, how, 0, addr, 8) };
        match crate::ret(r) {
            Ok(_) => return true,
            Err(Errno::EFAULT) => return false,
            Err(_) => {}
        }
    }
    stores(addr & !3) && stores(addr.wrapping_add(7) & !3)
}

/// Whether the kernel can store into the word: FUTEX_WAKE_OP, which ORs nothing to it.
#[cold]
fn stores(word: usize) -> bool {
    const OR: usize = 2 << 28;
    let op = (c::FUTEX_WAKE_OP | c::FUTEX_PRIVATE_FLAG) as usize;
    call!(syscall6, c::SYS_futex, word, op, 0, 0, word, OR) != Err(Errno::EFAULT)
}

/// A descriptor's flags (F_GETFD), none where they may not be asked for; EBADF: there is no descriptor.
pub fn fd_flags(n: i32) -> Sys<i32> {
    match fcntl(n, c::F_GETFD, 0) {
        Ok(flags) => Ok(flags as i32),
        Err(Errno::EBADF) => Err(Errno::EBADF),
        Err(_) => match fstat(n) {
            Err(Errno::EBADF) => Err(Errno::EBADF),
            _ => Ok(0),
        },
    }
}

/// Whether a number has a descriptor.
pub fn is_open(n: i32) -> bool {
    fd_flags(n).is_ok()
}

/// Whether what a descriptor was opened for fits: `true` where nobody says it.
pub fn opened_for(n: i32, fits: impl FnOnce(i32) -> bool) -> bool {
    match fcntl(n, c::F_GETFL, 0) {
        Ok(flags) => fits(flags as i32 & c::O_ACCMODE),
        Err(e) => e != Errno::EBADF,
    }
}
