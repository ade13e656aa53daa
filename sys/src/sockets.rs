//! What a socket is connected with (unix(7)).
use crate::calls::{Sys, append_number, call, fd, readlinkat};
use crate::process::getpid;
use libc as c;
use mirror_core::path::PathText;

fn option<const N: usize>(n: i32, which: i32) -> Sys<[u32; N]> {
    let mut value = [0u32; N];
    let mut len = size_of::<[u32; N]>() as u32;
    let (v, l): (*mut [u32; N], *mut u32) = (&mut value, &mut len);
    call!(
        syscall5,
        c::SYS_getsockopt,
        fd(n),
        c::SOL_SOCKET as usize,
        which as usize,
        v as usize,
        l as usize
    )?;
    Ok(value)
}

/// Whether it is a socket of another family than AF_UNIX, over which no descriptor goes.
pub fn is_foreign_socket(n: i32) -> bool {
    option::<1>(n, c::SO_DOMAIN).is_ok_and(|[family]| family != c::AF_UNIX as u32)
}

/// The process that has connected, or listened, at the other end. `None`: that cannot be told. The ends of a
/// socketpair have no names, and whoever made them says nothing of who has them.
pub fn socket_peer(n: i32) -> Option<u32> {
    let named = |call: i64| name_length(n, call).is_ok_and(|len| len > size_of::<u16>() as u32);
    if !named(c::SYS_getpeername) && !named(c::SYS_getsockname) {
        return None;
    }
    let [pid, _, _] = option::<3>(n, c::SO_PEERCRED).ok()?;
    (pid != 0).then_some(pid)
}

fn name_length(n: i32, call: i64) -> Sys<u32> {
    let mut name = [0u64; 16];
    let mut len = size_of::<[u64; 16]>() as u32;
    let (a, l): (*mut [u64; 16], *mut u32) = (&mut name, &mut len);
    call!(syscall3, call, fd(n), a as usize, l as usize)?;
    Ok(len)
}

/// Whether /proc shows processes by the numbers that this one knows them by.
pub fn proc_is_own() -> bool {
    let (mut path, mut text) = (PathText::<16>::new(), PathText::<16>::new());
    let mut own = PathText::<16>::new();
    append_number(getpid() as u32, &mut own);
    path.set(b"/proc/self").is_ok()
        && readlinkat(c::AT_FDCWD, &path, &mut text).is_ok()
        && text.as_bytes() == own.as_bytes()
}
