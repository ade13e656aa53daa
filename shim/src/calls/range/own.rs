//! A pipe of the library's own, for one call.
use crate::calls::data::pieces::Buffer;
use crate::process::actor::locked;
use crate::process::limits;
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Closed with the value.
pub struct Pipe {
    /// Its end to read from.
    pub read: i32,
    /// Its end to write to.
    pub write: i32,
}

impl Pipe {
    /// A new one, also above the program's limit.
    pub fn new() -> Sys<Pipe> {
        let make = || sys::pipe(c::O_CLOEXEC);
        let (read, write) = match make() {
            Err(Errno::EMFILE) => locked(|| limits::with_limit(0, make)),
            r => r,
        }?;
        Ok(Pipe { read, write })
    }
    /// Reads `len` bytes that are in it, no more than the buffer has room for.
    pub fn all<const N: usize>(&self, to: &mut Buffer<N>, len: usize) -> Sys<usize> {
        let len = len.min(N);
        let mut have = 0usize;
        while have < len {
            let (at, left) = (to.at().wrapping_add(have), len.wrapping_sub(have));
            // SAFETY: the buffer has N bytes; `have < len <= N`.
            let n = unsafe { sys::read_raw(self.read, at, left) }?;
            if n == 0 {
                break;
            }
            have = have.saturating_add(n);
        }
        Ok(have)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = sys::close(self.read);
        let _ = sys::close(self.write);
    }
}
