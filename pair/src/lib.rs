//! mirror-pair: the protocols of a pair, each of them once, for the preloaded library and for the command.
//!
//! Rules: what is asked, and in which order, stands here; who asks brings the descriptors, and says what an
//! answer means for its user. No allocation, no unsafe, system calls through mirror-sys alone.
#![no_std]
#![forbid(unsafe_code)]

pub mod attributes;
pub mod away;
pub mod both;
pub mod carry_out;
pub mod control;
pub mod cores;
pub mod domain;
pub mod idmap;
pub mod locks;
pub mod mapped;
pub mod memory;
pub mod owed;
pub mod pending;
pub mod posts;
pub mod runtime;
pub mod session;
pub mod words;
