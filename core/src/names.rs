//! Which pairs of files have another number of names on the two legs although they stand for each other: a
//! further name outside a leg (`cp -al`, a store of packages) is no part of the pair. A table of fixed size,
//! `.mirror/names` of leg a; it is a memory, and may be removed.
//!
//! An entry is [`SIZE`] bytes, little-endian: magic "MRN1", CRC-32 of what follows, inode on leg a, inode on
//! leg b, names on leg a less names on leg b (i64). It stands at [`slot`], or another one does.
use crate::record::crc32;

/// The table, below leg a.
pub const FILE: &[u8] = b".mirror/names";
/// Size of an entry.
pub const SIZE: usize = 32;
/// Entries in the table. A hole is no entry.
pub const SLOTS: u64 = 1 << 16;
const MAGIC: &[u8; 4] = b"MRN1";

/// Two files that are known to stand for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Inodes on leg a and b.
    pub inode: [u64; 2],
    /// Names on leg a less names on leg b. Changes on both legs leave it as it is.
    pub more: i64,
}

impl Known {
    /// Of two files with these inodes and numbers of names.
    pub fn of(inode: [u64; 2], names: [u64; 2]) -> Known {
        let [a, b] = names;
        Known {
            inode,
            more: a.wrapping_sub(b) as i64,
        }
    }
    /// A number spread over all bits.
    pub fn hash(&self) -> u64 {
        let [a, b] = self.inode;
        let h = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        (h ^ (h >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
    /// Where its entry begins in the file.
    pub fn place(&self) -> u64 {
        (self.hash() >> 32)
            .wrapping_rem(SLOTS)
            .wrapping_mul(SIZE as u64)
    }
    /// As an entry.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut out = [0u8; SIZE];
        let [a, b] = self.inode;
        let fields = [a, b, self.more as u64];
        for (to, from) in out
            .iter_mut()
            .skip(8)
            .zip(fields.iter().flat_map(|v| v.to_le_bytes()))
        {
            *to = from;
        }
        let crc = crc32(out.get(8..).unwrap_or(&[])).to_le_bytes();
        for (to, from) in out.iter_mut().zip(MAGIC.iter().chain(&crc)) {
            *to = *from;
        }
        out
    }
    /// Whether this entry says so.
    pub fn is(&self, entry: &[u8]) -> bool {
        entry == self.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_one_thing() {
        let k = Known::of([12, 77], [1, 3]);
        assert_eq!(k.more, -2);
        assert!(k.is(&k.encode()));
        assert!(!Known::of([12, 77], [2, 3]).is(&k.encode()));
        assert!(Known::of([12, 77], [2, 4]).is(&k.encode()));
        assert!(!Known::of([77, 12], [1, 3]).is(&k.encode()));
        assert!(!k.is(&[0; SIZE]) && !k.is(&[]));
        assert!(k.place() < SLOTS * SIZE as u64);
    }
}
