//! The proof that something lies in no leg.
//!
//! Rules: [`Outside`] is made here alone, by a look at an object that is held: its device is none of the
//! legs', or the way up from it, directory by directory, has met none of their roots. A text of the kernel's
//! is no proof, and what could not be found out is an error.
use crate::config::{CONFIG, Member, member};
use crate::path::cwd;
use crate::path::denied::twice;
use crate::path::doors::{self, Shows};
use crate::path::known::{self, Known, remember};
use crate::path::listing::entry;
use crate::path::root::{self, End};
use crate::path::roots::Roots;
use crate::process::limits::own_fd;
use crate::process::{fds, place};
use crate::tables;
use libc as c;
use mirror_core::path::{CONTROL, Name, PATH_MAX, Path, Whole, split};
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;
use mirror_sys::Identity;

/// Something lies in no leg, or nothing can come of it in one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Outside(());

impl Outside {
    /// The kernel has no way there: the call fails in the same way, and changes nothing. One call's word is no
    /// proof; `again` asks the same by another one.
    pub fn unreachable(why: Errno, again: impl FnOnce() -> Result<(), Errno>) -> Reached {
        match twice(why, again) {
            Ok(true) => Reached::No(Outside(())),
            Ok(false) => Reached::Perhaps,
            Err(e) => Reached::Unknown(e),
        }
    }
    /// See [`Outside::unreachable`]: of a name in a directory that is held, which statx did not find.
    pub fn no_such_name(why: Errno, dir: i32, leaf: &Name) -> Reached {
        let again = || sys::fstatat(dir, leaf, c::AT_SYMLINK_NOFOLLOW).map(|_| ());
        Outside::unreachable(why, again)
    }
    /// The text is one that no call takes.
    pub fn no_path() -> Outside {
        Outside(())
    }
    /// There is no such descriptor: the call fails.
    pub fn no_descriptor(n: i32, why: Errno) -> Result<Outside, Errno> {
        match why {
            Errno::EBADF if !sys::is_open(n) => Ok(Outside(())),
            Errno::EBADF => Err(Errno::EIO),
            e => Err(e),
        }
    }
    /// A number that is no descriptor of the program's.
    pub fn no_number(n: i32) -> Option<Outside> {
        (!(0..RESERVED).contains(&n)).then_some(Outside(()))
    }
    /// An object that no directory can hold.
    pub fn no_name(st: &sys::Stat) -> Option<Outside> {
        (!has_place(st)).then_some(Outside(()))
    }
    /// A pipe that was made without a name: the kernel's text for it is no path. Also while nothing can be known
    /// of a leg that is not there.
    pub fn by_pipe(st: &sys::Stat, text: &[u8]) -> Option<Outside> {
        (st.kind() == c::S_IFIFO && text.starts_with(b"pipe:[")).then_some(Outside(()))
    }
    /// What this descriptor (or the cwd) is was proved when its hint was stored.
    pub fn by_hint(dir: i32) -> Option<Outside> {
        let out = if dir == c::AT_FDCWD {
            cwd::is_out()
        } else {
            fds::hint(dir) == tables::OUT
        };
        out.then_some(Outside(()))
    }
    /// What is reached by way of a read-only mount: nothing can come of it, the kernel says so.
    pub fn by_read_only(n: i32) -> Option<Outside> {
        (sys::on_read_only(n) == Ok(true)).then_some(Outside(()))
    }
    /// A file that has no name and no partner: the program's alone.
    pub fn nobodys() -> Outside {
        Outside(())
    }
    /// An object on a device that is none of the legs'.
    pub fn by_device(dev: u64) -> Option<Outside> {
        Roots::now().foreign(dev).then_some(Outside(()))
    }
    /// The kernel's text for an object is away from all roots, and each leg is what its own text leads to:
    /// for objects that have no ".." and for directories that may not be left by it.
    pub fn by_texts(n: i32, text: &[u8]) -> Option<Outside> {
        let away = matches!(member(text), Member::Far | Member::Near);
        if !place::plain() || !away || !Roots::now().stand() {
            return None;
        }
        // Of a mount that shows a leg by another way texts say nothing.
        let id = identity(n).ok()?;
        let plain = id.mount == 0 || doors::shows(&id, &mut Path::new()) == Ok(Shows::Nothing);
        plain.then_some(Outside(()))
    }
}

/// Whether the kernel has a way to something.
pub enum Reached {
    /// It says twice that there is none.
    No(Outside),
    /// It has said both.
    Perhaps,
    /// It could not be found out.
    Unknown(Errno),
}

/// Where a directory is.
pub enum Where {
    /// In no leg.
    Out(Outside),
    /// In a leg, or a leg's root.
    In,
}

/// More levels than anybody's tree has.
const LEVELS: usize = 1 << 16;

const STEP: i32 = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;

/// Where an open directory (or the cwd) is. `text`: what the kernel calls it, from the system's root. `out` gets
/// its text, if it is in a leg.
#[inline(never)]
pub fn of_directory(n: i32, text: Option<&[u8]>, out: &mut Whole) -> Result<Where, Errno> {
    let roots = Roots::now();
    let id = identity(n)?;
    if id.kind == c::S_IFDIR && roots.foreign(id.dev) {
        if let Some(text) = text {
            remember(&id, kind(text));
        }
        return Ok(Where::Out(Outside(())));
    }
    if let Some(text) = text
        && place::plain()
        && let Some(proof) = by_dots(n, &id, &roots, text)
    {
        return Ok(Where::Out(proof));
    }
    climb(n, Some(id), &roots, out)
}

fn kind(text: &[u8]) -> Known {
    if matches!(member(text), Member::Far) {
        Known::Far
    } else {
        Known::Near
    }
}

/// The text of the directory above.
fn above(text: &[u8]) -> &[u8] {
    match split(text).0 {
        b"" => b"/",
        t => t,
    }
}

/// Levels that are looked at by texts of dots.
const DOTS: usize = 32;

/// The way up by looks at "..", "../.." and so on: a call for each level. Each is a way of its own, so what ends
/// at a directory of which only its own place is known must not have been moved in between: its text is still
/// the same. `None`: no proof.
#[inline(never)]
fn by_dots(n: i32, id: &Identity, roots: &Roots, text: &[u8]) -> Option<Outside> {
    let mut seen = [const { None::<(Identity, Known)> }; DOTS];
    let mut rest = text;
    let mut at = *id;
    let mut texts = texts_say(&at, roots)?;
    for level in 0..DOTS {
        if at.kind != c::S_IFDIR || roots.unknown || roots.find(at.dev, at.ino).is_some() {
            return None;
        }
        let found = known::known(&at);
        if found == Some(Known::Far) || (found.is_some() && level == 0) {
            break;
        }
        let mut dots = Name::new();
        for _ in 0..=level {
            dots.push(b"..").ok()?;
        }
        let up = sys::identity(n, &dots).ok()?;
        if found.is_some() || (up.same(&at) && up.mount == at.mount) {
            let mut now = Whole::new();
            let told = match n {
                c::AT_FDCWD => sys::getcwd(&mut now),
                n => sys::fd_path(n, &mut now),
            };
            if told.is_err() || now.as_bytes() != text {
                return None;
            }
            *seen.get_mut(level)? = Some((at, if texts { kind(rest) } else { Known::Near }));
            break;
        }
        *seen.get_mut(level)? = Some((at, if texts { kind(rest) } else { Known::Near }));
        if up.mount != at.mount {
            texts = texts_say(&up, roots)?;
        }
        (at, rest) = (up, above(rest));
    }
    for (id, kind) in seen.iter().flatten() {
        remember(id, *kind);
    }
    Some(Outside(()))
}

/// Whether texts say of a directory's mount what lies in a leg. `None`: it is a door, or that is not known.
fn texts_say(id: &Identity, roots: &Roots) -> Option<bool> {
    if roots.foreign(id.dev) {
        return Some(true);
    }
    // Without its number the mount is asked only where the way up leaves it.
    if id.mount == 0 {
        return None;
    }
    match doors::shows(id, &mut Path::new()) {
        Ok(Shows::Nothing) => Some(true),
        Ok(Shows::Above) => Some(false),
        Ok(Shows::Part(..)) | Err(_) => None,
    }
}

/// Whether an open directory lies in no leg.
pub fn surely(n: i32) -> bool {
    matches!(of_directory(n, None, &mut Whole::new()), Ok(Where::Out(_)))
}

/// The same without a look at the device: file systems may be mounted within a leg.
#[inline(never)]
pub fn by_climbing(n: i32, out: &mut Whole) -> Result<Where, Errno> {
    match climb(n, None, &Roots::now(), out) {
        Err(_) if is_the_kernels(n) => Ok(Where::Out(Outside(()))),
        r => r,
    }
}

/// Whether a directory's file system is one of the kernel's own, which can be no leg and hold nothing of one.
#[cold]
fn is_the_kernels(n: i32) -> bool {
    // procfs, sysfs, devpts, both kinds of cgroups.
    const MAGIC: [u64; 5] = [0x9fa0, 0x6265_6572, 0x1cd1, 0x27_e0eb, 0x6367_7270];
    sys::fs_magic(n).is_ok_and(|m| MAGIC.contains(&m))
}

/// What a directory (or the cwd) is.
pub fn identity(n: i32) -> Result<Identity, Errno> {
    if n == c::AT_FDCWD {
        sys::identity(n, &dots(1))
    } else {
        sys::identity_of(n)
    }
}

/// "." or "..".
fn dots(n: usize) -> Name {
    Name::from_bytes(b"..".get(..n).unwrap_or(b".")).unwrap_or_default()
}

/// A directory on a way.
pub struct At {
    n: i32,
    own: bool,
}

impl Drop for At {
    fn drop(&mut self) {
        if self.own {
            let _ = sys::close(self.n);
        }
    }
}

impl At {
    /// Somebody else's descriptor.
    pub fn borrowed(n: i32) -> At {
        At { n, own: false }
    }
    /// One that is closed with this.
    pub fn owned(n: i32) -> At {
        At { n, own: true }
    }
    /// Its descriptor.
    pub fn number(&self) -> i32 {
        self.n
    }
    /// Its descriptor, the caller's from here on; `None`: it is somebody else's.
    pub fn into_number(mut self) -> Option<i32> {
        core::mem::take(&mut self.own).then_some(self.n)
    }
    /// To the directory above.
    pub fn up(&mut self, flags: i32) -> Result<(), Errno> {
        let dir = self.n;
        *self = At::owned(own_fd(|| sys::openat(dir, &dots(2), flags, 0))?);
        Ok(())
    }
}

fn climb(
    n: i32,
    mut first: Option<Identity>,
    roots: &Roots,
    out: &mut Whole,
) -> Result<Where, Errno> {
    let mut at = At::borrowed(n);
    let mut seen: [Option<Identity>; 8] = [None; 8];
    let mut below: Option<Identity> = None;
    let (mut gone, mut near) = (false, false);
    let mut part = Path::new();
    for level in 0..LEVELS {
        let id = match first.take() {
            Some(id) => id,
            None => identity(at.n)?,
        };
        if id.kind != c::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        if let Some(kind) = known::known(&id) {
            return Ok(outside(&seen, if near { Known::Near } else { kind }));
        }
        gone |= level == 0 && id.nlink == 0;
        if let Some((pair, leg)) = roots.find(id.dev, id.ino) {
            let root = CONFIG.get().pairs().get(pair).map(|p| p.legs[leg]);
            let root = root.ok_or(Errno::EIO)?.to_bytes();
            return match names(n, level, root, out) {
                // Nothing can be made or found in a directory that has no name.
                Err(Errno::ENOENT) if gone => Ok(Where::Out(Outside(()))),
                Err(Errno::ENOENT) => Err(Errno::EIO),
                r => r.map(|()| inside(n)),
            };
        }
        if !roots.foreign(id.dev) && leaves_mount(at.n, &id) {
            match doors::shows(&id, &mut part)? {
                Shows::Nothing => {}
                Shows::Above => near = true,
                Shows::Part(pair, leg) => {
                    let mut root = Whole::new();
                    doors::lead(pair, leg, &part, &id, &mut root)?;
                    return names(n, level, root.as_bytes(), out).map(|()| inside(n));
                }
            }
        }
        if roots.unknown && has_control(at.n) {
            roots.record_unknown();
            return Err(Errno::EIO);
        }
        if below.is_some_and(|b| b.same(&id) && b.mount == id.mount) {
            return ended(n, level, &id, roots, &seen, out);
        }
        if let Some(slot) = seen.get_mut(level) {
            *slot = Some(id);
        }
        below = Some(id);
        at.up(STEP)?;
    }
    Err(Errno::EIO)
}

/// What lies in a leg. By way of a read-only mount nothing can come of it: the kernel says so.
fn inside(n: i32) -> Where {
    match sys::on_read_only(n) {
        Ok(true) => Where::Out(Outside(())),
        _ => Where::In,
    }
}

/// Whether a directory's ".." is on another mount, or it is its mount's root.
fn leaves_mount(dir: i32, id: &Identity) -> bool {
    id.top.unwrap_or_else(|| {
        let up = own_fd(|| sys::openat2(dir, &dots(2), STEP, 0, sys::HERE));
        up.map(sys::close) == Err(Errno::EXDEV)
    })
}

/// A leg of which nothing else is known shows itself.
fn has_control(dir: i32) -> bool {
    let name = Name::from_bytes(CONTROL).unwrap_or_default();
    let absent = |r| matches!(r, Err(Errno::ENOENT));
    let keep = c::AT_SYMLINK_NOFOLLOW;
    !absent(sys::glance(dir, &name, keep)) || !absent(sys::fstatat(dir, &name, keep))
}

/// The way up has ended at its own parent: a root.
fn ended(
    n: i32,
    level: usize,
    id: &Identity,
    roots: &Roots,
    seen: &[Option<Identity>],
    out: &mut Whole,
) -> Result<Where, Errno> {
    match root::end(id, roots)? {
        End::Outside => Ok(outside(seen, Known::Near)),
        End::Named => {
            let mut root = Whole::new();
            if !place::ROOT.absolute(b"/", &mut root) {
                return Err(Errno::ENAMETOOLONG);
            }
            match member(root.as_bytes()) {
                Member::In(..) | Member::Root(..) => {}
                Member::Far | Member::Near => return Ok(outside(seen, Known::Near)),
            }
            names(n, level.saturating_sub(1), root.as_bytes(), out).map(|()| Where::In)
        }
    }
}

/// Without a text it is only known that what lies below a far directory is far.
fn outside(seen: &[Option<Identity>], top: Known) -> Where {
    for id in seen.iter().flatten() {
        remember(id, top);
    }
    Where::Out(Outside(()))
}

/// The text of a directory that is `levels` below a root: each name is looked up in the directory above.
#[cold]
#[inline(never)]
fn names(n: i32, levels: usize, root: &[u8], out: &mut Whole) -> Result<(), Errno> {
    let mut text = [0u8; PATH_MAX];
    let mut from = text.len();
    let mut at = At::borrowed(n);
    for _ in 0..levels {
        let child = identity(at.n)?;
        at.up(c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC)?;
        let name = name_of(at.n, &child)?;
        let name = name.as_bytes();
        let start = from.checked_sub(name.len().saturating_add(1));
        let start = start.ok_or(Errno::ENAMETOOLONG)?;
        let room = text.get_mut(start..from).ok_or(Errno::ENAMETOOLONG)?;
        for (to, b) in room.iter_mut().zip(b"/".iter().chain(name)) {
            *to = *b;
        }
        from = start;
    }
    let long = |_| Errno::ENAMETOOLONG;
    out.set(root).map_err(long)?;
    out.append(text.get(from..).unwrap_or(&[])).map_err(long)
}

/// What an object is called in a directory.
pub fn name_of(dir: i32, child: &Identity) -> Result<Name, Errno> {
    // What stands in the listing is not the object's number where something is mounted, or laid over.
    for by_number in [true, false] {
        sys::lseek(dir, 0, c::SEEK_SET)?;
        let mut buf = [0u8; 8192];
        loop {
            let n = sys::getdents(dir, &mut buf)?;
            if n == 0 {
                break;
            }
            let mut at = 0usize;
            while let Some((e, next)) = entry(buf.get(..n).unwrap_or(&[]), at) {
                at = next;
                let maybe = if by_number {
                    e.ino == child.ino
                } else {
                    child.kind == c::S_IFDIR && matches!(e.kind, c::DT_DIR | c::DT_UNKNOWN)
                };
                if !maybe || matches!(e.name, b"." | b"..") {
                    continue;
                }
                let name = Name::from_bytes(e.name).map_err(|_| Errno::ENAMETOOLONG)?;
                if sys::identity(dir, &name).is_ok_and(|id| id.same(child)) {
                    return Ok(name);
                }
            }
        }
    }
    Err(Errno::ENOENT)
}

/// Mounts or roots have changed.
pub fn forget() {
    known::forget();
    doors::forget();
    crate::path::roots::forget();
}

/// Whether an open object of this type can have a name.
pub fn has_place(st: &sys::Stat) -> bool {
    matches!(
        st.kind(),
        c::S_IFREG | c::S_IFDIR | c::S_IFLNK | c::S_IFIFO | c::S_IFCHR | c::S_IFBLK
    )
}
