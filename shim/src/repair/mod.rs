//! Making two objects equal.
pub mod heal;
pub mod kept;
pub mod names;
