//! The kernel's protections in sticky directories, where the library takes the last step of a path itself.
use crate::path::loc::{Name, Path};
use core::sync::atomic::{AtomicU8, Ordering};
use libc as c;
use mirror_core::sticky::{self, Directory};
use mirror_sys as sys;

/// A setting of /proc/sys/fs: its value + 1 once it was read.
static SYMLINKS: AtomicU8 = AtomicU8::new(0);
static REGULAR: AtomicU8 = AtomicU8::new(0);
static FIFOS: AtomicU8 = AtomicU8::new(0);

/// The setting. One that cannot be read is off, as in a kernel that does not have it.
fn level(known: &AtomicU8, name: &[u8]) -> u8 {
    if let Some(v) = known.load(Ordering::Relaxed).checked_sub(1) {
        return v;
    }
    let mut path = Path::new();
    let _ = path.set(b"/proc/sys/fs/protected_");
    let _ = path.append(name);
    let mut text = [b'0'];
    let flags = c::O_RDONLY | c::O_CLOEXEC | c::O_NOFOLLOW | c::O_NONBLOCK;
    let open = || sys::openat(c::AT_FDCWD, &path, flags, 0);
    let Ok(n) = crate::process::limits::own_fd(open) else {
        return 0;
    };
    let _ = sys::read(n, &mut text);
    let _ = sys::close(n);
    let v = text[0].wrapping_sub(b'0').min(2);
    known.store(v.wrapping_add(1), Ordering::Relaxed);
    v
}

fn directory(st: &sys::Stat) -> Directory {
    Directory {
        mode: st.mode(),
        uid: st.uid(),
    }
}

/// Whether this process may follow the symlink `at/name`.
pub fn may_follow(at: i32, name: &Name) -> bool {
    if level(&SYMLINKS, b"symlinks") == 0 {
        return true;
    }
    let (dir, link) = (
        sys::fglance(at),
        sys::glance(at, name, c::AT_SYMLINK_NOFOLLOW),
    );
    match (dir, link) {
        (Ok(d), Ok(l)) => sticky::may_follow(directory(&d), l.uid(), sys::euid()),
        // Gone, or not to be seen: what follows finds out.
        _ => true,
    }
}

/// Whether this process may open with O_CREAT what is no regular file, in a directory.
pub fn may_create_over(dir: &sys::Stat, st: &sys::Stat) -> bool {
    let level = match st.kind() {
        c::S_IFREG => level(&REGULAR, b"regular"),
        c::S_IFIFO => level(&FIFOS, b"fifos"),
        _ => 2,
    };
    sticky::may_open_with_creat(directory(dir), st.uid(), sys::euid(), level)
}
