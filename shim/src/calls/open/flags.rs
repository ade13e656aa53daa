//! Flags of an open, and what an open is without some of them.
use crate::regs::{NATIVE, Regs, arg, fail};
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
        _ => return fail(regs, Errno::ENXIO),
    }
    NATIVE
}

/// Asks the kernel with the program's own rules, without changing anything.
pub fn probe_strict(regs: &mut Regs, h: &sys::OpenHow) -> Result<(), usize> {
    let exclusive = (c::O_CREAT | c::O_EXCL) as u64;
    let keep = match h.flags & exclusive == exclusive {
        true => c::O_NOFOLLOW as u64,
        false => h.flags & c::O_NOFOLLOW as u64,
    };
    let mine = sys::OpenHow {
        flags: (c::O_PATH | c::O_CLOEXEC) as u64 | keep,
        mode: 0,
        resolve: h.resolve,
    };
    let p: *const sys::OpenHow = &mine;
    // SAFETY: the program's path, checked by the kernel, and our own struct.
    let r = unsafe {
        sys::syscall4(
            c::SYS_openat2,
            arg(regs, 0),
            arg(regs, 1),
            p as usize,
            size_of::<sys::OpenHow>(),
        )
    };
    match sys::ret(r) {
        Ok(n) => {
            let _ = sys::close(n as i32);
            Ok(())
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(fail(regs, e)),
    }
}
