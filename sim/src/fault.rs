//! What may go wrong in a run, and how the oracles are tested themselves.
use mirror_core::Errno;

/// An error of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorAt {
    /// On the leg that is changed second (else on the first).
    pub second: bool,
    /// The effect (counted per leg from 0) that fails first.
    pub nth: u32,
    /// How many effects fail.
    pub times: u32,
    /// With what.
    pub errno: Errno,
}

/// The faults of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// (process, its n-th yield point): killed there.
    pub kills: Vec<(usize, u32)>,
    /// Errors of the legs.
    pub errors: Vec<ErrorAt>,
    /// Writes take fewer bytes than asked for, now and then.
    pub short: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none(&self) -> bool {
        self.kills.is_empty() && self.errors.is_empty() && !self.short
    }
}

/// A deliberate defect of the ports: each one must be seen by an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The lock of leg 1 is said to be held without being taken.
    SecondLock,
    /// A busy lock is said to be taken.
    Exclusion,
    /// Records of dead processes are not seen.
    Orphans,
    /// Undo does nothing and says it did.
    Undo,
    /// Unwrite does nothing and says it did.
    Unwrite,
    /// Heal does nothing and says it did.
    Heal,
    /// The pending record is not kept.
    Pending,
    /// Writes of the second leg land one byte late.
    Offset,
    /// Positions are not set.
    Position,
}
