//! Parents that were proved to be behind no symlink, so that a program working in one directory outside pays
//! once.
use crate::process::actor::maybe_guest;
use crate::process::clock::cycles;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The process has made a symlink: renames may put one in place.
pub static SYMLINKED: AtomicBool = AtomicBool::new(false);

/// No "//", no "." or ".." component: the text is what it seems to be.
pub fn plain(t: &[u8]) -> bool {
    let mut prev = 0u8;
    for &b in t {
        if prev == b'/' && (b == b'/' || b == b'.') {
            // ".x" is a plain name, but rare enough to be looked at slowly.
            return false;
        }
        prev = b;
    }
    t.first() != Some(&b'.') && prev != b'/'
}

/// Parents that NO_SYMLINKS has proved, so that a program working in one directory outside pays once.
struct Proof {
    /// Even: stable.
    version: AtomicU32,
    /// When it was proved, by the processor's clock.
    at: AtomicU64,
    len: AtomicUsize,
    text: [AtomicU8; 248],
}

const PROOFS: usize = 4;

static PROVED: [Proof; PROOFS] = [const {
    Proof {
        version: AtomicU32::new(0),
        at: AtomicU64::new(0),
        len: AtomicUsize::new(0),
        text: [const { AtomicU8::new(0) }; 248],
    }
}; PROOFS];

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A proof is taken for true this many cycles long (some milliseconds, for a loop over one directory):
/// another process may put a symlink on the way at any time.
const PROOF_CYCLES: u64 = 1 << 24;

pub fn proved(parent: &[u8]) -> bool {
    let now = cycles();
    PROVED.iter().any(|p| {
        let v = p.version.load(Ordering::Acquire);
        v & 1 == 0
            && now.wrapping_sub(p.at.load(Ordering::Relaxed)) < PROOF_CYCLES
            && p.len.load(Ordering::Relaxed) == parent.len()
            && p.text
                .iter()
                .zip(parent)
                .all(|(a, b)| a.load(Ordering::Relaxed) == *b)
            && p.version.load(Ordering::Acquire) == v
    })
}

/// Remembers a proof (an absolute, plain parent). Called with TX held or not at all shared: a lost
/// race only loses a proof.
pub fn remember(parent: &[u8]) {
    if parent.len() > 248 || parent.is_empty() || !plain(parent) || maybe_guest() || proved(parent)
    {
        return;
    }
    let i = NEXT.fetch_add(1, Ordering::Relaxed) % PROOFS;
    let Some(p) = PROVED.get(i) else { return };
    let v = p.version.load(Ordering::Relaxed);
    if v & 1 != 0
        || p.version
            .compare_exchange(v, v.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
    {
        return;
    }
    for (d, s) in p.text.iter().zip(parent) {
        d.store(*s, Ordering::Relaxed);
    }
    p.len.store(parent.len(), Ordering::Relaxed);
    p.at.store(cycles(), Ordering::Relaxed);
    p.version.store(v.wrapping_add(2), Ordering::Release);
}

/// A symlink may have come onto a proved way.
pub fn forget_proofs() {
    for p in &PROVED {
        p.len.store(0, Ordering::Relaxed);
    }
    crate::path::outside::forget();
}
