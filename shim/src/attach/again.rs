//! Leg b is on its way back, or is back: it is opened again, and what is held of it from before is let go.
//!
//! Rules: nothing of leg b outlives its epoch (`mirror_core::StateWord`). A process that cannot reach the leg leaves it
//! behind again, and says so: it goes on as it did while the leg was away.
use crate::attach::handle::Session;
use crate::attach::settle::settle_fd;
use crate::attach::{leaving, lone};
use crate::config::{CONFIG, PairConf};
use crate::events::refused::{self, Refused, unless_told};
use crate::process::fds::{self, ANY_PARTNER, PAIRED, UNKNOWN};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use libc as c;
use mirror_core::path::PathText;
use mirror_core::record::{LegRecord, OWNER_RECORD};
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, Leg, PerLeg, RESERVED, numbers};
use mirror_pair::control::{self, text};
use mirror_pair::domain;
use mirror_pair::session::{Doubt, Pinned};
use mirror_sys as sys;

/// How often this process has opened a leg b again: what was found out of descriptors before is to be found out anew.
static RENEWED: AtomicU32 = AtomicU32::new(0);

/// A file without a name that this process, or who it is a copy of, has made.
struct Made {
    /// Inode, and when it was born (seconds, nanoseconds): no other file has all three.
    id: [AtomicU64; 3],
    pair: AtomicU32,
    /// The epoch of the leg b on which it has a part; 0: on none.
    epoch: AtomicU32,
}

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the pattern of a static array, never read itself"
)]
const NONE_MADE: Made = Made {
    id: [const { AtomicU64::new(0) }; 3],
    pair: AtomicU32::new(0),
    epoch: AtomicU32::new(0),
};

/// The last ones.
static MADE: [Made; 128] = [NONE_MADE; 128];

/// How many there were.
static MANY: AtomicU32 = AtomicU32::new(0);

/// What tells a file from any other, also one that has its inode later; where its birth is not known, nothing does.
fn identity(id: &sys::Identity) -> Option<[u64; 3]> {
    id.born.map(|(s, ns)| [id.ino, s, ns])
}

/// This process has made a file without a name. TX is held.
#[cold]
#[inline(never)]
pub fn made_nameless(s: &Session, n: i32, alone: bool) {
    let Some(id) = sys::identity_of(n).ok().and_then(|i| identity(&i)) else {
        return;
    };
    let nth = MANY.fetch_add(1, Ordering::Relaxed) as usize % MADE.len();
    if let Some(m) = MADE.get(nth) {
        for (to, from) in m.id.iter().zip(id) {
            to.store(from, Ordering::Relaxed);
        }
        m.pair.store(s.pair as u32, Ordering::Relaxed);
        let epoch = if alone { 0 } else { s.epoch };
        m.epoch.store(epoch, Ordering::Relaxed);
    }
}

/// Whether a file without a name has no part on the leg b of now, whoever has it open: this process has made it before
/// that came back. Of what others have made nobody can tell: it is no.
pub fn has_no_part(s: &Session, id: &sys::Identity) -> bool {
    identity(id).is_some_and(|id| {
        let is = |m: &&Made| {
            m.pair.load(Ordering::Relaxed) == s.pair as u32
                && m.id.each_ref().map(|i| i.load(Ordering::Relaxed)) == id
        };
        let made = MADE.iter().find(is);
        made.is_some_and(|m| m.epoch.load(Ordering::Relaxed) != s.epoch)
    })
}

/// See [`RENEWED`].
pub fn times() -> u32 {
    RENEWED.load(Ordering::Relaxed)
}

/// What this process has of leg b is made that of the word's epoch. `held`: the epoch of what it has; 0: nothing.
/// `shared`: its table of descriptors is another process's too. TX is held, and this process is in the middle of no change.
#[inline]
pub fn renew(s: &Session, held: &AtomicU32, shared: bool) {
    let word = s.runtime().word();
    let had = held.load(Ordering::Relaxed);
    let right = match word.alone() {
        true => had == 0,
        false => had == word.epoch(),
    };
    if !right {
        turn(s, held, word.alone(), shared);
    }
}

#[cold]
#[inline(never)]
fn turn(s: &Session, held: &AtomicU32, alone: bool, shared: bool) {
    held.store(0, Ordering::Relaxed);
    match shared {
        // In a table that is another process's too, what it uses just now would go.
        true if alone => {}
        true => lone::close_partners(s),
        false => lone::let_go(s),
    }
    if alone {
        fds::has_lone();
        return;
    }
    forget(s.pair);
    RENEWED.fetch_add(1, Ordering::Relaxed);
    let mut new = s.clone();
    let opened = record_of(s).and_then(|a| second(&mut new, &a, false));
    match opened {
        Ok(()) => held.store(new.epoch, Ordering::Release),
        Err(r) => {
            leaving::unreachable(s, r.errno);
            // The mark says why, and the program goes on.
            if !s.runtime().word().alone() {
                refused::record(s.pair, &crate::attach::past::reason(r));
            }
        }
    }
}

fn record_of(s: &Session) -> Result<LegRecord, Refused> {
    mirror_pair::session::record(s.at(Leg::A)).map_err(refusal)
}

/// The records of partners are void: each is made again when it is needed.
fn forget(pair: usize) {
    if !ANY_PARTNER.load(Ordering::Relaxed) {
        return;
    }
    for n in 0..RESERVED {
        if fds::hint(n) == PAIRED
            && let Some(i) = fds::info(n)
            && usize::from(i.pair.load(Ordering::Relaxed)) == pair
        {
            i.dirty.store(0, Ordering::Relaxed);
            fds::set_hint(n, UNKNOWN);
        }
    }
}

/// Opens leg b for a session that has leg a; `a` is its record. The domain is the one that leg a names.
#[cold]
#[inline(never)]
pub fn second(s: &mut Session, a: &LegRecord, guest: bool) -> Result<(), Refused> {
    // Before the leg is looked at: what is opened after the next change of the word is of no use.
    let epoch = s.runtime().word().epoch();
    let conf = CONFIG.get().pairs().get(s.pair).ok_or(Errno::EIO)?;
    let root = open_root(conf, Leg::B)?;
    s.root[Leg::B] = settle_fd(root, s.slot, numbers::own(s.slot, 1), guest)?;
    let pinned = Pinned {
        id: conf.options.id,
        uid: conf.options.uid,
    };
    let found = checked(s, a, &pinned);
    let owner = match found {
        Ok(owner) => owner,
        Err(r) => {
            let _ = sys::close(s.root[Leg::B]);
            s.root[Leg::B] = -1;
            return Err(r);
        }
    };
    let owner = settle_fd(owner, s.slot, numbers::own(s.slot, 6), guest)?;
    if guest {
        s.owner[Leg::B] = owner;
    }
    s.epoch = epoch;
    Ok(())
}

/// Leg b is the one that belongs to leg a, and of the same domain. Its domain record, with a shared lock.
fn checked(s: &Session, a: &LegRecord, pinned: &Pinned) -> Result<i32, Refused> {
    let root = s.at(Leg::B);
    let b = mirror_pair::session::record(root).map_err(refusal)?;
    mirror_pair::session::believe(root, &b, pinned).map_err(refusal)?;
    mirror_pair::session::usable(&b, Leg::B).map_err(refusal)?;
    mirror_pair::session::partners(a, &b).map_err(refusal)?;
    lone::no_mark(root)?;
    let open = |root| control::open(root, &text(OWNER_RECORD), c::O_RDWR, 0);
    let owner = open(root).map_err(unless_told(Refusal::Record))?;
    let same = || -> Result<(), Refused> {
        domain::share(PerLeg { a: owner, b: owner }, || sys::sleep_us(1000))?;
        let of_a = open(s.at(Leg::A)).map_err(unless_told(Refusal::Record))?;
        let named = domain::read(of_a);
        let _ = sys::close(of_a);
        // How it was left is no matter of who is in it.
        let theirs = domain::read(owner);
        match named.is_some_and(|a| theirs.is_some_and(|b| a.same(&b))) {
            true => Ok(()),
            false => Err(Refused::new(Refusal::Domain)),
        }
    };
    match same() {
        Ok(()) => Ok(owner),
        Err(r) => {
            let _ = sys::close(owner);
            Err(r)
        }
    }
}

/// Opens a leg's root.
pub fn open_root(conf: &PairConf, leg: Leg) -> Result<i32, Refused> {
    let path = PathText::<{ mirror_core::path::PATH_MAX }>::from_bytes(conf.legs[leg].to_bytes())
        .map_err(|_| Errno::EIO)?;
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    sys::openat2(c::AT_FDCWD, &path, flags, 0, sys::NO_SYMLINKS).map_err(|errno| Refused {
        why: Refusal::Leg,
        call: sys::failed(errno),
        errno: if Refusal::of(errno) == Refusal::Descriptors {
            errno
        } else {
            Errno::EIO
        },
    })
}

/// The reason that a doubt about a leg is on record with.
pub fn refusal(doubt: Doubt) -> Refused {
    Refused::new(match doubt {
        Doubt::Unread(e) => return unless_told(Refusal::Record)(e),
        Doubt::Unasked(e) => return e.into(),
        Doubt::Alien | Doubt::Damaged(_) => Refusal::Record,
        Doubt::OtherPair | Doubt::Folder(..) => Refusal::Distrust,
        Doubt::Swapped => Refusal::Swapped,
        Doubt::Incomplete => Refusal::Incomplete,
        Doubt::Strangers => Refusal::Strangers,
    })
}
