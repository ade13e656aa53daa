//! What crashed processes have left in a pair is ended by who comes to it.
//!
//! Rules: as in `port`. If others are in the way for long, the next one who comes upon it ends it.
use crate::attach::handle::Session;
use crate::repair::{heal, mapped};
use mirror_core::{LegLock, LockMiss, OBJECTS, Posts, WHOLE};
use mirror_pair::{owed, posts};
use mirror_sys as sys;

/// How often a change that the second leg lacks is tried to be ended, half a millisecond apart.
pub const MENDS: u32 = 200;
/// The same in a pair of another user.
pub const MENDS_GUARDED: u32 = 5;

/// At attach: also where nobody may ever come by again.
#[cold]
#[inline(never)]
pub fn mend_the_dead<P: LegLock + Posts>(p: &mut P, s: &Session) {
    for object in WHOLE..OBJECTS {
        if posts::crashed(p, s.runtime(), object) {
            mend_all(p, s);
            break;
        }
    }
    if mapped::any(s) {
        for _ in 0..MENDS {
            let carried = mirror_core::alone(p, |_, held| {
                // Not to a leg that was left behind.
                if !s.runtime().word().alone() {
                    mapped::settle(s, held);
                }
            });
            if !matches!(carried, Err(LockMiss::Busy(_))) {
                break;
            }
            sys::sleep_us(500);
        }
    }
    // Unless others are in the way.
    if owed::by_the_dead(s.runtime()) {
        let _ = mirror_core::alone(p, |_, held| heal::settle(s, held));
    }
}

/// Ends what a crashed process left.
#[cold]
#[inline(never)]
fn mend_all<P: LegLock + Posts>(p: &mut P, s: &Session) {
    let tries = match s.is_guarded() {
        true => MENDS_GUARDED,
        false => MENDS,
    };
    for _ in 0..tries {
        if !matches!(mirror_core::recover(p), Err(LockMiss::Busy(_))) {
            return;
        }
        sys::sleep_us(500);
    }
}
