//! The program's stack: is a path surely outside? Scans the program's text in place, copies nothing.
//!
//! Rules: a few hundred bytes of stack; no byte is read that the kernel would not read; "surely
//! outside" needs the text (normal, not under a root) and a proof that no symlink is on the way: the
//! open itself with NO_SYMLINKS, or a parent that was proved before.
use crate::config::CONFIG;
use crate::path::proofs::{SYMLINKED, forget_proofs, plain, proved};
use crate::process::actor::maybe_guest;
use crate::process::fds::{hint, set_hint};
use crate::process::place;
use crate::regs::{HEAVY, NATIVE, Regs, answer, arg, fd_arg};
use crate::tables::OUT;
use crate::user::text;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::{CONTROL, Under, under};
use mirror_sys as sys;

/// Whether a plain text from this base is lexically away from every root.
fn away(dir: i32, t: &[u8]) -> bool {
    if !crate::path::root::plain() {
        return false;
    }
    if t.first() == Some(&b'/') {
        return CONFIG.get().pairs().iter().all(|p| {
            [p.virt, p.legs[0], p.legs[1]]
                .iter()
                .all(|r| matches!(under(r.to_bytes(), t), Under::Outside))
        });
    }
    if maybe_guest() {
        return false;
    }
    if dir == c::AT_FDCWD {
        place::cwd_is_out()
    } else {
        hint(dir) == OUT
    }
}

/// Whether ".mirror" stands in the text as the beginning of a component.
pub fn names_control(path: usize) -> bool {
    let Some(t) = text(path) else { return false };
    let mut prev = b'/';
    for (i, &b) in t.iter().enumerate() {
        if b == b'.' && prev == b'/' && t.get(i..).is_some_and(|r| r.starts_with(CONTROL)) {
            return true;
        }
        prev = b;
    }
    false
}

/// Opens for change outside the pairs: the open itself proves the text, at no extra call.
pub fn open(regs: &mut Regs) -> usize {
    let (dir, path, flags, mode) = match regs.nr as i64 {
        c::SYS_openat => (fd_arg(regs, 0), arg(regs, 1), arg(regs, 2), arg(regs, 3)),
        c::SYS_open => (c::AT_FDCWD, arg(regs, 0), arg(regs, 1), arg(regs, 2)),
        _ => (
            c::AT_FDCWD,
            arg(regs, 0),
            (c::O_CREAT | c::O_WRONLY | c::O_TRUNC) as usize,
            arg(regs, 1),
        ),
    };
    let flags = flags & 0xffff_ffff;
    let tmpfile = flags & 0o20200000 == 0o20200000;
    if flags & c::O_PATH as usize != 0
        || (!tmpfile && flags & (c::O_ACCMODE | c::O_CREAT | c::O_TRUNC) as usize == 0)
    {
        return if names_control(path) { HEAVY } else { NATIVE };
    }
    if tmpfile || flags & !(crate::calls::open::change::OPEN_FLAGS as usize) != 0 {
        return HEAVY;
    }
    let Some(t) = text(path) else { return NATIVE };
    if t.is_empty() {
        return NATIVE;
    }
    // Where openat2 is refused, the walk proves what the open itself cannot.
    if !plain(t) || !away(dir, t) || sys::openat2_is_refused() {
        return HEAVY;
    }
    let how = sys::OpenHow {
        flags: flags as u64,
        mode: if flags & c::O_CREAT as usize != 0 {
            (mode & 0o7777) as u64
        } else {
            0
        },
        resolve: sys::NO_SYMLINKS,
    };
    let how: *const sys::OpenHow = &how;
    // SAFETY: the program's path, which the kernel checks, and our own struct of the size given.
    let r = unsafe {
        sys::syscall4(
            c::SYS_openat2,
            dir as isize as usize,
            path,
            how as usize,
            size_of::<sys::OpenHow>(),
        )
    };
    match sys::ret(r) {
        Ok(n) => {
            // What a loop device is told, `ioctls` wants to see.
            if !maybe_guest() && !t.starts_with(b"/dev/loop") {
                set_hint(n as i32, OUT);
            }
            answer(regs, Ok(n as u64))
        }
        Err(Errno::ELOOP | Errno::EAGAIN | Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => HEAVY,
        Err(e) => answer(regs, Err(e)),
    }
}

/// A call that changes one name and never follows its last component.
pub fn one_path(dir: i32, path: usize) -> usize {
    if outside(dir, path) { NATIVE } else { HEAVY }
}

/// A call that changes two names.
pub fn two_paths(a: (i32, usize), b: (i32, usize)) -> usize {
    let native = outside(a.0, a.1) && outside(b.0, b.1);
    if native && SYMLINKED.load(Ordering::Relaxed) {
        forget_proofs();
    }
    if native { NATIVE } else { HEAVY }
}

fn outside(dir: i32, path: usize) -> bool {
    let Some(t) = text(path) else { return true };
    if t.is_empty() || !plain(t) || !away(dir, t) {
        return t.is_empty();
    }
    match t.iter().rposition(|&b| b == b'/') {
        None => true,
        Some(0) => true,
        Some(i) => t.first() == Some(&b'/') && proved(t.get(..i).unwrap_or(&[])),
    }
}
