//! Hard-link groups during a walk: which object of the copy stands for which object of the source.
use crate::tree::object::Meta;
use std::collections::HashMap;

type Id = (u64, u64);

/// What the groups say about an object that exists on both legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Fine as it is.
    Fits,
    /// It must be the same object as this path on the copy.
    JoinTo(Vec<u8>),
    /// It is the same object as another path of the copy, and must not be.
    Split,
}

/// The groups seen so far.
#[derive(Default)]
pub struct Links {
    of_source: HashMap<Id, (Vec<u8>, Id)>,
    of_copy: HashMap<Id, Id>,
}

impl Links {
    /// Judges the pair of objects at a path; `None`: the copy has none there yet.
    pub fn judge(&self, rel: &[u8], s: &Meta, d: Option<&Meta>) -> Verdict {
        if s.is_dir() {
            return Verdict::Fits;
        }
        if s.linked()
            && let Some((first, id)) = self.of_source.get(&s.id())
            && first != rel
            && d.is_none_or(|d| d.id() != *id)
        {
            return Verdict::JoinTo(first.clone());
        }
        match d {
            Some(d)
                if d.linked()
                    && self
                        .of_copy
                        .get(&d.id())
                        .is_some_and(|owner| *owner != s.id()) =>
            {
                Verdict::Split
            }
            _ => Verdict::Fits,
        }
    }

    /// Remembers that the objects at `rel` stand for each other.
    pub fn note(&mut self, rel: &[u8], s: &Meta, d: &Meta) {
        if s.is_dir() {
            return;
        }
        if s.linked() {
            self.of_source
                .entry(s.id())
                .or_insert_with(|| (rel.to_vec(), d.id()));
        }
        if d.linked() {
            self.of_copy.entry(d.id()).or_insert(s.id());
        }
    }

    /// Forgets what was known of a source object (its first path no longer leads to it).
    pub fn forget(&mut self, s: &Meta) {
        self.of_source.remove(&s.id());
    }

    /// How far an earlier path stands for the same copy.
    pub fn is_current(&self, s: &Meta, d: &Meta) -> bool {
        self.of_source
            .get(&s.id())
            .is_some_and(|(_, id)| *id == d.id())
    }
}
