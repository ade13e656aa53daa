//! Cells that boot alone writes.
use core::cell::UnsafeCell;

/// A cell that is written at boot only.
pub struct BootCell<T>(UnsafeCell<T>);
// SAFETY: written by the boot code alone, before a second thread or a reader exists.
unsafe impl<T> Sync for BootCell<T> {}

impl<T> BootCell<T> {
    /// A cell with its initial value.
    pub const fn new(v: T) -> Self {
        BootCell(UnsafeCell::new(v))
    }
    /// Read access.
    pub fn get(&self) -> &T {
        // SAFETY: nobody writes after boot (rule of this type).
        unsafe { &*self.0.get() }
    }
    /// Write access.
    ///
    /// # Safety
    /// Only from the boot code, which runs alone.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn boot_mut(&self) -> &mut T {
        // SAFETY: the caller is the boot code; no other reference is alive.
        unsafe { &mut *self.0.get() }
    }
}
