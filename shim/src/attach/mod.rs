//! This process and a pair: its roots, its runtime file, its locks.
pub mod ahead;
pub mod control;
pub mod domain;
pub mod session;
