//! The record of the last whole comparison of a pair, as it stands in a leg.
use crate::text;
use crate::tree::beneath::Root;
use std::io;

/// Path of the record.
pub const VERIFIED: &[u8] = b".mirror/verified";

/// A record of a whole comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Seconds since 1970.
    pub time: u64,
    /// Objects looked at.
    pub objects: u64,
    /// How many differ.
    pub differences: u64,
    /// How many could not be compared.
    pub uncompared: u64,
}

impl Verified {
    /// A leg's record, if there is one; an error if it cannot be understood.
    pub fn read(root: &Root) -> Result<Option<Verified>, ()> {
        match root.read(VERIFIED) {
            Ok(b) => Verified::parse(&b).map(Some).ok_or(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// Its text. The fourth number is missing in older ones.
    fn parse(b: &[u8]) -> Option<Verified> {
        let mut f = std::str::from_utf8(b).ok()?.split_whitespace();
        Some(Verified {
            time: text::from_iso(f.next()?)?,
            objects: f.next()?.parse().ok()?,
            differences: f.next()?.parse().ok()?,
            uncompared: f.next().map_or(Some(0), |n| n.parse().ok())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_and_newer_records() {
        let of = |s: &str| {
            Verified::parse(s.as_bytes()).map(|v| (v.objects, v.differences, v.uncompared))
        };
        assert_eq!(of("2026-01-02T03:04:05Z 7 1\n"), Some((7, 1, 0)));
        assert_eq!(of("2026-01-02T03:04:05Z 7 1 2\n"), Some((7, 1, 2)));
        for bad in [
            "",
            "junk",
            "2026-01-02T03:04:05Z 7",
            "2026-01-02T03:04:05Z 7 1 x",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
