//! What happens before the program starts.
pub mod entry;
pub mod start;
