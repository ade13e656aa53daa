//! The single acts of a repair on one leg: make an object, put attributes on it, remove it.
use super::held::Lifted;
use crate::tree::beneath::{Root, join, split, temp_name};
use crate::tree::content;
use crate::tree::object::{self, Fidelity, Meta};
use mirror_core::BothLocked;
use mirror_pair::attributes::{self, Carries, Want};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Opens a regular file for reading.
pub fn open_read(root: &Root, rel: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let f = File::from(root.open_at(rel, flags, Mode::empty())?);
    if f.metadata()?.is_file() {
        Ok(f)
    } else {
        // A device would be read without end.
        Err(object::changed())
    }
}

/// Opens the regular file that was seen for rewriting; a read-only mode of the user's own file is lifted
/// (the caller sets the mode afterwards).
pub fn open_write(root: &Root, rel: &[u8], m: &Meta) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = || root.open_at(rel, flags, Mode::empty());
    let fd = match open() {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let (dir, name) = root.parent(rel)?;
            let o = object::hold(dir.as_fd(), &name, m)?;
            object::std(o.set_mode(m.mode() | 0o600))?;
            let r = open();
            if r.is_err() {
                let _ = o.set_mode(m.mode());
            }
            r?
        }
        r => r?,
    };
    let st = rustix::fs::fstat(&fd)?;
    if (st.st_dev, st.st_ino) != m.id() {
        return Err(object::changed());
    }
    Ok(fd.into())
}

/// fcntl(2); not in the libc crate.
const F_SETSIG: i32 = 10;

/// Whether some process has a file open for writing: a read lease is refused then. Ask with the
/// pair's locks held, when no mirrored program can be opening it.
pub fn open_for_writing(root: &Root, rel: &[u8], held: &BothLocked) -> bool {
    written(root, rel, held) == Some(true)
}

/// The same, also where it cannot be told.
pub fn may_be_written(root: &Root, rel: &[u8], held: &BothLocked) -> bool {
    written(root, rel, held) != Some(false)
}

fn written(root: &Root, rel: &[u8], _: &BothLocked) -> Option<bool> {
    use std::os::fd::AsRawFd;
    let f = open_read(root, rel).ok()?;
    let n = f.as_raw_fd();
    // SAFETY: fcntl with integer arguments on our own descriptor. A lease that is broken at once tells
    // by SIGURG, which does nothing (the default, SIGIO, would end the command).
    unsafe {
        libc::fcntl(n, F_SETSIG, libc::SIGURG);
        if libc::fcntl(n, libc::F_SETLEASE, libc::F_RDLCK) == 0 {
            libc::fcntl(n, libc::F_SETLEASE, libc::F_UNLCK);
            return Some(false);
        }
    }
    (io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)).then_some(true)
}

/// Does something in the parent directory of `rel`; where the user's own directory forbids it, its
/// mode is lifted for the moment.
pub fn in_parent<T>(
    root: &Root,
    rel: &[u8],
    _: &BothLocked,
    act: impl Fn(&OwnedFd, &CStr) -> rustix::io::Result<T>,
) -> io::Result<T> {
    let (dir, name) = root.parent(rel)?;
    match act(&dir, &name) {
        Err(Errno::ACCESS) => {
            let parent = root.dir(split(rel).0)?;
            let mode = Mode::from_raw_mode(rustix::fs::fstat(&parent)?.st_mode & 0o7777);
            if rustix::fs::fchmod(&parent, mode | Mode::RWXU).is_err() {
                return Err(Errno::ACCESS.into());
            }
            let r = act(&dir, &name);
            let _ = rustix::fs::fchmod(&parent, mode);
            Ok(r?)
        }
        r => Ok(r?),
    }
}

/// Puts the attributes of `s` on `dir/name`, which has those of `d`.
pub fn put_attributes(
    (dir, name): (BorrowedFd<'_>, &CStr),
    s: &Meta,
    d: &Meta,
    f: Fidelity,
    with_time: bool,
    held: &BothLocked,
) -> io::Result<()> {
    let o = object::hold(dir, name, d)?;
    let want = Want {
        mode: s.mode(),
        owner: (s.st.st_uid, s.st.st_gid),
        mtime: (s.st.st_mtime, s.st.st_mtime_nsec as i64),
    };
    let carries = Carries {
        owner: f.owner,
        modes: f.modes,
        mtime: with_time,
    };
    let xattrs = || match f.xattrs && s.xattrs != d.xattrs {
        true => object::write_xattrs(&o, &s.xattrs, &d.xattrs),
        false => Ok(()),
    };
    object::std(attributes::put(&o, &want, carries, xattrs, held))
}

/// Makes a new object like `s` in `.mirror/tmp` of `root`; returns the folder and the name.
pub fn make_temp(
    from: &Root,
    rel: &[u8],
    s: &Meta,
    root: &Root,
    f: Fidelity,
    tick: &dyn Fn(u64),
    held: &BothLocked,
) -> io::Result<(OwnedFd, std::ffi::CString)> {
    let name = std::ffi::CString::new(temp_name())?;
    let dir = root.open_at(
        b".mirror/tmp",
        OFlags::PATH | OFlags::DIRECTORY,
        Mode::empty(),
    )?;
    let made = fill_temp((from, rel, s), (&dir, &name), f, tick, held);
    if made.is_err() {
        let flag = if s.is_dir() {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        let _ = rustix::fs::unlinkat(&dir, &name, flag);
    }
    made.map(|()| (dir, name))
}

fn fill_temp(
    (from, rel, s): (&Root, &[u8], &Meta),
    (dir, name): (&OwnedFd, &CStr),
    f: Fidelity,
    tick: &dyn Fn(u64),
    held: &BothLocked,
) -> io::Result<()> {
    let private = Mode::RUSR | Mode::WUSR;
    match s.kind {
        FileType::RegularFile => {
            let src = open_read(from, rel)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let dst = File::from(rustix::fs::openat(dir, name, flags, private)?);
            content::copy(&src, &dst, tick)?;
        }
        FileType::Directory => rustix::fs::mkdirat(dir, name, Mode::RWXU)?,
        FileType::Symlink => rustix::fs::symlinkat(s.target.as_slice(), dir, name)?,
        kind => rustix::fs::mknodat(dir, name, kind, private, s.st.st_rdev)?,
    }
    let Some(d) = Meta::read(dir.as_fd(), name)? else {
        return Err(Errno::NOENT.into());
    };
    if s.is_dir() {
        // Its mode may forbid filling it: the walk sets the attributes when it is full.
        return Ok(());
    }
    put_attributes((dir.as_fd(), name), s, &d, f, true, held)
}

/// Moves what [`make_temp`] made to its place.
pub fn place_temp(
    temp: (OwnedFd, std::ffi::CString),
    root: &Root,
    rel: &[u8],
    held: &BothLocked,
) -> io::Result<()> {
    let r = in_parent(root, rel, held, |dir, name| {
        rustix::fs::renameat(&temp.0, &temp.1, dir, name)
    });
    if r.is_err() {
        let _ = rustix::fs::unlinkat(&temp.0, &temp.1, AtFlags::empty());
        let _ = rustix::fs::unlinkat(&temp.0, &temp.1, AtFlags::REMOVEDIR);
    }
    r
}

/// Makes a further name of the object at `first` in `.mirror/tmp`. `None`: `first` is not `want` now.
pub fn link_temp(
    root: &Root,
    first: &[u8],
    want: (u64, u64),
    _: &BothLocked,
) -> io::Result<Option<(OwnedFd, std::ffi::CString)>> {
    let (from, name) = root.parent(first)?;
    let tmp = std::ffi::CString::new(temp_name())?;
    let dir = root.open_at(
        b".mirror/tmp",
        OFlags::PATH | OFlags::DIRECTORY,
        Mode::empty(),
    )?;
    rustix::fs::linkat(&from, &name, &dir, &tmp, AtFlags::empty())?;
    if Meta::read(dir.as_fd(), &tmp)?.map(|m| m.id()) != Some(want) {
        rustix::fs::unlinkat(&dir, &tmp, AtFlags::empty())?;
        return Ok(None);
    }
    Ok(Some((dir, tmp)))
}

/// Removes an object and all below it.
pub fn remove(root: &Root, rel: &[u8], held: &BothLocked) -> io::Result<()> {
    // One path, and of each directory on it the names that are left: trees may be deeper than a stack.
    let mut at = rel.to_vec();
    let mut left: Vec<Vec<Vec<u8>>> = Vec::new();
    loop {
        content::check_stop()?;
        let full = match remove_one(root, &at, false, held) {
            Err(e) if e.raw_os_error() == Some(libc::EISDIR) => Some(root.names(&at)?),
            // Of a directory, or of what nobody may remove.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                Some(root.names(&at).map_err(|_| e)?)
            }
            r => r.map(|()| None)?,
        };
        let entered = full.is_some();
        left.extend(full);
        if !entered {
            if left.is_empty() {
                return Ok(());
            }
            at.truncate(split(&at).0.len());
        }
        // Up, from directories that are empty now.
        loop {
            let Some(names) = left.last_mut() else {
                return Ok(());
            };
            if let Some(name) = names.pop() {
                at = join(&at, &name);
                break;
            }
            remove_one(root, &at, true, held)?;
            left.pop();
            at.truncate(split(&at).0.len());
        }
    }
}

/// Removes a name; what is gone already is fine.
fn remove_one(root: &Root, rel: &[u8], directory: bool, held: &BothLocked) -> io::Result<()> {
    let flags = match directory {
        true => AtFlags::REMOVEDIR,
        false => AtFlags::empty(),
    };
    let remove = || {
        in_parent(root, rel, held, |dir, name| {
            rustix::fs::unlinkat(dir, name, flags)
        })
    };
    let mut done = remove();
    if matches!(&done, Err(e) if e.raw_os_error() == Some(libc::EPERM)) {
        let parent = Lifted::at(root, split(rel).0);
        let own = Lifted::at(root, rel);
        if matches!(&parent, Ok(Some(_))) || matches!(&own, Ok(Some(_))) {
            done = remove();
        }
    }
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        r => r,
    }
}
