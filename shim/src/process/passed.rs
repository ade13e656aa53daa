//! Whether every other thread has gone past the call that it may have been about to make, by /proc.
//!
//! Rules: a thread that waits in a system call of the program's own, or that has run for a while since, is no longer
//! between its look at a hint and the kernel's look at the number. What cannot be told is not past.
use crate::process::limits::own_fd;
use libc as c;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// Nanoseconds of a processor in which a thread gets from its look at a hint into the kernel, many times over.
const RUN: u64 = 50_000;
/// How often it is looked again, a millisecond apart, all threads together.
const LOOKS: u32 = 40;

type Text = PathText<64>;

/// Asked after what they look at has changed.
#[cold]
#[inline(never)]
pub fn all() -> bool {
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
    let Ok(path) = Text::from_bytes(b"/proc/self/task") else {
        return false;
    };
    let Ok(dir) = own_fd(|| sys::openat(c::AT_FDCWD, &path, flags, 0)) else {
        return false;
    };
    let past = each(dir);
    let _ = sys::close(dir);
    past
}

fn each(dir: i32) -> bool {
    let (me, mut looks) = (sys::gettid() as u32, LOOKS);
    let mut buf = [0u8; 1024];
    loop {
        let len = match sys::getdents(dir, &mut buf) {
            Ok(0) => return true,
            Ok(len) => len,
            Err(_) => return false,
        };
        let mut rest = buf.get(..len).unwrap_or(&[]);
        while let (Some(&[lo, hi]), Some(name)) = (
            rest.get(16..18).and_then(|s| s.first_chunk::<2>()),
            rest.get(19..),
        ) {
            let digits = name.iter().take_while(|b| b.is_ascii_digit());
            let tid = digits.fold(0u32, |v, b| {
                v.saturating_mul(10)
                    .saturating_add(u32::from(b.wrapping_sub(b'0')))
            });
            if tid != 0 && tid != me && !is_past(dir, tid, &mut looks) {
                return false;
            }
            match rest.get(usize::from(u16::from_le_bytes([lo, hi])).max(1)..) {
                Some(r) => rest = r,
                None => break,
            }
        }
    }
}

fn is_past(dir: i32, tid: u32, looks: &mut u32) -> bool {
    let mut first = None;
    loop {
        if waits(dir, tid) {
            return true;
        }
        // Its time is counted when it is taken off the processor, and at ticks.
        let (Some(now), Some(left)) = (ran(dir, tid), looks.checked_sub(1)) else {
            return false;
        };
        if now.saturating_sub(*first.get_or_insert(now)) >= RUN {
            return true;
        }
        *looks = left;
        sys::sleep_us(1000);
    }
}

/// Reads a file of the thread's; `None`: that is not possible. Nothing: the thread is gone.
fn read<'a>(dir: i32, tid: u32, name: &[u8], out: &'a mut [u8; 128]) -> Option<&'a [u8]> {
    let mut path = Text::new();
    sys::append_number(tid, &mut path);
    path.append(name).ok()?;
    let n = match own_fd(|| sys::openat(dir, &path, c::O_RDONLY | c::O_CLOEXEC, 0)) {
        Err(sys::Errno::ENOENT) => return Some(&[]),
        n => n.ok()?,
    };
    let len = sys::pread(n, out, 0);
    let _ = sys::close(n);
    match len {
        Err(sys::Errno::ESRCH) => Some(&[]),
        len => out.get(..len.ok()?),
    }
}

fn number(text: &[u8]) -> Option<u64> {
    text.first().filter(|b| b.is_ascii_digit())?;
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0u64, |v, b| {
        v.saturating_mul(10)
            .saturating_add(u64::from(b.wrapping_sub(b'0')))
    }))
}

/// Whether it waits in a call that the library does not make where it looks, or is gone.
fn waits(dir: i32, tid: u32) -> bool {
    let mut buf = [0u8; 128];
    let text = match read(dir, tid, b"/syscall", &mut buf) {
        None => return false,
        Some([]) => return true,
        Some(text) => text,
    };
    if text.starts_with(b"-1 0x0 0x0") {
        return true;
    }
    let own = |nr: u64| {
        matches!(
            nr as i64,
            c::SYS_read
                | c::SYS_write
                | c::SYS_poll
                | c::SYS_ppoll
                | c::SYS_select
                | c::SYS_pselect6
                | c::SYS_epoll_wait
                | c::SYS_epoll_pwait
                | c::SYS_epoll_pwait2
                | c::SYS_futex
                | c::SYS_futex_waitv
                | c::SYS_clock_nanosleep
                | c::SYS_pause
                | c::SYS_rt_sigsuspend
                | c::SYS_rt_sigtimedwait
                | c::SYS_accept
                | c::SYS_accept4
                | c::SYS_connect
                | c::SYS_recvfrom
                | c::SYS_recvmsg
                | c::SYS_recvmmsg
                | c::SYS_sendto
                | c::SYS_sendmsg
                | c::SYS_wait4
                | c::SYS_waitid
                | c::SYS_restart_syscall
        )
    };
    number(text).is_some_and(own)
}

/// How long it has run, in nanoseconds.
fn ran(dir: i32, tid: u32) -> Option<u64> {
    let mut buf = [0u8; 128];
    number(read(dir, tid, b"/schedstat", &mut buf)?)
}
