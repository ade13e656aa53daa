//! After a change that a leg has failed: whether leg b is left behind (`attach::leaving`).
use crate::attach::leaving;
pub use crate::attach::leaving::From;
use crate::attach::leaving::leave;
use crate::attach::session;
use crate::change::border;
use crate::change::target::Cx;
use crate::events::refused;
use crate::process::actor::{guest, in_turn};
use mirror_core::refusal::Refusal;
use mirror_core::{BothLocked, Errno, ErrorClass, Leg, StateWord};
use mirror_sys::Sys;

/// After a change that came to `r`, begun while the word was `began`: whether leg b is away, for what it has answered
/// (`lost`) or for what may have been its answer; or it was on its way back, and is no more. What was put back is
/// asked for again then.
pub fn after(cx: &Cx<'_>, began: StateWord, lost: Option<Errno>, r: Sys<u64>) -> bool {
    if cx.lead != Leg::A {
        return false;
    }
    if let Err(e) = r
        && began.joining()
        && is_of_return(lost.or(cx.refused.get()), e)
    {
        return leaving::give_up_return(cx.s, e, cx.paths().0);
    }
    let (why, from) = match (lost.or(cx.refused.get()), r) {
        (Some(e), _) => (e, From::Second),
        (None, Err(e)) if e.class() == ErrorClass::Leg => (e, From::Anywhere),
        _ => return false,
    };
    leave(cx.s, why, from, cx.paths().0)
}

/// Whether an error (`lost`: leg b's own) may be that of a leg b on its way back, and no plain directory's. What this
/// process alone cannot, is the program's as ever; so is that nothing can be written behind a mount point of one leg.
fn is_of_return(lost: Option<Errno>, e: Errno) -> bool {
    match lost {
        Some(why) => why.class() != ErrorClass::ProcessLocal,
        None => e.class() == ErrorClass::Leg && e != border::REFUSED,
    }
}

/// What leg b, on its way back, lacks of an object cannot be made there, and a program is to get the object: leg b is
/// left behind again. Whether it is away. The caller has the object's locks.
#[cold]
#[inline(never)]
pub fn not_healed(cx: &Cx<'_>, why: Errno, _: &BothLocked) -> bool {
    let word = || cx.s.runtime().word();
    if cx.lead == Leg::A && word().joining() {
        let _ = leaving::give_up_return(cx.s, why, cx.paths().0);
    }
    cx.lead == Leg::A && word().alone()
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
        let _ = leaving::give_up_return(&s, why, b"");
        let gone = s.runtime().word().alone();
        if guest() {
            session::release_guest(&s);
        }
        gone
    })
}
