//! Calls that open.
pub mod change;
pub mod deep;
pub mod reopen;
