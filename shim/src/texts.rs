//! Texts that boot reads and that stay: paths of pairs, values of variables.
//!
//! Rules of this file: a page that nobody touches costs nothing. The texts of a usual configuration fit in
//! [`NEAR`], on the page that boot writes anyway.
use crate::cell::BootCell;
use core::ffi::CStr;

/// Room for texts, filled from its beginning.
pub struct Arena<const N: usize>(BootCell<Room<N>>);

#[repr(C)]
struct Room<const N: usize> {
    used: usize,
    bytes: [u8; N],
}

impl<const N: usize> Arena<N> {
    /// An empty one.
    pub const fn new() -> Self {
        Arena(BootCell::new(Room {
            used: 0,
            bytes: [0; N],
        }))
    }

    /// What is free of it.
    ///
    /// # Safety
    /// Only from the boot code, which runs alone; what was given before is used no more, unless it has
    /// been kept since.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn free(&'static self) -> &'static mut [u8] {
        // SAFETY: the caller's promise.
        let room = unsafe { self.0.boot_mut() };
        room.bytes.get_mut(room.used..).unwrap_or(&mut [])
    }

    /// Keeps the first `n` bytes of what is free.
    ///
    /// # Safety
    /// As for [`Arena::free`].
    pub unsafe fn keep(&'static self, n: usize) -> &'static [u8] {
        // SAFETY: the caller's promise.
        let room = unsafe { self.0.boot_mut() };
        let start = room.used;
        room.used = start.saturating_add(n).min(N);
        self.0.get().bytes.get(start..room.used).unwrap_or(&[])
    }
}

/// On the page that boot writes.
#[unsafe(link_section = ".data.boot")]
pub static NEAR: Arena<640> = Arena::new();

/// Keeps the parts, one behind the other with a NUL at their end: near, or in `far`.
///
/// # Safety
/// As for [`Arena::free`].
pub unsafe fn keep<const N: usize>(
    parts: &[&[u8]],
    far: &'static Arena<N>,
) -> Option<&'static CStr> {
    // SAFETY: the caller's promise; nothing else that was free is used here.
    let kept = unsafe {
        match fill(NEAR.free(), parts) {
            Some(n) => NEAR.keep(n),
            None => far.keep(fill(far.free(), parts)?),
        }
    };
    CStr::from_bytes_with_nul(kept).ok()
}

/// How many bytes that takes; `None`: more than there are.
fn fill(room: &mut [u8], parts: &[&[u8]]) -> Option<usize> {
    let mut end = 0usize;
    for part in parts.iter().copied().chain([&b"\0"[..]]) {
        let next = end.checked_add(part.len())?;
        for (d, s) in room.get_mut(end..next)?.iter_mut().zip(part) {
            *d = *s;
        }
        end = next;
    }
    Some(end)
}
