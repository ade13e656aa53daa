//! What is known of descriptors of directories: that they are outside, and no root lies below them.
//!
//! Rules: the hint of the number is OUT, as long as it is this descriptor's; that it was proved less than
//! [`LASTS`] ago is noted here. Without a directory the time says nothing.
use crate::path::known::{LASTS, fresh};
use crate::process::clock::cycles;
use crate::process::fds::hint;
use crate::process::look::{self, Look};
use crate::tables::OUT;
use core::sync::atomic::{AtomicU64, Ordering};
use mirror_core::RESERVED;

/// When it was looked at, in cycles. Bit 0: it was not found to be far.
static AT: [AtomicU64; RESERVED as usize] = [const { AtomicU64::new(0) }; RESERVED as usize];

fn at(n: i32) -> Option<&'static AtomicU64> {
    usize::try_from(n).ok().and_then(|i| AT.get(i))
}

/// A proof that a directory is far is about to be made.
pub enum Begun {
    /// Nothing is known of the number.
    Look(Look),
    /// It was proved before.
    Again,
}

/// See [`Begun`]. `None`: it cannot be noted.
pub fn begin(n: i32) -> Option<Begun> {
    if hint(n) == OUT {
        Some(Begun::Again)
    } else {
        look::begin(n).map(Begun::Look)
    }
}

/// The directory has been proved to be far. Not in a guest.
pub fn learn(n: i32, begun: Begun) {
    if let Some(at) = at(n) {
        at.store(cycles() & !1, Ordering::Relaxed);
        if let Begun::Look(look) = begun {
            look.out();
        }
    }
}

/// A number has become the same as another one.
pub fn same(new: i32, old: i32) {
    if let (Some(new), Some(old)) = (at(new), at(old)) {
        new.store(old.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// The number is nobody's.
pub fn forget(n: i32) {
    if let Some(at) = at(n) {
        at.store(0, Ordering::Relaxed);
    }
}

/// A quick look has not found it to be far.
pub fn not_far(n: i32) {
    if let Some(at) = at(n) {
        at.store(cycles() | 1, Ordering::Relaxed);
    }
}

/// Whether a quick look is not worth while again. It may be another directory by now: then a slow one is made.
pub fn in_vain(n: i32) -> bool {
    at(n).is_some_and(|at| {
        let at = at.load(Ordering::Relaxed);
        at & 1 != 0 && fresh(at, LASTS)
    })
}

/// Whether the directory is known to be away from every root.
pub fn is_far(n: i32) -> bool {
    hint(n) == OUT
        && at(n).is_some_and(|at| {
            let at = at.load(Ordering::Relaxed);
            at & 1 == 0 && fresh(at, LASTS)
        })
}
