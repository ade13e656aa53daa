//! What an audit holds for a decision, and what it says of itself: the texts of `.mirror/held` and
//! `.mirror/audit` of leg a. Whoever uses the pair can write both.
use crate::Tier;
use alloc::format;
use alloc::vec::Vec;
use mirror_core::Leg;
use mirror_core::escape::{escaped, unescaped};
use mirror_core::path::is_control;

/// A name that went away on one leg: a line of `.mirror/held`. The leg's letter, when, the path, who (both
/// with fstab's escapes).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The leg where it went away.
    pub leg: Leg,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Below the leg.
    pub rel: Vec<u8>,
    /// Who did it: a text for people.
    pub by: Vec<u8>,
}

impl Held {
    /// Its line.
    pub fn line(&self) -> Vec<u8> {
        let mut b = format!("{} {} ", self.leg.letter(), self.time).into_bytes();
        b.extend(escaped(&self.rel));
        b.push(b' ');
        b.extend(escaped(&self.by));
        b.push(b'\n');
        b
    }

    fn parse(line: &[u8]) -> Option<Held> {
        let mut words = line.split(|b| *b == b' ');
        let leg = Leg::from_letter(words.next()?)?;
        let time = core::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let rel: Vec<u8> = unescaped(words.next()?).collect();
        let by = unescaped(words.next()?).collect();
        // The whole leg, and what is not a user's, is nobody's to decide.
        let mut names = rel.split(|b| *b == b'/');
        let plain = names.all(|n| !n.is_empty() && n != b"." && n != b"..");
        (plain && !rel.contains(&0) && !is_control(&rel)).then_some(Held { leg, time, rel, by })
    }

    /// All lines of the file, a path once, the newest; what is no line is passed over.
    pub fn list(b: &[u8]) -> Vec<Held> {
        let mut all: Vec<Held> = b.split(|b| *b == b'\n').filter_map(Held::parse).collect();
        all.sort_by(|x, y| (&x.rel, y.time).cmp(&(&y.rel, x.time)));
        all.dedup_by(|x, y| x.rel == y.rel);
        all
    }
}

/// What an audit says of itself, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its process.
    pub pid: u32,
    /// Its source.
    pub tier: Tier,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// When it last found something.
    pub last: u64,
    /// Changes that were not mirrored.
    pub findings: u64,
    /// Of these, carried to the other leg.
    pub healed: u64,
    /// How often events were lost.
    pub lost: u64,
}

impl Audited {
    /// Length of its text.
    pub const LEN: usize = 128;

    /// Its text: one line, always as long.
    pub fn encode(&self) -> Vec<u8> {
        let word = self.tier.word();
        let mut b = format!(
            "{} {word} {} {} {} {} {}",
            self.pid, self.since, self.last, self.findings, self.healed, self.lost
        )
        .into_bytes();
        b.resize(Audited::LEN - 1, b' ');
        b.push(b'\n');
        b
    }

    /// The inverse.
    pub fn parse(b: &[u8]) -> Option<Audited> {
        let mut f = core::str::from_utf8(b).ok()?.split_whitespace();
        let pid = f.next()?.parse().ok()?;
        let tier = Tier::parse(f.next()?)?;
        let mut number = || f.next()?.parse().ok();
        Some(Audited {
            pid,
            tier,
            since: number()?,
            last: number()?,
            findings: number()?,
            healed: number()?,
            lost: number()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back() {
        let h = |rel: &[u8], time| Held {
            leg: Leg::B,
            time,
            rel: rel.into(),
            by: b"rm[7] root".to_vec(),
        };
        let all = [h(b"a b/c\n\xff", 1), h(b"d", 2)];
        let lines: Vec<u8> = all.iter().flat_map(Held::line).collect();
        assert_eq!(Held::list(&lines), all);
        // The newest of a path.
        assert_eq!(
            Held::list(&[h(b"d", 1).line(), h(b"d", 2).line()].concat()),
            [h(b"d", 2)]
        );
        for bad in [
            &b"a 1  x"[..],
            b"c 1 f x",
            b"a 1 ../f x",
            b"a 1 .mirror/leg x",
            b"a 1 f",
            b"a x f x",
            b"a 1 /f x",
            b"a 1 d/./f x",
            b"",
        ] {
            assert_eq!(Held::list(bad), [], "{bad:?}");
        }
    }

    #[test]
    fn an_audits_own_text_is_read_back() {
        let a = Audited {
            pid: u32::MAX,
            tier: Tier::T2,
            since: u64::MAX,
            last: 7,
            findings: 3,
            healed: 2,
            lost: 0,
        };
        let b = a.encode();
        assert_eq!((b.len(), Audited::parse(&b)), (Audited::LEN, Some(a)));
        assert_eq!(Audited::parse(b"1 t9 1 1 1 1 1"), None);
        assert_eq!(Audited::parse(b"1 t2 1 1 1 1"), None);
    }
}
