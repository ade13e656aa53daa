//! The number that a change goes by: whose it is, and the lock on its file.
//!
//! Rules: with TX held. What is known of a number, and its partner, may have been let go since the handler looked: then
//! the request is looked at anew, and nothing else is an answer.
use crate::change::target::Cx;
use crate::path::loc::{Loc, Place};
use crate::process::{actor, fds};
use core::sync::atomic::Ordering;
use mirror_core::{Errno, K, Leg, LockPlan, Prepared};
use mirror_sys as sys;

/// Pair and leg of a descriptor, if it is of one. A guest's is not on record, nor is one that leg b's being away has
/// left without a partner: its path tells.
pub fn place_of(n: i32) -> Option<(usize, Leg)> {
    match fds::info(n).filter(|_| fds::hint(n) == fds::PAIRED) {
        Some(i) => Some((usize::from(i.pair.load(Ordering::Relaxed)), i.leg())),
        None => by_path(n),
    }
}

/// The same of a number of which nothing is known.
#[inline(never)]
pub fn by_path(n: i32) -> Option<(usize, Leg)> {
    let mut loc = Loc::new();
    match crate::path::object::named(n, &mut loc) {
        Place::In | Place::Root(_) | Place::Nameless | Place::Linked => Some((loc.pair, loc.leg)),
        _ => None,
    }
}

/// Fills what an intent says of a descriptor. `Err`: the number is not what it was when the pair was
/// chosen (dup2, close), or has lost its partner; the caller looks again.
pub fn describe(n: i32, cx: &mut Cx<'_>) -> Result<(), Prepared> {
    let same = place_of(n) == Some((cx.s.pair, cx.lead))
        && (fds::hint(n) == fds::PAIRED || actor::maybe_guest());
    let i = fds::info(n).filter(|_| same).ok_or(Prepared::Unresolved)?;
    if fds::hint(n) == fds::PAIRED {
        for (d, s) in cx.intent.inode.iter_mut().zip(&i.ino) {
            *d = s.load(Ordering::Relaxed);
        }
        cx.hint.read(i);
    }
    cx.number = n;
    Ok(())
}

/// Whether number `n` has lost its partner: then nothing is known of it any more.
#[cold]
#[inline(never)]
pub fn has_lost(n: i32) -> bool {
    let lost = n >= 0 && !sys::is_open(n.saturating_add(K)) && sys::is_open(n);
    if lost {
        fds::set_hint(n, fds::UNKNOWN);
    }
    lost
}

impl Cx<'_> {
    /// The lock on the file of a descriptor, by its record or (a guest) by the kernel.
    pub fn file_of(&self, n: i32) -> Result<LockPlan, Prepared> {
        let known = fds::hint(n) == fds::PAIRED && !actor::maybe_guest();
        let ino = match fds::info(n).filter(|_| known) {
            Some(i) => Ok(i.ino[0].load(Ordering::Relaxed)),
            None if self.lead == Leg::A => sys::fglance(n).map(|st| st.ino()),
            None => match sys::fglance(n.saturating_add(K)) {
                Err(Errno::EBADF) if sys::is_open(n) => return Err(Prepared::Unresolved),
                st => st.map(|st| st.ino()),
            },
        };
        ino.map(|ino| self.file(ino))
            .map_err(|e| Prepared::Answer(Err(e)))
    }
}
