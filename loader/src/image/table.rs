//! The system calls that the mirror must see: see `mirror_core::calls`.
pub use mirror_core::calls::{EXIT_GROUP, WANTED, Wanted, wanted};
