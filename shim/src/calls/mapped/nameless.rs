//! Files without a name that can get one (O_TMPFILE), and have no second leg's descriptor: another process has made
//! them, or this one while leg b was away. linkat copies them to the second leg, and what is stored after that would reach the first one alone.
use crate::path::loc::{Loc, Place, Whole};
use crate::path::object;
use libc as c;
use mirror_core::Leg;
use mirror_core::path::split;
use mirror_sys as sys;

/// The pair and leg of which the descriptor is such a file's. The kernel calls it by its inode.
#[cold]
#[inline(never)]
pub fn of(n: i32) -> Option<(usize, Leg)> {
    if !sys::fstat(n).is_ok_and(|st| st.nlink() == 0 && st.kind() == c::S_IFREG) {
        return None;
    }
    let mut text = Whole::new();
    if sys::fd_path(n, &mut text).is_ok() {
        let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
        match split(text.as_bytes()).1.split_first() {
            Some((b'#', rest)) if digit(rest.first()) => {}
            _ => return None,
        }
    }
    let mut loc = Loc::new();
    (object::named(n, &mut loc) == Place::Nameless).then_some((loc.pair, loc.leg))
}
