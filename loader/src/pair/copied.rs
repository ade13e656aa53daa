//! A leg that was put back from a copy.
use super::domain;
use super::legs::Pair;
use super::runtime_files::read_owner;

/// Whether one of the legs was put back from a copy: they name different domains as their last, or one that other
/// directories were in.
pub fn disagree(p: &Pair) -> bool {
    let records = p.legs.as_ref().map(read_owner);
    let others = records.a.is_some_and(|o| domain::runtime(p).is_others(o));
    !mirror_pair::domain::agree(records) || others
}
