//! Which mount an open object was reached through.
use crate::calls::{Sys, call, fd};
use libc as c;
use mirror_core::Errno;

/// STATX_MNT_ID, since Linux 5.8: the number that /proc/self/mountinfo shows; used again after an umount.
const SHOWN: usize = 0x1000;
/// STATX_MNT_ID_UNIQUE, since Linux 6.8: never used again.
const UNIQUE: usize = 0x4000;

fn ask(n: i32, what: usize) -> Sys<u64> {
    // SAFETY: struct statx is plain integers; all zero is a value of it.
    let mut x: c::statx = unsafe { core::mem::zeroed() };
    let p: *mut c::statx = &mut x;
    let empty = c"".as_ptr() as usize;
    let at = c::AT_EMPTY_PATH as usize;
    call!(syscall5, c::SYS_statx, fd(n), empty, at, what, p as usize)?;
    if x.stx_mask as usize & what == 0 {
        return Err(Errno::ENOSYS);
    }
    Ok(x.stx_mnt_id)
}

/// The mount's number in /proc/self/mountinfo.
pub fn mount_shown(n: i32) -> Sys<u64> {
    ask(n, SHOWN)
}

/// A number that no other mount will ever have.
pub fn mount_unique(n: i32) -> Sys<u64> {
    ask(n, UNIQUE)
}

/// Whether the mount that an open object was reached through is read-only.
pub fn on_read_only(n: i32) -> Sys<bool> {
    // struct statfs: fifteen words here, of which the eleventh are the flags.
    let mut s = [0u64; 15];
    call!(syscall2, c::SYS_fstatfs, fd(n), s.as_mut_ptr() as usize)?;
    Ok(s[10] & c::ST_RDONLY != 0)
}
