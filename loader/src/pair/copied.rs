//! A leg that was put back from a copy.
use super::domain;
use super::legs::Pair;
use mirror_core::PerLeg;

/// Whether one of the legs was put back from a copy: they name different domains as their last, or one that other
/// directories were in.
pub fn disagree(p: &Pair) -> bool {
    let PerLeg { a, b } = p.legs.as_ref().map(domain::read_owner);
    let one = match (&a, &b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    !one || a.is_some_and(|o| domain::runtime(p).is_others(o))
}
