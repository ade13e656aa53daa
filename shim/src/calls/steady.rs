//! Names below a directory whose number, or which as the cwd, another thread may make another directory between
//! the look and the call.
//!
//! Rules: the directory is held by a descriptor of the library's own; the look and the call are made by that one.
//! So it is in a process with threads, for relative names by a descriptor; for those by the cwd once a thread has
//! made the cwd a directory of a pair. What lies in a pair needs none of it: under the locks the text must still
//! lead to the program's directory ([`crate::change::target::Cx::anchored`]).
use crate::path::{cwd, dirs};
use crate::process::actor::{THREADED, TX, guest};
use crate::process::fds::{UNKNOWN, set_hint};
use crate::process::limits::own_fd;
use crate::regs::{DONE, FINISH, HEAVY, NATIVE, Regs, answer, arg, copy_of, raw};
use crate::user::text;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::calls::{Call, Family, Operand, Row};
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;
use mirror_sys::Sys;

/// How often a call is looked at anew because the cwd was another one by then.
const TRIES: usize = 40;

/// Held directories have numbers from here on, if the program's limit lets them.
const ABOVE: usize = 256;

/// What the relative names of a call start from.
#[derive(Clone, Copy, Default)]
struct Bases {
    /// The arguments that are descriptors, plus one.
    fds: [u8; 2],
    /// The cwd.
    cwd: bool,
}

/// Whether the path is relative; `None`: the kernel will refuse it.
fn relative(path: usize) -> Option<bool> {
    let t = text(path)?;
    Some(!t.is_empty() && t.first() != Some(&b'/'))
}

fn bases(regs: &Regs, row: &Row) -> Bases {
    let mut found = Bases::default();
    let mut slots = found.fds.iter_mut();
    let mut before = Operand::Int;
    for (i, &operand) in row.operands().iter().enumerate() {
        if operand == Operand::Path && relative(arg(regs, i)) == Some(true) {
            let at = i.wrapping_sub(1);
            let by_fd = before == Operand::Dir && arg(regs, at) as i32 != c::AT_FDCWD;
            found.cwd |= !by_fd;
            if by_fd
                && arg(regs, at) as i32 >= 0
                && let Some(slot) = slots.next()
            {
                *slot = i as u8;
            }
        }
        before = operand;
    }
    found
}

fn threads() -> bool {
    THREADED.load(Ordering::Relaxed) && !guest()
}

/// The arguments of a call while directories are held in their place.
struct Held {
    args: [usize; 6],
    fds: [u8; 2],
}

impl Held {
    /// Holds the directories. The error is that of the first one that cannot be.
    fn new(regs: &mut Regs, fds: [u8; 2], dup: impl Fn(i32) -> Sys<i32>) -> Sys<Held> {
        let mut held = Held {
            args: regs.args,
            fds: [0; 2],
        };
        let same = fds.iter().all(|i| {
            let first = usize::from(fds[0]).wrapping_sub(1);
            *i == 0 || arg(regs, usize::from(*i).wrapping_sub(1)) == arg(regs, first)
        });
        let mut last = -1;
        for (nth, i) in fds.into_iter().enumerate().filter(|(_, i)| *i != 0) {
            let at = usize::from(i).wrapping_sub(1);
            if nth == 0 || !same {
                match dup(arg(regs, at) as i32) {
                    Ok(n) => last = n,
                    Err(e) => {
                        held.release(regs);
                        return Err(e);
                    }
                }
                if let Some(slot) = held.fds.get_mut(nth) {
                    *slot = i;
                }
            }
            if let Some(a) = regs.args.get_mut(at) {
                *a = last as usize;
            }
        }
        Ok(held)
    }
    /// Lets them go; the arguments are the program's again.
    fn release(&self, regs: &mut Regs) {
        for i in self.fds.into_iter().filter(|i| *i != 0) {
            let_go(arg(regs, usize::from(i).wrapping_sub(1)) as i32);
        }
        regs.args = self.args;
    }
}

fn let_go(n: i32) {
    dirs::forget(n);
    set_hint(n, UNKNOWN);
    let _ = sys::close(n);
}

/// Not the lowest free number, which is what the open gets that this is for.
fn duplicate(n: i32) -> Sys<i32> {
    match sys::fcntl(n, c::F_DUPFD_CLOEXEC, ABOVE) {
        // The program's limit is below it.
        Err(Errno::EINVAL) => sys::fcntl(n, c::F_DUPFD_CLOEXEC, 0),
        r => r,
    }
    .map(|n| n as i32)
}

/// On the program's stack: `decide` says what becomes of the call, and a NATIVE one is made here.
#[inline(always)]
pub fn filter(regs: &mut Regs, row: &Row, decide: impl Fn(&mut Regs) -> usize) -> usize {
    if !THREADED.load(Ordering::Relaxed) {
        return decide(regs);
    }
    held(regs, row, decide)
}

#[inline(never)]
fn held(regs: &mut Regs, row: &Row, decide: impl Fn(&mut Regs) -> usize) -> usize {
    let bases = bases(regs, row);
    if bases.cwd && cwd::enters() && !guest() {
        return HEAVY;
    }
    if bases.fds == [0; 2] || guest() {
        return decide(regs);
    }
    let number = |i: u8| arg(regs, usize::from(i).wrapping_sub(1)) as i32;
    let vain = |i: &u8| *i != 0 && (dirs::in_vain(number(*i)) || number(*i) >= RESERVED);
    if bases.fds.iter().any(vain) {
        return HEAVY;
    }
    let Ok(held) = Held::new(regs, bases.fds, duplicate) else {
        return HEAVY;
    };
    let mut v = decide(regs);
    if v == NATIVE {
        let r = raw(regs);
        v = answer(regs, r);
    }
    let vain = held.fds.map(|i| {
        let at = usize::from(i).wrapping_sub(1);
        i != 0 && dirs::in_vain(arg(regs, at) as i32)
    });
    held.release(regs);
    for (i, vain) in bases.fds.into_iter().zip(vain) {
        if vain {
            dirs::not_far(arg(regs, usize::from(i).wrapping_sub(1)) as i32);
        }
    }
    v
}

/// On the scratch stack: runs a handler of calls by name, again by what is held if the call is to be NATIVE.
pub fn heavy(regs: &mut Regs, row: &Row, handler: fn(&mut Regs) -> usize) -> usize {
    if !threads() {
        return handler(regs);
    }
    for _ in 0..TRIES {
        let cwd = cwd::number();
        let was = copy_of(regs);
        let v = handler(regs);
        if v != NATIVE {
            return v;
        }
        let bases = bases(regs, row);
        let by_cwd = bases.cwd && cwd::enters();
        if bases.fds == [0; 2] && !by_cwd {
            return NATIVE;
        }
        if bases.fds != [0; 2] {
            // What is asked again is the program's call, not what became of it.
            (regs.nr, regs.args) = (was.nr, was.args);
        }
        if let Some(v) = again(regs, row, handler, (bases.fds, by_cwd.then_some(cwd))) {
            return v;
        }
    }
    crate::regs::fail(regs, Errno::EIO)
}

/// The call by what is held. `None`: the cwd has changed meanwhile.
#[cold]
#[inline(never)]
fn again(
    regs: &mut Regs,
    row: &Row,
    handler: fn(&mut Regs) -> usize,
    (fds, cwd): ([u8; 2], Option<u64>),
) -> Option<usize> {
    let opens = row.family == Family::Open;
    // A number that is none: what the kernel says of it.
    let dup = |n: i32| match own_fd(|| duplicate(n)) {
        Err(Errno::EBADF) => Ok(-1),
        r => r,
    };
    let held = match Held::new(regs, fds, dup) {
        Ok(held) => held,
        Err(e) => return Some(crate::regs::fail(regs, e)),
    };
    let v = if fds == [0; 2] { NATIVE } else { handler(regs) };
    if v != NATIVE {
        held.release(regs);
        return Some(v);
    }
    let Some(cwd) = cwd else {
        if opens {
            return Some(later(regs, &held));
        }
        let r = raw(regs);
        held.release(regs);
        return Some(answer(regs, r));
    };
    if opens && fds == [0; 2] && row.operands().first() == Some(&Operand::Dir) {
        return open_by_cwd(regs, cwd);
    }
    TX.lock();
    // A fifo or a device may keep an open waiting, and then everybody.
    let waits = || {
        let kind = sys::identity_at_address(c::AT_FDCWD, arg(regs, 0)).map(|id| id.kind);
        opens && matches!(kind, Ok(c::S_IFIFO | c::S_IFCHR))
    };
    let v = if cwd::number() != cwd {
        None
    } else if waits() {
        Some(NATIVE)
    } else {
        Some(DONE)
    };
    let r = (v == Some(DONE)).then(|| raw(regs));
    TX.unlock();
    held.release(regs);
    match r {
        Some(r) => Some(answer(regs, r)),
        None => v,
    }
}

/// openat and openat2 by the cwd: it is held in its place.
fn open_by_cwd(regs: &mut Regs, cwd: u64) -> Option<usize> {
    let dot = mirror_core::path::PathText::<4>::from_bytes(b".").unwrap_or_default();
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    TX.lock();
    let n = crate::process::limits::spare(|| sys::openat(c::AT_FDCWD, &dot, flags, 0));
    let n = n.map(crate::process::limits::park);
    let same = cwd::number() == cwd;
    TX.unlock();
    let n = match n {
        Ok(n) => n,
        // It is removed, or may not be searched: nothing is opened below it.
        Err(e) => return Some(crate::regs::fail(regs, bad_flags(regs).unwrap_or(e))),
    };
    if !same {
        let _ = sys::close(n);
        return None;
    }
    let held = Held {
        args: regs.args,
        fds: [1, 0],
    };
    if let Some(a) = regs.args.first_mut() {
        *a = n as usize;
    }
    Some(later(regs, &held))
}

/// What the kernel says of an open's flags, which it looks at before the path: asked with none.
#[cold]
fn bad_flags(regs: &Regs) -> Option<Errno> {
    let none = mirror_core::path::PathText::<4>::new();
    let mut asked = copy_of(regs);
    if let Some(path) = asked.args.get_mut(1) {
        *path = none.as_ptr() as usize;
    }
    raw(&asked).err().filter(|e| *e == Errno::EINVAL)
}

/// An open may wait: it is made on the program's stack and mask, by [`finish`], which finds the program's number
/// in the upper half of the call's.
fn later(regs: &mut Regs, held: &Held) -> usize {
    let program = held.args.first().copied().unwrap_or(0);
    regs.nr = regs.nr as u32 as usize | (program & 0xffff_ffff) << 32;
    FINISH
}

/// On the program's stack and mask, after `heavy`.
pub fn finish(regs: &mut Regs) -> usize {
    let program = (regs.nr >> 32) as i32 as isize as usize;
    regs.nr = regs.nr as u32 as usize;
    let r = raw(regs);
    let_go(arg(regs, 0) as i32);
    if let Some(a) = regs.args.first_mut() {
        *a = program;
    }
    answer(regs, r)
}

/// Whether [`finish`] is for this call.
pub fn is_later(regs: &Regs) -> bool {
    matches!(regs.call(), Some(Call::Openat | Call::Openat2))
}
