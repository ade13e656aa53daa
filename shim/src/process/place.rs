//! Where the process stands: its root and its cwd.
use crate::process::actor::THREADED;
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

/// Hint: bit 0 says that the cwd is outside and no ancestor of a root; the other bits count chdirs.
pub static CWD: AtomicU32 = AtomicU32::new(0);

/// The cwd is about to change, or has just changed.
pub fn forget_cwd() {
    let v = CWD.load(Ordering::Relaxed);
    CWD.store((v | 1).wrapping_add(1), Ordering::Release);
}

/// A thread has a cwd of its own.
pub static CWD_SPLIT: AtomicBool = AtomicBool::new(false);

/// Whether the cwd is [`OUT`], as far as memory knows.
pub fn cwd_is_out() -> bool {
    // With a second thread a chdir may come between the look and the call.
    CWD.load(Ordering::Acquire) & 1 != 0
        && !THREADED.load(Ordering::Relaxed)
        && !CWD_SPLIT.load(Ordering::Relaxed)
}

/// The cwd is not one for all threads any more, or what it means is not what it was.
pub fn split_cwd() {
    CWD_SPLIT.store(true, Ordering::Relaxed);
}
