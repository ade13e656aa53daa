//! The engine's ports on real legs.
//!
//! Rules: runs on the scratch stack with all signals blocked; the owner of the memory holds TX, a guest
//! has lock descriptions of its own. Nothing here waits for another process, except a `flock` after many
//! misses in a row.
use crate::attach;
use crate::change::Hint;
pub use crate::change::{Change, Cx, Data, Target, open_below, spare};
use crate::heal;
use crate::state::{TX, guest};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use libc as c;
use mirror_core::runtime::{Intent, IntentKind, Stripe};
use mirror_core::{
    Action, BothLocked, Errno, Journal, LegIo, LegLock, LockMiss, LockPlan, Prepared, StateWord,
    Step, Verdict,
};
use mirror_sys as sys;
use mirror_sys::Sys;

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
                    hint: Hint::none(),
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
