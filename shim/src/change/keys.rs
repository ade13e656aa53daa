//! Which directory a text leads to, before any lock is held: the key of its stripe.
//!
//! Rules: used with TX held, by the owner of the memory; a guest asks the kernel each time. A key is
//! leg a's inode, found through BENEATH and NO_SYMLINKS. It is a hint with a date: the runtime file
//! counts a generation whenever a directory was removed, renamed, or repaired, and the transaction asks
//! under its locks whether the generation is still the one at which the key was found.
use crate::attach::handle::Session;
use crate::path::below::open_below;
use crate::path::loc::Path;
use crate::process::actor;

use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::image::{FNV_START, fnv1a};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Places where a text may stand.
const WAYS: usize = 4;
/// A power of two.
const SETS: usize = 16;
const LEN: usize = 232;

struct Key {
    /// 0: none; else the pair + 1.
    pair: AtomicUsize,
    generation: AtomicU64,
    ino: AtomicU64,
    len: AtomicUsize,
    text: [AtomicU8; LEN],
}

static CACHE: [[Key; WAYS]; SETS] = [const {
    [const {
        Key {
            pair: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            ino: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            text: [const { AtomicU8::new(0) }; LEN],
        }
    }; WAYS]
}; SETS];

/// The places where a text may stand, and which of them gives way if all are taken. FNV-1a's upper bits
/// hardly see the last letters: they are spread once more.
fn places(rel: &[u8]) -> (&'static [Key; WAYS], usize) {
    let hash = fnv1a(FNV_START, rel).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [first, rest @ ..] = &CACHE;
    let i = (hash >> 60) as usize % SETS;
    let set = i.checked_sub(1).and_then(|i| rest.get(i)).unwrap_or(first);
    (set, (hash >> 50) as usize % WAYS)
}

impl Key {
    /// Whether it says something of this pair that is not out of date.
    fn holds(&self, s: &Session, generation: u64) -> bool {
        let r = Ordering::Relaxed;
        self.pair.load(r) == s.pair.wrapping_add(1) && self.generation.load(r) == generation
    }
    fn is_of(&self, rel: &[u8]) -> bool {
        let r = Ordering::Relaxed;
        let text = self.text.get(..rel.len());
        self.len.load(r) == rel.len()
            // The end first: neighbours begin alike.
            && text.is_some_and(|t| t.iter().zip(rel).rev().all(|(a, b)| a.load(r) == *b))
    }
}

/// Inode of the directory `rel` of leg a, as of `generation`.
pub fn directory(s: &Session, rel: &[u8], generation: u64) -> Sys<u64> {
    if rel.is_empty() {
        return Ok(s.root_ino);
    }
    let cached = !actor::maybe_guest();
    if cached && let Some(ino) = known(s, rel, generation) {
        return Ok(ino);
    }
    let ino = ask(s, rel)?;
    if cached {
        remember(s, rel, generation, ino);
    }
    Ok(ino)
}

fn known(s: &Session, rel: &[u8], generation: u64) -> Option<u64> {
    let (set, _) = places(rel);
    let k = set
        .iter()
        .find(|k| k.holds(s, generation) && k.is_of(rel))?;
    Some(k.ino.load(Ordering::Relaxed))
}

#[inline(never)]
fn ask(s: &Session, rel: &[u8]) -> Sys<u64> {
    let mut p = Path::new();
    p.set(rel).map_err(|_| Errno::ENAMETOOLONG)?;
    let n = open_below(s.root.a, &p, c::O_PATH | c::O_DIRECTORY)?;
    let st = sys::fglance(n);
    let _ = sys::close(n);
    st.map(|st| st.ino())
}

fn remember(s: &Session, rel: &[u8], generation: u64, ino: u64) {
    let r = Ordering::Relaxed;
    if rel.len() > LEN {
        return;
    }
    let (set, last) = places(rel);
    let free = set.iter().find(|k| !k.holds(s, generation));
    let Some(k) = free.or(set.get(last)) else {
        return;
    };
    k.pair.store(0, r);
    for (d, b) in k.text.iter().zip(rel) {
        d.store(*b, r);
    }
    k.len.store(rel.len(), r);
    k.generation.store(generation, r);
    k.ino.store(ino, r);
    k.pair.store(s.pair.wrapping_add(1), r);
}
