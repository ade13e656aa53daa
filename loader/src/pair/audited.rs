//! Whether somebody audits the pair, and what was found: `.mirror/audit` of leg a. Who audits holds a
//! shared flock on it; its text (`mirror_audit::Audited`) is for display.
use crate::text;
use crate::tree::beneath::{Root, like_folder};
pub use mirror_audit::Audited;
use mirror_sys::Byte;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The file.
pub const FILE: &[u8] = b".mirror/audit";
/// The byte, far behind the text, that who wants the pair for himself locks. An audit of all pairs lets go of
/// the pair then; one of this pair alone has the byte locked too, and stays.
const WANTED: u64 = 1 << 20;
/// How often a lock is tried that others have for moments.
const LOOKS: u32 = 4;
/// How long an audit may take to let go. It comes round every two seconds, and later on a busy machine.
const LETS_GO: Duration = Duration::from_secs(15);

/// The right to say that the pair is audited, until it is dropped.
pub struct Sign(OwnedFd);

impl Sign {
    /// Puts it up. `stays`: nobody can make it let go.
    pub fn put(root: &Root, stays: bool) -> io::Result<Sign> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let fd = root.control(FILE, flags, Mode::RUSR | Mode::WUSR)?;
        if rustix::fs::fstat(&fd)?.st_size == 0 {
            like_folder(&root.dir(b".mirror")?, &fd);
        }
        patiently(&fd, FlockOperation::NonBlockingLockShared)?;
        if stays {
            // Where it cannot be locked the audit is asked to let go, and does not.
            let _ = mirror_sys::lock_of_description(fd.as_raw_fd(), WANTED, Byte::Shared);
        }
        Ok(Sign(fd))
    }

    /// Whether somebody wants the pair for himself.
    pub fn wanted(&self) -> bool {
        wanted(&self.0)
    }

    /// Says how it stands.
    pub fn say(&self, a: &Audited) {
        // For display alone: a full leg has no room for it.
        let _ = rustix::io::pwrite(&self.0, &a.encode(), 0);
    }
}

/// Takes it; who only looks whether somebody has it locked has it for a moment.
fn patiently(fd: &OwnedFd, how: FlockOperation) -> rustix::io::Result<()> {
    for _ in 0..LOOKS {
        match rustix::fs::flock(fd, how) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(5)),
            r => return r,
        }
    }
    rustix::fs::flock(fd, how)
}

fn wanted(fd: &OwnedFd) -> bool {
    // Not by asking: an audit that stays has it locked as well, shared.
    let lock = |how| mirror_sys::lock_of_description(fd.as_raw_fd(), WANTED, how);
    let taken = lock(Byte::Shared);
    let _ = lock(Byte::Free);
    taken == Err(mirror_core::Errno::EAGAIN)
}

/// Whether somebody wants the pair for himself.
pub fn is_wanted(root: &Root) -> bool {
    let fd = root.control(FILE, OFlags::RDONLY, Mode::empty());
    fd.is_ok_and(|fd| wanted(&fd))
}

/// Asks the audits of a pair to let go of it, as long as what is returned lives. None: there is none, or it
/// stays.
pub fn ask(root: &Root) -> Option<OwnedFd> {
    let fd = root.control(FILE, OFlags::RDWR, Mode::empty()).ok()?;
    let free = || rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok();
    if free() {
        return None;
    }
    // Who only looks whether somebody has it locked has it for a moment.
    let mut tries = (0..20).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        mirror_sys::lock_of_description(fd.as_raw_fd(), WANTED, Byte::Alone)
    });
    tries.find(Result::is_ok)?.ok()?;
    let begun = Instant::now();
    while !free() && begun.elapsed() < LETS_GO {
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(fd)
}

/// Keeps audits away from the pair, as long as what is returned lives: one of all pairs lets go of it. Err: the process
/// of one that does not.
pub fn keep_away(root: &Root) -> Result<Option<OwnedFd>, u32> {
    let asked = ask(root);
    let gone =
        |fd: &OwnedFd| rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive).is_ok();
    match asked {
        Some(fd) if gone(&fd) => Ok(Some(fd)),
        _ => match of(root) {
            Some((a, true)) => Err(a.pid),
            _ => Ok(None),
        },
    }
}

/// What an audit has found and not repaired, or may have missed, up to the end of the second `since` or later, as a
/// sentence; and whether it is after that second.
pub fn seen(root: &Root, since: u64) -> io::Result<Option<(String, bool)>> {
    let b = match root.read(FILE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        r => r?,
    };
    // Where it had no room for its text, the pair is marked all the same.
    let said = b.get(..Audited::LEN).and_then(Audited::parse);
    Ok(said.and_then(|a| Some((left(&a, since)?, a.last > since))))
}

/// What the file in leg a says, and whether an audit runs.
pub fn of(root: &Root) -> Option<(Audited, bool)> {
    let fd = root.control(FILE, OFlags::RDONLY, Mode::empty()).ok()?;
    let mut b = [0u8; Audited::LEN];
    let n = rustix::io::pread(&fd, &mut b, 0).ok()?;
    let a = Audited::parse(b.get(..n)?)?;
    let free = patiently(&fd, FlockOperation::NonBlockingLockExclusive);
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
