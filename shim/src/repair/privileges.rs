//! Set-id bits and capabilities that the kernel takes from a file when it is changed.
use crate::attach::handle::Session;
use crate::repair::pending::pending_once;
use libc as c;
use mirror_core::path::PathText;
use mirror_core::{Errno, K, Untouched};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Stat, Sys};

/// A change of the data of `n` has been refused by the second leg's file `m` and taken back on the first:
/// set-id bits and capabilities that went with it come back, if `m` still has them. Without `source` that is
/// no ground to give any, and an error if the two differ.
#[cold]
#[inline(never)]
pub fn give_back(n: i32, m: i32, source: Option<&Untouched<'_>>) -> Sys<()> {
    let (first, second) = (Object::of(n)?, Object::of(m)?);
    let given = source.ok_or(Errno::EIO);
    let gone = second.stat().mode() & !first.stat().mode() & (c::S_ISUID | c::S_ISGID);
    if gone != 0 {
        given?;
        first.set_mode((first.stat().mode() | gone) & 0o7777)?;
    }
    let name = PathText::<32>::from_bytes(b"security.capability").unwrap_or_default();
    let mut buf = [0u8; 64];
    if let Ok(len) = second.xattr(&name, &mut buf)
        && first.xattr(&name, &mut [0u8; 64]) == Err(Errno::ENODATA)
    {
        given?;
        first.set_xattr(&name, buf.get(..len).unwrap_or(&[]))?;
    }
    Ok(())
}

/// An empty file that was emptied through descriptor `n`, which has its partner, is again as it was; `before`
/// has its time. What is not is recorded.
#[cold]
pub fn emptied_back(
    (s, rel): (&Session, &[u8]),
    n: i32,
    before: &Stat,
    source: Option<&Untouched<'_>>,
) {
    let m = n.saturating_add(K);
    if give_back(n, m, source).is_err() {
        pending_once(s, rel);
    }
    // The partner's may be empty already.
    for n in [n, m] {
        let _ = sys::set_times(n, OMIT, before.mtime());
    }
}
