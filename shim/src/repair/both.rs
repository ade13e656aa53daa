//! One object on both legs, and how one of the two is made like the other.
use crate::attach::handle::Session;
use crate::path::below::{hold, open_below};
use crate::path::loc::{Name, Path};
use libc as c;
use mirror_core::path::PathText;
use mirror_core::path::split;
use mirror_core::repair::Seen;
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::OMIT;
use mirror_sys::Object;
use mirror_sys::Stat;
use mirror_sys::Sys;

/// Larger differences than this are left to `mirror resync`: an innocent program pays for repair.
pub const REPAIR_MAX: u64 = 16 << 20;

/// That something is missing is believed when it was said twice: a difference is made of it.
pub fn surely<T>(look: impl Fn() -> Sys<T>) -> Sys<T> {
    match look() {
        Err(Errno::ENOENT) => look(),
        r => r,
    }
}

/// One object seen from both legs.
pub struct Both {
    pub(super) dir: [i32; 2],
    pub(super) name: Name,
    pub(super) st: [Option<Stat>; 2],
    pub(super) root: [i32; 2],
}

impl Both {
    pub(super) fn open(s: &Session, rel: &[u8]) -> Sys<Both> {
        let (parent, name, _) = split(rel);
        let mut b = Both {
            dir: s.root,
            name: Name::new(),
            st: [None, None],
            root: s.root,
        };
        if name.is_empty() || name == b".." || name == b"." || mirror_core::path::is_control(rel) {
            return Err(Errno::EINVAL);
        }
        b.name.set(name).map_err(|_| Errno::ENAMETOOLONG)?;
        if !parent.is_empty() {
            let p = Path::from_bytes(parent).map_err(|_| Errno::ENAMETOOLONG)?;
            b.dir = [-1; 2];
            for (d, &root) in b.dir.iter_mut().zip(&s.root) {
                match surely(|| open_below(root, &p, c::O_PATH | c::O_DIRECTORY)) {
                    Ok(n) => *d = n,
                    Err(e) => {
                        b.close();
                        return Err(e);
                    }
                }
            }
        }
        for (st, &d) in b.st.iter_mut().zip(&b.dir) {
            match surely(|| sys::fstatat(d, &b.name, c::AT_SYMLINK_NOFOLLOW)) {
                Ok(v) => *st = Some(v),
                Err(Errno::ENOENT) => {}
                Err(e) => {
                    b.close();
                    return Err(e);
                }
            }
        }
        Ok(b)
    }
    /// The object of a path; none of an empty one.
    pub(super) fn some(s: &Session, rel: &[u8]) -> Sys<Option<Both>> {
        if rel.is_empty() {
            return Ok(None);
        }
        Both::open(s, rel).map(Some)
    }
    /// What the decision is made from.
    pub(super) fn seen(&self, leg: usize) -> Option<Seen> {
        self.stat(leg).map(|st| Seen {
            inode: st.ino(),
            size: st.size(),
        })
    }
    pub(super) fn at(&self, leg: usize) -> i32 {
        self.dir.get(leg).copied().unwrap_or(-1)
    }
    pub(super) fn stat(&self, leg: usize) -> Option<Stat> {
        self.st.get(leg).copied().flatten()
    }
    pub(super) fn close(&mut self) {
        for (d, r) in self.dir.iter_mut().zip(&self.root) {
            if *d >= 0 && d != r {
                let _ = sys::close(*d);
            }
            *d = -1;
        }
    }
}

/// Another user's pair says what is to be made like what, and its owner could have put anything there:
/// with this process's rights nothing is made of that. The pair's own users, or a resync, do it.
pub fn not_led(s: &Session) -> Sys<()> {
    if s.is_guarded() {
        Err(Errno::EPERM)
    } else {
        Ok(())
    }
}

#[inline(never)]
pub fn make(b: &Both, from: usize, f: &Stat, _: &BothLocked) -> Sys<()> {
    let to = b.at(from ^ 1);
    match f.kind() {
        c::S_IFDIR => sys::mkdirat(to, &b.name, 0o700).map(|_| ()),
        c::S_IFLNK => {
            let mut text = Path::new();
            sys::readlinkat(b.at(from), &b.name, &mut text)?;
            sys::symlinkat(&text, to, &b.name).map(|_| ())
        }
        // A second name of a file is a matter of inodes: resync groups hard links.
        c::S_IFREG if f.nlink() > 1 => Err(Errno::EMLINK),
        kind => {
            if privileged(f) {
                let there = Object::take(sys::openat(to, &dot(), c::O_PATH | c::O_CLOEXEC, 0)?)?;
                carried(&hold(b.at(from), &b.name)?, &there)?;
            }
            sys::mknodat(to, &b.name, kind | 0o600, f.rdev()).map(|_| ())
        }
    }
}

pub fn dot() -> Name {
    Name::from_bytes(b".").unwrap_or_default()
}

#[inline(never)]
pub fn attributes(b: &Both, from: usize, f: &Stat, locks: &BothLocked) -> Sys<()> {
    let source = hold(b.at(from), &b.name)?;
    let held = hold(b.at(from ^ 1), &b.name)?;
    sys::stands_for(f, source.stat())?;
    sys::stands_for(f, held.stat())?;
    if privileged(f) {
        carried(&source, &held)?;
    }
    let t = held.stat();
    if (t.uid(), t.gid()) != (f.uid(), f.gid()) {
        held.set_owner(f.uid(), f.gid())?;
    }
    xattrs(&source, &held, locks)?;
    // chown clears setuid bits, and a list of access rights is in the mode: it comes after them. What is
    // equal is left alone: on another user's file that may not be set at all.
    let t = sys::fstat(held.fd())?;
    if f.kind() != c::S_IFLNK && t.mode() != f.mode() {
        held.set_mode(f.mode() & 0o7777)?;
    }
    if t.mtime() == f.mtime() {
        return Ok(());
    }
    held.set_times(OMIT, f.mtime()).map(|_| ())
}

/// What has power where it counts: a set-id file, a device.
pub fn privileged(f: &Stat) -> bool {
    (f.kind() == c::S_IFREG && f.mode() & 0o6000 != 0)
        || matches!(f.kind(), c::S_IFCHR | c::S_IFBLK)
}

/// Where set-id bits or devices do not count, somebody else may have brought them in: they are not
/// carried to where they do.
pub fn carried(source: &Object, to: &Object) -> Sys<()> {
    let flag = if source.stat().kind() == c::S_IFREG {
        c::ST_NOSUID
    } else {
        c::ST_NODEV
    };
    let counts = |o: &Object| Ok(sys::mount_flags(o.fd())? & flag == 0);
    if counts(to)? && !counts(source)? {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

/// Extended attributes, access control lists among them, as far as this process may see and set them.
#[inline(never)]
fn xattrs(src: &Object, dst: &Object, _: &BothLocked) -> Sys<()> {
    let mut list = [0u8; 4096];
    let names = |o: &Object, list: &mut [u8; 4096]| match o.xattrs(list) {
        Err(Errno::EOPNOTSUPP) => Ok(0),
        r => r,
    };
    let (mut value, mut other) = ([0u8; 4096], [0u8; 4096]);
    let n = names(src, &mut list)?;
    for name in list
        .get(..n)
        .unwrap_or(&[])
        .split(|&b| b == 0)
        .filter(|n| ours(n))
    {
        let name: PathText<264> = PathText::from_bytes(name).map_err(|_| Errno::ERANGE)?;
        let len = src.xattr(&name, &mut value)?;
        let want = value.get(..len).unwrap_or(&[]);
        let have = dst.xattr(&name, &mut other).ok();
        if have.and_then(|n| other.get(..n)) != Some(want) {
            if name.as_bytes() == CAPABILITY {
                carried(src, dst)?;
            }
            dst.set_xattr(&name, want)?;
        }
    }
    let n = names(dst, &mut list)?;
    for name in list
        .get(..n)
        .unwrap_or(&[])
        .split(|&b| b == 0)
        .filter(|n| ours(n))
    {
        let name: PathText<264> = PathText::from_bytes(name).map_err(|_| Errno::ERANGE)?;
        if src.xattr(&name, &mut value) == Err(Errno::ENODATA) {
            dst.remove_xattr(&name)?;
        }
    }
    Ok(())
}

pub const CAPABILITY: &[u8] = b"security.capability";

/// Labels and trusted attributes are the system's.
pub fn ours(name: &[u8]) -> bool {
    let systems = name.starts_with(b"security.") || name.starts_with(b"trusted.");
    !name.is_empty() && (!systems || name == CAPABILITY)
}
