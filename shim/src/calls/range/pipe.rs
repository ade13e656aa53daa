//! splice from a pipe into a file of a pair.
//!
//! Rules: what the pipe holds is looked at (tee), written to both legs, and only then taken out, so that
//! a write that fails loses nothing. Waiting for data happens on the program's own stack with its own
//! signal mask, in a tee: it is interrupted and restarted by signals exactly as splice is.
use crate::calls::data::pieces::Buffer;
use crate::calls::data::resize::resize_paired;
use crate::calls::paired::pair_up::paired;
use crate::calls::range::copy::{Next, Offset, call, next, put};
use crate::calls::range::own::Pipe;
use crate::change::port::Ran;
use crate::config::is_ours;
use crate::regs::{NATIVE, Regs, WAIT, answer, arg, fail, fd_arg};
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Bytes of one mirrored write: a pipe's usual capacity.
const PIECE: usize = 64 << 10;
/// In `Regs::nr`, beside the number: wait for data in the pipe.
const EMPTY: usize = 1 << 32;
/// In `Regs::nr`: that wait was ended by a signal.
const SIGNAL: usize = 1 << 33;
const NONBLOCK: u32 = c::SPLICE_F_NONBLOCK;

/// Whether the stub is to wait for a pipe.
pub fn waits(regs: &Regs) -> bool {
    regs.nr & EMPTY != 0
}

/// Waits until there is data in the pipe, or nobody can write to it any more. Program's stack and mask.
pub fn wait(regs: &mut Regs) {
    let from = fd_arg(regs, 0);
    regs.nr = c::SYS_splice as usize;
    let waited = match sys::pipe(c::O_CLOEXEC) {
        Ok((read, write)) => {
            let p = Pipe { read, write };
            sys::tee(from, p.write, 1, 0)
        }
        Err(_) => sys::wait_readable(from),
    };
    if waited == Err(Errno::EINTR) {
        regs.nr |= SIGNAL;
    }
}

/// splice.
#[inline(never)]
pub fn splice(regs: &mut Regs) -> usize {
    let signal = regs.nr & SIGNAL != 0;
    regs.nr = c::SYS_splice as usize;
    if signal {
        return fail(regs, Errno::EINTR);
    }
    let (from, to) = (fd_arg(regs, 0), fd_arg(regs, 2));
    if (is_ours(from) || is_ours(to)) && crate::calls::paired::partner::any() {
        return fail(regs, Errno::EBADF);
    }
    if let Some(v) = paired(regs, to) {
        return v;
    }
    // Without a pipe in front of a file the kernel only has an error for it.
    match sys::fstat(from) {
        Ok(st) if st.kind() == c::S_IFIFO => {}
        Ok(_) | Err(Errno::EBADF) => return NATIVE,
        Err(e) => return fail(regs, e),
    }
    let own = match Pipe::new() {
        Ok(p) => p,
        Err(e) => return fail(regs, e),
    };
    // The kernel's checks: the same call with a pipe that is empty. Never at the position: the kernel
    // stores it even then, and might undo another thread's move.
    let [_, in_at, _, out_at, len, flags] = regs.args;
    let mut none = 0u64;
    let spare: *mut u64 = &mut none;
    let goal = if out_at == 0 { spare as usize } else { out_at };
    // SAFETY: a variable of ours, or the program's pointers, which the kernel checks.
    let r = sys::ret(unsafe {
        sys::syscall6(
            c::SYS_splice,
            own.read as usize,
            in_at,
            to as usize,
            goal,
            len,
            flags | NONBLOCK as usize,
        )
    });
    match r {
        Err(Errno::EAGAIN) => match Offset::of(out_at) {
            Ok(o) => pieces(regs, &own, from, to, o),
            Err(e) => fail(regs, e),
        },
        Err(_) if !readable(from) => NATIVE,
        r => answer(regs, r.map(|v| v as u64)),
    }
}

/// Whether anything can be read from a descriptor: else the kernel only has an error for it.
#[cold]
fn readable(n: i32) -> bool {
    sys::fcntl(n, c::F_GETFL, 0).is_ok_and(|f| {
        let f = f as i32;
        f & c::O_PATH == 0 && matches!(f & c::O_ACCMODE, c::O_RDONLY | c::O_RDWR)
    })
}

#[inline(never)]
fn pieces(regs: &mut Regs, own: &Pipe, from: i32, to: i32, output: Offset) -> usize {
    let len = arg(regs, 4) as u64;
    let mut seen = Buffer::<PIECE>::new();
    let mut done = 0u64;
    while done < len {
        let want = len.saturating_sub(done).min(PIECE as u64) as usize;
        let k = match look(own, from, want, &mut seen) {
            Ok(0) => break,
            Ok(k) => k,
            Err(_) if done > 0 => break,
            Err(Errno::EAGAIN) if waiting(regs, from) => {
                regs.nr |= EMPTY;
                return WAIT;
            }
            // The kernel has looked at the descriptor by then.
            Err(_) if !readable(from) => return NATIVE,
            Err(e) => return fail(regs, e),
        };
        let at = (!output.is_position()).then(|| output.start.saturating_add(done));
        let old = sys::fstat(to).map_or(u64::MAX, |s| s.size());
        let ran = put(to, seen.at(), k, at);
        match next(regs, ran, done) {
            Next::Moved(n) => {
                let taken = match take(own, (from, to), n as usize, (at, old), &mut seen) {
                    Ok(taken) => taken,
                    Err(_) if done > 0 => break,
                    Err(e) => return fail(regs, e),
                };
                done = done.saturating_add(taken);
                // Nothing: another reader was faster, and the pipe is looked at anew.
                // A short write goes on, and meets what made it short.
                if taken > 0 && taken < n {
                    break;
                }
            }
            Next::Again => {}
            Next::End(v) => return v,
            Next::Enough => break,
        }
    }
    match output.store(output.start.saturating_add(done)) {
        Err(e) if done > 0 => fail(regs, e),
        _ => answer(regs, Ok(done)),
    }
}

/// Whether the program waits for an empty pipe.
fn waiting(regs: &Regs, from: i32) -> bool {
    let fl = sys::fcntl(from, c::F_GETFL, 0).unwrap_or(0);
    arg(regs, 5) as u32 & NONBLOCK == 0 && fl as i32 & c::O_NONBLOCK == 0
}

/// Copies what the pipe holds; 0: nobody can write to it any more.
fn look(own: &Pipe, from: i32, want: usize, seen: &mut Buffer<PIECE>) -> Sys<usize> {
    let k = sys::tee(from, own.write, want, NONBLOCK)?;
    own.all(seen, k.min(PIECE))
}

/// Moves up to `len` bytes out of the pipe and into `taken`, of `Buffer` length; what is unread is gone.
/// EAGAIN: it is empty.
fn out_of(own: &Pipe, from: i32, len: usize, taken: &mut Buffer<PIECE>) -> Sys<(usize, bool)> {
    match sys::splice(from, own.write, len, NONBLOCK) {
        Ok(k) => Ok((k, own.all(taken, k) == Ok(k))),
        Err(Errno::EAGAIN) => Err(Errno::EAGAIN),
        // A filter may know a move between pipes that the program is not to make.
        Err(e) => {
            // SAFETY: the buffer has PIECE bytes, and `len` is not more.
            let r = unsafe { sys::read_now(from, taken.at(), len.min(PIECE)) };
            match r {
                Err(Errno::EAGAIN) => Err(Errno::EAGAIN),
                Err(_) => Err(e),
                Ok(k) => Ok((k, true)),
            }
        }
    }
}

/// Takes what has been written (`n` bytes of `seen`, into a file of size `old`) out of the pipe. Where
/// another reader was faster, the legs get what this call really took. An error: the pipe gives nothing.
fn take(
    own: &Pipe,
    (from, to): (i32, i32),
    n: usize,
    (at, old): (Option<u64>, u64),
    seen: &mut Buffer<PIECE>,
) -> Sys<u64> {
    let mut taken = Buffer::<PIECE>::new();
    let mut have = 0usize;
    let mut same = true;
    let mut stuck = None;
    while have < n {
        match out_of(own, from, n.wrapping_sub(have), &mut taken) {
            Ok((0, _)) | Err(Errno::EAGAIN) => break,
            Err(e) => {
                stuck = Some(e);
                break;
            }
            Ok((k, read)) => {
                // Unread it is what was seen: it is gone from the pipe.
                if read {
                    same &= agree(seen.at().wrapping_add(have), taken.at(), k);
                }
                have = have.saturating_add(k);
            }
        }
    }
    if same && have == n {
        return Ok(n as u64);
    }
    let start = match at {
        Some(a) => a,
        None => sys::lseek(to, 0, c::SEEK_CUR)
            .unwrap_or(0)
            .saturating_sub(n as u64),
    };
    if have > 0 {
        until_free(|| put(to, seen.at(), have, Some(start)));
    }
    let end = start.saturating_add(have as u64);
    if old < start.saturating_add(n as u64) {
        let size = end.max(old) as usize;
        let cut = call(c::SYS_ftruncate, [to as usize, size, 0, 0, 0, 0]);
        until_free(|| resize_paired(&cut, to));
    }
    if at.is_none() {
        let _ = sys::lseek(to, end as i64, c::SEEK_SET);
    }
    match stuck {
        Some(e) if have == 0 => Err(e),
        _ => Ok(have as u64),
    }
}

/// Whether `len` bytes are the same; if not, makes the first the second. Both are initialised.
fn agree(a: *mut u8, b: *const u8, len: usize) -> bool {
    let mut i = 0usize;
    while i < len {
        let step = if len.wrapping_sub(i) >= 8 { 8 } else { 1 };
        let (x, y) = (a.wrapping_add(i), b.wrapping_add(i));
        // SAFETY: i + step <= len, which both buffers hold; no alignment is assumed.
        let same = unsafe {
            if step == 8 {
                x.cast::<u64>().read_unaligned() == y.cast::<u64>().read_unaligned()
            } else {
                x.read() == y.read()
            }
        };
        if !same {
            for j in i..len {
                // SAFETY: j < len.
                unsafe { a.wrapping_add(j).write(b.wrapping_add(j).read()) };
            }
            return false;
        }
        i = i.wrapping_add(step);
    }
    true
}

/// Runs a change until the locks are free.
fn until_free(mut change: impl FnMut() -> Ran) {
    while let Ran::Wait = change() {
        sys::sleep_us(100);
    }
}
