//! The program's limit of file sizes is for its own files, not for the library's.
//!
//! Rules: signals are blocked (as everywhere behind `heavy`), so that a SIGXFSZ of the library's can be
//! taken back before the program sees it; the limit is the program's again on every way out.
use libc as c;
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
