//! Data that the kernel moves itself: pipes, clones, and what surrounds such calls.
use crate::calls::{Sys, call, fd};
use crate::raw::syscall3;
use libc as c;

/// pipe2(2): (to read from, to write to).
pub fn pipe(flags: i32) -> Sys<(i32, i32)> {
    let mut n = [0i32; 2];
    let p: *mut [i32; 2] = &mut n;
    call!(syscall2, c::SYS_pipe2, p as usize, flags as usize)?;
    Ok((n[0], n[1]))
}

/// tee(2).
pub fn tee(from: i32, to: i32, len: usize, flags: u32) -> Sys<usize> {
    call!(syscall4, c::SYS_tee, fd(from), fd(to), len, flags as usize)
}

/// splice(2) from pipe to pipe.
pub fn splice(from: i32, to: i32, len: usize, flags: u32) -> Sys<usize> {
    call!(
        syscall6,
        c::SYS_splice,
        fd(from),
        0,
        fd(to),
        0,
        len,
        flags as usize
    )
}

/// splice(2) from what is no pipe, from `at` on, which moves, into a pipe.
pub fn splice_out(from: i32, at: &mut u64, to: i32, len: usize) -> Sys<usize> {
    let at = core::ptr::from_mut(at) as usize;
    call!(syscall6, c::SYS_splice, fd(from), at, fd(to), 0, len, 0)
}

/// Waits until `n` can be read or has ended (poll(2)); EINTR when a signal's handler ran.
pub fn wait_readable(n: i32) -> Sys<usize> {
    let mut p = c::pollfd {
        fd: n,
        events: c::POLLIN,
        revents: 0,
    };
    let at: *mut c::pollfd = &mut p;
    call!(syscall3, c::SYS_poll, at as usize, 1, fd(-1))
}

/// struct file_clone_range of FICLONERANGE.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CloneRange {
    /// The source's descriptor.
    pub src: i64,
    /// Where the range begins there.
    pub src_offset: u64,
    /// Its length; 0: to the end.
    pub length: u64,
    /// Where it goes to.
    pub dst_offset: u64,
}

/// FICLONERANGE.
pub const FICLONERANGE: usize = 0x4020_940d;

/// ioctl(2) FICLONERANGE: both files share the range's blocks from then on.
pub fn clone_range(n: i32, r: &CloneRange) -> Sys<usize> {
    let p: *const CloneRange = r;
    call!(syscall3, c::SYS_ioctl, fd(n), FICLONERANGE, p as usize)
}

/// struct file_dedupe_range with one destination.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Dedupe {
    /// Where the range begins in the source.
    pub src_offset: u64,
    /// Its length.
    pub src_length: u64,
    /// Number of destinations: 1.
    pub count: u16,
    /// Zero.
    pub reserved: [u16; 3],
    /// The destination's descriptor.
    pub dst: i64,
    /// Where it begins there.
    pub dst_offset: u64,
    /// Out: how much is shared now.
    pub deduped: u64,
    /// Out: 0, 1 (they differ) or −errno.
    pub status: i32,
    /// Zero.
    pub reserved2: u32,
}

/// FIDEDUPERANGE.
pub const FIDEDUPERANGE: usize = 0xc018_9436;

/// ioctl(2) FIDEDUPERANGE of one destination.
pub fn dedupe(src: i32, d: &mut Dedupe) -> Sys<usize> {
    let p: *mut Dedupe = d;
    call!(syscall3, c::SYS_ioctl, fd(src), FIDEDUPERANGE, p as usize)
}

/// The signals that wait to be delivered.
pub fn pending_signals() -> u64 {
    let mut set = 0u64;
    let p: *mut u64 = &mut set;
    let _ = call!(syscall2, c::SYS_rt_sigpending, p as usize, 8);
    set
}

/// pread64(2) into memory that is not initialised yet.
///
/// # Safety
/// `buf` must point to `len` bytes that may be written.
pub unsafe fn pread_raw(n: i32, buf: *mut u8, len: usize, at: u64) -> Sys<usize> {
    call!(
        syscall4,
        c::SYS_pread64,
        fd(n),
        buf as usize,
        len,
        at as usize
    )
}

/// The same of what is there now: EAGAIN where read(2) would wait (preadv2(2) with RWF_NOWAIT).
///
/// # Safety
/// `buf` must point to `len` bytes that may be written.
pub unsafe fn read_now(n: i32, buf: *mut u8, len: usize) -> Sys<usize> {
    const NOWAIT: usize = 8;
    let piece = [buf as usize, len];
    let (at, here) = (piece.as_ptr() as usize, -1isize as usize);
    call!(syscall6, c::SYS_preadv2, fd(n), at, 1, here, here, NOWAIT)
}

/// read(2) into memory that is not initialised yet.
///
/// # Safety
/// `buf` must point to `len` bytes that may be written.
pub unsafe fn read_raw(n: i32, buf: *mut u8, len: usize) -> Sys<usize> {
    // SAFETY: the caller's promise.
    crate::ret(unsafe { syscall3(c::SYS_read, fd(n), buf as usize, len) })
}
