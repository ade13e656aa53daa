//! Which files of a leg have further names outside it: what is changed by those reaches this leg alone. A list of
//! each leg's own, `.mirror/outside`, made by whatever walks the whole leg (`mirror init`, `verify`, `resync`);
//! there is none where no file has such a name.
//!
//! Little-endian: magic "MRO1", zeros (u32), the number of files (u64), their inode numbers (u64 each), which grow.

/// The list, below its leg.
pub const FILE: &[u8] = b".mirror/outside";
/// Where the inode numbers begin.
pub const HEAD: usize = 16;
const MAGIC: &[u8; 8] = b"MRO1\0\0\0\0";

/// What a list of so many files begins with.
pub fn head(files: u64) -> [u8; HEAD] {
    let mut out = [0u8; HEAD];
    let number = files.to_le_bytes();
    for (to, from) in out.iter_mut().zip(MAGIC.iter().chain(&number)) {
        *to = *from;
    }
    out
}

/// How many files a list of this size has; `None`: it is damaged.
pub fn files(head: &[u8], size: u64) -> Option<u64> {
    let (magic, number) = head.split_at_checked(MAGIC.len())?;
    let files = u64::from_le_bytes(number.get(..8)?.try_into().ok()?);
    let whole = files.checked_mul(8)?.checked_add(HEAD as u64)?;
    (magic == MAGIC && size == whole).then_some(files)
}

/// Whether a list of so many files has this one. `at` reads the number at a place in the file. `None`: it
/// could not be read, or does not grow.
pub fn has(files: u64, inode: u64, mut at: impl FnMut(u64) -> Option<u64>) -> Option<bool> {
    let (mut low, mut high) = ((0u64, 0u64), (files, u64::MAX));
    // (place, what stands before it) and (place, what stands at it or behind).
    while low.0 < high.0 {
        let middle = low.0.checked_add(high.0.checked_sub(low.0)? / 2)?;
        let found = at(middle.checked_mul(8)?.checked_add(HEAD as u64)?)?;
        if found < low.1 || found > high.1 {
            return None;
        }
        match found.cmp(&inode) {
            core::cmp::Ordering::Equal => return Some(true),
            core::cmp::Ordering::Less => low = (middle.checked_add(1)?, found),
            core::cmp::Ordering::Greater => high = (middle, found),
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn list(inodes: &[u64]) -> Vec<u8> {
        let mut bytes = head(inodes.len() as u64).to_vec();
        bytes.extend(inodes.iter().flat_map(|i| i.to_le_bytes()));
        bytes
    }
    fn asked(bytes: &[u8], inode: u64) -> Option<bool> {
        let n = files(bytes, bytes.len() as u64)?;
        has(n, inode, |at| {
            let at = usize::try_from(at).ok()?;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        })
    }

    #[test]
    fn each_is_found_and_no_other() {
        for n in 0..40u64 {
            let inodes: Vec<u64> = (0..n).map(|i| i * 3 + 7).collect();
            let bytes = list(&inodes);
            for inode in 0..140 {
                assert_eq!(asked(&bytes, inode), Some(inodes.contains(&inode)), "{n}");
            }
        }
    }

    #[test]
    fn damage_is_no_answer() {
        let bytes = list(&[3, 5, 9]);
        for len in 0..bytes.len() {
            assert_eq!(asked(&bytes[..len], 5), None);
        }
        assert_eq!(asked(&list(&[9, 5, 3]), 4), None);
        assert_eq!(files(&head(u64::MAX), u64::MAX), None);
    }
}
