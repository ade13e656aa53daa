//! Objects that are on record as pending: their difference is known, and keeps nobody out again.
//!
//! Rules: counts only while the pair says that something is pending; a memory that is lost, or that has
//! forgotten, costs one more look with exclusive access.
use crate::attach::handle::Session;
use crate::change::target::Cx;
use crate::path::loc::Path;
use crate::process::actor;
use crate::repair::same;
use core::sync::atomic::{AtomicU64, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::names::Known;
use mirror_sys as sys;
use mirror_sys::Stat;

/// A power of two.
const KEPT: usize = 256;
static KEYS: [AtomicU64; KEPT] = [const { AtomicU64::new(0) }; KEPT];

/// The two objects of a name, by leg; 0 stands for none.
fn key(pair: usize, from: Leg, f: Option<&Stat>, t: Option<&Stat>) -> u64 {
    let ino = |st: Option<&Stat>| st.map_or(0, Stat::ino);
    let (a, b) = if from == Leg::A { (f, t) } else { (t, f) };
    let spread = (pair as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9);
    Known::of([ino(a) ^ spread.rotate_left(32), ino(b)], [0, 0]).hash() | 1
}

fn slot(key: u64) -> &'static AtomicU64 {
    let [first, rest @ ..] = &KEYS;
    let i = (key >> 32) as usize % KEPT;
    i.checked_sub(1).and_then(|i| rest.get(i)).unwrap_or(first)
}

/// Whether these two are; `f` is leg `from`'s.
#[cold]
#[inline(never)]
pub fn is(s: &Session, from: Leg, f: Option<&Stat>, t: Option<&Stat>) -> bool {
    let key = key(s.pair, from, f, t);
    !actor::maybe_guest() && slot(key).load(Ordering::Relaxed) == key
}

/// They are from now on.
#[cold]
#[inline(never)]
pub fn put(s: &Session, from: Leg, f: Option<&Stat>, t: Option<&Stat>) {
    if !actor::maybe_guest() {
        let key = key(s.pair, from, f, t);
        slot(key).store(key, Ordering::Relaxed);
    }
}

impl Cx<'_> {
    /// What the only name of this change is on both legs.
    fn only_name(&self) -> Option<[Option<Stat>; 2]> {
        if self.is_held(0) && self.paths().1.is_empty() {
            return Some([self.lead, self.lead.other()].map(|leg: Leg| self.look(0, leg).ok()));
        }
        let (one, other) = self.paths();
        let path = Path::from_bytes(one).ok()?;
        if !other.is_empty() || path.is_empty() {
            return None;
        }
        let look = |leg: Leg| {
            let root = self.s.at(leg);
            sys::glance(root, &path, c::AT_SYMLINK_NOFOLLOW).ok()
        };
        Some([look(self.lead), look(self.lead.other())])
    }
    /// The object has just been recorded.
    pub fn judged(&self) {
        if let Some([f, t]) = self.only_name() {
            put(self.s, self.lead, f.as_ref(), t.as_ref());
        }
    }
    /// Whether the object is on record, so that a look with exclusive access would find nothing new.
    pub fn is_judged(&self) -> bool {
        if self.exclusive || !self.s.runtime().word().pending() {
            return false;
        }
        match self.only_name() {
            Some([Some(f), t]) => {
                is(self.s, self.lead, Some(&f), t.as_ref())
                    || same::is_beyond(&f, t.as_ref().unwrap_or(&f))
            }
            _ => false,
        }
    }
}
