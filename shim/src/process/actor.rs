//! Whose memory this is, who runs on it, and the mutex of its owner.
//!
//! Rules: memory is shared with vfork children while descriptors and the cwd are not. A *guest* is a process
//! that runs on our memory without being us; it may store nothing but "unknown" into hints. Three marks tell the two apart
//! (decision 0004): a word that the kernel empties in every copy of this memory; the threads that have lent
//! this memory to a child and do not run until it is gone; and the pid, which costs a system call and is
//! asked where the other two cannot tell.
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use libc as c;
use mirror_sys as sys;
use mirror_sys::thread_pointer;

/// Pid of the process whose memory this is; other pids are guests.
#[unsafe(link_section = ".data.boot")]
pub static OWN_PID: AtomicI32 = AtomicI32::new(0);

/// The process has had a second thread.
#[unsafe(link_section = ".data.boot")]
pub static THREADED: AtomicBool = AtomicBool::new(false);

/// A thread has a descriptor table of its own (unshare): what one thread learns of a number is nothing
/// to another.
#[unsafe(link_section = ".data.boot")]
pub static SPLIT: AtomicBool = AtomicBool::new(false);

/// Calls of this process may go past the library: instructions of its own are not dispatched, or that is not
/// known. What it does to descriptors that way is not seen.
#[unsafe(link_section = ".data.boot")]
pub static UNSEEN: AtomicBool = AtomicBool::new(false);

/// There may be a child that runs on this memory beside its parent, or a copy that nothing else tells.
#[unsafe(link_section = ".data.boot")]
static SHARED: AtomicBool = AtomicBool::new(false);

/// Threads that have lent this memory (vfork, posix_spawn), by thread pointer: the child has the same one.
/// A thread stands here until its first call after the child has gone.
static LENT: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];
/// How many there are.
#[unsafe(link_section = ".data.boot")]
static LENDERS: AtomicU32 = AtomicU32::new(0);

/// Address of a word in a page that the kernel empties in every copy of this memory
/// (MADV_WIPEONFORK), or 0: not made yet, or refused. The word is 1 in its owner.
#[unsafe(link_section = ".data.boot")]
static MARK: AtomicUsize = AtomicUsize::new(0);
/// The kernel has refused such a page.
#[unsafe(link_section = ".data.boot")]
static NO_MARK: AtomicBool = AtomicBool::new(false);

fn mark() -> Option<&'static AtomicU32> {
    let at = MARK.load(Ordering::Acquire);
    // SAFETY: not 0: the address of a page that `own` has mapped and nobody unmaps.
    (at != 0).then(|| unsafe { &*(at as *const AtomicU32) })
}

/// Says that this process is the owner of this memory: when the kernel has said so, at attach, and in a child
/// that our fork made.
pub fn own() {
    if let Some(m) = mark() {
        m.store(1, Ordering::Relaxed);
        return;
    }
    if NO_MARK.load(Ordering::Relaxed) {
        return;
    }
    let Ok(at) = sys::map_wiped_on_fork(4096) else {
        NO_MARK.store(true, Ordering::Relaxed);
        return;
    };
    // SAFETY: the page has just been mapped and is aligned; nobody else knows it.
    unsafe { &*(at as *const AtomicU32) }.store(1, Ordering::Relaxed);
    let free = MARK.compare_exchange(0, at, Ordering::AcqRel, Ordering::Relaxed);
    if free.is_err() {
        // SAFETY: mapped above; another thread was first.
        unsafe { sys::unmap(at, 4096) };
    }
}

/// In a child that our fork has made. The lenders are threads of its parent's.
pub fn own_after_fork() {
    OWN_PID.store(sys::getpid(), Ordering::Relaxed);
    if mark().is_some() {
        own();
    }
    if LENDERS.swap(0, Ordering::Relaxed) != 0 {
        LENT.iter().for_each(|s| s.store(0, Ordering::Relaxed));
    }
}

/// A clone that shares this memory is about to be made.
pub fn lend(flags: usize) {
    let has = |f: i32| flags & f as usize != 0;
    if !has(c::CLONE_VFORK) || has(c::CLONE_SETTLS) || !stand_for(thread_pointer()) {
        SHARED.store(true, Ordering::Relaxed);
    }
}

/// Notes a lender; false: there is no room.
fn stand_for(me: usize) -> bool {
    if lent_by(me).is_some() {
        return true;
    }
    LENDERS.fetch_add(1, Ordering::Relaxed);
    let free = |s: &AtomicUsize| {
        s.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    };
    let stands = me != 0 && LENT.iter().any(free);
    if !stands {
        LENDERS.fetch_sub(1, Ordering::Relaxed);
    }
    stands
}

fn lent_by(me: usize) -> Option<&'static AtomicUsize> {
    LENT.iter().find(|s| s.load(Ordering::Relaxed) == me)
}

/// Guests that are not mirrored: pid and thread pointer, which is their lender's too.
static ASIDE: [(AtomicI32, AtomicUsize); 8] =
    [const { (AtomicI32::new(0), AtomicUsize::new(0)) }; 8];
/// How many there are.
#[unsafe(link_section = ".data.boot")]
static ASIDES: AtomicU32 = AtomicU32::new(0);

/// This guest's calls are the kernel's from now on; false: there is no room.
pub fn stand_aside() -> bool {
    let me = sys::getpid();
    let free = |(pid, thread): &(AtomicI32, AtomicUsize)| {
        let relaxed = Ordering::Relaxed;
        let taken = pid.compare_exchange(0, me, relaxed, relaxed).is_ok();
        if taken {
            thread.store(thread_pointer(), relaxed);
        }
        taken
    };
    ASIDES.fetch_add(1, Ordering::Relaxed);
    let stands = ASIDE.iter().any(free);
    if !stands {
        ASIDES.fetch_sub(1, Ordering::Relaxed);
    }
    stands
}

/// Whether this is such a guest.
#[inline]
pub fn is_aside() -> bool {
    ASIDES.load(Ordering::Relaxed) != 0 && asks_aside()
}

/// A lender, or a copy, that runs with a guest's thread pointer is not that guest, which is gone then.
#[cold]
#[inline(never)]
fn asks_aside() -> bool {
    let (here, me) = (thread_pointer(), sys::getpid());
    let relaxed = Ordering::Relaxed;
    for (pid, thread) in &ASIDE {
        let whose = pid.load(relaxed);
        if whose == 0 || thread.load(relaxed) != here {
            continue;
        }
        if whose == me {
            return true;
        }
        thread.store(0, relaxed);
        pid.store(0, relaxed);
        ASIDES.fetch_sub(1, relaxed);
    }
    false
}

/// A copy of this memory is about to be made without our fork.
pub fn copied() {
    if mark().is_none() && !guest() {
        own();
    }
    if guest() || mark().is_none() {
        // Its memory, a copy of this, says whom to ask.
        SHARED.store(true, Ordering::Relaxed);
    }
}

/// Whether this memory is a copy that was made without our fork, and nobody has called it his.
pub fn is_copy() -> bool {
    mark().is_some_and(|m| m.load(Ordering::Relaxed) == 0)
}

/// The same, not lent by this thread.
pub fn is_private_copy() -> bool {
    is_copy() && lent_by(thread_pointer()).is_none()
}

/// Whether somebody else may run on this memory in the place of this thread.
fn shared() -> bool {
    SHARED.load(Ordering::Relaxed)
        || (LENDERS.load(Ordering::Relaxed) != 0 && lent_by(thread_pointer()).is_some())
}

/// Whether this code runs in a process that is not the owner of this memory.
pub fn guest() -> bool {
    match mark() {
        Some(m) if m.load(Ordering::Relaxed) == 0 => true,
        Some(_) if !shared() => false,
        _ => asked(),
    }
}

/// What the kernel says.
#[cold]
#[inline(never)]
fn asked() -> bool {
    if sys::getpid() != OWN_PID.load(Ordering::Relaxed) {
        return true;
    }
    // A lender runs again when its child has execed or is gone.
    if LENDERS.load(Ordering::Relaxed) != 0
        && let Some(s) = lent_by(thread_pointer())
    {
        s.store(0, Ordering::Relaxed);
        LENDERS.fetch_sub(1, Ordering::Relaxed);
    }
    own();
    false
}

/// The same, asked only when a guest is possible at all; also true where hints of descriptors are off.
pub fn maybe_guest() -> bool {
    if SPLIT.load(Ordering::Relaxed) {
        return true;
    }
    match mark() {
        // A copy made without our fork, before there was a mark, asks by `SHARED`.
        None if !shared() => false,
        _ => guest(),
    }
}

/// A mutex of this process's threads, taken with all signals blocked. Guests do not take it: they
/// have lock descriptions of their own.
pub struct Mutex(AtomicU32);

/// Looks at a mutex that is taken, before its thread sleeps.
const SPINS: u32 = 512;

/// Serialises mirrored transactions, descriptor changes and chdir of this process.
#[unsafe(link_section = ".data.boot")]
pub static TX: Mutex = Mutex(AtomicU32::new(0));

/// Thread pointer of the thread that holds TX, or 0.
#[unsafe(link_section = ".data.boot")]
static HOLDER: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread holds TX.
pub fn holds() -> bool {
    let me = thread_pointer();
    me != 0 && HOLDER.load(Ordering::Relaxed) == me
}

impl Mutex {
    /// Takes it.
    pub fn lock(&self) {
        self.lock_for(0);
    }
    /// Takes it, and looks for some microseconds before it sleeps: for changes of data. One that changes names would
    /// be there again before another thread, which has looked up what it is about to change, has had its turn.
    pub fn lock_soon(&self) {
        if !self.try_lock() && !self.try_long() {
            self.lock_for(0);
        }
    }
    /// Whether nobody has it.
    pub fn is_free(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
    /// Takes it if it is free.
    pub fn try_lock(&self) -> bool {
        let free = self
            .0
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        self.taken(free.is_ok())
    }
    fn taken(&self, taken: bool) -> bool {
        if taken {
            HOLDER.store(thread_pointer(), Ordering::Relaxed);
        }
        taken
    }
    /// The same for some microseconds: most writes are over by then, and to sleep takes longer.
    #[cold]
    fn try_long(&self) -> bool {
        for _ in 0..SPINS {
            core::hint::spin_loop();
            if self.is_free() && self.try_lock() {
                return true;
            }
        }
        false
    }
    /// Takes it, waiting about `ms` milliseconds at most (0: as long as it takes). Whether it was taken.
    pub fn lock_for(&self, ms: u32) -> bool {
        if self.try_lock() {
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
        self.taken(true)
    }
    /// Gives it back.
    pub fn unlock(&self) {
        HOLDER.store(0, Ordering::Relaxed);
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

/// The same, where TX may be held already.
pub fn in_turn<T>(f: impl FnOnce() -> T) -> T {
    if holds() { f() } else { locked(f) }
}
