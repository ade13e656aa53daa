//! The second leg's times, after the first leg's.
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::{NOW, Sys, Time};

/// Gives the object of descriptor `second` the mtime of that of `first`, and this atime. Whoever may write
/// another user's file may not set its times: both then get the present moment.
pub fn copy(first: i32, second: i32, atime: Time, held: &BothLocked) -> Sys<()> {
    match sys::set_times(second, atime, sys::fstat(first)?.mtime()) {
        Err(Errno::EPERM) => same_moment(first, second, held),
        r => r.map(|_| ()),
    }
}

/// "Now" on both legs, at the same tick of the kernel's clock. The first touch after somebody has looked
/// at a time takes a finer clock; the second one does not.
#[cold]
#[inline(never)]
fn same_moment(first: i32, second: i32, _: &BothLocked) -> Sys<()> {
    for _ in 0..8 {
        for n in [first, second, first, second] {
            sys::set_times(n, NOW, NOW)?;
        }
        if sys::fstat(first)?.mtime() == sys::fstat(second)?.mtime() {
            return Ok(());
        }
    }
    Err(Errno::EPERM)
}
