//! Whose memory this is, who runs on it, and the mutex of its owner.
//!
//! Rules: memory is shared with vfork children while descriptors and the cwd are not. A *guest* is a process
//! that runs on our memory without being us; it may store nothing but "unknown" into hints.
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use mirror_sys as sys;

/// Pid of the process whose memory this is; other pids are guests.
pub static OWN_PID: AtomicI32 = AtomicI32::new(0);

/// A vfork (or posix_spawn) was seen: whoever reads or stores a hint must ask who it is.
pub static VFORKED: AtomicBool = AtomicBool::new(false);

/// The process has had a second thread.
pub static THREADED: AtomicBool = AtomicBool::new(false);

/// Address of a word in a page that the kernel empties in every copy of this memory
/// (MADV_WIPEONFORK), or 0: not made yet, or refused. The word is 1 in its owner.
static MARK: AtomicUsize = AtomicUsize::new(0);

fn mark() -> Option<&'static AtomicU32> {
    let at = MARK.load(Ordering::Relaxed);
    // SAFETY: not 0: the address of a page that `own` has mapped and nobody unmaps.
    (at != 0).then(|| unsafe { &*(at as *const AtomicU32) })
}

/// Says that this process is the owner of this memory: at attach, and in a child that our fork made.
/// TX is held.
pub fn own() {
    if mark().is_none()
        && let Ok(at) = sys::map_wiped_on_fork(4096)
    {
        MARK.store(at, Ordering::Relaxed);
    }
    if let Some(m) = mark() {
        m.store(1, Ordering::Relaxed);
    }
}

/// Whether this code runs in a process that is not the owner of this memory. Only after a clone that
/// shares memory must the kernel be asked.
pub fn guest() -> bool {
    match mark() {
        Some(m) if m.load(Ordering::Relaxed) == 0 => true,
        Some(_) if !VFORKED.load(Ordering::Relaxed) => false,
        _ => sys::getpid() != OWN_PID.load(Ordering::Relaxed),
    }
}

/// A thread has a descriptor table of its own (unshare): what one thread learns of a number is nothing
/// to another.
pub static SPLIT: AtomicBool = AtomicBool::new(false);

/// [`guest`], asked only when a guest is possible at all.
pub fn maybe_guest() -> bool {
    if SPLIT.load(Ordering::Relaxed) {
        return true;
    }
    VFORKED.load(Ordering::Relaxed) && guest()
}

/// A mutex of this process's threads, taken with all signals blocked. Guests do not take it: they
/// have lock descriptions of their own.
pub struct Mutex(AtomicU32);

/// Serialises mirrored transactions, descriptor changes and chdir of this process.
pub static TX: Mutex = Mutex(AtomicU32::new(0));

impl Mutex {
    /// Takes it.
    pub fn lock(&self) {
        self.lock_for(0);
    }
    /// Takes it, waiting about `ms` milliseconds at most (0: as long as it takes). Whether it was taken.
    pub fn lock_for(&self, ms: u32) -> bool {
        if self
            .0
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            return true;
        }
        let mut left = ms;
        // 2 = taken, and somebody waits.
        while self.0.swap(2, Ordering::Acquire) != 0 {
            if ms == 0 {
                sys::futex_wait(&self.0, 2, 0);
            } else {
                if left == 0 {
                    return false;
                }
                sys::futex_wait(&self.0, 2, 10);
                left = left.saturating_sub(10);
            }
        }
        true
    }
    /// Gives it back.
    pub fn unlock(&self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            sys::futex_wake(&self.0);
        }
    }
}

/// Runs `f` with TX held, unless this is a guest.
pub fn locked<T>(f: impl FnOnce() -> T) -> T {
    let own = !guest();
    if own {
        TX.lock();
    }
    let r = f();
    if own {
        TX.unlock();
    }
    r
}
