//! A simulator of a mirrored pair: two model trees, several processes, one deterministic schedule.
//!
//! The processes run `mirror_core::transact` and `recover`, the engine of the preloaded library, over
//! model ports. Every port call is a yield point: there the schedule may change the running process,
//! stop it, kill it, or crash a leg. What comes out is judged by [`oracle`]. A failing [`Case`] is a
//! value: it can be run again and made smaller.
//!
//! A process is plain data, not a thread. The engine is a function of what its ports answer, so a
//! process is its answers so far: a step runs the call again from its start on the recorded answers,
//! carries out one call more, and lets the engine fall through to its end ([`mod@memo`]). The whole
//! state can be copied and compared, which makes the search of *all* schedules of small programs
//! cheap ([`explore()`]).
//!
//! Left out of the model: following of symlinks (every path call is the no-follow form), permission
//! checks, implicit times (mtime moves by utimens alone), read-only descriptors (every open is one
//! for change), waiting lists of locks.
#![forbid(unsafe_code)]

pub mod calls;
pub mod crash;
pub mod disk;
pub mod effect;
mod equal;
pub mod explore;
pub mod fault;
mod io;
pub mod joining;
mod legs;
pub mod locking;
pub mod memo;
pub mod op;
pub mod oracle;
mod plan;
mod port;
pub mod proc;
mod recover;
mod repair;
pub mod rng;
pub mod run;
mod steps;
pub mod tree;
pub mod world;
mod writes;

pub use explore::{Budget, Explored, explore};
pub use fault::{Crash, ErrorAt, Faults, Place, Sabotage, Which};
pub use op::{How, Op, Range};
pub use rng::Rng;
pub use run::{Case, Choice, Report, run, shrink};
pub use tree::CAPABILITY;
