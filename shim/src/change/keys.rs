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
use mirror_sys as sys;
use mirror_sys::Sys;

/// A power of two.
const KEYS: usize = 64;
const LEN: usize = 232;

struct Key {
    /// 0: none; else the pair + 1.
    pair: AtomicUsize,
    generation: AtomicU64,
    ino: AtomicU64,
    len: AtomicUsize,
    text: [AtomicU8; LEN],
}

static CACHE: [Key; KEYS] = [const {
    Key {
        pair: AtomicUsize::new(0),
        generation: AtomicU64::new(0),
        ino: AtomicU64::new(0),
        len: AtomicUsize::new(0),
        text: [const { AtomicU8::new(0) }; LEN],
    }
}; KEYS];

/// The one place where a text may stand (FNV-1a).
fn slot(rel: &[u8]) -> &'static Key {
    let hash = rel.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let [first, rest @ ..] = &CACHE;
    let i = (hash >> 32) as usize % KEYS;
    i.checked_sub(1).and_then(|i| rest.get(i)).unwrap_or(first)
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
    let r = Ordering::Relaxed;
    let k = slot(rel);
    let same = k.len.load(r) == rel.len()
        && k.generation.load(r) == generation
        && k.pair.load(r) == s.pair.wrapping_add(1)
        && k.text.iter().zip(rel).all(|(a, b)| a.load(r) == *b);
    same.then(|| k.ino.load(r))
}

#[inline(never)]
fn ask(s: &Session, rel: &[u8]) -> Sys<u64> {
    let mut p = Path::new();
    p.set(rel).map_err(|_| Errno::ENAMETOOLONG)?;
    let n = open_below(s.root[0], &p, c::O_PATH | c::O_DIRECTORY)?;
    let st = sys::fglance(n);
    let _ = sys::close(n);
    st.map(|st| st.ino())
}

fn remember(s: &Session, rel: &[u8], generation: u64, ino: u64) {
    let r = Ordering::Relaxed;
    if rel.len() > LEN {
        return;
    }
    let k = slot(rel);
    k.pair.store(0, r);
    for (d, b) in k.text.iter().zip(rel) {
        d.store(*b, r);
    }
    k.len.store(rel.len(), r);
    k.generation.store(generation, r);
    k.ino.store(ino, r);
    k.pair.store(s.pair.wrapping_add(1), r);
}
