//! The program's limit of file sizes is for its own files, not for the library's.
//!
//! Rules: signals are blocked (as everywhere behind `heavy`), so that a SIGXFSZ of the library's can be
//! taken back before the program sees it; the limit is the program's again on every way out.
use crate::process::actor::guest;
use crate::process::fds::OLD_SOFT;
use crate::process::limits;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::{Errno, RESERVED, numbers};
use mirror_sys as sys;
use mirror_sys::Sys;

const XFSZ: u64 = 1 << (c::SIGXFSZ - 1);
const NONE: u64 = c::RLIM_INFINITY;

/// Lifts the limit as far as this process may; what it was.
pub fn lift() -> Sys<(u64, u64)> {
    let old = sys::file_size(None)?;
    if old.0 != NONE && sys::file_size(Some((NONE, NONE))).is_err() {
        sys::file_size(Some((old.1, old.1)))?;
    }
    Ok(old)
}

/// Extends a file of the library's own. EFBIG: the hard limit is too low for it.
pub fn own_file<T>(extend: impl FnOnce() -> Sys<T>) -> Sys<T> {
    let was_pending = sys::pending_signals() & XFSZ != 0;
    let old = lift();
    let r = extend();
    if let Ok(old) = old
        && old.0 != NONE
    {
        let _ = sys::file_size(Some(old));
    }
    if !was_pending {
        sys::take_signal(XFSZ);
    }
    r
}

/// Runs `f` with the soft RLIMIT_NOFILE raised to what partners and the first `slots` blocks need. The
/// caller holds TX.
pub fn with_limit<T>(slots: usize, f: impl FnOnce() -> Sys<T>) -> Sys<T> {
    let programs = raise(slots)?;
    let r = f();
    let _ = sys::nofile(Some(programs));
    r
}

/// Raises it; what it is to be again.
#[inline(never)]
fn raise(slots: usize) -> Sys<(u64, u64)> {
    let (soft, hard) = sys::nofile(None)?;
    let room = numbers::needed(slots) as u64;
    let program = soft.min(RESERVED as u64);
    if soft > program && OLD_SOFT.load(Ordering::Relaxed) == 0 && !guest() {
        OLD_SOFT.store(soft, Ordering::Relaxed);
    }
    // root may raise the hard limit too; for others a lower one is the end (EMFILE).
    if soft < room && sys::nofile(Some((room, hard.max(room)))).is_err() {
        return Err(Errno::EMFILE);
    }
    Ok((program, hard))
}

/// Opens a descriptor of our own: the program's limit is not for it. TX is held (or this is a guest).
pub fn spare(open: impl Fn() -> Sys<i32>) -> Sys<i32> {
    match open() {
        Err(Errno::EMFILE) => limits::with_limit(0, open),
        r => r,
    }
}

/// A descriptor of our own, whether or not TX is held: the program's limit is not for it.
pub fn own_fd(open: impl Fn() -> sys::Sys<i32>) -> sys::Sys<i32> {
    match open() {
        Err(Errno::EMFILE) if crate::process::actor::holds() => with_limit(0, open),
        Err(Errno::EMFILE) => {
            crate::process::actor::locked(|| crate::process::limits::with_limit(0, open))
        }
        r => r,
    }
}

/// Gives a descriptor of our own a higher number: the lowest free one is what the program's next open gets.
pub fn park(n: i32) -> i32 {
    let above = n.saturating_add(1) as usize;
    let higher = || match sys::fcntl(n, c::F_DUPFD_CLOEXEC, above) {
        // Beyond the limit.
        Err(Errno::EINVAL) => Err(Errno::EMFILE),
        m => m.map(|m| m as i32),
    };
    match own_fd(higher) {
        Ok(m) => {
            let _ = sys::close(n);
            m
        }
        Err(_) => n,
    }
}
