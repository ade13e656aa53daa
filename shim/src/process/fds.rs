//! What the library remembers of descriptors.
//!
//! Rules: all of it is hints, whose wrong value costs a system call; a guest stores nothing but "unknown".
use crate::process::actor::SPLIT;
use crate::tables::HINTS;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use mirror_core::Leg;
use mirror_core::RESERVED;

/// Hint of a descriptor: nothing is known.
pub const UNKNOWN: u8 = 0;

/// Hint of a descriptor: has a partner.
pub const PAIRED: u8 = 2;

/// The hint of descriptor `n`.
pub fn hint(n: i32) -> u8 {
    usize::try_from(n)
        .ok()
        .and_then(|i| HINTS.get(i))
        .map(|h| h.load(Ordering::Relaxed))
        // What is more is the mark of a look (`look`).
        .filter(|h| *h <= PAIRED)
        .unwrap_or(UNKNOWN)
}

/// Stores a hint; a guest may only store [`UNKNOWN`].
pub fn set_hint(n: i32, v: u8) {
    if v != UNKNOWN && SPLIT.load(Ordering::Relaxed) {
        return;
    }
    if let Some(h) = usize::try_from(n).ok().and_then(|i| HINTS.get(i)) {
        h.store(v, Ordering::Relaxed);
    }
}

/// What is known of a paired descriptor. Valid while its hint is [`PAIRED`].
pub struct FdInfo {
    /// Pair index.
    pub pair: AtomicU8,
    /// The leg that descriptor n is on.
    pub leg: AtomicU8,
    /// The partner's mtime lags behind.
    pub dirty: AtomicU8,
    /// The partner was seen to be open without O_APPEND. Nobody can set it there: the program has no such
    /// number, nor has a child of it; no message carries it away.
    pub places: AtomicU8,
    /// The lock object in whose record its file is owed a time since it was made; 0: in none.
    pub made: AtomicU8,
    len: AtomicU8,
    /// How the description writes, and as of which count of [`lent`] it is this process's alone; 0: it may not
    /// be, or is not known to be.
    alone: AtomicU64,
    /// Inode on leg a and b.
    pub ino: [AtomicU64; 2],
    /// Where the last append ended, on both legs; the complement, so that nothing known is zero, and the
    /// table needs no room in the file.
    end: AtomicU64,
    path: [AtomicU8; 232],
}

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the pattern of a static array, never read itself"
)]
const NO_INFO: FdInfo = FdInfo {
    pair: AtomicU8::new(0),
    leg: AtomicU8::new(0),
    dirty: AtomicU8::new(0),
    places: AtomicU8::new(0),
    made: AtomicU8::new(0),
    alone: AtomicU64::new(0),
    len: AtomicU8::new(0),
    ino: [const { AtomicU64::new(0) }; 2],
    end: AtomicU64::new(0),
    path: [const { AtomicU8::new(0) }; 232],
};

/// Counted, beginning with 1, before an open description may become another process's too, or before how it
/// writes is changed.
static LENT: AtomicU64 = AtomicU64::new(1);

/// What is known of descriptions to be this process's alone ends here: a process is about to be made (it has
/// them as well, whatever memory it has), a descriptor is about to be sent, or F_SETFL is about to be called.
/// Nothing else gives a description away; a pidfd_getfd of others is recorded by them, if they have the library
/// (LIMITS.md).
pub fn lent() {
    LENT.fetch_add(1, Ordering::SeqCst);
}

static FDS: [FdInfo; RESERVED as usize] = [const { NO_INFO }; RESERVED as usize];

/// The record of descriptor `n`.
pub fn info(n: i32) -> Option<&'static FdInfo> {
    usize::try_from(n).ok().and_then(|i| FDS.get(i))
}

impl FdInfo {
    /// Where the last append ended, on both legs; `u64::MAX`: not known.
    pub fn end(&self) -> u64 {
        !self.end.load(Ordering::Relaxed)
    }

    /// Remembers it.
    pub fn set_end(&self, at: u64) {
        self.end.store(!at, Ordering::Relaxed);
    }

    /// Remembers that this process has just opened it, and whether it appends.
    pub fn set_alone(&self, appends: bool) {
        let stamp = LENT.load(Ordering::SeqCst).wrapping_mul(2);
        self.alone
            .store(stamp | u64::from(appends), Ordering::Relaxed);
    }

    /// Forgets it.
    pub fn set_shared(&self) {
        self.alone.store(0, Ordering::Relaxed);
    }

    /// Whether it appends, if nobody but this process can have changed that. Asked under the file's lock, as it
    /// is changed under it: who is given the description after this look waits for the lock.
    pub fn appends(&self) -> Option<bool> {
        let known = self.alone.load(Ordering::Relaxed);
        (known >> 1 == LENT.load(Ordering::SeqCst)).then_some(known & 1 == 1)
    }

    /// The leg that it is open on.
    pub fn leg(&self) -> Leg {
        Leg::of(usize::from(self.leg.load(Ordering::Relaxed)))
    }

    /// Remembers the path that repair would look under; too long a one is forgotten.
    pub fn set_path(&self, rel: &[u8]) {
        let n = if rel.len() <= self.path.len() {
            rel.len()
        } else {
            0
        };
        for (d, &s) in self.path.iter().zip(rel) {
            d.store(s, Ordering::Relaxed);
        }
        self.len.store(n as u8, Ordering::Relaxed);
    }
    /// Copies the path into `out` and returns its length.
    pub fn path<'a>(&self, out: &'a mut [u8; 232]) -> &'a [u8] {
        let n = self.len.load(Ordering::Relaxed) as usize;
        for (d, s) in out.iter_mut().zip(&self.path).take(n) {
            *d = s.load(Ordering::Relaxed);
        }
        out.get(..n).unwrap_or(&[])
    }
    /// Takes over another descriptor's record (dup).
    pub fn copy_from(&self, o: &FdInfo) {
        let r = Ordering::Relaxed;
        self.pair.store(o.pair.load(r), r);
        self.leg.store(o.leg.load(r), r);
        self.dirty.store(o.dirty.load(r), r);
        self.places.store(o.places.load(r), r);
        self.made.store(o.made.load(r), r);
        self.alone.store(o.alone.load(r), r);
        self.end.store(o.end.load(r), r);
        for (d, s) in self.ino.iter().zip(&o.ino) {
            d.store(s.load(r), r);
        }
        let mut buf = [0u8; 232];
        self.set_path(o.path(&mut buf));
    }
}

/// Highest descriptor number that was ever dirty, plus one.
#[unsafe(link_section = ".data.boot")]
pub static DIRTY_END: AtomicI32 = AtomicI32::new(0);

/// The partner's mtime lags behind descriptor `n`.
pub fn set_dirty(n: i32) {
    if let Some(i) = info(n) {
        i.dirty.store(1, Ordering::Relaxed);
        DIRTY_END.fetch_max(n.saturating_add(1), Ordering::Relaxed);
    }
}

/// This process has, or may have inherited, partner descriptors.
#[unsafe(link_section = ".data.boot")]
pub static ANY_PARTNER: AtomicBool = AtomicBool::new(false);

/// This process's own table has the sentinel: the next program will know that partners are there. A child that
/// shares this memory, and not the table, has its own.
#[unsafe(link_section = ".data.boot")]
pub static TOLD: AtomicBool = AtomicBool::new(false);

/// Leg b of a pair of this process is, or was, away: descriptors without a partner may be of a pair.
#[unsafe(link_section = ".data.boot")]
static ANY_LONE: AtomicBool = AtomicBool::new(false);

/// See [`ANY_LONE`]. TX is held.
pub fn has_lone() {
    if !ANY_LONE.load(Ordering::Relaxed) {
        ANY_LONE.store(true, Ordering::Relaxed);
    }
}

/// Whether a number of which nothing is known may be of a pair: it is closed, and made another's, with TX held.
pub fn may_be_paired() -> bool {
    ANY_PARTNER.load(Ordering::Relaxed) || ANY_LONE.load(Ordering::Relaxed)
}

/// The soft RLIMIT_NOFILE before it was lowered to RESERVED, or 0.
#[unsafe(link_section = ".data.boot")]
pub static OLD_SOFT: AtomicU64 = AtomicU64::new(0);

/// Hints of descriptors are off for good.
pub fn split_files() {
    SPLIT.store(true, Ordering::Relaxed);
    for h in &HINTS {
        h.store(UNKNOWN, Ordering::Relaxed);
    }
}
