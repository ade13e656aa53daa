//! Which directory a text leads to, before any lock is held: the key of its stripe.
//!
//! Rules: used with TX held, by the owner of the memory; a guest asks the kernel each time. A key is
//! leg a's inode, found through BENEATH and NO_SYMLINKS. It is a hint with a date: the runtime file
//! counts a generation whenever a directory was removed, renamed, or repaired, and the transaction asks
//! under its locks whether the generation is still the one at which the key was found.
use crate::attach::Session;
use crate::change::open_below;
use crate::resolve::Path;
use crate::state;
use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

const KEYS: usize = 8;
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
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Inode of the directory `rel` of leg a, as of `generation`.
pub fn directory(s: &Session, rel: &[u8], generation: u64) -> Sys<u64> {
    if rel.is_empty() {
        return Ok(s.root_ino);
    }
    let cached = !state::maybe_guest();
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
    CACHE
        .iter()
        .find(|k| {
            k.len.load(r) == rel.len()
                && k.generation.load(r) == generation
                && k.pair.load(r) == s.pair.wrapping_add(1)
                && k.text.iter().zip(rel).all(|(a, b)| a.load(r) == *b)
        })
        .map(|k| k.ino.load(r))
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
    let i = NEXT.fetch_add(1, r) % KEYS;
    let Some(k) = CACHE.get(i) else { return };
    k.pair.store(0, r);
    for (d, b) in k.text.iter().zip(rel) {
        d.store(*b, r);
    }
    k.len.store(rel.len(), r);
    k.generation.store(generation, r);
    k.ino.store(ino, r);
    k.pair.store(s.pair.wrapping_add(1), r);
}
