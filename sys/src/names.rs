//! Calls that change names, and attributes by descriptor. Attributes by name: [`crate::Object`].
use crate::calls::{Sys, call, fd};
use libc as c;
use mirror_core::path::PathText;

/// getdents64(2): entries of a directory, from its position on.
pub fn getdents(n: i32, out: &mut [u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_getdents64,
        fd(n),
        out.as_mut_ptr() as usize,
        out.len()
    )
}

/// unlinkat(2).
pub fn unlinkat<const N: usize>(dir: i32, name: &PathText<N>, flags: i32) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_unlinkat,
        fd(dir),
        name.as_ptr() as usize,
        flags as usize
    )
}

/// mkdirat(2).
pub fn mkdirat<const N: usize>(dir: i32, name: &PathText<N>, mode: u32) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_mkdirat,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize
    )
}

/// mknodat(2).
pub fn mknodat<const N: usize>(dir: i32, name: &PathText<N>, mode: u32, dev: u64) -> Sys<usize> {
    call!(
        syscall4,
        c::SYS_mknodat,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize,
        dev as usize
    )
}

/// symlinkat(2).
pub fn symlinkat<const N: usize, const M: usize>(
    target: &PathText<N>,
    dir: i32,
    name: &PathText<M>,
) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_symlinkat,
        target.as_ptr() as usize,
        fd(dir),
        name.as_ptr() as usize
    )
}

/// linkat(2).
pub fn linkat<const N: usize, const M: usize>(
    old: i32,
    from: &PathText<N>,
    new: i32,
    to: &PathText<M>,
    flags: i32,
) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_linkat,
        fd(old),
        from.as_ptr() as usize,
        fd(new),
        to.as_ptr() as usize,
        flags as usize
    )
}

/// renameat2(2).
pub fn renameat2<const N: usize, const M: usize>(
    old: i32,
    from: &PathText<N>,
    new: i32,
    to: &PathText<M>,
    flags: u32,
) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_renameat2,
        fd(old),
        from.as_ptr() as usize,
        fd(new),
        to.as_ptr() as usize,
        flags as usize
    )
}

/// faccessat2(2) with the effective ids, of the name itself. Kernels and sandboxes without it: yes.
pub fn faccessat<const N: usize>(dir: i32, name: &PathText<N>, mode: i32) -> Sys<()> {
    let r = call!(
        syscall4,
        c::SYS_faccessat2,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize,
        (c::AT_EACCESS | c::AT_SYMLINK_NOFOLLOW) as usize
    );
    match r {
        Err(mirror_core::Errno::ENOSYS) => Ok(()),
        r => r.map(|_| ()),
    }
}

/// fchmod(2).
pub fn fchmod(n: i32, mode: u32) -> Sys<usize> {
    call!(syscall2, c::SYS_fchmod, fd(n), mode as usize)
}

/// fchown(2).
pub fn fchown(n: i32, uid: u32, gid: u32) -> Sys<usize> {
    call!(syscall3, c::SYS_fchown, fd(n), uid as usize, gid as usize)
}

/// (seconds, nanoseconds); nanoseconds may be UTIME_OMIT.
pub type Time = (i64, i64);
/// "Leave this time alone".
pub const OMIT: Time = (0, c::UTIME_OMIT);
/// "This moment".
pub const NOW: Time = (0, c::UTIME_NOW);
