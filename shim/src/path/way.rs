//! The way from a leg's root to a directory that lies deeper than a path can say.
//!
//! Rules: its names are found from below, by ".." and the listings of the directories above, and it is walked in
//! pieces. What is remembered of the last way is a guess, proved by a walk that ends in the directory.
use crate::attach::session;
use crate::path::loc::Path;
use crate::path::outside::{At, identity, name_of};
use crate::path::roots::Roots;
use crate::process::actor::guest;
use crate::process::limits::own_fd;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::Leg;
use mirror_core::path::PATH_MAX;
use mirror_sys as sys;
use mirror_sys::{Identity, Sys};

/// Longest way, in bytes.
const MOST: usize = 64 << 10;
/// Most names in it.
const LEVELS: usize = MOST / 2;
/// Directories of the last way that are remembered, the deepest ones.
const DIRS: usize = 64;

const LIST: i32 = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
const STEP: i32 = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;

/// A directory on a way: device, inode, and how many bytes lead there.
type Dir = (u64, u64, usize);

/// A way, written from its end.
pub struct Way {
    text: [u8; MOST],
    from: usize,
    /// The first directories that were climbed through; the bytes are those that lead on from there.
    dirs: [Dir; DIRS],
    count: usize,
}

/// The way that was found last.
struct Last {
    busy: AtomicBool,
    /// Twice the pair and the leg, and 1; 0: nothing is known.
    leg: AtomicUsize,
    len: AtomicUsize,
    text: [AtomicU8; MOST],
    /// From the top; the rest of the table is void.
    dirs: [[AtomicU64; 3]; DIRS],
    count: AtomicUsize,
}

static LAST: Last = Last {
    busy: AtomicBool::new(false),
    leg: AtomicUsize::new(0),
    len: AtomicUsize::new(0),
    text: [const { AtomicU8::new(0) }; MOST],
    dirs: [const { [const { AtomicU64::new(0) }; 3] }; DIRS],
    count: AtomicUsize::new(0),
};

const R: Ordering = Ordering::Relaxed;

/// The right to look at [`LAST`], and to change it.
struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        LAST.busy.store(false, Ordering::Release);
    }
}

/// `None`: another thread has it. Signals are blocked; a guest could die with it.
fn hold() -> Option<Held> {
    let free = || !LAST.busy.swap(true, Ordering::Acquire);
    (!guest() && free()).then_some(Held)
}

impl Held {
    fn leg(&self) -> Option<(usize, Leg)> {
        let n = LAST.leg.load(R).checked_sub(1)?;
        Some((n >> 1, Leg::of(n)))
    }
    /// How many bytes of the last way lead to a directory.
    fn has(&self, id: &Identity) -> Option<usize> {
        self.leg()?;
        let dirs = LAST.dirs.iter().take(LAST.count.load(R));
        let mut here = dirs.filter(|[dev, ino, _]| ino.load(R) == id.ino && dev.load(R) == id.dev);
        here.next().map(|[.., len]| len.load(R) as usize)
    }
    fn forget(&self) {
        LAST.leg.store(0, R);
    }
    /// Keeps a way of which the first `prefix` bytes are the last one's.
    fn keep(&self, way: &Way, (pair, leg): (usize, Leg), prefix: usize) {
        let names = way.names();
        for (to, b) in LAST.text.iter().zip(names).skip(prefix) {
            to.store(*b, R);
        }
        LAST.len.store(names.len(), R);
        let known = LAST.dirs.iter().take(LAST.count.load(R));
        let stay = match prefix {
            0 => 0,
            n => known.filter(|[.., len]| len.load(R) as usize <= n).count(),
        };
        // The shallowest ones make room.
        let over = stay.saturating_add(way.count).saturating_sub(DIRS);
        for i in over..stay {
            if let (Some(from), Some(to)) = (LAST.dirs.get(i), LAST.dirs.get(i.wrapping_sub(over)))
            {
                from.iter().zip(to).for_each(|(f, t)| t.store(f.load(R), R));
            }
        }
        let stay = stay.saturating_sub(over);
        let fresh = way.dirs.iter().take(way.count).rev();
        for (to, (dev, ino, rest)) in LAST.dirs.iter().skip(stay).zip(fresh) {
            to[0].store(*dev, R);
            to[1].store(*ino, R);
            to[2].store(names.len().saturating_sub(*rest) as u64, R);
        }
        LAST.count
            .store(stay.saturating_add(way.count).min(DIRS), R);
        LAST.leg.store((pair << 1 | leg.index()).wrapping_add(1), R);
    }
}

/// Whether a directory is one of the last way, or stands in one: before more is asked of it.
pub fn may_lead(n: i32) -> bool {
    let Some(last) = hold().filter(|last| last.leg().is_some()) else {
        return false;
    };
    let here = |id: Sys<Identity>| id.is_ok_and(|id| last.has(&id).is_some());
    here(identity(n)) || sys::identity_through(n, b"..").is_some_and(here)
}

/// Opens the directory of the last way.
pub fn last_directory() -> Sys<i32> {
    let mut way = Way::new();
    let (pair, leg) = {
        let last = hold().ok_or(Errno::EAGAIN)?;
        way.put_last(LAST.len.load(R))?;
        last.leg().ok_or(Errno::ENOENT)?
    };
    let root = session::root_of(pair, leg).ok_or(Errno::ENOENT)?;
    way.walk(root, sys::BENEATH)
}

impl Way {
    /// Nowhere.
    pub fn new() -> Way {
        Way {
            text: [0; MOST],
            from: MOST,
            dirs: [(0, 0, 0); DIRS],
            count: 0,
        }
    }
    fn names(&self) -> &[u8] {
        self.text.get(self.from..).unwrap_or(&[])
    }
    /// Room for that many bytes before what is there, and a '/' between.
    fn before(&mut self, len: usize) -> Result<&mut [u8], Errno> {
        let end = match self.from {
            MOST => MOST,
            n => n.checked_sub(1).ok_or(Errno::ENAMETOOLONG)?,
        };
        let start = end.checked_sub(len).ok_or(Errno::ENAMETOOLONG)?;
        if let Some(slash) = self.text.get_mut(end) {
            *slash = b'/';
        }
        self.from = start;
        self.text.get_mut(start..end).ok_or(Errno::ENAMETOOLONG)
    }
    fn put(&mut self, name: &[u8]) -> Result<(), Errno> {
        let room = self.before(name.len())?;
        room.iter_mut().zip(name).for_each(|(to, b)| *to = *b);
        Ok(())
    }
    /// Puts the beginning of the last way before this one.
    fn put_last(&mut self, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        let room = self.before(len)?;
        room.iter_mut()
            .zip(&LAST.text)
            .for_each(|(to, b)| *to = b.load(R));
        Ok(())
    }
    /// As much of the way as a path can say.
    pub fn above(&self) -> Path {
        Path::from_bytes(cut(self.names()).0).unwrap_or_default()
    }
    /// Opens the directory to which the way leads from a root, through no symlink.
    pub fn walk(&self, root: i32, resolve: u64) -> Sys<i32> {
        let mut at = At::borrowed(root);
        let mut rest = self.names();
        while !rest.is_empty() {
            let (piece, more) = cut(rest);
            let piece = Path::from_bytes(piece).map_err(|_| Errno::ENAMETOOLONG)?;
            let open = || sys::openat2(at.number(), &piece, STEP, 0, resolve);
            match own_fd(open) {
                // A rename elsewhere made the kernel unsure: it is asked again.
                Err(Errno::EAGAIN) => continue,
                n => at = At::owned(n?),
            }
            rest = more;
        }
        at.into_number().ok_or(Errno::ENOENT)
    }
    /// Whether it leads from a root to the directory `n`.
    fn leads(&self, root: i32, n: i32) -> bool {
        let Ok(there) = self.walk(root, sys::BENEATH).map(At::owned) else {
            return false;
        };
        let ids = (identity(there.number()), identity(n));
        matches!(ids, (Ok(a), Ok(b)) if a.same(&b))
    }
    /// The leg in which a directory lies, and the way to it. An error: there is none, or it cannot be told.
    #[inline(never)]
    pub fn find(&mut self, n: i32) -> Result<(usize, Leg), Errno> {
        let roots = Roots::now();
        let last = hold();
        if let Some(l) = &last
            && let Ok((leg, prefix @ 1..)) = self.climb(n, &roots, last.as_ref())
        {
            let root = session::root_of(leg.0, leg.1);
            if self.put_last(prefix).is_ok() && root.is_some_and(|root| self.leads(root, n)) {
                l.keep(self, leg, prefix);
                return Ok(leg);
            }
            // A directory was moved, or its number is another's by now.
            l.forget();
        }
        let (leg, _) = self.climb(n, &roots, None)?;
        if let Some(l) = last {
            l.keep(self, leg, 0);
        }
        Ok(leg)
    }
    /// Climbs to a root, or to a directory of the last way: what leg that is in, and how many bytes lead there.
    fn climb(
        &mut self,
        n: i32,
        roots: &Roots,
        last: Option<&Held>,
    ) -> Result<((usize, Leg), usize), Errno> {
        (self.from, self.count) = (MOST, 0);
        let mut at = At::borrowed(n);
        let mut id = identity(n)?;
        for _ in 0..LEVELS {
            if id.kind != c::S_IFDIR {
                return Err(Errno::ENOTDIR);
            }
            if let Some(leg) = roots.find(id.dev, id.ino) {
                return Ok((leg, 0));
            }
            if let Some(len) = last.and_then(|l| l.has(&id))
                && let Some(leg) = last.and_then(Held::leg)
            {
                return Ok((leg, len));
            }
            if let Some(dir) = self.dirs.get_mut(self.count) {
                let below = match MOST.saturating_sub(self.from) {
                    0 => 0,
                    n => n.saturating_add(1),
                };
                *dir = (id.dev, id.ino, below);
                self.count = self.count.saturating_add(1);
            }
            at.up(LIST)?;
            let up = identity(at.number())?;
            if up.same(&id) && up.mount == id.mount {
                return Err(Errno::ESTALE);
            }
            self.put(name_of(at.number(), &id)?.as_bytes())?;
            id = up;
        }
        Err(Errno::ENAMETOOLONG)
    }
}

/// The longest beginning of a way that a path can say, and what follows it.
fn cut(names: &[u8]) -> (&[u8], &[u8]) {
    if names.len() < PATH_MAX {
        return (names, &[]);
    }
    let head = names.get(..PATH_MAX).unwrap_or(names);
    let end = head.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let rest = names.get(end.saturating_add(1)..).unwrap_or(&[]);
    (names.get(..end).unwrap_or(&[]), rest)
}
