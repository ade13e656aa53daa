//! Looks at a descriptor that is not held by a lock: what was found is stored only if nothing was stored of the
//! number meanwhile.
//!
//! Rules: who gives a number to another object stores into its hint after that, and a look stores a mark of its
//! own before it looks.
use crate::process::actor::{guest, maybe_guest};
use crate::process::fds::{UNKNOWN, hint, set_hint};
use crate::tables::{HINTS, OUT};
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// The first mark: the numbers below it are hints.
const FIRST: u8 = 3;
static NEXT: AtomicU8 = AtomicU8::new(0);

/// The mark of a number that is about to become another object.
const TURNING: u8 = u8::MAX;
/// How many there are.
static TURNS: AtomicU32 = AtomicU32::new(0);

/// A number that is about to become another object: nothing is learnt of it, and who asks for it waits outside
/// the locks ([`turns`]).
pub struct Turn(i32);

impl Turn {
    /// From here on.
    pub fn begin(n: i32) -> Turn {
        TURNS.fetch_add(1, Ordering::SeqCst);
        set_hint(n, TURNING);
        Turn(n)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(h) = usize::try_from(self.0).ok().and_then(|i| HINTS.get(i)) {
            let _ = h.compare_exchange(TURNING, UNKNOWN, Ordering::AcqRel, Ordering::Relaxed);
        }
        TURNS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a number is about to become another object, in another thread.
#[inline]
pub fn turns(n: i32) -> bool {
    TURNS.load(Ordering::Relaxed) != 0 && is_turning(n)
}

#[cold]
#[inline(never)]
fn is_turning(n: i32) -> bool {
    let slot = usize::try_from(n).ok().and_then(|i| HINTS.get(i));
    slot.is_some_and(|h| h.load(Ordering::Relaxed) == TURNING) && !guest()
}

/// In the child of a fork: the threads that were about to do it are not here.
pub fn after_fork_in_child() {
    TURNS.store(0, Ordering::Relaxed);
}

/// A look that has begun.
pub struct Look {
    hint: &'static AtomicU8,
    mark: u8,
}

/// Begins a look at a number of which nothing is known. `None`: what is found cannot be stored.
pub fn begin(n: i32) -> Option<Look> {
    let slot = usize::try_from(n).ok().and_then(|i| HINTS.get(i))?;
    let before = slot.load(Ordering::Relaxed);
    let turning = before == TURNING && TURNS.load(Ordering::Relaxed) != 0;
    if turning || hint(n) != UNKNOWN || maybe_guest() {
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
