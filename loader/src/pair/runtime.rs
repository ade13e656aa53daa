//! The mapping of a runtime file, and what is done through it.
use crate::fail::{Fail, Kind, Res};
use mirror_core::runtime::{RuntimeFile, SIZE};
use mirror_core::view::View;
use mirror_core::word::StateWord;
use mirror_core::{Errno, LockKind};
use mirror_pair::memory::{Lift, Memory};
use mirror_pair::runtime::Joined;
use mirror_pair::words;
use mirror_sys::Sys;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::Cell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A shared mapping of a runtime file.
pub struct Runtime {
    memory: Memory<Lifted>,
    /// Its descriptor, where the mapping must not be looked at, and where locks are words.
    pub file: Option<OwnedFd>,
    /// Which locks its pair has.
    pub locks: LockKind,
    /// This process relies on the flocks.
    relies: Cell<bool>,
}

impl Runtime {
    /// What was mapped.
    pub fn of(joined: Joined) -> Runtime {
        // SAFETY: the file's own descriptor, which belongs to nobody else.
        let own = |n| unsafe { OwnedFd::from_raw_fd(n) };
        Runtime {
            memory: Memory::new(joined.at, joined.file.filter(|_| joined.guarded)),
            file: joined.file.map(own),
            locks: joined.locks,
            relies: Cell::new(false),
        }
    }
    /// The file's records.
    pub fn view(&self) -> View<'_> {
        match self.memory.view() {
            Some(v) => v,
            // SAFETY: mapped for as long as self lives, page-aligned, all fields atomic.
            None => View::Own(unsafe { &*(self.memory.at() as *const RuntimeFile) }),
        }
    }
    /// The state word.
    pub fn word(&self) -> StateWord {
        self.view().word()
    }
    /// An error if somebody has cut the file short.
    pub fn sound(&self) -> Res<()> {
        self.view().sound().map_err(|_| {
            Fail::new(
                Kind::Leg,
                "the pair's runtime file is damaged: somebody has cut it short. Stop the pair's programs, then try again",
            )
        })
    }
    /// From now on, as long as this lives, whoever takes a lock word takes the flock as well.
    pub fn rely(&self) -> Sys<()> {
        let file = self.file.as_ref().ok_or(Errno::EIO)?.as_raw_fd();
        let pause = || std::thread::sleep(Duration::from_millis(1));
        words::rely(file, self.view(), pause)?;
        self.relies.set(true);
        Ok(())
    }
    /// Wakes whoever waits for an object.
    pub fn wake(&self, object: usize) {
        self.memory.wake(object);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let (true, Some(file)) = (self.relies.get(), &self.file) {
            words::drop_flocked(file.as_raw_fd(), self.view());
        }
        // SAFETY: our own mapping of exactly this size; no reference outlives self.
        unsafe { mirror_sys::unmap(self.memory.at(), SIZE) };
    }
}

struct Lifted;

impl Lift for Lifted {
    fn lifted(write: impl FnOnce() -> Sys<usize>) -> Sys<usize> {
        let _lifted = SizeLimit::lift();
        write()
    }
}

/// While this lives, the limit of file sizes is lifted as far as may be: it is for the user's files.
/// SIGXFSZ is ignored (see `signal`).
pub struct SizeLimit(Rlimit);

impl SizeLimit {
    /// Lifts it.
    pub fn lift() -> SizeLimit {
        let old = getrlimit(Resource::Fsize);
        let to = |l: Option<u64>| {
            let new = Rlimit {
                current: l,
                maximum: l,
            };
            setrlimit(Resource::Fsize, new)
        };
        if old.current.is_some() && to(None).is_err() {
            let _ = to(old.maximum);
        }
        SizeLimit(old)
    }
}

impl Drop for SizeLimit {
    fn drop(&mut self) {
        if self.0.current.is_some() {
            let _ = setrlimit(Resource::Fsize, self.0);
        }
    }
}
