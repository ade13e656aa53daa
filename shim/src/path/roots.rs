//! What the legs' roots are, by device and inode.
//!
//! Rules: a leg that this process is attached to is what its descriptor is open on, whatever its text leads
//! to by now. What cannot be told is said to be unknown, never left out.
use crate::attach::marked;
use crate::attach::session;
use crate::config::CONFIG;
use crate::events::refused::{self, Refused};
use crate::path::known::{LASTS, fresh};
use crate::process::clock::cycles;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use mirror_core::path::{CONTROL, Path};
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, Leg, MAX_PAIRS, PerLeg};
use mirror_sys as sys;

/// How long what was found is taken for true, in cycles: some milliseconds.
pub const FRESH: u64 = 1 << 24;

/// Of each leg: what is known of it from before, and what its text leads to now. No inode: nothing.
pub type Known = [(u64, u64); 2];
type Ids = [PerLeg<Known>; MAX_PAIRS];

/// The roots of all legs.
pub struct Roots {
    ids: Ids,
    pairs: usize,
    /// Of some leg nothing is known but its text.
    pub unknown: bool,
}

struct Cache {
    /// Even: stable.
    version: AtomicU32,
    at: AtomicU64,
    unknown: AtomicBool,
    ids: [[[[AtomicU64; 2]; 2]; 2]; MAX_PAIRS],
}

static CACHE: Cache = Cache {
    version: AtomicU32::new(0),
    at: AtomicU64::new(0),
    unknown: AtomicBool::new(false),
    ids: [const { [const { [const { [const { AtomicU64::new(0) }; 2] }; 2] }; 2] }; MAX_PAIRS],
};

/// What is remembered of the roots is asked again.
pub fn forget() {
    CACHE.at.store(0, Ordering::Release);
}

/// One leg's root, as far as it can be told.
fn ask(pair: usize, leg: Leg) -> Option<Known> {
    let id = |st: sys::Stat| (st.dev(), st.ino());
    if let Some(n) = session::root_of(pair, leg)
        && let Ok(st) = sys::fglance(n)
        && st.kind() == libc::S_IFDIR
    {
        return Some([id(st), (0, 0)]);
    }
    let before = crate::attach::past::remembered(pair, leg).unwrap_or((0, 0));
    let path = CONFIG.get().pairs().get(pair)?.legs[leg];
    let now = sys::stat_static(path).map_or((0, 0), id);
    // Another directory has come to its place, and where the leg is now is not known.
    let lost = before.1 == 0 && (now.1 == 0 || is_no_leg(path.to_bytes()));
    if !lost {
        return Some([before, now]);
    }
    // A leg that is away is what its text leads to, or nowhere.
    (leg == Leg::B && marked::is_away(pair)).then_some([(0, 0), now])
}

/// Whether a directory surely has no control folder.
fn is_no_leg(text: &[u8]) -> bool {
    let mut path = Path::new();
    let whole = path.set(text).is_ok() && path.push(CONTROL).is_ok();
    let there = sys::glance(libc::AT_FDCWD, &path, libc::AT_SYMLINK_NOFOLLOW);
    whole && matches!(there, Err(Errno::ENOENT))
}

/// Whether a directory is the root of a leg, by what was found less than [`LASTS`] ago. For small stacks;
/// `None`: not known.
pub fn is_one(dev: u64, ino: u64) -> Option<bool> {
    let relaxed = Ordering::Relaxed;
    let v = CACHE.version.load(Ordering::Acquire);
    if v & 1 != 0 || CACHE.unknown.load(relaxed) || !fresh(CACHE.at.load(relaxed), LASTS) {
        return None;
    }
    let pairs = CACHE.ids.iter().take(CONFIG.get().pairs().len());
    let found = pairs
        .flatten()
        .flatten()
        .any(|[d, i]| i.load(relaxed) == ino && d.load(relaxed) == dev);
    fence(Ordering::Acquire);
    (CACHE.version.load(relaxed) == v).then_some(found)
}

/// Whether a device is surely none of the legs', likewise.
pub fn is_foreign(dev: u64) -> bool {
    let relaxed = Ordering::Relaxed;
    let v = CACHE.version.load(Ordering::Acquire);
    if v & 1 != 0 || CACHE.unknown.load(relaxed) || !fresh(CACHE.at.load(relaxed), LASTS) {
        return false;
    }
    let pairs = CACHE.ids.iter().take(CONFIG.get().pairs().len());
    let other = pairs
        .flatten()
        .flatten()
        .all(|[d, i]| differ(dev, (d.load(relaxed), i.load(relaxed))));
    fence(Ordering::Acquire);
    other && CACHE.version.load(relaxed) == v
}

/// Whether an object on this device is surely not in the leg with this root: a file system that shows several
/// devices (a number without a driver: btrfs, overlay) is taken for one of theirs if they are on such a one too.
pub fn differ(dev: u64, id: (u64, u64)) -> bool {
    let anonymous = |dev: u64| libc::major(dev) == 0;
    id.1 == 0 || (id.0 != dev && !(anonymous(dev) && anonymous(id.0)))
}

impl Roots {
    /// As they are now, or were some milliseconds ago.
    #[inline(never)]
    pub fn now() -> Roots {
        let mut r = Roots {
            ids: [PerLeg::default(); MAX_PAIRS],
            pairs: CONFIG.get().pairs().len(),
            unknown: false,
        };
        if r.recall() {
            return r;
        }
        crate::path::listed::ask();
        for (pair, ids) in r.ids.iter_mut().enumerate().take(r.pairs) {
            for leg in Leg::BOTH {
                match ask(pair, leg) {
                    Some(found) => ids[leg] = found,
                    None => r.unknown = true,
                }
            }
        }
        r.keep();
        r
    }

    fn recall(&mut self) -> bool {
        let relaxed = Ordering::Relaxed;
        let v = CACHE.version.load(Ordering::Acquire);
        let at = CACHE.at.load(relaxed);
        if v & 1 != 0
            || at == 0
            || cycles().wrapping_sub(at) >= FRESH
            || crate::process::actor::guest()
        {
            return false;
        }
        for (to, from) in self.ids.iter_mut().zip(&CACHE.ids).take(self.pairs) {
            for (to, [dev, ino]) in to.iter_mut().flatten().zip(from.iter().flatten()) {
                *to = (dev.load(relaxed), ino.load(relaxed));
            }
        }
        self.unknown = CACHE.unknown.load(relaxed);
        fence(Ordering::Acquire);
        CACHE.version.load(relaxed) == v
    }

    fn keep(&self) {
        let relaxed = Ordering::Relaxed;
        let v = CACHE.version.load(relaxed);
        let next = v.wrapping_add(1);
        let free = || {
            let set = CACHE
                .version
                .compare_exchange(v, next, Ordering::Acquire, relaxed);
            set.is_ok()
        };
        if v & 1 != 0 || crate::process::actor::guest() || !free() {
            return;
        }
        fence(Ordering::Release);
        for (from, to) in self.ids.iter().zip(&CACHE.ids).take(self.pairs) {
            for (from, [dev, ino]) in from.iter().flatten().zip(to.iter().flatten()) {
                dev.store(from.0, relaxed);
                ino.store(from.1, relaxed);
            }
        }
        CACHE.unknown.store(self.unknown, relaxed);
        CACHE.at.store(cycles(), relaxed);
        CACHE.version.store(v.wrapping_add(2), Ordering::Release);
    }

    /// Of each leg, what is known of its root.
    pub fn each(&self) -> impl Iterator<Item = (usize, Leg, Known)> + '_ {
        let pairs = self.ids.iter().enumerate().take(self.pairs);
        pairs.flat_map(|(pair, ids)| ids.each().map(move |(leg, id)| (pair, leg, *id)))
    }

    /// The leg whose root this is.
    pub fn find(&self, dev: u64, ino: u64) -> Option<(usize, Leg)> {
        let mut all = self.each();
        all.find(|(_, _, ids)| ino != 0 && ids.contains(&(dev, ino)))
            .map(|(pair, leg, _)| (pair, leg))
    }

    /// Puts on record that a leg was met of which nothing is known but its text.
    #[cold]
    pub fn record_unknown(&self) {
        for (pair, _, ids) in self.each() {
            if ids.iter().all(|(_, ino)| *ino == 0) {
                refused::record(pair, &Refused::new(Refusal::Elsewhere));
            }
        }
    }

    /// Whether a device is surely none of the legs': all of them are known.
    pub fn foreign(&self, dev: u64) -> bool {
        let other = |id: &(u64, u64)| differ(dev, *id);
        !self.unknown && self.each().all(|(_, _, ids)| ids.iter().all(other))
    }

    /// Whether each leg is what its text leads to: then no other text leads below it.
    pub fn stand(&self) -> bool {
        let pairs = CONFIG.get().pairs();
        !self.unknown
            && self.each().all(|(pair, leg, ids)| {
                let path = pairs.get(pair).map(|p| p.legs[leg]);
                path.and_then(|p| sys::stat_static(p).ok())
                    .is_some_and(|st| ids.contains(&(st.dev(), st.ino())))
            })
    }
}
