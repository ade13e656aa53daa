//! What the kernel answers before it says EROFS, or EACCES: the pair may not be changed at all (the other leg is
//! read-only, the pair is another user's), and the kernel has not been asked on the addressed leg.
//!
//! Rules: names are only looked at, in the order in which the kernel does.
use crate::calls::sockets::socket_path;
use crate::regs::{Regs, arg};
use crate::user;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::{Call, Family, Operand};
use mirror_core::path::{Path, split};
use mirror_sys as sys;

/// Whether it is such a refusal.
pub fn refuses(why: Errno) -> bool {
    matches!(why, Errno::EROFS | Errno::EACCES)
}

/// What the call is answered in place of this refusal, or the refusal.
#[cold]
#[inline(never)]
pub fn instead(regs: &Regs, why: Errno) -> Errno {
    let Some(row) = regs.row() else {
        return why;
    };
    // A mount is asked before a name that goes away is looked up, rights are asked after it.
    let first = why == Errno::EROFS;
    let found = match row.family {
        Family::Entry => entry(regs, first),
        Family::TwoNames => two_names(regs, first),
        Family::Attribute => attribute(regs),
        _ => Ok(()),
    };
    found.err().unwrap_or(why)
}

/// A name that something is to be made at: what is there comes first, and so does a missing parent.
fn makes(dir: i32, text: &Path) -> Result<(), Errno> {
    match sys::fstatat(dir, text, c::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EEXIST),
        Err(Errno::ENOENT) => parent(dir, text),
        Err(e) => Err(e),
    }
}

/// The directory that holds a name must be there, and let itself be searched.
fn parent(dir: i32, text: &Path) -> Result<(), Errno> {
    let (up, _, _) = split(text.as_bytes());
    let up = Path::from_bytes(if up.is_empty() { b"." } else { up });
    let mut up = up.map_err(|_| Errno::ENAMETOOLONG)?;
    // Where that is too long the directory alone is asked.
    let _ = up.append(b"/.");
    match sys::fstatat(dir, &up, 0)?.kind() {
        c::S_IFDIR => Ok(()),
        _ => Err(Errno::ENOTDIR),
    }
}

/// A name that goes away.
fn goes(dir: i32, text: &Path, first: bool) -> Result<(), Errno> {
    match first {
        true => parent(dir, text),
        false => sys::fstatat(dir, text, c::AT_SYMLINK_NOFOLLOW).map(|_| ()),
    }
}

fn entry(regs: &Regs, first: bool) -> Result<(), Errno> {
    let a = |i| arg(regs, i);
    let cwd = c::AT_FDCWD;
    let (dir, at, removes) = match regs.call() {
        Some(Call::Mkdir | Call::Mknod) => (cwd, a(0), false),
        Some(Call::Mkdirat | Call::Mknodat) => (a(0) as i32, a(1), false),
        Some(Call::Symlink) => (cwd, a(1), false),
        Some(Call::Symlinkat) => (a(1) as i32, a(2), false),
        Some(Call::Unlink | Call::Rmdir) => (cwd, a(0), true),
        Some(Call::Unlinkat) => (a(0) as i32, a(1), true),
        Some(Call::Bind) => {
            let mut text = Path::new();
            if !socket_path(a(1), a(2), &mut text) {
                return Ok(());
            }
            return makes(cwd, &text).map_err(|e| match e {
                Errno::EEXIST => Errno(c::EADDRINUSE),
                e => e,
            });
        }
        _ => return Ok(()),
    };
    let text = path(at)?;
    if removes {
        goes(dir, &text, first)
    } else {
        makes(dir, &text)
    }
}

fn two_names(regs: &Regs, first: bool) -> Result<(), Errno> {
    let a = |i| arg(regs, i);
    let cwd = c::AT_FDCWD;
    let (from, to, flags) = match regs.call() {
        Some(Call::Rename | Call::Link) => ((cwd, a(0)), (cwd, a(1)), 0),
        _ => ((a(0) as i32, a(1)), (a(2) as i32, a(3)), a(4) as i32),
    };
    let (old, new) = (path(from.1)?, path(to.1)?);
    if matches!(regs.call(), Some(Call::Link | Call::Linkat)) {
        let keep = match flags & c::AT_SYMLINK_FOLLOW {
            0 => c::AT_SYMLINK_NOFOLLOW,
            _ => 0,
        };
        sys::fstatat(from.0, &old, keep | flags & c::AT_EMPTY_PATH)?;
        return makes(to.0, &new);
    }
    // Both parents come before both names.
    parent(from.0, &old)?;
    parent(to.0, &new)?;
    goes(from.0, &old, first)
}

fn attribute(regs: &Regs) -> Result<(), Errno> {
    let a = |i| arg(regs, i);
    let (dir, at) = match regs.row().map(|r| r.operands()) {
        Some([Operand::Path, ..]) => (c::AT_FDCWD, a(0)),
        Some([Operand::Dir, Operand::Path, ..]) => (a(0) as i32, a(1)),
        _ => return Ok(()),
    };
    if at == 0 {
        return Ok(());
    }
    let flags = match regs.call() {
        Some(Call::Lchown | Call::Lsetxattr | Call::Lremovexattr) => c::AT_SYMLINK_NOFOLLOW,
        Some(Call::Setxattrat | Call::Removexattrat) => a(2) as i32,
        Some(Call::Fchmodat2 | Call::Utimensat) => a(3) as i32,
        Some(Call::Fchownat | Call::FileSetattr) => a(4) as i32,
        _ => 0,
    };
    let text = path(at)?;
    let flags = flags & (c::AT_SYMLINK_NOFOLLOW | c::AT_EMPTY_PATH);
    let kind = sys::fstatat(dir, &text, flags)?.kind();
    match (regs.call(), kind) {
        (Some(Call::Truncate), c::S_IFDIR) => Err(Errno::EISDIR),
        (Some(Call::Truncate), kind) if kind != c::S_IFREG => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

fn path(at: usize) -> Result<Path, Errno> {
    let mut text = Path::new();
    user::path(at, &mut text).map_or(Err(Errno::EFAULT), |_| Ok(text))
}

/// The same of an open. `None`: the file is there, and what only reads it may have it.
#[cold]
#[inline(never)]
pub fn of_open(dir: i32, text: &Path, flags: i32, why: Errno) -> Option<Errno> {
    let exclusive = flags & (c::O_CREAT | c::O_EXCL) == c::O_CREAT | c::O_EXCL;
    let keep = match exclusive || flags & c::O_NOFOLLOW != 0 {
        true => c::AT_SYMLINK_NOFOLLOW,
        false => 0,
    };
    let st = match sys::fstatat(dir, text, keep) {
        Ok(_) if exclusive => return Some(Errno::EEXIST),
        Ok(st) => st,
        Err(Errno::ENOENT) if flags & c::O_CREAT != 0 => {
            return Some(parent(dir, text).err().unwrap_or(why));
        }
        Err(e) => return Some(e),
    };
    match st.kind() {
        c::S_IFDIR => Some(Errno::EISDIR),
        c::S_IFLNK => Some(Errno::ELOOP),
        _ if flags & (c::O_ACCMODE | c::O_TRUNC) == c::O_RDONLY => None,
        _ => Some(why),
    }
}
