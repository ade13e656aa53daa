//! The domain record `.mirror/owner` (64 bytes, both legs): which runtime file is in use, since which
//! boot, and how it was left. Every attached process holds a shared flock on it, so "nobody is attached" is a question to
//! the kernel. Binary: magic "MIRROWN1", or "MIRROWN2" if it is not in use, runtime id, boot id, crc of these 40 bytes; how the domain was left: a
//! number for what, a number of the flush, crc of these 12 bytes; zeros.
use crate::record::{Id, crc32};

/// Size of the record in bytes.
pub const OWNER_SIZE: usize = 64;
/// What of it says which domain: a record that ends there is of one that is in use.
pub const OWNER_IDS: u64 = 44;
const MAGIC: &[u8; 8] = b"MIRROWN1";
/// Of a domain that is not in use: who does not know what that means, and would not take it back, finds no domain.
const LEFT_MAGIC: &[u8; 8] = b"MIRROWN2";

/// How a domain was left: whether each leg's disk has what its programs were told. What cannot be understood is
/// [`Left::InUse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// Somebody may have changed the legs since they were flushed. A disk that says so lost nothing of that.
    #[default]
    InUse,
    /// Nobody was attached from before the last flush of both legs on, which had this number.
    Clean(u64),
    /// It was clean, and somebody has come. Not known to be on the disk yet.
    Reopened,
    /// Nobody was attached when the flush of this number began.
    Flushing(u64),
}

/// Where it stands.
const LEFT: core::ops::Range<usize> = 44..56;

impl Left {
    fn encode(self) -> [u8; 12] {
        let (what, number) = match self {
            Left::InUse => return [0; 12],
            Left::Clean(n) => (1u32, n),
            Left::Reopened => (2, 0),
            Left::Flushing(n) => (3, n),
        };
        let (w, n) = (what.to_le_bytes(), number.to_le_bytes());
        let mut out = [0u8; 12];
        for (to, from) in out.iter_mut().zip(w.iter().chain(&n)) {
            *to = *from;
        }
        out
    }
    fn parse(b: &[u8]) -> Left {
        let body = b.get(LEFT).unwrap_or(&[]);
        let (Some(what), Some(number)) = (body.first_chunk::<4>(), body.last_chunk::<8>()) else {
            return Left::InUse;
        };
        if b.get(56..60) != Some(&crc32(body).to_le_bytes()) {
            return Left::InUse;
        }
        let number = u64::from_le_bytes(*number);
        match u32::from_le_bytes(*what) {
            1 => Left::Clean(number),
            2 => Left::Reopened,
            3 => Left::Flushing(number),
            _ => Left::InUse,
        }
    }
}

/// The domain a leg belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Random id of the runtime file.
    pub runtime: Id,
    /// The kernel's boot id.
    pub boot: Id,
    /// How it was left.
    pub left: Left,
}

impl Owner {
    /// A domain that somebody is in.
    pub const fn new(runtime: Id, boot: Id) -> Owner {
        Owner {
            runtime,
            boot,
            left: Left::InUse,
        }
    }
    /// Whether another record names the same domain.
    pub fn same(&self, other: &Owner) -> bool {
        (self.runtime, self.boot) == (other.runtime, other.boot)
    }
    /// The record's bytes.
    #[inline(never)]
    pub fn encode(&self) -> [u8; OWNER_SIZE] {
        let mut out = [0u8; OWNER_SIZE];
        let (magic, rest) = out.split_at_mut(8);
        magic.copy_from_slice(match self.left {
            Left::InUse => MAGIC,
            _ => LEFT_MAGIC,
        });
        let (ids, tail) = rest.split_at_mut(32);
        let (r, b) = ids.split_at_mut(16);
        r.copy_from_slice(&self.runtime.0);
        b.copy_from_slice(&self.boot.0);
        let _ = tail;
        let crc = out.get(..40).map_or(0, crc32);
        if let Some(c) = out.get_mut(40..44) {
            c.copy_from_slice(&crc.to_le_bytes());
        }
        let left = self.left.encode();
        if let Some((l, c)) = out.get_mut(44..60).and_then(|r| r.split_at_mut_checked(12)) {
            l.copy_from_slice(&left);
            c.copy_from_slice(&crc32(&left).to_le_bytes());
        }
        out
    }
    /// `None`: empty, of another version, or damaged: no domain.
    pub fn parse(b: &[u8]) -> Option<Owner> {
        let body = b.get(..40)?;
        let magic = body.get(..8)?;
        if (magic != MAGIC && magic != LEFT_MAGIC) || b.get(40..44)? != crc32(body).to_le_bytes() {
            return None;
        }
        let id = |r: core::ops::Range<usize>| Some(Id(body.get(r)?.try_into().ok()?));
        Some(Owner {
            runtime: id(8..24)?,
            boot: id(24..40)?,
            left: match magic == LEFT_MAGIC {
                true => Left::parse(b),
                false => Left::InUse,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn round_trip() {
        let o = Owner::new(Id([3; 16]), Id([9; 16]));
        let mut b = o.encode();
        assert_eq!(Owner::parse(&b), Some(o));
        b[9] ^= 1;
        assert_eq!(Owner::parse(&b), None);
        assert_eq!(Owner::parse(&[]), None);
    }

    /// Whatever is damaged or of an earlier version: somebody may have changed the legs since.
    #[test]
    fn how_it_was_left() {
        let o = Owner::new(Id([3; 16]), Id([9; 16]));
        let all = [
            Left::InUse,
            Left::Clean(8),
            Left::Reopened,
            Left::Flushing(7),
            Left::Flushing(u64::MAX),
        ];
        for left in all {
            let said = Owner { left, ..o };
            let b = said.encode();
            assert_eq!(Owner::parse(&b), Some(said));
            assert!(o.same(&said));
            for i in 44..60 {
                let mut d = b;
                d[i] ^= 0x10;
                assert_eq!(Owner::parse(&d), Some(o), "{left:?} {i}");
            }
            // A record that ends before it, and one with zeros there.
            let mut short = b;
            short[44..].fill(0);
            assert_eq!(Owner::parse(&short), Some(o));
            assert_eq!(Owner::parse(&b[..44]), Some(o));
        }
    }
}
