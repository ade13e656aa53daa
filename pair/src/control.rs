//! Opening a file of a leg's control folder. The folder is its owner's, and this may be root's program: what
//! stands there is looked at before it is used.
//!
//! Rules: it never blocks, follows nothing, and what is opened is a regular file of the pair's own.
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;
use mirror_core::record::{CONTROL, control_file_trusted};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// A path in the control folder.
pub type Name = PathText<64>;

/// Opens `name` below a leg's root. EIO: something else is in its place.
pub fn open(root: i32, name: &Name, flags: i32, mode: u32) -> Sys<i32> {
    own(root, name, flags, mode)?.ok_or(Errno::EIO)
}

/// The same; `None`: something else is in its place.
pub fn own(root: i32, name: &Name, flags: i32, mode: u32) -> Sys<Option<i32>> {
    let flags = flags | c::O_NONBLOCK | c::O_NOFOLLOW | c::O_NOCTTY | c::O_CLOEXEC;
    let n = match sys::openat2(root, name, flags, mode, sys::BENEATH) {
        Err(Errno::ELOOP | Errno::ENXIO | Errno::EISDIR | Errno::ENODEV) => return Ok(None),
        r => r?,
    };
    match trusted(root, n) {
        Ok(true) => Ok(Some(n)),
        r => {
            let _ = sys::close(n);
            r.map(|_| None)
        }
    }
}

fn trusted(root: i32, n: i32) -> Sys<bool> {
    let (st, dir) = (
        sys::fglance(n)?,
        sys::glance(root, &text(CONTROL), c::AT_SYMLINK_NOFOLLOW)?,
    );
    let control = (dir.uid(), dir.gid());
    Ok(control_file_trusted(
        st.mode(),
        (st.uid(), st.gid()),
        st.nlink(),
        control,
    ))
}

/// Opens a file of the control folder that all users of the pair need, or makes it: with the rights of its
/// folder, whatever this process's umask is.
pub fn common(root: i32, name: &[u8], flags: i32) -> Sys<i32> {
    let name = text(name);
    match open(root, &name, flags, 0) {
        Err(Errno::ENOENT) => {}
        r => return r,
    }
    let n = open(root, &name, flags | c::O_CREAT, 0o600)?;
    if let Ok(dir) = sys::fstatat(root, &text(CONTROL), c::AT_SYMLINK_NOFOLLOW) {
        like_folder(&dir, n);
        if is_everybodys(&dir) {
            let _ = sys::fchmod(n, 0o666);
        }
    }
    Ok(n)
}

/// Whether a control folder is that of a pair which everybody may use: the sticky bit says so, which does nothing
/// there, since nobody but its user may write it. Who uses the pair writes to files that are there.
fn is_everybodys(dir: &Stat) -> bool {
    const ALL: u32 = 0o1005;
    dir.mode() & ALL == ALL
}

/// A new file of the control folder has the rights of the folder it is in, whatever this process's umask is,
/// and root leaves it to the pair's user. Who may not need not; where a file system has no such rights there
/// are none to keep.
pub fn like_folder(dir: &Stat, n: i32) {
    let Ok(st) = sys::fstat(n) else { return };
    if (st.uid(), st.gid()) != (dir.uid(), dir.gid()) {
        let _ = sys::fchown(n, dir.uid(), dir.gid());
    }
    let mode = match is_everybodys(dir) {
        // Where anybody may write, it says so itself.
        true => 0o644,
        false => dir.mode() & 0o660,
    };
    if st.mode() & 0o7777 != mode {
        let _ = sys::fchmod(n, mode);
    }
}

/// A short constant path.
pub fn text(s: &[u8]) -> Name {
    Name::from_bytes(s).unwrap_or_default()
}
