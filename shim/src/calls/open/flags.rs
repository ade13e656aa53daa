//! Flags of an open, and what an open is without some of them.
use crate::process::fds::{UNKNOWN, set_hint};
use crate::regs::{NATIVE, Regs, answer, arg, fail};
use crate::user::UserPtr;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_sys as sys;

pub const TMPFILE: i32 = 0o20200000;

/// What the kernel knows; open(2) drops the rest, openat2(2) refuses it.
pub const OPEN_FLAGS: i32 = c::O_ACCMODE
    | c::O_CREAT
    | c::O_EXCL
    | c::O_NOCTTY
    | c::O_TRUNC
    | c::O_APPEND
    | c::O_NONBLOCK
    | c::O_SYNC
    | c::O_DSYNC
    | c::O_ASYNC
    | c::O_DIRECT
    | 0o100000
    | TMPFILE
    | c::O_DIRECTORY
    | c::O_NOFOLLOW
    | c::O_NOATIME
    | c::O_CLOEXEC
    | c::O_PATH;

/// The program's open, without what would change a leg if the name meanwhile were another's.
pub fn without_effects(regs: &mut Regs) -> usize {
    let keep = !((c::O_CREAT | c::O_EXCL | c::O_TRUNC) as usize);
    match (regs.call(), &mut regs.args) {
        (Some(Call::Openat), [_, _, flags, ..]) | (Some(Call::Open), [_, flags, ..]) => {
            *flags &= keep
        }
        (Some(Call::Creat), [_, flags, ..]) => {
            regs.nr = c::SYS_open as usize;
            *flags = c::O_WRONLY as usize;
        }
        // openat2 keeps its flags in the program's memory.
        _ => return how_without_effects(regs, keep as u64),
    }
    NATIVE
}

/// The same of an openat2. One with rules of its own is made here, and must not wait for anybody.
#[cold]
#[inline(never)]
fn how_without_effects(regs: &mut Regs, keep: u64) -> usize {
    let Ok(h) = UserPtr::<sys::OpenHow>::new(arg(regs, 2)).read() else {
        return fail(regs, Errno::EFAULT);
    };
    let flags = h.flags & keep;
    if h.resolve == 0 {
        regs.nr = c::SYS_openat as usize;
        let [_, _, f, mode, ..] = &mut regs.args;
        (*f, *mode) = (flags as usize, 0);
        return NATIVE;
    }
    let nofollow = flags & c::O_NOFOLLOW as u64;
    let looked = made_here(
        regs,
        (c::O_PATH | c::O_CLOEXEC) as u64 | nofollow,
        h.resolve,
    );
    let regular = looked.and_then(|n| {
        let st = sys::fstat(n);
        let _ = sys::close(n);
        st
    });
    let nonblocking = flags & c::O_NONBLOCK as u64 != 0;
    let both = flags as i32 & c::O_ACCMODE == c::O_RDWR;
    // Whom a fifo's open has to wait for, and who waits for a device, it is not known here.
    let may_wait = |kind| kind != c::S_IFREG && !nonblocking && !(kind == c::S_IFIFO && both);
    match regular {
        Ok(st) if may_wait(st.kind()) => fail(regs, Errno::ENXIO),
        Ok(_) => match made_here(regs, flags, h.resolve) {
            Ok(n) => {
                set_hint(n, UNKNOWN);
                answer(regs, Ok(n as u64))
            }
            Err(e) => fail(regs, e),
        },
        Err(e) => fail(regs, e),
    }
}

/// The program's path, opened by our own struct.
fn made_here(regs: &Regs, flags: u64, resolve: u64) -> sys::Sys<i32> {
    let mine = sys::OpenHow {
        flags,
        mode: 0,
        resolve,
    };
    let p: *const sys::OpenHow = &mine;
    let size = size_of::<sys::OpenHow>();
    // SAFETY: the program's path, checked by the kernel, and our own struct.
    let r = unsafe { sys::syscall4(c::SYS_openat2, arg(regs, 0), arg(regs, 1), p as usize, size) };
    sys::ret(r).map(|n| n as i32)
}

/// Asks the kernel with the program's own rules, without changing anything.
pub fn probe_strict(regs: &mut Regs, h: &sys::OpenHow) -> Result<(), usize> {
    let exclusive = (c::O_CREAT | c::O_EXCL) as u64;
    let keep = match h.flags & exclusive == exclusive {
        true => c::O_NOFOLLOW as u64,
        false => h.flags & c::O_NOFOLLOW as u64,
    };
    let flags = (c::O_PATH | c::O_CLOEXEC) as u64 | keep;
    match made_here(regs, flags, h.resolve) {
        Ok(n) => {
            let _ = sys::close(n);
            Ok(())
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(fail(regs, e)),
    }
}
