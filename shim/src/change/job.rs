//! A change that is to run: where, and as what it is announced.
use crate::path::loc::Loc;
use mirror_core::runtime::IntentKind;
use mirror_core::{Action, Leg, Undo};

/// Who holds TX, and who waits for a busy lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The run takes TX; the program waits, on its own stack with its own signals.
    Wait,
    /// The caller holds TX; the program waits.
    HeldWait,
}

/// Where a change runs, and as what it is announced.
pub struct Job {
    pub(super) pair: usize,
    pub(super) lead: Leg,
    pub(super) kind: IntentKind,
    pub(super) action: Action,
    pub(super) patience: Patience,
}

impl Job {
    /// A call on a leg of a pair, which can be taken back and waits for locks.
    pub fn on((pair, lead): (usize, Leg), kind: IntentKind) -> Job {
        Job {
            pair,
            lead,
            kind,
            action: Action::Call {
                undo: Undo::Possible,
            },
            patience: Patience::Wait,
        }
    }
    /// The same at a place.
    pub fn at(loc: &Loc, kind: IntentKind) -> Job {
        Job::on((loc.pair, loc.leg), kind)
    }
    /// It is another action.
    pub fn action(self, action: Action) -> Job {
        Job { action, ..self }
    }
    /// Who waits, and how.
    pub fn patience(self, patience: Patience) -> Job {
        Job { patience, ..self }
    }
}
