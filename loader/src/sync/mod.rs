//! Comparing two legs and making them equal.
pub mod clean;
pub mod equal;
pub mod file;
pub mod heal;
pub mod held;
pub mod joining;
pub mod keep;
pub mod ledger;
pub mod linked;
pub mod links;
pub mod mapped;
pub mod one;
pub mod own;
pub mod session;
pub mod still;
pub mod turn;
pub mod walk;
