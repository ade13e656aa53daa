//! Calls that change names and attributes by name.
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

/// fchmodat(2): follows a symlink, so the caller has made sure that there is none.
pub fn fchmodat<const N: usize>(dir: i32, name: &PathText<N>, mode: u32) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_fchmodat,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize
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

/// truncate(2): follows a symlink.
pub fn truncate<const N: usize>(name: &PathText<N>, size: u64) -> Sys<usize> {
    call!(
        syscall2,
        c::SYS_truncate,
        name.as_ptr() as usize,
        size as usize
    )
}

/// fchmod(2).
pub fn fchmod(n: i32, mode: u32) -> Sys<usize> {
    call!(syscall2, c::SYS_fchmod, fd(n), mode as usize)
}

/// fchown(2).
pub fn fchown(n: i32, uid: u32, gid: u32) -> Sys<usize> {
    call!(syscall3, c::SYS_fchown, fd(n), uid as usize, gid as usize)
}

/// fchownat(2).
pub fn fchownat<const N: usize>(
    dir: i32,
    name: &PathText<N>,
    uid: u32,
    gid: u32,
    flags: i32,
) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_fchownat,
        fd(dir),
        name.as_ptr() as usize,
        uid as usize,
        gid as usize,
        flags as usize
    )
}

/// (seconds, nanoseconds); nanoseconds may be UTIME_OMIT.
pub type Time = (i64, i64);
/// "Leave this time alone".
pub const OMIT: Time = (0, c::UTIME_OMIT);
/// "This moment".
pub const NOW: Time = (0, c::UTIME_NOW);

/// utimensat(2): with an empty name on the descriptor itself.
pub fn utimensat<const N: usize>(
    dir: i32,
    name: &PathText<N>,
    atime: Time,
    mtime: Time,
    flags: i32,
) -> Sys<usize> {
    let t = [atime.0, atime.1, mtime.0, mtime.1];
    let name = if name.is_empty() {
        0
    } else {
        name.as_ptr() as usize
    };
    call!(
        syscall4,
        c::SYS_utimensat,
        fd(dir),
        name,
        t.as_ptr() as usize,
        flags as usize
    )
}

/// llistxattr(2) into `out`; its length.
pub fn llistxattr<const N: usize>(path: &PathText<N>, out: &mut [u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_llistxattr,
        path.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        out.len()
    )
}

/// lgetxattr(2) into `out`; its length. `name` ends with a NUL.
pub fn lgetxattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
    out: &mut [u8],
) -> Sys<usize> {
    let (p, n) = (path.as_ptr() as usize, name.as_ptr() as usize);
    call!(
        syscall4,
        c::SYS_lgetxattr,
        p,
        n,
        out.as_mut_ptr() as usize,
        out.len()
    )
}

/// getxattr(2) into `out`: follows a symlink.
pub fn getxattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
    out: &mut [u8],
) -> Sys<usize> {
    let (p, n) = (path.as_ptr() as usize, name.as_ptr() as usize);
    call!(
        syscall4,
        c::SYS_getxattr,
        p,
        n,
        out.as_mut_ptr() as usize,
        out.len()
    )
}

/// setxattr(2): follows a symlink.
pub fn setxattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
    value: &[u8],
) -> Sys<usize> {
    let (p, n) = (path.as_ptr() as usize, name.as_ptr() as usize);
    call!(
        syscall5,
        c::SYS_setxattr,
        p,
        n,
        value.as_ptr() as usize,
        value.len(),
        0
    )
}

/// lsetxattr(2).
pub fn lsetxattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
    value: &[u8],
) -> Sys<usize> {
    let (p, n) = (path.as_ptr() as usize, name.as_ptr() as usize);
    call!(
        syscall5,
        c::SYS_lsetxattr,
        p,
        n,
        value.as_ptr() as usize,
        value.len(),
        0
    )
}

/// lremovexattr(2).
pub fn lremovexattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
) -> Sys<usize> {
    call!(
        syscall2,
        c::SYS_lremovexattr,
        path.as_ptr() as usize,
        name.as_ptr() as usize
    )
}
