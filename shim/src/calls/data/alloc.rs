//! fallocate on the second leg, where its file system lacks what the first one's has.
//!
//! Rules: both locks are held. What changes bytes is done by reading and writing, if the file is small
//! behind the place; reserving space cannot be done by other means, and is refused.
use crate::calls::data::pieces::{SMALL, copy, copy_up, zero};
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

const COLLAPSE: i32 = c::FALLOC_FL_COLLAPSE_RANGE;
const INSERT: i32 = c::FALLOC_FL_INSERT_RANGE;
const PUNCH: i32 = c::FALLOC_FL_PUNCH_HOLE;
const ZERO: i32 = c::FALLOC_FL_ZERO_RANGE;
const UNSHARE: i32 = c::FALLOC_FL_UNSHARE_RANGE;

/// Whether the call moves what lies behind the place.
pub fn shifts(mode: i32) -> bool {
    mode & (COLLAPSE | INSERT) != 0
}

/// Whether it makes zeros of bytes that stand there.
pub fn clears(mode: i32) -> bool {
    mode & (PUNCH | ZERO) != 0
}

/// Refuses what could not be carried to the second leg in bounded time. File systems of one type do
/// the same.
pub fn prepare(n: i32, m: i32, mode: i32, off: u64, size: u64) -> Sys<()> {
    if shifts(mode) && size.saturating_sub(off) > SMALL && sys::fs_magic(n) != sys::fs_magic(m) {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

/// The second leg's call.
pub fn second(m: i32, mode: i32, off: u64, len: u64) -> Sys<u64> {
    match sys::fallocate(m, mode, off, len) {
        Ok(v) => Ok(v as u64),
        // Whether it makes the file longer, the file systems do not agree.
        Err(_) if mode & UNSHARE != 0 => Ok(0),
        Err(e @ (Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS)) => {
            carry(m, mode, off, len, e).map(|()| 0)
        }
        Err(e) => Err(e),
    }
}

#[cold]
#[inline(never)]
fn carry(m: i32, mode: i32, off: u64, len: u64, why: Errno) -> Sys<()> {
    let size = sys::fstat(m)?.size();
    let end = off.saturating_add(len);
    match mode & !c::FALLOC_FL_KEEP_SIZE {
        COLLAPSE => {
            copy(m, m, end, off, size.saturating_sub(end))?;
            sys::ftruncate(m, size.saturating_sub(len)).map(|_| ())
        }
        INSERT => {
            copy_up(m, off, end, size.saturating_sub(off))?;
            zero(m, off, end)
        }
        PUNCH | ZERO => {
            zero(m, off, end)?;
            if mode & c::FALLOC_FL_KEEP_SIZE == 0 && size < end {
                sys::ftruncate(m, end)?;
            }
            Ok(())
        }
        _ => Err(why),
    }
}

/// The second leg's file is as long as the first one's.
pub fn level(n: i32, m: i32) -> Sys<()> {
    let size = sys::fstat(n)?.size();
    if sys::fstat(m)?.size() != size {
        sys::ftruncate(m, size)?;
    }
    Ok(())
}

/// Gives the first leg back what the second still has, where zeros were made.
pub fn back(n: i32, m: i32, off: u64, len: u64, old_size: u64) -> Sys<()> {
    let len = len.min(old_size.saturating_sub(off));
    if len > SMALL {
        return Err(Errno::EFBIG);
    }
    copy(m, n, off, off, len)
}
