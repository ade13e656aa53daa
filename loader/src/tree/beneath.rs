//! A tree seen only through its held root: every path is resolved by the kernel with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, so that nothing leads out of it.
use super::mounts;
use crate::fail::{Context, Fail, Res};
use mirror_core::path::{PATH_MAX, PathText};
use mirror_core::record::{CONTROL, control_file_trusted};
use mirror_pair::control;
use mirror_sys::BENEATH;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A held root directory.
pub struct Root {
    fd: OwnedFd,
    /// The path under which it was opened.
    pub path: PathBuf,
    /// Device of the root directory.
    pub dev: u64,
    /// Inode of the root directory.
    pub ino: u64,
    /// `lost+found` is no part of the tree.
    no_lost_found: AtomicBool,
    /// Mount points of this leg or of the other one that are no part of the tree.
    mounts: Mutex<Vec<Vec<u8>>>,
}

/// Longest path below a root that is followed: somebody else's tree must not keep a walk for ever.
pub const DEEPEST: usize = 64 << 10;

/// Longest file of a control folder that is read.
pub const LONGEST: u64 = 64 << 20;

/// Splits a relative path into its parent and its last name.
pub fn split(rel: &[u8]) -> (&[u8], &[u8]) {
    match rel.iter().rposition(|&c| c == b'/') {
        Some(i) => (&rel[..i], &rel[i + 1..]),
        None => (b"", rel),
    }
}

/// A name below a relative directory.
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut v = Vec::with_capacity(dir.len() + name.len() + 1);
    v.extend_from_slice(dir);
    if !dir.is_empty() {
        v.push(b'/');
    }
    v.extend_from_slice(name);
    v
}

/// Whether the effective user may. Where a filter refuses faccessat2, the real user is asked for.
pub fn may(path: &Path, access: rustix::fs::Access) -> rustix::io::Result<()> {
    match rustix::fs::accessat(rustix::fs::CWD, path, access, AtFlags::EACCESS) {
        Err(Errno::PERM | Errno::NOSYS) => rustix::fs::access(path, access),
        r => r,
    }
}

impl Root {
    /// Opens the directory at `path`.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let st = rustix::fs::fstat(&fd)?;
        let own = own_lost_found(&fd, st.st_ino);
        Ok(Root {
            no_lost_found: AtomicBool::new(own),
            mounts: Mutex::default(),
            fd,
            path: path.to_path_buf(),
            dev: st.st_dev,
            ino: st.st_ino,
        })
    }

    /// The same root, held a second time.
    pub fn again(&self) -> Res<Root> {
        Ok(Root {
            fd: self.fd.try_clone().about(crate::text::path(&self.path))?,
            path: self.path.clone(),
            dev: self.dev,
            ino: self.ino,
            no_lost_found: AtomicBool::new(self.leaves_lost_found()),
            mounts: Mutex::new(self.left_mounts()),
        })
    }

    /// Whether `lost+found` is left out: it is the file system's own, here or on the other leg.
    pub fn leaves_lost_found(&self) -> bool {
        self.no_lost_found.load(Ordering::Relaxed)
    }

    /// Mount points that one leg alone has: they are left out on both.
    pub fn left_mounts(&self) -> Vec<Vec<u8>> {
        let held = self.mounts.lock();
        held.unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// What is the file system's own on one leg, or another file system, is left out on both.
    pub fn agree(&self, other: &Root) {
        let either = self.leaves_lost_found() || other.leaves_lost_found();
        self.no_lost_found.store(either, Ordering::Relaxed);
        other.no_lost_found.store(either, Ordering::Relaxed);
        let mounts = mounts::of_one_leg([self.path.as_path(), other.path.as_path()].into());
        for root in [self, other] {
            if let Ok(mut m) = root.mounts.lock() {
                m.clone_from(&mounts);
            }
        }
    }

    /// The root's descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether the root's path still leads to the held directory: an unmounted or replaced leg does not.
    pub fn in_place(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|st| st.st_dev == self.dev && st.st_ino == self.ino)
    }

    /// Opens `rel` ("" is the root itself).
    pub fn open_at(&self, rel: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        if rel.len() > DEEPEST {
            return Err(Errno::NAMETOOLONG.into());
        }
        let mut rest = if rel.is_empty() { b"." } else { rel };
        let mut above: Option<OwnedFd> = None;
        // What no text can say is reached in pieces, each beneath the one before.
        while rest.len() >= PATH_MAX {
            let end = rest[..PATH_MAX - 1].iter().rposition(|&c| c == b'/');
            let end = end.ok_or(Errno::NAMETOOLONG)?;
            let at = above.as_ref().map_or(self.fd.as_fd(), |d| d.as_fd());
            let way = OFlags::PATH | OFlags::DIRECTORY;
            above = Some(open_beneath(at, &rest[..end], way, Mode::empty())?);
            rest = &rest[end + 1..];
        }
        let at = above.as_ref().map_or(self.fd.as_fd(), |d| d.as_fd());
        open_beneath(at, rest, flags, mode)
    }

    /// Opens a directory for listing.
    pub fn dir(&self, rel: &[u8]) -> io::Result<OwnedFd> {
        self.open_at(rel, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// The parent directory of `rel` and the last name.
    pub fn parent(&self, rel: &[u8]) -> io::Result<(OwnedFd, CString)> {
        let (dir, name) = split(rel);
        let name = CString::new(name).map_err(|_| io::Error::from(Errno::INVAL))?;
        Ok((
            self.open_at(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?,
            name,
        ))
    }

    /// Opens a file of the control folder, without blocking and through no symlink. The folder is its
    /// owner's and this may be root: what stands there must be a regular file of the pair's own.
    pub fn control(&self, rel: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let name = control::Name::from_bytes(rel).map_err(|_| Errno::NAMETOOLONG)?;
        let (flags, mode) = (flags.bits() as i32, mode.bits());
        match control::own(self.fd.as_raw_fd(), &name, flags, mode) {
            // SAFETY: a descriptor that was opened just now and belongs to nobody else.
            Ok(Some(n)) => Ok(unsafe { OwnedFd::from_raw_fd(n) }),
            Ok(None) => Err(io::Error::other(
                "not a regular file of the pair's own. Move it away",
            )),
            Err(e) => Err(io::Error::from_raw_os_error(e.0)),
        }
    }

    /// Whether an object of the control folder can be one of the pair's own files.
    pub fn trusts(&self, st: &rustix::fs::Stat) -> io::Result<bool> {
        let dir = self.open_at(CONTROL, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let dir = rustix::fs::fstat(&dir)?;
        let (owner, control) = ((st.st_uid, st.st_gid), (dir.st_uid, dir.st_gid));
        Ok(control_file_trusted(
            st.st_mode,
            owner,
            st.st_nlink,
            control,
        ))
    }

    /// The whole of a small file of the control folder. An error if it is longer than [`LONGEST`]: half of it is
    /// not what it says.
    pub fn read(&self, rel: &[u8]) -> io::Result<Vec<u8>> {
        let fd = self.control(rel, OFlags::RDONLY, Mode::empty())?;
        let mut out = Vec::new();
        File::from(fd).take(LONGEST + 1).read_to_end(&mut out)?;
        if out.len() as u64 > LONGEST {
            return Err(Errno::FBIG.into());
        }
        Ok(out)
    }

    /// Replaces a small file of the control folder durably: temporary file, fsync, rename, fsync.
    pub fn replace(&self, rel: &[u8], data: &[u8]) -> io::Result<()> {
        let (dir, name) = split(rel);
        let dir = self.dir(dir)?;
        let tmp = temp_name();
        let fd = rustix::fs::openat(
            &dir,
            &tmp,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        like_folder(&dir, &fd);
        let mut f = File::from(fd);
        let done = f
            .write_all(data)
            .and_then(|()| f.sync_all())
            .and_then(|()| rustix::fs::renameat(&dir, &tmp, &dir, name).map_err(io::Error::from))
            .and_then(|()| rustix::fs::fsync(&dir).map_err(io::Error::from));
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&dir, &tmp, AtFlags::empty());
        }
        done
    }

    /// Makes an empty file of the control folder; existence is fine. Not synced: see [`Root::sync_dir`].
    pub fn touch(&self, rel: &[u8]) -> io::Result<()> {
        self.to_append(rel).map(drop)
    }

    /// Syncs the names in a directory.
    pub fn sync_dir(&self, rel: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.dir(rel)?)?)
    }

    /// Appends to a file of the control folder and syncs it.
    pub fn append(&self, rel: &[u8], data: &[u8]) -> io::Result<()> {
        let mut f = File::from(self.to_append(rel)?);
        f.write_all(data)?;
        f.sync_data()
    }

    fn to_append(&self, rel: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::APPEND;
        let open = |more: OFlags, mode: Mode| self.control(rel, flags | more, mode);
        match open(OFlags::empty(), Mode::empty()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let fd = open(OFlags::CREATE, Mode::RUSR | Mode::WUSR)?;
                like_folder(&self.dir(split(rel).0)?, &fd);
                Ok(fd)
            }
            r => r,
        }
    }

    /// Removes a file; absence is fine.
    pub fn remove(&self, rel: &[u8]) -> io::Result<()> {
        let (dir, name) = match self.parent(rel) {
            Ok(p) => p,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        match rustix::fs::unlinkat(&dir, &name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a directory; existence is fine.
    pub fn mkdir(&self, rel: &[u8], mode: Mode) -> io::Result<()> {
        let (dir, name) = self.parent(rel)?;
        match rustix::fs::mkdirat(&dir, &name, mode) {
            Ok(()) => {
                // The control folder itself belongs to who made the pair.
                if !split(rel).0.is_empty() {
                    give_away(&dir, self.dir(rel)?);
                }
                Ok(())
            }
            Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Sync of the whole file system under the root.
    pub fn sync(&self) -> Res<()> {
        rustix::fs::syncfs(&self.fd).about(crate::text::path(&self.path))
    }

    /// The names in a directory, sorted; the control folder, a file system's own lost+found at the root,
    /// and mount points of one leg are left out.
    pub fn names(&self, rel: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let fd = self.dir(rel)?;
        let mounts = self.left_mounts();
        let mut out = Vec::new();
        for e in rustix::fs::Dir::read_from(&fd)? {
            let e = e?;
            let n = e.file_name().to_bytes();
            if n == b"."
                || n == b".."
                || (rel.is_empty() && self.outside(n))
                || (!mounts.is_empty() && mounts.contains(&join(rel, n)))
            {
                continue;
            }
            out.push(n.to_vec());
        }
        out.sort_unstable();
        Ok(out)
    }
}

/// Opens what `rel` is below `at`, one piece of a path.
fn open_beneath(at: BorrowedFd<'_>, rel: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let rel = PathText::<PATH_MAX>::from_bytes(rel).map_err(|_| Errno::NAMETOOLONG)?;
    let flags = (flags | OFlags::CLOEXEC).bits() as i32;
    for _ in 0..64 {
        match mirror_sys::openat2(at.as_raw_fd(), &rel, flags, mode.bits(), BENEATH) {
            // A rename elsewhere made the walk uncertain: ask again.
            Err(mirror_sys::Errno::EAGAIN | mirror_sys::Errno::EINTR) => {}
            // SAFETY: a descriptor that was opened just now and belongs to nobody else.
            Ok(n) => return Ok(unsafe { OwnedFd::from_raw_fd(n) }),
            Err(e) => return Err(io::Error::from_raw_os_error(e.0)),
        }
    }
    Err(Errno::AGAIN.into())
}

impl Root {
    fn outside(&self, name: &[u8]) -> bool {
        name == b".mirror" || (name == LOST_FOUND && self.leaves_lost_found())
    }
}

const LOST_FOUND: &[u8] = b"lost+found";

/// Whether the root of an ext file system has the `lost+found` that mkfs made: root's, for nobody else.
fn own_lost_found(root: &OwnedFd, ino: u64) -> bool {
    const EXT_MAGIC: i64 = 0xef53;
    const EXT_ROOT: u64 = 2;
    ino == EXT_ROOT
        && rustix::fs::fstatfs(root).is_ok_and(|s| s.f_type == EXT_MAGIC)
        && rustix::fs::statat(root, LOST_FOUND, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|st| {
            rustix::fs::FileType::from_raw_mode(st.st_mode) == rustix::fs::FileType::Directory
                && st.st_uid == 0
                && st.st_mode & 0o7777 == 0o700
        })
}

/// What root makes in another user's folder belongs to that user, as the folder does: the pair's own
/// user must be able to read and remove it. Failure is no harm to root's work.
pub fn give_away(folder: impl AsFd, made: impl AsFd) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if let Ok(st) = rustix::fs::fstat(folder)
        && st.st_uid != 0
    {
        let (u, g) = (Uid::from_raw(st.st_uid), Gid::from_raw(st.st_gid));
        let _ = rustix::fs::fchown(made, Some(u), Some(g));
    }
}

/// A new file of the control folder is as its folder wants it.
pub fn like_folder(dir: &OwnedFd, new: &OwnedFd) {
    if let Ok(dir) = mirror_sys::fstat(dir.as_raw_fd()) {
        control::like_folder(&dir, new.as_raw_fd());
    }
}

/// A name that nobody else uses for a temporary object.
pub fn temp_name() -> String {
    static N: AtomicU64 = AtomicU64::new(0);
    format!(
        "t{}-{}",
        std::process::id(),
        N.fetch_add(1, Ordering::Relaxed)
    )
}

/// Path of a descriptor for the calls that take no descriptor (xattrs of `dir/name`, last component
/// not followed).
pub fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    join(
        format!("/proc/self/fd/{}", dir.as_raw_fd()).as_bytes(),
        name,
    )
}

/// A leg's root, or the failure that names it.
pub fn open_leg(path: &Path) -> Res<Root> {
    Root::open(path).map_err(|e| Fail::io(crate::text::path(path), e))
}
