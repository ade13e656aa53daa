//! The mapping of a runtime file, and what is done through it.
use crate::fail::{Fail, Kind, Res};
use mirror_core::runtime::{RuntimeFile, SIZE};
use mirror_core::view::{Change, Guarded, View, futex_at};
use mirror_core::word::StateWord;
use rustix::mm::{MapFlags, ProtFlags};
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

/// A shared mapping of a runtime file.
pub struct Runtime {
    at: std::ptr::NonNull<RuntimeFile>,
    /// The file, if others could cut it short: then the mapping is not looked at.
    guarded: Option<OwnedFd>,
    failed: Cell<bool>,
}

impl Runtime {
    /// Maps a file of the right size.
    pub fn map(fd: OwnedFd, guarded: bool) -> io::Result<Runtime> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; every field of RuntimeFile is an
        // atomic. SIZE bytes exist in the file (checked or allocated by the callers) for as long as those
        // want it who can write it; where they are not trusted, the mapping is not looked at.
        let p = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), SIZE, prot, MapFlags::SHARED, &fd, 0)
        }?;
        Ok(Runtime {
            at: std::ptr::NonNull::new(p.cast()).ok_or(io::ErrorKind::InvalidData)?,
            guarded: guarded.then_some(fd),
            failed: Cell::new(false),
        })
    }
    /// The file's records.
    pub fn view(&self) -> View<'_> {
        match &self.guarded {
            Some(_) => View::Guarded(self),
            // SAFETY: mapped for as long as self lives, page-aligned, all fields atomic.
            None => View::Own(unsafe { self.at.as_ref() }),
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
    /// Wakes whoever waits for an object.
    pub fn wake(&self, object: usize) {
        let Some(at) = futex_at(object) else { return };
        let word = self.at.as_ptr().cast::<u8>().wrapping_add(at);
        // SAFETY: FUTEX_WAKE looks up an address and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
    }
}

impl Guarded for Runtime {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        let want = into.len();
        self.guarded
            .as_ref()
            .is_some_and(|fd| rustix::io::pread(fd, into, at as u64) == Ok(want))
    }
    fn write(&self, at: usize, from: &[u8]) -> bool {
        self.guarded
            .as_ref()
            .is_some_and(|fd| rustix::io::pwrite(fd, from, at as u64) == Ok(from.len()))
    }
    fn change(&self, at: usize, how: Change) -> bool {
        mirror_sys::atomic_op(self.at.as_ptr() as usize + at, how).is_ok()
    }
    fn fail(&self) {
        self.failed.set(true);
    }
    fn failed(&self) -> bool {
        self.failed.get()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: our own mapping of exactly this size; no reference outlives self.
        let _ = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), SIZE) };
    }
}
