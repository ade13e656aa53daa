//! Whether flock keeps processes apart on a leg: tried with a second process, as programs will be two.
use super::beneath::{Root, temp_name};
use crate::fail::{Context, Fail, Kind, Res};
use mirror_sys::{Byte, Sys};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// What the second process answers: it found the lock taken, as it must.
const KEPT_OUT: u8 = 10;
/// It got the lock that another process holds.
const GOT_IT: u8 = 11;

/// Tries it in `.mirror/tmp`. `Err` says why locks do not work there.
pub fn exclude(root: &Root) -> Result<(), String> {
    let say = |e: std::io::Error| crate::fail::reason(&e);
    let dir = root.dir(b".mirror/tmp").map_err(say)?;
    let name = temp_name();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&dir, &name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|e| say(e.into()))?;
    let r = match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Err(e) => Err(format!("flock is not possible there ({})", say(e.into()))),
        Ok(()) => ask_another(&dir, &name),
    };
    let _ = rustix::fs::unlinkat(&dir, &name, rustix::fs::AtFlags::empty());
    r
}

/// Whether a process can show by a lock of its own description that it lives, as locks in memory need it: tried
/// with two descriptions of a file in memory, which is where runtime files are.
pub fn in_memory() -> Sys<()> {
    let name = mirror_pair::control::text(b"mirror-probe");
    // SAFETY: opened just now, and nobody else's.
    let owned = |n: i32| unsafe { OwnedFd::from_raw_fd(n) };
    let one = owned(mirror_sys::memory_file(&name)?);
    let two = owned(mirror_sys::open_again(one.as_raw_fd(), libc::O_RDWR)?);
    let byte = mirror_pair::words::byte(1);
    mirror_sys::lock_of_description(one.as_raw_fd(), byte, Byte::Alone)?;
    match mirror_sys::is_locked(two.as_raw_fd(), byte)? {
        true => Ok(()),
        false => Err(mirror_core::Errno::EIO),
    }
}

fn ask_another(dir: &std::os::fd::OwnedFd, name: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("the check of locks could not be run ({e})");
    let status = Command::new("/proc/self/exe")
        .args(["probe-lock", name])
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::from(dir.try_clone().map_err(failed)?))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    match status.code() {
        Some(c) if c == i32::from(KEPT_OUT) => Ok(()),
        Some(c) if c == i32::from(GOT_IT) => Err(
            "flock does not keep processes apart there (local locks of a network share?)".into(),
        ),
        _ => Err("flock is not possible there for a second process".into()),
    }
}

/// The second process: tries the lock on `name` in the directory that is its standard input.
pub fn second(name: &OsStr) -> Res<u8> {
    let dir = rustix::stdio::stdin();
    if name.as_bytes().contains(&b'/') {
        return Err(Fail::new(Kind::Usage, "a name without '/'"));
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty()).about("probe")?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(KEPT_OUT),
        Ok(()) => Ok(GOT_IT),
        Err(e) => Err(Fail::io("probe", e)),
    }
}
