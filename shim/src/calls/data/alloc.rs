//! fallocate on the second leg, where its file system lacks what the first one's has.
//!
//! Rules: both locks are held. What changes bytes is done by reading and writing, if the file is small
//! behind the place; reserving space cannot be done by other means, and is refused.
use crate::calls::data::pieces::{SMALL, copy, copy_up, zero};
use core::cell::Cell;
use libc as c;
use mirror_core::{BothLocked, Errno, Refused, Untouched};
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

/// Whether an fallocate(2) that failed with `why` may have done a part of its work.
pub fn may_have_begun(why: Errno) -> bool {
    matches!(
        why,
        Errno::ENOSPC | Errno::EDQUOT | Errno::EIO | Errno::EINTR | Errno::ENOMEM
    )
}

/// What a failure means for the undo. Room that was reserved and zeros that were made before it are what a
/// plain fallocate(2) that fails leaves too: the first leg may get them. Bytes at other places are no source.
fn refused(mode: i32, why: Errno) -> Refused {
    Refused::after(shifts(mode) && may_have_begun(why), why)
}

/// The second leg's call.
pub fn second(m: i32, mode: i32, off: u64, len: u64, held: &BothLocked) -> Result<(), Refused> {
    match sys::fallocate(m, mode, off, len) {
        Ok(_) => Ok(()),
        // Whether it makes the file longer, the file systems do not agree.
        Err(_) if mode & UNSHARE != 0 => Ok(()),
        Err(e @ (Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS)) => {
            carry(m, mode, (off, len), e, held)
        }
        Err(e) => Err(refused(mode, e)),
    }
}

#[cold]
#[inline(never)]
fn carry(
    m: i32,
    mode: i32,
    (off, len): (u64, u64),
    why: Errno,
    held: &BothLocked,
) -> Result<(), Refused> {
    let size = sys::fstat(m).map_err(Refused::Whole)?.size();
    let end = off.saturating_add(len);
    if mode & INSERT != 0 && !holds(m, size.saturating_add(len)).map_err(Refused::Whole)? {
        return Err(Refused::Whole(Errno::EFBIG));
    }
    let work = || match mode & !c::FALLOC_FL_KEEP_SIZE {
        COLLAPSE => {
            copy(m, m, end, off, size.saturating_sub(end), held)?;
            sys::ftruncate(m, size.saturating_sub(len)).map(|_| true)
        }
        INSERT => {
            copy_up(m, off, end, size.saturating_sub(off), held)?;
            zero(m, off, end, held).map(|()| true)
        }
        PUNCH | ZERO => {
            zero(m, off, end, held)?;
            if mode & c::FALLOC_FL_KEEP_SIZE == 0 && size < end {
                sys::ftruncate(m, end)?;
            }
            Ok(true)
        }
        _ => Ok(false),
    };
    match work() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refused::Whole(why)),
        Err(e) => Err(Refused::after(shifts(mode), e)),
    }
}

/// Whether its file system has files of that size: no offset beyond is one.
fn holds(m: i32, size: u64) -> Sys<bool> {
    let at = sys::lseek(m, 0, c::SEEK_CUR)?;
    let there = sys::lseek(m, size as i64, c::SEEK_SET);
    sys::lseek(m, at as i64, c::SEEK_SET)?;
    Ok(there.is_ok())
}

/// The second leg's file is as long as the first one's.
pub fn level(n: i32, m: i32, _: &BothLocked) -> Sys<()> {
    let size = sys::fstat(n)?.size();
    if sys::fstat(m)?.size() != size {
        sys::ftruncate(m, size)?;
    }
    Ok(())
}

/// Gives the first leg back what the second still has, where zeros were made. `half`: set when it begins.
pub fn back(
    (n, m): (i32, i32),
    (off, len): (u64, u64),
    old_size: u64,
    half: &Cell<bool>,
    source: &Untouched<'_>,
) -> Sys<()> {
    let len = len.min(old_size.saturating_sub(off));
    if len > SMALL {
        return Err(Errno::EFBIG);
    }
    half.set(true);
    copy(m, n, off, off, len, source.held())
}

/// Moves the first leg's bytes back to where they stood; what was cut out comes from the second. `half`: set
/// when the first of it is done.
pub fn shift_back(
    (n, m): (i32, i32),
    mode: i32,
    (off, len): (u64, u64),
    half: &Cell<bool>,
    source: &Untouched<'_>,
) -> Sys<()> {
    if mode & INSERT != 0 {
        return sys::fallocate(n, COLLAPSE, off, len).map(|_| ());
    }
    if len > SMALL {
        return Err(Errno::EFBIG);
    }
    sys::fallocate(n, INSERT, off, len)?;
    half.set(true);
    copy(m, n, off, off, len, source.held())
}
