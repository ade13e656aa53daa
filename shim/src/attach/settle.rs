//! The numbers of the library's own descriptors.
use crate::process::limits::with_limit;
use libc as c;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Moves a fresh descriptor to its reserved number. A guest's stay where they are: its numbers are not
/// on record, and they end with the transaction.
pub fn settle_fd(n: i32, slot: usize, to: i32, guest: bool) -> Sys<i32> {
    if guest {
        return Ok(n);
    }
    let r = with_limit(slot.wrapping_add(1), || sys::dup3(n, to, c::O_CLOEXEC));
    let _ = sys::close(n);
    r.map(|_| to)
}
