//! What the process looks like at boot.
use crate::program::elf::LinkMap;

/// What the process looks like at boot. All pointers are the kernel's own start block.
pub struct BootInfo {
    /// Environment, NULL-terminated; entries may be taken out by moving the later ones up.
    pub envp: *mut *const u8,
    /// Auxiliary vector, pairs of words, ended by AT_NULL.
    pub auxv: *const [usize; 2],
    /// Load address of libc; 0: there is none.
    pub libc_base: usize,
    /// Load address of this library.
    pub own_base: usize,
    /// This library's path as ld.so knows it (what LD_PRELOAD said).
    pub own_path: *const u8,
    /// Effective user.
    pub euid: u32,
    /// The user's home counts: this is not the system's root.
    pub reads_home: bool,
    /// ld.so's `_r_debug`, and the first entry of its list.
    pub debug: usize,
    /// See `debug`.
    pub maps: LinkMap,
}

impl BootInfo {
    /// An entry of the auxiliary vector, 0 if absent.
    pub fn auxv(&self, kind: usize) -> usize {
        let mut p = self.auxv;
        loop {
            // SAFETY: the vector is the kernel's and ends with AT_NULL.
            let [k, v] = unsafe { *p };
            if k == kind || k == libc::AT_NULL as usize {
                return if k == kind { v } else { 0 };
            }
            p = p.wrapping_add(1);
        }
    }
}
