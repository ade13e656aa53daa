//! What the library remembers in one process.
//!
//! Rules: the configuration is written once at boot (one thread, before any constructor) and only read
//! later. Everything else is an atomic. Memory is shared with vfork children while descriptors and the
//! cwd are not, so memory holds hints whose wrong value costs a system call, and a *guest* (a process
//! that runs on our memory without being us) may store nothing but "unknown".
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use mirror_core::numbers::{self, TEXTS_MAX};
use mirror_core::path::{PathText, Under, under};
use mirror_core::tab::{Entry, Options};
use mirror_core::{MAX_PAIRS, RESERVED};
use mirror_sys as sys;

pub use crate::arch::HINTS;

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

/// One configured pair.
#[derive(Clone, Copy)]
pub struct PairConf {
    /// V, then the legs, as NUL-terminated absolute normal texts.
    pub virt: &'static CStr,
    /// Legs a and b.
    pub legs: [&'static CStr; 2],
    /// Not one of the pairs that were named to `mirror run`: nothing in it may be changed.
    pub closed: bool,
    /// What the tab says besides.
    pub options: Options,
}

/// The configuration.
///
/// All zero before boot, so that the program's file-backed pages stay untouched.
pub struct Config {
    pairs: [MaybeUninit<PairConf>; MAX_PAIRS],
    n: usize,
    arena: [u8; TEXTS_MAX],
    used: usize,
}

/// The process's configuration.
pub static CONFIG: BootCell<Config> = BootCell::new(Config {
    pairs: [const { MaybeUninit::zeroed() }; MAX_PAIRS],
    n: 0,
    arena: [0; TEXTS_MAX],
    used: 0,
});

impl Config {
    /// The pairs.
    pub fn pairs(&'static self) -> &'static [PairConf] {
        let set = self.pairs.get(..self.n).unwrap_or(&[]);
        // SAFETY: `add` has initialised the first `n` entries; MaybeUninit<T> has T's layout.
        unsafe { core::slice::from_raw_parts(set.as_ptr().cast(), set.len()) }
    }
    /// Whether there are as many pairs as there can be.
    pub fn full(&self) -> bool {
        self.n >= MAX_PAIRS
    }
    fn keep(&'static mut self, text: &[u8]) -> Option<(&'static CStr, &'static mut Config)> {
        let start = self.used;
        let end = start.checked_add(text.len())?.checked_add(1)?;
        let room = self.arena.get_mut(start..end)?;
        for (d, s) in room.iter_mut().zip(text.iter().chain([&0])) {
            *d = *s;
        }
        self.used = end;
        let c: *const Config = self;
        // SAFETY: the arena is a static; the range just filled is never written again, and the
        // caller gets the whole Config back for the rest.
        let s = unsafe { (*c).arena.get(start..end)? };
        Some((CStr::from_bytes_with_nul(s).ok()?, self))
    }
    /// Adds a pair; `None` when there is no room for its texts, or (see [`Config::full`]) for itself.
    pub fn add(&'static mut self, e: &Entry) -> Option<()> {
        let (virt, c) = self.keep(e.virt.as_bytes())?;
        let (a, c) = c.keep(e.legs[0].as_bytes())?;
        let (b, c) = c.keep(e.legs[1].as_bytes())?;
        let slot = c.pairs.get_mut(c.n)?;
        slot.write(PairConf {
            virt,
            legs: [a, b],
            closed: false,
            options: e.options,
        });
        c.n = c.n.checked_add(1)?;
        Some(())
    }
}

/// Where an absolute normal text stands relative to all pairs.
#[derive(Clone, Copy)]
pub enum Member<'a> {
    /// Away from every root.
    Far,
    /// An ancestor directory of a root.
    Near,
    /// A root: pair, leg, and whether the text is V of a link pair (the symlink itself).
    Root(usize, usize, bool),
    /// Below a root: pair, addressed leg, relative text, and whether the text leads through V of a link
    /// pair.
    In(usize, usize, &'a [u8], bool),
}

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

/// Classifies a text of the system's root. V addresses the source leg.
pub fn member(text: &[u8]) -> Member<'_> {
    let mut near = false;
    for (i, p) in CONFIG.get().pairs().iter().enumerate() {
        for (leg, root) in p.legs.iter().enumerate() {
            match under(root.to_bytes(), text) {
                Under::Root => return Member::Root(i, leg, false),
                Under::Below(rel) => return Member::In(i, leg, rel, false),
                Under::Ancestor => near = true,
                Under::Outside => {}
            }
        }
        match under(p.virt.to_bytes(), text) {
            Under::Root => return Member::Root(i, 0, true),
            Under::Below(rel) => return Member::In(i, 0, rel, true),
            Under::Ancestor => near = true,
            Under::Outside => {}
        }
    }
    if near { Member::Near } else { Member::Far }
}

/// Hint of a descriptor: nothing is known.
pub const UNKNOWN: u8 = 0;
pub use crate::arch::OUT;
/// Hint of a descriptor: has a partner.
pub const PAIRED: u8 = 2;

/// The hint of descriptor `n`.
pub fn hint(n: i32) -> u8 {
    usize::try_from(n)
        .ok()
        .and_then(|i| HINTS.get(i))
        .map_or(UNKNOWN, |h| h.load(Ordering::Relaxed))
}

/// Stores a hint; a guest may only store [`UNKNOWN`].
pub fn set_hint(n: i32, v: u8) {
    if v != UNKNOWN && SPLIT.load(Ordering::Relaxed) {
        return;
    }
    if let Some(h) = usize::try_from(n).ok().and_then(|i| HINTS.get(i)) {
        h.store(v, Ordering::Relaxed);
    }
}

/// What is known of a paired descriptor. Valid while its hint is [`PAIRED`].
pub struct FdInfo {
    /// Pair index.
    pub pair: AtomicU8,
    /// The leg that descriptor n is on.
    pub leg: AtomicU8,
    /// The partner's mtime lags behind.
    pub dirty: AtomicU8,
    len: AtomicU8,
    /// Inode on leg a and b.
    pub ino: [AtomicU64; 2],
    /// Where the last append ended, on both legs.
    pub end: AtomicU64,
    path: [AtomicU8; 232],
}

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the pattern of a static array, never read itself"
)]
const NO_INFO: FdInfo = FdInfo {
    pair: AtomicU8::new(0),
    leg: AtomicU8::new(0),
    dirty: AtomicU8::new(0),
    len: AtomicU8::new(0),
    ino: [const { AtomicU64::new(0) }; 2],
    end: AtomicU64::new(u64::MAX),
    path: [const { AtomicU8::new(0) }; 232],
};

static FDS: [FdInfo; RESERVED as usize] = [const { NO_INFO }; RESERVED as usize];

/// The record of descriptor `n`.
pub fn info(n: i32) -> Option<&'static FdInfo> {
    usize::try_from(n).ok().and_then(|i| FDS.get(i))
}

impl FdInfo {
    /// Remembers the path that repair would look under; too long a one is forgotten.
    pub fn set_path(&self, rel: &[u8]) {
        let n = if rel.len() <= self.path.len() {
            rel.len()
        } else {
            0
        };
        for (d, &s) in self.path.iter().zip(rel) {
            d.store(s, Ordering::Relaxed);
        }
        self.len.store(n as u8, Ordering::Relaxed);
    }
    /// Copies the path into `out` and returns its length.
    pub fn path<'a>(&self, out: &'a mut [u8; 232]) -> &'a [u8] {
        let n = self.len.load(Ordering::Relaxed) as usize;
        for (d, s) in out.iter_mut().zip(&self.path).take(n) {
            *d = s.load(Ordering::Relaxed);
        }
        out.get(..n).unwrap_or(&[])
    }
    /// Takes over another descriptor's record (dup).
    pub fn copy_from(&self, o: &FdInfo) {
        let r = Ordering::Relaxed;
        self.pair.store(o.pair.load(r), r);
        self.leg.store(o.leg.load(r), r);
        self.dirty.store(o.dirty.load(r), r);
        self.end.store(o.end.load(r), r);
        for (d, s) in self.ino.iter().zip(&o.ino) {
            d.store(s.load(r), r);
        }
        let mut buf = [0u8; 232];
        self.set_path(o.path(&mut buf));
    }
}

/// Highest descriptor number that was ever dirty, plus one.
pub static DIRTY_END: AtomicI32 = AtomicI32::new(0);

/// The partner's mtime lags behind descriptor `n`.
pub fn set_dirty(n: i32) {
    if let Some(i) = info(n) {
        i.dirty.store(1, Ordering::Relaxed);
        DIRTY_END.fetch_max(n.saturating_add(1), Ordering::Relaxed);
    }
}

/// Pid of the process whose memory this is; other pids are guests.
pub static OWN_PID: AtomicI32 = AtomicI32::new(0);
/// A vfork (or posix_spawn) was seen: whoever reads or stores a hint must ask who it is.
pub static VFORKED: AtomicBool = AtomicBool::new(false);
/// This process has, or may have inherited, partner descriptors.
pub static ANY_PARTNER: AtomicBool = AtomicBool::new(false);
/// Hint: bit 0 says that the cwd is outside and no ancestor of a root; the other bits count chdirs.
pub static CWD: AtomicU32 = AtomicU32::new(0);
/// The process has had a second thread.
pub static THREADED: AtomicBool = AtomicBool::new(false);

/// The cwd is about to change, or has just changed.
pub fn forget_cwd() {
    let v = CWD.load(Ordering::Relaxed);
    CWD.store((v | 1).wrapping_add(1), Ordering::Release);
}
/// The process has made a symlink: renames may put one in place.
pub static SYMLINKED: AtomicBool = AtomicBool::new(false);
/// The soft RLIMIT_NOFILE before it was lowered to RESERVED, or 0.
pub static OLD_SOFT: AtomicU64 = AtomicU64::new(0);

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

/// Hints of descriptors are off for good.
pub fn split_files() {
    SPLIT.store(true, Ordering::Relaxed);
    for h in &HINTS {
        h.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// The same, asked only when a guest is possible at all.
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

/// Whether `n` is a number that belongs to the library.
pub fn is_ours(n: i32) -> bool {
    (RESERVED..numbers_end()).contains(&n)
}

/// The end of the library's numbers, as far as the configured pairs can need them.
pub fn numbers_end() -> i32 {
    numbers::needed(CONFIG.get().n)
}

impl Config {
    /// The same pair stands in a second tab: what the first line does not pin, the second may.
    pub fn pin(&mut self, nth: usize, o: &Options) {
        let Some(slot) = self.pairs.get_mut(nth).filter(|_| nth < self.n) else {
            return;
        };
        // SAFETY: initialised by `add` (nth < n).
        let p = unsafe { slot.assume_init_mut() };
        p.options.id = p.options.id.or(o.id);
        p.options.uid = p.options.uid.or(o.uid);
    }
    /// Closes the pairs that `open` does not want.
    pub fn close(&'static mut self, open: impl Fn(&PairConf) -> bool) {
        for slot in self.pairs.iter_mut().take(self.n) {
            // SAFETY: initialised by `add` (the first n are).
            let p = unsafe { slot.assume_init_mut() };
            p.closed = !open(p);
        }
    }
}
