//! Descriptors: close, dup, fcntl, close_range. The partner of n is n + K, in the kernel.
//!
//! Rules: partner away first, then n; n first, then its partner; both with TX held, so that no write
//! sees one without the other. Numbers from RESERVED on do not exist for the program.
use crate::calls::data::fsync::settle;
use crate::calls::exec::count::count_unsure;
use crate::calls::paired::partner::{any, install};
use crate::calls::paired::recognise::{Fd, recognise};
use crate::change::job::Patience;
use crate::config::{self, is_ours};
use crate::path::dirs;
use crate::path::loc::Loc;
use crate::process::actor::{THREADED, guest, locked, maybe_guest};
use crate::process::fds::{self, ANY_PARTNER, PAIRED, UNKNOWN, hint, set_hint};
use crate::process::{look, passed};
use crate::regs::{HEAVY, NATIVE, Regs, answer, arg, fail, fd_arg, raw};
use crate::tables::OUT;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::calls::Call;
use mirror_core::{Errno, K, RESERVED};
use mirror_sys as sys;

/// How long a thread may take from the look at a hint to the kernel's look at the number, in microseconds.
const GRACE: u32 = 2000;
/// How often a number is waited for that other threads make one outside meanwhile.
const TURNS: usize = 4;

/// close: what was known of the number is forgotten.
pub fn close_filter(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    if is_ours(n) {
        return if any() {
            fail(regs, Errno::EBADF)
        } else {
            NATIVE
        };
    }
    match hint(n) {
        PAIRED => HEAVY,
        UNKNOWN if fds::may_be_paired() => HEAVY,
        _ => {
            set_hint(n, UNKNOWN);
            NATIVE
        }
    }
}

/// What a descriptor that goes away owes its partner; TX is held. `Some`: a lock is busy.
fn owed(n: i32) -> Option<usize> {
    if guest() {
        None
    } else {
        settle(n, Patience::HeldWait)
    }
}

/// close of a number that has, or may have, a partner.
#[inline(never)]
pub fn close(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    locked(|| {
        if let Some(wait) = owed(n) {
            return wait;
        }
        let _ = sys::close(n.saturating_add(K));
        set_hint(n, UNKNOWN);
        let r = raw(regs);
        answer(regs, r)
    })
}

/// dup2, dup3.
pub fn dup_filter(regs: &mut Regs) -> usize {
    let (old, new) = (fd_arg(regs, 0), fd_arg(regs, 1));
    if (is_ours(old) || is_ours(new)) && any() {
        return fail(regs, Errno::EBADF);
    }
    let plain = |n| hint(n) == OUT || (hint(n) == UNKNOWN && !fds::may_be_paired());
    if plain(old) && plain(new) {
        // Here: a look at the old object, which another thread may have begun, must not be believed.
        let known = hint(old);
        let r = raw(regs);
        set_hint(new, UNKNOWN);
        if known == OUT && r.is_ok() && !maybe_guest() {
            dirs::same(new, old);
            set_hint(new, OUT);
        }
        return answer(regs, r);
    }
    HEAVY
}

/// Only what duplicates, or changes close-on-exec, concerns the partner.
pub fn fcntl_filter(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    if is_ours(n) && any() {
        return fail(regs, Errno::EBADF);
    }
    match arg(regs, 1) as i32 {
        c::F_DUPFD | c::F_DUPFD_CLOEXEC => {
            if is_ours(arg(regs, 2) as i32) && any() {
                return fail(regs, Errno::EINVAL);
            }
        }
        c::F_SETFD | c::F_SETFL => {}
        _ => return NATIVE,
    }
    match hint(n) {
        PAIRED => HEAVY,
        UNKNOWN if ANY_PARTNER.load(Ordering::Relaxed) => HEAVY,
        _ => NATIVE,
    }
}

/// A number that leads outside is to become one of a pair, and other threads may have passed the look at its hint:
/// what they call reaches the old object. Nothing is held meanwhile; who comes later waits for the new object.
/// Where one of them cannot be shown to have come to its call, the pair is one to be compared.
fn turn(old: i32, new: i32) -> Option<look::Turn> {
    let (mut turn, mut past) = (None, true);
    for _ in 0..TURNS {
        let passes = hint(new) == OUT && THREADED.load(Ordering::Relaxed) && !guest();
        let paired = || sys::is_open(old) && sys::is_open(old.saturating_add(K));
        if !passes || old == new || hint(old) == OUT || !paired() {
            break;
        }
        // The one before takes its mark away as it ends.
        drop(turn.take());
        turn = Some(look::Turn::begin(new));
        sys::sleep_us(GRACE);
        past &= passed::all();
    }
    if !past {
        count_unsure(pair_of(old));
    }
    turn
}

/// The pair that a descriptor is of, if that can be told.
#[cold]
#[inline(never)]
fn pair_of(n: i32) -> Option<usize> {
    if let (PAIRED, Some(i)) = (hint(n), fds::info(n)) {
        return Some(usize::from(i.pair.load(Ordering::Relaxed)));
    }
    let mut loc = Loc::new();
    match recognise(n, &mut loc) {
        Fd::Paired | Fd::Bare => Some(loc.pair),
        _ => None,
    }
}

/// dup, dup2, dup3, F_DUPFD, F_DUPFD_CLOEXEC, F_SETFD where a partner may be.
#[inline(never)]
pub fn dup(regs: &mut Regs) -> usize {
    let old = fd_arg(regs, 0);
    let nr = regs.call();
    let cmd = if nr == Some(Call::Fcntl) {
        arg(regs, 1) as i32
    } else {
        -1
    };
    if cmd == c::F_SETFD {
        return locked(|| {
            let r = raw(regs);
            if r.is_ok() {
                let _ = sys::fcntl(old.saturating_add(K), c::F_SETFD, arg(regs, 2));
            }
            answer(regs, r)
        });
    }
    let replaces = matches!(nr, Some(Call::Dup2 | Call::Dup3));
    let new = fd_arg(regs, 1);
    let turn = replaces.then(|| turn(old, new)).flatten();
    locked(|| {
        if let (true, Some(wait)) = (replaces && new != old, owed(new)) {
            return wait;
        }
        let partner = old.saturating_add(K);
        let has = hint(old) != OUT && sys::is_open(partner);
        if replaces && (new == old || !sys::is_open(old)) {
            let r = raw(regs);
            return answer(regs, r);
        }
        if replaces {
            let _ = sys::close(new.saturating_add(K));
            if turn.is_none() {
                set_hint(new, UNKNOWN);
            }
        }
        let n = match raw(regs) {
            Ok(n) => n as i32,
            Err(e) => return fail(regs, e),
        };
        if !guest() {
            set_hint(n, UNKNOWN);
        }
        if !has {
            return answer(regs, Ok(n as u64));
        }
        let cloexec = match nr {
            Some(Call::Dup3) => arg(regs, 2) as i32 & c::O_CLOEXEC,
            Some(Call::Fcntl) if cmd == c::F_DUPFD_CLOEXEC => c::O_CLOEXEC,
            _ => 0,
        };
        if let Err(e) = install(partner, n, cloexec) {
            let _ = sys::close(n);
            return fail(regs, e);
        }
        if hint(old) == PAIRED
            && !guest()
            && let (Some(a), Some(b)) = (fds::info(n), fds::info(old))
        {
            a.copy_from(b);
            set_hint(n, PAIRED);
            if a.dirty.load(Ordering::Relaxed) != 0 {
                fds::set_dirty(n);
            }
        }
        answer(regs, Ok(n as u64))
    })
}

/// A range that reaches the library's numbers, or that may hold partners.
pub fn close_range_filter(regs: &mut Regs) -> usize {
    let (lo, hi) = (arg(regs, 0) as u32, arg(regs, 1) as u32);
    if lo > hi {
        return NATIVE;
    }
    if !any() {
        for n in lo..hi.saturating_add(1).min(RESERVED as u32) {
            set_hint(n as i32, UNKNOWN);
        }
        return NATIVE;
    }
    HEAVY
}

/// close_range(2): the program's numbers and their partners; ours stay.
#[inline(never)]
pub fn close_range(regs: &mut Regs) -> usize {
    const CLOEXEC: usize = 4;
    const UNSHARE: usize = 2;
    let (lo, hi) = (arg(regs, 0) as u32, arg(regs, 1) as u32);
    let flags = arg(regs, 2) as u32 as usize;
    if flags & !(CLOEXEC | UNSHARE) != 0 {
        return NATIVE;
    }
    let top = (RESERVED as u32).saturating_sub(1);
    let last = hi.min(top);
    locked(|| {
        for n in lo..last
            .saturating_add(1)
            .min(fds::DIRTY_END.load(Ordering::Relaxed) as u32)
        {
            if let (0, Some(wait)) = (flags & CLOEXEC, owed(n as i32)) {
                return wait;
            }
        }
        let range = |a: u32, b: u32, f: usize| {
            // SAFETY: no pointers.
            sys::ret(unsafe { sys::syscall3(c::SYS_close_range, a as usize, b as usize, f) })
        };
        let mut r = Ok(0);
        if lo <= top {
            if flags & UNSHARE != 0 {
                // A table of our own first, whatever the range.
                fds::split_files();
                // SAFETY: no pointers.
                r = sys::ret(unsafe { sys::syscall1(c::SYS_unshare, c::CLONE_FILES as usize) });
            }
            let f = flags & CLOEXEC;
            if r.is_ok() {
                let k = K as u32;
                let _ = range(lo.saturating_add(k), last.saturating_add(k), f);
                r = range(lo, last, f);
            }
            if f == 0 {
                for n in lo..=last {
                    set_hint(n as i32, UNKNOWN);
                }
            }
        }
        // Beyond our own the numbers are the program's again.
        let beyond = config::numbers_end() as u32;
        if r.is_ok() && hi >= beyond {
            r = range(lo.max(beyond), hi, flags & CLOEXEC);
        }
        answer(regs, r.map(|v| v as u64))
    })
}
