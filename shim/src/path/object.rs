//! Where an open object is: its name as the kernel tells it, if that still leads to it.
use crate::path::base::{base_text, own_base_text};
use crate::path::guess::{Guess, of_text, place_text};
use crate::path::leaf::held;
use crate::path::loc::{Jump, Loc, Name, Path, Place, Whole};
use crate::path::outside::{Outside, Where};
use crate::path::reach::beyond;
use crate::process::limits::own_fd;
use crate::process::place;

use libc as c;
use mirror_core::path::{join, split};
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;

/// The place of the object that `n` is open on and that perhaps also the program's descriptor `own` is.
pub fn jump(n: i32, own: i32, loc: &mut Loc) -> Place {
    let place = sought(n, loc);
    let object = |n: i32| sys::fstat(n).map(|st| (st.dev(), st.ino()));
    if let Ok(o) = object(n) {
        // Whose table the link stood in, does not matter: it is the same object.
        let same = (0..RESERVED).contains(&own) && object(own) == Ok(o);
        loc.jump = Some(Jump {
            object: o,
            fd: if same { own } else { -1 },
        });
    }
    place
}

/// The place of an open object: its name, if the name still is this object.
#[inline(never)]
pub fn named(n: i32, loc: &mut Loc) -> Place {
    let st = match sys::fstat(n) {
        Ok(st) => st,
        Err(e) => {
            return match Outside::no_descriptor(e) {
                Ok(proof) => Place::Out(proof),
                Err(e) => Place::Fail(e),
            };
        }
    };
    if let Some(proof) = Outside::no_name(&st) {
        return Place::Out(proof);
    }
    let mut text = Whole::new();
    let place = if st.kind() == c::S_IFDIR {
        match base_text(n, &mut text) {
            Ok(base) => of_text(&text, &base, false, loc),
            Err(p) => p,
        }
    } else {
        file(n, &st, &mut text, loc)
    };
    if place != Place::In {
        return place;
    }
    let root = if place::plain() {
        None
    } else {
        crate::attach::session::root_of(loc.pair, loc.leg)
    };
    let by_name = match root {
        Some(root) => sys::fstatat(root, &loc.rel, c::AT_SYMLINK_NOFOLLOW),
        None => sys::fstatat(c::AT_FDCWD, &text, c::AT_SYMLINK_NOFOLLOW),
    };
    match by_name {
        Ok(s) if same(&s, &st) => Place::In,
        _ if st.nlink() == 0 => Place::Nameless,
        _ if st.kind() != c::S_IFDIR => Place::Linked,
        _ if text.as_bytes().ends_with(b" (deleted)") => Place::Nameless,
        // Renamed meanwhile: only the directories above it know its name.
        _ => match crate::path::outside::by_climbing(n, &mut text) {
            Ok(Where::Out(proof)) => Place::Out(proof),
            Ok(Where::In) => match place_text(text.as_bytes(), true, false, loc) {
                Guess::Is(place) => place,
                Guess::Away => Place::Fail(Errno::EIO),
            },
            Err(e) => Place::Fail(e),
        },
    }
}

fn same(a: &sys::Stat, b: &sys::Stat) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// The same; a name that is gone is replaced by another one that lives, if it is soon found.
#[inline(never)]
pub fn sought(n: i32, loc: &mut Loc) -> Place {
    match named(n, loc) {
        Place::Linked if crate::path::find::living_name(n, loc) => Place::In,
        p => p,
    }
}

/// The place of an open object that is no directory, and its text: it has no "..", so the directory that the
/// kernel names is asked.
fn file(n: i32, st: &sys::Stat, text: &mut Whole, loc: &mut Loc) -> Place {
    let mut system = false;
    let known = match sys::fd_path(n, text) {
        Ok(()) => text.as_bytes().first() == Some(&b'/'),
        Err(Errno::ENAMETOOLONG) => return deep_file(n, st, text, loc),
        Err(_) => false,
    };
    if let Some(proof) = Outside::by_pipe(st, text.as_bytes()).filter(|_| !known) {
        return Place::Out(proof);
    }
    if known && !place::mixed() {
        system = beyond(n, text);
        if let Guess::Is(place) = place_text(text.as_bytes(), system, false, loc) {
            return place;
        }
    }
    // Of another root's text the leg itself tells whether it is true.
    if known && place::mixed() && in_leg(st, text, loc) {
        return Place::In;
    }
    if let Some(proof) = Outside::by_device(st.dev()) {
        return Place::Out(proof);
    }
    if !known {
        return without_text(st, Errno::EIO);
    }
    if let Ok(id) = sys::identity_of(n)
        && id.top == Some(true)
        && let Some(place) = held(n, &id, loc)
    {
        return place;
    }
    let why = match beside(st, text, loc) {
        Ok(place) => return place,
        Err(e) => e,
    };
    if !system && let Some(proof) = Outside::by_texts(n, text.as_bytes()) {
        return Place::Out(proof);
    }
    Place::Fail(why)
}

/// Whether a leg has this very object where the text says.
fn in_leg(st: &sys::Stat, text: &Whole, loc: &mut Loc) -> bool {
    let guess = place_text(text.as_bytes(), true, false, loc);
    if !matches!(guess, Guess::Is(Place::In)) {
        return false;
    }
    let there = crate::attach::session::root_of(loc.pair, loc.leg)
        .map(|root| sys::fstatat(root, &loc.rel, c::AT_SYMLINK_NOFOLLOW));
    matches!(there, Some(Ok(s)) if same(&s, st))
}

/// The place of a file by the directory that its text names.
fn beside(st: &sys::Stat, text: &mut Whole, loc: &mut Loc) -> Result<Place, Errno> {
    let (parent, name, _) = split(text.as_bytes());
    let (mut p, mut leaf, mut whole) = (Path::new(), Name::new(), Whole::new());
    let long = |_| Errno::ENAMETOOLONG;
    p.set(parent).map_err(long)?;
    leaf.set(name).map_err(long)?;
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let dir =
        own_fd(|| sys::openat2(c::AT_FDCWD, &p, flags, 0, sys::NO_SYMLINKS)).map_err(|e| {
            if Outside::unreachable(e).is_ok() {
                Errno::EIO
            } else {
                e
            }
        })?;
    let found = sys::glance(dir, &leaf, c::AT_SYMLINK_NOFOLLOW);
    let base = own_base_text(dir, &mut whole);
    let _ = sys::close(dir);
    let here = matches!(found, Ok(s) if same(&s, st));
    // Another root's text may lead anywhere; a name that is gone is no sign of that.
    if !here && (place::mixed() || !place::ROOT.is_default()) {
        return Err(Errno::EIO);
    }
    Ok(match base {
        Ok(base) => {
            join(&mut whole, leaf.as_bytes()).map_err(long)?;
            *text = whole;
            of_text(text, &base, false, loc)
        }
        Err(p) => p,
    })
}

/// The kernel's text for it is too long. Perhaps it lies in the cwd.
#[cold]
#[inline(never)]
fn deep_file(n: i32, st: &sys::Stat, text: &mut Whole, loc: &mut Loc) -> Place {
    let place = without_text(st, Errno::ENAMETOOLONG);
    if matches!(place, Place::Out(_)) {
        return place;
    }
    let dot = Name::from_bytes(b".").unwrap_or_default();
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
    let Ok(dir) = own_fd(|| sys::openat(c::AT_FDCWD, &dot, flags, 0)) else {
        return place;
    };
    let name = sys::identity_of(n).and_then(|id| crate::path::outside::name_of(dir, &id));
    let _ = sys::close(dir);
    let Ok(name) = name else { return place };
    match base_text(c::AT_FDCWD, text) {
        Ok(base) if join(text, name.as_bytes()).is_ok() => of_text(text, &base, false, loc),
        Ok(_) => place,
        Err(p) => p,
    }
}

/// An object that is no directory and has no text.
#[cold]
fn without_text(st: &sys::Stat, why: Errno) -> Place {
    match Outside::by_device(st.dev()) {
        Some(proof) => Place::Out(proof),
        None => Place::Fail(why),
    }
}
