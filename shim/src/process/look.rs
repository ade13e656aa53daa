//! Looks at a descriptor that is not held by a lock: what was found is stored only if nothing was stored of the
//! number meanwhile.
//!
//! Rules: who gives a number to another object stores into its hint after that, and a look stores a mark of its
//! own before it looks.
use crate::process::actor::maybe_guest;
use crate::process::fds::{UNKNOWN, hint};
use crate::tables::{HINTS, OUT};
use core::sync::atomic::{AtomicU8, Ordering};

/// The first mark: the numbers below it are hints.
const FIRST: u8 = 3;
static NEXT: AtomicU8 = AtomicU8::new(0);

/// A look that has begun.
pub struct Look {
    hint: &'static AtomicU8,
    mark: u8,
}

/// Begins a look at a number of which nothing is known. `None`: what is found cannot be stored.
pub fn begin(n: i32) -> Option<Look> {
    let slot = usize::try_from(n).ok().and_then(|i| HINTS.get(i))?;
    let before = slot.load(Ordering::Relaxed);
    if hint(n) != UNKNOWN || maybe_guest() {
        return None;
    }
    let mark = FIRST.saturating_add(NEXT.fetch_add(1, Ordering::Relaxed) % (u8::MAX - FIRST));
    let set = slot.compare_exchange(before, mark, Ordering::AcqRel, Ordering::Relaxed);
    set.is_ok().then_some(Look { hint: slot, mark })
}

impl Look {
    /// It is outside.
    pub fn out(self) {
        let relaxed = Ordering::Relaxed;
        let _ = self
            .hint
            .compare_exchange(self.mark, OUT, Ordering::AcqRel, relaxed);
    }
}
