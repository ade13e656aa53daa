//! Numbers of descriptors: which are the program's, which hold partners, which are the library's own.
//!
//! ```text
//! 0 .. RESERVED     the program's
//! RESERVED .. K     the library's; only the sentinel stands there
//! K .. 2K           partners: that of n is n + K; above the last one the library's of mapped files
//! from 2K           a block for each pair that a process has attached to, in the order of attaching:
//!                   eight numbers of its own (roots, domain records), then its lock objects
//! ```
use crate::Leg;
use crate::lock::OBJECTS;

/// Partner of descriptor n is descriptor n + K, held by the kernel.
pub const K: i32 = 4096;
/// The program's own limit: from here on numbers belong to the library.
pub const RESERVED: i32 = K - 64;
/// A descriptor that only a process with partners has, and the programs it starts.
pub const SENTINEL: i32 = RESERVED + 7;
/// Most pairs that can be configured for one process.
pub const MAX_PAIRS: usize = 64;
/// Room for the paths of all pairs in one process, each with a NUL.
pub const TEXTS_MAX: usize = 32 * 1024;

/// Numbers of a block that are not lock objects.
const OWN: i32 = 8;
const BLOCK: i32 = OWN + 2 * OBJECTS as i32;

/// The first number of a block.
pub const fn block(slot: usize) -> i32 {
    (2 * K).saturating_add((slot as i32).saturating_mul(BLOCK))
}

/// Most files that a process can have mapped for writing.
pub const MAPPED_MAX: usize = 32;

/// What names a mapped file on a leg.
pub const fn mapped(nth: usize, leg: Leg) -> i32 {
    let i = nth.wrapping_mul(2).wrapping_add(leg.index());
    K.saturating_add(RESERVED).saturating_add(i as i32)
}

/// One of the eight numbers of a block: 0 and 1 roots of the legs, 4 the runtime file (where locks are words, or it is not looked at), 5
/// and 6 the domain records, 7 what says that files are mapped. In the first block 2 is "/proc" and 3 the file of turns among relatives.
pub const fn own(slot: usize, which: i32) -> i32 {
    block(slot).saturating_add(which)
}

/// The description of the runtime file that has the process's slot's byte (`crate::words`), for a block.
pub const fn prover(slot: usize) -> i32 {
    match slot {
        // Beside the sentinel: the first block has no number left.
        0 => SENTINEL.saturating_add(33),
        n => own(n, 3),
    }
}

/// The number of a lock object on a leg.
pub const fn lock(slot: usize, leg: Leg, object: usize) -> i32 {
    let i = object.wrapping_mul(2).wrapping_add(leg.index());
    block(slot).saturating_add(OWN).saturating_add(i as i32)
}

/// First and last number of a block's lock objects.
pub const fn locks(slot: usize) -> (i32, i32) {
    (
        lock(slot, Leg::A, 0),
        block(slot.wrapping_add(1)).wrapping_sub(1),
    )
}

/// The limit of descriptors that a process needs to attach to its first `pairs` pairs.
pub const fn needed(pairs: usize) -> i32 {
    block(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_meet() {
        let mut next = 2 * K;
        for slot in 0..MAX_PAIRS {
            for which in 0..OWN {
                assert_eq!(own(slot, which), next);
                next += 1;
            }
            assert_eq!(locks(slot).0, next);
            for object in 0..OBJECTS {
                for leg in Leg::BOTH {
                    assert_eq!(lock(slot, leg, object), next);
                    next += 1;
                }
            }
            assert_eq!(locks(slot).1, next - 1);
            assert_eq!(needed(slot + 1), next);
        }
        assert!((RESERVED..K).contains(&SENTINEL));
        assert_eq!(mapped(0, Leg::A), RESERVED - 1 + K + 1);
        assert!(mapped(MAPPED_MAX - 1, Leg::B) < 2 * K);
        // What docs/LIMITS.md says.
        assert_eq!((needed(1), needed(2) - needed(1)), (8458, 266));
    }
}
