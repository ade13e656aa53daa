//! The mark `.mirror/away` of leg a: leg b was left behind, since when and why; or it is back. While the mark
//! stands, leg b is no part of the pair: nothing is written to it, and it is no source of anything.
//!
//! 512 bytes, little-endian: magic "MIRRAWAY", version (u32), state (0 back, 1 away), the leg (1), why, zero;
//! id of the pair, id of the leg that is away; epoch (u32), errno (u32), since (u64, seconds since 1970), pid
//! (u32), length of the path (u16), zeros (u16); the program's name (16), the path (256, cut); zeros; at 508
//! the CRC-32 of all before it. At 512, outside the record, a count (u64) of programs that came to the pair
//! while the mark stood.
use crate::Errno;
use crate::record::{Id, crc32};

/// The mark, below leg a's root.
pub const AWAY_MARK: &[u8] = b".mirror/away";
/// A few bytes that are written to find out whether a leg takes any, below a leg's root.
pub const PROBE: &[u8] = b".mirror/probe";
/// Size of the record in bytes.
pub const AWAY_SIZE: usize = 512;
/// Where the count of programs stands.
pub const COUNT_AT: u64 = AWAY_SIZE as u64;

const MAGIC: &[u8; 8] = b"MIRRAWAY";
const VERSION: u32 = 1;
const NAME: usize = 16;
/// Longest path that is kept.
pub const PATH: usize = 256;
const SUM_AT: usize = AWAY_SIZE - 4;

/// Why a leg was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It failed.
    Failed,
    /// It was full.
    Full,
    /// An administrator took it offline.
    Offline,
    /// It was not there: at its place was nothing, or no leg.
    Missing,
}

/// The mark, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// Whether leg b is away. Otherwise it was, and is back.
    pub away: bool,
    /// Why.
    pub why: Why,
    /// The pair.
    pub pair: Id,
    /// The leg's own id.
    pub leg: Id,
    /// Changes of who is in sync, so far.
    pub epoch: u32,
    /// What the leg answered; 0: nothing.
    pub errno: Errno,
    /// Seconds since 1970.
    pub since: u64,
    /// Who found it.
    pub pid: u32,
    /// That program's name, zeros behind it.
    pub name: [u8; NAME],
    path: [u8; PATH],
    len: u16,
}

impl Away {
    /// Leg `leg` of `pair` is away: nothing else is said yet.
    pub const fn of(pair: Id, leg: Id, why: Why) -> Away {
        Away {
            away: true,
            why,
            pair,
            leg,
            epoch: 2,
            errno: Errno(0),
            since: 0,
            pid: 0,
            name: [0; NAME],
            path: [0; PATH],
            len: 0,
        }
    }
    /// What was being changed (cut).
    pub fn path(&self) -> &[u8] {
        self.path.get(..usize::from(self.len)).unwrap_or(&[])
    }
    /// Says what was being changed.
    pub fn set_path(&mut self, rel: &[u8]) {
        self.path = [0; PATH];
        self.len = rel.len().min(PATH) as u16;
        for (d, s) in self.path.iter_mut().zip(rel) {
            *d = *s;
        }
    }
    /// The program's name as far as it goes.
    pub fn program(&self) -> &[u8] {
        self.name.split(|b| *b == 0).next().unwrap_or(&[])
    }
    /// The record's bytes.
    #[inline(never)]
    pub fn encode(&self) -> [u8; AWAY_SIZE] {
        let mut out = [0u8; AWAY_SIZE];
        let mut put = |at: usize, bytes: &[u8]| {
            let to = out.iter_mut().skip(at);
            for (d, s) in to.zip(bytes) {
                *d = *s;
            }
        };
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        let why = match self.why {
            Why::Failed => 1,
            Why::Full => 2,
            Why::Offline => 3,
            Why::Missing => 4,
        };
        put(12, &[u8::from(self.away), 1, why, 0]);
        put(16, &self.pair.0);
        put(32, &self.leg.0);
        put(48, &self.epoch.to_le_bytes());
        put(52, &self.errno.0.to_le_bytes());
        put(56, &self.since.to_le_bytes());
        put(64, &self.pid.to_le_bytes());
        put(68, &self.len.to_le_bytes());
        put(72, &self.name);
        put(72 + NAME, &self.path);
        let sum = out.get(..SUM_AT).map_or(0, crc32);
        if let Some(d) = out.get_mut(SUM_AT..) {
            d.copy_from_slice(&sum.to_le_bytes());
        }
        out
    }
    /// The inverse. Anybody of the pair may have written it.
    pub fn parse(b: &[u8]) -> Option<Away> {
        let body = b.get(..SUM_AT)?;
        let word = |at: usize| Some(u32::from_le_bytes(body.get(at..)?.first_chunk().copied()?));
        let id = |at: usize| Some(Id(body.get(at..)?.first_chunk().copied()?));
        let sum = u32::from_le_bytes(b.get(SUM_AT..)?.first_chunk().copied()?);
        if body.get(..8)? != MAGIC || word(8)? != VERSION || sum != crc32(body) {
            return None;
        }
        let [state, leg, why, _] = word(12)?.to_le_bytes();
        let len = word(68)? as u16;
        if state > 1 || leg != 1 || usize::from(len) > PATH {
            return None;
        }
        Some(Away {
            away: state == 1,
            why: match why {
                1 => Why::Failed,
                2 => Why::Full,
                3 => Why::Offline,
                4 => Why::Missing,
                _ => return None,
            },
            pair: id(16)?,
            leg: id(32)?,
            epoch: word(48)?,
            errno: Errno(word(52)? as i32),
            since: u64::from_le_bytes(body.get(56..)?.first_chunk().copied()?),
            pid: word(64)?,
            name: body.get(72..)?.first_chunk().copied()?,
            path: body.get(72 + NAME..)?.first_chunk().copied()?,
            len,
        })
    }
}

/// What stands in the file of the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing: leg b was never away.
    None,
    /// Leg b was away, and is back.
    Back(Away),
    /// Leg b is away.
    Stands(Away),
    /// It cannot be understood. Leg b counts as away: what was meant to be written there was that.
    Damaged,
}

impl Mark {
    /// What `bytes`, the file's first [`AWAY_SIZE`] or all there are, say.
    pub fn of(bytes: &[u8]) -> Mark {
        if bytes.is_empty() {
            return Mark::None;
        }
        match Away::parse(bytes) {
            Some(a) if a.away => Mark::Stands(a),
            Some(a) => Mark::Back(a),
            None => Mark::Damaged,
        }
    }
    /// Whether leg b is away.
    pub const fn stands(&self) -> bool {
        matches!(self, Mark::Stands(_) | Mark::Damaged)
    }
    /// The epoch after which the next one comes.
    pub const fn epoch(&self) -> u32 {
        match self {
            Mark::Back(a) | Mark::Stands(a) => a.epoch,
            Mark::None | Mark::Damaged => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let mut a = Away::of(Id([1; 16]), Id([2; 16]), Why::Full);
        a.errno = Errno::ENOSPC;
        a.since = 1 << 40;
        a.name[..3].copy_from_slice(b"git");
        a.set_path(b"x/y");
        let b = a.encode();
        assert_eq!(Mark::of(&b), Mark::Stands(a));
        assert_eq!((a.path(), a.program()), (&b"x/y"[..], &b"git"[..]));
        a.away = false;
        assert_eq!(Mark::of(&a.encode()), Mark::Back(a));
        a.set_path(&[b'p'; 300]);
        assert_eq!(a.path().len(), PATH);
    }

    #[test]
    fn what_cannot_be_understood_stands() {
        let b = Away::of(Id([1; 16]), Id([2; 16]), Why::Failed).encode();
        for at in 0..AWAY_SIZE {
            let mut c = b;
            c[at] ^= 4;
            assert_eq!(Mark::of(&c), Mark::Damaged, "byte {at}");
        }
        assert_eq!(Mark::of(&b[..100]), Mark::Damaged);
        assert!(Mark::of(&[0]).stands() && !Mark::of(&[]).stands());
    }
}
