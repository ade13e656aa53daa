//! The program's memory: the only place that follows an address of the program.
//!
//! Rules: the kernel is asked about every page that an object lies on before the object is touched, so
//! that a pointer which the kernel would refuse is an EFAULT here and never a signal; nothing is assumed
//! of a pointer (its alignment, its range, that two reads give the same); nothing is read twice.
//!
//! The kernel is asked with rt_sigprocmask, or by futex where a sandbox refuses that. Between its answer and the
//! read lies a moment in which another thread may take the page away (LIMITS.md).
use crate::tables::{NO_PAGE, PAGES};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PATH_MAX;
use mirror_core::path::Path;
use mirror_sys as sys;
use mirror_sys::Sys;

const PAGE: usize = 4096;

/// What may have any bytes as its value.
///
/// # Safety
/// Every pattern of bits is a value, and there is no padding whose content matters.
pub unsafe trait Plain: Copy {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}
// SAFETY: an integer.
unsafe impl Plain for usize {}
// SAFETY: three integers.
unsafe impl Plain for sys::OpenHow {}
// SAFETY: four integers.
unsafe impl Plain for sys::CloneRange {}
// SAFETY: a pointer and a length; a pointer has no invalid values.
unsafe impl Plain for c::iovec {}
// SAFETY: integers.
unsafe impl<const N: usize> Plain for [u64; N] {}

/// An address that the program says a `T` is at.
pub struct UserPtr<T> {
    addr: usize,
    kind: PhantomData<T>,
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserPtr<T> {}

impl<T: Plain> UserPtr<T> {
    /// An argument of a call.
    pub const fn new(addr: usize) -> UserPtr<T> {
        UserPtr {
            addr,
            kind: PhantomData,
        }
    }

    /// A copy of what is there.
    pub fn read(self) -> Sys<T> {
        present(self.addr, size_of::<T>())?;
        // SAFETY: every page that the object lies on has just been found readable; any bytes are a `T`;
        // nothing is assumed of the alignment.
        Ok(unsafe { (self.addr as *const T).read_unaligned() })
    }
}

impl UserPtr<u64> {
    /// Stores a value.
    pub fn write(self, value: u64) -> Sys<()> {
        // SAFETY: the eight bytes are to be overwritten; the kernel checks them all.
        if !unsafe { sys::writable(self.addr) } {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the kernel has just written to these eight bytes.
        unsafe { (self.addr as *mut u64).write_unaligned(value) };
        Ok(())
    }
}

/// An array of the program, of unknown length: each page is asked for once.
pub struct Array<T> {
    addr: usize,
    /// The last page that was found readable.
    known: usize,
    kind: PhantomData<T>,
}

impl<T: Plain> Array<T> {
    /// The array that begins at `addr`.
    pub const fn new(addr: usize) -> Array<T> {
        Array {
            addr,
            known: NO_PAGE,
            kind: PhantomData,
        }
    }

    /// A copy of its entry `i`.
    pub fn get(&mut self, i: usize) -> Sys<T> {
        let size = size_of::<T>();
        let at = i.checked_mul(size).and_then(|o| self.addr.checked_add(o));
        let at = at.ok_or(Errno::EFAULT)?;
        let last = at
            .checked_add(size.saturating_sub(1))
            .ok_or(Errno::EFAULT)?;
        if at / PAGE != self.known || last / PAGE != self.known {
            present(at, size)?;
            self.known = last / PAGE;
        }
        // SAFETY: its pages have been found readable; any bytes are a `T`, of any alignment.
        Ok(unsafe { (at as *const T).read_unaligned() })
    }
}

/// The program has memory that another thread or process provides when it is touched.
static PAGED: AtomicBool = AtomicBool::new(false);

pub fn paged() {
    PAGED.store(true, Ordering::Relaxed);
}

#[inline]
pub fn is_paged() -> bool {
    PAGED.load(Ordering::Relaxed)
}

/// Lets memory be provided while no lock is held: who provides it may need one.
pub fn touch(addr: usize, len: usize) {
    if len != 0 {
        let _ = present(addr, len);
    }
}

/// Whether `len` bytes can be read, page by page.
fn present(addr: usize, len: usize) -> Sys<()> {
    let last = addr
        .checked_add(len.saturating_sub(1))
        .ok_or(Errno::EFAULT)?;
    let mut page = addr / PAGE;
    loop {
        if !sys::readable(page.wrapping_mul(PAGE)) {
            return Err(Errno::EFAULT);
        }
        if page >= last / PAGE {
            return Ok(());
        }
        page = page.wrapping_add(1);
    }
}

/// Copies `out.len()` bytes.
pub fn bytes(addr: usize, out: &mut [u8]) -> Sys<()> {
    present(addr, out.len())?;
    for (i, b) in out.iter_mut().enumerate() {
        // SAFETY: all pages have just been found readable.
        *b = unsafe { (addr.wrapping_add(i) as *const u8).read_volatile() };
    }
    Ok(())
}

/// Copies a path, once. EFAULT or ENAMETOOLONG: the kernel will say the same. By the pages that are
/// remembered: what decided that the call is looked at here has read the same text by them.
pub fn path(addr: usize, out: &mut Path) -> Sys<()> {
    let mut n = 0usize;
    let buf = out.buffer();
    while n < PATH_MAX {
        let at = addr.checked_add(n).ok_or(Errno::EFAULT)?;
        if (n == 0 || at.is_multiple_of(PAGE)) && !remembered(at) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: as in `text`.
        let b = unsafe { (at as *const u8).read_volatile() };
        if b == 0 {
            out.set_len(n);
            return Ok(());
        }
        *buf.get_mut(n).ok_or(Errno::ENAMETOOLONG)? = b;
        n = n.wrapping_add(1);
    }
    Err(Errno::ENAMETOOLONG)
}

/// The text at an address in place, if it can be read and is shorter than a path may be. For looks that
/// end with the call: another thread may change it.
pub fn text<'a>(addr: usize) -> Option<&'a [u8]> {
    let mut n = 0usize;
    loop {
        let at = addr.checked_add(n)?;
        if (n == 0 || at.is_multiple_of(PAGE)) && !remembered(at) {
            return None;
        }
        // SAFETY: the byte's page was found readable, and no call of the program has taken a page away
        // since.
        if unsafe { (at as *const u8).read_volatile() } == 0 {
            break;
        }
        n = n.wrapping_add(1);
        if n >= PATH_MAX {
            return None;
        }
    }
    // SAFETY: the n bytes have just been read.
    Some(unsafe { core::slice::from_raw_parts(addr as *const u8, n) })
}

/// Whether the string at `addr` begins with `name`. Stops at the first byte that differs.
pub fn begins(addr: usize, name: &[u8]) -> bool {
    for (i, &b) in name.iter().enumerate() {
        let Some(at) = addr.checked_add(i) else {
            return false;
        };
        if (i == 0 || at.is_multiple_of(PAGE)) && !remembered(at) {
            return false;
        }
        // SAFETY: as in `text`.
        if unsafe { (at as *const u8).read_volatile() } != b {
            return false;
        }
    }
    true
}

/// The eight bytes at an address, if they can be read, by the pages that are remembered.
pub fn word(addr: usize) -> Option<u64> {
    let last = addr.checked_add(7)?;
    if !remembered(addr) || (last / PAGE != addr / PAGE && !remembered(last)) {
        return None;
    }
    // SAFETY: as in `text`; nothing is assumed of the alignment.
    Some(unsafe { (addr as *const u64).read_unaligned() })
}

/// A buffer that the kernel has just filled.
///
/// # Safety
/// A call that this handler made has stored `len` bytes there, and its result has not been given to the
/// program yet.
pub unsafe fn filled<'a>(addr: usize, len: usize) -> &'a mut [u8] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise: the bytes can be written, and only this handler knows of them.
    unsafe { core::slice::from_raw_parts_mut(addr as *mut u8, len) }
}

/// Counted when pages are taken away.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Whether a byte can be read, by the pages that were found readable before. The pre-filter reads the
/// same table.
fn remembered(addr: usize) -> bool {
    let page = addr / PAGE;
    let Some(slot) = PAGES.get(page % PAGES.len()) else {
        return false;
    };
    if slot.load(Ordering::Relaxed) == page {
        return true;
    }
    let taken = TAKEN.load(Ordering::SeqCst);
    let readable = sys::readable(addr);
    if readable {
        slot.store(page, Ordering::SeqCst);
        if TAKEN.load(Ordering::SeqCst) != taken {
            slot.store(NO_PAGE, Ordering::Relaxed);
        }
    }
    readable
}

/// The program has taken pages away: what was found readable may not be any more.
pub fn forget(from: usize, to: usize) {
    TAKEN.fetch_add(1, Ordering::SeqCst);
    let gone = from / PAGE..to.div_ceil(PAGE);
    for p in &PAGES {
        if gone.contains(&p.load(Ordering::Relaxed)) {
            p.store(NO_PAGE, Ordering::Release);
        }
    }
}
