//! The word for a leg on the command line.
use clap::ValueEnum;
use mirror_core::Leg;

/// One of the legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Leg a
    A,
    /// Leg b
    B,
}

impl Side {
    /// The leg.
    pub fn leg(self) -> Leg {
        match self {
            Side::A => Leg::A,
            Side::B => Leg::B,
        }
    }
}
