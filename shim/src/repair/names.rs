//! Two files with different numbers of names: a name outside its leg is no difference, one that only one leg
//! has inside is.
//!
//! Rules: what is found out is found exclusively, and remembered, here and in the pair's
//! table (`mirror_core::names`). What cannot be found out within bounds is a difference.
use crate::attach::handle::Session;
use crate::path::below::open_below;
use crate::path::listing;
use crate::path::loc::{Name, Path};
use crate::process::actor::maybe_guest;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::names::{FILE, Known, SIZE};
use mirror_core::path::CONTROL;
use mirror_core::record::TMP_DIR;
use mirror_core::{Errno, MAX_PAIRS};
use mirror_pair::control::text;
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// Most entries of a leg that are looked at, and most directories above one another.
const ENTRIES: usize = 1 << 17;
const DEPTH: usize = 64;

/// The two, in the order of the legs; `from` is the first one's.
fn known_as(from: Leg, f: &Stat, t: &Stat) -> Known {
    let (a, b) = if from == Leg::A { (f, t) } else { (t, f) };
    Known::of([a.ino(), b.ino()], [a.nlink(), b.nlink()])
}

/// What this process remembers: pair + 1, the inodes, the difference. A power of two.
const KEPT: usize = 256;
static REMEMBERED: [[AtomicU64; 4]; KEPT] = [const { [const { AtomicU64::new(0) }; 4] }; KEPT];

fn row(k: &Known) -> &'static [AtomicU64; 4] {
    let [first, rest @ ..] = &REMEMBERED;
    let i = k.hash() as usize % KEPT;
    i.checked_sub(1).and_then(|i| rest.get(i)).unwrap_or(first)
}

fn fields(pair: usize, k: &Known) -> [u64; 4] {
    let [a, b] = k.inode;
    [(pair as u64).wrapping_add(1), a, b, k.more as u64]
}

fn keep(pair: usize, k: &Known) {
    if maybe_guest() {
        return;
    }
    let [mark, rest @ ..] = row(k);
    let [pair, values @ ..] = fields(pair, k);
    mark.store(0, Ordering::Relaxed);
    for (to, from) in rest.iter().zip(values) {
        to.store(from, Ordering::Relaxed);
    }
    mark.store(pair, Ordering::Relaxed);
}

/// Whether these two files, which have not as many names, are known to stand for each other.
#[cold]
#[inline(never)]
pub fn known(s: &Session, from: Leg, f: &Stat, t: &Stat) -> bool {
    let k = known_as(from, f, t);
    let mut held = row(&k).iter().zip(fields(s.pair, &k));
    if !maybe_guest() && held.all(|(a, b)| a.load(Ordering::Relaxed) == b) {
        return true;
    }
    let Ok(n) = mirror_pair::control::open(s.root.a, &text(FILE), c::O_RDONLY, 0) else {
        return false;
    };
    let mut entry = [0u8; SIZE];
    let read = sys::pread(n, &mut entry, k.place());
    let _ = sys::close(n);
    let found = read == Ok(SIZE) && k.is(&entry);
    if found {
        keep(s.pair, &k);
    }
    found
}

/// They stand for each other.
#[cold]
#[inline(never)]
pub fn remember(s: &Session, from: Leg, f: &Stat, t: &Stat) {
    let k = known_as(from, f, t);
    keep(s.pair, &k);
    if let Ok(n) = mirror_pair::control::common(s.root.a, FILE, c::O_WRONLY) {
        let _ = crate::process::limits::own_file(|| sys::pwrite(n, &k.encode(), k.place()));
        let _ = sys::close(n);
    }
}

/// Whether the two files have the same names inside their legs. The whole pair is locked.
#[cold]
#[inline(never)]
pub fn agree(s: &Session, from: Leg, f: &Stat, t: &Stat) -> bool {
    let (a, b) = if from == Leg::A { (f, t) } else { (t, f) };
    if s.is_guarded() || s.pair >= MAX_PAIRS {
        return false;
    }
    // Whoever shares this memory may be looking too.
    if !maybe_guest() && (CENSUS.covers(s.pair, a, b) || CENSUS.take(s)) {
        match [CENSUS.names(Leg::A, a.ino()), CENSUS.names(Leg::B, b.ino())] {
            [Names::One, Names::One] => return true,
            // The listing has other numbers than the files.
            [Names::None, _] | [_, Names::None] => return false,
            _ => {}
        }
    }
    same_names(s, a, b)
}

/// How many names an inode has inside its leg.
enum Names {
    None,
    One,
    /// Perhaps more than one.
    Several,
}

/// Bits of a set of inodes.
const BITS: u64 = 1 << 19;
type Set = [AtomicU64; (BITS / 64) as usize];

fn put(set: &Set, bit: u64) -> bool {
    let word = set.get((bit / 64) as usize);
    let mask = 1u64 << (bit % 64);
    word.is_some_and(|w| w.fetch_or(mask, Ordering::Relaxed) & mask != 0)
}

fn has(set: &Set, bit: u64) -> bool {
    let word = set.get((bit / 64) as usize);
    word.is_some_and(|w| w.load(Ordering::Relaxed) & (1 << (bit % 64)) != 0)
}

/// Two places of an inode in a set.
fn places(ino: u64) -> [u64; 2] {
    let h = Known::of([ino, 0], [0, 0]).hash();
    [h % BITS, (h >> 32) % BITS]
}

/// Which inodes occur once and more than once in either leg: counted once for many files, since a copy by
/// hard links gives all of them a further name. A set says "twice" also of two that share both its places.
struct Census {
    /// 0: none; else the pair + 1.
    pair: AtomicUsize,
    /// The legs' own times when it began.
    since: [[AtomicI64; 2]; 2],
    /// Of each leg, for each place: who occurs, who occurs again.
    sets: [[[Set; 2]; 2]; 2],
    busy: AtomicBool,
}

static CENSUS: Census = Census {
    pair: AtomicUsize::new(0),
    since: [const { [const { AtomicI64::new(0) }; 2] }; 2],
    sets: [const { [const { [const { [const { AtomicU64::new(0) }; (BITS / 64) as usize] }; 2] }; 2] };
        2],
    busy: AtomicBool::new(false),
};

impl Census {
    /// Whether neither file can have got a name since it began: that would have moved its ctime.
    fn covers(&self, pair: usize, a: &Stat, b: &Stat) -> bool {
        let before = |st: &Stat, since: &[AtomicI64; 2]| {
            let [sec, nsec] = since;
            st.ctime() < (sec.load(Ordering::Relaxed), nsec.load(Ordering::Relaxed))
        };
        let [of_a, of_b] = &self.since;
        self.pair.load(Ordering::Relaxed) == pair.wrapping_add(1)
            && before(a, of_a)
            && before(b, of_b)
    }
    /// Looks at both legs. Not all of it: false.
    fn take(&self, s: &Session) -> bool {
        if self.busy.swap(true, Ordering::Acquire) {
            return false;
        }
        self.pair.store(0, Ordering::Relaxed);
        for word in self.sets.iter().flatten().flatten().flatten() {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
        let legs = s.root.iter().zip(&self.since).zip(&self.sets);
        let mut whole = true;
        for ((&root, since), sets) in legs {
            let [sec, nsec] = since;
            let now = moment(root).unwrap_or((i64::MIN, 0));
            sec.store(now.0, Ordering::Relaxed);
            nsec.store(now.1, Ordering::Relaxed);
            whole &= walk(root, &mut |_, e| {
                for (bit, [once, again]) in places(e.ino).into_iter().zip(sets) {
                    if put(once, bit) {
                        put(again, bit);
                    }
                }
                true
            });
        }
        if whole {
            self.pair.store(s.pair.wrapping_add(1), Ordering::Relaxed);
        }
        self.busy.store(false, Ordering::Release);
        whole
    }
    fn names(&self, leg: Leg, ino: u64) -> Names {
        let Some(sets) = self.sets.get(leg.index()) else {
            return Names::None;
        };
        let both = || places(ino).into_iter().zip(sets);
        if !both().all(|(bit, [once, _])| has(once, bit)) {
            Names::None
        } else if both().all(|(bit, [_, again])| has(again, bit)) {
            Names::Several
        } else {
            Names::One
        }
    }
}

/// The time of a leg's own file system.
fn moment(root: i32) -> Sys<(i64, i64)> {
    let tmp = Path::from_bytes(TMP_DIR).unwrap_or_default();
    let dir = open_below(root, &tmp, c::O_PATH | c::O_DIRECTORY)?;
    let name: Name = Name::from_bytes(b"names-now").unwrap_or_default();
    let _ = sys::unlinkat(dir, &name, 0);
    let made = sys::mknodat(dir, &name, c::S_IFREG | 0o600, 0);
    let st = made.and_then(|_| sys::fstatat(dir, &name, c::AT_SYMLINK_NOFOLLOW));
    let _ = sys::unlinkat(dir, &name, 0);
    let _ = sys::close(dir);
    st.map(|st| st.ctime())
}

/// Whether leg a's names of `a` are leg b's names of `b`, and all of those.
fn same_names(s: &Session, a: &Stat, b: &Stat) -> bool {
    let (mut of_a, mut of_b) = (0u64, 0u64);
    let other = s.root.b;
    let whole = walk(s.root.a, &mut |rel, e| {
        if e.ino != a.ino() {
            return true;
        }
        of_a = of_a.saturating_add(1);
        let mut path = rel.clone();
        path.push(e.name).is_ok()
            && sys::glance(other, &path, c::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|st| (st.dev(), st.ino()) == (b.dev(), b.ino()))
    });
    whole
        && walk(s.root.b, &mut |_, e| {
            of_b = of_b.saturating_add(u64::from(e.ino == b.ino()));
            of_b <= of_a
        })
        && of_a == of_b
        && of_a > 0
}

/// What is shown each entry, with its directory's path; false: no more.
type See<'a> = &'a mut dyn FnMut(&Path, &listing::Entry<'_>) -> bool;

/// Shows `see` every entry below a leg's root that is no directory, with the directory's path. False: `see`
/// said so, or something was not looked at.
#[inline(never)]
fn walk(root: i32, see: See<'_>) -> bool {
    let mut w = Walk {
        open: [-1; DEPTH],
        depth: 0,
        left: ENTRIES,
        rel: Path::new(),
    };
    let whole = w
        .enter(root, &Name::from_bytes(b".").unwrap_or_default())
        .is_ok()
        && w.all(see);
    for &n in w.open.iter().take(w.depth) {
        let _ = sys::close(n);
    }
    whole
}

struct Walk {
    /// Directories from the root down.
    open: [i32; DEPTH],
    depth: usize,
    left: usize,
    rel: Path,
}

impl Walk {
    fn enter(&mut self, at: i32, name: &Name) -> Sys<()> {
        let slot = self.open.get_mut(self.depth).ok_or(Errno::ELOOP)?;
        let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_CLOEXEC;
        *slot = sys::openat2(at, name, flags, 0, sys::BENEATH)?;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }
    fn all(&mut self, see: See<'_>) -> bool {
        let mut buf = [0u8; 4096];
        loop {
            let Some(up) = self.depth.checked_sub(1) else {
                return true;
            };
            let dir = self.open.get(up).copied().unwrap_or(-1);
            let n = match sys::getdents(dir, &mut buf) {
                Ok(0) => {
                    let _ = sys::close(dir);
                    self.depth = up;
                    self.rel.pop();
                    continue;
                }
                Ok(n) => n,
                Err(_) => return false,
            };
            let mut at = 0usize;
            while let Some((e, next)) = listing::entry(buf.get(..n).unwrap_or(&[]), at) {
                at = next;
                if e.name == b"." || e.name == b".." || (up == 0 && e.name == CONTROL) {
                    continue;
                }
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    return false;
                }
                match self.down(dir, &e) {
                    Ok(true) => {
                        // The rest of this listing is read again later.
                        let _ = sys::lseek(dir, e.next, c::SEEK_SET);
                        break;
                    }
                    Ok(false) if see(&self.rel, &e) => {}
                    _ => return false,
                }
            }
        }
    }
    /// Whether the entry is a directory, and entered. What another file system is mounted on is neither.
    fn down(&mut self, dir: i32, e: &listing::Entry<'_>) -> Sys<bool> {
        if !matches!(e.kind, c::DT_DIR | c::DT_UNKNOWN) {
            return Ok(false);
        }
        let name = Name::from_bytes(e.name).map_err(|_| Errno::ENAMETOOLONG)?;
        match self.enter(dir, &name) {
            Ok(()) => self
                .rel
                .push(e.name)
                .map(|()| true)
                .map_err(|_| Errno::ENAMETOOLONG),
            Err(Errno::ENOTDIR) if e.kind == c::DT_UNKNOWN => Ok(false),
            Err(Errno::EXDEV | Errno::ENOENT) => Ok(false),
            Err(e) => Err(e),
        }
    }
}
