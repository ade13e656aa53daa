//! A program's file, to be looked at before the exec.
//!
//! Rules: closing any descriptor of a file ends the fcntl locks that the process has on it. Who has some has a
//! descriptor of it as well: that one is read then, and nothing is opened.
use crate::attach::session::SHARED_FILES;
use crate::path::loc::Path;
use crate::process::actor::guest;
use crate::process::limits::own_fd;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::path::PathText;
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// A descriptor for reading.
pub struct Opened {
    /// It.
    pub n: i32,
    own: bool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.own {
            let _ = sys::close(self.n);
        }
    }
}

/// What a path leads to. EBADF: the process has it open for writing only, and the kernel starts no such file.
#[inline(never)]
pub fn open(dir: i32, path: &Path) -> Sys<Opened> {
    let flags = c::O_RDONLY | c::O_CLOEXEC | c::O_NONBLOCK;
    // The locks of who lends its memory are not this process's.
    let locks = !guest() || SHARED_FILES.load(Ordering::Relaxed);
    let held = match sys::fstatat(dir, path, 0) {
        Ok(st) if locks => held(&st),
        _ => Held::No,
    };
    match held {
        Held::Read(n) => Ok(Opened { n, own: false }),
        Held::Written => Err(Errno::EBADF),
        Held::No => sys::openat(dir, path, flags, 0).map(|n| Opened { n, own: true }),
    }
}

/// Whether the process has a file open.
enum Held {
    No,
    /// By a descriptor that may read.
    Read(i32),
    /// By those alone that may not.
    Written,
}

fn held(file: &Stat) -> Held {
    let mut found = Held::No;
    let mut look = |n: i32| {
        let same = sys::fstat(n).is_ok_and(|st| (st.dev(), st.ino()) == (file.dev(), file.ino()));
        // One that only holds the file (O_PATH) has no locks.
        let flags = match same.then(|| sys::fcntl(n, c::F_GETFL, 0)) {
            Some(Ok(f)) if f as i32 & c::O_PATH == 0 => f as i32,
            _ => return false,
        };
        let reads = flags & c::O_ACCMODE != c::O_WRONLY;
        found = if reads { Held::Read(n) } else { Held::Written };
        reads
    };
    if listed(&mut look).is_err() {
        let _ = (0..RESERVED).any(look);
    }
    found
}

/// Gives the process's numbers to `look` until it says yes.
fn listed(look: &mut impl FnMut(i32) -> bool) -> Sys<()> {
    let path: PathText<32> = PathText::from_bytes(b"/proc/self/fd").map_err(|_| Errno::EIO)?;
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
    let dir = own_fd(|| sys::openat(c::AT_FDCWD, &path, flags, 0))?;
    let mut buf = [0u8; 1024];
    let r = loop {
        let len = match sys::getdents(dir, &mut buf) {
            Ok(0) => break Ok(()),
            Ok(len) => len,
            Err(e) => break Err(e),
        };
        if numbers(buf.get(..len).unwrap_or(&[]), look) {
            break Ok(());
        }
    };
    let _ = sys::close(dir);
    r
}

fn numbers(mut rest: &[u8], look: &mut impl FnMut(i32) -> bool) -> bool {
    while let (Some(&[lo, hi]), Some(name)) = (
        rest.get(16..18).and_then(|s| s.first_chunk::<2>()),
        rest.get(19..),
    ) {
        let digits = name.iter().take_while(|b| b.is_ascii_digit());
        let n = digits.fold(0i32, |v, b| {
            v.wrapping_mul(10)
                .wrapping_add(i32::from(b.wrapping_sub(b'0')))
        });
        let number = name.first().is_some_and(u8::is_ascii_digit);
        if number && n < RESERVED && look(n) {
            return true;
        }
        match rest.get(usize::from(u16::from_le_bytes([lo, hi])).max(1)..) {
            Some(r) => rest = r,
            None => break,
        }
    }
    false
}
