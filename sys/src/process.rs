//! Processes, memory, limits, signals, time.
use crate::calls::{Sys, call, fd};
use core::sync::atomic::AtomicU32;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;
use mirror_core::view::Change;

/// rt_sigprocmask(2) with SIG_SETMASK and the kernel's 8-byte set; returns the old mask.
pub fn set_signal_mask(new: u64) -> u64 {
    let mut old = 0u64;
    let (n, o): (*const u64, *mut u64) = (&new, &mut old);
    let _ = call!(
        syscall4,
        c::SYS_rt_sigprocmask,
        c::SIG_SETMASK as usize,
        n as usize,
        o as usize,
        8
    );
    old
}

/// The soft and hard RLIMIT_NOFILE, and optionally new ones.
pub fn nofile(new: Option<(u64, u64)>) -> Sys<(u64, u64)> {
    limit(c::RLIMIT_NOFILE as usize, new)
}

/// The soft and hard RLIMIT_FSIZE, and optionally new ones.
pub fn file_size(new: Option<(u64, u64)>) -> Sys<(u64, u64)> {
    limit(c::RLIMIT_FSIZE as usize, new)
}

/// Takes a pending signal of a set away, without waiting (rt_sigtimedwait(2)).
pub fn take_signal(set: u64) {
    let now = c::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let (set, now): (*const u64, *const c::timespec) = (&set, &now);
    let _ = call!(
        syscall4,
        c::SYS_rt_sigtimedwait,
        set as usize,
        0,
        now as usize,
        8
    );
}

fn limit(which: usize, new: Option<(u64, u64)>) -> Sys<(u64, u64)> {
    let n = c::rlimit {
        rlim_cur: new.map_or(0, |v| v.0),
        rlim_max: new.map_or(0, |v| v.1),
    };
    let np: *const c::rlimit = &n;
    let mut old = c::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let op: *mut c::rlimit = &mut old;
    let np = if new.is_some() { np as usize } else { 0 };
    call!(syscall4, c::SYS_prlimit64, 0, which, np, op as usize)?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// Anonymous private memory, zeroed.
pub fn map_anonymous(len: usize) -> Sys<usize> {
    let flags = c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_NORESERVE;
    call!(
        syscall6,
        c::SYS_mmap,
        0,
        len,
        (c::PROT_READ | c::PROT_WRITE) as usize,
        flags as usize,
        fd(-1),
        0
    )
}

/// Anonymous private memory, zeroed, that is zeroed again in every copy that a fork makes
/// (MADV_WIPEONFORK, since Linux 4.14).
pub fn map_wiped_on_fork(len: usize) -> Sys<usize> {
    let at = map_anonymous(len)?;
    match call!(
        syscall3,
        c::SYS_madvise,
        at,
        len,
        c::MADV_WIPEONFORK as usize
    ) {
        Ok(_) => Ok(at),
        Err(e) => {
            // SAFETY: just mapped, used by nobody.
            unsafe { unmap(at, len) };
            Err(e)
        }
    }
}

/// A shared read-write mapping of a whole file.
pub fn map_shared(n: i32, len: usize) -> Sys<usize> {
    call!(
        syscall6,
        c::SYS_mmap,
        0,
        len,
        (c::PROT_READ | c::PROT_WRITE) as usize,
        c::MAP_SHARED as usize,
        fd(n),
        0
    )
}

/// munmap(2).
///
/// # Safety
/// Nothing may use the range any more.
pub unsafe fn unmap(addr: usize, len: usize) {
    let _ = call!(syscall2, c::SYS_munmap, addr, len);
}

/// getpid(2).
pub fn getpid() -> i32 {
    // SAFETY: takes no pointer.
    unsafe { crate::raw::syscall0(c::SYS_getpid) as i32 }
}

/// FUTEX_WAIT on a private futex, at most `ms` milliseconds (0: no limit).
pub fn futex_wait(word: &AtomicU32, expected: u32, ms: u32) {
    let t = c::timespec {
        tv_sec: i64::from(ms / 1000),
        tv_nsec: i64::from(ms % 1000) * 1_000_000,
    };
    let tp: *const c::timespec = &t;
    let tp = if ms == 0 { 0 } else { tp as usize };
    let op = (c::FUTEX_WAIT | c::FUTEX_PRIVATE_FLAG) as usize;
    let _ = call!(
        syscall4,
        c::SYS_futex,
        word.as_ptr() as usize,
        op,
        expected as usize,
        tp
    );
}

/// FUTEX_WAIT on a futex in shared memory, at most `ms` milliseconds.
pub fn futex_wait_shared(word: &AtomicU32, expected: u32, ms: u32) {
    let t = c::timespec {
        tv_sec: i64::from(ms / 1000),
        tv_nsec: i64::from(ms % 1000) * 1_000_000,
    };
    let tp: *const c::timespec = &t;
    let _ = call!(
        syscall4,
        c::SYS_futex,
        word.as_ptr() as usize,
        c::FUTEX_WAIT as usize,
        expected as usize,
        tp as usize
    );
}

/// FUTEX_WAKE of all waiters of a futex in shared memory.
pub fn futex_wake_shared(word: &AtomicU32) {
    let op = c::FUTEX_WAKE as usize;
    let all = i32::MAX as usize;
    let _ = call!(syscall3, c::SYS_futex, word.as_ptr() as usize, op, all);
}

/// FUTEX_WAKE of all waiters of the futex word at this address of shared memory, which may be gone.
pub fn futex_wake_at(addr: usize) {
    let all = i32::MAX as usize;
    let _ = call!(syscall3, c::SYS_futex, addr, c::FUTEX_WAKE as usize, all);
}

/// An atomic change of the 32-bit word at an address, by the kernel (FUTEX_WAKE_OP that wakes nobody):
/// EFAULT, and no signal, if the memory is not there.
pub fn atomic_op(addr: usize, how: Change) -> Sys<()> {
    // FUTEX_OP_ADD, _OR, _ANDN, and FUTEX_OP_OPARG_SHIFT.
    const ADD: u32 = 1;
    const OR: u32 = 2;
    const ANDN: u32 = 3;
    const SHIFT: u32 = 8;
    // Operation, comparison (of no interest), its argument, and what the old value is compared with.
    let op = match how {
        Change::Set(n) => (SHIFT | OR) << 28 | (n & 31) << 12,
        Change::Clear(n) => (SHIFT | ANDN) << 28 | (n & 31) << 12,
        Change::Count => ADD << 28 | 1 << 12,
    };
    // Private: a key of this process's own, on which nobody waits.
    let call = (c::FUTEX_WAKE_OP | c::FUTEX_PRIVATE_FLAG) as usize;
    call!(syscall6, c::SYS_futex, addr, call, 0, 0, addr, op as usize).map(|_| ())
}

/// Real, effective and saved user id.
pub fn user_ids() -> [u32; 3] {
    let mut ids = [0u32; 3];
    let [r, e, s] = &mut ids;
    let (r, e, s): (*mut u32, *mut u32, *mut u32) = (r, e, s);
    // Cannot fail; if it did, the ids of root are the ones that trust least.
    let _ = call!(
        syscall3,
        c::SYS_getresuid,
        r as usize,
        e as usize,
        s as usize
    );
    ids
}

/// Milliseconds since some moment.
pub fn clock_ms() -> u64 {
    let mut t = c::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let at: *mut c::timespec = &mut t;
    let _ = call!(
        syscall2,
        c::SYS_clock_gettime,
        c::CLOCK_MONOTONIC as usize,
        at as usize
    );
    (t.tv_sec as u64)
        .wrapping_mul(1000)
        .wrapping_add(t.tv_nsec as u64 / 1_000_000)
}

/// gettid(2).
pub fn gettid() -> i32 {
    // SAFETY: takes no pointer.
    unsafe { crate::raw::syscall0(c::SYS_gettid) as i32 }
}

/// sched_yield(2).
pub fn yield_now() {
    // SAFETY: takes no pointer.
    unsafe { crate::raw::syscall0(c::SYS_sched_yield) };
}

/// FUTEX_WAKE of one waiter.
pub fn futex_wake(word: &AtomicU32) {
    let op = (c::FUTEX_WAKE | c::FUTEX_PRIVATE_FLAG) as usize;
    let _ = call!(syscall3, c::SYS_futex, word.as_ptr() as usize, op, 1);
}

/// nanosleep(2), less than a second.
pub fn sleep_us(us: u32) {
    let t = c::timespec {
        tv_sec: 0,
        tv_nsec: i64::from(us.min(999_999)) * 1000,
    };
    let tp: *const c::timespec = &t;
    let _ = call!(syscall2, c::SYS_nanosleep, tp as usize, 0);
}

/// getrandom(2).
pub fn random(out: &mut [u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_getrandom,
        out.as_mut_ptr() as usize,
        out.len(),
        0
    )
}

/// A fork whose death is announced to nobody (exit signal 0): for work that must not close files in
/// this process. Returns 0 in the child.
///
/// # Safety
/// The child must only do raw system calls on memory it owns and end with [`exit_group`].
pub unsafe fn quiet_fork() -> Sys<i32> {
    call!(syscall5, c::SYS_clone, 0, 0, 0, 0, 0).map(|n| n as i32)
}

/// Waits for a child made by [`quiet_fork`]; its exit code, or −1 when a signal ended it.
pub fn wait_quiet(pid: i32) -> i32 {
    let mut status = 0i32;
    let p: *mut i32 = &mut status;
    loop {
        match call!(
            syscall4,
            c::SYS_wait4,
            fd(pid),
            p as usize,
            c::__WALL as usize,
            0
        ) {
            Err(Errno::EINTR) => {}
            Err(_) => return -1,
            Ok(_) if status & 0x7f == 0 => return (status >> 8) & 0xff,
            Ok(_) => return -1,
        }
    }
}

/// Whether a process with this pid exists (kill(2) with signal 0).
pub fn alive(pid: i32) -> bool {
    call!(syscall2, c::SYS_kill, fd(pid), 0) != Err(Errno::ESRCH)
}

/// Whether the effective user may execute a path (faccessat2(2), X_OK).
pub fn executable<const N: usize>(dir: i32, path: &PathText<N>) -> bool {
    let flags = (c::AT_EACCESS) as usize;
    call!(
        syscall4,
        c::SYS_faccessat2,
        fd(dir),
        path.as_ptr() as usize,
        c::X_OK as usize,
        flags
    )
    .is_ok()
}

/// eventfd2(2): a descriptor that pins nothing.
pub fn eventfd() -> Sys<i32> {
    call!(syscall2, c::SYS_eventfd2, 0, c::O_CLOEXEC as usize).map(|n| n as i32)
}

/// exit_group(2).
pub fn exit_group(code: i32) -> ! {
    loop {
        let _ = call!(syscall1, c::SYS_exit_group, code as usize);
    }
}

/// Seconds since 1970.
pub fn realtime() -> u64 {
    clock(c::CLOCK_REALTIME).0
}

/// The time of the kernel's last tick (seconds, nanoseconds since 1970), which files are stamped with; zeros
/// if it cannot be had.
pub fn coarse_time() -> (u64, u64) {
    clock(c::CLOCK_REALTIME_COARSE)
}

fn clock(which: i32) -> (u64, u64) {
    let mut t = c::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let p: *mut c::timespec = &mut t;
    let _ = call!(syscall2, c::SYS_clock_gettime, which as usize, p as usize);
    (t.tv_sec as u64, t.tv_nsec as u64)
}

/// The calling thread's name, ended by zeros.
pub fn comm() -> [u8; 16] {
    let mut name = [0u8; 16];
    let p: *mut [u8; 16] = &mut name;
    let _ = call!(syscall2, c::SYS_prctl, c::PR_GET_NAME as usize, p as usize);
    name
}

/// The soft RLIMIT_FSIZE: a write beyond it is a signal for the program.
pub fn file_size_limit() -> u64 {
    let mut old = c::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let op: *mut c::rlimit = &mut old;
    let _ = call!(
        syscall4,
        c::SYS_prlimit64,
        0,
        c::RLIMIT_FSIZE as usize,
        0,
        op as usize
    );
    old.rlim_cur
}

/// The soft RLIMIT_CORE: 0, and the kernel writes no core file.
pub fn core_limit() -> u64 {
    limit(c::RLIMIT_CORE as usize, None).map_or(0, |(soft, _)| soft)
}

/// The uid by which files are judged: that of the file system follows it, but for a few file servers.
pub fn euid() -> u32 {
    call!(syscall0, c::SYS_geteuid).map_or(u32::MAX, |u| u as u32)
}

/// The effective group and the first groups besides it; how many there are.
pub fn groups(out: &mut [u32; 65]) -> usize {
    // SAFETY: takes no pointer.
    let gid = unsafe { crate::raw::syscall0(c::SYS_getegid) as u32 };
    let [first, rest @ ..] = out;
    *first = gid;
    let p: *mut u32 = rest.as_mut_ptr();
    // More than there is room for: EINVAL, and only the effective one counts.
    call!(syscall2, c::SYS_getgroups, rest.len(), p as usize).map_or(1, |n| n.wrapping_add(1))
}
