//! One change of a pair: its target, its locks, its run.
pub mod border;
pub mod deep;
pub mod held;
pub mod job;
pub mod judged;
pub mod keys;
pub mod locks;
pub mod lone;
pub mod lost;
mod mapped;
mod mend;
pub mod number;
pub mod pairing;
pub mod patience;
pub mod port;
pub mod reach;
pub mod target;
pub mod times;
