//! Making two objects equal.
pub mod both;
pub mod copying;
pub mod heal;
pub mod kept;
pub mod mapped;
pub mod names;
pub mod pending;
pub mod privileges;
pub mod same;
pub mod unwrite;
