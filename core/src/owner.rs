//! The domain record `.mirror/owner` (64 bytes, both legs): which runtime file is in use, since which
//! boot. Every attached process holds a shared flock on it, so "nobody is attached" is a question to
//! the kernel. Binary: magic "MIRROWN1", runtime id, boot id, crc of these 40 bytes, zeros.
use crate::record::{Id, crc32};

/// Size of the record in bytes.
pub const OWNER_SIZE: usize = 64;
const MAGIC: &[u8; 8] = b"MIRROWN1";

/// The domain a leg belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Random id of the runtime file.
    pub runtime: Id,
    /// The kernel's boot id.
    pub boot: Id,
}

impl Owner {
    /// The record's bytes.
    #[inline(never)]
    pub fn encode(&self) -> [u8; OWNER_SIZE] {
        let mut out = [0u8; OWNER_SIZE];
        let (magic, rest) = out.split_at_mut(8);
        magic.copy_from_slice(MAGIC);
        let (ids, tail) = rest.split_at_mut(32);
        let (r, b) = ids.split_at_mut(16);
        r.copy_from_slice(&self.runtime.0);
        b.copy_from_slice(&self.boot.0);
        let _ = tail;
        let crc = out.get(..40).map_or(0, crc32);
        if let Some(c) = out.get_mut(40..44) {
            c.copy_from_slice(&crc.to_le_bytes());
        }
        out
    }
    /// `None`: empty, of another version, or damaged: no domain.
    pub fn parse(b: &[u8]) -> Option<Owner> {
        let body = b.get(..40)?;
        if body.get(..8)? != MAGIC || b.get(40..44)? != crc32(body).to_le_bytes() {
            return None;
        }
        let id = |r: core::ops::Range<usize>| Some(Id(body.get(r)?.try_into().ok()?));
        Some(Owner {
            runtime: id(8..24)?,
            boot: id(24..40)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn round_trip() {
        let o = Owner {
            runtime: Id([3; 16]),
            boot: Id([9; 16]),
        };
        let mut b = o.encode();
        assert_eq!(Owner::parse(&b), Some(o));
        b[9] ^= 1;
        assert_eq!(Owner::parse(&b), None);
        assert_eq!(Owner::parse(&[]), None);
    }
}
