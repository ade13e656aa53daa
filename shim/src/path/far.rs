//! Whether a directory, and all below it, is away from all roots: one look at what lies above it.
use crate::path::known::{self, Known, known};
use crate::path::{dirs, roots};
use libc as c;
use mirror_core::RESERVED;
use mirror_sys as sys;

/// Whether a descriptor is of a directory that is found to be far.
#[cold]
#[inline(never)]
pub fn directory(n: i32) -> bool {
    if !(0..RESERVED).contains(&n) || dirs::in_vain(n) {
        return false;
    }
    let Some(begun) = dirs::begin(n) else {
        return false;
    };
    let found = sys::identity_of(n);
    let far = found.is_ok_and(|id| id.kind == c::S_IFDIR && is_far(n, &id));
    if far {
        dirs::learn(n, begun);
    } else {
        dirs::not_far(n);
    }
    far
}

/// Whether a directory is far: it is known, or the one above it is.
pub fn is_far(n: i32, id: &sys::Identity) -> bool {
    match known(id) {
        Some(Known::Far) => return true,
        Some(Known::Near) => return false,
        None => {}
    }
    if roots::is_one(id.dev, id.ino) != Some(false) {
        return false;
    }
    if id.top != Some(false) && !roots::is_foreign(id.dev) {
        return false;
    }
    let Some(Ok(up)) = sys::identity_through(n, b"..") else {
        return false;
    };
    let far = known(&up) == Some(Known::Far);
    if far {
        known::remember(id, Known::Far);
    }
    far
}
