//! The engine's ports on real legs.
//!
//! Rules: runs on the scratch stack with all signals blocked; the owner of the memory holds TX, a guest
//! has lock descriptions of its own. Nothing here waits for another process, except a `flock` after many
//! misses in a row.
use crate::attach::{self, Session};
use crate::heal;
use crate::resolve::{Loc, Name, Path};
use crate::state::{TX, guest};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use libc as c;
use mirror_core::path::split;
use mirror_core::runtime::{Intent, IntentKind, Stripe};
use mirror_core::{
    Action, BothLocked, Errno, Journal, LegIo, LegLock, LockMiss, LockPlan, Prepared, StateWord,
    Step, Verdict,
};
use mirror_sys as sys;
use mirror_sys::Sys;

/// One name of a change, entered on both legs.
pub struct Target {
    /// Relative path of the object.
    pub rel: Path,
    /// Its last component as the kernel gets it.
    pub name: Name,
    /// Parent directories on leg a and b.
    pub dir: [i32; 2],
    opened: [bool; 2],
    /// Descriptor (−1: none) and length of [`crate::resolve::Anchor`].
    anchor: (i32, usize),
}

impl Target {
    /// A target that is not entered yet.
    pub fn new(loc: &Loc) -> Target {
        Target {
            rel: loc.rel.clone(),
            name: loc.name.clone(),
            dir: [-1; 2],
            opened: [false; 2],
            anchor: (loc.anchor.fd, loc.anchor.len),
        }
    }
    fn leave(&mut self) {
        for (d, o) in self.dir.iter_mut().zip(&mut self.opened) {
            if *o {
                let _ = sys::close(*d);
            }
            *o = false;
            *d = -1;
        }
    }
    /// The directory on a leg.
    pub fn at(&self, leg: usize) -> i32 {
        self.dir.get(leg).copied().unwrap_or(-1)
    }
}

/// Stands for a name that a change does not have.
static NAMELESS: Target = Target {
    rel: Path::new(),
    name: Name::new(),
    dir: [-1; 2],
    opened: [false; 2],
    anchor: (-1, 0),
};

/// What a change sees of its transaction.
pub struct Cx<'a> {
    /// The pair.
    pub s: &'a Session,
    /// Index of the leg that the request addresses.
    pub lead: usize,
    /// The names: none for changes by descriptor, two for rename and link.
    pub t: [Option<&'a mut Target>; 2],
    /// Where repair would look for a descriptor's file.
    pub hint: Hint,
    /// A symlink was met where the text promised none: resolve slowly and ask again.
    pub slow: bool,
    /// The intent to publish.
    pub intent: Intent,
    /// The descriptor's position, if `prepare` has read it.
    pub position: Option<u64>,
}

/// A short path by value.
pub struct Hint {
    buf: [u8; 232],
    len: usize,
}

impl Hint {
    /// The path of a descriptor's record.
    pub fn read(&mut self, i: &crate::state::FdInfo) {
        self.len = i.path(&mut self.buf).len();
    }
    fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }
}

impl Cx<'_> {
    /// A name.
    pub fn name(&self, which: usize) -> &Target {
        match self.t.get(which) {
            Some(Some(t)) => t,
            _ => &NAMELESS,
        }
    }
    /// The paths as the intent gives them.
    fn paths(&self) -> (&[u8], &[u8]) {
        let first = match &self.t[0] {
            Some(t) => t.rel.as_bytes(),
            None => self.hint.as_bytes(),
        };
        (first, self.name(1).rel.as_bytes())
    }
    /// The leg of a step.
    pub fn leg(&self, step: Step) -> usize {
        match step {
            Step::First => self.lead,
            Step::Second => self.lead ^ 1,
        }
    }
    /// Whether the text still leads where the request's descriptor (or cwd) is. If not, the request is
    /// resolved again.
    pub fn anchored(&mut self, which: usize) -> Result<(), Prepared> {
        let t = self.name(which);
        let (fd, len) = t.anchor;
        if fd == -1 {
            return Ok(());
        }
        let mut base = Path::new();
        let text = t
            .rel
            .as_bytes()
            .get(..len)
            .filter(|b| !b.is_empty())
            .unwrap_or(b".");
        let _ = base.set(text);
        let dot: Name = Name::from_bytes(b".").unwrap_or_default();
        let root = self.s.root.get(self.lead).copied().unwrap_or(-1);
        let by_text = sys::fstatat(root, &base, c::AT_SYMLINK_NOFOLLOW);
        let by_fd = if fd == c::AT_FDCWD {
            sys::fstatat(fd, &dot, 0)
        } else {
            sys::fstat(fd)
        };
        match (by_text, by_fd) {
            (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev() => Ok(()),
            // A removed cwd or directory: nothing can be made or found in it.
            (_, Ok(b)) if b.nlink() == 0 => Err(Prepared::Answer(Err(Errno::ENOENT))),
            (_, Err(e)) => Err(Prepared::Answer(Err(e))),
            _ => {
                self.slow = true;
                Err(Prepared::Answer(Err(Errno::ESTALE)))
            }
        }
    }
    /// Opens a target's parent directory on both legs: below the roots, through no symlink.
    pub fn enter(&mut self, which: usize) -> Result<(), Prepared> {
        self.anchored(which)?;
        for step in [Step::First, Step::Second] {
            let leg = self.leg(step);
            let root = self.s.root.get(leg).copied().unwrap_or(-1);
            let Some(Some(t)) = self.t.get_mut(which) else {
                continue;
            };
            let mut parent = Path::new();
            let _ = parent.set(split(t.rel.as_bytes()).0);
            let n = if parent.is_empty() {
                root
            } else {
                match open_below(root, &parent, c::O_PATH | c::O_DIRECTORY) {
                    Ok(n) => n,
                    Err(Errno::ELOOP | Errno::EXDEV) if step == Step::First => {
                        self.slow = true;
                        return Err(Prepared::Answer(Err(Errno::ELOOP)));
                    }
                    Err(e) if step == Step::First => return Err(Prepared::Answer(Err(e))),
                    // The other leg lacks a directory: somebody changed one tree alone.
                    Err(_) => {
                        heal::parents(self.s, self.lead, &parent);
                        match open_below(root, &parent, c::O_PATH | c::O_DIRECTORY) {
                            Ok(n) => n,
                            Err(e) => {
                                heal::pending(self.s, parent.as_bytes());
                                return Err(Prepared::Answer(Err(
                                    if e.class() == mirror_core::ErrorClass::ProcessLocal {
                                        e
                                    } else {
                                        Errno::EIO
                                    },
                                )));
                            }
                        }
                    }
                }
            };
            if let (Some(d), Some(o)) = (t.dir.get_mut(leg), t.opened.get_mut(leg)) {
                *d = n;
                *o = n != root;
            }
        }
        Ok(())
    }
}

/// Opens a descriptor of our own: the program's limit is not for it. TX is held (or this is a guest).
pub fn spare(open: impl Fn() -> Sys<i32>) -> Sys<i32> {
    match open() {
        Err(Errno::EMFILE) => attach::with_limit(open),
        r => r,
    }
}

/// openat2 below a root: no symlink, no way out.
pub fn open_below(root: i32, rel: &Path, flags: i32) -> Sys<i32> {
    loop {
        match spare(|| sys::openat2(root, rel, flags | c::O_CLOEXEC, 0, sys::BENEATH)) {
            // A rename elsewhere made the kernel unsure about "..": there is none, so ask again.
            Err(Errno::EAGAIN) => {}
            r => return r,
        }
    }
}

/// A change: what the handlers of one family provide.
pub trait Change {
    /// Resolves under the locks and fills the intent.
    fn prepare(&mut self, cx: &mut Cx<'_>) -> Prepared;
    /// The call on one leg.
    fn apply(&mut self, cx: &mut Cx<'_>, step: Step) -> Sys<u64>;
    /// Takes the first leg's call back.
    fn undo(&mut self, _cx: &mut Cx<'_>) -> Sys<()> {
        Err(Errno::EIO)
    }
    /// Makes the second leg like the first after a semantic error.
    fn heal(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        let second = cx.leg(Step::Second);
        let (a, b) = cx.paths();
        heal::equal(cx.s, second ^ 1, a)?;
        if b.is_empty() {
            Ok(())
        } else {
            heal::equal(cx.s, second ^ 1, b)
        }
    }
    /// The write family's view of itself.
    fn data(&mut self) -> Option<&mut dyn Data> {
        None
    }
}

/// Writes: see `LegIo`.
pub trait Data {
    /// Descriptor on the first leg; the partner is the number + K.
    fn fd(&self) -> i32;
    /// The first leg's write.
    fn write_first(&mut self, at: Option<u64>) -> Sys<u64>;
    /// The second leg's write of bytes `done..upto` of the data.
    fn write_second(&mut self, at: u64, done: u64, upto: u64) -> Sys<u64>;
}

struct Port<'a, 'b> {
    cx: Cx<'b>,
    change: &'a mut dyn Change,
    guest_fd: [i32; 2],
    patient: bool,
}

static MISSES: AtomicU32 = AtomicU32::new(0);
static BUSY_PAIR: AtomicUsize = AtomicUsize::new(0);

impl LegLock for Port<'_, '_> {
    fn try_lock(&mut self, leg: usize, _: LockPlan) -> Result<(), LockMiss> {
        let mut n = self.cx.s.lock.get(leg).copied().unwrap_or(-1);
        if n < 0 {
            n = attach::guest_lock(self.cx.s, leg).map_err(LockMiss::Failed)?;
            if let Some(g) = self.guest_fd.get_mut(leg) {
                *g = n;
            }
        }
        let how = if self.patient {
            c::LOCK_EX
        } else {
            c::LOCK_EX | c::LOCK_NB
        };
        loop {
            match sys::flock(n, how) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.drop_guest_fd(leg);
                    return Err(LockMiss::Busy);
                }
                Err(e) => {
                    self.drop_guest_fd(leg);
                    return Err(LockMiss::Failed(e));
                }
            }
        }
    }
    fn unlock(&mut self, leg: usize, _: LockPlan) {
        if !self.drop_guest_fd(leg) {
            let _ = sys::flock(self.cx.s.lock.get(leg).copied().unwrap_or(-1), c::LOCK_UN);
        }
    }
}

impl Port<'_, '_> {
    fn drop_guest_fd(&mut self, leg: usize) -> bool {
        let Some(g) = self.guest_fd.get_mut(leg) else {
            return false;
        };
        if *g < 0 {
            return false;
        }
        let _ = sys::close(*g);
        *g = -1;
        true
    }
    fn stripe(&self) -> &Stripe {
        let [s] = &self.cx.s.runtime().stripes;
        s
    }
    /// What is pending differs already: the second leg is no truth to go back to.
    fn second_is_true(&self) -> Result<(), Errno> {
        if self.word().pending() {
            Err(Errno::EIO)
        } else {
            Ok(())
        }
    }
    fn fds(&mut self) -> Result<(i32, i32), Errno> {
        let n = self.change.data().ok_or(Errno::EIO)?.fd();
        Ok((n, n.saturating_add(mirror_core::K)))
    }
}

impl Journal for Port<'_, '_> {
    fn word(&self) -> StateWord {
        StateWord(self.cx.s.runtime().header.word.load(Ordering::Acquire))
    }
    fn orphan(&self, _: &BothLocked) -> bool {
        self.stripe().announced()
    }
    fn publish(&mut self, _: &BothLocked) {
        let (a, b) = self.cx.paths();
        self.stripe().publish(sys_pid(), &self.cx.intent, a, b);
    }
    fn retract(&mut self, _: &BothLocked) {
        self.stripe().retract();
        self.cx
            .s
            .runtime()
            .header
            .transactions
            .fetch_add(1, Ordering::Relaxed);
    }
    fn partner_error(&mut self, why: Errno) {
        let h = &self.cx.s.runtime().header;
        h.partner_errors.fetch_add(1, Ordering::Relaxed);
        h.last_error.store(
            why.0 as u64 | u64::from(self.cx.intent.kind as u8) << 32,
            Ordering::Relaxed,
        );
    }
    fn pending(&mut self, _: &BothLocked, _why: Errno) {
        let (a, b) = self.cx.paths();
        heal::pending(self.cx.s, a);
        if !b.is_empty() {
            heal::pending(self.cx.s, b);
        }
    }
}

/// For display only (the stripe's owner word): the memory owner's pid is near enough.
fn sys_pid() -> u32 {
    crate::state::OWN_PID.load(Ordering::Relaxed) as u32
}

impl LegIo for Port<'_, '_> {
    fn prepare(&mut self, _: &BothLocked) -> Prepared {
        self.change.prepare(&mut self.cx)
    }
    fn apply(&mut self, step: Step, _: &BothLocked) -> Result<u64, Errno> {
        self.change.apply(&mut self.cx, step)
    }
    fn undo(&mut self, _: &BothLocked) -> Result<(), Errno> {
        self.second_is_true()?;
        self.change.undo(&mut self.cx)
    }
    fn holds(&mut self, _: &BothLocked) -> bool {
        false
    }
    #[cold]
    #[inline(never)]
    fn heal(&mut self, _: &BothLocked) -> Result<(), Errno> {
        self.change.heal(&mut self.cx)
    }
    #[cold]
    #[inline(never)]
    fn heal_orphan(&mut self, _: &BothLocked) {
        heal::orphan(self.cx.s, self.stripe());
    }
    fn position(&mut self) -> Result<u64, Errno> {
        if let Some(p) = self.cx.position {
            return Ok(p);
        }
        sys::lseek(self.fds()?.0, 0, c::SEEK_CUR)
    }
    fn set_position(&mut self, to: u64, _: &BothLocked) -> Result<(), Errno> {
        sys::lseek(self.fds()?.0, to as i64, c::SEEK_SET).map(|_| ())
    }
    fn size(&mut self) -> Result<u64, Errno> {
        sys::fstat(self.fds()?.0).map(|s| s.size())
    }
    fn write_first(&mut self, at: Option<u64>, _: &BothLocked) -> Result<u64, Errno> {
        self.change.data().ok_or(Errno::EIO)?.write_first(at)
    }
    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        _: &BothLocked,
    ) -> Result<u64, Errno> {
        self.change
            .data()
            .ok_or(Errno::EIO)?
            .write_second(at, done, upto)
    }
    /// The second leg holds what stood there before: bring the first back to it.
    #[cold]
    #[inline(never)]
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        old_size: Option<u64>,
        _: &BothLocked,
    ) -> Result<(), Errno> {
        self.second_is_true()?;
        let (n, m) = self.fds()?;
        if old_size.is_some() {
            return sys::ftruncate(n, from).map(|_| ());
        }
        let end = sys::fstat(m)?.size();
        let mut at = from;
        let mut buf = [0u8; 4096];
        while at < to.min(end) {
            let want = to.min(end).saturating_sub(at).min(4096) as usize;
            let k = sys::pread(m, buf.get_mut(..want).unwrap_or(&mut []), at)?;
            if k == 0 {
                break;
            }
            let mut done = 0usize;
            while done < k {
                done = done.saturating_add(sys::pwrite(
                    n,
                    buf.get(done..k).unwrap_or(&[]),
                    at.saturating_add(done as u64),
                )?);
            }
            at = at.saturating_add(k as u64);
        }
        if sys::fstat(n)?.size() > end {
            sys::ftruncate(n, end)?;
        }
        Ok(())
    }
}

/// What a run of a change came to.
pub enum Ran {
    /// The answer for the program.
    Done(Sys<u64>),
    /// Let the kernel do it.
    Native,
    /// A lock is held elsewhere.
    Wait,
    /// A symlink is on the way: resolve slowly.
    Slow,
}

/// Runs a change on a pair.
pub fn run(
    pair: usize,
    lead: usize,
    t: [Option<&mut Target>; 2],
    kind: IntentKind,
    change: &mut dyn Change,
    action: Action,
    patience: Patience,
) -> Ran {
    let own = !guest();
    if own && patience == Patience::Wait {
        TX.lock();
    }
    let ran = match attach::session(pair, !own) {
        Err(e) => Ran::Done(Err(e)),
        Ok(s) => {
            let patient = MISSES.load(Ordering::Relaxed) > 200 && patience == Patience::Wait;
            let mut p = Port {
                cx: Cx {
                    s: &s,
                    lead,
                    t,
                    hint: Hint {
                        buf: [0; 232],
                        len: 0,
                    },
                    slow: false,
                    intent: Intent::of(kind, lead as u8),
                    position: None,
                },
                change,
                guest_fd: [-1; 2],
                patient,
            };
            let v = mirror_core::transact(&mut p, LockPlan::SINGLE, action);
            for t in p.cx.t.iter_mut().flatten() {
                t.leave();
            }
            let slow = p.cx.slow;
            if !own {
                attach::release_guest(&s);
            }
            match v {
                _ if slow => Ran::Slow,
                Verdict::Done(r) => {
                    MISSES.store(0, Ordering::Relaxed);
                    Ran::Done(r)
                }
                Verdict::Forward => Ran::Native,
                Verdict::NeedLock => {
                    MISSES.fetch_add(1, Ordering::Relaxed);
                    BUSY_PAIR.store(pair, Ordering::Relaxed);
                    Ran::Wait
                }
            }
        }
    };
    if own && patience == Patience::Wait {
        TX.unlock();
    }
    ran
}

/// Who holds TX, and who waits for a busy lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The run takes TX; the program waits, on its own stack with its own signals.
    Wait,
    /// The caller holds TX; the program waits.
    HeldWait,
}

/// Waits until the busy lock was free once. Program's stack and mask; nothing is held.
pub fn wait_outside() {
    match attach::wait_fd(BUSY_PAIR.load(Ordering::Relaxed)) {
        Some(n) if !guest() => {
            // EINTR: a handler ran; the caller tries the lock again either way.
            if sys::flock(n, c::LOCK_EX).is_ok() {
                let _ = sys::flock(n, c::LOCK_UN);
            }
        }
        _ => sys::sleep_us(200),
    }
}
