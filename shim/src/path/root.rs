//! The root that the kernel's texts begin at, where threads may have different ones or mounts have moved.
//!
//! Rules: [`place::ROOT`] is what stands before the kernel's texts, as long as all threads have one root and
//! the mounts are those of the start. After that texts say nothing, and only the ways up ("..") tell. A way
//! up ends at a root; whether that lies in a leg must be known of it.
use crate::path::roots::Roots;
use crate::process::place::{self, mixed};
use mirror_core::path::Name;

use core::sync::atomic::AtomicU64;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Identity;

/// Roots that lie in no leg.
const FOREIGN: usize = 8;
static OUTSIDE: [[AtomicU64; 2]; FOREIGN] = [const { [const { AtomicU64::new(0) }; 2] }; FOREIGN];
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// The root that [`place::ROOT`] names.
static NAMED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// What "/" is for this thread.
pub fn own() -> sys::Sys<Identity> {
    sys::identity(libc::AT_FDCWD, &Name::from_bytes(b"/").unwrap_or_default())
}

/// A root that is known to lie in no leg.
pub fn add(id: &Identity) {
    if is_outside(id) {
        return;
    }
    if let Some([dev, ino]) = OUTSIDE.get(COUNT.fetch_add(1, Ordering::Relaxed)) {
        dev.store(id.dev, Ordering::Relaxed);
        ino.store(id.ino, Ordering::Release);
    }
}

fn is(slot: &[AtomicU64; 2], id: &Identity) -> bool {
    slot[1].load(Ordering::Acquire) == id.ino && slot[0].load(Ordering::Relaxed) == id.dev
}

fn is_outside(id: &Identity) -> bool {
    OUTSIDE.iter().any(|slot| is(slot, id))
}

/// The root has been changed to what [`place::ROOT`] says. What was proved is to be forgotten.
pub fn named() {
    if let Ok(id) = own() {
        NAMED[0].store(id.dev, Ordering::Relaxed);
        NAMED[1].store(id.ino, Ordering::Release);
    }
}

/// What a root is at which a way up has ended.
pub enum End {
    /// It lies in no leg.
    Outside,
    /// It is what [`place::ROOT`] says, and that lies in a leg or leads into one.
    Named,
}

/// See [`End`]. An error: it is not known.
pub fn end(id: &Identity, roots: &Roots) -> Result<End, Errno> {
    let jail = !place::ROOT.is_default() && is(&NAMED, id);
    if jail {
        return Ok(End::Named);
    }
    // Beyond the own root: the system's.
    if !mixed() || is_outside(id) || roots.foreign(id.dev) {
        return Ok(End::Outside);
    }
    Err(Errno::EIO)
}
