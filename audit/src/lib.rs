//! mirror-audit: what the audit of a pair sees and tells. A change on one leg, who made it, which source saw
//! it, and the words for all that.
//!
//! Rules: no I/O, no unsafe; what comes from the kernel is laid out by hand and checked when it is read.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod change;
mod event;
mod held;
mod ledger;
mod op;
pub mod raw;
mod tier;
mod why;

pub use change::Change;
pub use event::{Began, Event, Judged, Range, Who};
pub use held::{Audited, Held};
pub use ledger::{Ledger, PATIENCE};
pub use op::{Class, Op};
pub use tier::Tier;
pub use why::Why;
