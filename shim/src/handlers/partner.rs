//! Partners of descriptors: installed under n + K, noted for the hints.
use crate::attach::with_limit;
use crate::state::{self, ANY_PARTNER, PAIRED, guest, set_hint};
use core::sync::atomic::Ordering;
use mirror_core::{Errno, K, RESERVED};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Makes `partner` the partner of `n`.
pub fn install(partner: i32, n: i32, cloexec: i32) -> Sys<()> {
    if !(0..RESERVED).contains(&n) {
        return Err(Errno::EMFILE);
    }
    let first = !ANY_PARTNER.load(Ordering::Relaxed);
    with_limit(|| {
        if first {
            // Inherited over exec, it tells the next program that partners are there.
            if let Ok(n) = sys::eventfd() {
                let _ = sys::dup3(n, crate::start::SENTINEL, 0);
                let _ = sys::close(n);
            }
        }
        sys::dup3(partner, n.saturating_add(K), cloexec)
    })
    .map_err(|e| if e == Errno::EBADF { Errno::EMFILE } else { e })?;
    ANY_PARTNER.store(true, Ordering::Relaxed);
    Ok(())
}

/// Remembers a new pair of descriptors.
pub fn note(n: i32, pair: usize, leg: usize, ino: [u64; 2], rel: &[u8]) {
    if guest() {
        return;
    }
    let Some(i) = state::info(n) else { return };
    i.pair.store(pair as u8, Ordering::Relaxed);
    i.leg.store(leg as u8, Ordering::Relaxed);
    i.dirty.store(0, Ordering::Relaxed);
    for (d, s) in i.ino.iter().zip(ino) {
        d.store(s, Ordering::Relaxed);
    }
    i.set_path(rel);
    crate::arch::ACTIVE.store(1, Ordering::Relaxed);
    set_hint(n, PAIRED);
}
