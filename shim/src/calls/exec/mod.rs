//! exec: what becomes of the program that takes this one's place.
pub mod call;
pub mod count;
pub mod file;
pub mod opened;
pub mod touch;
