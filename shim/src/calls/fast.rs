//! The program's stack: is a path surely outside? Scans the program's text in place, copies nothing.
//!
//! Rules: a few hundred bytes of stack; no byte is read that the kernel would not read; "surely
//! outside" needs the text (normal, not under a root) and a proof that no symlink on the way leads in: the
//! open itself with NO_SYMLINKS, a parent that was proved a moment ago, or one look at the parent, which is
//! known to be outside whatever leads to it.
use crate::calls::args::names_control;
use crate::calls::fast_fd;
use crate::path::beside;
use crate::path::proofs::{self, SYMLINKED, plain};
use crate::path::seen::{self, away, seen};
use crate::path::{doors, roots};
use crate::process::actor::maybe_guest;
use crate::process::fds::set_hint;
use crate::regs::{FINISH, HEAVY, NATIVE, Regs, answer, arg, fd_arg};
use crate::tables::OUT;
use crate::user::text;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_sys as sys;

/// Opens for change outside the pairs: the open itself proves the text, at no extra call.
// long: one question after the other, on the program's stack
pub fn open(regs: &mut Regs) -> usize {
    let (dir, path, flags, mode) = match regs.call() {
        Some(Call::Openat) => (fd_arg(regs, 0), arg(regs, 1), arg(regs, 2), arg(regs, 3)),
        Some(Call::Open) => (c::AT_FDCWD, arg(regs, 0), arg(regs, 1), arg(regs, 2)),
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
    if tmpfile || flags & !(crate::calls::open::flags::OPEN_FLAGS as usize) != 0 {
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
    // The text may lead over a mount point, or to a leg that was moved.
    let parent = t.iter().rposition(|&b| b == b'/');
    let parent = parent.and_then(|i| Some((t.get(..i)?, t.get(i.wrapping_add(1)..)?)));
    let known = |(parent, name): (&[u8], &[u8])| {
        parent.is_empty() || proofs::proved(dir, parent) || seen::opens(dir, parent, name)
    };
    if !parent.is_none_or(known) {
        return HEAVY;
    }
    if beside::may_be_at(dir, path) {
        return HEAVY;
    }
    let makes = flags & c::O_CREAT as usize != 0;
    let parent = parent.and_then(|(parent, _)| proofs::begin(dir, parent));
    let mut how = sys::OpenHow {
        flags: flags as u64,
        mode: if makes { (mode & 0o7777) as u64 } else { 0 },
        resolve: sys::NO_SYMLINKS,
    };
    // A file of a leg may be mounted at the name.
    if !doors::none() {
        how.resolve |= sys::HERE;
    }
    let mut r = raw_open(dir, path, &how);
    if sys::ret(r) == Err(Errno::EXDEV) && how.resolve & sys::HERE != 0 {
        if mounted(dir, path) {
            return HEAVY;
        }
        how.resolve = sys::NO_SYMLINKS;
        r = raw_open(dir, path, &how);
    }
    match sys::ret(r) {
        Ok(n) => {
            // What a loop device is told, `ioctls` wants to see.
            if !maybe_guest() && !t.starts_with(b"/dev/loop") {
                set_hint(n as i32, OUT);
            }
            if let Some(parent) = parent {
                proofs::remember(&parent);
            }
            answer(regs, Ok(n as u64))
        }
        Err(Errno::ELOOP | Errno::EAGAIN | Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => HEAVY,
        Err(e) => answer(regs, Err(e)),
    }
}

/// The upper half of the number of an open that is to be made by [`proven`]; in [`super::steady`] a directory's
/// number stands there, and this is none.
const PROVEN: usize = 1 << 31;

/// The kernel shall have an open after a look at it: it is made on the program's stack and mask, so that what is
/// open is remembered as outside.
pub fn again(regs: &mut Regs) -> usize {
    regs.nr = regs.nr as u32 as usize | PROVEN << 32;
    FINISH
}

/// Whether [`proven`] is for this call.
pub fn is_proven(regs: &Regs) -> bool {
    regs.nr >> 32 == PROVEN && matches!(regs.call(), Some(Call::Open | Call::Openat | Call::Creat))
}

/// See [`again`]. What cannot be proved quickly, the slow way has proved.
pub fn proven(regs: &mut Regs) -> usize {
    regs.nr = regs.nr as u32 as usize;
    match open(regs) {
        HEAVY => NATIVE,
        r => r,
    }
}

fn raw_open(dir: i32, path: usize, how: &sys::OpenHow) -> isize {
    let how: *const sys::OpenHow = how;
    // SAFETY: the program's path, which the kernel checks, and our own struct of the size given.
    unsafe {
        sys::frequent4(
            c::SYS_openat2,
            dir as isize as usize,
            path,
            how as usize,
            size_of::<sys::OpenHow>(),
        )
    }
}

/// Whether something of a leg may be mounted at a name.
#[inline(never)]
fn mounted(dir: i32, path: usize) -> bool {
    if doors::none() {
        return false;
    }
    !doors::count_look()
        || match sys::identity_at_address(dir, path) {
            Ok(id) => id.top != Some(false) && !roots::is_foreign(id.dev),
            Err(e) => e != Errno::EFAULT,
        }
}

/// A call that changes an object by its name, which is not followed if it is a symlink.
pub fn object(dir: i32, path: usize) -> usize {
    if outside(dir, path) && !mounted(dir, path) && !beside::may_be_at(dir, path) {
        NATIVE
    } else {
        HEAVY
    }
}

/// A call that changes one name and never follows its last component.
pub fn one_path(dir: i32, path: usize) -> usize {
    if outside(dir, path) { NATIVE } else { HEAVY }
}

/// A call that takes a directory's name away.
pub fn goes(dir: i32, path: usize) -> usize {
    let native = outside(dir, path);
    if native && let Some(t) = text(path) {
        proofs::changed(dir, t);
    }
    if native { NATIVE } else { HEAVY }
}

/// A call that makes a symlink.
pub fn symlink(dir: i32, path: usize) -> usize {
    SYMLINKED.store(true, Ordering::Relaxed);
    proofs::forget();
    one_path(dir, path)
}

/// A call that changes two names.
pub fn two_paths(a: (i32, usize), b: (i32, usize)) -> usize {
    let native = outside(a.0, a.1) && outside(b.0, b.1);
    if native {
        if SYMLINKED.load(Ordering::Relaxed) {
            proofs::forget();
        }
        for (dir, path) in [a, b] {
            if let Some(t) = text(path) {
                proofs::changed(dir, t);
            }
        }
    }
    if native { NATIVE } else { HEAVY }
}

/// A call that changes what a name leads to: it must be no symlink.
pub fn leads(dir: i32, path: usize) -> usize {
    if let Some(n) = text(path).and_then(fast_fd::number) {
        return if fast_fd::is_out(n) { NATIVE } else { HEAVY };
    }
    if outside(dir, path) && no_link(dir, path) {
        NATIVE
    } else {
        HEAVY
    }
}

/// A call that changes attributes, with flags.
pub fn attribute(regs: &Regs, flags: usize) -> usize {
    let (dir, path) = (fd_arg(regs, 0), arg(regs, 1));
    match flags as u32 as i32 {
        0 => leads(dir, path),
        c::AT_SYMLINK_NOFOLLOW => object(dir, path),
        _ => HEAVY,
    }
}

#[inline(never)]
fn no_link(dir: i32, path: usize) -> bool {
    match sys::identity_at_address(dir, path) {
        // A file of a leg may be mounted there.
        Ok(id) if id.top != Some(false) && !roots::is_foreign(id.dev) => false,
        Ok(id) if beside::may_be(&id) => false,
        Ok(id) => id.kind != c::S_IFLNK,
        // Of a name that is not there the slow way is sure.
        Err(e) => e == Errno::EFAULT,
    }
}

fn outside(dir: i32, path: usize) -> bool {
    let Some(t) = text(path) else { return true };
    if t.is_empty() || !plain(t) || !away(dir, t) {
        return t.is_empty();
    }
    match t.iter().rposition(|&b| b == b'/') {
        None => true,
        Some(0) => true,
        Some(i) => {
            let (parent, name) = t.split_at_checked(i).unwrap_or((t, b""));
            proofs::proved(dir, parent) || seen(dir, parent, name.get(1..).unwrap_or(b""))
        }
    }
}
