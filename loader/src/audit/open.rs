//! Choosing a source.
use super::bpf;
use super::fanotify::Fanotify;
use super::inotify::Inotify;
use super::source::Source;
use crate::fail::{Fail, Kind, Res};
use crate::tree::beneath::Root;
use mirror_audit::Tier;
use mirror_core::PerLeg;

/// A source, and what kept one from the better ones.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source>,
    /// The tiers above it, and why they are not used.
    pub refused: Vec<(Tier, String)>,
}

/// Opens one tier.
fn one(tier: Tier, legs: PerLeg<&Root>) -> Res<Box<dyn Source>> {
    Ok(match tier {
        Tier::T1 | Tier::T2 => bpf::open(legs, tier).map_err(Fail::failed)?,
        Tier::T3 => Box::new(Fanotify::open(legs)?),
        Tier::T4 => Box::new(Inotify::open(legs)?),
    })
}

/// The best source that this machine and this user's rights allow, or the one that was asked for. T1 has to be
/// asked for (decision 0054).
pub fn open(legs: PerLeg<&Root>, wanted: Option<Tier>) -> Res<Opened> {
    let mut refused = vec![];
    for tier in Tier::ALL {
        if wanted.map_or(tier == Tier::T1, |w| w != tier) {
            continue;
        }
        match one(tier, legs) {
            Ok(source) => return Ok(Opened { source, refused }),
            Err(e) => refused.push((tier, e.text)),
        }
    }
    let last = refused.pop().map_or(String::new(), |(_, why)| why);
    Err(Fail::new(Kind::Failed, last))
}

/// Which tiers, or which one, can be used on a tree, and why the others cannot.
pub fn tiers(root: &Root, wanted: Option<Tier>) -> Vec<(Tier, Res<Box<dyn Source>>)> {
    let legs = PerLeg { a: root, b: root };
    let all = Tier::ALL.into_iter();
    all.filter(|t| wanted.is_none_or(|w| w == *t))
        .map(|t| (t, one(t, legs)))
        .collect()
}
