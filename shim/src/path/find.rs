//! Another name of a file whose known name is gone: a bounded search of its leg.
//!
//! Rules: nothing is locked and nothing is believed: what is found is a guess like any other text, and is
//! proved under the locks. What is not found soon is not found.
use crate::config;
use crate::path::listing::{Entry, entry};
use crate::path::loc::{Loc, Name, Path};
use crate::process::place;

use libc as c;
use mirror_core::Errno;
use mirror_core::path::{CONTROL, PathText, split};
use mirror_sys as sys;
use mirror_sys::Stat;

/// Most entries that are looked at, and most directories above one another.
const ENTRIES: usize = 32 * 1024;
const DEPTH: usize = 24;

struct Search {
    wanted: Stat,
    left: usize,
    rel: Path,
}

/// Looks for a living name of the file that `n` is open on, in the leg that `loc` says, first beside its
/// old name. `loc` then leads there.
#[cold]
#[inline(never)]
pub fn living_name(n: i32, loc: &mut Loc) -> bool {
    let Some(leg) = config::CONFIG
        .get()
        .pairs()
        .get(loc.pair)
        .map(|p| p.legs[loc.leg])
    else {
        return false;
    };
    let (Ok(wanted), Ok(root)) = (sys::fstat(n), open_root(loc, leg.to_bytes())) else {
        return false;
    };
    let mut search = Search {
        wanted,
        left: ENTRIES,
        rel: Path::new(),
    };
    let mut beside = Path::new();
    let _ = beside.set(split(loc.rel.as_bytes()).0);
    let found = beside.is_empty() && search.directory(root)
        || !beside.is_empty() && search.beside(root, &beside)
        || search.below(root);
    let _ = sys::close(root);
    if !found {
        return false;
    }
    let (_, name, _) = split(search.rel.as_bytes());
    loc.slash = false;
    loc.name.set(name).is_ok() && loc.rel.set(search.rel.as_bytes()).is_ok()
}

fn open_root(loc: &Loc, leg: &[u8]) -> sys::Sys<i32> {
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
    let mut p = Path::new();
    if !place::ROOT.is_default() {
        // Below a new root the leg's text means another place, or none.
        let root = crate::attach::session::root_of(loc.pair, loc.leg);
        let _ = p.set(b".");
        return sys::openat(root.ok_or(Errno::ENOENT)?, &p, flags, 0);
    }
    p.set(leg).map_err(|_| Errno::ENAMETOOLONG)?;
    sys::openat(c::AT_FDCWD, &p, flags, 0)
}

fn open_directory<const N: usize>(at: i32, name: &PathText<N>) -> sys::Sys<i32> {
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_CLOEXEC;
    sys::openat2(at, name, flags, 0, sys::BENEATH)
}

impl Search {
    fn beside(&mut self, root: i32, dir: &Path) -> bool {
        let Ok(n) = open_directory(root, dir) else {
            return false;
        };
        let _ = self.rel.set(dir.as_bytes());
        let found = self.directory(n);
        let _ = sys::close(n);
        if !found {
            self.rel.truncate(0);
        }
        found
    }

    /// Whether this entry is the file; then `rel` says so.
    fn is_it(&mut self, dir: i32, e: &Entry<'_>) -> bool {
        if e.ino != self.wanted.ino() {
            return false;
        }
        let name = Name::from_bytes(e.name).unwrap_or_default();
        let same = sys::fstatat(dir, &name, c::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|s| (s.dev(), s.ino()) == (self.wanted.dev(), self.wanted.ino()));
        same && self.rel.push(e.name).is_ok()
    }

    /// One directory alone.
    fn directory(&mut self, dir: i32) -> bool {
        let mut buf = [0u8; 4096];
        while let Ok(n) = sys::getdents(dir, &mut buf)
            && n > 0
        {
            let mut at = 0usize;
            while let Some((e, next)) = entry(buf.get(..n).unwrap_or(&[]), at) {
                if self.left == 0 || self.is_it(dir, &e) {
                    return self.left > 0;
                }
                self.left = self.left.saturating_sub(1);
                at = next;
            }
        }
        false
    }

    /// Everything below `root`, one directory after another; each level has a descriptor.
    fn below(&mut self, root: i32) -> bool {
        let mut open = [-1i32; DEPTH];
        let mut depth = 0usize;
        let mut buf = [0u8; 4096];
        let mut found = false;
        self.rel.truncate(0);
        let _ = sys::lseek(root, 0, c::SEEK_SET);
        while self.left > 0 && !found {
            let dir = depth
                .checked_sub(1)
                .and_then(|i| open.get(i).copied())
                .unwrap_or(root);
            let n = sys::getdents(dir, &mut buf).unwrap_or(0);
            if n == 0 {
                let Some(up) = depth.checked_sub(1) else {
                    break;
                };
                let _ = sys::close(dir);
                self.rel.pop();
                depth = up;
                continue;
            }
            let mut at = 0usize;
            while let Some((e, next)) = entry(buf.get(..n).unwrap_or(&[]), at) {
                at = next;
                self.left = self.left.saturating_sub(1);
                if self.is_it(dir, &e) {
                    found = true;
                    break;
                }
                let dots = e.name == b"." || e.name == b"..";
                let maybe = matches!(e.kind, c::DT_DIR | c::DT_UNKNOWN) && !dots;
                if !maybe || (depth == 0 && e.name == CONTROL) {
                    continue;
                }
                let name = Name::from_bytes(e.name).unwrap_or_default();
                if let Some(slot) = open.get_mut(depth)
                    && let Ok(n) = open_directory(dir, &name)
                {
                    // The rest of this listing is read again later.
                    if self.rel.push(e.name).is_err() {
                        let _ = sys::close(n);
                        continue;
                    }
                    let _ = sys::lseek(dir, e.next, c::SEEK_SET);
                    *slot = n;
                    depth = depth.saturating_add(1);
                    break;
                }
            }
        }
        for &n in open.iter().take(depth) {
            let _ = sys::close(n);
        }
        found
    }
}
