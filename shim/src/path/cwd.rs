//! What is known of the cwd: that it is outside, and which roots lie below it.
//!
//! Rules: it was proved less than [`LASTS`] ago, and no chdir of this process came between. What is learned is
//! stored with TX held, as chdir holds it, so that no thread learns of a cwd that another one is leaving.
//! A thread may still leave it between the look and the call; where it may lead into a pair,
//! `crate::calls::steady` sees to that.
use crate::config::CONFIG;
use crate::path::known::{LASTS, fresh};
use crate::process::actor::{TX, guest};
use crate::process::clock::cycles;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use mirror_core::path::{Under, under};

/// Bit 0: it is outside. Bits 1 to 8: one more than the number of a root that lies below it, or 0. Bits 9 to
/// 21: where that root's text goes on below the cwd. The rest counts chdirs.
static CWD: AtomicU64 = AtomicU64::new(0);
/// When that was proved.
static AT: AtomicU64 = AtomicU64::new(0);
/// A thread has a cwd of its own.
static SPLIT: AtomicBool = AtomicBool::new(false);

/// A thread of several has made a directory of a pair the cwd.
static ENTERS: AtomicBool = AtomicBool::new(false);

const COUNT: u32 = 22;

/// The cwd is about to change, or has just changed.
pub fn forget() {
    let next = |v: u64| Some((v >> COUNT).wrapping_add(1) << COUNT);
    let _ = CWD.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
}

/// The cwd is not one for all threads any more, or what it means is not what it was.
pub fn split() {
    SPLIT.store(true, Ordering::Relaxed);
}

/// One of several threads is about to make a directory of a pair the cwd; whether it is the first time.
pub fn enter() -> bool {
    !ENTERS.swap(true, Ordering::AcqRel)
}

/// Whether the cwd may become a directory of a pair while another thread uses it.
pub fn enters() -> bool {
    ENTERS.load(Ordering::Acquire)
}

/// Whether threads have cwds of their own.
pub fn is_split() -> bool {
    SPLIT.load(Ordering::Relaxed)
}

/// What a proof begins with: which cwd it is about.
pub struct Before(u64);

/// See [`Before`].
pub fn before() -> Before {
    Before(CWD.load(Ordering::Acquire))
}

/// The cwd has been proved to be outside, and this is its text.
pub fn learn(before: &Before, text: &[u8]) {
    let Some(below) = below(text) else { return };
    if guest() || !TX.try_lock() {
        return;
    }
    let count = before.0 >> COUNT << COUNT;
    let new = count | below << 1 | 1;
    let set = CWD.compare_exchange(before.0, new, Ordering::AcqRel, Ordering::Relaxed);
    if set.is_ok() {
        AT.store(cycles(), Ordering::Release);
    }
    TX.unlock();
}

fn roots() -> impl Iterator<Item = &'static [u8]> {
    let pairs = CONFIG.get().pairs().iter();
    pairs.flat_map(|p| [p.virt, p.legs.a, p.legs.b].map(|r| r.to_bytes()))
}

/// A root below a directory, and where its text goes on there; 0: there is none. `None`: cannot be noted.
fn below(text: &[u8]) -> Option<u64> {
    let Some((nth, _)) = roots()
        .enumerate()
        .find(|(_, r)| matches!(under(r, text), Under::Ancestor))
    else {
        return Some(0);
    };
    let rest = if text == b"/" {
        1
    } else {
        text.len().checked_add(1)?
    };
    let (nth, rest) = (nth.checked_add(1)? as u64, rest as u64);
    (nth < 1 << 8 && rest < 1 << 13).then_some(rest << 8 | nth)
}

/// What is known of the cwd, if that is not too old: a root below it, and where its text goes on.
fn known() -> Option<(usize, usize)> {
    let v = CWD.load(Ordering::Acquire);
    if v & 1 == 0 || is_split() || !fresh(AT.load(Ordering::Acquire), LASTS) {
        return None;
    }
    Some(((v >> 1 & 0xff) as usize, (v >> 9 & 0x1fff) as usize))
}

/// Whether the cwd is outside and away from every root, as far as memory knows.
pub fn is_far() -> bool {
    matches!(known(), Some((0, _)))
}

/// Whether the cwd is outside, as far as memory knows.
pub fn is_out() -> bool {
    known().is_some()
}

/// Whether a plain relative text leads from the cwd to no root, nor to a directory above or below one, as far
/// as texts tell.
pub fn away(text: &[u8]) -> bool {
    let Some((nth, rest)) = known() else {
        return false;
    };
    let Some(nth) = nth.checked_sub(1) else {
        return true;
    };
    let Some(cwd) = roots().nth(nth).and_then(|r| r.get(..rest)) else {
        return false;
    };
    let mut below = roots().filter_map(|r| r.strip_prefix(cwd));
    below.all(|r| matches!(under(r, text), Under::Outside))
}

/// What tells the present cwd from earlier ones, for what is remembered of relative texts.
pub fn number() -> u64 {
    CWD.load(Ordering::Acquire) >> COUNT
}
