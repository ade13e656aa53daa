//! What is behind a descriptor number that memory knows nothing of: inherited, received, reused.
//!
//! Rules: with TX held, so that no dup2 or close is half done; a lost partner is made again by name and
//! inode, under the locks of the pair.
use crate::attach::{marked, session};
use crate::calls::paired::outer;
use crate::calls::paired::partner::{install, note};
use crate::change::border::{self, Border};
use crate::change::job::Job;
use crate::change::lost;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx, Target};
use crate::path::beside;
use crate::path::loc::{Loc, Place};
use crate::path::outside::Outside;
use crate::process::actor::{self, guest, locked};
use crate::process::fds::{self, ANY_PARTNER};
use crate::process::look;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::PerLeg;
use mirror_core::runtime::IntentKind;
use mirror_core::{
    BothLocked, Errno, K, LockPlan, Lone, Prepared, RESERVED, Refused, Step, Untouched,
};
use mirror_sys as sys;
use mirror_sys::Sys;

/// What a descriptor is to the pairs.
pub enum Fd {
    /// Not ours, with the proof.
    Out(Outside),
    /// Has a partner.
    Paired,
    /// Of a pair, without a partner: its place.
    Bare,
    /// It could not be found out: nothing may be changed through it.
    Lost(Errno),
}

/// Recognises a descriptor; a paired one's record is filled.
pub fn recognise(n: i32, loc: &mut Loc) -> Fd {
    match known(n) {
        Some(fd) => fd,
        // With TX held: no dup2 or close is half done on this number.
        None => {
            let fd = locked(|| recognise_held(n, loc));
            if matches!(fd, Fd::Out(_)) && beside::any() {
                outer::changed(beside::by_number(n));
            }
            fd
        }
    }
}

/// Whether memory knows that a number has a partner, of the leg as it is now.
pub fn is_paired(n: i32) -> bool {
    if fds::hint(n) != fds::PAIRED {
        return false;
    }
    let Some(i) = fds::info(n) else { return false };
    let pair = usize::from(i.pair.load(Ordering::Relaxed));
    // A guest's table is as it was when it got it.
    let foreign = || actor::maybe_guest() && session::has_changed(pair);
    !session::is_behind(pair) && !foreign()
}

/// Whether this is the partner of an object: what a table that is not the owner's holds may be of a leg b of
/// former times.
#[cold]
#[inline(never)]
fn is_twin(s: &sys::Stat, loc: &Loc) -> bool {
    let Some(root) = session::root_of(loc.pair, loc.leg.other()) else {
        return false;
    };
    let st = sys::glance(root, &loc.rel, c::AT_SYMLINK_NOFOLLOW);
    !loc.held && st.is_ok_and(|t| (t.dev(), t.ino()) == (s.dev(), s.ino()))
}

/// What memory knows of a number.
fn known(n: i32) -> Option<Fd> {
    if is_paired(n) {
        return Some(Fd::Paired);
    }
    Outside::by_hint(n).map(Fd::Out)
}

/// The same with TX held.
#[inline(never)]
// long: one question after the other about one descriptor
pub fn recognise_held(n: i32, loc: &mut Loc) -> Fd {
    if let Some(fd) = known(n) {
        return fd;
    }
    if let Some(proof) = Outside::no_number(n) {
        return Fd::Out(proof);
    }
    if fds::hint(n) == fds::PAIRED
        && !guest()
        && let Some(i) = fds::info(n)
    {
        // What was held of leg b as it was before is let go.
        let _ = session::session(usize::from(i.pair.load(Ordering::Relaxed)), false);
    }
    let look = look::begin(n);
    let partner = ANY_PARTNER
        .load(Ordering::Relaxed)
        .then(|| sys::fstat(n.saturating_add(K)));
    let partner = match partner {
        None | Some(Err(Errno::EBADF)) => None,
        Some(Ok(st)) => Some(st),
        // Of a leg that is away, or is left behind now.
        Some(Err(e)) if is_of_lost(n, e, loc) => None,
        Some(Err(e)) => return Fd::Lost(e),
    };
    let st = match sys::fstat(n) {
        Ok(st) => st,
        Err(e) => {
            return match Outside::no_descriptor(n, e) {
                Ok(proof) => Fd::Out(proof),
                Err(e) => Fd::Lost(e),
            };
        }
    };
    // A fifo or device with a name in a leg has attributes there, though no data.
    if let Some(proof) = Outside::no_name(&st) {
        if let Some(look) = look {
            look.out();
        }
        return Fd::Out(proof);
    }
    let place = match &partner {
        Some(_) => crate::path::object::named(n, loc),
        None => crate::path::object::sought(n, loc),
    };
    let partner = partner.filter(|p| {
        let inside = matches!(place, Place::In | Place::Nameless | Place::Linked);
        let foreign = || actor::maybe_guest() && session::has_changed(loc.pair);
        let twin = || place == Place::In && is_twin(p, loc);
        // Left over by somebody who closed the number without us.
        let other = p.kind() != st.kind();
        let stale = inside && (other || marked::is_stale(loc.pair) || foreign() && !twin());
        if stale {
            let _ = sys::close(n.saturating_add(K));
        }
        !stale
    });
    if let (Some(p), Place::In | Place::Nameless | Place::Linked) = (&partner, place) {
        // Inherited: the kernel's text tells the leg, even of a file whose name is gone.
        let leg = loc.leg;
        let ino = PerLeg::by(|of| if of == leg { st.ino() } else { p.ino() });
        let rel: &[u8] = if place == Place::In { loc.text() } else { b"" };
        // The same file again, and what it owes: only the hint was lost.
        let owes = fds::info(n).is_some_and(|i| {
            let known = i.ino.each_ref().map(|i| i.load(Ordering::Relaxed));
            i.dirty.load(Ordering::Relaxed) != 0 && ino == known.into()
        });
        note(n, loc.pair, leg, ino, rel);
        if owes && !guest() {
            fds::set_dirty(n);
        }
        return Fd::Paired;
    }
    if partner.is_some() && matches!(place, Place::Out(_)) {
        // Left behind by a program that closed n without us: not this file's.
        let _ = sys::close(n.saturating_add(K));
    }
    match place {
        Place::In | Place::Root(_) => Fd::Bare,
        Place::Linked => Fd::Bare,
        Place::Fail(Errno::ENAMETOOLONG) => {
            loc.set_text(UNREACHABLE);
            Fd::Bare
        }
        Place::Fail(e) => Fd::Lost(e),
        Place::Out(proof) => {
            // Of a directory also what is below it must be outside.
            // What has a name in a leg as well is looked at each time.
            if st.kind() != c::S_IFDIR
                && beside::whose(&st).is_none()
                && let Some(look) = look
            {
                look.out();
            }
            Fd::Out(proof)
        }
        // Without a name, or the control folder's: nobody's component.
        Place::Nameless => Fd::Out(Outside::nobodys()),
        Place::Control => Fd::Lost(Errno::EACCES),
    }
}

/// Whether a partner that cannot be looked at is that of a leg that is away.
#[cold]
#[inline(never)]
fn is_of_lost(n: i32, why: Errno, loc: &mut Loc) -> bool {
    let place = crate::path::object::named(n, loc);
    matches!(place, Place::In | Place::Nameless | Place::Linked)
        && loc.leg == mirror_core::Leg::A
        && (lost::leave_pair(loc.pair, why, lost::From::Anywhere)
            || lost::give_up_return(loc.pair, why))
}

/// Numbers without a descriptor after which [`all`] looks no further.
const GAP: u32 = 256;

/// Finds out what all descriptors are, as far as memory can keep it.
#[cold]
#[inline(never)]
pub fn all() {
    locked(|| {
        let mut loc = Loc::new();
        let mut absent = 0u32;
        for n in 0..RESERVED {
            if known(n).is_some() || sys::is_open(n) {
                absent = 0;
                let _ = recognise_held(n, &mut loc);
            } else {
                absent = absent.saturating_add(1);
            }
            if absent > GAP {
                break;
            }
        }
    });
}

/// Stands for the name of an object that no text leads to: its parent is a name that no file system
/// takes, so whatever is tried by it is answered with ENAMETOOLONG.
const UNREACHABLE: &[u8] = &{
    let mut text = [b'x'; 1100];
    text[1098] = b'/';
    text
};

/// The own descriptor through which a magic link of /proc led here, if it has a partner: a change goes
/// through the two, whatever the file's name is. `loc` then says what the record of the descriptor says.
/// An error: that could not be found out.
pub fn behind(place: Place, loc: &mut Loc) -> Sys<Option<i32>> {
    let Some(j) = loc.jump.filter(|j| j.fd >= 0) else {
        return Ok(None);
    };
    if !matches!(place, Place::In | Place::Linked | Place::Nameless) {
        return Ok(None);
    }
    let mut seen = Loc::new();
    match recognise(j.fd, &mut seen) {
        Fd::Paired => {}
        Fd::Lost(e) => return Err(e),
        Fd::Out(_) | Fd::Bare => return Ok(None),
    }
    if let Some(i) = fds::info(j.fd).filter(|_| fds::hint(j.fd) == fds::PAIRED) {
        loc.pair = usize::from(i.pair.load(Ordering::Relaxed));
        loc.leg = i.leg();
        let mut buf = [0u8; 232];
        if place != Place::In {
            loc.set_text(i.path(&mut buf));
        }
    }
    Ok(Some(j.fd))
}

struct Adopt {
    n: i32,
    flags: i32,
    ino: PerLeg<u64>,
    /// It has its partner.
    installed: bool,
}

impl Adopt {
    /// The inode number of `m`, if it can be the partner. The file's own lock is not held: what others write
    /// meanwhile is no difference.
    fn fits(&self, cx: &Cx<'_>, m: i32) -> Sys<u64> {
        for _ in 0..5 {
            let (f, st) = (sys::fglance(self.n)?, sys::fglance(m)?);
            sys::stands_for(&f, &st)?;
            if cx.fit(&f, &st) {
                return Ok(st.ino());
            }
        }
        Err(Errno::EEXIST)
    }
}

impl Change for Adopt {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.parent(0)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        if cx.is_held(0)
            && let Err(p) = cx.anchored(0)
        {
            return p;
        }
        match cx.border_at(0) {
            Border::Within => {}
            Border::Kernel => return Prepared::Forward,
            Border::Beyond => return Prepared::Answer(Err(border::REFUSED)),
        }
        // Under the locks: the name must still be this very file.
        let same = match (sys::fstat(self.n), cx.stat(0, cx.lead)) {
            (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
            _ => false,
        };
        if same {
            cx.settle(0, false, held);
            return Prepared::Ready;
        }
        Prepared::Unresolved
    }
    fn apply(&mut self, cx: &mut Cx<'_>, _: &BothLocked, step: Step) -> Result<u64, Refused> {
        let leg = cx.leg(step);
        if step == Step::First {
            self.ino[leg] = sys::fstat(self.n)?.ino();
            return Ok(0);
        }
        let (from, rel) = cx.spot(0, leg);
        let own = sys::fcntl(self.n, c::F_GETFL, 0)? as i32;
        let m = crate::calls::paired::partner::open_writable(own, |flags| {
            sys::openat2(from, rel, flags, 0, sys::BENEATH)
        })?;
        match self.fits(cx, m) {
            Ok(ino) => {
                self.ino[leg] = ino;
            }
            Err(e) => {
                let _ = sys::close(m);
                return Err(e.into());
            }
        }
        let r = install(m, self.n, self.flags);
        let _ = sys::close(m);
        r?;
        // With TX held: whoever lets it go again comes after it, and forgets it.
        note(self.n, cx.s.pair, cx.lead, self.ino, cx.name(0).text());
        self.installed = true;
        Ok(0)
    }
    /// It needs no partner.
    fn lone(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Lone {
        Lone::Kernel
    }
    fn undo(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        Ok(())
    }
    fn heal(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Sys<()> {
        crate::repair::heal::equal(cx.s, cx.lead, cx.name(0).text(), held)?;
        self.apply(cx, held, Step::Second).map_err(Refused::errno)?;
        Ok(())
    }
}

/// Gives a writable descriptor that lost its partner (passed over a socket, through a program without
/// the library) a new one, by name and inode, under the locks.
#[inline(never)]
pub fn adopt(n: i32, loc: &Loc) -> Ran {
    let cloexec = if sys::fd_flags(n).unwrap_or(0) & c::FD_CLOEXEC != 0 {
        c::O_CLOEXEC
    } else {
        0
    };
    let mut change = Adopt {
        n,
        flags: cloexec,
        ino: PerLeg::default(),
        installed: false,
    };
    let mut t = Target::new(loc);
    let ran = run(
        Job::at(loc, IntentKind::Attributes),
        [Some(&mut t), None],
        &mut change,
    );
    if let Ran::Done(Ok(_)) = ran
        && !sys::is_open(n.saturating_add(K))
    {
        return match change.installed {
            _ if loc.leg == mirror_core::Leg::A && session::is_alone(loc.pair) => Ran::Alone,
            // Another thread has let it go, since leg b has come back or left.
            true => Ran::Unresolved,
            // Recorded as different, and on its way back no more.
            false
                if loc.leg == mirror_core::Leg::A && lost::give_up_return(loc.pair, Errno::EIO) =>
            {
                Ran::Unresolved
            }
            false => Ran::Done(Err(Errno::EIO)),
        };
    }
    ran
}
