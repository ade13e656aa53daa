//! This process's hold on entries of the runtime file: an open description of its own, with a lock on a byte for
//! each.
//!
//! Rules: with TX held. A child of the library's fork gets a description of its own before it is made. Where a
//! copy of this process shares it, nothing that is held by it is ever given back: that ends with both.
use crate::attach::handle::Session;
use crate::attach::session;
use crate::calls::mapped::table;
use crate::process::limits::{own_fd, with_limit};
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::{BothLocked, Errno, MAX_PAIRS, numbers};
use mirror_pair::mapped;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Another process has the description too.
static SHARED: AtomicBool = AtomicBool::new(false);

const NFS: u64 = 0x6969;

/// The description of a pair.
pub fn of(s: &Session) -> i32 {
    numbers::own(s.slot, 7)
}

/// Opens it, if it is not open.
pub fn open(s: &Session) -> Sys<i32> {
    let n = of(s);
    if sys::is_open(n) {
        return Ok(n);
    }
    let root = s.root.a;
    let m = own_fd(|| mapped::open(root))?;
    let moved = match sys::fs_magic(m) {
        // There such a lock and flock(2) are one.
        Ok(NFS) => Err(Errno::ENODEV),
        Err(e) => Err(e),
        Ok(_) => with_limit(s.slot.wrapping_add(1), || sys::dup3(m, n, c::O_CLOEXEC)),
    };
    let _ = sys::close(m);
    moved.map(|_| n)
}

/// Stores may come to files of a pair whose leg b is away: it is not on its way back before this process has ended.
/// A lock of leg a is held, with the word seen under it: whoever brings leg b back waits for that, and looks then.
pub fn note_alone(s: &Session, _: &BothLocked) -> Sys<()> {
    sys::share_byte(open(s)?, mapped::ALONE, true)
}

/// Another process gets the description as well.
pub fn share() {
    if table::files().any(|(_, f)| f.entry().is_some()) {
        SHARED.store(true, Ordering::Relaxed);
    }
}

/// Whether what is held may be given back.
pub fn is_own() -> bool {
    !SHARED.load(Ordering::Relaxed)
}

/// Descriptions for a child: by pair.
pub struct Ahead([i32; 4], [usize; 4]);

/// Before a fork: opens what the child will hold its entries by, while this process holds them too.
pub fn before_fork() -> Ahead {
    let mut a = Ahead([-1; 4], [0; 4]);
    let mut of = [false; MAX_PAIRS];
    for (_, f) in table::files().filter(|(_, f)| f.entry().is_some()) {
        if let Some(o) = of.get_mut(usize::from(f.pair.load(Ordering::Relaxed))) {
            *o = true;
        }
    }
    let mut i = 0usize;
    for (pair, _) in of.iter().enumerate().filter(|(_, o)| **o) {
        match ahead(pair) {
            Ok(n) => {
                if let (Some(d), Some(p)) = (a.0.get_mut(i), a.1.get_mut(i)) {
                    (*d, *p) = (n, pair);
                    i = i.wrapping_add(1);
                    continue;
                }
                let _ = sys::close(n);
                share();
            }
            Err(_) => share(),
        }
    }
    a
}

fn ahead(pair: usize) -> Sys<i32> {
    let s = session::session(pair, false)?;
    let root = s.root.a;
    let n = own_fd(|| mapped::open(root))?;
    let here = |f: &table::File| usize::from(f.pair.load(Ordering::Relaxed)) == pair;
    // A lock asks no description whether it is its own process's: if it is another's, the child waits longer.
    let alone = mapped::is_held(n, mapped::ALONE).then_some(mapped::ALONE);
    let entries = table::files().filter_map(|(_, f)| f.entry().filter(|_| here(f)));
    for nth in entries.chain(alone) {
        if let Err(e) = sys::share_byte(n, nth, true) {
            let _ = sys::close(n);
            return Err(e);
        }
    }
    Ok(n)
}

impl Ahead {
    /// After the fork, in the child and in the parent.
    pub fn after(&self, child: bool) {
        let Ahead(numbers, pairs) = self;
        for (n, pair) in numbers.iter().zip(pairs).filter(|(n, _)| **n >= 0) {
            if child && is_own() {
                let moved = session::session(*pair, false).and_then(|s| {
                    with_limit(s.slot.wrapping_add(1), || {
                        sys::dup3(*n, of(&s), c::O_CLOEXEC)
                    })
                });
                if moved.is_err() {
                    share();
                    // It stays open: what it holds is this process's.
                    continue;
                }
            }
            let _ = sys::close(*n);
        }
    }
}
