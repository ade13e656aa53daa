//! copy_file_range and sendfile into a file of a pair.
//!
//! Rules: the kernel's own checks come first (the same call with nothing to move). Then the source is
//! read into a buffer outside the locks, and each piece is an ordinary mirrored write: both legs get
//! the same bytes even if somebody changes the source meanwhile. The locks are held for one piece.
use crate::calls::data::pieces::Buffer;
use crate::calls::data::write::write_paired;
use crate::calls::paired::pair_up::paired;
use crate::calls::range::clone;
use crate::calls::range::own::Pipe;
use crate::change::port::Ran;
use crate::config::is_ours;
use crate::process::fds;
use crate::regs::{DONE, HEAVY, NATIVE, Regs, WAIT, answer, arg, fail, fd_arg};
use crate::tables;
use crate::user::UserPtr;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Bytes of one mirrored write.
const PIECE: usize = 128 << 10;
/// What the kernel moves at a time, by way of a pipe of its own. What O_DIRECT does not take is the rest of less.
const PIPE: usize = 64 << 10;
const PAGE: usize = 4096;
/// A piece that begins as its first page does.
const ROOM: usize = PIECE + PAGE;
/// A signal ends a call that has moved as much. (The kernel ends its own sooner, but not at signals that
/// are ignored: blocked as they are here, those cannot be told apart.)
const LONG: u64 = 16 << 20;
/// What the kernel moves at most in one call (MAX_RW_COUNT).
const MOST: u64 = 0x7fff_f000;

/// (source, destination) of copy_file_range, sendfile and splice.
pub fn ends(regs: &Regs) -> (i32, i32) {
    match regs.call() {
        Some(Call::Sendfile) => (fd_arg(regs, 1), fd_arg(regs, 0)),
        _ => (fd_arg(regs, 0), fd_arg(regs, 2)),
    }
}

/// On the program's stack: only what goes into a file of a pair is of interest.
pub fn filter(regs: &mut Regs) -> usize {
    let (from, to) = ends(regs);
    if fds::hint(to) == tables::OUT && !is_ours(from) {
        NATIVE
    } else {
        HEAVY
    }
}

/// One of the two offsets: the program's variable, or the descriptor's position.
#[derive(Clone, Copy)]
pub struct Offset {
    addr: usize,
    /// Where the call begins; of a position only known to whoever asks for it.
    pub start: u64,
}

impl Offset {
    /// Reads the program's variable.
    pub fn of(addr: usize) -> Sys<Offset> {
        let start = if addr == 0 {
            0
        } else {
            UserPtr::<u64>::new(addr).read()?
        };
        Ok(Offset { addr, start })
    }
    /// Whether it is the position of the descriptor.
    pub fn is_position(&self) -> bool {
        self.addr == 0
    }
    /// Stores the program's variable.
    pub fn store(&self, to: u64) -> Sys<()> {
        if self.addr == 0 {
            return Ok(());
        }
        UserPtr::<u64>::new(self.addr).write(to)
    }
}

/// A call of our own, for the handlers of the program's.
pub fn call(nr: i64, args: [usize; 6]) -> Regs {
    Regs {
        nr: nr as usize,
        args,
        site: 0,
        old_mask: 0,
        scratch: 0,
    }
}

/// A piece of our own memory written to both legs: at an offset, or at the position, which moves.
pub fn put(n: i32, buf: *const u8, len: usize, at: Option<u64>) -> Ran {
    let nr = at.map_or(c::SYS_write, |_| c::SYS_pwrite64);
    let to = at.unwrap_or(0) as usize;
    let write = call(nr, [n as usize, buf as usize, len, to, 0, 0]);
    match write_paired(&write, n) {
        // A write of this call's own: nobody else makes it.
        Some(Ran::Recorded) => Ran::Done(crate::regs::raw(&write)),
        Some(Ran::Lone(r)) => Ran::Done(r),
        Some(ran) => ran,
        None => Ran::Done(Err(Errno::EBADF)),
    }
}

/// Whether a signal waits that the program does not block: what has been moved so far is the answer.
pub fn interrupted(regs: &Regs) -> bool {
    sys::pending_signals() & !regs.old_mask != 0
}

/// What a call that moves pieces does after one of them.
pub enum Next {
    /// So many bytes are on both legs.
    Moved(u64),
    /// Ask for the same piece again.
    Again,
    /// This is the answer of the call.
    End(usize),
    /// What has been moved is the answer.
    Enough,
}

/// After [`put`]; `done` is what the call has moved before.
pub fn next(regs: &mut Regs, ran: Ran, done: u64) -> Next {
    match ran {
        Ran::Done(Ok(k)) => Next::Moved(k),
        Ran::Done(Err(e)) if done == 0 => Next::End(fail(regs, e)),
        Ran::Wait if done == 0 => Next::End(WAIT),
        Ran::Wait if !interrupted(regs) => {
            // Nothing is held. The call has an effect already, so it cannot begin anew.
            sys::sleep_us(100);
            Next::Again
        }
        // The number was replaced by another file meanwhile: begin anew.
        Ran::Unresolved if done == 0 => Next::End(WAIT),
        _ => Next::Enough,
    }
}

/// copy_file_range, sendfile.
#[inline(never)]
pub fn copy(regs: &mut Regs) -> usize {
    let (sendfile, at) = (regs.is(Call::Sendfile), arg(regs, 2));
    let v = moving(regs);
    // sendfile stores its variable whatever the answer is.
    if sendfile
        && v == DONE
        && (regs.nr as isize) <= 0
        && at != 0
        && let Ok(o) = Offset::of(at)
        && let Err(e) = o.store(o.start)
    {
        return fail(regs, e);
    }
    v
}

fn moving(regs: &mut Regs) -> usize {
    let (from, to) = ends(regs);
    if (is_ours(from) || is_ours(to)) && crate::calls::paired::partner::any() {
        return fail(regs, Errno::EBADF);
    }
    if let Some(v) = paired(regs, to) {
        return v;
    }
    let sendfile = regs.is(Call::Sendfile);
    let (in_at, out_at, len) = if sendfile {
        (arg(regs, 2), 0, arg(regs, 3))
    } else {
        (arg(regs, 1), arg(regs, 3), arg(regs, 4))
    };
    let (mut input, mut output) = match (Offset::of(in_at), Offset::of(out_at)) {
        (Ok(i), Ok(o)) => (i, o),
        (Err(e), _) | (_, Err(e)) => return fail(regs, e),
    };
    if let Err(e) = probe(regs, &input, &output) {
        return fail(regs, e);
    }
    for (o, n) in [(&mut input, from), (&mut output, to)] {
        if o.is_position() {
            match sys::lseek(n, 0, c::SEEK_CUR) {
                Ok(p) => o.start = p,
                Err(e) => return fail(regs, e),
            }
        }
    }
    let count = if sendfile {
        if (len as isize) < 0 || ends_nowhere(&input, len) {
            return fail(regs, Errno::EINVAL);
        }
        // The kernel has its own ways into what is no file with bytes (devices, files of /proc), or has none.
        match sys::fstat(from) {
            Ok(st) if matches!(st.kind(), c::S_IFREG | c::S_IFBLK) && st.size() > 0 => {}
            Ok(_) => return piped(regs, (from, input), to, (len as u64).min(MOST)),
            Err(e) => return fail(regs, e),
        }
        len as u64
    } else {
        match range(from, to, input.start, output.start, len as u64) {
            Ok(n) => n,
            Err(e) => return fail(regs, e),
        }
    };
    pieces(regs, (from, input), (to, output), count.min(MOST))
}

/// Whether a range ends beyond what an offset can say.
fn ends_nowhere(o: &Offset, len: usize) -> bool {
    (o.start as i64).checked_add(len as i64).is_none()
}

/// The kernel's checks of descriptors, flags and offsets: the call itself, with nothing to move and
/// variables of our own.
fn probe(regs: &Regs, input: &Offset, output: &Offset) -> Sys<()> {
    let sendfile = regs.is(Call::Sendfile);
    let (mut at, mut goal) = (input.start, output.start);
    let own = |o: &Offset, copy: &mut u64| {
        let p: *mut u64 = copy;
        if o.is_position() { 0 } else { p as usize }
    };
    let (at, goal) = (own(input, &mut at), own(output, &mut goal));
    let [a, b, out, _, _, flags] = regs.args;
    // SAFETY: the offsets are ours; with no bytes to move the kernel stores what it has read.
    let r = sys::ret(unsafe {
        if sendfile {
            sys::syscall4(c::SYS_sendfile, a, b, at, 0)
        } else {
            sys::syscall6(c::SYS_copy_file_range, a, at, out, goal, 0, flags)
        }
    });
    match r {
        Ok(_) => Ok(()),
        Err(e) if sendfile => Err(source_refused(regs, at).unwrap_or(e)),
        // Where the range ends is looked at before how far files go, and what lies before the first byte.
        Err(Errno::EINVAL | Errno::EFBIG) if flags == 0 && wraps(regs, input, output) => {
            Err(Errno::EOVERFLOW)
        }
        Err(e) => Err(e),
    }
}

/// What sendfile says of its source, which it looks at first, with the program's length: there is nothing to send it
/// to. `at`: our offset, or 0.
fn source_refused(regs: &Regs, at: usize) -> Option<Errno> {
    let [_, from, ..] = regs.args;
    let nowhere = -1isize as usize;
    // SAFETY: the offset is ours; nothing is moved to no descriptor.
    let r = sys::ret(unsafe { sys::syscall4(c::SYS_sendfile, nowhere, from, at, arg(regs, 3)) });
    r.err().filter(|e| *e != Errno::EBADF)
}

/// Whether a range of copy_file_range ends beyond all numbers. What is no file is refused sooner.
fn wraps(regs: &Regs, input: &Offset, output: &Offset) -> bool {
    let (from, to) = ends(regs);
    let ends_beyond = |n: i32, o: &Offset| {
        let start = match o.is_position() {
            true => sys::lseek(n, 0, c::SEEK_CUR).unwrap_or(0),
            false => o.start,
        };
        start.checked_add(arg(regs, 4) as u64).is_none()
    };
    sys::fglance(from).is_ok_and(|st| st.kind() == c::S_IFREG)
        && (ends_beyond(from, input) || ends_beyond(to, output))
}

/// The checks of copy_file_range that depend on the length; how much there is to copy.
fn range(from: i32, to: i32, at: u64, goal: u64, len: u64) -> Sys<u64> {
    if at.checked_add(len).is_none() || goal.checked_add(len).is_none() {
        return Err(Errno::EOVERFLOW);
    }
    let (f, t) = (sys::fstat(from)?, sys::fstat(to)?);
    // As far as the source reaches, and as far as a file can.
    let room = (i64::MAX as u64).saturating_sub(goal);
    let count = len.min(f.size().saturating_sub(at)).min(room);
    let overlap = |count: u64| goal.saturating_add(count) > at && goal < at.saturating_add(count);
    if (f.dev(), f.ino()) != (t.dev(), t.ino()) || !overlap(count) {
        return Ok(count);
    }
    // Only what the limit of file sizes lets in is looked at.
    let (limit, _) = sys::file_size(None)?;
    let count = count.min(limit.saturating_sub(goal));
    if overlap(count) {
        return Err(Errno::EINVAL);
    }
    Ok(count)
}

#[inline(never)]
fn pieces(
    regs: &mut Regs,
    (from, input): (i32, Offset),
    (to, output): (i32, Offset),
    count: u64,
) -> usize {
    let mut done = 0u64;
    if regs.is(Call::CopyFileRange) {
        match clone::share(from, to, input.start, output.start, count) {
            Ran::Done(Ok(k)) => done = k,
            Ran::Wait => return WAIT,
            _ => {}
        }
        if done > 0
            && let Err(e) = moved(from, &input, done).and_then(|()| moved(to, &output, done))
        {
            return fail(regs, e);
        }
    }
    // A short write ends copy_file_range; sendfile goes on, and meets what made it short.
    let goes_on = regs.is(Call::Sendfile);
    let mut buf = Buffer::<ROOM>::new();
    let mut most = PIECE;
    while done < count {
        let want = count.saturating_sub(done).min(most as u64) as usize;
        let start = input.start.saturating_add(done);
        // As the pages lie: O_DIRECT looks at that.
        let piece = buf.at().wrapping_add(start as usize % PAGE);
        // SAFETY: behind a part of a page the buffer has PIECE bytes, and `want` is no more.
        let k = match unsafe { sys::pread_raw(from, piece, want, start) } {
            Ok(0) => break,
            Ok(k) => k,
            Err(Errno::EINVAL) if most > PIPE => {
                most = PIPE;
                continue;
            }
            Err(e) if done == 0 => return fail(regs, e),
            Err(_) => break,
        };
        let at = (!output.is_position()).then(|| output.start.saturating_add(done));
        let ran = put(to, piece, k, at);
        if most > PIPE && matches!(ran, Ran::Done(Err(Errno::EINVAL))) {
            most = PIPE;
            continue;
        }
        match next(regs, ran, done) {
            Next::Moved(n) => {
                done = done.saturating_add(n);
                let stop = done >= LONG && interrupted(regs);
                let short = n < k as u64 && !goes_on;
                if moved(from, &input, done).is_err() || short || stop {
                    break;
                }
            }
            Next::Again => {}
            Next::End(v) => return v,
            Next::Enough => break,
        }
    }
    if done > 0 {
        let stored = input
            .store(input.start.saturating_add(done))
            .and_then(|()| output.store(output.start.saturating_add(done)));
        if let Err(e) = stored {
            return fail(regs, e);
        }
    }
    answer(regs, Ok(done))
}

/// sendfile from what is no file with bytes: each piece comes out of it by a pipe, as the kernel does it.
#[inline(never)]
fn piped(regs: &mut Regs, (from, input): (i32, Offset), to: i32, count: u64) -> usize {
    let own = match Pipe::new() {
        Ok(p) => p,
        Err(e) => return fail(regs, e),
    };
    let mut buf = Buffer::<PIPE>::new();
    let (mut at, mut before, mut done, mut have) = (input.start, input.start, 0u64, 0usize);
    let answered = loop {
        if done >= count || (done >= LONG && interrupted(regs)) {
            break None;
        }
        if have == 0 {
            before = at;
            let want = count.saturating_sub(done).min(PIPE as u64) as usize;
            match sys::splice_out(from, &mut at, own.write, want).and_then(|k| own.all(&mut buf, k))
            {
                Ok(0) => break None,
                Ok(k) => have = k,
                Err(e) if done == 0 => break Some(fail(regs, e)),
                Err(_) => break None,
            }
        }
        let ran = put(to, buf.at(), have, None);
        match next(regs, ran, done) {
            Next::Moved(n) => {
                done = done.saturating_add(n);
                if n < have as u64 {
                    at = before.saturating_add(n);
                }
                have = 0;
            }
            Next::Again => {}
            // What was not taken is read again.
            Next::End(v) => {
                at = before;
                break Some(v);
            }
            Next::Enough => {
                at = before;
                break None;
            }
        }
    };
    if input.is_position() && at != input.start {
        let _ = sys::lseek(from, at as i64, c::SEEK_SET);
    }
    if let Some(v) = answered {
        return v;
    }
    match input.store(at) {
        Err(e) if done > 0 => fail(regs, e),
        _ => answer(regs, Ok(done)),
    }
}

/// Sets a descriptor's position `done` bytes behind the start, if the call uses it.
fn moved(n: i32, o: &Offset, done: u64) -> Sys<()> {
    if o.is_position() {
        sys::lseek(n, o.start.saturating_add(done) as i64, c::SEEK_SET)?;
    }
    Ok(())
}
