//! Where an open object is: its name as the kernel tells it, if that still leads to it.
use crate::path::base::{base_text, own_base_text};
use crate::path::denied::denies;
use crate::path::guess::{Guess, of_text, place_text};
use crate::path::held::place_below;
use crate::path::leaf::held;
use crate::path::loc::{Jump, Loc, Name, Path, Place, Whole};
use crate::path::outside::{Outside, Where};
use crate::path::reach::beyond;
use crate::process::limits::own_fd;
use crate::process::{fds, place};

use libc as c;
use mirror_core::path::{join, split};
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;

/// The place of the object that `n` is open on and that perhaps also the program's descriptor `own` is.
pub fn jump(n: i32, own: i32, loc: &mut Loc) -> Place {
    let mut place = sought(n, loc);
    let object = |n: i32| sys::fstat(n).map(|st| (st.dev(), st.ino()));
    let o = match object(n) {
        Ok(o) => o,
        // No descriptor, as it was found already.
        Err(Errno::EBADF) => return place,
        Err(e) => return Place::Fail(e),
    };
    // Whose table the link stood in, does not matter: it is the same object.
    let same = match (0..RESERVED).contains(&own).then(|| object(own)) {
        None | Some(Err(Errno::EBADF)) => false,
        Some(Ok(other)) => other == o,
        Some(Err(e)) => return Place::Fail(e),
    };
    // Its partner is at hand, wherever it lies.
    if same && place == Place::Fail(Errno::ENAMETOOLONG) && fds::hint(own) == fds::PAIRED {
        place = match sys::fstat(n) {
            Ok(st) if st.nlink() == 0 => Place::Nameless,
            _ => Place::Linked,
        };
    }
    loc.jump = Some(Jump {
        object: o,
        fd: if same { own } else { -1 },
    });
    place
}

/// The place of an open object: its name, if the name still is this object.
#[inline(never)]
pub fn named(n: i32, loc: &mut Loc) -> Place {
    let st = match sys::fstat(n) {
        Ok(st) => st,
        Err(e) => {
            return match Outside::no_descriptor(n, e) {
                Ok(proof) => Place::Out(proof),
                Err(e) => Place::Fail(e),
            };
        }
    };
    if let Some(proof) = Outside::no_name(&st) {
        return Place::Out(proof);
    }
    let mut text = Whole::new();
    loc.held = false;
    let place = if st.kind() == c::S_IFDIR {
        let told = match base_text(n, &mut text) {
            Ok(base) => of_text(&text, &base, false, loc),
            Err(p) => p,
        };
        match told {
            Place::Fail(Errno::ENAMETOOLONG) => place_below(n, &Name::new(), false, loc),
            place => place,
        }
    } else {
        file(n, &st, &mut text, loc)
    };
    // What is held was found by its listing.
    if place != Place::In || loc.held {
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
        Err(Errno::ENAMETOOLONG) => return deep_file(n, st, loc),
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
    let id = match sys::identity_of(n) {
        Ok(id) => id,
        Err(e) => return Place::Fail(e),
    };
    if id.top == Some(true)
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
    let dir = own_fd(|| sys::openat2(c::AT_FDCWD, &p, flags, 0, sys::NO_SYMLINKS))
        .map_err(|e| if denies(e) { Errno::EIO } else { e })?;
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

/// The kernel's text for it is too long. Perhaps it lies in the cwd, in a directory that the program has open,
/// or where the last change of this kind was made.
#[cold]
#[inline(never)]
fn deep_file(n: i32, st: &sys::Stat, loc: &mut Loc) -> Place {
    let place = without_text(st, Errno::ENAMETOOLONG);
    let (false, Ok(id)) = (matches!(place, Place::Out(_)), sys::identity_of(n)) else {
        return place;
    };
    if let Some(place) = lies_in(c::AT_FDCWD, &id, loc) {
        return place;
    }
    let mut absent = 0u32;
    for dir in 0..RESERVED {
        match sys::identity_of(dir) {
            Ok(d) if d.kind == c::S_IFDIR => {
                if let Some(place) = lies_in(dir, &id, loc) {
                    return place;
                }
                absent = 0;
            }
            Ok(_) => absent = 0,
            Err(_) => absent = absent.saturating_add(1),
        }
        if absent > GAP {
            break;
        }
    }
    let Ok(dir) = crate::path::way::last_directory() else {
        return place;
    };
    let found = lies_in(dir, &id, loc);
    let _ = sys::close(dir);
    found.unwrap_or(place)
}

/// Numbers without a descriptor after which no further directory is looked for.
const GAP: u32 = 256;

/// The place of a file, if it has a name in this directory.
fn lies_in(dir: i32, id: &sys::Identity, loc: &mut Loc) -> Option<Place> {
    let dot = Name::from_bytes(b".").unwrap_or_default();
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
    let dir = own_fd(|| sys::openat(dir, &dot, flags, 0)).ok()?;
    let name = crate::path::outside::name_of(dir, id);
    let place = name.map(|name| place_below(dir, &name, false, loc));
    if place == Ok(Place::In) && loc.held {
        loc.anchor.set(dir, 0, true);
    } else {
        let _ = sys::close(dir);
    }
    place.ok()
}

/// An object that is no directory and has no text.
#[cold]
fn without_text(st: &sys::Stat, why: Errno) -> Place {
    match Outside::by_device(st.dev()) {
        Some(proof) => Place::Out(proof),
        None => Place::Fail(why),
    }
}
