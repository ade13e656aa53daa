//! What is held for a decision: put back from the leg that still has it, or removed from there too.
use super::finding::{Done, Finding};
use crate::fail::{Context, Res};
use crate::pair::away;
use crate::pair::domain::Attached;
use crate::pair::held::{self, Held};
use crate::pair::legs::Pair;
use crate::sync::heal::locked;
use crate::sync::one::One;
use crate::tree::differs::Presence;
use crate::tree::object::Fidelity;
use mirror_core::{BothLocked, Leg};
use std::collections::HashSet;

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Put back.
    Restore,
    /// Removed on the other leg too; what that loses is kept aside.
    Carry,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decided {
    /// Names that are equal on both legs now.
    pub done: u64,
    /// Names that were equal before, or that somebody has made again.
    pub moot: u64,
    /// Names that could not be carried: they stay held.
    pub left: u64,
}

/// Names that are dealt with under one hold of the locks.
const HOLD: usize = 32;

/// What is held of a pair.
pub fn of(p: &Pair) -> Vec<Held> {
    held::read(&p.legs.a.root)
}

/// Notes what a finding holds, if it does.
pub(super) fn note(p: &Attached, f: &Finding, leg: Option<Leg>, held: &BothLocked) {
    let (Done::Held, Some(leg)) = (&f.done, leg) else {
        return;
    };
    let h = Held {
        leg,
        time: f.time / 1_000_000_000,
        rel: f.rel.clone(),
        by: f.by.as_ref().map_or("?".into(), |b| b.shown().into_bytes()),
    };
    // A full leg has no room for it: it is pending all the same.
    let _ = held::add(&p.pair.legs.a.root, &h, held);
}

/// Does what was decided about all that is held.
pub fn decide(p: &Attached, fidelity: Fidelity, choice: Choice) -> Res<Decided> {
    let mut sum = Decided::default();
    let all = of(&p.pair);
    // Ended in the midst of it, the names are all held still, and those that are equal then are moot.
    let mut over: HashSet<&Held> = HashSet::new();
    for some in all.chunks(HOLD) {
        locked(p, |held| {
            for h in some {
                match one(p, fidelity, choice, h, held) {
                    Some(true) => sum.done += 1,
                    Some(false) => sum.moot += 1,
                    None => {
                        sum.left += 1;
                        continue;
                    }
                }
                over.insert(h);
            }
        })?;
    }
    locked(p, |held| {
        // More may have come.
        let left: Vec<Held> = of(&p.pair)
            .into_iter()
            .filter(|h| !over.contains(h))
            .collect();
        held::write(&p.pair.legs.a.root, &left, held)
    })?
    .about("the list of what is held")?;
    Ok(sum)
}

/// One name. Some(false): there is nothing to decide any more.
fn one(
    p: &Attached,
    fidelity: Fidelity,
    choice: Choice,
    h: &Held,
    held: &BothLocked,
) -> Option<bool> {
    if away::is_away(&p.pair) || !p.pair.legs.iter().all(|l| l.unchanged()) {
        return None;
    }
    let from = match choice {
        Choice::Restore => h.leg.other(),
        Choice::Carry => h.leg,
    };
    let mut one = One::directed(p, fidelity, from);
    let seen = one.sure(&h.rel, held).ok()?;
    let (gone, there) = match choice {
        Choice::Restore => (&seen.copy, &seen.source),
        Choice::Carry => (&seen.source, &seen.copy),
    };
    // What stands in the place of a directory went away with it.
    let held_still = match (gone, there) {
        (None, Some(_)) => true,
        (Some(now), Some(before)) => before.is_dir() && !now.is_dir(),
        _ => false,
    };
    if !held_still || seen.what == Presence::Neither {
        return Some(false);
    }
    match one.carry(&h.rel, true, held) {
        Ok(c) if c.whole => Some(true),
        _ => None,
    }
}
