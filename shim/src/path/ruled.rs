//! Where a path leads by the rules of the program's own openat2(2), which every step of it keeps.
//!
//! Rules: directories are opened by the kernel, from the program's descriptor and with its `resolve` bits; only the
//! last component is read here. Where it is a symlink, its text takes its place in the path, so that the kernel
//! walks that from the same start too. Nothing outside of what the program allowed is ever reached.
use crate::path::held::{place_below, unreachable};
use crate::path::leaf::mounted;
use crate::path::loc::{Last, Loc, Name, Path, Place};
use crate::path::outside::Outside;
use crate::path::resolve::{self, directory_text};
use crate::process::limits::{own_fd, park};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::split;
use mirror_sys as sys;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const NO_MAGICLINKS: u64 = 0x02;
const NO_SYMLINKS: u64 = 0x04;
const BENEATH: u64 = 0x08;
const IN_ROOT: u64 = 0x10;
const CACHED: u64 = 0x20;
/// Symlinks that are followed for one path.
const LINKS: usize = 40;
const DIR: i32 = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;

/// Whether these bits say where symlinks may lead; the others only forbid to cross a mount point or to wait.
fn rules(resolve: u64) -> bool {
    resolve & (NO_MAGICLINKS | NO_SYMLINKS | BENEATH | IN_ROOT) != 0
}

/// The place of a path of an open, by the rules if it has any. `slow`: texts have misled already.
#[inline(always)]
pub fn seek(
    how: Option<&sys::OpenHow>,
    (dir, path): (i32, &Path),
    (last, whole): (Last, bool),
    slow: bool,
    loc: &mut Loc,
) -> Place {
    match how.filter(|h| rules(h.resolve)) {
        Some(h) => locate(dir, path, (last, whole), h.resolve, loc),
        None if slow => resolve::locate_slow(dir, path, last, loc),
        None => resolve::locate(dir, path, last, loc),
    }
}

/// The path with a symlink's text in the place of its last component.
fn followed_by(parent: &[u8], link: &[u8]) -> Option<Path> {
    let mut whole = Path::new();
    if link.first() != Some(&b'/') && !parent.is_empty() {
        whole.set(parent).ok()?;
        whole.push(link).ok()?;
    } else {
        whole.set(link).ok()?;
    }
    Some(whole)
}

/// The place of a path. `whole`: a directory is meant, the one to which all of it leads.
#[cold]
#[inline(never)]
// long: one symlink after the other, with what was opened
fn locate(
    dir: i32,
    path: &Path,
    (last, whole): (Last, bool),
    resolve: u64,
    loc: &mut Loc,
) -> Place {
    loc.anchor.drop_fd();
    (loc.jump, loc.held, loc.near, loc.deep) = (None, false, false, false);
    loc.slash = false;
    let mut path = path.clone();
    let mut slash = false;
    for _ in 0..=LINKS {
        let (parent, name, s) = split(path.as_bytes());
        slash |= s;
        let mut leaf = Name::new();
        let whole = whole && (slash || last != Last::Keep);
        if whole || matches!(name, b"" | b"." | b"..") {
            return match own_fd(|| sys::openat2(dir, &path, DIR, 0, resolve)) {
                Ok(n) => {
                    let place = place_below(n, &leaf, slash, loc);
                    let _ = sys::close(n);
                    place
                }
                Err(e) => Place::Fail(e),
            };
        }
        let long = leaf.set(name).is_err();
        let mut text = Path::new();
        directory_text(&mut text, parent);
        let at = match own_fd(|| sys::openat2(dir, &text, DIR, 0, resolve)) {
            Ok(n) => park(n),
            Err(e) => return Place::Fail(e),
        };
        loc.slash = slash;
        if long {
            let _ = sys::close(at);
            return Place::Fail(Errno::ENAMETOOLONG);
        }
        let follow = last == Last::Follow || (slash && last == Last::Keep);
        let link = sys::readlinkat(at, &leaf, &mut text);
        match link {
            Ok(()) | Err(Errno::ENAMETOOLONG) if follow => {
                let refused = forbidden(dir, &path, at, &leaf, resolve);
                let _ = sys::close(at);
                if let Some(e) = refused.or(link.err()) {
                    return Place::Fail(e);
                }
                match followed_by(parent, text.as_bytes()) {
                    Some(next) => path = next,
                    None => return Place::Fail(Errno::ENAMETOOLONG),
                }
            }
            Err(e) if follow && resolve::no_link(e).is_err() => {
                let _ = sys::close(at);
                return Place::Fail(e);
            }
            _ => {
                let mut place = place_below(at, &leaf, slash, loc);
                if place == Place::In {
                    let len = split(loc.rel.as_bytes()).0.len();
                    loc.anchor.set(at, len, true);
                    return place;
                }
                if let Place::Out(proof) = place {
                    place = match sys::identity(at, &leaf) {
                        // It was no symlink, and is one.
                        Ok(id) if follow && id.kind == c::S_IFLNK => Place::Fail(Errno::EAGAIN),
                        Ok(id) => mounted(at, &leaf, &id, slash, loc).unwrap_or(Place::Out(proof)),
                        // Now there, now not: it is asked again.
                        Err(e) => unreachable(Outside::unreachable(e, || link))
                            .unwrap_or(Place::Fail(Errno::EAGAIN)),
                    };
                }
                let _ = sys::close(at);
                if place == Place::Fail(Errno::EAGAIN) {
                    continue;
                }
                return place;
            }
        }
    }
    Place::Fail(Errno::ELOOP)
}

/// Why a symlink must not be followed.
fn forbidden(dir: i32, path: &Path, at: i32, leaf: &Name, resolve: u64) -> Option<Errno> {
    if resolve & NO_SYMLINKS != 0 {
        return Some(Errno::ELOOP);
    }
    if !crate::path::sticky::may_follow(at, leaf) {
        return Some(Errno::EACCES);
    }
    if sys::fs_magic(at).is_ok_and(|fs| fs != PROC_SUPER_MAGIC) {
        return None;
    }
    // One that jumps is against each of these rules (ELOOP, EXDEV), one that is a text is not: the kernel says.
    match own_fd(|| sys::openat2(dir, path, c::O_PATH | c::O_CLOEXEC, 0, resolve & !CACHED)) {
        Ok(n) => {
            let _ = sys::close(n);
            None
        }
        Err(Errno::ENOENT) => None,
        Err(e) => Some(e),
    }
}
