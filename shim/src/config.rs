//! The configuration of this process.
//!
//! Rules: it is written once at boot (one thread, before any constructor) and only read later.
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use mirror_core::numbers::{self, TEXTS_MAX};
use mirror_core::path::{Under, under};
use mirror_core::tab::{Entry, Options};
use mirror_core::{MAX_PAIRS, RESERVED};

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

impl PairConf {
    /// What records know the pair by beside V's text; 0: its line says no id.
    pub fn tag(&self) -> u64 {
        self.options.id.map_or(0, |id| id.tag())
    }
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
