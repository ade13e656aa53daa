//! Making two objects equal.
pub mod copying;
pub mod heal;
pub mod kept;
pub mod names;
pub mod privileges;
pub mod unwrite;
