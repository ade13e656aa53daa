//! Mounts by which a leg, or a part of one, is reached at another place than its own.
//!
//! Rules: which directory a mount shows never changes, and no way up ("..") from there passes what lies above
//! it in its file system: only /proc/self/mountinfo tells that. A mount that shows what lies in a leg is a
//! *door*. What could not be told is an error. What was told is taken for true as long as any proof.
use crate::attach::session;
use crate::config::CONFIG;
use crate::events::refused::{self, Refused};
use crate::path::denied::twice;
use crate::path::known::{LASTS, fresh};
use crate::path::mountinfo::{Line, any, below, of_descriptor, read_lines};
use crate::path::roots::differ;
use crate::process::actor::guest;
use crate::process::clock::cycles;
use crate::process::place;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::path::{Path, Whole};
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, MAX_PAIRS};
use mirror_sys as sys;
use mirror_sys::Identity;

/// What a mount shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Nothing of a leg, or the leg where its own path leads: texts say what is there.
    Nothing,
    /// A directory above a leg, or a whole one: the way up meets the leg's root.
    Above,
    /// What lies in this leg of this pair.
    Part(usize, Leg),
}

struct Slot {
    at: AtomicU64,
    /// The mount; bit 0: it shows what lies above a leg.
    what: AtomicU64,
}

const SLOTS: usize = 64;
static VERDICTS: [Slot; SLOTS] = [const {
    Slot {
        at: AtomicU64::new(0),
        what: AtomicU64::new(0),
    }
}; SLOTS];

fn slot(mount: u64) -> Option<&'static Slot> {
    VERDICTS.get(mount as usize % SLOTS)
}

fn remembered(mount: u64) -> Option<Shows> {
    let s = slot(mount)?;
    let at = s.at.load(Ordering::Acquire);
    let what = s.what.load(Ordering::Acquire);
    let known = mount != 0 && what >> 1 == mount && fresh(at, LASTS);
    known.then_some(if what & 1 == 0 {
        Shows::Nothing
    } else {
        Shows::Above
    })
}

fn remember(mount: u64, above: bool) {
    if let Some(s) = slot(mount).filter(|_| !guest()) {
        s.what
            .store(mount << 1 | u64::from(above), Ordering::Release);
        s.at.store(cycles(), Ordering::Release);
    }
}

/// Whether it is known of a mount that in it texts say what lies in no leg.
pub fn texts_hold(mount: u64) -> bool {
    remembered(mount) == Some(Shows::Nothing)
}

/// Mounts or roots have changed.
pub fn forget() {
    NONE.store(0, Ordering::Release);
    for s in &VERDICTS {
        s.at.store(0, Ordering::Release);
    }
}

/// What the mount shows that an object was met on. `part` gets what its root is called in the leg. An error is on
/// record.
#[inline(never)]
pub fn shows(id: &Identity, part: &mut Path) -> Result<Shows, Errno> {
    if let Some(known) = remembered(id.mount) {
        return Ok(known);
    }
    let mut above = false;
    for pair in 0..CONFIG.get().pairs().len() {
        for leg in Leg::BOTH {
            let own = match root(pair, leg) {
                Ok(Some(root)) if differ(id.dev, (root.dev, root.ino)) => continue,
                Ok(Some(root)) => root.mount,
                Ok(None) => continue,
                Err(e) => match listed(pair, leg) {
                    Some(mount) => mount,
                    None => {
                        refused::record(pair, &Refused::new(Refusal::Elsewhere));
                        return Err(e);
                    }
                },
            };
            match relation(pair, leg, own, id.mount, part) {
                Some(Relation::Own | Relation::Other) => {}
                Some(Relation::Above) => above = true,
                Some(Relation::Below) => return Ok(Shows::Part(pair, leg)),
                None => {
                    refused::record(pair, &Refused::new(Refusal::Elsewhere));
                    return Err(Errno::EIO);
                }
            }
        }
    }
    remember(id.mount, above);
    Ok(if above { Shows::Above } else { Shows::Nothing })
}

/// When it was found that there is no door, by the processor's clock; or 0.
static NONE: AtomicU64 = AtomicU64::new(0);
/// Looks that had to be made since it was not known.
static LOOKS: AtomicU32 = AtomicU32::new(0);
const ENOUGH: u32 = 32;

/// Whether it is known that no leg has a door, nor a part of one. For small stacks.
pub fn none() -> bool {
    fresh(NONE.load(Ordering::Acquire), LASTS)
}

/// A quick look will be made at what is mounted at a name. False: so many were made that all are to be looked for.
pub fn count_look() -> bool {
    LOOKS.fetch_add(1, Ordering::Relaxed) < ENOUGH
}

/// Looks for doors, if that would save many looks.
#[inline(never)]
pub fn seek() {
    if LOOKS.load(Ordering::Relaxed) < ENOUGH || guest() {
        return;
    }
    LOOKS.store(0, Ordering::Relaxed);
    let now = cycles();
    for pair in 0..CONFIG.get().pairs().len() {
        for leg in Leg::BOTH {
            if has_door(pair, leg) != Some(false) {
                return;
            }
        }
    }
    NONE.store(now, Ordering::Release);
}

/// Whether a leg is known to have a door.
fn has_door(pair: usize, leg: Leg) -> Option<bool> {
    let own = root(pair, leg).ok()??.mount;
    let mut lines = [Line::new(), Line::new()];
    read_lines([own, 0], &mut lines).ok()?;
    let [base, _] = &lines;
    if own == 0 || base.root.is_empty() {
        return None;
    }
    let mut place = Path::new();
    within(pair, leg, base, &mut place)?;
    any(|mount, line| {
        mount != own
            && line.device == base.device
            && below(line.root.as_bytes(), place.as_bytes()).is_some()
    })
    .ok()
}

/// A leg's root, if anything is known of it. An error: that could not be found out.
fn root(pair: usize, leg: Leg) -> Result<Option<Identity>, Errno> {
    let found = match session::root_of(pair, leg) {
        Some(n) => sys::identity_of(n)?,
        None => {
            let mut text = Path::new();
            let conf = CONFIG.get().pairs().get(pair).ok_or(Errno::EIO)?;
            let long = |_| Errno::ENAMETOOLONG;
            text.set(conf.legs[leg].to_bytes()).map_err(long)?;
            text.append(b"/.").map_err(long)?;
            let again = || sys::fstatat(c::AT_FDCWD, &text, 0).map(|_| ());
            match sys::identity(c::AT_FDCWD, &text) {
                Ok(id) => id,
                Err(e) if twice(e, again)? => return Ok(None),
                Err(_) => return Err(Errno::EIO),
            }
        }
    };
    Ok((found.kind == c::S_IFDIR).then_some(found))
}

/// The mount of a leg whose root cannot be looked at (its disk has failed), by the list of mounts alone: what lies
/// on another file system must go on.
#[cold]
#[inline(never)]
fn listed(pair: usize, leg: Leg) -> Option<u64> {
    if let Some(n) = session::root_of(pair, leg) {
        return of_descriptor(n).ok();
    }
    let text = CONFIG.get().pairs().get(pair)?.legs[leg].to_bytes();
    let (mut mount, mut longest) = (0, 0);
    let cut = any(|id, line| {
        let point = line.point.as_bytes();
        // Of two at one place the later one is seen.
        if below(text, point).is_some() && point.len() >= longest {
            (mount, longest) = (id, point.len());
        }
        false
    });
    (place::plain() && cut == Ok(false) && mount != 0).then_some(mount)
}

/// The text of what a door leads to, if the leg has at `part` what was met there. An error is on record.
pub fn lead(
    pair: usize,
    leg: Leg,
    part: &Path,
    met: &Identity,
    out: &mut Whole,
) -> Result<(), Errno> {
    let mut whole = || {
        let conf = CONFIG.get().pairs().get(pair)?;
        out.set(conf.legs[leg].to_bytes()).ok()?;
        if part.is_empty() {
            return Some(());
        }
        out.push(part.as_bytes()).ok()
    };
    let named = whole().is_some();
    let there = match session::root_of(pair, leg) {
        Some(root) => sys::identity(root, part),
        None => sys::identity(c::AT_FDCWD, out),
    };
    if named && there.is_ok_and(|id| id.same(met)) {
        return Ok(());
    }
    refused::record(pair, &Refused::new(Refusal::Elsewhere));
    Err(Errno::EIO)
}

enum Relation {
    /// It is the leg's own mount.
    Own,
    Other,
    Above,
    Below,
}

/// How what mount `there` shows lies to a leg whose root was met on mount `own`. `None`: it is not known.
fn relation(pair: usize, leg: Leg, own: u64, there: u64, part: &mut Path) -> Option<Relation> {
    if own == 0 || there == 0 {
        return None;
    }
    if own == there {
        return Some(Relation::Own);
    }
    let mut lines = [Line::new(), Line::new()];
    read_lines([own, there], &mut lines).ok()?;
    let [base, top] = &lines;
    if top.root.is_empty() {
        return None;
    }
    let mut place = Path::new();
    let device = if base.root.is_empty() {
        recall(pair, leg, &mut place)?
    } else {
        within(pair, leg, base, &mut place)?;
        keep(pair, leg, base.device, &place);
        base.device
    };
    if device != top.device {
        return Some(Relation::Other);
    }
    let (place, root) = (place.as_bytes(), top.root.as_bytes());
    if below(place, root).is_some() {
        return Some(Relation::Above);
    }
    let Some(rest) = below(root, place) else {
        return Some(Relation::Other);
    };
    part.set(rest.strip_prefix(b"/").unwrap_or(rest)).ok()?;
    Some(Relation::Below)
}

/// Where a leg's root lies in its file system, by the line of its mount.
fn within(pair: usize, leg: Leg, base: &Line, out: &mut Path) -> Option<()> {
    let mut text = Path::new();
    match session::root_of(pair, leg) {
        Some(n) => sys::fd_path(n, &mut text).ok()?,
        None if place::plain() => {
            let conf = CONFIG.get().pairs().get(pair)?;
            text.set(conf.legs[leg].to_bytes()).ok()?;
        }
        None => return None,
    }
    let rest = below(text.as_bytes(), base.point.as_bytes())?;
    let root = base.root.as_bytes();
    out.set(if root == b"/" { b"" } else { root }).ok()?;
    out.append(rest).ok()?;
    if out.is_empty() {
        out.set(b"/").ok()?;
    }
    Some(())
}

/// Before the root changes: where the legs lie in their file systems, since their mounts may not be shown then.
#[cold]
#[inline(never)]
pub fn remember_places() {
    for pair in 0..CONFIG.get().pairs().len() {
        for leg in Leg::BOTH {
            let Ok(Some(root)) = root(pair, leg) else {
                continue;
            };
            let mut lines = [Line::new(), Line::new()];
            let mut place = Path::new();
            if read_lines([root.mount, 0], &mut lines).is_ok()
                && let [base, _] = &lines
                && within(pair, leg, base, &mut place).is_some()
            {
                keep(pair, leg, base.device, &place);
            }
        }
    }
}

const LONGEST: usize = 240;

struct Kept {
    /// 0: nothing, `BUSY`: it is being stored.
    len: AtomicU32,
    device: AtomicU64,
    text: [AtomicU8; LONGEST],
}

const BUSY: u32 = u32::MAX;

/// Where each leg lay in its file system when that could be read first.
static PLACES: [Kept; MAX_PAIRS * 2] = [const {
    Kept {
        len: AtomicU32::new(0),
        device: AtomicU64::new(0),
        text: [const { AtomicU8::new(0) }; LONGEST],
    }
}; MAX_PAIRS * 2];

fn kept(pair: usize, leg: Leg) -> Option<&'static Kept> {
    PLACES.get(pair.wrapping_mul(2).wrapping_add(leg.index()))
}

fn keep(pair: usize, leg: Leg, device: u64, place: &Path) {
    let relaxed = Ordering::Relaxed;
    let Some(k) = kept(pair, leg).filter(|_| place.len() <= LONGEST && !guest()) else {
        return;
    };
    if k.len
        .compare_exchange(0, BUSY, Ordering::Acquire, relaxed)
        .is_err()
    {
        return;
    }
    k.device.store(device, relaxed);
    for (to, b) in k.text.iter().zip(place.as_bytes()) {
        to.store(*b, relaxed);
    }
    k.len.store(place.len() as u32, Ordering::Release);
}

fn recall(pair: usize, leg: Leg, place: &mut Path) -> Option<u64> {
    let relaxed = Ordering::Relaxed;
    let k = kept(pair, leg)?;
    let len = match k.len.load(Ordering::Acquire) {
        0 | BUSY => return None,
        n => n as usize,
    };
    place.truncate(0);
    for b in k.text.iter().take(len) {
        place.append(&[b.load(relaxed)]).ok()?;
    }
    Some(k.device.load(relaxed))
}
