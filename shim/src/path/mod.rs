//! Where a path leads.
pub mod base;
pub mod cwd;
pub mod dirs;
pub mod find;
pub mod known;
pub mod loc;
pub mod object;
pub mod outside;
pub mod proofs;
pub mod reach;
pub mod resolve;
pub mod root;
pub mod roots;
pub mod sticky;
