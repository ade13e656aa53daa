//! The fsync family, and times owed to partners.
//!
//! Rules: a time is set when a descriptor goes away, never at a sync: that would give each sync a change of
//! the second leg's inode to write that nobody has asked for.
use crate::attach::handle::Session;
use crate::attach::session;
use crate::calls::args::TRIES;
use crate::calls::data::write::place;
use crate::calls::paired::owed;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::change::deep::open_other;
use crate::change::job::{Job, Patience};
use crate::change::lost::{self, From};
use crate::change::number::{describe, has_lost};
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::change::times;
use crate::path::below::open_below;
use crate::path::loc::{Loc, Path};
use crate::process::actor;
use crate::process::fds::{self, DIRTY_END, FdInfo};
use crate::regs::{NATIVE, Regs, WAIT, answer, fail, fd_arg, raw};

use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::calls::Call;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{OMIT, Sys};

/// One round under the locks: whoever's half-done change of the file ends, or is healed, before; and
/// at the end of a descriptor the partner's time is made equal.
struct Settle {
    n: i32,
    time: bool,
}

impl Change for Settle {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.file_of(self.n)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        match describe(self.n, cx) {
            Ok(()) => Prepared::Ready,
            Err(p) => p,
        }
    }
    fn apply(&mut self, _: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::Second && self.time {
            let partner = self.n.saturating_add(K);
            times::copy(self.n, partner, OMIT, held)?;
        }
        Ok(0)
    }
    /// There is nobody to wait for: what is leg a's alone is the kernel's to write down.
    fn lone(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Lone {
        Lone::Kernel
    }
    fn undo(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        // A time that cannot be set on this leg: verify says so; nothing is lost.
        Ok(())
    }
    fn heal(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Sys<()> {
        Ok(())
    }
}

/// Makes the partner's mtime equal if this process has changed the file through `n`. `Some`: a lock is
/// busy.
#[inline(never)]
pub fn settle(n: i32, patience: Patience) -> Option<usize> {
    let dirty = &fds::info(n)?.dirty;
    if dirty.load(Ordering::Relaxed) == 0 {
        return None;
    }
    // A round may find that the number is another file's by now.
    let owed = owed::owed(n);
    // A child that shares this memory forgets hints of what it closes in a table of its own.
    if fds::hint(n) != fds::PAIRED && !known_again(n) || times_are_equal(n) {
        dirty.store(0, Ordering::Relaxed);
        owed::settled(n, owed);
        return None;
    }
    match round(n, true, patience) {
        Round::Wait => return Some(WAIT),
        Round::Made => owed::settled(n, owed),
        // Who comes after this process finds what it owed.
        Round::Void => {}
    }
    None
}

/// What a round came to.
#[derive(PartialEq, Eq)]
enum Round {
    /// A lock is busy.
    Wait,
    /// It was made; or leg b is away, and is compared before it is back.
    Made,
    /// It was not: the number is another file's, or something is in the way.
    Void,
}

/// Whether there is nothing to settle: two writes right after each other mostly get the same tick of the
/// kernel's clock. Without the locks: who is in the middle of a change of the file now, or begins one,
/// owes a time for it himself, and a look that met the halves of two changes finds two times. (At a sync
/// this would not do. A time that was looked at is a finer one at the next write, and then the two differ;
/// a descriptor that goes away has no next write.)
fn times_are_equal(n: i32) -> bool {
    match (sys::fstat(n), sys::fstat(n.saturating_add(K))) {
        (Ok(f), Ok(t)) => f.mtime() == t.mtime(),
        _ => false,
    }
}

/// Looks again, with TX held, at a number that owes its partner a time.
#[cold]
#[inline(never)]
fn known_again(n: i32) -> bool {
    matches!(
        crate::calls::paired::recognise::recognise_held(n, &mut Loc::new()),
        Fd::Paired
    )
}

fn round(n: i32, time: bool, patience: Patience) -> Round {
    let Some(FdInfo { dirty, .. }) = fds::info(n) else {
        return Round::Void;
    };
    if time {
        // Before the round: what another thread writes after it is owed again.
        dirty.store(0, Ordering::Relaxed);
    }
    let (pair, leg) = place(n);
    let mut change = Settle { n, time };
    let ran = run(
        Job::on((pair, leg), IntentKind::Attributes).patience(patience),
        [None, None],
        &mut change,
    );
    match ran {
        Ran::Wait if time => dirty.store(1, Ordering::Relaxed),
        Ran::Wait => {}
        Ran::Done(Ok(_)) | Ran::Lone(Ok(_)) | Ran::Alone => return Round::Made,
        _ => return Round::Void,
    }
    Round::Wait
}

/// fsync, fdatasync, sync_file_range, syncfs: down on both legs before it is said to be down.
#[inline(never)]
pub fn sync(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    let mut loc = Loc::new();
    for _ in 0..TRIES {
        match recognise(n, &mut loc) {
            Fd::Out(_) => return NATIVE,
            Fd::Lost(e) => return fail(regs, e),
            Fd::Paired => {
                if let Some(v) = both(regs, n) {
                    return v;
                }
            }
            Fd::Bare if session::is_alone(loc.pair) => return NATIVE,
            Fd::Bare => return bare(regs, &loc),
        }
    }
    // Leg b comes and goes all the time.
    fail(regs, Errno::EIO)
}

/// By a descriptor with a partner. `None`: it has lost that, and is looked at anew.
fn both(regs: &mut Regs, n: i32) -> Option<usize> {
    let m = n.saturating_add(K);
    let at = place(n);
    if session::is_alone(at.0) {
        return Some(NATIVE);
    }
    if !regs.is(Call::SyncFileRange)
        && !actor::guest()
        && !is_quiet(n)
        && let Round::Wait = round(n, false, Patience::Wait)
    {
        return Some(WAIT);
    }
    // An error is said once: whatever becomes of the second leg, it is the answer.
    let first = raw(regs);
    if regs.is(Call::SyncFileRange) && first.is_err() {
        return Some(answer(regs, first));
    }
    let second = match second(regs, m) {
        // What the kernel has lost of leg b it says once.
        Err(e) if at.1 == mirror_core::Leg::A && lost::leave_pair(at.0, e, From::Sync) => Ok(0),
        r => r,
    };
    match (first, second) {
        (Ok(_), Err(Errno::EBADF)) if has_lost(n) => None,
        (first, second) => Some(answer(regs, first.and_then(|v| second.map(|_| v)))),
    }
}

/// By one that only reads.
fn bare(regs: &mut Regs, loc: &Loc) -> usize {
    let r = raw(regs).and_then(|v| match sync_partner(regs, loc) {
        Err(e)
            if loc.leg == mirror_core::Leg::A && lost::leave_pair(loc.pair, e, From::Anywhere) =>
        {
            Ok(v)
        }
        // Nothing waits to be written there; or leg b, on its way back, has another object there still.
        Err(Errno::EROFS) => Ok(v),
        Err(_) if loc.leg == mirror_core::Leg::A && session::is_joining(loc.pair) => Ok(v),
        r => r.map(|()| v),
    });
    answer(regs, r)
}

/// Whether nobody is in the middle of a change of the file behind `n`, and nobody has died in one: then
/// there is nothing to wait for and nothing to end, and a round under the locks would find what is seen
/// here. Every change of a file's data occupies the post of the file's lock object from before its first
/// leg until after its second, or the bit says that somebody is exclusive; a crashed process's post stays
/// occupied until its change has been ended. What begins after this look is not what this sync is about.
/// Memory that others may cut short is not asked.
fn is_quiet(n: i32) -> bool {
    let Some(i) = fds::info(n).filter(|_| fds::hint(n) == fds::PAIRED) else {
        return false;
    };
    let pair = usize::from(i.pair.load(Ordering::Relaxed));
    let Some((rt, stripes)) = session::runtime_of(pair).zip(session::stripes_of(pair)) else {
        return false;
    };
    let file = LockPlan::EMPTY.file(i.ino[0].load(Ordering::Relaxed), stripes);
    // A guest's number, or one of a table of a thread's own, may be another file's.
    !actor::maybe_guest() && rt.state(file.first_lock()) == 0 && !rt.word().exclusive()
}

/// The program's call, with all its arguments, on a descriptor of the second leg.
fn second(regs: &Regs, m: i32) -> Sys<usize> {
    let [_, a, b, f, ..] = regs.args;
    // SAFETY: these calls take numbers only.
    sys::ret(unsafe { sys::syscall4(regs.nr as i64, m as usize, a, b, f) })
}

/// Syncs the other leg's object of a descriptor that only reads (directories above all). Its locks are
/// not the program's, so opening and closing it drops none.
#[inline(never)]
fn sync_partner(regs: &Regs, loc: &Loc) -> Sys<()> {
    let s = crate::process::actor::locked(|| session::session(loc.pair, actor::guest()))?;
    let r = match loc.held {
        true => sync_held(regs, &s, loc),
        false => sync_named(regs, &s, loc),
    };
    if actor::guest() {
        session::release_guest(&s);
    }
    r
}

fn sync_named(regs: &Regs, s: &Session, loc: &Loc) -> Sys<()> {
    let root = s.at(loc.leg.other());
    let mut rel = Path::new();
    let _ = rel.set(if loc.rel.is_empty() {
        b"."
    } else {
        loc.rel.as_bytes()
    });
    let m = match open_below(root, &rel, c::O_RDONLY | c::O_NONBLOCK) {
        Ok(m) => m,
        // Renamed or removed meanwhile: what it was called then is synced by whoever did that.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => return Ok(()),
        // It cannot be opened any more, though the program's descriptor lives: all is synced.
        Err(Errno::EACCES | Errno::EPERM) => {
            let _ = rel.set(b".");
            let m = open_below(root, &rel, c::O_RDONLY | c::O_DIRECTORY)?;
            // SAFETY: no pointers.
            let r = sys::ret(unsafe { sys::syscall1(c::SYS_syncfs, m as usize) });
            let _ = sys::close(m);
            return r.map(|_| ());
        }
        Err(e) => return Err(e),
    };
    let r = second(regs, m);
    let _ = sys::close(m);
    r.map(|_| ())
}

/// The same of an object that no path can say.
#[cold]
fn sync_held(regs: &Regs, s: &Session, loc: &Loc) -> Sys<()> {
    match open_other(s, loc, c::O_RDONLY | c::O_NONBLOCK) {
        Ok(m) => {
            let r = second(regs, m);
            let _ = sys::close(m);
            r.map(|_| ())
        }
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Settles all descriptors; TX is held. Bounded: behind a stopped holder of the locks a time is left
/// to `mirror resync` rather than an exit left hanging.
pub fn settle_all() {
    let mut patience = 500;
    for n in 0..DIRTY_END.load(Ordering::Relaxed) {
        while settle(n, Patience::HeldWait).is_some() {
            if patience == 0 {
                return;
            }
            patience -= 1;
            sys::sleep_us(2000);
        }
    }
}
