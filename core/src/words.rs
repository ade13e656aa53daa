//! Locks in memory: a word for each lock object and leg in the runtime file, taken by compare-and-swap.
//!
//! ```text
//! bits 63..24  slot     of the process that holds it; 0 and no count: free
//! bits 23..0   count    of what its process has taken: another taking is another word
//! ```
//! A *slot* is a number that a process takes from a counter of the runtime file and that nobody gets again.
//! While the process lives it holds a lock of the kernel on the slot's byte; a word whose slot's byte is free is
//! a dead process's. Nothing else is believed of a holder: no pid, no time.
use crate::Leg;
use crate::runtime::RuntimeFile;
use core::sync::atomic::Ordering;

/// Which locks keep the processes of a pair apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// flock(2) on the lock objects of both legs.
    Flock,
    /// Words in the runtime file.
    Memory,
}

impl LockKind {
    /// What a new domain has unless its pair says otherwise.
    pub const DEFAULT: LockKind = LockKind::Flock;

    /// Its number in the facts.
    pub const fn number(self) -> u64 {
        match self {
            LockKind::Flock => 0,
            LockKind::Memory => 1,
        }
    }
    /// The kind with this number.
    pub const fn of(number: u64) -> Option<LockKind> {
        match number {
            0 => Some(LockKind::Flock),
            1 => Some(LockKind::Memory),
            _ => None,
        }
    }
    /// Its word in the tab.
    pub const fn word(self) -> &'static str {
        match self {
            LockKind::Flock => "flock",
            LockKind::Memory => "memory",
        }
    }
    /// The kind with this word.
    pub fn parse(word: &[u8]) -> Option<LockKind> {
        [LockKind::Flock, LockKind::Memory]
            .into_iter()
            .find(|k| k.word().as_bytes() == word)
    }
}

/// Bits of the count.
const COUNT: u32 = 24;
/// The greatest slot.
pub const SLOT_MAX: u64 = u64::MAX >> COUNT;

/// A lock word, by value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockWord(pub u64);

impl LockWord {
    /// Nobody holds it.
    pub const FREE: LockWord = LockWord(0);
    /// Held by the process with this slot, which has counted so far.
    pub const fn of(slot: u64, count: u64) -> LockWord {
        LockWord(slot << COUNT | (count & ((1 << COUNT) - 1)))
    }
    /// Whose it is.
    pub const fn slot(self) -> u64 {
        self.0 >> COUNT
    }
}

impl RuntimeFile {
    /// A lock word.
    pub fn lock_word(&self, leg: Leg, object: usize) -> LockWord {
        let post = self.posts.get(object);
        LockWord(post.map_or(0, |p| p.word(leg).load(Ordering::SeqCst)))
    }
    /// Makes it `to` if it is `from`; the error is what it is.
    pub fn change_word(
        &self,
        leg: Leg,
        object: usize,
        from: LockWord,
        to: LockWord,
    ) -> Result<(), LockWord> {
        let Some(p) = self.posts.get(object) else {
            return Err(LockWord::FREE);
        };
        p.word(leg)
            .compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(LockWord)
    }
    /// A slot that nobody had before. (Whoever can write the file can turn the counter back: the byte's lock
    /// decides.)
    pub fn next_slot(&self) -> u64 {
        let n = self.header.slots.fetch_add(1, Ordering::SeqCst);
        (n.wrapping_add(1) & SLOT_MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_slot_and_count_apart() {
        let w = LockWord::of(7, 3);
        assert_eq!((w.slot(), w.0), (7, 7 << 24 | 3));
        assert_ne!(w, LockWord::of(7, 4));
        assert_eq!(LockWord::of(7, 3 + (1 << 24)), w);
        assert_eq!(LockWord::of(SLOT_MAX, u64::MAX).slot(), SLOT_MAX);
        assert_eq!(LockWord::FREE.slot(), 0);
    }

    #[test]
    fn kinds_have_words_and_numbers() {
        for k in [LockKind::Flock, LockKind::Memory] {
            assert_eq!(LockKind::of(k.number()), Some(k));
            assert_eq!(LockKind::parse(k.word().as_bytes()), Some(k));
        }
        assert_eq!((LockKind::of(2), LockKind::parse(b"words")), (None, None));
    }
}
