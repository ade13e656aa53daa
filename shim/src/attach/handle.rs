//! What a transaction needs of a pair.
use mirror_core::LockKind;
use mirror_core::View;
use mirror_core::runtime::RuntimeFile;
use mirror_core::{Leg, PerLeg};
use mirror_pair::memory::{Lift, Memory};
use mirror_sys::Sys;

/// What a transaction needs of a pair.
#[derive(Clone)]
pub struct Session {
    /// Index of the pair.
    pub pair: usize,
    /// Its block of numbers.
    pub slot: usize,
    /// O_PATH descriptors of leg a and b.
    pub root: PerLeg<i32>,
    /// Inode of leg a's root: its key.
    pub root_ino: u64,
    /// Stripes of each lock table.
    pub stripes: usize,
    /// Which locks the pair has.
    pub locks: LockKind,
    /// A description of the runtime file, where locks are words or the mapping must not be looked at; or −1.
    pub file: i32,
    /// The mapping of the runtime file.
    pub(super) memory: Memory<OwnFile>,
    /// The epoch of what this session has of leg b. 0: nothing.
    pub epoch: u32,
    /// A guest's domain records, held for the transaction.
    pub(super) owner: PerLeg<i32>,
}

impl Session {
    /// The runtime file.
    pub fn runtime(&self) -> View<'_> {
        match self.memory.view() {
            Some(v) => v,
            // SAFETY: a live shared mapping of SIZE bytes, page-aligned, made by `Place::live` or `make` and
            // never unmapped by the owner; all fields behind it are atomics, so other processes' stores are
            // no data race.
            None => View::Own(unsafe { &*(self.memory.at() as *const RuntimeFile) }),
        }
    }

    /// Whether another user, whom this process does not trust, owns the pair.
    pub fn is_guarded(&self) -> bool {
        self.memory.guarded().is_some()
    }

    /// O_PATH descriptor of a leg.
    pub fn at(&self, leg: Leg) -> i32 {
        self.root[leg]
    }

    /// Wakes whoever waits for an object.
    pub fn wake(&self, object: usize) {
        self.memory.wake(object);
    }
}

/// Rules: signals are blocked wherever a session is used, as `limits` wants it.
#[derive(Clone)]
pub struct OwnFile;

impl Lift for OwnFile {
    fn lifted(write: impl FnOnce() -> Sys<usize>) -> Sys<usize> {
        crate::process::limits::own_file(write)
    }
}
