//! Calls that make, move and remove names.
pub mod one;
pub mod two;
