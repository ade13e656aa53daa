//! Directories that the kernel's texts do not reach: outside a changed root, or without /proc.
//!
//! Rules: as in `resolve`. What cannot be told is not taken for outside.
use crate::resolve::{Name, Path, Place, own_fd};
use crate::state::{self, Member, member};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// Whether an open object lies outside the process's root: then the kernel's text for it begins at the
/// system's root instead.
#[inline(never)]
pub fn beyond<const N: usize>(n: i32, text: &mut PathText<N>) -> bool {
    if state::ROOT.is_default() {
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
    let below = state::ROOT.absolute(text.as_bytes(), &mut again);
    !below || matches!(member(again.as_bytes()), Member::Far | Member::Near)
}

/// The kernel has no text for the directory: it is gone (nothing can be made in it), it cannot be reached
/// from the root, or /proc is not mounted. Then its ".." tell whether it lies in a leg.
#[inline(never)]
pub fn without_text(dir: i32) -> Place {
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let dot = Name::from_bytes(b".").unwrap_or_default();
    let up = Name::from_bytes(b"..").unwrap_or_default();
    let Ok(mut at) = own_fd(|| sys::openat(dir, &dot, flags, 0)) else {
        // Not a directory, or one that may not be searched: nothing happens in it.
        return Place::Out;
    };
    let mut place = Place::Fail(Errno::EIO);
    let mut below = (0, 0);
    for _ in 0..2048 {
        let Ok(st) = sys::fglance(at) else { break };
        if st.nlink() == 0 || below == (st.dev(), st.ino()) {
            // Gone; or its own parent: the root.
            place = if in_jail_of_a_leg() {
                place
            } else {
                Place::Out
            };
            break;
        }
        if crate::ahead::is_root(&st) {
            break;
        }
        below = (st.dev(), st.ino());
        let next = own_fd(|| sys::openat(at, &up, flags, 0));
        let _ = sys::close(at);
        match next {
            Ok(n) => at = n,
            Err(_) => return place,
        }
    }
    let _ = sys::close(at);
    place
}

/// Whether the process's root itself lies in a leg.
fn in_jail_of_a_leg() -> bool {
    let mut whole = Path::new();
    !state::ROOT.is_default()
        && state::ROOT.absolute(b"/", &mut whole)
        && matches!(member(whole.as_bytes()), Member::Root(..) | Member::In(..))
}
