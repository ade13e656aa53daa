//! A pair whose leg b is away: coming to it, and letting go of what was held of that leg.
//!
//! Rules: leg b is not looked at. Who comes holds a shared lock on leg a's domain record, by which whoever
//! brings the leg back knows that programs work on leg a alone; the mark is asked again under it.
use crate::attach::handle::Session;
use crate::config::CONFIG;
use crate::events::refused::{Refused, unless_told};
use crate::process::fds::{self, ANY_PARTNER, PAIRED};
use crate::process::limits::{own_fd, own_file};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::away::Mark;
use mirror_core::path::Path;
use mirror_core::record::{LegRecord, OWNER_RECORD};
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, K, Leg, OBJECTS, PerLeg, RESERVED, numbers};
use mirror_pair::control::text;
use mirror_pair::runtime::{Joined, Place};
use mirror_pair::{away, control, domain};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The lock on leg a's domain record, and the runtime file, if leg b is away. `None`: it is not. `pair`: of the
/// owner of this memory, who then lets go of partners of former times.
#[cold]
#[inline(never)]
pub fn join(
    root: i32,
    record: &LegRecord,
    pair: Option<usize>,
) -> Result<Option<(i32, Joined)>, Refused> {
    let mark = away::read(root).map_err(unless_told(Refusal::Record))?;
    if let (true, Some(pair)) = (mark != Mark::None, pair) {
        fds::has_lone();
        forget_partners(pair);
    }
    if !mark.stands() {
        return Ok(None);
    }
    let owner = control::open(root, &text(OWNER_RECORD), c::O_RDWR, 0)
        .map_err(unless_told(Refusal::Record))?;
    match joined(root, record, owner) {
        Ok(Some(joined)) => Ok(Some((owner, joined))),
        r => {
            let _ = sys::close(owner);
            r.map(|_| None)
        }
    }
}

/// Whether leg b is away as the word says. Where others may have written the word, the mark tells: it stands before
/// the word, and goes after it.
#[cold]
pub fn is_so(s: &Session) -> bool {
    !s.is_guarded() || away::read(s.root.a).is_ok_and(|m| m.stands())
}

/// The mark of a pair, found by leg a's text. What cannot be read says nothing here: who attaches asks again.
#[cold]
#[inline(never)]
pub fn mark_of(pair: usize) -> Mark {
    let look = || -> Sys<Mark> {
        let conf = CONFIG.get().pairs().get(pair).ok_or(Errno::EIO)?;
        let path = Path::from_bytes(conf.legs[Leg::A].to_bytes()).map_err(|_| Errno::EIO)?;
        let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
        let root = own_fd(|| sys::openat2(c::AT_FDCWD, &path, flags, 0, sys::NO_SYMLINKS))?;
        let mark = away::read(root);
        let _ = sys::close(root);
        mark
    };
    look().unwrap_or(Mark::None)
}

/// Refuses a pair whose leg b has a mark.
pub fn no_mark(root: i32) -> Result<(), Refused> {
    let mark = away::read(root).map_err(unless_told(Refusal::Record))?;
    match mark.stands() {
        true => Err(Refused::new(Refusal::Strangers)),
        false => Ok(()),
    }
}

fn joined(root: i32, record: &LegRecord, owner: i32) -> Result<Option<Joined>, Refused> {
    let taken = |e| match e {
        Errno::EAGAIN => Refused::new(Refusal::Domain),
        e => e.into(),
    };
    let pause = || sys::sleep_us(1000);
    let boot = crate::attach::domain::boot_id().ok();
    let place = Place {
        record,
        roots: PerLeg { a: root, b: -1 },
        locks: None,
    };
    let live = |o| place.is_lone_live(o, boot);
    if !domain::clear_ended(owner, live, |f| own_file(f), pause)? {
        return Err(Refused::new(Refusal::Domain));
    }
    domain::share(PerLeg { a: owner, b: owner }, pause).map_err(taken)?;
    let stands = away::read(root).map_err(unless_told(Refusal::Record))?;
    if !stands.stands() {
        return Ok(None);
    }
    away::come(root, |f| own_file(f)).map_err(unless_told(Refusal::Record))?;
    let joined = own_file(|| place.lone(domain::read(owner), boot)).map_err(taken)?;
    Ok(Some(joined))
}

/// Lets go of leg b, so that it can be unmounted: partners, its root, its domain record, its lock objects.
/// TX is held, and this process is in the middle of no change.
#[cold]
#[inline(never)]
pub fn let_go(s: &Session) {
    close_partners(s);
    for own in [1, 6] {
        let _ = sys::close(numbers::own(s.slot, own));
    }
    for object in 0..OBJECTS {
        let _ = sys::close(numbers::lock(s.slot, Leg::B, object));
    }
}

/// The same of partners alone.
pub fn close_partners(s: &Session) {
    if !ANY_PARTNER.load(Ordering::Relaxed) {
        return;
    }
    let device = sys::fglance(numbers::own(s.slot, 1)).map(|st| st.dev());
    for n in 0..RESERVED {
        let m = n.saturating_add(K);
        if is_partner(s.pair, n, device) && sys::is_open(m) {
            let _ = sys::close(m);
        }
    }
}

/// Whether what stands at n + K is of this pair's leg b. Of a number that is not known, the device tells; what
/// does not even say that is of no use to anybody.
fn is_partner(pair: usize, n: i32, device: Sys<u64>) -> bool {
    match fds::info(n).filter(|_| fds::hint(n) == PAIRED) {
        Some(i) => usize::from(i.pair.load(Ordering::Relaxed)) == pair,
        None => match sys::fglance(n.saturating_add(K)) {
            Ok(st) => device == Ok(st.dev()),
            Err(e) => e != Errno::EBADF,
        },
    }
}

/// Closes the partners that this process has inherited, where leg b of the pair is or was away: they may be of
/// what it was before. Each is made again when it is needed.
fn forget_partners(pair: usize) {
    if !ANY_PARTNER.load(Ordering::Relaxed) {
        return;
    }
    for n in 0..RESERVED {
        let other = fds::info(n).filter(|_| fds::hint(n) == PAIRED);
        if other.is_none_or(|i| usize::from(i.pair.load(Ordering::Relaxed)) == pair) {
            let _ = sys::close(n.saturating_add(K));
        }
    }
}
