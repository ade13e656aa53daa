//! Whether somebody audits the pair, and what was found: `.mirror/audit` of leg a. Who audits holds a
//! shared flock on it; its text is for display.
use crate::text;
use crate::tree::beneath::{Root, like_folder};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;

/// The file.
pub const FILE: &[u8] = b".mirror/audit";
/// Length of its text.
const LEN: usize = 128;

/// What an audit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its process.
    pub pid: u32,
    /// `t1` to `t4`.
    pub tier: String,
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
    fn encode(&self) -> Vec<u8> {
        let mut b = format!(
            "{} {} {} {} {} {} {}",
            self.pid, self.tier, self.since, self.last, self.findings, self.healed, self.lost
        )
        .into_bytes();
        b.resize(LEN - 1, b' ');
        b.push(b'\n');
        b
    }

    fn parse(b: &[u8]) -> Option<Audited> {
        let mut f = std::str::from_utf8(b).ok()?.split_whitespace();
        let pid = f.next()?.parse().ok()?;
        let tier = mirror_audit::Tier::parse(f.next()?)?.word().to_owned();
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

/// The right to say that the pair is audited, until it is dropped.
pub struct Sign(OwnedFd);

impl Sign {
    /// Puts it up.
    pub fn put(root: &Root) -> io::Result<Sign> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let fd = root.control(FILE, flags, Mode::RUSR | Mode::WUSR)?;
        if rustix::fs::fstat(&fd)?.st_size == 0 {
            like_folder(&root.dir(b".mirror")?, &fd);
        }
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared)?;
        Ok(Sign(fd))
    }

    /// Says how it stands.
    pub fn say(&self, a: &Audited) {
        // For display alone: a full leg has no room for it.
        let _ = rustix::io::pwrite(&self.0, &a.encode(), 0);
    }
}

/// What the file in leg a says, and whether an audit runs.
pub fn of(root: &Root) -> Option<(Audited, bool)> {
    let fd = root.control(FILE, OFlags::RDONLY, Mode::empty()).ok()?;
    let mut b = [0u8; LEN];
    let n = rustix::io::pread(&fd, &mut b, 0).ok()?;
    let a = Audited::parse(b.get(..n)?)?;
    let free = rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive);
    Some((a, free == Err(rustix::io::Errno::WOULDBLOCK)))
}

impl Audited {
    /// What was found and not repaired since a time, as a sentence.
    pub fn left(&self, since: u64) -> Option<String> {
        let left = self.findings.saturating_sub(self.healed);
        match (left > 0, self.lost > 0) {
            _ if self.last < since => None,
            (true, _) => Some(format!(
                "the audit saw {} that did not go through the mirror",
                text::plural(left, "change")
            )),
            (false, true) => Some("the audit has lost events: changes may have been missed".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_read_back() {
        let a = Audited {
            pid: 7,
            tier: "t4".into(),
            since: 1,
            last: 2,
            findings: 3,
            healed: 1,
            lost: 0,
        };
        let b = a.encode();
        assert_eq!((b.len(), Audited::parse(&b)), (LEN, Some(a.clone())));
        assert_eq!(Audited::parse(b"7 t9 1 2 3 1 0\n"), None);
        assert_eq!(Audited::parse(b""), None);
        assert!(a.left(0).is_some_and(|s| s.contains("2 changes")));
        assert_eq!(a.left(3), None);
    }
}
