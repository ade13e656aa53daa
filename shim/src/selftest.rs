//! Feature `selftest`: stand-ins for the handlers that send write(2) through every path, chosen by
//! MIRROR_SELFTEST=filter|heavy|wait|fork. Never part of a release.
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::arch::{BY_FD, DONE, FLAGS_1, FLAGS_2, HEAVY, NATIVE, Regs, WAIT, WATCH, WATCHED};
use crate::boot::{BootInfo, Start};
use mirror_sys::{syscall3, syscall5, syscall6};

const WRITE: usize = 1;
static MODE: AtomicUsize = AtomicUsize::new(0);

/// Chooses the mode.
pub fn start(b: &BootInfo) -> Start {
    let mode = match b.env(b"MIRROR_SELFTEST").map(|v| v.to_bytes()) {
        Some(b"off") => return Start::Off,
        Some(b"filter") => 1,
        Some(b"heavy") => 2,
        Some(b"wait") => 3,
        Some(b"fork") => 4,
        _ => 0,
    };
    MODE.store(mode, Ordering::Relaxed);
    let watch = |nr: usize, bits| {
        if let Some(w) = WATCH.get(nr) {
            w.store(bits, Ordering::Relaxed);
        }
    };
    if mode > 0 {
        for nr in [
            3, 9, 16, 20, 32, 33, 56, 57, 58, 59, 72, 80, 82, 83, 87, 231, 263, 302, 322, 435, 436,
        ] {
            watch(nr, WATCHED);
        }
        watch(WRITE, WATCHED | BY_FD);
        watch(2, WATCHED | FLAGS_1);
        watch(257, WATCHED | FLAGS_2);
    }
    Start::On
}

/// Program's stack.
pub fn filter(regs: &mut Regs) -> usize {
    match (MODE.load(Ordering::Relaxed), regs.nr) {
        (2.., WRITE | 3 | 257) => HEAVY,
        (4, 56) if regs.args[0] & libc::CLONE_VM as usize == 0 && regs.args[1] == 0 => HEAVY,
        _ => NATIVE,
    }
}

fn again(r: &Regs) -> usize {
    let [a, b, c, d, e, f] = r.args;
    // SAFETY: the program's own call with its own arguments.
    unsafe { syscall6(r.nr as i64, a, b, c, d, e, f) as usize }
}

fn writable(fd: usize, wait: bool) -> bool {
    let mut p = libc::pollfd {
        fd: fd as i32,
        events: libc::POLLOUT,
        revents: 0,
    };
    let none = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let time = if wait { 0 } else { (&raw const none).addr() };
    // SAFETY: one pollfd and one timespec, both alive.
    unsafe { syscall5(libc::SYS_ppoll, (&raw mut p).addr(), 1, time, 0, 8) != 0 }
}

/// Scratch stack, signals blocked.
pub fn heavy(regs: &mut Regs) -> usize {
    if regs.nr == WRITE && !writable(regs.args[0], false) {
        // what may block does so natively, or is waited for outside
        return if MODE.load(Ordering::Relaxed) == 3 {
            WAIT
        } else {
            NATIVE
        };
    }
    let clone = regs.nr == 56;
    regs.nr = again(regs);
    if clone && regs.nr == 0 {
        crate::scratch::after_fork_in_child(regs);
    }
    DONE
}

/// Program's stack and mask.
pub fn wait(regs: &mut Regs) {
    writable(regs.args[0], true);
}

/// Nothing here asks for it.
pub fn finish(_: &mut Regs) -> usize {
    NATIVE
}

/// Says so on descriptor 9 if that is open.
pub fn before_exit(_: &mut Regs) {
    // SAFETY: writes a constant.
    unsafe { syscall3(libc::SYS_write, 9, b"exit\n".as_ptr().addr(), 5) };
}

/// There is no `mirror run` to tell.
pub fn prove(_: &BootInfo) {}

/// The folder of prepared images, from the environment.
pub fn cache_folder(b: &BootInfo) -> Option<&core::ffi::CStr> {
    b.env(b"MIRROR_CACHE")
}

/// The home whose cache is looked at.
pub fn home(b: &BootInfo) -> Option<&core::ffi::CStr> {
    b.env(b"HOME")
}
