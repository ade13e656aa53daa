//! Where the process stands: its root, and whether texts say where that is.
use crate::process::place;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use mirror_core::path::PathText;

/// After a chroot the kernel's texts begin at the new root: what stands before them.
pub static ROOT: RootText = RootText {
    len: AtomicU32::new(0),
    text: [const { AtomicU8::new(0) }; 1024],
};

/// See [`ROOT`]. Written with TX held, by the one process whose root it is.
pub struct RootText {
    len: AtomicU32,
    text: [AtomicU8; 1024],
}

impl RootText {
    /// Whether the process's root is the system's.
    pub fn is_default(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }
    /// Sets the text; false if it is too long.
    pub fn set(&self, root: &[u8]) -> bool {
        if root.len() > self.text.len() {
            return false;
        }
        for (d, s) in self.text.iter().zip(root) {
            d.store(*s, Ordering::Relaxed);
        }
        self.len.store(root.len() as u32, Ordering::Release);
        true
    }
    /// `text` as the system sees it.
    pub fn absolute<const N: usize>(&self, text: &[u8], out: &mut PathText<N>) -> bool {
        out.truncate(0);
        let n = self.len.load(Ordering::Acquire) as usize;
        self.text
            .iter()
            .take(n)
            .all(|b| out.append(&[b.load(Ordering::Relaxed)]).is_ok())
            && (text == b"/" || out.append(text).is_ok())
    }
}

/// Texts say nothing any more.
pub static MIXED: AtomicBool = AtomicBool::new(false);

/// Whether threads may have different roots, or mounts have moved.
pub fn mixed() -> bool {
    MIXED.load(Ordering::Relaxed)
}

/// Whether the kernel's texts are those of the system.
pub fn plain() -> bool {
    place::ROOT.is_default() && !mixed()
}
