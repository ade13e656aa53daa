//! What others may have moved while this process walks over the legs.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whether anything was renamed, or got another name, while this process did not look: each such change counts the
/// generation, and so does each turn of this process alone.
#[derive(Default)]
pub struct Still {
    expected: AtomicU64,
    moved: AtomicBool,
}

impl Still {
    /// At the beginning of a turn alone, which counts once more at its end.
    pub fn turn(&self, generation: u64) {
        let before = self
            .expected
            .swap(generation.wrapping_add(1), Ordering::Relaxed);
        if before != generation {
            self.moved.store(true, Ordering::Relaxed);
        }
    }
    /// Somebody has died in the middle of a change, and has not counted it.
    pub fn died(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }
    /// Whether there was anything; from here on it is asked anew.
    pub fn moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }
}
