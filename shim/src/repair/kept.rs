//! Versions that a program's repair has put aside: `.mirror/kept/programs` of the leg that had them, the last
//! [`SLOTS`].
//!
//! Rules: the whole pair is locked exclusively; what cannot be kept is not replaced.
use crate::path::below::open_below;
use crate::path::loc::{Name, Path};
use libc as c;
use mirror_core::path::CONTROL;
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// Versions that stay; the oldest goes first.
const SLOTS: usize = 64;
/// Of an object's own name, what stands in the version's.
const NAME_MAX: usize = 200;

/// The folder.
pub fn folder(root: i32) -> Sys<i32> {
    let mut above = Path::from_bytes(CONTROL).unwrap_or_default();
    above.push(b"kept").map_err(|_| Errno::ENAMETOOLONG)?;
    let mut path = above.clone();
    path.push(b"programs").map_err(|_| Errno::ENAMETOOLONG)?;
    let flags = c::O_RDONLY | c::O_DIRECTORY;
    match open_below(root, &path, flags) {
        Err(Errno::ENOENT) => {}
        r => return r,
    }
    let kept = open_below(root, &above, c::O_PATH | c::O_DIRECTORY)?;
    let name: Name = Name::from_bytes(b"programs").unwrap_or_default();
    let made = sys::mkdirat(kept, &name, 0o700);
    let like = sys::fstat(kept);
    let _ = sys::close(kept);
    let like = like?;
    let n = open_below(root, &path, flags)?;
    // Everybody who uses the pair puts versions there.
    if made.is_ok() {
        if sys::fstat(n).is_ok_and(|st| st.uid() != like.uid()) {
            let _ = sys::fchown(n, like.uid(), like.gid());
        }
        let _ = sys::fchmod(n, like.mode() & 0o7777);
    }
    Ok(n)
}

/// After `new` was put aside: removes the oldest version if there are more than [`SLOTS`]. Their names begin
/// with the time. Not before: an attempt that fails costs no version.
pub fn make_room(dir: i32, new: &Name) -> Sys<()> {
    let mut buf = [0u8; 4096];
    let (mut count, mut age) = (0usize, u64::MAX);
    let mut oldest = Name::new();
    loop {
        let n = sys::getdents(dir, &mut buf)?;
        if n == 0 {
            break;
        }
        let mut at = 0usize;
        while let Some((e, next)) = crate::path::listing::entry(buf.get(..n).unwrap_or(&[]), at) {
            at = next;
            if e.name == b"." || e.name == b".." {
                continue;
            }
            count = count.saturating_add(1);
            if time_of(e.name) < age && e.name != new.as_bytes() {
                age = time_of(e.name);
                let _ = oldest.set(e.name);
            }
        }
    }
    if count <= SLOTS {
        return Ok(());
    }
    sys::unlinkat(dir, &oldest, 0).map(|_| ())
}

fn time_of(name: &[u8]) -> u64 {
    let digits = name.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0, |n, b| {
        n.wrapping_mul(10)
            .wrapping_add(u64::from(b.wrapping_sub(b'0')))
    })
}

/// Calls `make` with names for a version of `name`, "SECONDS-NAME", until one is free: that one.
pub fn named(name: &Name, make: impl Fn(&Name) -> Sys<i32>) -> Sys<(i32, Name)> {
    let now = sys::realtime();
    for nth in 0..SLOTS as u64 {
        let mut version = Name::new();
        put_number(now.saturating_add(nth), &mut version);
        let _ = version.append(b"-");
        let own = name.as_bytes();
        let _ = version.append(own.get(..own.len().min(NAME_MAX)).unwrap_or(&[]));
        match make(&version) {
            Err(Errno::EEXIST) => {}
            r => return r.map(|n| (n, version)),
        }
    }
    Err(Errno::EEXIST)
}

fn put_number(n: u64, out: &mut Name) {
    let mut div = 1_000_000_000_000u64;
    let mut begun = false;
    while div > 0 {
        let digit = (n.checked_div(div).unwrap_or(0) % 10) as u8;
        begun |= digit != 0 || div == 1;
        if begun {
            let _ = out.append(&[b'0'.wrapping_add(digit)]);
        }
        div /= 10;
    }
}

/// Whether the leg's file system has hard links: tried, in `.mirror/tmp`.
#[cold]
pub fn has_links(root: i32) -> bool {
    let mut path = Path::from_bytes(CONTROL).unwrap_or_default();
    let _ = path.push(b"tmp");
    let Ok(dir) = open_below(root, &path, c::O_PATH | c::O_DIRECTORY) else {
        return true;
    };
    let one: Name = Name::from_bytes(b"names-1").unwrap_or_default();
    let two: Name = Name::from_bytes(b"names-2").unwrap_or_default();
    let clean = || {
        let _ = sys::unlinkat(dir, &one, 0);
        let _ = sys::unlinkat(dir, &two, 0);
    };
    clean();
    let made = sys::mknodat(dir, &one, c::S_IFREG | 0o600, 0);
    // A full disk or a lack of descriptors says nothing of links.
    let refused = made.is_ok()
        && matches!(
            sys::linkat(dir, &one, dir, &two, 0),
            Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EMLINK)
        );
    clean();
    let _ = sys::close(dir);
    !refused
}

/// Puts what `dir/name` is on a leg aside: an empty directory goes, anything else is moved to the folder. A
/// directory that holds something stays, and so does a file with further names, which may be somebody
/// else's.
pub fn aside(root: i32, dir: i32, name: &Name, st: &Stat, _: &BothLocked) -> Sys<()> {
    match st.kind() {
        c::S_IFDIR => return sys::unlinkat(dir, name, c::AT_REMOVEDIR).map(|_| ()),
        c::S_IFREG if st.nlink() > 1 => return Err(Errno::EMLINK),
        // Nothing is lost with it.
        c::S_IFREG if st.size() == 0 => return sys::unlinkat(dir, name, 0).map(|_| ()),
        _ => {}
    }
    let to = folder(root)?;
    let moved = named(name, |version| {
        sys::renameat2(dir, name, to, version, 1).map(|_| 0)
    });
    if let Ok((_, version)) = &moved {
        let _ = make_room(to, version);
    }
    let _ = sys::close(to);
    moved.map(|_| ())
}
