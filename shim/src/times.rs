//! The second leg's times, after the first leg's.
use crate::resolve::Name;
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::{NOW, Stat, Sys, Time};

/// An object: a directory and a name in it, or a descriptor and no name.
pub type Object<'a> = (i32, &'a Name);

fn stat((n, name): Object<'_>) -> Sys<Stat> {
    if name.is_empty() {
        sys::fstat(n)
    } else {
        sys::fstatat(n, name, c::AT_SYMLINK_NOFOLLOW)
    }
}

fn set((n, name): Object<'_>, atime: Time, mtime: Time) -> Sys<()> {
    let flags = if name.is_empty() {
        0
    } else {
        c::AT_SYMLINK_NOFOLLOW
    };
    sys::utimensat(n, name, atime, mtime, flags).map(|_| ())
}

/// Gives `second` the mtime of `first`, and this atime. Whoever may write another user's file may not set
/// its times: both then get the present moment.
pub fn copy(first: Object<'_>, second: Object<'_>, atime: Time) -> Sys<()> {
    match set(second, atime, stat(first)?.mtime()) {
        Err(Errno::EPERM) => same_moment(first, second),
        r => r,
    }
}

/// "Now" on both legs, at the same tick of the kernel's clock. The first touch after somebody has looked
/// at a time takes a finer clock; the second one does not.
#[cold]
#[inline(never)]
fn same_moment(first: Object<'_>, second: Object<'_>) -> Sys<()> {
    for _ in 0..8 {
        for o in [first, second, first, second] {
            set(o, NOW, NOW)?;
        }
        if stat(first)?.mtime() == stat(second)?.mtime() {
            return Ok(());
        }
    }
    Err(Errno::EPERM)
}
