//! Partners of descriptors: installed under n + K, noted for the hints.
use crate::calls::paired::owed;
use crate::change::times;
use crate::process::actor::{self, guest};
use crate::process::fds::{self, ANY_PARTNER, PAIRED, TOLD, set_hint};
use crate::process::limits::with_limit;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::numbers::SENTINEL;
use mirror_core::{BothLocked, Errno, K, RESERVED};
use mirror_core::{Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::OMIT;
use mirror_sys::Sys;

/// Opens the second leg's file for a descriptor that was opened with `flags`. Readable if possible, so
/// that a refused write can be undone; without O_APPEND, so that pwrite goes where it is told, unless the
/// file can be opened in no other way (chattr +a). What the first leg's descriptor promises of the disk
/// (O_SYNC, O_DSYNC) holds for both. A fifo or a device that stands in the file's place does not block.
pub fn open_writable(flags: i32, open: impl Fn(i32) -> Sys<i32>) -> Sys<i32> {
    let base = flags & (c::O_SYNC | c::O_DSYNC) | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    match open(base | c::O_RDWR) {
        Err(Errno::EACCES | Errno::EPERM) => {}
        r => return r.map_err(not_a_file),
    }
    match open(base | c::O_WRONLY) {
        Err(Errno::EPERM) if flags & c::O_APPEND != 0 => {}
        r => return r.map_err(not_a_file),
    }
    match open(base | c::O_APPEND | c::O_RDWR) {
        Err(Errno::EACCES) => open(base | c::O_APPEND | c::O_WRONLY),
        r => r,
    }
    .map_err(not_a_file)
}

/// A fifo without a reader, a socket, a device without a driver: something else has the name.
fn not_a_file(e: Errno) -> Errno {
    match e {
        Errno::ENXIO | Errno::ENODEV => Errno::EEXIST,
        e => e,
    }
}

/// Makes `partner` the partner of `n`.
pub fn install(partner: i32, n: i32, cloexec: i32) -> Sys<()> {
    if !(0..RESERVED).contains(&n) {
        return Err(Errno::EMFILE);
    }
    // A guest's table is its own, the memory that knows of the sentinel is not.
    let guest = actor::maybe_guest();
    let told = match guest {
        true => sys::is_open(SENTINEL),
        false => TOLD.load(Ordering::Relaxed),
    };
    with_limit(0, || {
        if !told {
            // Inherited over exec, it tells the next program that partners are there.
            if let Ok(n) = sys::eventfd() {
                let _ = sys::dup3(n, SENTINEL, 0);
                let _ = sys::close(n);
            }
        }
        sys::dup3(partner, n.saturating_add(K), cloexec)
    })
    .map_err(|e| if e == Errno::EBADF { Errno::EMFILE } else { e })?;
    ANY_PARTNER.store(true, Ordering::Relaxed);
    if !guest {
        TOLD.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Remembers a new pair of descriptors.
pub fn note(n: i32, pair: usize, leg: Leg, ino: PerLeg<u64>, rel: &[u8]) {
    if guest() {
        return;
    }
    let Some(i) = fds::info(n) else { return };
    i.pair.store(pair as u8, Ordering::Relaxed);
    i.leg.store(leg.index() as u8, Ordering::Relaxed);
    i.dirty.store(0, Ordering::Relaxed);
    i.places.store(0, Ordering::Relaxed);
    i.made.store(0, Ordering::Relaxed);
    i.set_shared();
    i.set_end(u64::MAX);
    for (d, s) in i.ino.iter().zip(ino.iter()) {
        d.store(*s, Ordering::Relaxed);
    }
    i.set_path(rel);
    crate::tables::ACTIVE.store(1, Ordering::Relaxed);
    set_hint(n, PAIRED);
}

/// The partner's mtime is settled when the descriptor is closed; at once where the number's record may
/// be another's (a guest, a split table). TX is held: no dup2 takes the number away before.
pub fn owes_time(n: i32, held: &BothLocked) {
    if !actor::maybe_guest() {
        owed::later(n, held);
    } else {
        let _ = times::copy(n, n.saturating_add(K), OMIT, held);
    }
}

/// Whether this process has descriptors of the library at all.
pub fn any() -> bool {
    ANY_PARTNER.load(Ordering::Relaxed) || crate::attach::session::any()
}
