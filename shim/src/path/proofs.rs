//! Parents that were proved to be reached through no symlink, away from all roots, by their texts.
//!
//! Rules: a proof is taken for true for some milliseconds, for a loop over one directory: another process may
//! put a symlink on the way at any time. What this process does to the way itself ends it at once.
use crate::path::known::{self, fresh};
use crate::path::{cwd, root};
use crate::process::actor::maybe_guest;
use crate::process::clock::cycles;
use crate::process::place;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::path::CONTROL;

/// The process has made a symlink: renames may put one in place.
pub static SYMLINKED: AtomicBool = AtomicBool::new(false);

/// No "//", no "." or ".." component, nothing called as the control folder: the text is what it seems to be.
pub fn plain(t: &[u8]) -> bool {
    let mut prev = b'/';
    for (i, &b) in t.iter().enumerate() {
        if prev == b'/' && b == b'.' {
            let rest = t.get(i..).unwrap_or(&[]);
            let dots = matches!(
                rest,
                [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
            );
            if dots || rest.starts_with(CONTROL) {
                return false;
            }
        }
        if prev == b'/' && b == b'/' && i != 0 {
            return false;
        }
        prev = b;
    }
    prev != b'/'
}

const LONGEST: usize = 248;

struct Proof {
    /// Even: stable.
    version: AtomicU32,
    /// When it was proved, by the processor's clock.
    at: AtomicU64,
    /// See [`base`].
    base: AtomicU64,
    /// When a symlink on the way was last known to be none.
    plain: AtomicU64,
    /// The inode number of what it led to, if somebody has looked since; or 0.
    ino: AtomicU64,
    len: AtomicUsize,
    text: [AtomicU8; LONGEST],
}

const PROOFS: usize = 32;
static PROVED: [Proof; PROOFS] = [const {
    Proof {
        version: AtomicU32::new(0),
        at: AtomicU64::new(0),
        base: AtomicU64::new(0),
        plain: AtomicU64::new(0),
        ino: AtomicU64::new(0),
        len: AtomicUsize::new(0),
        text: [const { AtomicU8::new(0) }; LONGEST],
    }
}; PROOFS];

/// A proof is taken for true this many cycles long: some milliseconds.
const LASTS: u64 = 1 << 24;

/// What a text starts from: the root, or this cwd. Of other directories nothing is remembered.
fn base(dir: i32, text: &[u8]) -> Option<u64> {
    if text.first() == Some(&b'/') {
        Some(0)
    } else if dir == c::AT_FDCWD {
        Some(cwd::number() << 1 | 1)
    } else {
        None
    }
}

fn slot(base: u64, text: &[u8]) -> Option<&'static Proof> {
    let add = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
    let h = text.iter().fold(0xcbf2_9ce4_8422_2325 ^ base, add);
    PROVED.get((h >> 59) as usize % PROOFS)
}

impl Proof {
    fn byte(&self, i: usize) -> u8 {
        self.text.get(i).map_or(0, |b| b.load(Ordering::Relaxed))
    }
    /// Whether its text has these bytes there.
    fn has(&self, at: usize, text: &[u8]) -> bool {
        let same = |(a, b): (&AtomicU8, &u8)| a.load(Ordering::Relaxed) == *b;
        let own = self.text.get(at..).unwrap_or(&[]);
        own.len() >= text.len() && own.iter().zip(text).all(same)
    }
    fn begins(&self, text: &[u8]) -> bool {
        self.has(0, text)
    }
    /// Whether a component ends there.
    fn ends_at(&self, i: usize, len: usize) -> bool {
        i == len || (i < len && self.byte(i) == b'/')
    }
    fn says(&self, base: u64, text: &[u8]) -> bool {
        cycles().wrapping_sub(self.at.load(Ordering::Relaxed)) < LASTS && self.is(base, text)
    }
    /// Whether it is of this text.
    fn is(&self, base: u64, text: &[u8]) -> bool {
        let v = self.version.load(Ordering::Acquire);
        v & 1 == 0
            && self.len.load(Ordering::Relaxed) == text.len()
            && self.base.load(Ordering::Relaxed) == base
            && self.begins(text)
            && self.version.load(Ordering::Acquire) == v
    }
}

/// Whether a plain parent has been proved a moment ago.
pub fn proved(dir: i32, parent: &[u8]) -> bool {
    let Some(base) = base(dir, parent) else {
        return false;
    };
    slot(base, parent).is_some_and(|p| p.says(base, parent))
}

/// A proof that is about to be made: which text, from where.
pub struct Begun<'a> {
    base: u64,
    parent: &'a [u8],
}

/// See [`Begun`]. `None`: it could not be remembered.
pub fn begin(dir: i32, parent: &[u8]) -> Option<Begun<'_>> {
    let base = base(dir, parent)?;
    Some(Begun { base, parent })
}

/// Remembers a proof of a plain parent. A lost race only loses a proof.
pub fn remember(begun: &Begun<'_>) {
    let now = cycles();
    store(begun, [now, now]);
}

/// What a plain parent's own parent was proved by holds for it too, and as long: it is a directory in it.
pub fn inherit(begun: &Begun<'_>) {
    let above = begun.parent.iter().rposition(|&b| b == b'/');
    let above = above.and_then(|i| begun.parent.get(..i));
    let Some(above) = above.filter(|a| !a.is_empty()) else {
        return remember(begun);
    };
    if let Some(p) = slot(begun.base, above)
        && p.says(begun.base, above)
    {
        let times = [&p.at, &p.plain].map(|t| t.load(Ordering::Relaxed));
        if p.is(begun.base, above) {
            store(begun, times);
        }
    }
}

fn store(begun: &Begun<'_>, [at, plain]: [u64; 2]) {
    let Begun { base, parent } = *begun;
    let Some(p) = slot(base, parent) else { return };
    if parent.is_empty() || parent.len() > LONGEST || maybe_guest() || p.says(base, parent) {
        return;
    }
    let v = p.version.load(Ordering::Relaxed);
    if v & 1 != 0
        || p.version
            .compare_exchange(v, v.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
    {
        return;
    }
    for (d, s) in p.text.iter().zip(parent) {
        d.store(*s, Ordering::Relaxed);
    }
    p.base.store(base, Ordering::Relaxed);
    p.len.store(parent.len(), Ordering::Relaxed);
    p.ino.store(0, Ordering::Relaxed);
    p.plain.store(plain, Ordering::Relaxed);
    p.at.store(at, Ordering::Relaxed);
    p.version.store(v.wrapping_add(2), Ordering::Release);
}

/// Whether the text was proved before, if longer ago.
pub fn once(begun: &Begun<'_>) -> bool {
    let Begun { base, parent } = *begun;
    slot(base, parent)
        .is_some_and(|p| fresh(p.plain.load(Ordering::Relaxed), known::LASTS) && p.is(base, parent))
}

/// The text has just led to a directory that is known to be outside: what was proved of it holds on, if it still
/// is the directory that it was.
pub fn renew(begun: &Begun<'_>, ino: u64) {
    let Begun { base, parent } = *begun;
    let Some(p) = slot(base, parent) else { return };
    let before = p.ino.load(Ordering::Relaxed);
    if (before == ino || before == 0)
        && fresh(p.plain.load(Ordering::Relaxed), known::LASTS)
        && p.is(base, parent)
        && !maybe_guest()
    {
        p.ino.store(ino, Ordering::Relaxed);
        p.at.store(cycles(), Ordering::Relaxed);
    }
}

/// A name is about to go, or to become something else: what was proved by way of it is forgotten, or by way of
/// anything that is called so, if the texts start from different places.
pub fn changed(dir: i32, text: &[u8]) {
    let base = base(dir, text);
    let name = text.rsplit(|&b| b == b'/').next().unwrap_or(text);
    for p in &PROVED {
        let len = p.len.load(Ordering::Relaxed);
        if len == 0 || cycles().wrapping_sub(p.at.load(Ordering::Relaxed)) >= LASTS {
            continue;
        }
        let hit = if base == Some(p.base.load(Ordering::Relaxed)) {
            len >= text.len() && p.begins(text) && p.ends_at(text.len(), len)
        } else {
            let mut starts = (0..len).filter(|&i| i == 0 || p.byte(i.wrapping_sub(1)) == b'/');
            starts.any(|i| p.has(i, name) && p.ends_at(i.saturating_add(name.len()), len))
        };
        if hit {
            p.len.store(0, Ordering::Relaxed);
        }
    }
}

/// A symlink may have come onto any proved way.
pub fn forget() {
    for p in &PROVED {
        p.len.store(0, Ordering::Relaxed);
    }
}

/// A symlink may have come onto a proved way, or mounts or roots have changed.
pub fn forget_proofs() {
    forget();
    crate::path::outside::forget();
}

/// Before a call after which texts say nothing.
#[cold]
#[inline(never)]
pub fn mix() {
    if place::plain() {
        crate::attach::past::remember_all();
        if let Ok(id) = root::own() {
            root::add(&id);
        }
    }
    place::MIXED.store(true, Ordering::Release);
    cwd::split();
    forget_proofs();
}
