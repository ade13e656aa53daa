//! This process and a pair: its roots, its runtime file, its locks.
pub mod again;
pub mod ahead;
pub mod domain;
pub mod free;
pub mod handle;
pub mod holder;
pub mod leaving;
pub mod lone;
pub mod marked;
pub mod past;
pub mod session;
pub mod settle;
