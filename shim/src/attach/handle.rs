//! What a transaction needs of a pair.
use core::cell::Cell;
use mirror_core::View;
use mirror_core::runtime::RuntimeFile;
use mirror_core::view::{Change, Guarded, futex_at};
use mirror_sys as sys;

/// What a transaction needs of a pair.
#[derive(Clone)]
pub struct Session {
    /// Index of the pair.
    pub pair: usize,
    /// Its block of numbers.
    pub slot: usize,
    /// O_PATH descriptors of leg a and b.
    pub root: [i32; 2],
    /// Inode of leg a's root: its key.
    pub root_ino: u64,
    /// Stripes of each lock table.
    pub stripes: usize,
    pub(super) rt: usize,
    /// The runtime file's descriptor, if others could cut it short, or −1: the mapping is looked at.
    pub(super) memory: i32,
    /// An access through that descriptor has failed.
    pub(super) failed: Cell<bool>,
    /// A guest's domain records, held for the transaction.
    pub(super) owner: [i32; 2],
}

impl Session {
    /// The runtime file.
    pub fn runtime(&self) -> View<'_> {
        if self.memory >= 0 {
            return View::Guarded(self);
        }
        // SAFETY: `rt` is a live shared mapping of SIZE bytes, page-aligned, made by `map` and never
        // unmapped by the owner; all fields behind it are atomics, so other processes' stores are no
        // data race.
        View::Own(unsafe { &*(self.rt as *const RuntimeFile) })
    }

    /// Whether another user, whom this process does not trust, owns the pair.
    pub fn is_guarded(&self) -> bool {
        self.memory >= 0
    }

    /// Wakes whoever waits for an object.
    pub fn wake(&self, object: usize) {
        if let Some(at) = futex_at(object) {
            sys::futex_wake_at(self.rt.wrapping_add(at));
        }
    }
}

/// Rules: signals are blocked wherever a session is used, as `limits` wants it.
impl Guarded for Session {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        // Memory: never partial but at its end.
        let want = into.len();
        sys::pread(self.memory, into, at as u64) == Ok(want)
    }
    fn write(&self, at: usize, from: &[u8]) -> bool {
        let put = || sys::pwrite(self.memory, from, at as u64);
        crate::process::limits::own_file(put) == Ok(from.len())
    }
    fn change(&self, at: usize, how: Change) -> bool {
        sys::atomic_op(self.rt.wrapping_add(at), how).is_ok()
    }
    fn fail(&self) {
        self.failed.set(true);
    }
    fn failed(&self) -> bool {
        self.failed.get()
    }
}
