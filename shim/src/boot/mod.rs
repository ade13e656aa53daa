//! What happens before the program starts.
pub mod end;
pub mod entry;
pub mod start;
