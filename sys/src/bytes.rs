//! Locks of an open file description on single bytes of a file (fcntl(2), F_OFD_SETLK): they end with the
//! description's last descriptor, and with nothing else.
use crate::calls::{PROC, Sys, append_number, fcntl, fd_text, openat};
use core::sync::atomic::{AtomicU8, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;

/// How a byte is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// By one description.
    Alone,
    /// By any number.
    Shared,
    /// Not.
    Free,
}

/// Commands of fcntl(2) for which a filter ends the program: they are refused here.
static REFUSED: AtomicU8 = AtomicU8::new(0);

/// The commands that such locks are made of, and one that asks for them in another way.
pub const LOCK_COMMANDS: [i32; 3] = [c::F_OFD_SETLK, c::F_OFD_GETLK, c::F_GETLK];

/// From now on the library makes none of these [`LOCK_COMMANDS`] (by bit), beside those that were given before.
pub fn refuse_locks(commands: u8) {
    REFUSED.fetch_or(commands, Ordering::Relaxed);
}

/// One of [`LOCK_COMMANDS`].
pub(crate) fn lock_command(n: i32, command: i32, l: *const c::flock) -> Sys<usize> {
    let refused = REFUSED.load(Ordering::Relaxed);
    let nth = LOCK_COMMANDS.iter().position(|c| *c == command);
    match nth.is_some_and(|i| refused >> i & 1 != 0) {
        true => Err(Errno::EPERM),
        false => fcntl(n, command, l as usize),
    }
}

fn of(at: u64, how: Byte) -> c::flock {
    let kind = match how {
        Byte::Alone => c::F_WRLCK,
        Byte::Shared => c::F_RDLCK,
        Byte::Free => c::F_UNLCK,
    };
    c::flock {
        l_type: kind as i16,
        l_whence: c::SEEK_SET as i16,
        l_start: at as i64,
        l_len: 1,
        // The kernel wants it so of these locks.
        l_pid: 0,
    }
}

/// Locks a byte, or gives it back, without waiting. EAGAIN: another description's is in the way.
pub fn lock_of_description(n: i32, at: u64, how: Byte) -> Sys<()> {
    let l = of(at, how);
    match lock_command(n, c::F_OFD_SETLK, &l) {
        Err(Errno::EACCES) => Err(Errno::EAGAIN),
        r => r.map(drop),
    }
}

/// Whether another description has a lock on a byte. Where that may not be asked, a lock of the process's own kind is
/// asked for: those of descriptions are in its way as well.
pub fn is_locked(n: i32, at: u64) -> Sys<bool> {
    let mut l = of(at, Byte::Alone);
    let p: *mut c::flock = &mut l;
    if lock_command(n, c::F_OFD_GETLK, p).is_err() {
        lock_command(n, c::F_GETLK, p)?;
    }
    // SAFETY: `l` lives; the kernel wrote into it by the pointer.
    let kind = unsafe { core::ptr::read_volatile(&raw const (*p).l_type) };
    Ok(kind != c::F_UNLCK as i16)
}

/// A second description of the file that a descriptor is open on, also of one that has no name any more.
pub fn open_again(n: i32, flags: i32) -> Sys<i32> {
    let mut p = PathText::<40>::new();
    let proc = PROC.load(Ordering::Relaxed);
    if proc >= 0 {
        let _ = p.set(b"thread-self/fd/");
        append_number(n as u32, &mut p);
        return openat(proc, &p, flags | c::O_CLOEXEC, 0);
    }
    fd_text(n, &mut p);
    openat(c::AT_FDCWD, &p, flags | c::O_CLOEXEC, 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::close;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_byte_is_its_descriptions() {
        let path = std::env::temp_dir().join(std::format!("mirror-bytes-{}", std::process::id()));
        let one = std::fs::File::create_new(&path).unwrap();
        let two = open_again(one.as_raw_fd(), c::O_RDWR).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (one, at) = (one.as_raw_fd(), 1 << 40);
        assert_eq!(is_locked(one, at), Ok(false));
        lock_of_description(one, at, Byte::Alone).unwrap();
        // Its own is in nobody's way.
        assert_eq!(
            (is_locked(one, at), is_locked(two, at)),
            (Ok(false), Ok(true))
        );
        assert_eq!(is_locked(two, at + 1), Ok(false));
        assert_eq!(
            lock_of_description(two, at, Byte::Shared),
            Err(Errno::EAGAIN)
        );
        lock_of_description(one, at, Byte::Shared).unwrap();
        lock_of_description(two, at, Byte::Shared).unwrap();
        // Another descriptor of the same file closes; a classic lock would be lost by it.
        close(open_again(one, c::O_RDWR).unwrap()).unwrap();
        assert_eq!(is_locked(two, at), Ok(true));
        close(two).unwrap();
        assert_eq!(lock_of_description(one, at, Byte::Free), Ok(()));
    }
}
