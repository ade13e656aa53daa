//! The word for a leg on the command line.
use clap::ValueEnum;

/// One of the legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Leg a
    A,
    /// Leg b
    B,
}

impl Side {
    /// 0 or 1.
    pub fn index(self) -> usize {
        usize::from(self == Side::B)
    }
}
