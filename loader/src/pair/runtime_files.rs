//! Runtime files: where those of a pair lie, which one a leg names, and which are given up.
use super::legs::{OpenLeg, Pair};
use mirror_core::PerLeg;
use mirror_core::facts::Facts;
use mirror_core::owner::Owner;
use mirror_core::record::{Id, OWNER_RECORD};
use mirror_pair::runtime;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The domain that a leg names.
pub(super) fn read_owner(leg: &OpenLeg) -> Option<Owner> {
    Owner::parse(&leg.root.read(OWNER_RECORD).ok()?)
}

/// The folder in which the pair's runtime files lie, and what their names begin with.
pub(super) fn place(leg: &OpenLeg) -> (PathBuf, &[u8]) {
    let whole = leg.record.runtime.as_bytes();
    let end = whole.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let (folder, start) = whole.split_at(end);
    (
        PathBuf::from(OsStr::from_bytes(folder)),
        start.strip_prefix(b"/").unwrap_or(start),
    )
}

/// Removes the runtime file that a leg names, if it is this pair's own. Nobody is attached: the owner
/// record is locked exclusively. (One that another member made may stay: nobody looks at it again.)
pub fn remove(p: &Pair, leg: &OpenLeg) {
    let inodes = p.trees().map(|root| (root.dev, root.ino));
    remove_if(leg, |_| inodes);
}

/// The same of a leg whose partner is not at hand.
pub fn forget(leg: &OpenLeg) {
    remove_if(leg, |found| {
        let mut legs = found.legs;
        legs[leg.record.leg] = (leg.root.dev, leg.root.ino);
        legs
    });
}

/// Not only the one that the record names: who founded the pair's domain in a sandbox with a folder of
/// its own has left the one before, which nobody names any more.
fn remove_if(leg: &OpenLeg, legs: impl Fn(&Facts) -> PerLeg<(u64, u64)>) {
    let ours = |id: Id| {
        let n = runtime::open(&leg.record, id).ok()?;
        // SAFETY: a descriptor that was opened just now and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(n) };
        let control = leg.owner().ok()?;
        let legs = |found: &Facts| Some(legs(found));
        Some(runtime::removable(
            fd.as_raw_fd(),
            id,
            &leg.record,
            control,
            legs,
        ))
    };
    let (folder, start) = place(leg);
    let there = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ids = there.filter_map(|e| Id::from_hex(e.file_name().as_bytes().strip_prefix(start)?));
    for id in read_owner(leg).map(|o| o.runtime).into_iter().chain(ids) {
        if ours(id) == Some(true) {
            let _ = std::fs::remove_file(leg.runtime_file(id));
        }
    }
}
