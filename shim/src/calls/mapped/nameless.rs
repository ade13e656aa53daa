//! Files without a name that can get one (O_TMPFILE), and have no second leg's descriptor: another process has made
//! them. linkat copies them to the second leg, and what is stored after that would reach the first one alone.
use crate::path::loc::{Loc, Place, Whole};
use crate::path::object;
use libc as c;
use mirror_core::path::split;
use mirror_sys as sys;

/// Whether the descriptor is such a file's, of a pair. The kernel calls it by its inode.
#[cold]
#[inline(never)]
pub fn is(n: i32) -> bool {
    if !sys::fstat(n).is_ok_and(|st| st.nlink() == 0 && st.kind() == c::S_IFREG) {
        return false;
    }
    let mut text = Whole::new();
    if sys::fd_path(n, &mut text).is_ok() {
        let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
        match split(text.as_bytes()).1.split_first() {
            Some((b'#', rest)) if digit(rest.first()) => {}
            _ => return false,
        }
    }
    matches!(object::named(n, &mut Loc::new()), Place::Nameless)
}
