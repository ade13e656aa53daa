//! Calls that open.
pub mod change;
pub mod deep;
pub mod flags;
pub mod reopen;
pub mod sticky;
