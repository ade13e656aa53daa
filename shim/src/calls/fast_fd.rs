//! The program's stack: is a descriptor, of which nothing is known, surely outside?
//!
//! Rules: as in `fast`. A file is outside if the directory that the kernel names is; a directory, if the one
//! above it is far.
use crate::path::beside;
use crate::path::far::is_far;
use crate::path::{dirs, roots, seen};
use crate::process::actor::maybe_guest;
use crate::process::fds::{ANY_PARTNER, hint};
use crate::process::look;
use crate::tables::OUT;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::path::PathText;
use mirror_core::{K, RESERVED};
use mirror_sys as sys;

/// The descriptor that a text names.
pub fn number(t: &[u8]) -> Option<i32> {
    let digits = t.strip_prefix(b"/proc/self/fd/")?;
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |n: i32, d: &u8| n.wrapping_mul(10).wrapping_add(i32::from(*d & 15));
    Some(digits.iter().fold(0, add))
}

/// Whether an open object is known to be outside, or is now found to be.
#[inline(never)]
pub fn is_out(n: i32) -> bool {
    if !(0..RESERVED).contains(&n) || maybe_guest() || !crate::process::place::plain() {
        return false;
    }
    if hint(n) == OUT {
        return true;
    }
    let Some(look) = look::begin(n) else {
        return false;
    };
    let partner = || sys::is_open(n.saturating_add(K));
    if ANY_PARTNER.load(Ordering::Relaxed) && partner() {
        return false;
    }
    let Ok(id) = sys::identity_of(n) else {
        return false;
    };
    if beside::may_be(&id) {
        return false;
    }
    let out = match id.kind {
        c::S_IFDIR => {
            let far = is_far(n, &id);
            if far {
                dirs::learn(n, dirs::Begun::Look(look));
            }
            return far;
        }
        c::S_IFBLK | c::S_IFLNK => false,
        // On a file system that is mounted inside a leg it is refused.
        c::S_IFREG if roots::is_foreign(id.dev) => named_away(n),
        _ if roots::is_foreign(id.dev) => true,
        // It may be a leg's, mounted there.
        _ if id.top != Some(false) => false,
        c::S_IFREG | c::S_IFIFO | c::S_IFCHR => named_outside(n, id.kind),
        // No directory can hold it.
        _ => true,
    };
    if out {
        look.out();
    }
    out
}

/// Whether the kernel's text for a file is away from all roots.
#[inline(never)]
fn named_away(n: i32) -> bool {
    let mut text = PathText::<240>::new();
    sys::fd_path(n, &mut text).is_ok()
        && (text.as_bytes().first() != Some(&b'/') || seen::away(c::AT_FDCWD, text.as_bytes()))
}

/// Whether the kernel's text for a file names a directory that is known to be outside.
#[inline(never)]
fn named_outside(n: i32, kind: u32) -> bool {
    let mut text = PathText::<240>::new();
    if sys::fd_path(n, &mut text).is_err() {
        return false;
    }
    let text = text.as_bytes();
    if kind == c::S_IFIFO && text.starts_with(b"pipe:[") {
        return true;
    }
    text.first() == Some(&b'/') && seen::named_outside(text)
}
