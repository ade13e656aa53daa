//! Whether somebody audits the pair, and what was found: `.mirror/audit` of leg a. Who audits holds a
//! shared flock on it; its text (`mirror_audit::Audited`) is for display.
use crate::text;
use crate::tree::beneath::{Root, like_folder};
pub use mirror_audit::Audited;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;

/// The file.
pub const FILE: &[u8] = b".mirror/audit";
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
    let mut b = [0u8; Audited::LEN];
    let n = rustix::io::pread(&fd, &mut b, 0).ok()?;
    let a = Audited::parse(b.get(..n)?)?;
    let free = rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive);
    Some((a, free == Err(rustix::io::Errno::WOULDBLOCK)))
}

/// What was found and not repaired since a time, as a sentence.
pub fn left(a: &Audited, since: u64) -> Option<String> {
    let left = a.findings.saturating_sub(a.healed);
    match (left > 0, a.lost > 0) {
        _ if a.last < since => None,
        (true, _) => Some(format!(
            "the audit saw {} that did not go through the mirror",
            text::plural(left, "change")
        )),
        (false, true) => Some("the audit has lost events: changes may have been missed".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_and_not_healed_is_said() {
        let a = Audited {
            pid: 7,
            tier: mirror_audit::Tier::T4,
            since: 1,
            last: 2,
            findings: 3,
            healed: 1,
            lost: 0,
        };
        assert!(left(&a, 0).is_some_and(|s| s.contains("2 changes")));
        assert_eq!(left(&a, 3), None);
    }
}
