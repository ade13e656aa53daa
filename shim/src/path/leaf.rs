//! What is mounted at a path's last component: a leg's root, or a directory or file of a leg.
use crate::path::base::Base;
use crate::path::doors::{self, Shows};
use crate::path::guess::of_text;
use crate::path::loc::{Loc, Name, Path, Place, Whole};
use crate::path::roots::Roots;
use crate::process::limits::own_fd;
use libc as c;
use mirror_sys as sys;
use mirror_sys::Identity;

/// Where the object `dir/leaf` lies, which was met in a directory outside. `None`: outside too, or a symlink. What
/// is there and cannot be opened is an error.
#[inline(never)]
pub fn mounted(dir: i32, leaf: &Name, id: &Identity, slash: bool, loc: &mut Loc) -> Option<Place> {
    if id.top == Some(false) || id.kind == c::S_IFLNK {
        return None;
    }
    let flags = c::O_PATH | c::O_NOFOLLOW | c::O_CLOEXEC;
    let n = match own_fd(|| sys::openat(dir, leaf, flags, 0)) {
        Ok(n) => n,
        Err(e) => return Some(Place::Fail(e)),
    };
    let place = held(n, id, loc);
    let _ = sys::close(n);
    loc.slash = slash;
    place
}

/// The same of an open object, perhaps its mount's root.
#[inline(never)]
pub fn held(n: i32, id: &Identity, loc: &mut Loc) -> Option<Place> {
    let roots = Roots::now();
    if roots.foreign(id.dev) {
        return None;
    }
    let (mut text, mut part) = (Whole::new(), Path::new());
    let (pair, leg) = match roots.find(id.dev, id.ino) {
        Some(found) => found,
        None if id.mount == 0 || id.top.is_none() => return None,
        None => match doors::shows(id, &mut part) {
            Ok(Shows::Part(pair, leg)) => (pair, leg),
            Ok(_) => return None,
            Err(e) => return Some(Place::Fail(e)),
        },
    };
    // By way of a read-only mount nothing can be changed: the kernel says so.
    if sys::on_read_only(n) == Ok(true) {
        return None;
    }
    if let Err(e) = doors::lead(pair, leg, &part, id, &mut text) {
        return Some(Place::Fail(e));
    }
    let base = Base {
        system: true,
        out: None,
    };
    Some(of_text(&text, &base, false, loc))
}
