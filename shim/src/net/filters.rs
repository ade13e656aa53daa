//! Whether a seccomp filter that the process has inherited lets it be armed.
//!
//! Rules of this file: a filter may kill for what it forbids, so a child tries it; without a filter there
//! is no child.
use crate::arch::gates::{DISPATCH, PR_SYS_DISPATCH_ON};
use core::sync::atomic::AtomicU64;
use libc as c;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// __WALL: children that end without a signal, too.
const WALL: usize = 0x4000_0000;
const NAME: &[u8] = b"\nSeccomp:\t";

/// Whether dispatching calls is permitted, as far as a filter is concerned.
pub fn permit() -> bool {
    if unfiltered() {
        return true;
    }
    let ended = a_child_ends(|| {
        // SAFETY: no pointer; the child ends.
        unsafe { sys::syscall5(c::SYS_prctl, DISPATCH, PR_SYS_DISPATCH_ON, 0, usize::MAX, 0) == 0 }
    });
    // It was killed for it: nor may this process call that again.
    if ended & 0x7f != 0 {
        let mut calls = [const { AtomicU64::new(0) }; 8];
        let nr = c::SYS_prctl as usize;
        if let Some(c) = calls.get_mut(nr / 64) {
            *c.get_mut() = 1 << (nr % 64);
        }
        sys::forbid(&calls);
    }
    ended == 0
}

/// What the kernel says of this thread; without /proc there may be a filter.
fn unfiltered() -> bool {
    let name: PathText<32> = PathText::from_bytes(b"/proc/thread-self/status").unwrap_or_default();
    let Ok(n) = sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0) else {
        return false;
    };
    let mode = mode(n);
    let _ = sys::close(n);
    mode == Some(b'0')
}

fn mode(n: i32) -> Option<u8> {
    let mut seen = 0usize;
    let mut chunk = [0u8; 128];
    loop {
        let got = sys::read(n, &mut chunk).ok().filter(|&got| got > 0)?;
        for &b in chunk.get(..got)? {
            match NAME.get(seen) {
                None => return Some(b),
                Some(&wanted) if b == wanted => seen = seen.wrapping_add(1),
                _ => seen = usize::from(b == b'\n'),
            }
        }
    }
}

/// Whether the kernel refuses to install a filter, by `install`, which makes the call: a child tries it.
pub fn refuses(install: impl FnOnce() -> bool) -> bool {
    // Whatever the filter does with the end of the child, it was installed.
    a_child_ends(install) == 1 << 8
}

/// A child does something for a moment: it ends with 0 if that succeeds, with 1 if not. It has a copy of the
/// memory, and sends no signal when it ends. Its status; -1: there was none.
fn a_child_ends(act: impl FnOnce() -> bool) -> i32 {
    let (all, mut before) = (!0u64, 0u64);
    let mask = |new: *const u64, old: *mut u64| {
        let how = c::SIG_SETMASK as usize;
        // SAFETY: both are none or sets of eight bytes, alive during the call.
        unsafe { sys::syscall4(c::SYS_rt_sigprocmask, how, new.addr(), old.addr(), 8) }
    };
    // No handler of the program's runs in the child.
    mask(&raw const all, &raw mut before);
    // SAFETY: a copy of the memory and the same stack: this very place goes on in both.
    let child = unsafe { sys::syscall5(c::SYS_clone, 0, 0, 0, 0, 0) };
    if child == 0 {
        let none = [0u64; 2];
        // SAFETY: a limit of 16 bytes; the rest takes no pointer, and the child ends.
        unsafe {
            sys::syscall4(
                c::SYS_prlimit64,
                0,
                c::RLIMIT_CORE as usize,
                none.as_ptr().addr(),
                0,
            );
            let done = act();
            sys::syscall1(c::SYS_exit_group, usize::from(!done));
            // A filter has made that an error.
            core::arch::asm!("ud2", options(noreturn));
        }
    }
    let mut status = -1i32;
    // SAFETY: a status of four bytes, alive during the call.
    let ended = |status: &mut i32| unsafe {
        let at = (&raw mut *status).addr();
        sys::syscall4(c::SYS_wait4, child as usize, at, WALL, 0)
    };
    while child > 0 && ended(&mut status) == -(c::EINTR as isize) {}
    mask(&raw const before, core::ptr::null_mut());
    status
}
