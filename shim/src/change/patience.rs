//! How long a program waits for locks in a pair of a user whom it does not trust.
//!
//! A member of a pair waits for as long as another one holds a lock, as on a lock of any file. Root's
//! program in a user's pair would wait for that user at will: its waits have an end. The kernel does the
//! same when somebody holds a lease on a file that root opens.
use crate::config::CONFIG;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use mirror_sys as sys;

/// Threads that wait at one time. Two with the same place share their clock.
const PLACES: usize = 64;
/// Misses of one wait follow each other more closely than this.
const GAP_MS: u64 = 10_000;

struct Wait {
    thread: AtomicI32,
    since: AtomicU64,
    last: AtomicU64,
}

static WAITS: [Wait; PLACES] = [const {
    Wait {
        thread: AtomicI32::new(0),
        since: AtomicU64::new(0),
        last: AtomicU64::new(0),
    }
}; PLACES];
/// Some thread has waited.
static ANY: AtomicBool = AtomicBool::new(false);

fn place(thread: i32) -> Option<&'static Wait> {
    WAITS.get(thread as usize % PLACES)
}

/// This thread has met a busy lock once more: whether it has waited for long enough.
#[cold]
pub fn is_over(pair: usize) -> bool {
    let wait = CONFIG
        .get()
        .pairs()
        .get(pair)
        .map_or(0, |p| p.options.root_wait);
    let thread = sys::gettid();
    let Some(w) = place(thread) else { return false };
    let now = sys::clock_ms();
    let r = Ordering::Relaxed;
    let old = now.saturating_sub(w.last.load(r)) > GAP_MS;
    if w.thread.load(r) != thread || old {
        w.thread.store(thread, r);
        w.since.store(now, r);
        ANY.store(true, r);
    }
    w.last.store(now, r);
    let over =
        wait != 0 && now.saturating_sub(w.since.load(r)) >= u64::from(wait).saturating_mul(1000);
    if over {
        w.thread.store(0, r);
    }
    over
}

/// This thread has its answer.
pub fn over() {
    if ANY.load(Ordering::Relaxed) {
        let thread = sys::gettid();
        if let Some(w) = place(thread).filter(|w| w.thread.load(Ordering::Relaxed) == thread) {
            w.thread.store(0, Ordering::Relaxed);
        }
    }
}
