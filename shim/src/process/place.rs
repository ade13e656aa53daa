//! Where the process stands: its root.
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
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
