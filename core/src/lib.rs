//! mirror-core: the model and the engine's rules of the Mirror File System.
//!
//! `no_std`, no allocation, no unsafe, no system call: the same code runs inside other people's
//! processes (shim), in the command (loader) and in the simulator (sim).
#![no_std]
#![forbid(unsafe_code)]

mod errno;
pub mod facts;
pub mod image;
mod lock;
pub mod owner;
pub mod path;
mod quiesce;
pub mod record;
pub mod runtime;
#[cfg(test)]
mod script_txn_tests;
pub mod tab;
pub mod trust;
pub mod txn;
#[cfg(test)]
mod txn_tests;
pub mod view;
pub mod word;

pub use errno::{Errno, ErrorClass};
pub use lock::{
    BothLocked, LegLock, LockMiss, LockPlan, OBJECTS, STRIPES_DEFAULT, STRIPES_MAX, WHOLE,
    lock_both, lock_more, unlock_both,
};
pub use quiesce::{alone, mend};
pub use txn::{Action, Journal, LegIo, Posts, Prepared, Step, Undo, Verdict, Where, transact};
pub use view::View;
pub use word::{LegState, StateWord};

/// Partner of descriptor n is descriptor n + K, held by the kernel.
pub const K: i32 = 4096;
/// Lock descriptors stand above the partners: up to here the numbers belong to the library.
pub const NUMBERS_END: i32 = 2 * K + 8 * 2 * OBJECTS as i32;
/// Descriptors `RESERVED..K` belong to the library (roots, locks, domain records): the program's own
/// limit is RESERVED.
pub const RESERVED: i32 = K - 64;
