//! Directories that the kernel's texts do not reach: outside a changed root.
//!
//! Rules: as in `resolve`. What cannot be told is not taken for outside.
use crate::config::{Member, member};
use crate::process::place;
use libc as c;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// Whether an open object lies outside the process's root: then the kernel's text for it begins at the
/// system's root instead.
#[inline(never)]
pub fn beyond<const N: usize>(n: i32, text: &mut PathText<N>) -> bool {
    if place::ROOT.is_default() {
        return false;
    }
    let Ok(st) = sys::fglance(n) else {
        return false;
    };
    let mut again = PathText::<N>::new();
    for _ in 0..8 {
        match sys::glance(c::AT_FDCWD, text, c::AT_SYMLINK_NOFOLLOW) {
            Ok(s) if s.ino() == st.ino() && s.dev() == st.dev() => return false,
            _ => {}
        }
        // Not if it was renamed meanwhile.
        if sys::fd_path(n, &mut again).is_err() || again.as_bytes() == text.as_bytes() {
            break;
        }
        *text = again.clone();
    }
    if st.kind() == c::S_IFDIR && st.nlink() > 0 {
        return true;
    }
    // A removed name: one that would be in a pair is taken for that.
    let below = place::ROOT.absolute(text.as_bytes(), &mut again);
    !below || matches!(member(again.as_bytes()), Member::Far | Member::Near)
}
