//! FNV-1a, a checksum that says whether something is what it was.

/// The start value of [`fnv1a`].
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a 64, continued from `state` (start with [`FNV_START`]).
pub fn fnv1a(mut state: u64, bytes: &[u8]) -> u64 {
    for b in bytes {
        state = (state ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state
}
