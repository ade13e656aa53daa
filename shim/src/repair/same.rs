//! Two objects that stand for each other and differ although nobody is in the middle of a change: somebody
//! changed one tree alone. The other leg's version is put aside, then made like the first leg's.
use crate::attach::handle::Session;
use crate::path::below::{hold, open_below};
use crate::path::loc::{Name, Path};
use crate::repair::both::{self, REPAIR_MAX, attributes, make, not_led};
use crate::repair::copying::copy;
use crate::repair::pending::pending_once;
use crate::repair::{kept, names};
use core::sync::atomic::{AtomicU64, Ordering};
use libc as c;
use mirror_core::path::split;
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::{BothLocked, Errno, Leg, WHOLE};
use mirror_pair::both::Both;
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// Larger files are not read to be compared, since others wait meanwhile.
const COMPARE_MAX: u64 = 64 << 20;

/// What two objects were found to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Alike, or there is nothing on the first leg's way.
    Alike,
    /// They differed, and are alike now.
    Mended,
    /// Only the other leg has one.
    Extra,
}

/// Pairs of which a leg is known to have no hard links, a bit each.
static NO_LINKS: AtomicU64 = AtomicU64::new(0);

fn counts_names(s: &Session) -> bool {
    NO_LINKS.load(Ordering::Relaxed) & (1 << (s.pair & 63)) == 0
}

/// Whether two objects of a pair look alike, as far as its legs can be; `f` is leg `from`'s.
pub fn alike(s: &Session, from: Leg, f: &Stat, t: &Stat) -> bool {
    sys::alike(f, t, counts_names(s)) || (sys::alike(f, t, false) && names::known(s, from, f, t))
}

/// Asked when two files have not as many names: whether each leg can give a file a second one.
#[cold]
fn lacks_links(s: &Session) -> bool {
    if counts_names(s) && s.root.iter().any(|&root| !kept::has_links(root)) {
        NO_LINKS.fetch_or(1 << (s.pair & 63), Ordering::Relaxed);
    }
    !counts_names(s)
}

/// Whether only a resync makes these two equal.
pub fn is_beyond(f: &Stat, t: &Stat) -> bool {
    f.kind() == c::S_IFREG
        && t.kind() == c::S_IFREG
        && (f.nlink() != t.nlink() || f.size().max(t.size()) > REPAIR_MAX)
}

/// Makes what `rel` is on the other leg like what it is on leg `from`, if they do not look alike.
#[inline(never)]
pub fn same(s: &Session, from: Leg, rel: &[u8], held: &BothLocked) -> Sys<Found> {
    let parent = Path::from_bytes(split(rel).0).map_err(|_| Errno::ENAMETOOLONG)?;
    let whole = Path::from_bytes(rel).map_err(|_| Errno::ENAMETOOLONG)?;
    let root = s.at(from);
    match sys::fstatat(root, &whole, c::AT_SYMLINK_NOFOLLOW) {
        Ok(_) | Err(Errno::ENOENT) => {}
        // The request itself meets this (a directory that may not be searched), and answers.
        Err(_) => return Ok(Found::Alike),
    }
    let mut lacks = false;
    if !parent.is_empty() {
        for leg in [from, from.other()] {
            let root = s.at(leg);
            match open_below(root, &parent, c::O_PATH | c::O_DIRECTORY) {
                Ok(n) => {
                    let _ = sys::close(n);
                }
                // The request itself meets this, and answers or asks again.
                Err(_) if leg == from => return Ok(Found::Alike),
                Err(_) => lacks = true,
            }
        }
    }
    if lacks {
        parents(s, from, &parent, split(rel).1, held);
    }
    here(s, from, rel, b"", held)
}

/// Makes missing directories above a path (the other leg lacks one that `from` has). `name` in the last of
/// them is the caller's affair; one that holds more is recorded, since nothing else of it is looked at.
#[inline(never)]
pub fn parents(s: &Session, from: Leg, rel: &Path, name: &[u8], held: &BothLocked) {
    let bytes = rel.as_bytes();
    for end in (1..=bytes.len()).filter(|&i| i == bytes.len() || bytes.get(i) == Some(&b'/')) {
        let dir = bytes.get(..end).unwrap_or(&[]);
        let below = bytes.get(end.saturating_add(1)..).unwrap_or(&[]);
        let next = below.split(|&b| b == b'/').next().unwrap_or(&[]);
        let next = if next.is_empty() { name } else { next };
        match here(s, from, dir, next, held) {
            Ok(_) => {}
            Err(Errno::ENOTEMPTY) => pending_once(s, dir),
            Err(_) => return,
        }
    }
}

/// An object whose parents are there. `but` is a name in it that needs no look.
fn here(s: &Session, from: Leg, rel: &[u8], but: &[u8], held: &BothLocked) -> Sys<Found> {
    let b = match both::open(s, rel) {
        Ok(b) => b,
        // It could not be looked at: that is no difference, and the request itself meets it.
        Err(e @ (Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EINVAL)) => return Err(e),
        Err(_) => return Ok(Found::Alike),
    };
    same_at(s, &b, from, (rel, but), held)
}

fn same_at(
    s: &Session,
    b: &Both,
    from: Leg,
    (rel, but): (&[u8], &[u8]),
    held: &BothLocked,
) -> Sys<Found> {
    let to = from.other();
    let root = s.at(to);
    let (f, t) = match (b.stat(from), b.stat(to)) {
        (None, None) => return Ok(Found::Alike),
        (None, Some(_)) => return Ok(Found::Extra),
        (Some(f), t) => (f, t),
    };
    let whole = f.kind() != c::S_IFREG || (f.nlink() == 1 && f.size() <= REPAIR_MAX);
    let Some(t) = t else {
        not_led(s)?;
        announce(s, from, rel);
        return made(b, from, &f, (whole, but), held);
    };
    if alike(s, from, &f, &t) {
        return Ok(Found::Alike);
    }
    not_led(s)?;
    if f.kind() != t.kind() {
        if !whole {
            return Err(Errno::EFBIG);
        }
        announce(s, from, rel);
        kept::aside(root, b.at(to), &b.name, &t, held)?;
        return made(b, from, &f, (whole, but), held);
    }
    if f.kind() != c::S_IFREG {
        announce(s, from, rel);
        return text(b, from, root, &t, held);
    }
    if !may_differ(s, from, &f, &t) {
        return Err(Errno::EMLINK);
    }
    if alike(s, from, &f, &t) {
        return Ok(Found::Alike);
    }
    let large = f.size().max(t.size()) > REPAIR_MAX;
    // What is too much to be read is not believed by its time: the end of each descriptor makes that equal.
    if large && (f.size() != t.size() || f.size() > COMPARE_MAX) {
        if f.size() == t.size() {
            // On record once: what a resync has compared needs no further one.
            names::remember(s, from, &f, &t);
        }
        return Err(Errno::EFBIG);
    }
    if !large {
        announce(s, from, rel);
    }
    let found = data(b, from, root, held)?;
    if found == Found::Mended {
        attributes(b, from, &f, held)?;
    }
    if f.nlink() != t.nlink() {
        names::remember(s, from, &f, &t);
    }
    Ok(found)
}

/// Before anything is changed: who is killed in the middle must not leave a difference that nobody knows.
fn announce(s: &Session, from: Leg, rel: &[u8]) {
    let intent = Intent::of(IntentKind::Mend, from);
    s.runtime().publish(WHOLE, &intent, rel, b"");
}

/// Whether these files may have the numbers of names that they have: equal ones, or the names are not the
/// pair's.
pub fn may_differ(s: &Session, from: Leg, f: &Stat, t: &Stat) -> bool {
    f.nlink() == t.nlink() || lacks_links(s) || names::agree(s, from, f, t)
}

/// Only leg `from` has it.
fn made(
    b: &Both,
    from: Leg,
    f: &Stat,
    (whole, but): (bool, &[u8]),
    held: &BothLocked,
) -> Sys<Found> {
    if !whole {
        return Err(Errno::EFBIG);
    }
    make(b, from, f, held)?;
    if f.kind() == c::S_IFREG {
        copy(b, from, f, None, held)?;
    }
    attributes(b, from, f, held)?;
    if f.kind() == c::S_IFDIR && !holds_nothing(b.at(from), &b.name, but) {
        // What is in it is not compared here.
        return Err(Errno::ENOTEMPTY);
    }
    Ok(Found::Mended)
}

/// Whether a directory holds nothing but perhaps one name.
pub(super) fn holds_nothing(dir: i32, name: &Name, but: &[u8]) -> bool {
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_CLOEXEC;
    let Ok(n) = sys::openat(dir, name, flags, 0) else {
        return false;
    };
    let mut buf = [0u8; 512];
    let mut empty = true;
    while let Ok(len) = sys::getdents(n, &mut buf)
        && len > 0
        && empty
    {
        let mut at = 0usize;
        while let Some((e, next)) = crate::path::listing::entry(buf.get(..len).unwrap_or(&[]), at) {
            at = next;
            empty &= [&b"."[..], b"..", but].contains(&e.name);
        }
    }
    let _ = sys::close(n);
    empty
}

/// Two symlinks of different lengths, as far as the file system tells.
fn text(b: &Both, from: Leg, root: i32, t: &Stat, held: &BothLocked) -> Sys<Found> {
    let (mut one, mut other) = (Path::new(), Path::new());
    sys::readlinkat(b.at(from), &b.name, &mut one)?;
    sys::readlinkat(b.at(from.other()), &b.name, &mut other)?;
    if one.as_bytes() == other.as_bytes() {
        return Ok(Found::Alike);
    }
    let f = hold(b.at(from), &b.name)?;
    kept::aside(root, b.at(from.other()), &b.name, t, held)?;
    make(b, from, f.stat(), held)?;
    attributes(b, from, f.stat(), held)?;
    Ok(Found::Mended)
}

/// Two files, in a quiet fork.
#[inline(never)]
fn data(b: &Both, from: Leg, root: i32, held: &BothLocked) -> Sys<Found> {
    // SAFETY: the child works on its own copy of this memory, makes raw system calls and exits; it never
    // returns into the program.
    let pid = unsafe { sys::quiet_fork() }?;
    if pid == 0 {
        let _ = crate::process::limits::lift();
        sys::exit_group(match data_child(b, from, root, held) {
            Ok(Found::Alike) => 0,
            Ok(_) => 2,
            Err(Errno::EFBIG) => 3,
            Err(_) => 1,
        });
    }
    match sys::wait_quiet(pid) {
        0 => Ok(Found::Alike),
        2 => Ok(Found::Mended),
        3 => Err(Errno::EFBIG),
        _ => Err(Errno::EIO),
    }
}

fn data_child(b: &Both, from: Leg, root: i32, held: &BothLocked) -> Sys<Found> {
    let flags = c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    let src = sys::openat(b.at(from), &b.name, c::O_RDONLY | flags, 0)?;
    let dst = sys::openat(b.at(from.other()), &b.name, c::O_RDONLY | flags, 0)?;
    let (f, t) = (sys::fstat(src)?, sys::fstat(dst)?);
    sys::stands_for(&f, &t)?;
    if f.kind() != c::S_IFREG || f.size().max(t.size()) > COMPARE_MAX {
        return Err(Errno::EFBIG);
    }
    let (mut one, mut other) = ([0u8; 8192], [0u8; 8192]);
    let mut equal = 0u64;
    loop {
        let (n, m) = (
            sys::pread(src, &mut one, equal)?,
            sys::pread(dst, &mut other, equal)?,
        );
        let k = n.min(m);
        if k == 0 || one.get(..k) != other.get(..k) {
            break;
        }
        equal = equal.saturating_add(k as u64);
    }
    if equal == f.size() && equal == t.size() {
        return Ok(Found::Alike);
    }
    if f.size().max(t.size()) > REPAIR_MAX {
        return Err(Errno::EFBIG);
    }
    let dst = sys::openat(b.at(from.other()), &b.name, c::O_RDWR | flags, 0)?;
    let now = sys::fstat(dst)?;
    if (now.dev(), now.ino(), now.size()) != (t.dev(), t.ino(), t.size()) {
        return Err(Errno::EAGAIN);
    }
    // What the first leg's file begins with loses nothing.
    if equal < t.size() {
        keep(dst, root, &b.name, &t, held)?;
    }
    // The sizes become equal last: who is killed before leaves a difference that is seen.
    pour(src, dst, equal, f.size(), held)?;
    sys::ftruncate(dst, f.size()).map(|_| Found::Mended)
}

/// Copies a version aside.
fn keep(dst: i32, root: i32, name: &Name, t: &Stat, held: &BothLocked) -> Sys<()> {
    let dir = kept::folder(root)?;
    let flags = c::O_WRONLY | c::O_CREAT | c::O_EXCL | c::O_NOFOLLOW | c::O_CLOEXEC;
    let (n, version) = kept::named(name, |version| sys::openat(dir, version, flags, 0o600))?;
    if let Err(e) = pour(dst, n, 0, t.size(), held) {
        let _ = sys::unlinkat(dir, &version, 0);
        return Err(e);
    }
    let _ = kept::make_room(dir, &version);
    // A courtesy to whoever looks for it.
    let _ = sys::fchown(n, t.uid(), t.gid());
    let _ = sys::fchmod(n, t.mode() & 0o777);
    let _ = sys::set_times(n, sys::OMIT, t.mtime());
    Ok(())
}

fn pour(src: i32, dst: i32, from: u64, end: u64, _: &BothLocked) -> Sys<()> {
    let mut buf = [0u8; 8192];
    let mut at = from;
    while at < end {
        let want = end.saturating_sub(at).min(buf.len() as u64) as usize;
        let k = sys::pread(src, buf.get_mut(..want).unwrap_or(&mut []), at)?;
        if k == 0 {
            return Err(Errno::EIO);
        }
        sys::pwrite_all(dst, buf.get(..k).unwrap_or(&[]), at)?;
        at = at.saturating_add(k as u64);
    }
    Ok(())
}
