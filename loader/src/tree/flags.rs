//! Flags of an inode (chattr) that are part of the copy: those that mean the same on every file system.
use super::beneath::Root;
use rustix::fs::{IFlags, Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Those that keep an object as it is.
pub const HELD: u32 = IFlags::IMMUTABLE.bits() | IFlags::APPEND.bits();
/// All that are compared.
pub const ALL: u32 = HELD | EASY;
const EASY: u32 =
    IFlags::NOATIME.bits() | IFlags::NODUMP.bits() | IFlags::SYNC.bits() | IFlags::DIRSYNC.bits();

/// CAP_LINUX_IMMUTABLE.
const CAPABILITY: u32 = 9;

/// Opens a file or directory to ask for its flags; whatever else stands there is not opened.
pub fn open(root: &Root, rel: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    root.open_at(rel, flags, Mode::empty())
}

/// The flags of the file or directory at `rel`, as far as they are part of the copy. `None`: not to be had.
pub fn read(root: &Root, rel: &[u8]) -> Option<u32> {
    let fd = open(root, rel).ok()?;
    Some(rustix::fs::ioctl_getflags(&fd).ok()?.bits() & ALL)
}

/// Makes those of `mask` what `want` says.
pub fn put(root: &Root, rel: &[u8], want: u32, mask: u32) -> io::Result<()> {
    let fd = open(root, rel)?;
    let now = rustix::fs::ioctl_getflags(&fd)?;
    let new = IFlags::from_bits_retain(now.bits() & !mask | want & mask);
    if new.bits() == now.bits() {
        return Ok(());
    }
    Ok(rustix::fs::ioctl_setflags(&fd, new)?)
}

/// Which flags this process can set on a new file: tried. Those that hold it are not tried, since who is
/// killed then would leave a file that cannot be removed.
pub fn possible(fd: impl AsFd) -> u32 {
    let fd = fd.as_fd();
    let Ok(own) = rustix::fs::ioctl_getflags(fd) else {
        return 0;
    };
    let mut able = 0;
    for flag in [IFlags::NOATIME, IFlags::NODUMP, IFlags::SYNC] {
        let set = rustix::fs::ioctl_setflags(fd, own | flag).is_ok()
            && rustix::fs::ioctl_getflags(fd).is_ok_and(|f| f.contains(flag));
        able |= if set { flag.bits() } else { 0 };
    }
    let _ = rustix::fs::ioctl_setflags(fd, own);
    // A file has no use for it.
    if able & IFlags::SYNC.bits() != 0 {
        able |= IFlags::DIRSYNC.bits();
    }
    if held(fd) && privileged() {
        able |= HELD;
    }
    able
}

/// Whether the file system knows the flags that hold an object.
fn held(fd: impl AsFd) -> bool {
    const BOTH: u64 = (libc::STATX_ATTR_IMMUTABLE | libc::STATX_ATTR_APPEND) as u64;
    let flags = rustix::fs::AtFlags::EMPTY_PATH;
    rustix::fs::statx(fd, c"", flags, rustix::fs::StatxFlags::BASIC_STATS)
        .is_ok_and(|x| x.stx_attributes_mask.bits() & BOTH == BOTH)
}

/// Whether this process may set them.
fn privileged() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    caps.and_then(|c| u64::from_str_radix(c.trim(), 16).ok())
        .is_some_and(|c| c & (1 << CAPABILITY) != 0)
}
