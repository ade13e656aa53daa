//! What an audit tells.
use super::people::Person;
use super::suspects::Suspect;
use crate::tree::differs::Presence;
use mirror_audit::{Op, Range, Why};
use mirror_core::Leg;
use std::rc::Rc;

/// What was done about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing: nobody asked for it.
    Found,
    /// Nothing: both legs are equal by now.
    Equal,
    /// A change of leg a was carried to leg b.
    Healed,
    /// A change of leg b was undone from leg a; what b had is kept aside.
    Undone,
    /// Too many names went away at once.
    Held,
    /// Nothing: only what would be done was asked for.
    Would(&'static str),
    /// Both legs were changed, apart from each other.
    Conflict,
    /// It could not be carried.
    Failed(String),
}

impl Done {
    /// Its word in JSON.
    pub fn key(&self) -> &'static str {
        match self {
            Done::Found => "found",
            Done::Equal => "equal",
            Done::Healed => "healed",
            Done::Undone => "undone",
            Done::Held => "held",
            Done::Would(_) => "would",
            Done::Conflict => "conflict",
            Done::Failed(_) => "failed",
        }
    }

    /// Whether this audit made both legs equal.
    pub fn healed(&self) -> bool {
        matches!(self, Done::Healed | Done::Undone)
    }

    /// Whether both legs are equal again.
    pub fn mended(&self) -> bool {
        self.healed() || *self == Done::Equal
    }
}

/// A change that is not a mirrored one.
#[derive(Clone)]
pub struct Finding {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The leg that was changed, if one was.
    pub leg: Option<Leg>,
    /// What was done.
    pub op: Op,
    /// How many times.
    pub count: u64,
    /// Which bytes.
    pub range: Option<Range>,
    /// Where, below the legs.
    pub rel: Vec<u8>,
    /// The other name of a rename.
    pub to: Option<Vec<u8>>,
    /// The object, as a word.
    pub kind: &'static str,
    /// In what the legs differ.
    pub what: Presence,
    /// Who did it.
    pub by: Option<Rc<Person>>,
    /// Why it went round the mirror.
    pub why: Why,
    /// What was done about it.
    pub done: Done,
}

impl Finding {
    /// Before anything is done about it.
    pub(super) fn of(s: &Suspect, what: &Presence, kind: &'static str) -> Finding {
        let leg = s.leg();
        let told = s.told(leg);
        let by: Option<Rc<Person>> = told.and_then(|t| t.by.clone());
        Finding {
            time: s.time,
            leg,
            op: told.map_or(Op::Change, |t| t.op),
            count: told.map_or(1, |t| t.count),
            range: told.and_then(|t| t.range),
            rel: s.rel.clone(),
            to: s.to.clone(),
            kind,
            what: *what,
            why: by.as_ref().map_or(Why::Unknown, |b| b.why),
            by,
            done: Done::Found,
        }
    }
}
