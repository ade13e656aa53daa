//! Directories that were found outside a moment ago.
//!
//! Rules: a directory is one by device, inode and time of birth, since an inode number may be another
//! directory's soon after. What is remembered lasts for [`LASTS`] (decision 0020): no program that is
//! mirrored can move a directory across a border.
use crate::process::actor::guest;
use crate::process::clock::cycles;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use mirror_sys::Identity;

/// How long a proof is taken for true that only a move of a directory by an unmirrored program can undo, in
/// cycles: less than half a second.
pub const LASTS: u64 = 1 << 30;

/// Whether something that was found at `at` may still be taken for true.
pub fn fresh(at: u64, lasts: u64) -> bool {
    at != 0 && cycles().wrapping_sub(at) < lasts
}

/// What is known of a directory that is outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It may be a directory above a root.
    Near,
    /// No root lies below it: all that is below it is outside too.
    Far,
}

struct Slot {
    /// Even: stable.
    version: AtomicU32,
    far: AtomicU32,
    at: AtomicU64,
    /// Device, inode, seconds and nanoseconds of its birth.
    id: [AtomicU64; 4],
}

const SLOTS: usize = 256;
static TABLE: [Slot; SLOTS] = [const {
    Slot {
        version: AtomicU32::new(0),
        far: AtomicU32::new(0),
        at: AtomicU64::new(0),
        id: [const { AtomicU64::new(0) }; 4],
    }
}; SLOTS];

/// Without a birth an inode number may be another directory's by now.
fn key(id: &Identity) -> Option<[u64; 4]> {
    id.born.map(|(s, ns)| [id.dev, id.ino, s, ns])
}

fn slot([dev, ino, ..]: &[u64; 4]) -> Option<&'static Slot> {
    let h = (ino ^ dev.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    TABLE.get((h >> 56) as usize)
}

/// What is remembered of a directory.
pub fn known(id: &Identity) -> Option<Known> {
    let relaxed = Ordering::Relaxed;
    let key = key(id)?;
    let k = slot(&key)?;
    let v = k.version.load(Ordering::Acquire);
    let same = k.id.iter().zip(&key).all(|(a, b)| a.load(relaxed) == *b);
    let (at, far) = (k.at.load(relaxed), k.far.load(relaxed));
    fence(Ordering::Acquire);
    let whole = v & 1 == 0 && k.version.load(relaxed) == v;
    (same && whole && fresh(at, LASTS)).then_some(if far != 0 { Known::Far } else { Known::Near })
}

/// Whether a directory that is made from now on has a later birth: times of births are those of the kernel's
/// ticks, and one that was removed may have the same number within the same tick.
fn settled(id: &Identity) -> bool {
    id.born.is_some_and(|born| born < mirror_sys::coarse_time())
}

/// Remembers a directory that has just been proved to be outside.
pub fn remember(id: &Identity, what: Known) {
    let relaxed = Ordering::Relaxed;
    let Some(key) = key(id) else { return };
    let Some(k) = slot(&key) else { return };
    if guest() || !settled(id) {
        return;
    }
    let v = k.version.load(relaxed);
    let taken = v & 1 == 0
        && k.version
            .compare_exchange(v, v.wrapping_add(1), Ordering::Acquire, relaxed)
            .is_ok();
    if !taken {
        return;
    }
    fence(Ordering::Release);
    for (to, b) in k.id.iter().zip(&key) {
        to.store(*b, relaxed);
    }
    k.far.store(u32::from(what == Known::Far), relaxed);
    k.at.store(cycles(), relaxed);
    k.version.store(v.wrapping_add(2), Ordering::Release);
}

/// Mounts or roots have changed.
pub fn forget() {
    for k in &TABLE {
        k.at.store(0, Ordering::Release);
    }
}
