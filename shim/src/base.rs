//! What a relative path starts from: the kernel's text for a directory, and what is known of it.
//!
//! Rules: as in `resolve`.
use crate::loc::{Loc, Path, Place, Whole};
use crate::object::deep;
use crate::reach::{beyond, without_text};
use crate::resolve::leads;
use crate::state::{self, CWD, Member, OUT, UNKNOWN, guest, hint, member, set_hint};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::join;
use mirror_sys as sys;

/// The absolute canonical text of what a relative path starts from, and whether it begins at the system's
/// root instead of the process's. `Err`: what anything below it is.
#[inline(never)]
pub fn base_text(dir: i32, out: &mut Whole) -> Result<bool, Place> {
    if dir == c::AT_FDCWD {
        let before = CWD.load(Ordering::Acquire);
        match sys::getcwd(out) {
            Ok(()) => {}
            Err(Errno::ENAMETOOLONG) => return Err(deep(dir, &mut Loc::new())),
            Err(_) => return Err(without_text(dir)),
        }
        if out.as_bytes().first() != Some(&b'/') {
            return unreachable_cwd(dir, out);
        }
        if far(out.as_bytes()) && !guest() {
            // Not if a chdir came between.
            let _ = CWD.compare_exchange(before, before | 1, Ordering::AcqRel, Ordering::Relaxed);
        }
        return Ok(false);
    }
    match sys::fd_path(dir, out) {
        Ok(()) => {}
        Err(Errno::ENAMETOOLONG) => return Err(deep(dir, &mut Loc::new())),
        Err(_) => return Err(without_text(dir)),
    }
    if out.as_bytes().first() != Some(&b'/') {
        return Err(without_text(dir));
    }
    if far(out.as_bytes()) && hint(dir) == UNKNOWN && !guest() {
        set_hint(dir, OUT);
    }
    Ok(beyond(dir, out))
}

/// "(unreachable)/…": the root was changed, the cwd was not.
#[cold]
#[inline(never)]
fn unreachable_cwd(dir: i32, out: &mut Whole) -> Result<bool, Place> {
    let mut whole = Whole::new();
    let rest = out.as_bytes().strip_prefix(b"(unreachable)");
    if state::ROOT.is_default() || !rest.is_some_and(|t| t.starts_with(b"/")) {
        return Err(without_text(dir));
    }
    let _ = whole.set(rest.unwrap_or(&[]));
    *out = whole;
    Ok(true)
}

/// Away from every root. Below a new root the shortcut is not taken.
pub fn far(text: &[u8]) -> bool {
    state::ROOT.is_default() && matches!(member(text), Member::Far)
}

/// Whether what a relative path starts from is known to be away from every root.
pub fn base_is_far(dir: i32) -> bool {
    if state::maybe_guest() {
        return false;
    }
    if dir == c::AT_FDCWD {
        state::cwd_is_out()
    } else {
        hint(dir) == OUT
    }
}

/// A path in normal form, without asking what its components are: the caller knows of no symlink. Whether it
/// begins at the system's root; `None`: only the kernel can say where it leads.
pub fn lexical(path: &Path, out: &mut Path) -> Option<bool> {
    let mut whole = Whole::new();
    let system = if path.as_bytes().first() == Some(&b'/') {
        false
    } else {
        base_text(c::AT_FDCWD, &mut whole).ok()?
    };
    join(&mut whole, path.as_bytes()).ok()?;
    out.set(whole.as_bytes()).ok().map(|()| system)
}

/// Whether a path, as far as its text says, leads through a V that is not the link to leg a.
#[inline(never)]
pub fn through_broken(dir: i32, text: &[u8]) -> bool {
    let mut full = Whole::new();
    if text.first() == Some(&b'/') {
        let _ = full.set(b"/");
    } else if base_text(dir, &mut full).is_err() {
        return false;
    }
    let mut parts = text.split(|&b| b == b'/');
    parts.any(|part| {
        let _ = join(&mut full, part);
        match member(full.as_bytes()) {
            Member::In(pair, _, _, true) | Member::Root(pair, _, true) => !leads(pair),
            _ => false,
        }
    })
}
