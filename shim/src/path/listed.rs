//! Whether a leg has a list of files with names outside it (`mirror_core::outside`).
use crate::attach::session;
use crate::config::CONFIG;
use crate::path::denied::twice;
use crate::path::known::{LASTS, fresh};
use crate::process::clock::cycles;
use crate::process::place;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::outside::FILE;
use mirror_core::path::{Path, PathText};
use mirror_pair::control;
use mirror_sys as sys;

/// What was found, and when.
static LISTED: AtomicBool = AtomicBool::new(false);
static AT: AtomicU64 = AtomicU64::new(0);

/// Whether files that are met outside may be a leg's.
pub fn any() -> bool {
    LISTED.load(Ordering::Relaxed)
}

/// Asks the legs, at most twice a second.
pub fn ask() {
    if fresh(AT.load(Ordering::Relaxed), LASTS) {
        return;
    }
    let mut found = false;
    for (pair, conf) in CONFIG.get().pairs().iter().enumerate() {
        for (leg, text) in conf.legs.each() {
            found |= has_list(pair, leg, text.to_bytes());
        }
    }
    LISTED.store(found, Ordering::Relaxed);
    AT.store(cycles(), Ordering::Relaxed);
}

fn has_list(pair: usize, leg: Leg, text: &[u8]) -> bool {
    if let Some(root) = session::root_of(pair, leg) {
        return may_be(root, &control::text(FILE));
    }
    // By its text nothing can be told any more.
    if !place::plain() {
        return any();
    }
    let mut path = Path::new();
    path.set(text).is_ok() && path.push(FILE).is_ok() && may_be(c::AT_FDCWD, &path)
}

/// That there is none, two calls must say. What is not sure costs looks, and nothing else.
fn may_be<const N: usize>(dir: i32, list: &PathText<N>) -> bool {
    let Err(why) = sys::glance(dir, list, c::AT_SYMLINK_NOFOLLOW) else {
        return true;
    };
    let again = || sys::fstatat(dir, list, c::AT_SYMLINK_NOFOLLOW).map(drop);
    twice(why, again) != Ok(true)
}
