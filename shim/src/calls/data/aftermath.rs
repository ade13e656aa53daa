//! What a call has changed although it answers an error: the kernel takes set-id bits away and sets the
//! time before it finds out that a write or an allocation cannot be; one that fails half-way has grown
//! the file. A write past the page cache is made in parts, and answers the error of the one that fails (ext4:
//! EINVAL for a length that is no multiple of the block, after what lies before it is written); one that is
//! to be on the disk answers the error of that, and the bytes are in the file.
//!
//! Rules: both locks are held. The first leg's answer is the program's; the second leg follows it.
use crate::calls::data::alloc;
use crate::calls::data::pieces::{SMALL, bring};
use crate::calls::paired::partner::owes_time;
use libc as c;
use mirror_core::path::PathText;
use mirror_core::{BothLocked, Errno, K};
use mirror_sys as sys;
use mirror_sys::{Object, Sys};

/// A change of the data of `n` has been refused on the first leg. An error: the second could not follow.
#[cold]
#[inline(never)]
pub fn refused(n: i32, held: &BothLocked) -> Sys<()> {
    owes_time(n, held);
    let r = rights(n, held);
    // A guest's time was put at once, and what was changed since has set another.
    owes_time(n, held);
    r
}

/// Makes the second leg's set-id bits and capabilities what a refused change has left of the first one's.
fn rights(n: i32, _: &BothLocked) -> Sys<()> {
    let m = n.saturating_add(K);
    // What could not be looked at is no difference.
    let (Ok(first), Ok(second)) = (Object::of(n), Object::of(m)) else {
        return Ok(());
    };
    let gone = second.stat().mode() & !first.stat().mode() & (c::S_ISUID | c::S_ISGID);
    if gone != 0
        && second
            .set_mode(second.stat().mode() & 0o7777 & !gone)
            .is_err()
    {
        // Who may write a file that is not theirs takes them away like this, as the first call did.
        sys::ftruncate(m, second.stat().size())?;
    }
    let name = PathText::<32>::from_bytes(b"security.capability").unwrap_or_default();
    let mut buf = [0u8; 64];
    if first.xattr(&name, &mut buf) == Err(Errno::ENODATA) && second.xattr(&name, &mut buf).is_ok()
    {
        let r = second.remove_xattr(&name);
        r.or_else(|_| sys::ftruncate(m, second.stat().size()))?;
    }
    Ok(())
}

/// A write of `len` bytes at `at` (`None`: behind the end) has been refused on the first leg; `durable`: it was
/// to be on the disk. An error: the second could not follow.
#[cold]
#[inline(never)]
pub fn not_written(
    n: i32,
    at: Option<u64>,
    (len, durable): (u64, bool),
    held: &BothLocked,
) -> Sys<()> {
    refused(n, held)?;
    let flags = match sys::fcntl(n, c::F_GETFL, 0) {
        // A number that is closed by now has written nothing.
        Err(Errno::EBADF) => return Ok(()),
        r => r? as i32,
    };
    // O_SYNC has the bit of O_DSYNC.
    if !durable && flags & (c::O_DIRECT | c::O_DSYNC) == 0 {
        return Ok(());
    }
    let from = match at {
        Some(at) => at,
        None => sys::fstat(n.saturating_add(K))?.size(),
    };
    follow(n, from, len, held)
}

/// What FICLONERANGE left behind when it failed with `why`: file systems share one extent after the other. An
/// error: the second leg could not follow.
#[cold]
#[inline(never)]
pub fn not_cloned(n: i32, why: Errno, (at, len): (u64, u64), held: &BothLocked) -> Sys<()> {
    refused(n, held)?;
    if !alloc::may_have_begun(why) {
        return Ok(());
    }
    follow(n, at, len, held)
}

/// Makes a range of the second leg, and the size, what the first one has.
fn follow(n: i32, from: u64, len: u64, held: &BothLocked) -> Sys<()> {
    let r = content(n, from, len, held);
    // As in `refused`.
    owes_time(n, held);
    r
}

fn content(n: i32, from: u64, len: u64, held: &BothLocked) -> Sys<()> {
    let m = n.saturating_add(K);
    let size = sys::fstat(n)?.size();
    let len = len.min(size.saturating_sub(from));
    if len > SMALL {
        return Err(Errno::EFBIG);
    }
    if len > 0 {
        bring(n, m, from, len, held)?;
    }
    if sys::fstat(m)?.size() != size {
        sys::ftruncate(m, size)?;
    }
    Ok(())
}

/// What fallocate(2) left behind when it failed with `why`. An error: the second leg could not follow.
#[cold]
#[inline(never)]
pub fn not_allocated(
    n: i32,
    why: Errno,
    (mode, off, len): (i32, u64, u64),
    held: &BothLocked,
) -> Sys<()> {
    refused(n, held)?;
    if !alloc::may_have_begun(why) {
        return Ok(());
    }
    let len = match mode {
        mode if alloc::shifts(mode) => u64::MAX,
        mode if alloc::clears(mode) => len,
        _ => 0,
    };
    follow(n, off, len, held)
}
