//! One object on both legs, and how one of the two is made like the other.
use crate::attach::handle::Session;
use crate::path::below::{hold, open_below};
use crate::path::loc::{Name, Path};
use libc as c;
use mirror_core::path::PathText;
use mirror_core::xattrs::{CAPABILITY, is_copied};
use mirror_core::{BothLocked, Errno, Leg};
use mirror_pair::attributes::{self, ALL, Want, listed};
use mirror_pair::both::Both;
use mirror_sys as sys;
use mirror_sys::Object;
use mirror_sys::Stat;
use mirror_sys::Sys;

/// Larger differences than this are left to `mirror resync`: an innocent program pays for repair.
pub const REPAIR_MAX: u64 = 16 << 20;

/// One name on both legs.
pub(super) fn open(s: &Session, rel: &[u8]) -> Sys<Both> {
    Both::open(s.root, rel, &open_dir)
}

/// The program's limit is not for it.
pub(super) fn open_dir(root: i32, rel: &Path) -> Sys<i32> {
    open_below(root, rel, c::O_PATH | c::O_DIRECTORY)
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
pub fn make(b: &Both, from: Leg, f: &Stat, _: &BothLocked) -> Sys<()> {
    let to = b.at(from.other());
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
pub fn attributes(b: &Both, from: Leg, f: &Stat, locks: &BothLocked) -> Sys<()> {
    let source = hold(b.at(from), &b.name)?;
    let held = hold(b.at(from.other()), &b.name)?;
    sys::stands_for(f, source.stat())?;
    sys::stands_for(f, held.stat())?;
    if privileged(f) {
        carried(&source, &held)?;
    }
    let copy = || xattrs(&source, &held, locks);
    attributes::put(&held, &Want::of(f), ALL, copy, locks)
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

/// The names in a listing of `n` bytes that belong to the copy.
fn copied(list: &[u8], n: usize) -> impl Iterator<Item = &[u8]> {
    let list = list.get(..n).unwrap_or(&[]);
    list.split(|&b| b == 0).filter(|name| is_copied(name))
}

/// Extended attributes, access control lists among them, as far as this process may see and set them.
#[inline(never)]
fn xattrs(src: &Object, dst: &Object, _: &BothLocked) -> Sys<()> {
    let mut list = [0u8; 4096];
    let (mut value, mut other) = ([0u8; 4096], [0u8; 4096]);
    let n = listed(src.xattrs(&mut list))?;
    for name in copied(&list, n) {
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
    let n = listed(dst.xattrs(&mut list))?;
    for name in copied(&list, n) {
        let name: PathText<264> = PathText::from_bytes(name).map_err(|_| Errno::ERANGE)?;
        if src.xattr(&name, &mut value) == Err(Errno::ENODATA) {
            dst.remove_xattr(&name)?;
        }
    }
    Ok(())
}
