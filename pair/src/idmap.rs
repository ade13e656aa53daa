//! What number a user of the system has where this process looks from.
use libc as c;
use mirror_core::idmap::shown;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// The number that the kernel shows this process for a user of the namespace around its own; its own namespace may
/// be the system's. `None`: that cannot be told.
#[cold]
pub fn shown_as(outside: u32) -> Option<u32> {
    let mut map = [0u8; 1024];
    let path = PathText::<24>::from_bytes(b"/proc/self/uid_map").ok()?;
    let n = sys::openat(c::AT_FDCWD, &path, c::O_RDONLY | c::O_CLOEXEC, 0).ok()?;
    let len = sys::pread(n, &mut map, 0);
    let _ = sys::close(n);
    let len = len.ok().filter(|len| *len < map.len())?;
    shown(map.get(..len)?, outside)
}
