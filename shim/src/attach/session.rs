//! Attaching this process to a pair: root descriptors, lock descriptors, the runtime file, and a shared
//! lock on both legs' domain records for as long as the process lives.
//!
//! Rules: called with all signals blocked, and by the owner of the memory with [`TX`] held. What is
//! stored belongs to the owner; a guest works on a copy with locks of its own and stores nothing.
use crate::attach::again::{self, open_root, refusal};
use crate::attach::free;
use crate::attach::handle::Session;
use crate::attach::holder;
use crate::attach::settle::settle_fd;
use crate::attach::{leaving, lone};
use crate::config::CONFIG;
use crate::events::refused::{self, Refused, unless_told};
use crate::process::actor::{guest as is_guest, maybe_guest};
use crate::process::limits::with_limit;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::LockKind;
use mirror_core::MAX_PAIRS;
use mirror_core::OBJECTS;
use mirror_core::numbers;
use mirror_core::path::PathText;
use mirror_core::record::{self, LegRecord};
use mirror_core::refusal::Refusal;
use mirror_core::runtime::{self, RuntimeFile};
use mirror_core::tab::OnFailure;
use mirror_core::{Leg, PerLeg, StateWord};
use mirror_pair::control::text;
use mirror_pair::locks;
use mirror_pair::memory::Memory;
use mirror_pair::runtime::Place;
use mirror_pair::session::{self, Pinned};
use mirror_sys as sys;
use mirror_sys::Sys;

struct Slot {
    ready: AtomicBool,
    /// The epoch of what is held of leg b; 0: nothing is.
    held: AtomicU32,
    session: UnsafeCell<Session>,
}
// SAFETY: `session` is written with TX held before `ready` is released, and not changed later.
unsafe impl Sync for Slot {}

impl Slot {
    /// The descriptor of leg b's root that is of the word's epoch, and that epoch; or none.
    fn of_b(&self, s: &Session) -> (i32, u32) {
        let (word, held) = (s.runtime().word(), self.held.load(Ordering::Relaxed));
        match held != 0 && held == word.epoch() && !word.alone() {
            true => (numbers::own(s.slot, 1), held),
            false => (-1, 0),
        }
    }
}

/// Of each attached pair, what the roots are: device and inode; 0: leg b was away. Not in the slots, which a start looks
/// over.
static IDS: [PerLeg<[AtomicU64; 2]>; MAX_PAIRS] = [const {
    PerLeg {
        a: [const { AtomicU64::new(0) }; 2],
        b: [const { AtomicU64::new(0) }; 2],
    }
}; MAX_PAIRS];

/// Whether this number is the leg's root in the caller's table.
fn is_root(pair: usize, leg: Leg, n: i32) -> bool {
    let Some([dev, ino]) = IDS.get(pair).map(|ids| &ids[leg]) else {
        return false;
    };
    sys::fglance(n).is_ok_and(|st| {
        st.dev() == dev.load(Ordering::Relaxed) && st.ino() == ino.load(Ordering::Relaxed)
    })
}

/// All zero, so that the library's file holds none of it. Not read before `ready`.
#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the pattern of a static array, never read itself"
)]
const NONE: Session = Session {
    owner: PerLeg { a: 0, b: 0 },
    epoch: 0,
    pair: 0,
    slot: 0,
    root: PerLeg { a: 0, b: 0 },
    root_ino: 0,
    stripes: 0,
    locks: LockKind::Flock,
    file: -1,
    memory: Memory::none(),
};
static SLOTS: [Slot; MAX_PAIRS] = [const {
    Slot {
        ready: AtomicBool::new(false),
        held: AtomicU32::new(0),
        session: UnsafeCell::new(NONE),
    }
}; MAX_PAIRS];

const NO_FDS: PerLeg<i32> = PerLeg { a: -1, b: -1 };

/// How many pairs the owner is attached to: the next one's block of numbers.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);

/// The mapping of a pair's runtime file that may be looked at, if the owner of this memory is attached.
/// Never unmapped.
pub fn runtime_of(pair: usize) -> Option<&'static RuntimeFile> {
    let slot = SLOTS.get(pair)?;
    if !slot.ready.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: written before `ready` was released, never changed since; the mapping lives as long as
    // the process.
    unsafe {
        let s = &*slot.session.get();
        let looked_at = s.memory.guarded().is_none();
        looked_at.then(|| &*(s.memory.at() as *const RuntimeFile))
    }
}

/// How many stripes the lock tables of a pair have to which this memory's owner is attached.
pub fn stripes_of(pair: usize) -> Option<usize> {
    let slot = SLOTS.get(pair)?;
    // SAFETY: as in `runtime_of`.
    (slot.ready.load(Ordering::Acquire)).then(|| unsafe { (*slot.session.get()).stripes })
}

/// The session of a pair, attaching first if need be.
pub fn session(pair: usize, guest: bool) -> Sys<Session> {
    let slot = SLOTS.get(pair).ok_or(Errno::EIO)?;
    if CONFIG.get().pairs().get(pair).is_some_and(|p| p.closed) {
        return Err(Errno::EACCES);
    }
    if guest {
        let_go();
    }
    if slot.ready.load(Ordering::Acquire) {
        // SAFETY: written before `ready` was released, never changed since.
        let mut s = unsafe { (*slot.session.get()).clone() };
        if !guest {
            return renewed(slot, s);
        }
        (s.root[Leg::B], s.epoch) = slot.of_b(&s);
        // The owner may have attached after this guest got its descriptors.
        if s.root.each().all(|(leg, n)| is_root(pair, leg, *n)) {
            return Ok(s);
        }
    }
    // What goes wrong here is no answer to the program's call, except that it may not, or has no room.
    join(pair, guest).map_err(|r| {
        refused::record(pair, &crate::attach::past::reason(r));
        match r.errno {
            e @ (Errno::EACCES | Errno::EROFS | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => e,
            // Its hard limit of file sizes is too low for a runtime file.
            e @ Errno::EFBIG => e,
            _ => Errno::EIO,
        }
    })
}

/// The owner's session, with leg b as it is now.
fn renewed(slot: &Slot, mut s: Session) -> Sys<Session> {
    for _ in 0..TURNS {
        let word = s.runtime().word();
        again::renew(&s, &slot.held, SHARED_FILES.load(Ordering::Relaxed));
        (s.root[Leg::B], s.epoch) = slot.of_b(&s);
        let now = s.runtime().word();
        if s.epoch != 0 || now.alone() {
            return Ok(s);
        }
        // Unless leg b has left or come meanwhile, it could neither be opened again nor left behind.
        if now == word {
            break;
        }
    }
    Err(Errno::EIO)
}

/// How often leg b may leave or come meanwhile.
const TURNS: u32 = 64;

/// Attaches to a pair that this process is not attached to.
pub fn join(pair: usize, guest: bool) -> Result<Session, Refused> {
    let slot = SLOTS.get(pair).ok_or(Errno::EIO)?;
    let asks = match guest {
        true => !has_ours(),
        false => !any(),
    };
    if asks {
        free::numbers_are_free()?;
    }
    let s = match attach(pair, guest) {
        // Leg b was left behind while it was being opened; or is now.
        Err(_) if lone::mark_of(pair).stands() || failing(pair) => attach(pair, guest),
        r => r,
    }?;
    if guest {
        return Ok(s);
    }
    slot.held.store(s.epoch, Ordering::Relaxed);
    for (leg, n) in s.root.each() {
        if let (Ok(st), Some(ids)) = (sys::fglance(*n), IDS.get(pair)) {
            ids[leg][0].store(st.dev(), Ordering::Relaxed);
            ids[leg][1].store(st.ino(), Ordering::Relaxed);
        }
    }
    // SAFETY: TX is held (rule of this file) and `ready` is still false: nobody reads it.
    unsafe { *slot.session.get() = s.clone() };
    NEW.fetch_or(1 << (pair & 63), Ordering::Relaxed);
    ATTACHED.fetch_add(1, Ordering::Relaxed);
    crate::process::actor::own();
    slot.ready.store(true, Ordering::Release);
    crate::tables::ACTIVE.store(1, Ordering::Relaxed);
    Ok(s)
}

/// Whether leg b was left behind, which could not be attached to.
#[cold]
#[inline(never)]
fn failing(pair: usize) -> bool {
    let look = || -> Result<bool, Refused> {
        let conf = CONFIG.get().pairs().get(pair).ok_or(Errno::EIO)?;
        if conf.options.on_failure != OnFailure::Degrade {
            return Ok(false);
        }
        let path = conf.legs[Leg::A].to_bytes();
        let path = PathText::<{ mirror_core::path::PATH_MAX }>::from_bytes(path);
        let path = path.map_err(|_| Errno::EIO)?;
        let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
        let root = sys::openat2(c::AT_FDCWD, &path, flags, 0, sys::NO_SYMLINKS)?;
        let pinned = Pinned {
            id: conf.options.id,
            uid: conf.options.uid,
        };
        let believed = session::record(root).and_then(|record| {
            session::believe(root, &record, &pinned)?;
            session::usable(&record, Leg::A)?;
            Ok(record)
        });
        let left = believed.is_ok_and(|record| leaving::unattached(pair, root, &record));
        let _ = sys::close(root);
        Ok(left)
    };
    look().unwrap_or(false)
}

/// The descriptor of a leg's root, if the owner of this memory is attached to its pair and the caller's table has it: a
/// thread or a guest that has a table of its own may have something else under that number.
pub fn root_of(pair: usize, leg: Leg) -> Option<i32> {
    let root = number_of(pair, leg)?;
    (!maybe_guest() || is_root(pair, leg, root)).then_some(root)
}

/// The number of a leg's root in the table of whoever has attached to its pair.
fn number_of(pair: usize, leg: Leg) -> Option<i32> {
    let slot = SLOTS.get(pair)?;
    if !slot.ready.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: written before `ready` was released, never changed since.
    let s = unsafe { &*slot.session.get() };
    let root = match leg {
        Leg::A => s.root[leg],
        Leg::B => slot.of_b(s).0,
    };
    (root >= 0).then_some(root)
}

/// The word of a pair and the epoch of what there is of its leg b, if the owner of this memory is attached to it.
fn word_of(pair: usize) -> Option<(StateWord, u32)> {
    let slot = SLOTS.get(pair)?;
    let ready = slot.ready.load(Ordering::Acquire);
    // SAFETY: as in `root_of`.
    ready.then(|| unsafe {
        let word = (*slot.session.get()).runtime().word();
        (word, slot.held.load(Ordering::Relaxed))
    })
}

/// Whether what the owner of this memory has of a pair's leg b is of another epoch than the word's.
pub fn is_behind(pair: usize) -> bool {
    word_of(pair).is_some_and(|(word, held)| !word.alone() && word.epoch() != held)
}

/// Whether a pair's leg b was ever away while its runtime file was there: a table of descriptors that is not the
/// owner's may hold partners from before.
pub fn has_changed(pair: usize) -> bool {
    word_of(pair).is_some_and(|(word, _)| word.epoch() != StateWord::FRESH.epoch())
}

/// Whether leg b of a pair is away, as far as the owner of this memory is attached to it.
pub fn is_alone(pair: usize) -> bool {
    word_of(pair).is_some_and(|(word, _)| word.alone())
}

/// Whether leg b of a pair is on its way back, as far as the owner of this memory is attached to it.
pub fn is_joining(pair: usize) -> bool {
    word_of(pair).is_some_and(|(word, _)| word.joining())
}

/// Keeps a descriptor of "/proc" for texts of descriptors, as long as the process lives. TX is held.
pub fn keep_proc() {
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    if any()
        && let Ok(n) = sys::openat(c::AT_FDCWD, &text(b"/proc"), flags, 0)
        && let Ok(n) = settle_fd(n, 0, numbers::own(0, 2), false)
    {
        sys::keep_proc(n);
    }
}

/// Pairs that were attached to just now: bit n.
static NEW: AtomicU64 = AtomicU64::new(0);

/// Whether the pair was attached to just now. Asked once.
pub fn is_new(pair: usize) -> bool {
    let bit = 1 << (pair & 63);
    NEW.load(Ordering::Relaxed) & bit != 0 && NEW.fetch_and(!bit, Ordering::Relaxed) & bit != 0
}

/// Whether the descriptors of a pair to which the owner is attached are in the caller's table: a thread that
/// has one of its own may have got it before, with something else under their numbers.
pub fn here(pair: usize) -> bool {
    if has_changed(pair) {
        return false;
    }
    Leg::BOTH
        .into_iter()
        .all(|leg| number_of(pair, leg).is_none_or(|n| is_root(pair, leg, n)))
}

/// Whether this memory's owner is attached to the pair.
pub fn attached(pair: usize) -> bool {
    SLOTS
        .get(pair)
        .is_some_and(|s| s.ready.load(Ordering::Acquire))
}

/// First act of a forked child: the inherited lock descriptors share their locks with the parent.
pub fn after_fork_in_child() {
    if any() && !FAMILY.load(Ordering::Relaxed) {
        close_locks();
        holder::after_fork_in_child(attached_pairs());
    }
}

/// This process may not open lock objects any more: it, and the children it forks from now on, share their
/// descriptions, and keep each other out by locks of their own on a file in memory.
pub static FAMILY: AtomicBool = AtomicBool::new(false);

/// Before rights are given up, with all lock objects open: see [`FAMILY`]. TX is held.
pub fn found_family() {
    if !any() || FAMILY.load(Ordering::Relaxed) {
        return;
    }
    if let Ok(n) = sys::memory_file(&text(b"mirror"))
        && settle_fd(n, 0, numbers::own(0, 3), false).is_ok()
    {
        FAMILY.store(true, Ordering::Relaxed);
    }
}

/// Among those that share descriptions: takes the turn for a lock object, or gives it back.
pub fn turn(pair: usize, leg: Leg, object: usize, on: bool) -> Sys<()> {
    if !FAMILY.load(Ordering::Relaxed) {
        return Ok(());
    }
    let slot = SLOTS.get(pair).ok_or(Errno::EIO)?;
    // SAFETY: who asks for a turn is attached: written before, never changed since.
    let slot = unsafe { (*slot.session.get()).slot };
    let at = numbers::lock(slot, leg, object) as usize;
    sys::lock_byte(numbers::own(0, 3), at, on)
}

fn attached_pairs() -> usize {
    ATTACHED.load(Ordering::Relaxed).min(MAX_PAIRS)
}

fn close_locks() {
    for slot in 0..attached_pairs() {
        let (first, last) = numbers::locks(slot);
        sys::close_numbers(first, last.saturating_add(1), false);
    }
}

/// A child process was started that shares the table of descriptors: what it closes is closed for its
/// parent.
pub static SHARED_FILES: AtomicBool = AtomicBool::new(false);

/// Whether the caller's table has a root of a pair that the owner is attached to: then our numbers are ours in it.
fn has_ours() -> bool {
    (0..MAX_PAIRS).any(|pair| root_of(pair, Leg::A).is_some())
}

/// A guest inherits the owner's lock descriptions. If the owner dies in mid-change, they keep its locks;
/// the guest would wait for itself.
fn let_go() {
    // Before any attach the numbers may be the program's own.
    if any() && !SHARED_FILES.load(Ordering::Relaxed) && has_ours() {
        close_locks();
        holder::let_go(attached_pairs());
    }
}

/// Opens the lock objects that are not open yet, of every attached pair: soon they may not be opened.
pub fn reopen() {
    for pair in 0..MAX_PAIRS {
        if !attached(pair) {
            continue;
        }
        let Ok(s) = session(pair, false) else {
            continue;
        };
        // A guest's would end with the guest.
        if s.locks == LockKind::Memory && !is_guest() {
            let _ = holder::of_owner(&s);
        }
        for object in 0..OBJECTS {
            for leg in Leg::BOTH {
                let n = numbers::lock(s.slot, leg, object);
                if s.root[leg] >= 0 && locks::in_use(object, s.stripes) && !sys::is_open(n) {
                    let _ = open_lock(&s, leg, object);
                }
            }
        }
    }
}

/// Ends what a guest's session holds beyond the transaction.
pub fn release_guest(s: &Session) {
    if s.owner == NO_FDS {
        return;
    }
    for n in s.root.iter().chain(s.owner.iter()).chain([&s.file]) {
        if *n >= 0 {
            let _ = sys::close(*n);
        }
    }
    // SAFETY: the guest mapped it for this transaction alone.
    unsafe { sys::unmap(s.memory.at(), runtime::SIZE) };
}

/// Opens a lock object under its number. TX is held. Leg a's is the first to be wanted: leg b's comes with
/// it, never the other way round, since a description that is replaced loses its lock.
#[cold]
#[inline(never)]
pub fn open_lock(s: &Session, leg: Leg, object: usize) -> Sys<i32> {
    // Without leg b there is one lock, whatever the word says by now.
    if leg == Leg::B || s.root[Leg::B] < 0 {
        let n = guest_lock(s, leg, object)?;
        return settle_fd(n, s.slot, numbers::lock(s.slot, leg, object), false);
    }
    let a = guest_lock(s, Leg::A, object)?;
    let b = guest_lock(s, Leg::B, object);
    let to = |leg: Leg| numbers::lock(s.slot, leg, object);
    let r = b.and_then(|b| {
        with_limit(s.slot.wrapping_add(1), || {
            sys::dup3(a, to(Leg::A), c::O_CLOEXEC)?;
            sys::dup3(b, to(Leg::B), c::O_CLOEXEC)
        })
    });
    let _ = sys::close(a);
    let _ = b.map(sys::close);
    r.map(|_| to(leg))
}

/// Opens a lock object for a guest's single transaction.
pub fn guest_lock(s: &Session, leg: Leg, object: usize) -> Sys<i32> {
    let open = || locks::open(s.root[leg], object, c::O_RDWR);
    crate::process::limits::spare(open).map_err(|e| {
        refused::record(
            s.pair,
            &crate::attach::past::reason(unless_told(Refusal::Record)(e)),
        );
        match e {
            Errno::EACCES | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => e,
            _ => Errno::EIO,
        }
    })
}

#[cold]
#[inline(never)]
// long: the steps of attaching, undone in the reverse order
fn attach(pair: usize, guest: bool) -> Result<Session, Refused> {
    let conf = CONFIG.get().pairs().get(pair).ok_or(Errno::EIO)?;
    let slot = ATTACHED.load(Ordering::Relaxed);
    let mut s = Session {
        owner: NO_FDS,
        pair,
        slot,
        epoch: 0,
        root: NO_FDS,
        root_ino: 0,
        stripes: 1,
        locks: LockKind::Flock,
        file: -1,
        memory: Memory::none(),
    };
    let pinned = Pinned {
        id: conf.options.id,
        uid: conf.options.uid,
    };
    let mut first: Option<LegRecord> = None;
    for (leg, to) in [(Leg::A, 0), (Leg::B, 1)] {
        let n = open_root(conf, leg)?;
        let root = settle_fd(n, slot, numbers::own(slot, to), guest)?;
        s.root[leg] = root;
        let record = session::record(root).map_err(refusal)?;
        session::believe(root, &record, &pinned).map_err(refusal)?;
        session::usable(&record, leg).map_err(refusal)?;
        match &first {
            None => {
                s.root_ino = sys::fstat(root)?.ino();
                s.stripes = usize::from(record.stripes);
                if let Some((owner, joined)) = lone::join(root, &record, (!guest).then_some(pair))?
                {
                    let owner = settle_fd(owner, slot, numbers::own(slot, 5), guest)?;
                    let settle = |n| settle_fd(n, slot, numbers::own(slot, 4), guest);
                    let file = joined.file.map(settle).transpose()?;
                    s.memory = Memory::new(joined.at, file.filter(|_| joined.guarded));
                    (s.locks, s.file) = (joined.locks, file.unwrap_or(-1));
                    // A mark whose writer died is in the word as well, before anything is changed.
                    mirror_pair::away::complete(root, || {
                        if !s.runtime().word().joining() {
                            s.runtime().leave_behind();
                        }
                    })?;
                    if guest {
                        s.owner[Leg::A] = owner;
                    }
                    if !s.runtime().word().alone()
                        && let Err(r) = again::second(&mut s, &record, guest)
                    {
                        leaving::unreachable(&s, r.errno);
                        // A second try would find the mark.
                        s.runtime().word().alone().then_some(()).ok_or(r)?;
                    }
                    return Ok(s);
                }
                first = Some(record);
            }
            Some(a) => {
                session::partners(a, &record).map_err(refusal)?;
                // Its mark says that it went on without leg a: which of the two is right, nobody can tell.
                lone::no_mark(root)?;
            }
        }
    }
    let record = first.ok_or(Errno::EIO)?;
    let owner_name = text(record::OWNER_RECORD);
    let mut owner = NO_FDS;
    for (leg, to) in [(Leg::A, 5), (Leg::B, 6)] {
        let n = mirror_pair::control::open(s.root[leg], &owner_name, c::O_RDWR, 0)
            .map_err(unless_told(Refusal::Record))?;
        owner[leg] = settle_fd(n, slot, numbers::own(slot, to), guest)?;
    }
    let joined = crate::attach::domain::join_domain(&crate::attach::domain::Domain {
        place: Place {
            record: &record,
            roots: s.root,
            locks: conf.options.locks,
        },
        owner,
    })?;
    let settle = |n| settle_fd(n, slot, numbers::own(slot, 4), guest);
    let file = joined.file.map(settle).transpose()?;
    s.memory = Memory::new(joined.at, file.filter(|_| joined.guarded));
    (s.locks, s.file) = (joined.locks, file.unwrap_or(-1));
    if guest {
        s.owner = owner;
    }
    let word = s.runtime().word();
    s.epoch = word.epoch();
    if s.epoch != StateWord::FRESH.epoch() && !word.alone() {
        anew(&mut s, &record, guest)?;
    }
    Ok(s)
}

/// Leg b was opened before there was a word that could be asked: in a pair that it has ever left, what was opened may be
/// of another epoch.
#[cold]
#[inline(never)]
fn anew(s: &mut Session, a: &LegRecord, guest: bool) -> Result<(), Refused> {
    let former = [s.root[Leg::B], s.owner[Leg::B]];
    let r = again::second(s, a, guest);
    if guest {
        for n in former.into_iter().filter(|n| *n >= 0) {
            let _ = sys::close(n);
        }
    }
    let Err(r) = r else { return Ok(()) };
    leaving::unreachable(s, r.errno);
    s.epoch = 0;
    s.runtime().word().alone().then_some(()).ok_or(r)
}

/// Whether this process is attached to any pair.
pub fn any() -> bool {
    // Before there is any, the slots' pages are not touched.
    ATTACHED.load(Ordering::Relaxed) != 0 && SLOTS.iter().any(|s| s.ready.load(Ordering::Relaxed))
}
