//! What this process was before it changed its root or its user.
use crate::config::{CONFIG, PairConf};
use crate::events::refused::Refused;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use mirror_core::Leg;
use mirror_core::MAX_PAIRS;
use mirror_core::refusal::Refusal;
use mirror_sys as sys;

/// The process has changed its root.
pub static JAILED: AtomicBool = AtomicBool::new(false);

/// The process has changed its user.
pub static DROPPED: AtomicBool = AtomicBool::new(false);

/// (device, inode) of each leg's root, as they were before roots or mounts were changed.
pub static ROOTS: [[AtomicU64; 2]; MAX_PAIRS * 2] =
    [const { [const { AtomicU64::new(0) }; 2] }; MAX_PAIRS * 2];

/// What a failure to attach comes from, if this process's past explains it.
pub fn reason(r: Refused) -> Refused {
    let why = if JAILED.load(Ordering::Relaxed) && matches!(r.why, Refusal::Leg | Refusal::Proc) {
        Refusal::Chroot
    } else if DROPPED.load(Ordering::Relaxed) && r.why == Refusal::Permission {
        Refusal::Dropped
    } else {
        r.why
    };
    Refused { why, ..r }
}

/// The root is another one.
pub fn jailed() {
    JAILED.store(true, Ordering::Relaxed);
}

pub fn remember_roots(pair: usize, conf: &PairConf) {
    if !crate::process::place::plain() {
        return;
    }
    for (leg, path) in conf.legs.each() {
        let slot = ROOTS.get(pair.wrapping_mul(2).wrapping_add(leg.index()));
        if let (Some([dev, ino]), Ok(st)) = (slot, sys::stat_static(path)) {
            dev.store(st.dev(), Ordering::Relaxed);
            ino.store(st.ino(), Ordering::Relaxed);
        }
    }
}

/// Whether an object is a leg's root, to hide what stands in it.
pub fn is_root(st: &sys::Stat) -> bool {
    if JAILED.load(Ordering::Relaxed) {
        return ROOTS.iter().any(|[dev, ino]| {
            ino.load(Ordering::Relaxed) == st.ino() && dev.load(Ordering::Relaxed) == st.dev()
        });
    }
    let mut legs = CONFIG.get().pairs().iter().flat_map(|p| p.legs);
    legs.any(|l| sys::stat_static(l).is_ok_and(|s| s.ino() == st.ino() && s.dev() == st.dev()))
}

/// What a leg's root was before roots or mounts were changed, if it could be told.
pub fn remembered(pair: usize, leg: Leg) -> Option<(u64, u64)> {
    let slot = ROOTS.get(pair.wrapping_mul(2).wrapping_add(leg.index()))?;
    let [dev, ino] = slot.each_ref().map(|v| v.load(Ordering::Relaxed));
    (ino != 0).then_some((dev, ino))
}

/// Before texts may mean other places: what the legs' roots are.
pub fn remember_all() {
    for (pair, conf) in CONFIG.get().pairs().iter().enumerate() {
        remember_roots(pair, conf);
    }
}
