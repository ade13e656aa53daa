//! The configuration of this process.
//!
//! Rules: it is written once at boot (one thread, before any constructor) and only read later.
use crate::cell::BootCell;
use crate::texts::{self, Arena};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use mirror_core::numbers::{self, TEXTS_MAX};
use mirror_core::path::{Under, under};
use mirror_core::tab::{Entry, Fault, Options};
use mirror_core::{Leg, MAX_PAIRS, PerLeg, RESERVED};

/// One configured pair.
#[derive(Clone, Copy)]
pub struct PairConf {
    /// V, then the legs, as NUL-terminated absolute normal texts.
    pub virt: &'static CStr,
    /// Legs a and b.
    pub legs: PerLeg<&'static CStr>,
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

/// More pairs than this leave the page that boot writes.
const FEW: usize = 4;

/// The configuration.
///
/// All zero before boot; more than a few pairs are in [`MANY`].
pub struct Config {
    few: [MaybeUninit<PairConf>; FEW],
    n: usize,
}

/// The process's configuration.
#[unsafe(link_section = ".data.boot")]
pub static CONFIG: BootCell<Config> = BootCell::new(Config {
    few: [const { MaybeUninit::zeroed() }; FEW],
    n: 0,
});
static MANY: BootCell<[MaybeUninit<PairConf>; MAX_PAIRS]> =
    BootCell::new([const { MaybeUninit::zeroed() }; MAX_PAIRS]);
/// The pairs' texts, where they are too long for [`texts::NEAR`].
static PATHS: Arena<TEXTS_MAX> = Arena::new();

impl Config {
    /// The pairs.
    pub fn pairs(&'static self) -> &'static [PairConf] {
        let all: &[_] = if self.n <= FEW { &self.few } else { MANY.get() };
        let set = all.get(..self.n).unwrap_or(&[]);
        // SAFETY: `add` has initialised the first `n` entries; MaybeUninit<T> has T's layout.
        unsafe { core::slice::from_raw_parts(set.as_ptr().cast(), set.len()) }
    }
    /// The same to write. Boot alone has the `&mut`.
    fn slots(&mut self) -> &mut [MaybeUninit<PairConf>] {
        if self.n <= FEW {
            return self.few.get_mut(..self.n).unwrap_or(&mut []);
        }
        // SAFETY: whoever has the configuration to write is the boot code, which runs alone.
        let many = unsafe { MANY.boot_mut() };
        many.get_mut(..self.n).unwrap_or(&mut [])
    }
    /// Whether there are as many pairs as there can be.
    pub fn full(&self) -> bool {
        self.n >= MAX_PAIRS
    }
    /// Adds a pair; `None` when it has no texts, or (see [`Config::full`]) no room.
    pub fn add(&mut self, e: &Given, options: Options) -> Option<()> {
        if self.full() {
            return None;
        }
        if self.n == FEW {
            // SAFETY: as in `slots`. What was looked at of the pairs before is not kept.
            let many = unsafe { MANY.boot_mut() };
            for (to, from) in many.iter_mut().zip(&self.few) {
                *to = *from;
            }
        }
        self.n = self.n.checked_add(1)?;
        let [virt, a, b] = e.0;
        self.slots().last_mut()?.write(PairConf {
            virt,
            legs: PerLeg { a, b },
            closed: false,
            options,
        });
        Some(())
    }
}

/// The texts of a pair, which stay.
pub struct Given([&'static CStr; 3]);

/// Lets `parse` make an entry, in the page that boot writes if that is room enough, and keeps its texts if
/// `wanted` says so.
///
/// # Safety
/// Only from the boot code, which runs alone.
pub unsafe fn given(
    mut parse: impl FnMut(&mut Entry<'_>) -> Result<bool, Fault>,
    mut wanted: impl FnMut(&Entry<'_>) -> bool,
) -> Result<Option<(Given, Options)>, Fault> {
    let mut attempt = |room: &mut [u8]| {
        let mut e = Entry::over(room);
        let there = parse(&mut e)? && wanted(&e);
        Ok(there.then_some((e.used(), e.options)))
    };
    // SAFETY: boot runs alone; an entry ends before its texts are kept.
    let (kept, options) = unsafe {
        match attempt(texts::NEAR.free()) {
            Ok(Some((n, options))) => (texts::NEAR.keep(n), options),
            Ok(None) => return Ok(None),
            Err(Fault::NoRoom) => match attempt(PATHS.free())? {
                Some((n, options)) => (PATHS.keep(n), options),
                None => return Ok(None),
            },
            Err(f) => return Err(f),
        }
    };
    let mut rest = kept;
    let texts = [(); 3].map(|()| {
        let text = CStr::from_bytes_until_nul(rest).unwrap_or(c"");
        rest = rest
            .get(text.count_bytes().wrapping_add(1)..)
            .unwrap_or(&[]);
        text
    });
    Ok(Some((Given(texts), options)))
}

/// Where an absolute normal text stands relative to all pairs.
#[derive(Clone, Copy)]
pub enum Member<'a> {
    /// Away from every root.
    Far,
    /// An ancestor directory of a root.
    Near,
    /// A root: pair, leg, and whether the text is V of a link pair (the symlink itself).
    Root(usize, Leg, bool),
    /// Below a root: pair, addressed leg, relative text, and whether the text leads through V of a link
    /// pair.
    In(usize, Leg, &'a [u8], bool),
}

/// Classifies a text of the system's root. V addresses the source leg.
pub fn member(text: &[u8]) -> Member<'_> {
    let mut near = false;
    for (i, p) in CONFIG.get().pairs().iter().enumerate() {
        for (leg, root) in p.legs.each() {
            match under(root.to_bytes(), text) {
                Under::Root => return Member::Root(i, leg, false),
                Under::Below(rel) => return Member::In(i, leg, rel, false),
                Under::Ancestor => near = true,
                Under::Outside => {}
            }
        }
        match under(p.virt.to_bytes(), text) {
            Under::Root => return Member::Root(i, Leg::A, true),
            Under::Below(rel) => return Member::In(i, Leg::A, rel, true),
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
        let Some(slot) = self.slots().get_mut(nth) else {
            return;
        };
        // SAFETY: initialised by `add`.
        let p = unsafe { slot.assume_init_mut() };
        p.options.id = p.options.id.or(o.id);
        p.options.uid = p.options.uid.or(o.uid);
    }
    /// Closes the pairs that `open` does not want.
    pub fn close(&mut self, open: impl Fn(&PairConf) -> bool) {
        for slot in self.slots() {
            // SAFETY: initialised by `add`.
            let p = unsafe { slot.assume_init_mut() };
            p.closed = !open(p);
        }
    }
}
