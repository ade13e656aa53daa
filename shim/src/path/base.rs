//! What a relative path starts from: the text of a directory, and what is known of it.
//!
//! Rules: as in `resolve`. A text in a leg is a guess that is proved under the locks; one that is in none
//! comes with a proof.
use crate::config::{Member, member};
use crate::path::loc::{Path, Place, Whole};
use crate::path::outside::{self, Outside, Where};
use crate::path::reach::{beyond, leads};
use crate::path::{cwd, dirs};
use crate::process::actor::{self, guest};
use crate::process::limits::own_fd;
use crate::process::place;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::{PathText, join};
use mirror_sys as sys;

/// A directory's text.
pub struct Base {
    /// It begins at the system's root instead of the process's.
    pub system: bool,
    /// The directory lies in no leg.
    pub out: Option<Outside>,
}

/// The text of an open directory, or of the cwd. `Err`: there is none, and this is what the directory is.
#[inline(never)]
pub fn base_text(dir: i32, out: &mut Whole) -> Result<Base, Place> {
    base_of(dir, out, true)
}

/// The same of a descriptor of our own: its number is the program's next one, so nothing is remembered of it.
#[inline(never)]
pub fn own_base_text(dir: i32, out: &mut Whole) -> Result<Base, Place> {
    base_of(dir, out, false)
}

fn base_of(dir: i32, out: &mut Whole, remember: bool) -> Result<Base, Place> {
    let before = cwd::before();
    let begun = (remember && dir != c::AT_FDCWD)
        .then(|| dirs::begin(dir))
        .flatten();
    let Some(system) = kernel_text(dir, out) else {
        return without_text(dir, out);
    };
    let plain = place::plain() && !system;
    let place = |text: &[u8]| matches!(member(text), Member::Far | Member::Near);
    let away = if system || plain {
        place(out.as_bytes())
    } else {
        let mut whole = Whole::new();
        if !place::ROOT.absolute(out.as_bytes(), &mut whole) {
            return Err(Place::Fail(Errno::ENAMETOOLONG));
        }
        place(whole.as_bytes())
    };
    if !away {
        return Ok(Base { system, out: None });
    }
    let mut found = Whole::new();
    let text = plain.then_some(out.as_bytes());
    let proof = match outside::of_directory(dir, text, &mut found) {
        Ok(Where::Out(proof)) => proof,
        Ok(Where::In) => {
            *out = found;
            return Ok(Base {
                system: true,
                out: None,
            });
        }
        Err(e) => match Outside::by_texts(dir, out.as_bytes()) {
            Some(proof) => proof,
            None => return Err(Place::Fail(e)),
        },
    };
    if remember && plain {
        if dir == c::AT_FDCWD {
            cwd::learn(&before, out.as_bytes());
        } else if let Some(begun) = begun.filter(|_| far(out.as_bytes()) && !guest()) {
            dirs::learn(dir, begun);
        }
    }
    Ok(Base {
        system,
        out: Some(proof),
    })
}

/// What the kernel calls a directory, and whether that begins at the system's root; `None`: nothing, or
/// nothing that can be understood.
fn kernel_text(dir: i32, out: &mut Whole) -> Option<bool> {
    if place::mixed() {
        return None;
    }
    if dir != c::AT_FDCWD {
        sys::fd_path(dir, out).ok()?;
        let here = out.as_bytes().first() == Some(&b'/') && !is_removed(dir, out.as_bytes());
        return here.then(|| beyond(dir, out));
    }
    match sys::getcwd(out) {
        Ok(()) if out.as_bytes().first() == Some(&b'/') => Some(false),
        Ok(()) => unreachable_cwd(out),
        // It is gone, or too deep.
        Err(Errno::ENOENT | Errno::ENAMETOOLONG) => None,
        // A filter.
        Err(_) => {
            let dot = PathText::<4>::from_bytes(b".").unwrap_or_default();
            let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
            let n = own_fd(|| sys::openat(dir, &dot, flags, 0)).ok()?;
            let r = sys::fd_path(n, out);
            let system = r.is_ok()
                && out.as_bytes().first() == Some(&b'/')
                && !place::ROOT.is_default()
                && beyond(n, out);
            let _ = sys::close(n);
            (r.is_ok() && out.as_bytes().first() == Some(&b'/')).then_some(system)
        }
    }
}

/// A directory that was removed has a text that is nobody's name. (It may be somebody's.)
fn is_removed(dir: i32, text: &[u8]) -> bool {
    text.ends_with(b" (deleted)") && sys::fstat(dir).is_ok_and(|st| st.nlink() == 0)
}

/// "(unreachable)/…": the root was changed, the cwd was not.
#[cold]
#[inline(never)]
fn unreachable_cwd(out: &mut Whole) -> Option<bool> {
    let rest = out.as_bytes().strip_prefix(b"(unreachable)")?;
    if place::ROOT.is_default() || rest.first() != Some(&b'/') {
        return None;
    }
    let mut whole = Whole::new();
    whole.set(rest).ok()?;
    *out = whole;
    Some(true)
}

/// The kernel has no text for the directory: it is gone, too deep, cannot be reached from the root, or /proc
/// is not mounted. Then its ".." tell.
#[cold]
#[inline(never)]
fn without_text(dir: i32, out: &mut Whole) -> Result<Base, Place> {
    if crate::path::way::may_lead(dir) {
        return Err(Place::Fail(Errno::ENAMETOOLONG));
    }
    match outside::by_climbing(dir, out) {
        Ok(Where::In) => Ok(Base {
            system: true,
            out: None,
        }),
        Ok(Where::Out(proof)) => Err(Place::Out(proof)),
        Err(e) => Err(Place::Fail(e)),
    }
}

/// Away from every root. Below a new root the shortcut is not taken.
pub fn far(text: &[u8]) -> bool {
    place::plain() && matches!(member(text), Member::Far)
}

/// Whether what a relative path starts from is known to be away from every root.
pub fn base_is_far(dir: i32) -> bool {
    if actor::maybe_guest() {
        return false;
    }
    if dir == c::AT_FDCWD {
        cwd::is_far()
    } else {
        dirs::is_far(dir)
    }
}

/// Whether a name (not "..") in the cwd is known to be none of a root or of a directory above one.
pub fn name_is_away(dir: i32, name: &[u8]) -> bool {
    dir == c::AT_FDCWD && !actor::maybe_guest() && place::plain() && cwd::away(name)
}

/// A path in normal form, without asking what its components are: the caller knows of no symlink. Whether it
/// begins at the system's root; `None`: only the kernel can say where it leads.
pub fn lexical(path: &Path, out: &mut Path) -> Option<bool> {
    let mut whole = Whole::new();
    let system = if path.as_bytes().first() == Some(&b'/') {
        false
    } else {
        base_text(c::AT_FDCWD, &mut whole).ok()?.system
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
