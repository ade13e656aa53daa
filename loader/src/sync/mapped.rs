//! Files that programs have mapped for writing (`mirror_core::mapped`): how many there are, and what is done about
//! those whose programs are gone.
use super::equal::Seen;
use crate::pair::domain::{self, Attached};
use crate::pair::legs::Pair;
use crate::pair::runtime::Runtime;
use crate::text;
use crate::tree::differs::{Differs, Presence};
use mirror_core::mapped::ENTRIES;
use mirror_pair::mapped;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Files that are mapped now, and files whose programs were killed.
pub struct Count {
    /// Some program has them mapped.
    pub live: u64,
    /// Nobody has: they are to be carried over.
    pub dead: u64,
}

/// What says who has them mapped.
pub(super) fn marks(pair: &Pair) -> Option<OwnedFd> {
    let n = mapped::open(pair.legs.a.root.fd().as_raw_fd()).ok()?;
    // SAFETY: opened just now, nobody else's.
    Some(unsafe { OwnedFd::from_raw_fd(n) })
}

/// How many there are.
pub fn count(rt: &Runtime, pair: &Pair) -> Count {
    let mut c = Count { live: 0, dead: 0 };
    if rt.view().any_mapped() {
        let marks = marks(pair);
        for nth in (0..ENTRIES).filter(|n| rt.view().mapped(*n).is_some()) {
            match &marks {
                Some(n) if !mapped::is_held(n.as_raw_fd(), nth) => c.dead += 1,
                _ => c.live += 1,
            }
        }
    }
    c
}

/// How many files of the pair programs have mapped for writing now.
pub fn live(pair: &Pair) -> u64 {
    let rt = domain::boot_of(pair)
        .ok()
        .and_then(|b| domain::existing(pair, b));
    rt.map_or(0, |rt| count(&rt, pair).live)
}

/// What that means.
pub fn sentence(live: u64) -> Option<String> {
    let is = if live == 1 { "is" } else { "are" };
    (live > 0).then(|| {
        format!(
            "{} {is} mapped for writing now: leg b gets what is stored there at msync, fsync or munmap",
            text::plural(live, "file")
        )
    })
}

/// Whether a difference may be what a program stores that has the file mapped now.
pub fn may_explain(p: &Attached, seen: &Seen) -> bool {
    let Presence::Both(d) = seen.what else {
        return false;
    };
    let (Some(s), Some(c)) = (&seen.source, &seen.copy) else {
        return false;
    };
    if !(Differs::CONTENT | Differs::MTIME).contains(d) {
        return false;
    }
    let view = p.runtime.view();
    let is = |a: u64, b: u64| view.mapped_file(a).is_some_and(|(_, m)| m.other == b);
    is(s.st.st_ino, c.st.st_ino) || is(c.st.st_ino, s.st.st_ino)
}
