//! "Make this object equal, from one leg to the other": repair of what a dead holder left, and of an
//! object that somebody changed on one tree alone.
//!
//! Rules: the whole pair is locked and everybody else kept out. Paths come from shared memory or from other processes and are not
//! trusted: every step goes through BENEATH and NO_SYMLINKS. Data files are opened, and so closed,
//! only in a quiet fork with a descriptor table of its own: closing one in the program would drop the
//! program's fcntl locks. What cannot be repaired here is recorded as pending, never guessed.
use crate::attach::session::Session;
use crate::change::target::{hold, open_below};
use crate::path::loc::{Name, Path};
use crate::repair::copying::copy;
use libc as c;
use mirror_core::path::{PATH_MAX, PathText, split};
use mirror_core::runtime::{AT_END, IntentKind};
use mirror_core::{Errno, StateWord};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Stat, Sys};

mod same;
use same::finish;
pub use same::{Found, alike, is_beyond, parents, same};

/// Larger differences than this are left to `mirror resync`: an innocent program pays for repair.
pub const REPAIR_MAX: u64 = 16 << 20;

/// One object seen from both legs.
pub struct Both {
    dir: [i32; 2],
    pub name: Name,
    st: [Option<Stat>; 2],
    root: [i32; 2],
}

impl Both {
    fn open(s: &Session, rel: &[u8]) -> Sys<Both> {
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
                match open_below(root, &p, c::O_PATH | c::O_DIRECTORY) {
                    Ok(n) => *d = n,
                    Err(e) => {
                        b.close();
                        return Err(e);
                    }
                }
            }
        }
        for (st, &d) in b.st.iter_mut().zip(&b.dir) {
            match sys::fstatat(d, &b.name, c::AT_SYMLINK_NOFOLLOW) {
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
    pub fn at(&self, leg: usize) -> i32 {
        self.dir.get(leg).copied().unwrap_or(-1)
    }
    fn stat(&self, leg: usize) -> Option<Stat> {
        self.st.get(leg).copied().flatten()
    }
    fn close(&mut self) {
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
fn not_led(s: &Session) -> Sys<()> {
    if s.is_guarded() {
        Err(Errno::EPERM)
    } else {
        Ok(())
    }
}

/// Makes the object at `rel` on the other leg like the one on leg `from`.
#[inline(never)]
pub fn equal(s: &Session, from: usize, rel: &[u8]) -> Sys<()> {
    not_led(s)?;
    let mut b = Both::open(s, rel)?;
    let r = equal_at(s, &b, from, None);
    b.close();
    r
}

#[inline(never)]
fn equal_at(s: &Session, b: &Both, from: usize, range: Option<(u64, u64)>) -> Sys<()> {
    let to = from ^ 1;
    match (b.stat(from), b.stat(to)) {
        (None, None) => Ok(()),
        (None, Some(t)) => {
            let flags = if t.kind() == c::S_IFDIR {
                c::AT_REMOVEDIR
            } else {
                0
            };
            sys::unlinkat(b.at(to), &b.name, flags).map(|_| ())
        }
        (Some(f), None) => {
            make(b, from, &f)?;
            if f.kind() == c::S_IFREG {
                copy(b, from, &f, None)?;
            }
            attributes(b, from, &f)
        }
        (Some(f), Some(t)) => {
            if f.kind() != t.kind() {
                return Err(Errno::EEXIST);
            }
            // A file of more names than the other is perhaps another one's: its content is not ours to
            // write. Resync knows all names.
            if f.kind() == c::S_IFREG && !same::may_differ(s, from, &f, &t) {
                return Err(Errno::EMLINK);
            }
            if f.kind() == c::S_IFREG {
                let whole = if f.size() == t.size() {
                    range
                } else {
                    range.filter(|_| f.size() >= t.size())
                };
                copy(b, from, &f, whole)?;
            }
            attributes(b, from, &f)
        }
    }
}

#[inline(never)]
fn make(b: &Both, from: usize, f: &Stat) -> Sys<()> {
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

fn dot() -> Name {
    Name::from_bytes(b".").unwrap_or_default()
}

#[inline(never)]
fn attributes(b: &Both, from: usize, f: &Stat) -> Sys<()> {
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
    xattrs(&source, &held)?;
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
fn privileged(f: &Stat) -> bool {
    (f.kind() == c::S_IFREG && f.mode() & 0o6000 != 0)
        || matches!(f.kind(), c::S_IFCHR | c::S_IFBLK)
}

/// Where set-id bits or devices do not count, somebody else may have brought them in: they are not
/// carried to where they do.
fn carried(source: &Object, to: &Object) -> Sys<()> {
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
fn xattrs(src: &Object, dst: &Object) -> Sys<()> {
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

const CAPABILITY: &[u8] = b"security.capability";

/// Labels and trusted attributes are the system's.
fn ours(name: &[u8]) -> bool {
    let systems = name.starts_with(b"security.") || name.starts_with(b"trusted.");
    !name.is_empty() && (!systems || name == CAPABILITY)
}

/// Ends what a dead holder left: what was done on the first leg is done on the second.
/// (Nobody was told of it, so either direction is right; this one never takes a byte back.)
#[inline(never)]
pub fn orphan(s: &Session, object: usize) {
    let (mut b1, mut b2) = ([0u8; PATH_MAX], [0u8; PATH_MAX]);
    let rt = s.runtime();
    let Some((i, p1, p2)) = rt.intent(object, &mut b1, &mut b2) else {
        if rt.sound().is_err() {
            return;
        }
        // Not sane: anything may differ. Only a full comparison helps.
        pending(s, b".");
        return;
    };
    let from = usize::from(i.first);
    let to = from ^ 1;
    let ino = |leg: usize| i.inode.get(leg).copied().unwrap_or(0);
    let ok = match i.kind {
        _ if s.is_guarded() => not_led(s),
        IntentKind::Rename => rename(s, from, p1, p2, 0, |_, _| true),
        // Exchanged on the first leg if the name no longer holds the recorded inode there, and not on
        // the second while it still does.
        IntentKind::Exchange => rename(s, from, p1, p2, 2, |f, t| {
            f.is_some_and(|f| f.ino() != ino(from)) && t.is_some_and(|t| t.ino() == ino(to))
        }),
        IntentKind::Link => link(s, from, p1, p2),
        IntentKind::Mend => finish(s, from, p1),
        IntentKind::Write => data(s, from, p1, ino(from), Some((i.offset, i.length))),
        IntentKind::Truncate | IntentKind::Allocate | IntentKind::Attributes => {
            data(s, from, p1, ino(from), None)
        }
        _ => equal(s, from, p1),
    };
    if ok.is_err() {
        for p in [p1, p2] {
            if !p.is_empty() {
                pending(s, p);
            }
        }
        if p1.is_empty() {
            pending(s, b".");
        }
    }
}

/// Data or attributes of an object whose path is a hint: the inode decides.
#[inline(never)]
fn data(s: &Session, from: usize, rel: &[u8], ino: u64, range: Option<(u64, u64)>) -> Sys<()> {
    if rel.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut b = Both::open(s, rel)?;
    // An append is what the first leg has and the second lacks.
    let tail = b.stat(from ^ 1).map(|t| (t.size(), u64::MAX));
    let range = if range.is_some_and(|r| r.0 == AT_END) {
        tail
    } else {
        range
    };
    let r = match b.stat(from) {
        Some(f) if ino == 0 || f.ino() == ino => equal_at(s, &b, from, range),
        _ => Err(Errno::ESTALE),
    };
    b.close();
    r
}

#[inline(never)]
fn rename(
    s: &Session,
    from: usize,
    p1: &[u8],
    p2: &[u8],
    flags: u32,
    pick: impl Fn(Option<Stat>, Option<Stat>) -> bool,
) -> Sys<()> {
    let to = from ^ 1;
    let mut a = Both::open(s, p1)?;
    let r = Both::open(s, p2).and_then(|mut b| {
        let done = if flags != 0 {
            true
        } else {
            a.stat(from).is_none() && b.stat(from).is_some()
        };
        let r = if done && a.stat(to).is_some() && pick(a.stat(from), a.stat(to)) {
            sys::renameat2(a.at(to), &a.name, b.at(to), &b.name, flags).map(|_| ())
        } else {
            Ok(())
        };
        b.close();
        r
    });
    a.close();
    r
}

#[inline(never)]
fn link(s: &Session, from: usize, p1: &[u8], p2: &[u8]) -> Sys<()> {
    let to = from ^ 1;
    let mut b = Both::open(s, p2)?;
    let r = match (b.stat(from), b.stat(to)) {
        (Some(_), None) => Both::open(s, p1).and_then(|mut a| {
            let same = a.stat(from).map(|x| x.ino()) == b.stat(from).map(|x| x.ino());
            let r = if same && a.stat(to).is_some() {
                sys::linkat(a.at(to), &a.name, b.at(to), &b.name, 0).map(|_| ())
            } else {
                Err(Errno::ENOENT)
            };
            a.close();
            r
        }),
        (None, Some(_)) => sys::unlinkat(b.at(to), &b.name, 0).map(|_| ()),
        _ => Ok(()),
    };
    b.close();
    r
}

/// [`pending`], unless that was said a short while ago: what cannot be repaired is met at each touch.
#[cold]
#[inline(never)]
pub fn pending_once(s: &Session, rel: &[u8]) {
    let mut line = [0u8; 4 * PATH_MAX];
    let len = escape(rel, &mut line);
    let line = line.get(..len).unwrap_or(&[]);
    if !s.runtime().word().pending() || !crate::attach::domain::is_pending(s.root[0], line) {
        pending(s, rel);
    }
}

/// Records on both legs that the object at `rel` differs, and says so in the state word.
#[inline(never)]
pub fn pending(s: &Session, rel: &[u8]) {
    for &root in &s.root {
        if let Ok(n) = crate::attach::domain::pending_log(root) {
            let mut line = [0u8; 4 * PATH_MAX];
            let len = escape(rel, &mut line);
            let line = line.get(..len).unwrap_or(&[]);
            let _ = crate::process::limits::own_file(|| sys::write(n, line));
            let _ = sys::fdatasync(n);
            let _ = sys::close(n);
        }
    }
    s.runtime().set_bits(StateWord::PENDING);
}

/// fstab's escapes and a newline.
fn escape(rel: &[u8], out: &mut [u8]) -> usize {
    let mut n = 0usize;
    let mut put = |b: u8| {
        if let Some(o) = out.get_mut(n) {
            *o = b;
            n = n.saturating_add(1);
        }
    };
    for &b in rel {
        match b {
            b' ' | b'\t' | b'\n' | b'\\' => {
                put(b'\\');
                put(b'0'.wrapping_add(b >> 6));
                put(b'0'.wrapping_add(b >> 3 & 7));
                put(b'0'.wrapping_add(b & 7));
            }
            _ => put(b),
        }
    }
    put(b'\n');
    n
}
