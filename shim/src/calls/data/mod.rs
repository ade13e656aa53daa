//! Calls that change what a file holds, or how long it is.
pub mod aftermath;
pub mod alloc;
pub mod flags;
pub mod fsync;
pub mod pieces;
pub mod resize;
pub mod write;
