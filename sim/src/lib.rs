//! A simulator of a mirrored pair: two model trees, several processes, one deterministic schedule.
//!
//! The processes run `mirror_core::transact`, the engine of the preloaded library, over model ports.
//! Every port call is a yield point: there the schedule may change the running process, or kill it.
//! What comes out is judged by [`oracle`]. A failing [`Case`] is a value: it can be run again and
//! made smaller.
//!
//! Left out of the model: following of symlinks (every path call is the no-follow form), permission
//! checks, implicit times (mtime moves by utimens alone), partner descriptors (partners are found by
//! inode).
#![forbid(unsafe_code)]

pub mod fault;
pub mod op;
pub mod oracle;
mod port;
mod repair;
pub mod rng;
pub mod run;
mod sched;
pub mod tree;
pub mod world;

pub use fault::{ErrorAt, Faults, Sabotage};
pub use op::{How, Op};
pub use rng::Rng;
pub use run::{Case, Report, run, shrink};
