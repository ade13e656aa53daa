//! The arguments of a call that are paths, and what a run is to the stub.
use crate::calls::read_only;
use crate::change::port::Ran;
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::resolve::locate;
use crate::regs::{NATIVE, Regs, WAIT, answer, arg, fail, fd_arg};
use crate::user::{self, Array, text};
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::{Call, Operand};
use mirror_core::path::CONTROL;

/// Longest iovec the kernel takes (UIO_MAXIOV).
const IOV_MAX: usize = 1024;
/// Longest value of an attribute that it takes.
const XATTR_SIZE_MAX: usize = 65536;

/// How often a name is resolved anew because it was another's under the locks. Somebody who exchanges
/// two names all the time spoils every second try.
pub const TRIES: usize = 40;

/// What a run means for the stub; `Unresolved` is the caller's to handle before.
pub fn verdict(regs: &mut Regs, ran: Ran) -> usize {
    match ran {
        Ran::Done(Err(e)) | Ran::Lone(Err(e)) if read_only::refuses(e) => {
            let why = read_only::instead(regs, e);
            fail(regs, why)
        }
        Ran::Done(r) | Ran::Lone(r) => answer(regs, r),
        Ran::Native | Ran::Alone | Ran::Recorded => NATIVE,
        Ran::Wait => WAIT,
        Ran::Unresolved => fail(regs, Errno::ELOOP),
    }
}

/// Copies a path from the program's memory, once. `None`: the kernel will refuse it (EFAULT,
/// ENAMETOOLONG).
pub fn copy_path(addr: usize, out: &mut Path) -> Option<()> {
    crate::user::path(addr, out).ok()
}

/// (directory, path): the first operands of a call that takes one path.
pub fn reader_path(regs: &Regs) -> (i32, usize) {
    match regs.row().and_then(|r| r.operands().first()) {
        Some(Operand::Path) => (c::AT_FDCWD, arg(regs, 0)),
        _ => (fd_arg(regs, 0), arg(regs, 1)),
    }
}

/// Copies a path argument and locates it. `None`: let the kernel refuse it.
pub fn locate_arg(
    dir: i32,
    addr: usize,
    last: Last,
    path: &mut Path,
    loc: &mut Loc,
) -> Option<Place> {
    copy_path(addr, path)?;
    Some(locate(dir, path, last, loc))
}

/// The command (the kernel looks at 32 bits).
pub fn command(regs: &Regs) -> u32 {
    arg(regs, 1) as u32
}

/// What the kernel will read of the program's memory while locks are held is touched.
#[cold]
#[inline(never)]
pub fn touch(regs: &Regs) {
    match regs.call() {
        Some(Call::Write | Call::Pwrite64) => user::touch(arg(regs, 1), arg(regs, 2)),
        Some(Call::Writev | Call::Pwritev | Call::Pwritev2) => {
            let mut vector = Array::<c::iovec>::new(arg(regs, 1));
            for i in 0..arg(regs, 2).min(IOV_MAX) {
                let Ok(v) = vector.get(i) else { return };
                user::touch(v.iov_base.addr(), v.iov_len);
            }
        }
        Some(Call::Setxattr | Call::Lsetxattr | Call::Fsetxattr) => {
            user::touch(arg(regs, 1), 1);
            user::touch(arg(regs, 2), arg(regs, 3).min(XATTR_SIZE_MAX));
        }
        Some(Call::Removexattr | Call::Lremovexattr | Call::Fremovexattr) => {
            user::touch(arg(regs, 1), 1);
        }
        _ => {}
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
