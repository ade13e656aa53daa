//! What a call has changed although it answers an error: the kernel takes set-id bits away and sets the
//! time before it finds out that a write or an allocation cannot be; one that fails half-way has grown
//! the file.
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
    let m = n.saturating_add(K);
    owes_time(n, held);
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
    let m = n.saturating_add(K);
    let size = sys::fstat(n)?.size();
    let end = match mode {
        mode if alloc::shifts(mode) => size,
        mode if alloc::clears(mode) => size.min(off.saturating_add(len)),
        _ => off,
    };
    if end > off {
        if end.saturating_sub(off) > SMALL {
            return Err(Errno::EFBIG);
        }
        bring(n, m, off, end.saturating_sub(off), held)?;
    }
    if sys::fstat(m)?.size() != size {
        sys::ftruncate(m, size)?;
    }
    Ok(())
}
