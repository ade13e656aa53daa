//! The table of mapped files as a process may reach it.
use crate::mapped::{ENTRIES, ENTRY, Entry, Mapped, Table, parse};
use crate::runtime::RuntimeFile;
use crate::view::{View, get, put};
use core::mem::offset_of;
use core::sync::atomic::Ordering;

/// Where an entry of the table of mapped files stands.
fn mapped_at(nth: usize) -> Option<usize> {
    let base = offset_of!(RuntimeFile, mapped).wrapping_add(offset_of!(Table, entries));
    (nth < ENTRIES).then(|| base.wrapping_add(nth.wrapping_mul(ENTRY)))
}

impl View<'_> {
    /// Whether any file may be mapped for writing.
    pub fn any_mapped(&self) -> bool {
        match self {
            View::Own(f) => f.mapped.count.load(Ordering::SeqCst) != 0,
            View::Guarded(g) => {
                let at = offset_of!(RuntimeFile, mapped).wrapping_add(offset_of!(Table, count));
                get::<8>(*g, at) != [0; 8]
            }
        }
    }

    /// An entry of the table of mapped files.
    pub fn mapped(&self, nth: usize) -> Option<Mapped> {
        match self {
            View::Own(f) => f.mapped.entries.get(nth)?.read(),
            View::Guarded(g) => parse(&get::<{ ENTRY }>(*g, mapped_at(nth)?)),
        }
    }

    /// The entry of the file with this inode on leg a.
    pub fn mapped_file(&self, inode: u64) -> Option<(usize, Mapped)> {
        if !self.any_mapped() {
            return None;
        }
        (0..ENTRIES).find_map(|nth| {
            if let View::Own(f) = self
                && f.mapped.entries.get(nth).map(Entry::inode) != Some(inode)
            {
                return None;
            }
            let m = self.mapped(nth).filter(|m| m.inode == inode)?;
            Some((nth, m))
        })
    }

    /// Frees an entry of the table of mapped files. The file's lock is held, or the whole pair.
    pub fn forget_mapped(&self, nth: usize) {
        match self {
            View::Own(f) => {
                if let Some(e) = f.mapped.entries.get(nth).filter(|e| e.inode() != 0) {
                    e.free();
                    f.mapped.count.fetch_sub(1, Ordering::SeqCst);
                }
            }
            View::Guarded(g) => {
                // The count stays too high, which only costs time.
                if let Some(at) = mapped_at(nth) {
                    put(*g, at, &[0; 8]);
                }
            }
        }
    }
}
