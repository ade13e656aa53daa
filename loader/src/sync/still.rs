//! The end of the return of a leg under programs that work: with nobody inside, what may have escaped the walks before is
//! made equal, and the leg is part of the pair again.
use super::equal::{Same, Seen, Work};
use super::heal::locked;
use super::joining;
use super::keep::Keeper;
use super::ledger::Ledger;
use super::session;
use super::walk::{Tally, Visit, walk};
use crate::fail::Res;
use crate::pair::alone;
use crate::pair::domain::Attached;
use indicatif::ProgressBar;
use mirror_core::{BothLocked, Leg};
use std::io;

/// What came of it.
pub enum End {
    /// Leg b is back.
    Back {
        /// Paths that were repaired at last.
        repaired: u64,
        /// Nothing is known to differ any more.
        whole: bool,
    },
    /// More is to be compared.
    NotYet(NotYet),
    /// Leg b was left behind again.
    Left,
}

/// Why leg b is not back yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// Names were moved, or something was repaired, while it was walked over these objects: too many to look at all of
    /// them while programs wait.
    Many(u64),
    /// Objects were recorded as different meanwhile.
    Recorded,
    /// The last look could not look at everything.
    Trouble,
}

/// Objects that programs wait for, at most.
pub const FEW: u64 = 50_000;

struct Still<'a> {
    held: &'a BothLocked,
}

impl Visit for Still<'_> {
    fn differs(&mut self, work: &mut Work<'_>, rel: &[u8], _: Seen) -> io::Result<Seen> {
        work.make_equal(rel, self.held)
    }
}

/// After a walk that found `tally`, with `ledger` begun before it and the contents in `same` seen to be equal. What was
/// renamed meanwhile may have been where the walk was not: then all names are looked at once more, with nobody inside.
pub fn end(p: &Attached, ledger: Ledger, tally: &Tally, same: Option<Same>) -> Res<End> {
    // As much as can be before programs wait.
    p.pair.legs.b.root.sync()?;
    locked(p, |held| -> Res<End> {
        // The second cannot be: who maps so has seen that leg b is away, and held it there.
        if !p.runtime.word().joining() || alone::any(&p.pair) {
            return Ok(End::Left);
        }
        let moved = p.still.moved();
        if ledger.grew(p, held)? {
            return Ok(End::NotYet(NotYet::Recorded));
        }
        let mut repaired = 0;
        if moved || tally.differences() > 0 {
            if tally.objects > FEW {
                return Ok(End::NotYet(NotYet::Many(tally.objects)));
            }
            let mut w = session::work(p, Leg::A, Keeper::new(true), ProgressBar::hidden());
            w.same = same;
            let r = walk(&mut w, &mut Still { held });
            for rel in std::mem::take(&mut w.made).into_iter().rev() {
                let _ = w.finish_made(&rel, held);
            }
            let t = r.map_err(|e| session::stopped(p, e, Leg::B))?;
            if !t.trouble.is_empty() {
                return Ok(End::NotYet(NotYet::Trouble));
            }
            repaired = t.differences();
        }
        p.pair.legs.b.root.sync()?;
        if !joining::is_back(p, held)? {
            return Ok(End::Left);
        }
        let whole = ledger.struck(p, held)?;
        Ok(End::Back { repaired, whole })
    })?
}
