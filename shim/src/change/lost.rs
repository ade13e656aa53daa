//! After a change that a leg has failed: whether leg b is left behind (`attach::leaving`).
pub use crate::attach::leaving::From;
use crate::attach::leaving::{leave, unreachable};
use crate::attach::session;
use crate::change::target::Cx;
use crate::events::refused;
use crate::process::actor::{guest, in_turn};
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, ErrorClass, Leg};
use mirror_sys::Sys;

/// After a change that came to `r`: whether leg b is away, for what it has answered (`lost`) or for what may have
/// been its answer. What was put back is leg a's to do again, alone.
pub fn after(cx: &Cx<'_>, lost: Option<Errno>, r: Sys<u64>) -> bool {
    let (why, from) = match (lost.or(cx.refused.get()), r) {
        (Some(e), _) => (e, From::Second),
        (None, Err(e)) if e.class() == ErrorClass::Leg => (e, From::Anywhere),
        _ => return false,
    };
    cx.lead == Leg::A && leave(cx.s, why, from, cx.paths().0)
}

/// A change by leg b's own path, while that is away.
#[cold]
pub fn refuse(pair: usize) -> Errno {
    refused::record(pair, &refused::Refused::new(Refusal::Leg));
    Errno::EIO
}

/// The same of a pair, for who is in no change of it.
#[cold]
#[inline(never)]
pub fn leave_pair(pair: usize, why: Errno, from: From) -> bool {
    in_turn(|| {
        let Ok(s) = session::session(pair, guest()) else {
            return false;
        };
        let gone = leave(&s, why, from, b"");
        if guest() {
            session::release_guest(&s);
        }
        gone
    })
}

/// Leg b is on its way back, and what a program needs of it cannot be had (`why`): it is left behind again, and the
/// program goes on with leg a. Whether it is away.
#[cold]
#[inline(never)]
pub fn give_up_return(pair: usize, why: Errno) -> bool {
    in_turn(|| {
        let Ok(s) = session::session(pair, guest()) else {
            return false;
        };
        if s.runtime().word().joining() {
            unreachable(&s, why);
        }
        let gone = s.runtime().word().alone();
        if guest() {
            session::release_guest(&s);
        }
        gone
    })
}
