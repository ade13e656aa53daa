//! mirror-core: the model and the engine's rules of the Mirror File System.
//!
//! `no_std`, no allocation, no unsafe, no system call: the same code runs inside other people's
//! processes (shim), in the command (loader) and in the simulator (sim).
#![no_std]
#![forbid(unsafe_code)]

pub mod away;
pub mod bpf;
pub mod calls;
pub mod cores;
mod drive;
mod errno;
pub mod escape;
pub mod facts;
mod fnv;
pub mod idmap;
pub mod image;
pub mod ioctls;
mod leg;
mod lock;
pub mod mapped;
mod mapped_view;
pub mod maps;
pub mod marks;
pub mod names;
pub mod numbers;
pub mod outside;
pub mod owner;
pub mod path;
pub mod policy;
pub mod port;
pub mod program;
mod quiesce;
pub mod record;
pub mod refusal;
mod refused;
pub mod repair;
pub mod runtime;
#[cfg(test)]
mod script_txn_tests;
pub mod sticky;
pub mod tab;
pub mod tabs;
pub mod trust;
pub mod txn;
#[cfg(test)]
mod txn_tests;
pub mod unmirrored;
pub mod verdicts;
pub mod view;
mod view_legs;
pub mod word;
pub mod words;
mod write;
pub mod xattrs;

pub use drive::{Drive, Next};
pub use errno::{Errno, ErrorClass};
pub use leg::{Leg, PerLeg};
pub use lock::{
    BothLocked, LegLock, LockMiss, LockPlan, OBJECTS, STRIPES_DEFAULT, STRIPES_MAX, WHOLE,
    lock_both, lock_more, unlock_both,
};
pub use numbers::{K, MAX_PAIRS, RESERVED};
pub use port::{Action, Journal, LegIo, Lone, Prepared, Step, Undo, Where};
pub use quiesce::{Posts, alone, recover};
pub use refused::{Applied, Refused, Untouched};
pub use txn::{Verdict, transact};
pub use view::View;
pub use word::{LegState, StateWord};
pub use words::{LockKind, LockWord};
