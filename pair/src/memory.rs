//! The mapping of a runtime file. Where others than the pair's own could cut the file short, the mapping is
//! not looked at: what stands in it is read, written and changed by system calls, which fail where a look
//! would be a SIGBUS (docs/decisions/0016).
use core::cell::Cell;
use core::marker::PhantomData;
use mirror_core::View;
use mirror_core::view::{Change, Guarded, futex_at};
use mirror_sys as sys;
use mirror_sys::Sys;

/// How a process extends or writes a file of its own: the limit of file sizes is for the user's.
pub trait Lift {
    /// Writes with that limit lifted.
    fn lifted(write: impl FnOnce() -> Sys<usize>) -> Sys<usize>;
}

/// A mapping, and the descriptor by which it is used if it must not be looked at.
#[derive(Clone)]
pub struct Memory<L> {
    at: usize,
    fd: i32,
    /// An access through the descriptor has failed.
    failed: Cell<bool>,
    how: PhantomData<L>,
}

impl<L: Lift> Memory<L> {
    /// All zero: no mapping yet.
    pub const fn none() -> Memory<L> {
        Memory {
            at: 0,
            fd: 0,
            failed: Cell::new(false),
            how: PhantomData,
        }
    }
    /// A mapping at `at`; `guarded`: by this descriptor alone.
    pub fn new(at: usize, guarded: Option<i32>) -> Memory<L> {
        Memory {
            at,
            fd: guarded.unwrap_or(-1),
            ..Memory::none()
        }
    }
    /// Where it is mapped.
    pub fn at(&self) -> usize {
        self.at
    }
    /// The descriptor, if the mapping must not be looked at.
    pub fn guarded(&self) -> Option<i32> {
        (self.fd >= 0).then_some(self.fd)
    }
    /// The records, by system calls: of a mapping that must not be looked at.
    pub fn view(&self) -> Option<View<'_>> {
        (self.fd >= 0).then_some(View::Guarded(self))
    }
    /// Wakes whoever waits for an object.
    pub fn wake(&self, object: usize) {
        if let Some(at) = futex_at(object) {
            sys::futex_wake_at(self.at.wrapping_add(at));
        }
    }
}

impl<L: Lift> Guarded for Memory<L> {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        // Memory: never partial but at its end.
        let want = into.len();
        sys::pread(self.fd, into, at as u64) == Ok(want)
    }
    fn write(&self, at: usize, from: &[u8]) -> bool {
        L::lifted(|| sys::pwrite(self.fd, from, at as u64)) == Ok(from.len())
    }
    fn change(&self, at: usize, how: Change) -> bool {
        sys::atomic_op(self.at.wrapping_add(at), how).is_ok()
    }
    fn fail(&self) {
        self.failed.set(true);
    }
    fn failed(&self) -> bool {
        self.failed.get()
    }
}
