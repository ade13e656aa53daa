//! Opening what lies below a root: no symlink, no way out.
use crate::path::loc::{Name, Path};
use crate::process::limits::spare;
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Holds the object of a name, whatever it is. TX is held (or this is a guest).
pub fn hold(dir: i32, name: &Name) -> Sys<sys::Object> {
    sys::Object::take(spare(|| sys::open_object(dir, name))?)
}

/// openat2 below a root: no symlink, no way out.
pub fn open_below(root: i32, rel: &Path, flags: i32) -> Sys<i32> {
    open_by(root, rel, flags, sys::BENEATH)
}

pub fn open_by(root: i32, rel: &Path, flags: i32, resolve: u64) -> Sys<i32> {
    loop {
        match spare(|| sys::openat2(root, rel, flags | c::O_CLOEXEC, 0, resolve)) {
            // A rename elsewhere made the kernel unsure about "..": there is none, so ask again.
            Err(Errno::EAGAIN) => {}
            r => return r,
        }
    }
}
