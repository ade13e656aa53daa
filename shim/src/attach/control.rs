//! Opening a file of a leg's control folder. The folder is its owner's, and this may be root's program: what
//! stands there is looked at before it is used.
//!
//! Rules: every file of `.mirror` is opened here; it never blocks, follows nothing, and is a regular file of
//! the pair's own.
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;
use mirror_core::record::{CONTROL, control_file_trusted};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Opens `name` below a leg's root. EIO: something else is in its place.
pub fn open<const N: usize>(root: i32, name: &PathText<N>, flags: i32, mode: u32) -> Sys<i32> {
    let flags = flags | c::O_NONBLOCK | c::O_NOFOLLOW | c::O_NOCTTY | c::O_CLOEXEC;
    let n = match sys::openat2(root, name, flags, mode, sys::BENEATH) {
        Err(Errno::ELOOP | Errno::ENXIO | Errno::EISDIR | Errno::ENODEV) => return Err(Errno::EIO),
        r => r?,
    };
    match trusted(root, n) {
        Ok(true) => Ok(n),
        r => {
            let _ = sys::close(n);
            Err(r.err().unwrap_or(Errno::EIO))
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

/// A short constant path.
pub fn text(s: &[u8]) -> PathText<64> {
    PathText::from_bytes(s).unwrap_or_default()
}
