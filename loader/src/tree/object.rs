//! One object of a tree: what the copy consists of (type, size, mode, owner, nanosecond mtime of files,
//! symlink text, device number, extended attributes with ACLs), and how two objects differ.
use super::beneath::proc_path;
use super::differs::Differs;
use mirror_core::path::PathText;
use mirror_core::xattrs::is_copied;
use mirror_sys::{Object, Sys};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Attributes by name.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// An object's attributes.
#[derive(Clone)]
pub struct Meta {
    /// Type bits.
    pub kind: FileType,
    /// stat of the object itself, links not followed.
    pub st: Stat,
    /// A symlink's text.
    pub target: Vec<u8>,
    /// Copied extended attributes.
    pub xattrs: Xattrs,
}

impl Meta {
    /// Reads `dir/name`; `None` if it does not exist.
    pub fn read(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Meta>> {
        let st = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(st) => st,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let kind = FileType::from_raw_mode(st.st_mode);
        let target = if kind == FileType::Symlink {
            rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes()
        } else {
            Vec::new()
        };
        let xattrs = read_xattrs(dir, name.to_bytes())?;
        Ok(Some(Meta {
            kind,
            st,
            target,
            xattrs,
        }))
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        self.st.st_mode & 0o7777
    }
    /// Device and inode.
    pub fn id(&self) -> (u64, u64) {
        (self.st.st_dev, self.st.st_ino)
    }
    /// Modification time in nanoseconds.
    pub fn mtime(&self) -> i128 {
        i128::from(self.st.st_mtime) * 1_000_000_000 + i128::from(self.st.st_mtime_nsec)
    }
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }
    /// Whether other names may lead to it.
    pub fn linked(&self) -> bool {
        !self.is_dir() && self.st.st_nlink > 1
    }
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.st.st_size).unwrap_or(0)
    }
}

/// Whether `dir/name` carries attributes that are part of the copy.
pub fn has_xattrs(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    read_xattrs(dir, name).is_ok_and(|x| !x.is_empty())
}

fn read_xattrs(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Xattrs> {
    let mut out = Xattrs::new();
    let path = proc_path(dir, name);
    let mut list = vec![0u8; 1024];
    let n = loop {
        match rustix::fs::llistxattr(path.as_slice(), &mut list[..]) {
            Ok(n) => break n,
            Err(Errno::RANGE) if list.len() < 1 << 20 => list.resize(list.len() * 8, 0),
            // None at all, none readable, or gone again: the caller's comparison finds that out.
            Err(Errno::OPNOTSUPP | Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::NOSYS) => {
                return Ok(out);
            }
            Err(e) => return Err(e.into()),
        }
    };
    for key in list[..n].split(|&b| b == 0).filter(|k| is_copied(k)) {
        let mut value = vec![0u8; 256];
        loop {
            match rustix::fs::lgetxattr(path.as_slice(), key, &mut value[..]) {
                Ok(n) => {
                    value.truncate(n);
                    out.insert(key.to_vec(), value);
                    break;
                }
                Err(Errno::RANGE) if value.len() < 1 << 20 => value.resize(value.len() * 16, 0),
                Err(
                    Errno::NODATA | Errno::NOENT | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM,
                ) => break,
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(out)
}

/// The result of a call of mirror-sys as std has it.
pub fn std<T>(r: Result<T, mirror_sys::Errno>) -> io::Result<T> {
    r.map_err(|e| io::Error::from_raw_os_error(e.0))
}

/// Holds `dir/name`, if it still is what was compared: what is changed is that object, whatever its name
/// leads to by then.
pub fn hold(dir: BorrowedFd<'_>, name: &CStr, seen: &Meta) -> io::Result<Object> {
    let name: PathText<256> =
        PathText::from_bytes(name.to_bytes()).map_err(|_| io::Error::from(Errno::NAMETOOLONG))?;
    let o = std(Object::open(dir.as_raw_fd(), &name))?;
    let st = o.stat();
    if (st.dev(), st.ino()) != seen.id() || FileType::from_raw_mode(st.mode()) != seen.kind {
        return Err(changed());
    }
    Ok(o)
}

/// Somebody replaced the object between the look and the act.
pub fn changed() -> io::Error {
    let kind = io::ErrorKind::StaleNetworkFileHandle;
    io::Error::new(kind, "replaced by something else while it was repaired")
}

/// Makes the copied attributes of an object those of `want`.
pub fn write_xattrs(o: &Object, want: &Xattrs, have: &Xattrs) -> Sys<()> {
    let text = |key: &[u8]| PathText::<264>::from_bytes(key).map_err(|_| mirror_sys::Errno::ERANGE);
    for key in have.keys().filter(|k| !want.contains_key(*k)) {
        match o.remove_xattr(&text(key)?) {
            Err(mirror_sys::Errno::ENODATA | mirror_sys::Errno::EOPNOTSUPP) => {}
            r => drop(r?),
        }
    }
    for (key, value) in want.iter().filter(|(k, v)| have.get(*k) != Some(v)) {
        o.set_xattr(&text(key)?, value)?;
    }
    Ok(())
}

/// What both legs and this process can carry: a difference beyond that is none.
#[derive(Clone, Copy, Debug)]
pub struct Fidelity {
    /// Both legs have extended attributes.
    pub xattrs: bool,
    /// Owners are part of the copy (only root can give files away).
    pub owner: bool,
    /// Both legs have permission bits and owners.
    pub modes: bool,
    /// Both legs have hard links.
    pub links: bool,
    /// Flags (chattr) that both legs have and this process can set.
    pub flags: u32,
    /// The coarser leg's time resolution in nanoseconds.
    pub grain: i128,
}

impl Fidelity {
    /// Everything, for this user.
    pub fn full() -> Fidelity {
        Fidelity {
            xattrs: true,
            owner: rustix::process::geteuid().is_root(),
            modes: true,
            links: true,
            flags: super::flags::ALL,
            grain: 1,
        }
    }
}

/// In what two objects of the same type differ, content apart.
pub fn differences(s: &Meta, d: &Meta, f: Fidelity) -> Differs {
    if s.kind != d.kind {
        return Differs::TYPE;
    }
    let mut out = Differs::empty();
    if s.is_file() && s.size() != d.size() {
        out |= Differs::SIZE;
    }
    if s.target != d.target {
        out |= Differs::TARGET;
    }
    if matches!(s.kind, FileType::BlockDevice | FileType::CharacterDevice)
        && s.st.st_rdev != d.st.st_rdev
    {
        out |= Differs::DEVICE;
    }
    if f.modes && s.kind != FileType::Symlink && s.mode() != d.mode() {
        out |= Differs::MODE;
    }
    if f.owner && f.modes && (s.st.st_uid, s.st.st_gid) != (d.st.st_uid, d.st.st_gid) {
        out |= Differs::OWNER;
    }
    if s.is_file() && s.mtime().div_euclid(f.grain) != d.mtime().div_euclid(f.grain) {
        out |= Differs::MTIME;
    }
    if f.xattrs && s.xattrs != d.xattrs {
        out |= Differs::XATTRS;
    }
    out
}
