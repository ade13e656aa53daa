//! What this process has mapped: its files, each with a mapping of the library's own on both legs, and the
//! program's ranges.
//!
//! Rules: changed with TX held, by the owner of the memory. A range may stand here that is gone (a guest took
//! it away, or there was no room to cut it in two): then its file is carried over later, or more often. Nothing is
//! read or written at the program's ranges.
use crate::attach::handle::Session;
use crate::path::below::open_below;
use crate::path::loc::{Loc, Place};
use crate::path::object;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::mapped::PATH_ROOM;
use mirror_core::numbers::{self, MAPPED_MAX};
use mirror_core::{Errno, K, Leg, View};
use mirror_sys as sys;
use mirror_sys::Sys;

const R: Ordering = Ordering::Relaxed;

/// A file that this process has mapped.
pub struct File {
    used: AtomicBool,
    /// Pair index.
    pub pair: AtomicU8,
    /// Its entry in the runtime file, plus one; 0: nothing can be stored yet.
    entry: AtomicU8,
    /// Inode and device on leg a, inode on leg b.
    pub id: [AtomicU64; 3],
    /// The library's own mappings from the file's beginning: leg a's to be read, leg b's to be written.
    at: [AtomicUsize; 2],
    /// The epoch of what there is of leg b; 0: nothing.
    epoch: AtomicU32,
    len: AtomicUsize,
    path_len: AtomicU8,
    path: [AtomicU8; PATH_ROOM],
}

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the pattern of a static array, never read itself"
)]
const NO_FILE: File = File {
    used: AtomicBool::new(false),
    pair: AtomicU8::new(0),
    entry: AtomicU8::new(0),
    id: [const { AtomicU64::new(0) }; 3],
    at: [const { AtomicUsize::new(0) }; 2],
    epoch: AtomicU32::new(0),
    len: AtomicUsize::new(0),
    path_len: AtomicU8::new(0),
    path: [const { AtomicU8::new(0) }; PATH_ROOM],
};

static FILES: [File; MAPPED_MAX] = [NO_FILE; MAPPED_MAX];

/// A mapping of the program's.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    offset: AtomicUsize,
    /// Its file, plus one; 0: a free slot.
    file: AtomicUsize,
}

static RANGES: [Range; 256] = [const {
    Range {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        offset: AtomicUsize::new(0),
        file: AtomicUsize::new(0),
    }
}; 256];

/// How many files there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// What all ranges ever lay in.
static LOW: AtomicUsize = AtomicUsize::new(usize::MAX);
static HIGH: AtomicUsize = AtomicUsize::new(0);

/// A piece of a range.
#[derive(Clone, Copy)]
pub struct Piece {
    pub start: usize,
    pub end: usize,
    pub offset: usize,
    pub file: usize,
}

impl File {
    /// The entry in the runtime file.
    pub fn entry(&self) -> Option<usize> {
        usize::from(self.entry.load(R)).checked_sub(1)
    }
    /// Remembers it.
    pub fn set_entry(&self, nth: Option<usize>) {
        self.entry
            .store(nth.map_or(0, |n| n.saturating_add(1) as u8), R);
    }
    /// Inode on leg a.
    pub fn inode(&self) -> u64 {
        self.id[0].load(R)
    }
    /// The library's mapping on a leg, and its length.
    pub fn mapping(&self, leg: Leg) -> (usize, usize) {
        (
            self.at.get(leg.index()).map_or(0, |a| a.load(R)),
            self.len.load(R),
        )
    }
    fn set_path(&self, path: &[u8]) {
        let room = path.len() <= PATH_ROOM;
        self.path_len
            .store(if room { path.len() as u8 } else { 0 }, R);
        for (d, s) in self.path.iter().zip(path) {
            d.store(*s, R);
        }
    }
    /// Whether leg b has, or may have, a part of it that is this epoch's.
    pub fn has_part(&self, epoch: u32) -> bool {
        self.epoch.load(R) == epoch
    }
    /// Whether no name of it is known: it can get its first one yet.
    pub fn is_nameless(&self) -> bool {
        self.path_len.load(R) == 0
    }
    /// Where it was.
    pub fn path<'a>(&self, out: &'a mut [u8; PATH_ROOM]) -> &'a [u8] {
        let n = usize::from(self.path_len.load(R));
        for (d, s) in out.iter_mut().zip(&self.path).take(n) {
            *d = s.load(R);
        }
        out.get(..n).unwrap_or(&[])
    }
}

/// A file by its number.
pub fn file(nth: usize) -> Option<&'static File> {
    FILES.get(nth).filter(|f| f.used.load(R))
}

/// All files.
pub fn files() -> impl Iterator<Item = (usize, &'static File)> {
    let some = COUNT.load(R) != 0;
    (0..if some { MAPPED_MAX } else { 0 }).filter_map(|nth| Some((nth, file(nth)?)))
}

/// The file with this inode and device on leg a.
pub fn find(pair: usize, ino: u64, dev: u64) -> Option<(usize, &'static File)> {
    files().find(|(_, f)| {
        usize::from(f.pair.load(R)) == pair && f.id[0].load(R) == ino && f.id[1].load(R) == dev
    })
}

/// Whether a file of any mapping of the range is known here.
pub fn overlaps(start: usize, end: usize) -> bool {
    COUNT.load(R) != 0
        && start < HIGH.load(R)
        && end > LOW.load(R)
        && pieces(start, end).next().is_some()
}

/// The parts of ranges that lie in this one.
pub fn pieces(start: usize, end: usize) -> impl Iterator<Item = Piece> {
    RANGES.iter().filter_map(move |r| {
        let file = r.file.load(R).checked_sub(1)?;
        let (s, e) = (r.start.load(R), r.end.load(R));
        let (from, to) = (s.max(start), e.min(end));
        (from < to).then(|| Piece {
            start: from,
            end: to,
            offset: r.offset.load(R).wrapping_add(from.wrapping_sub(s)),
            file,
        })
    })
}

/// Whether a file has any range.
pub fn is_mapped(nth: usize) -> bool {
    RANGES.iter().any(|r| r.file.load(R) == nth.wrapping_add(1))
}

/// Whether `n` more ranges can be remembered.
pub fn has_room(n: usize) -> bool {
    RANGES.iter().filter(|r| r.file.load(R) == 0).count() >= n
}

/// Remembers a range. False: there is no room.
pub fn add(p: Piece) -> bool {
    let Some(r) = RANGES.iter().find(|r| r.file.load(R) == 0) else {
        return false;
    };
    r.start.store(p.start, R);
    r.end.store(p.end, R);
    r.offset.store(p.offset, R);
    LOW.fetch_min(p.start, R);
    HIGH.fetch_max(p.end, R);
    r.file.store(p.file.wrapping_add(1), R);
    true
}

/// Forgets what lies in a range.
pub fn remove(start: usize, end: usize) {
    for r in &RANGES {
        let (s, e) = (r.start.load(R), r.end.load(R));
        let Some(file) = r.file.load(R).checked_sub(1) else {
            continue;
        };
        if s >= end || e <= start {
            continue;
        }
        if start <= s && end >= e {
            r.file.store(0, R);
        } else if start <= s {
            r.offset
                .store(r.offset.load(R).wrapping_add(end.wrapping_sub(s)), R);
            r.start.store(end, R);
        } else {
            let rest = Piece {
                start: end,
                end: e,
                offset: r.offset.load(R).wrapping_add(end.wrapping_sub(s)),
                file,
            };
            // Without room for the rest the whole stays.
            if end >= e || add(rest) {
                r.end.store(start, R);
            }
        }
    }
}

/// Takes a file up: `n` is open on leg a, n + K on leg b (`other` is 0: there is nothing yet). Both are mapped as far
/// as `len`, and held by names of their own.
pub fn take(
    (n, pair, epoch): (i32, usize, u32),
    (ino, dev, other): (u64, u64, u64),
    len: usize,
    path: &[u8],
) -> Sys<usize> {
    let free = FILES.iter().enumerate().find(|(_, f)| !f.used.load(R));
    let (nth, f) = free.ok_or(Errno::ENOMEM)?;
    let at_a = sys::map_file(n, len, false)?;
    let there = other != 0;
    let mapped_b = match there {
        true => sys::map_file(n.saturating_add(K), len, true),
        false => Ok(0),
    };
    let at_b = match mapped_b {
        Ok(at) => at,
        Err(e) => {
            // SAFETY: made just now.
            unsafe { sys::unmap(at_a, len) };
            return Err(e);
        }
    };
    for (d, v) in f.at.iter().zip([at_a, at_b]) {
        d.store(v, R);
    }
    f.len.store(len, R);
    f.pair.store(pair as u8, R);
    f.epoch.store(if there { epoch } else { 0 }, R);
    f.entry.store(0, R);
    for (d, v) in f.id.iter().zip([ino, dev, other]) {
        d.store(v, R);
    }
    f.set_path(path);
    f.used.store(true, R);
    COUNT.fetch_add(1, R);
    let held = name(n, nth, Leg::A, ino).and_then(|()| match there {
        true => name(n.saturating_add(K), nth, Leg::B, other),
        false => Ok(()),
    });
    if let Err(e) = held.and_then(|()| tried()) {
        give_back(nth);
        return Err(e);
    }
    Ok(nth)
}

/// Opens what a descriptor is once more, without any right to its data: closing that drops no lock of the program's.
fn name(n: i32, nth: usize, leg: Leg, ino: u64) -> Sys<()> {
    let mut text = mirror_core::path::PathText::<40>::new();
    sys::fd_text(n, &mut text);
    let open = || sys::openat(c::AT_FDCWD, &text, c::O_PATH | c::O_CLOEXEC, 0);
    let m = crate::process::limits::spare(open)?;
    let to = numbers::mapped(nth, leg);
    let moved = match sys::fstat(m) {
        Ok(st) if st.ino() == ino && st.kind() == c::S_IFREG => {
            crate::process::limits::with_limit(1, || sys::dup3(m, to, c::O_CLOEXEC))
        }
        Ok(_) => Err(Errno::ESTALE),
        Err(e) => Err(e),
    };
    let _ = sys::close(m);
    moved.map(drop)
}

/// Whether this process may have its memory copied.
fn tried() -> Sys<()> {
    let (from, mut to) = (1u64, 0u64);
    let (f, t): (*const u64, *mut u64) = (&from, &mut to);
    // SAFETY: a word of this function's own.
    match unsafe { sys::copy_memory(t as usize, f as usize, 8) } {
        Ok(8) => Ok(()),
        Ok(_) => Err(Errno::EIO),
        Err(e) => Err(e),
    }
}

/// Sees to it that the library's mappings of a file reach as far as `len`.
pub fn reach(nth: usize, len: usize) -> Sys<()> {
    let f = file(nth).ok_or(Errno::EIO)?;
    let old = f.len.load(R);
    if len <= old {
        return Ok(());
    }
    let mut done = 0usize;
    for at in f.at.iter().filter(|at| at.load(R) != 0) {
        // SAFETY: our own mapping, used with TX held alone.
        match unsafe { sys::resize_mapping(at.load(R), old, len) } {
            Ok(new) => at.store(new, R),
            Err(e) => {
                if done != 0 {
                    let a = &f.at[0];
                    // SAFETY: as above; a mapping that shrinks stays where it is.
                    let _ = unsafe { sys::resize_mapping(a.load(R), len, old) };
                }
                return Err(e);
            }
        }
        done = done.wrapping_add(1);
    }
    f.len.store(len, R);
    Ok(())
}

/// Lets go of leg b's part of a pair's files. TX is held, and this process is in the middle of no change.
pub fn let_go_of_b(pair: usize) {
    for (nth, f) in files().filter(|(_, f)| usize::from(f.pair.load(R)) == pair) {
        let_go(nth, f);
    }
}

fn let_go(nth: usize, f: &File) {
    if f.epoch.swap(0, R) != 0 {
        unmap(&f.at[1], f.len.load(R));
        let _ = sys::close(numbers::mapped(nth, Leg::B));
    }
}

/// Why there is nothing of leg b for a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// It has no name any more: nobody can come to it by one.
    Gone,
    /// Leg b, on its way back, has it not yet: it is copied, with what was stored.
    Lacking,
    /// No name of it is found, or leg b has nothing by it.
    Moved,
    /// Leg b's file cannot be had.
    Failed(Errno),
}

impl Apart {
    /// For who must have it.
    pub fn errno(self) -> Errno {
        match self {
            Apart::Gone | Apart::Lacking | Apart::Moved => Errno::ESTALE,
            Apart::Failed(e) => e,
        }
    }
}

/// What there is of leg b is made that of the session's epoch, by a name that the file has now. The file's lock is
/// held.
pub fn renew(nth: usize, s: &Session) -> Result<(), Apart> {
    let f = file(nth).ok_or(Apart::Failed(Errno::EIO))?;
    match f.epoch.load(R) == s.epoch {
        true => Ok(()),
        false => again(nth, f, s),
    }
}

/// The same for a program that has the file open as `n`, with a partner.
pub fn renew_by(nth: usize, s: &Session, n: i32) -> Sys<()> {
    let f = file(nth).ok_or(Errno::EIO)?;
    if f.epoch.load(R) == s.epoch {
        return Ok(());
    }
    let_go(nth, f);
    mapped_of_b(nth, f, s, n.saturating_add(K))
}

#[cold]
#[inline(never)]
fn again(nth: usize, f: &File, s: &Session) -> Result<(), Apart> {
    let_go(nth, f);
    let own = numbers::mapped(nth, Leg::A);
    if sys::fstat(own).map_err(Apart::Failed)?.nlink() == 0 {
        f.id[2].store(0, R);
        return Err(Apart::Gone);
    }
    let mut loc = Loc::new();
    let pair = usize::from(f.pair.load(R));
    // The kernel knows where it is now, wherever it was.
    let place = object::sought(own, &mut loc);
    let found = place == Place::In && !loc.held && (loc.pair, loc.leg) == (pair, Leg::A);
    if !found && !entered(f, s, &mut loc) {
        return Err(Apart::Moved);
    }
    let flags = c::O_RDWR | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    // Of leg b the program has no locks any more that closing it could drop.
    let m = match open_below(s.at(Leg::B), &loc.rel, flags) {
        Err(Errno::ENOENT | Errno::ENOTDIR) if s.runtime().word().joining() => {
            return Err(Apart::Lacking);
        }
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Err(Apart::Moved),
        m => m.map_err(Apart::Failed)?,
    };
    let r = mapped_of_b(nth, f, s, m);
    let _ = sys::close(m);
    if r.is_ok() {
        f.set_path(loc.text());
        // Who comes upon the entry of a killed process is to find the same.
        if let (Some(nth), View::Own(rt)) = (f.entry(), s.runtime())
            && let Some(e) = rt
                .mapped
                .entries
                .get(nth)
                .filter(|e| e.inode() == f.inode())
        {
            e.name(f.id[2].load(R), loc.text());
        }
    }
    r.map_err(Apart::Failed)
}

/// Whether the name that the file's entry says leads to it: one that had none has been given it since.
fn entered(f: &File, s: &Session, loc: &mut Loc) -> bool {
    let device = f.id[1].load(R);
    let Some((_, m)) = s.runtime().mapped_file(f.inode()) else {
        return false;
    };
    if m.device != device || m.path().is_empty() {
        return false;
    }
    loc.set_text(m.path());
    let Ok(there) = open_below(s.at(Leg::A), &loc.rel, c::O_PATH | c::O_NOFOLLOW) else {
        return false;
    };
    let st = sys::fstat(there);
    let _ = sys::close(there);
    st.is_ok_and(|st| (st.ino(), st.dev()) == (f.inode(), device))
}

/// Maps `m`, the file on leg b.
fn mapped_of_b(nth: usize, f: &File, s: &Session, m: i32) -> Sys<()> {
    let len = f.len.load(R);
    let mapped = sys::fstat(m).and_then(|st| {
        let at = sys::map_file(m, len, true)?;
        f.at[1].store(at, R);
        f.id[2].store(st.ino(), R);
        name(m, nth, Leg::B, st.ino())
    });
    match mapped {
        Ok(()) => f.epoch.store(s.epoch, R),
        Err(_) => unmap(&f.at[1], len),
    }
    mapped
}

fn unmap(at: &AtomicUsize, len: usize) {
    let at = at.swap(0, R);
    if at != 0 {
        // SAFETY: our own mapping, which nobody uses any more.
        unsafe { sys::unmap(at, len) };
    }
}

/// Lets a file go.
pub fn give_back(nth: usize) {
    let Some(f) = file(nth) else { return };
    let len = f.len.load(R);
    for at in &f.at {
        unmap(at, len);
    }
    for leg in Leg::BOTH {
        let _ = sys::close(numbers::mapped(nth, leg));
    }
    f.used.store(false, R);
    COUNT.fetch_sub(1, R);
}
