//! Where an open object is: its name as the kernel tells it, if that still leads to it.
use crate::resolve::{Jump, Loc, Path, Place, place_open};
use crate::state::{self, Member, member};
use libc as c;
use mirror_core::path::PathText;
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

/// Whether an open object of this type can have a name.
pub fn has_place(st: &sys::Stat) -> bool {
    matches!(
        st.kind(),
        c::S_IFREG | c::S_IFDIR | c::S_IFLNK | c::S_IFIFO | c::S_IFCHR | c::S_IFBLK
    )
}

/// The place of an open object: its name, if the name still is this object.
#[inline(never)]
pub fn named(n: i32, loc: &mut Loc) -> Place {
    let mut text = Path::new();
    let Ok(st) = sys::fstat(n) else {
        return Place::Out;
    };
    if !has_place(&st) {
        return Place::Out;
    }
    match sys::fd_path(n, &mut text) {
        Ok(()) => {}
        Err(Errno::ENAMETOOLONG) if st.kind() == c::S_IFDIR => return deep(n, loc),
        Err(Errno::ENAMETOOLONG) => return deep_file(n, &st, loc),
        Err(_) => return Place::Out,
    }
    let place = place_open(n, &mut text, b"", false, loc);
    if place != Place::In {
        return place;
    }
    let root = if state::ROOT.is_default() {
        None
    } else {
        crate::attach::root_of(loc.pair, loc.leg)
    };
    let by_name = match root {
        Some(root) => sys::fstatat(root, &loc.rel, c::AT_SYMLINK_NOFOLLOW),
        None => sys::fstatat(c::AT_FDCWD, &text, c::AT_SYMLINK_NOFOLLOW),
    };
    match by_name {
        Ok(s) if s.ino() == st.ino() && s.dev() == st.dev() => Place::In,
        _ if st.nlink() > 0 && st.kind() != c::S_IFDIR => Place::Linked,
        _ => Place::Nameless,
    }
}

/// The same; a name that is gone is replaced by another one that lives, if it is soon found.
#[inline(never)]
pub fn sought(n: i32, loc: &mut Loc) -> Place {
    match named(n, loc) {
        Place::Linked if crate::find::living_name(n, loc) => Place::In,
        p => p,
    }
}

/// A file whose text is too long for the kernel. It has no "..", so its device decides; in a leg none
/// is opened for writing at such a place.
#[cold]
fn deep_file(n: i32, st: &sys::Stat, loc: &mut Loc) -> Place {
    let writes = sys::fcntl(n, c::F_GETFL, 0)
        .is_ok_and(|f| f as i32 & c::O_PATH == 0 && f as i32 & c::O_ACCMODE != c::O_RDONLY);
    if writes {
        return Place::Out;
    }
    for (i, p) in state::CONFIG.get().pairs().iter().enumerate() {
        for (leg, root) in p.legs.iter().enumerate() {
            if sys::stat_static(root).is_ok_and(|r| r.dev() == st.dev()) {
                (loc.pair, loc.leg) = (i, leg);
                return Place::Fail(Errno::ENAMETOOLONG);
            }
        }
    }
    Place::Out
}

/// The kernel has no text for an open object because the text is too long: its nearest ancestor that
/// has one decides. What is in a leg cannot be changed there: no text leads to it on the other leg.
#[cold]
#[inline(never)]
pub fn deep(dir: i32, loc: &mut Loc) -> Place {
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let mut text = Path::new();
    let mut at = dir;
    let mut known = Err(Errno::ENAMETOOLONG);
    let mut place = Place::Out;
    // Sixteen levels at a time; then one by one, from the last that had no text.
    for levels in [16, 1] {
        let mut up: PathText<64> = PathText::new();
        for _ in 0..levels {
            let _ = up.push(b"..");
        }
        loop {
            let n = match sys::openat(at, &up, flags, 0) {
                Ok(n) => n,
                Err(e) => {
                    known = Err(e);
                    break;
                }
            };
            known = sys::fd_path(n, &mut text);
            let deeper = known == Err(Errno::ENAMETOOLONG);
            if known.is_ok() {
                place = place_open(n, &mut text, b"", false, loc);
            }
            let drop = if deeper {
                core::mem::replace(&mut at, n)
            } else {
                n
            };
            if drop != dir {
                let _ = sys::close(drop);
            }
            if !deeper {
                break;
            }
        }
    }
    if at != dir {
        let _ = sys::close(at);
    }
    let near = matches!(member(text.as_bytes()), Member::Near);
    match known {
        // It begins far from every root, and no root has a text that long.
        Ok(()) if !near && place == Place::Out => Place::Out,
        _ => Place::Fail(Errno::ENAMETOOLONG),
    }
}
