//! The first bytes of a runtime file: whose it is. Written before anybody maps it, and read from the file:
//! the mapping may belong to somebody who is not believed yet.
use crate::record::{Id, crc32};
use crate::runtime::{FACTS_SIZE, MAGIC, SIZE, VERSION};
use crate::{LockKind, PerLeg};

/// Whose runtime file this is. Fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Random id of this file: stands in both legs' `.mirror/owner`.
    pub id: Id,
    /// The kernel's boot id (/proc/sys/kernel/random/boot_id).
    pub boot: Id,
    /// The pair's id.
    pub pair: Id,
    /// Stripes of each lock table.
    pub stripes: u64,
    /// Which locks its processes take.
    pub locks: LockKind,
    /// Device and inode of the roots of leg a and b.
    pub legs: PerLeg<(u64, u64)>,
}

impl Facts {
    /// The file's first bytes: the facts, then a file in which nobody is inside and nothing is pending.
    pub fn encode(&self) -> [u8; FACTS_SIZE + 8] {
        let id = |i: Id| {
            let (a, b) = i.0.split_at(8);
            [a, b].map(|h| h.try_into().map_or(0, u64::from_le_bytes))
        };
        let ([i0, i1], [b0, b1], [p0, p1]) = (id(self.id), id(self.boot), id(self.pair));
        let PerLeg {
            a: (da, ia),
            b: (db, ib),
        } = self.legs;
        let words = [
            MAGIC,
            VERSION,
            SIZE as u64,
            i0,
            i1,
            b0,
            b1,
            p0,
            p1,
            self.stripes,
            da,
            ia,
            db,
            ib,
            self.locks.number(),
        ];
        let mut out = [0u8; FACTS_SIZE + 8];
        let mut put = |n: usize, w: u64| {
            let at = n.wrapping_mul(8);
            if let Some(d) = out.get_mut(at..at.wrapping_add(8)) {
                d.copy_from_slice(&w.to_le_bytes());
            }
        };
        for (n, w) in words.into_iter().enumerate() {
            put(n, w);
        }
        put(FACTS_SIZE / 8, crate::word::StateWord::FRESH.0);
        let crc = u64::from(out.get(..FACTS_SIZE - 8).map_or(0, crc32));
        if let Some(d) = out.get_mut(FACTS_SIZE - 8..FACTS_SIZE) {
            d.copy_from_slice(&crc.to_le_bytes());
        }
        out
    }

    /// `None`: of another version or size, or damaged.
    pub fn parse(b: &[u8]) -> Option<Facts> {
        let word = |n: usize| {
            let at = n.checked_mul(8)?;
            let w = b.get(at..at.checked_add(8)?)?;
            Some(u64::from_le_bytes(w.try_into().ok()?))
        };
        let crc = crc32(b.get(..FACTS_SIZE - 8)?);
        let fixed = [word(0)?, word(1)?, word(2)?] == [MAGIC, VERSION, SIZE as u64];
        if !fixed || word(FACTS_SIZE / 8 - 1)? != u64::from(crc) {
            return None;
        }
        let id = |at: usize| Some(Id(b.get(at..at.checked_add(16)?)?.try_into().ok()?));
        Some(Facts {
            id: id(24)?,
            boot: id(40)?,
            pair: id(56)?,
            stripes: word(9)?,
            locks: LockKind::of(word(14)?)?,
            legs: PerLeg {
                a: (word(10)?, word(11)?),
                b: (word(12)?, word(13)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_round_trip() {
        let f = Facts {
            id: Id([3; 16]),
            boot: Id([9; 16]),
            pair: Id([5; 16]),
            stripes: 7,
            locks: LockKind::Memory,
            legs: [(1, 2), (3, 4)].into(),
        };
        let mut b = f.encode();
        assert_eq!(Facts::parse(&b), Some(f));
        for at in [0, 8, 16, 24, 79, 80, 104, 112, 120] {
            b[at] ^= 1;
            assert_eq!(Facts::parse(&b), None, "{at}");
            b[at] ^= 1;
        }
        assert_eq!(Facts::parse(&b[..FACTS_SIZE - 1]), None);
        assert_eq!(Facts::parse(&[0; 4096]), None);
    }
}
