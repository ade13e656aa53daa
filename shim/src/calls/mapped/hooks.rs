//! When stores are carried over: at a sync, when mappings have gone, before an exec, at the end.
use crate::attach::session;
use crate::calls::mapped::carry::{What, act};
use crate::calls::mapped::{foreign, marks, table};
use crate::change::job::Patience;
use crate::change::port::Ran;
use crate::path::below::open_below;
use crate::path::loc::Loc;
use crate::process::actor::{self, THREADED, guest};
use crate::process::fds;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::mapped::Mapped;
use mirror_core::path::PathText;
use mirror_core::{Errno, K, Leg, View};
use mirror_sys as sys;

/// How often busy locks are asked for, two milliseconds apart, where the program's call cannot be begun anew.
const TRIES: usize = 300;

fn patiently(tries: &mut usize, mut f: impl FnMut() -> Ran) -> bool {
    loop {
        match f() {
            Ran::Wait if *tries > 0 => sys::sleep_us(2000),
            Ran::Done(Ok(_)) => return true,
            _ => return false,
        }
        *tries = tries.saturating_sub(1);
    }
}

/// Files that the program has no mapping of any more are carried over and let go. What cannot be now stays
/// announced, and is tried again.
#[inline(never)]
pub fn settle_gone() {
    if guest() {
        return;
    }
    let mut tries = TRIES;
    for (nth, f) in table::files() {
        if table::is_mapped(nth) {
            continue;
        }
        let left = f.entry().is_none()
            || patiently(&mut tries, || act(nth, What::Leave, (0, 0), Patience::Wait));
        if left {
            actor::locked(|| {
                if !table::is_mapped(nth)
                    && table::file(nth).is_some()
                    && (f.entry().is_none() || !marks::is_own())
                {
                    table::give_back(nth);
                }
            });
        }
    }
}

/// Before an exec, and at the end; TX is held. What another process has mapped too is carried over by that one.
/// Other threads store on until the end: then the entry stays, and is found.
pub fn settle_all(ends: bool) {
    let mut tries = TRIES;
    for (nth, f) in table::files() {
        let Some(entry) = f.entry() else { continue };
        if is_shared(f, entry) {
            continue;
        }
        let last = ends && (!THREADED.load(Ordering::Relaxed) || is_alone());
        let what = if last { What::End } else { What::Carry };
        patiently(&mut tries, || {
            act(nth, what, (0, u64::MAX), Patience::HeldWait)
        });
    }
}

/// Whether this is the process's only thread. What cannot be told is no.
#[cold]
fn is_alone() -> bool {
    // "." and "..", and a folder for each thread.
    const ONE: u64 = 3;
    let task = PathText::<24>::from_bytes(b"/proc/self/task");
    task.is_ok_and(|p| {
        sys::proc_is_own() && sys::fstatat(c::AT_FDCWD, &p, 0).is_ok_and(|st| st.nlink() == ONE)
    })
}

fn is_shared(f: &table::File, entry: usize) -> bool {
    let pair = usize::from(f.pair.load(Ordering::Relaxed));
    session::session(pair, false).is_ok_and(|s| mirror_pair::mapped::is_held(marks::of(&s), entry))
}

/// The entry of the file behind `n`, whose inode on leg a this is.
fn entry_of(pair: usize, ino: u64) -> Option<Mapped> {
    // A guest sees its owner's mapping of the runtime file; who may not look at one asks the kernel.
    let found = match session::runtime_of(pair) {
        Some(rt) => View::Own(rt).mapped_file(ino),
        None if guest() => None,
        None => {
            let s = actor::locked(|| session::session(pair, false)).ok()?;
            s.runtime().mapped_file(ino)
        }
    };
    found.map(|(_, m)| m)
}

/// This process's own, if it has it entered.
fn own_of(pair: usize, m: &Mapped) -> Option<usize> {
    let (nth, f) = table::find(pair, m.inode, m.device)?;
    (f.entry().is_some() && !guest()).then_some(nth)
}

/// What a sync of descriptor `n` is to find: stores of this process's or another's. `Some`: a lock is busy, or
/// it cannot be done.
#[inline(never)]
pub fn before_sync(n: i32) -> Option<Result<(), Errno>> {
    let i = fds::info(n).filter(|_| crate::calls::paired::recognise::is_paired(n))?;
    let pair = usize::from(i.pair.load(Ordering::Relaxed));
    if session::is_alone(pair) {
        return None;
    }
    let m = entry_of(pair, i.ino[0].load(Ordering::Relaxed))?;
    let partner = n.saturating_add(K);
    let at = match Leg::of(usize::from(i.leg.load(Ordering::Relaxed))) {
        Leg::A => [n, partner],
        Leg::B => [partner, n],
    };
    done(match own_of(pair, &m) {
        Some(nth) => act(nth, What::Carry, (m.from, m.to), Patience::Wait),
        None => foreign::carry(pair, at, &m),
    })
}

/// The same by a descriptor that only reads, of the file at `loc`.
#[inline(never)]
pub fn before_sync_bare(n: i32, loc: &Loc) -> Option<Result<(), Errno>> {
    if loc.held || loc.leg != Leg::A || loc.rel.is_empty() || session::is_alone(loc.pair) {
        return None;
    }
    let st = sys::fglance(n).ok().filter(|st| st.kind() == c::S_IFREG)?;
    let m = entry_of(loc.pair, st.ino())?;
    if let Some(nth) = own_of(loc.pair, &m) {
        return done(act(nth, What::Carry, (m.from, m.to), Patience::Wait));
    }
    let s = actor::locked(|| session::session(loc.pair, false)).ok()?;
    // The program has no lock on the other leg's file.
    let flags = c::O_PATH | c::O_NOFOLLOW;
    match open_below(s.at(Leg::B), &loc.rel, flags) {
        Ok(b) => {
            let ran = foreign::carry(loc.pair, [n, b], &m);
            let _ = sys::close(b);
            done(ran)
        }
        // On its way back leg b has given no promise.
        Err(_) if session::is_joining(loc.pair) => None,
        // Renamed meanwhile.
        Err(_) => Some(Err(Errno::EIO)),
    }
}

/// The same of all files of this process's (syncfs).
pub fn before_sync_all() -> Option<Result<(), Errno>> {
    if guest() {
        return None;
    }
    for (nth, f) in table::files() {
        if f.entry().is_some()
            && let Some(r) = done(act(nth, What::Carry, (0, u64::MAX), Patience::Wait))
        {
            return Some(r);
        }
    }
    None
}

/// What a carry came to. `Some(Ok)`: a lock is busy.
pub fn done(ran: Ran) -> Option<Result<(), Errno>> {
    match ran {
        Ran::Wait => Some(Ok(())),
        Ran::Done(Err(e)) => Some(Err(e)),
        Ran::Done(Ok(_)) => None,
        _ => Some(Err(Errno::EIO)),
    }
}
