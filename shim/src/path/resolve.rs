//! Where a path leads: outside, to a root, or to a place in a leg.
//!
//! Rules: a text is a guess until the kernel has proved it. Inside, the proof is `openat2` below the
//! leg's root with BENEATH and NO_SYMLINKS, made under the locks; outside, NO_SYMLINKS on the text
//! itself. ELOOP means a symlink: then the parent is opened as the program would open it, and what the
//! kernel says it is decides. Texts come from the copy in our memory, never twice from the program's.
use crate::config::{Member, member};
use crate::path::base::{base_is_far, base_text, name_is_away, through_broken};
use crate::path::denied::denies;
use crate::path::doors;
use crate::path::guess::{Guess, place_text};
use crate::path::held::{place_below, unreachable};
use crate::path::leaf::mounted;
use crate::path::loc::{Last, Loc, Name, Path, Place, Whole};
use crate::path::object::jump;
use crate::path::outside::{self, Outside, Where};
use crate::path::proofs;
use crate::path::reach::leads;
use crate::process::limits::own_fd;
use crate::process::place;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::Exact;
use mirror_core::path::join;
use mirror_core::path::split;
use mirror_sys as sys;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// First classification, before any lock. `In` is a guess that `enter` proves; `Out` is certain.
#[inline(never)]
// long: one question after the other about one text
pub fn locate(dir: i32, path: &Path, last: Last, loc: &mut Loc) -> Place {
    let text = path.as_bytes();
    if text.is_empty() {
        return Place::Out(Outside::no_path());
    }
    let (parent, name, slash) = split(text);
    let absolute = text.first() == Some(&b'/');
    let last = if slash && last == Last::Keep {
        Last::Follow
    } else {
        last
    };
    loc.anchor.drop_fd();
    loc.jump = None;
    (loc.near, loc.deep, loc.held) = (false, false, false);
    if !absolute
        && parent.is_empty()
        && last != Last::Follow
        && name != b".."
        && (base_is_far(dir) || name_is_away(dir, name))
        && let Some(proof) = Outside::by_hint(dir)
    {
        return unless_behind(dir, path, last, proof, loc);
    }
    if place::mixed() {
        return locate_slow(dir, path, last, loc);
    }
    let mut full = Whole::new();
    let (mut system, mut beside) = (false, None);
    if !absolute {
        match base_text(dir, &mut full) {
            Ok(_) if no_directory(dir, text, full.as_bytes()) => {
                return Place::Fail(Errno::ENOTDIR);
            }
            Ok(base) => (system, beside) = (base.system, base.out),
            Err(Place::Out(proof)) if stays(text) => return Place::Out(proof),
            // Out of a removed or deep directory ".." still leads, and names lead into legs.
            Err(Place::Out(_)) => return locate_slow(dir, path, last, loc),
            // What no text can say is opened instead.
            Err(Place::Fail(Errno::ENAMETOOLONG)) => return locate_slow(dir, path, last, loc),
            Err(_) if text.split(|&b| b == b'/').any(|c| c == b"..") => {
                return locate_slow(dir, path, last, loc);
            }
            Err(p) => return p,
        }
    }
    let base = match member(full.as_bytes()) {
        Member::In(_, _, rel, _) => Some(rel.len()),
        Member::Root(..) => Some(0),
        _ => None,
    };
    // The room is enough for both texts. "x/." asks the kernel whether x is a directory.
    let exact = join(&mut full, text) == Ok(Exact::Yes);
    if !exact || (name == b"." && !parent.is_empty() && parent != b"/") {
        if through_broken(dir, text) {
            return Place::Fail(Errno::EIO);
        }
        return locate_slow(dir, path, last, loc);
    }
    let place = match place_text(full.as_bytes(), system, slash, loc) {
        Guess::Away => {
            // Nothing lies between the directory and the name.
            if let Some(proof) = beside.filter(|_| parent.is_empty() && name != b"..") {
                return match last {
                    Last::Follow => unless_link(dir, path, proof, loc),
                    _ => unless_behind(dir, path, last, proof, loc),
                };
            }
            let text = full.as_bytes();
            let text = (!system && place::plain()).then(|| split(text).0);
            return prove_out(dir, path, (last, text), loc);
        }
        Guess::Is(place) => place,
    };
    if let (false, Some(len)) = (absolute, base) {
        // A leading ".." may have left the base behind.
        if len <= loc.rel.len() {
            loc.anchor.set(dir, len, false);
        }
    }
    match place {
        // The symlink of a link pair is followed by the kernel: then the root is meant.
        Place::Root(true) if last == Last::Follow && !leads(loc.pair) => Place::Fail(Errno::EIO),
        Place::Root(true) if last == Last::Follow => Place::Root(false),
        Place::Fail(Errno::ENAMETOOLONG) => locate_slow(dir, path, last, loc),
        p => p,
    }
}

/// Whether a relative path leads nowhere else than where it starts.
fn stays(text: &[u8]) -> bool {
    text.split(|&b| b == b'/').all(|p| matches!(p, b"" | b"."))
}

/// Whether a relative path starts at what is no directory, where the texts alone would lead on: "." and ".."
/// are taken off them, and what has no name any more has a text that is nobody's name.
#[inline]
fn no_directory(dir: i32, text: &[u8], base: &[u8]) -> bool {
    let mut parts = text.split(|&b| b == b'/');
    dir != c::AT_FDCWD
        && (base.ends_with(b" (deleted)") || parts.any(|p| matches!(p, b"." | b"..")))
        && is_no_directory(dir)
}

#[cold]
fn is_no_directory(dir: i32) -> bool {
    sys::identity_of(dir).is_ok_and(|id| id.kind != c::S_IFDIR)
}

/// What the kernel says before it looks at the last component.
#[cold]
fn unreached(dir: i32, parent: &[u8]) -> Option<Errno> {
    let mut p = Path::new();
    let _ = p.set(if parent.is_empty() { b"." } else { parent });
    match own_fd(|| sys::openat(dir, &p, c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC, 0)) {
        Ok(n) => {
            let _ = sys::close(n);
            None
        }
        Err(e) => Some(e),
    }
}

/// The proof for a directory that was reached through no symlink and may not be left by its "..".
#[cold]
#[inline(never)]
fn by_texts(dir: i32, n: i32, parent: &[u8]) -> Option<Outside> {
    let mut whole = Whole::new();
    if parent.first() != Some(&b'/') {
        base_text(dir, &mut whole).ok()?;
    }
    join(&mut whole, parent).ok()?;
    Outside::by_texts(n, whole.as_bytes())
}

/// The text looks like outside: make sure that no symlink on the way leads in, and that the directory in
/// which it ends is in no leg. `text`: what that directory is called, if it is so.
#[inline(never)]
fn prove_out(dir: i32, path: &Path, (last, text): (Last, Option<&[u8]>), loc: &mut Loc) -> Place {
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let (parent, name, slash) = split(path.as_bytes());
    let mut p = Path::new();
    let _ = p.set(if parent.is_empty() { b"." } else { parent });
    doors::seek();
    let begun = proofs::begin(dir, parent);
    let n = match own_fd(|| sys::openat2(dir, &p, flags, 0, sys::NO_SYMLINKS)) {
        Ok(n) => n,
        Err(Errno::ELOOP) => return locate_slow(dir, path, last, loc),
        Err(e) => {
            let again = || own_fd(|| sys::openat(dir, &p, flags, 0)).map(|n| _ = sys::close(n));
            let place = unreachable(Outside::unreachable(e, again));
            return place.unwrap_or_else(|| locate_slow(dir, path, last, loc));
        }
    };
    let mut found = outside::of_directory(n, text, &mut Whole::new());
    if found.is_err()
        && let Some(proof) = by_texts(dir, n, parent)
    {
        found = Ok(Where::Out(proof));
    }
    let mut leaf = Name::new();
    let known = leaf.set(if name.is_empty() { b"." } else { name }).is_ok();
    let met = (last != Last::Entry && known).then(|| sys::identity(n, &leaf));
    let absent = match met {
        Some(Err(e)) => Some(unreachable(Outside::no_such_name(e, n, &leaf))),
        _ => None,
    };
    let behind = match (&met, &found) {
        (Some(Ok(id)), Ok(Where::Out(_))) => mounted(n, &leaf, id, slash, loc),
        _ => None,
    };
    let _ = sys::close(n);
    let proof = match found {
        Ok(Where::Out(proof)) => proof,
        // Only what the tab calls it says that it is away.
        Ok(Where::In) => return locate_slow(dir, path, last, loc),
        Err(e) => return Place::Fail(e),
    };
    if let Some(place) = behind {
        return place;
    }
    let follow = last == Last::Follow;
    match (met, absent) {
        (Some(Ok(id)), _) if follow && id.kind == c::S_IFLNK => {
            return locate_slow(dir, path, last, loc);
        }
        (_, Some(None)) => return locate_slow(dir, path, last, loc),
        (_, Some(Some(place))) if follow || !matches!(place, Place::Out(_)) => return place,
        _ => {}
    }
    // Only what the kernel has just proved; a symlink's way out may be turned at any time.
    if let Some(begun) = begun {
        proofs::remember(&begun);
    }
    Place::Out(proof)
}

/// A name in a directory that is outside: what lies behind it, if the object is meant and not the name.
fn unless_behind(dir: i32, path: &Path, last: Last, proof: Outside, loc: &mut Loc) -> Place {
    let mut leaf = Name::new();
    if last == Last::Entry || leaf.set(split(path.as_bytes()).1).is_err() {
        return Place::Out(proof);
    }
    match sys::identity(dir, &leaf) {
        Ok(id) => mounted(dir, &leaf, &id, false, loc).unwrap_or(Place::Out(proof)),
        Err(e) => unreachable(Outside::no_such_name(e, dir, &leaf))
            .unwrap_or_else(|| locate_slow(dir, path, last, loc)),
    }
}

/// A name in a directory that is outside: if it is a symlink, that decides.
#[inline(never)]
fn unless_link(dir: i32, path: &Path, proof: Outside, loc: &mut Loc) -> Place {
    let mut leaf = Name::new();
    if leaf.set(split(path.as_bytes()).1).is_err() {
        return Place::Out(proof);
    }
    match sys::identity(dir, &leaf) {
        Ok(id) if id.kind == c::S_IFLNK => locate_slow(dir, path, Last::Follow, loc),
        Ok(id) => mounted(dir, &leaf, &id, false, loc).unwrap_or(Place::Out(proof)),
        Err(e) => unreachable(Outside::no_such_name(e, dir, &leaf))
            .unwrap_or_else(|| locate_slow(dir, path, Last::Follow, loc)),
    }
}

/// The parent's text, so that it ends with no symlink: for the program's call none there is the last
/// component, which fs.protected_symlinks is about.
pub fn directory_text(out: &mut Path, parent: &[u8]) {
    let _ = out.set(if parent.is_empty() { b"." } else { parent });
    if !parent.is_empty() {
        let _ = out.push(b".");
    }
}

/// Asks the kernel: opens the parent as the program would and takes the kernel's text for it; follows
/// the last component by hand, so that a name which does not exist yet is found too.
#[inline(never)]
// long: one component after the other, with what was opened
pub fn locate_slow(dir: i32, path: &Path, last: Last, loc: &mut Loc) -> Place {
    loc.anchor.drop_fd();
    loc.jump = None;
    (loc.held, loc.slash) = (false, false);
    let (parent, name, mut slash) = split(path.as_bytes());
    let mut leaf = Name::new();
    if leaf.set(name).is_err() {
        return Place::Fail(unreached(dir, parent).unwrap_or(Errno::ENAMETOOLONG));
    }
    let dir_flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let mut text = Path::new();
    directory_text(&mut text, parent);
    let mut at = match own_fd(|| sys::openat(dir, &text, dir_flags, 0)) {
        Ok(n) => n,
        Err(e) => return Place::Fail(e),
    };
    let follow = last == Last::Follow || (slash && last == Last::Keep);
    let mut place = Place::Fail(Errno::ELOOP);
    for _ in 0..41 {
        if matches!(leaf.as_bytes(), b"" | b"." | b"..") {
            if leaf.is_empty() {
                let _ = leaf.set(b".");
            }
            let n = own_fd(|| sys::openat(at, &leaf, dir_flags, 0));
            let _ = sys::close(at);
            let n = match n {
                Ok(n) => n,
                Err(e) => return Place::Fail(e),
            };
            let _ = leaf.set(b"");
            place = place_below(n, &leaf, slash, loc);
            let _ = sys::close(n);
            return place;
        }
        let link = sys::readlinkat(at, &leaf, &mut text);
        if follow && matches!(link, Ok(()) | Err(Errno::ENAMETOOLONG)) {
            let fs = match sys::fs_magic(at) {
                Ok(fs) => fs,
                Err(e) => {
                    place = Place::Fail(e);
                    break;
                }
            };
            if fs == PROC_SUPER_MAGIC {
                place = magic(at, &leaf, loc);
                // A link in /proc that is an ordinary text (/proc/self, /proc/mounts) is not magic.
                let ordinary = link.is_ok() && text.as_bytes().first() != Some(&b'/');
                if !matches!(place, Place::Out(_)) || !ordinary {
                    loc.slash = slash;
                    break;
                }
            }
            if !crate::path::sticky::may_follow(at, &leaf) {
                place = Place::Fail(Errno::EACCES);
                break;
            }
            // The text of a link that lies in a directory has room.
            if let Err(e) = link {
                place = Place::Fail(e);
                break;
            }
            let (parent, name, s) = split(text.as_bytes());
            slash |= s;
            if leaf.set(name).is_err() {
                place = Place::Fail(Errno::ENAMETOOLONG);
                break;
            }
            let mut p = Path::new();
            directory_text(&mut p, parent);
            let next = own_fd(|| sys::openat(at, &p, dir_flags, 0));
            let _ = sys::close(at);
            match next {
                Ok(n) => at = n,
                Err(e) => return Place::Fail(e),
            }
            loc.slash = slash;
            continue;
        }
        if let (true, Err(e)) = (follow, link)
            && let Err(e) = no_link(e)
        {
            place = Place::Fail(e);
            break;
        }
        place = place_below(at, &leaf, slash, loc);
        if place == Place::In {
            let len = split(loc.rel.as_bytes()).0.len();
            loc.anchor.set(at, len, true);
            return place;
        }
        if let (Place::Out(proof), true) = (place, last != Last::Entry) {
            match sys::identity(at, &leaf) {
                // It was no symlink, and is one.
                Ok(id) if follow && id.kind == c::S_IFLNK => {
                    place = Place::Fail(Errno::ELOOP);
                    continue;
                }
                Ok(id) => {
                    place = mounted(at, &leaf, &id, slash, loc).unwrap_or(Place::Out(proof));
                }
                // Now there, now not: it is asked again.
                Err(e) => match unreachable(Outside::unreachable(e, || link)) {
                    Some(p) => place = p,
                    None => {
                        place = Place::Fail(Errno::EIO);
                        continue;
                    }
                },
            }
        }
        break;
    }
    let _ = sys::close(at);
    place
}

/// Whether what readlink(2) has refused can be no symlink. An error: nobody could tell.
pub fn no_link(why: Errno) -> Result<(), Errno> {
    match why {
        Errno::EINVAL => Ok(()),
        e if denies(e) => Ok(()),
        e => Err(e),
    }
}

/// A magic link below /proc jumps to an open object whatever its text says.
#[inline(never)]
fn magic(at: i32, leaf: &Name, loc: &mut Loc) -> Place {
    let n = match own_fd(|| sys::openat(at, leaf, c::O_PATH | c::O_CLOEXEC, 0)) {
        Ok(n) => n,
        Err(e) => return Place::Fail(e),
    };
    let place = jump(n, leaf_number(leaf.as_bytes()), loc);
    let _ = sys::close(n);
    place
}

/// A descriptor's number as /proc writes it, or −1.
fn leaf_number(d: &[u8]) -> i32 {
    if d.is_empty() || d.len() > 7 || !d.iter().all(u8::is_ascii_digit) {
        return -1;
    }
    d.iter().fold(0i32, |n, b| {
        n.wrapping_mul(10)
            .wrapping_add(i32::from(b.wrapping_sub(b'0')))
    })
}
