//! The engine's ports on real legs.
//!
//! Rules: runs on the scratch stack with all signals blocked; the owner of the memory holds TX, a guest
//! has lock descriptions of its own. Nothing here waits for another process, except `pause`: with the
//! whole pair locked it waits at most some twenty milliseconds for others to end their change.
use crate::attach::{again, lone, session};
use crate::change::job::{Job, Patience};
use crate::change::locks::Held;
use crate::change::mend::{MENDS, MENDS_GUARDED, mend_the_dead};
use crate::change::target::{Change, Cx, Hint, Target};
use crate::change::{held, lost, number, patience};
use crate::events::refused;
use crate::process::actor::{SPLIT, TX, guest};
use crate::process::fds;
use crate::repair::{heal, pending, privileges, unwrite};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use libc as c;
use mirror_core::refusal::Refusal;
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::{
    Action, Applied, BothLocked, Drive, Errno, Journal, Leg, LegIo, LegLock, LegState, LockMiss,
    LockPlan, Lone, Next, Posts, Prepared, Refused, StateWord, Step, Untouched,
};
use mirror_pair::posts;
use mirror_sys as sys;
use mirror_sys::Sys;

struct Port<'a, 'b> {
    cx: Cx<'b>,
    change: &'a mut dyn Change,
    held: Held,
    /// What leg b has answered.
    lost: Option<Errno>,
}

/// Busy tries in a row, and what was busy: pair, object.
static MISSES: AtomicU32 = AtomicU32::new(0);
static BUSY: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

impl LegLock for Port<'_, '_> {
    fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        if self.skips(leg) {
            return Ok(());
        }
        self.held.take(self.cx.s, leg, object, false)
    }
    fn try_lock_asking(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        if self.skips(leg) {
            return Ok(());
        }
        self.held.take(self.cx.s, leg, object, true)
    }
    fn unlock(&mut self, leg: Leg, object: usize) {
        if !self.skips(leg) {
            self.held.give_back(self.cx.s, leg, object);
        }
    }
    fn stands(&self, word: StateWord) -> bool {
        self.is_of(word) && self.held.stands(word)
    }
}

impl Port<'_, '_> {
    /// Whether what this run has of leg b is of the word's epoch.
    fn is_of(&self, word: StateWord) -> bool {
        word.alone() == self.cx.alone && (word.alone() || word.epoch() == self.cx.s.epoch)
    }

    /// Neither its flocks nor its words.
    fn skips(&self, leg: Leg) -> bool {
        self.cx.alone && leg == Leg::B
    }

    fn fds(&mut self) -> Result<(i32, i32), Errno> {
        let n = self.change.data().ok_or(Errno::EIO)?.fd();
        Ok((n, n.saturating_add(mirror_core::K)))
    }
    /// What a write took away beside that the second leg has refused.
    fn give_back(&self, n: i32, m: i32, source: &Untouched<'_>) {
        if privileges::give_back(n, m, Some(source)).is_err() {
            pending::pending_once(self.cx.s, self.cx.paths().0);
        }
    }
}

impl Posts for Port<'_, '_> {
    fn word(&self) -> StateWord {
        self.cx.s.runtime().word()
    }
    fn sound(&self) -> Result<(), Errno> {
        self.cx.s.runtime().sound()
    }
    fn state(&self, object: usize) -> u32 {
        self.cx.s.runtime().state(object)
    }
    fn occupied(&self, from: usize) -> Option<usize> {
        self.cx.s.runtime().occupied(from)
    }
    fn forget(&mut self, object: usize, _: &BothLocked) {
        self.cx.s.runtime().forget(object);
    }
    fn set_exclusive(&mut self, _: &BothLocked, on: bool) {
        posts::set_exclusive(self.cx.s.runtime(), on);
    }
    #[cold]
    fn pause(&mut self, object: usize, nth: u32) -> bool {
        if nth >= 20 {
            return false;
        }
        match self.cx.s.runtime().wait_on(object) {
            Some((_, 0)) => {}
            Some((word, s)) => sys::futex_wait_shared(word, s, 1),
            None => sys::sleep_us(1000),
        }
        true
    }
    #[cold]
    #[inline(never)]
    fn recover(&mut self, object: usize, held: &BothLocked) {
        heal::recover(self.cx.s, object, held);
    }
}

impl Journal for Port<'_, '_> {
    fn enter(&mut self, held: &BothLocked, plan: LockPlan) {
        self.cx
            .s
            .runtime()
            .enter(plan, held.first_lock(), sys_pid());
    }
    fn publish(&mut self, held: &BothLocked) {
        let (a, b) = self.cx.paths();
        let mut intent = self.cx.intent;
        if self.cx.is_deep() {
            // By what stands there nothing may be repaired.
            intent.kind = IntentKind::Deep;
        }
        self.cx
            .s
            .runtime()
            .publish(held.first_lock(), &intent, a, b);
    }
    fn leave(&mut self, _: &BothLocked, plan: LockPlan) {
        let rt = self.cx.s.runtime();
        // Whoever walks over the legs to make leg b equal may have missed what has another name now.
        if self.cx.intent.kind.moves() && rt.word().joining() {
            rt.count_generation();
        }
        rt.leave(plan);
    }
    fn partner_error(&mut self, why: Errno) {
        self.lost = Some(why);
        let kind = self.cx.intent.kind as u8;
        self.cx.s.runtime().partner_error(why, kind);
    }
    fn pending(&mut self, _: &BothLocked, _why: Errno) {
        let (a, b) = self.cx.paths();
        pending::pending_once(self.cx.s, a);
        if !b.is_empty() {
            pending::pending_once(self.cx.s, b);
        }
        self.cx.judged();
    }
}

/// For display only (the stripe's owner word): the memory owner's pid is near enough.
fn sys_pid() -> u32 {
    crate::process::actor::OWN_PID.load(Ordering::Relaxed) as u32
}

impl LegIo for Port<'_, '_> {
    #[cold]
    #[inline(never)]
    fn lone(&mut self, held: &BothLocked) -> Lone {
        match self.cx.plan_stands() {
            true => self.change.lone(&mut self.cx, held),
            false => Lone::Replan,
        }
    }
    fn prepare(&mut self, held: &BothLocked) -> Prepared {
        if self.cx.plan_stands() {
            self.change.prepare(&mut self.cx, held)
        } else {
            Prepared::Replan
        }
    }
    fn late(&mut self, _: &BothLocked) -> LockPlan {
        self.change.late(&mut self.cx)
    }
    fn apply(&mut self, step: Step, held: &BothLocked) -> Result<Applied, Refused> {
        let r = self.change.apply(&mut self.cx, held, step);
        r.map(Applied).map_err(|why| match why {
            Refused::Whole(e) if step == Step::Second => Refused::after(self.change.begun(), e),
            why => why,
        })
    }
    fn undo(&mut self, held: &BothLocked, source: Option<&Untouched<'_>>) -> Result<(), Refused> {
        self.cx.half.set(false);
        let source = source.filter(|_| !self.cx.is_mapped());
        let r = self.change.undo(&mut self.cx, held, source);
        r.map_err(|e| Refused::after(self.cx.half.get(), e))
    }
    #[cold]
    fn holds(&mut self, why: Errno, held: &BothLocked) -> bool {
        self.change.holds(&mut self.cx, why)
            || self.cx.is_judged() && {
                self.pending(held, why);
                self.change.unmended(&mut self.cx, why, held);
                true
            }
    }
    #[cold]
    #[inline(never)]
    fn heal(&mut self, held: &BothLocked) -> Result<(), Errno> {
        let r = match self.cx.is_deep() {
            true => Err(Errno::EFBIG),
            false => self.change.heal(&mut self.cx, held),
        };
        r.inspect_err(|why| self.change.unmended(&mut self.cx, *why, held))
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
        if let Some(end) = self.cx.end {
            return Ok(end);
        }
        sys::fglance(self.fds()?.0).map(|s| s.size())
    }
    fn write_first(&mut self, at: Option<u64>, held: &BothLocked) -> Result<u64, Errno> {
        let data = self.change.data().ok_or(Errno::EIO)?;
        let k = data.write_first(at, held);
        if k.is_err() && data.refused(at, held).is_err() {
            pending::pending_once(self.cx.s, self.cx.paths().0);
        }
        let k = k?;
        self.cx.end = self.cx.end.map(|end| end.saturating_add(k));
        Ok(k)
    }
    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        held: &BothLocked,
    ) -> Result<u64, Errno> {
        let data = self.change.data().ok_or(Errno::EIO)?;
        data.write_second(at, done, upto, held)
    }
    /// The second leg holds what stood there before: bring the first back to it.
    #[cold]
    #[inline(never)]
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        old_size: Option<u64>,
        source: &Untouched<'_>,
    ) -> Result<(), Refused> {
        let (n, m) = self.fds()?;
        if old_size.is_some() {
            sys::ftruncate(n, from)?;
            self.give_back(n, m, source);
            return Ok(());
        }
        if self.cx.is_mapped() {
            // What stands there lacks what others have stored.
            return Err(Refused::Whole(Errno::EIO));
        }
        unwrite::from_second(n, m, from, to, source)?;
        if self.cx.position.is_some() {
            // Of a write that has moved it.
            sys::lseek(n, from as i64, c::SEEK_SET)?;
        }
        self.give_back(n, m, source);
        Ok(())
    }
}

/// What a run of a change came to.
pub enum Ran {
    /// The answer for the program.
    Done(Sys<u64>),
    /// The same, of a change of leg a alone: leg b is away.
    Lone(Sys<u64>),
    /// Let the kernel do it.
    Native,
    /// The same of what changes no tree: leg b is away.
    Alone,
    /// The same, on the addressed leg alone: recorded, since who holds the lock waits for this process.
    Recorded,
    /// A lock is held elsewhere.
    Wait,
    /// The name does not lead where it promised, or the number is another file's: nothing was done, look
    /// again.
    Unresolved,
}

/// Runs a change on a pair.
// long: one turn of a change, from its session to its answer
pub fn run(job: Job, mut t: [Option<&mut Target>; 2], change: &mut dyn Change) -> Ran {
    let Job {
        pair,
        lead,
        kind,
        action,
        patience,
    } = job;
    let own = !guest();
    if own && patience == Patience::Wait {
        match kind {
            IntentKind::Write => TX.lock_soon(),
            _ => TX.lock(),
        }
    }
    let mine = own && (!SPLIT.load(Ordering::Relaxed) || session::here(pair));
    let mut turns = 0u32;
    let ran = loop {
        turns = turns.saturating_add(1);
        let times = again::times();
        break match session::session(pair, !mine) {
            Err(e) => Ran::Done(Err(e)),
            // What is known of descriptors is from before: they are looked at anew.
            Ok(_) if mine && again::times() != times => Ran::Unresolved,
            Ok(s) => {
                let mut p = Port {
                    cx: Cx {
                        s: &s,
                        alone: s.runtime().word().alone(),
                        lead,
                        t: t.each_mut().map(|t| t.as_mut().map(|t| &mut **t)),
                        hint: Hint::none(),
                        intent: Intent::of(kind, lead),
                        position: None,
                        end: None,
                        exclusive: false,
                        unequal: false,
                        generation: 0,
                        dated: false,
                        half: core::cell::Cell::new(false),
                        number: -1,
                        refused: core::cell::Cell::new(None),
                    },
                    change,
                    held: Held::nothing(mine, own),
                    lost: None,
                };
                if p.cx.alone {
                    fds::has_lone();
                }
                // Of what the dead have left, all is compared before leg b is back.
                if mine && session::is_new(pair) && !p.cx.alone {
                    mend_the_dead(&mut p, &s);
                }
                let ran = drive(&mut p, kind, action);
                p.held.end();
                if !mine {
                    session::release_guest(&s);
                }
                match ran {
                    Some(ran) => ran,
                    None if turns < TURNS => continue,
                    None => Ran::Done(Err(Errno::EIO)),
                }
            }
        };
    };
    if own && patience == Patience::Wait {
        TX.unlock();
    }
    ran
}

/// How often leg b may leave or come while one change begins.
const TURNS: u32 = 64;

/// Rounds of one change in a pair of another user before it waits outside.
const ROUNDS_MAX: u32 = 16;

/// Plans and runs until there is an answer. `None`: leg b has left, or comes, or is back meanwhile.
fn drive(p: &mut Port<'_, '_>, kind: IntentKind, action: Action) -> Option<Ran> {
    let mut d = if p.cx.s.is_guarded() {
        Drive::new(Some(ROUNDS_MAX), MENDS_GUARDED)
    } else {
        Drive::new(None, MENDS)
    };
    if p.cx.alone && !lone::is_so(p.cx.s) {
        return Some(Ran::Done(Err(lost::refuse(p.cx.s.pair))));
    }
    loop {
        let word = p.cx.s.runtime().word();
        if !p.is_of(word) {
            return None;
        }
        p.lost = None;
        if word.leg(Leg::B) != LegState::InSync && p.cx.lead == Leg::B {
            return Some(Ran::Done(Err(lost::refuse(p.cx.s.pair))));
        }
        let mut next = match d.plan(|| plan(p)) {
            Err(next) => next,
            Ok(plan) => {
                p.cx.exclusive = d.exclusive();
                let v = mirror_core::transact(p, plan, action);
                for t in p.cx.t.iter_mut().flatten() {
                    t.leave();
                }
                d.ran(v, core::mem::take(&mut p.cx.unequal))
            }
        };
        while let Next::Recover(nth) = next {
            if !p.is_of(p.cx.s.runtime().word()) && d.left().is_none() {
                return None;
            }
            if nth > 0 {
                sys::sleep_us(500);
            }
            next = d.recovered(mirror_core::recover(p));
        }
        match next {
            // Let go of with leg b's epoch, by who shares the table: the change was taken back.
            Next::Answer(Err(Errno::EBADF))
                if p.lost == Some(Errno::EBADF) && number::has_lost(p.cx.number) =>
            {
                return Some(Ran::Unresolved);
            }
            // Leg b has left, comes or is back meanwhile: the error may be of that, and nothing was done.
            Next::Answer(Err(_)) if !p.is_of(p.cx.s.runtime().word()) => return None,
            Next::Answer(r) if !p.cx.alone && lost::after(&p.cx, word, p.lost, r) && r.is_err() => {
            }
            Next::Answer(r) => {
                MISSES.store(0, Ordering::Relaxed);
                if p.cx.s.is_guarded() {
                    patience::over();
                }
                return Some(Ran::Done(r));
            }
            Next::Native => return Some(Ran::Native),
            Next::Unresolved => return Some(Ran::Unresolved),
            Next::Alone => return Some(Ran::Alone),
            Next::Lone(r) => return Some(Ran::Lone(r)),
            Next::Wait(_) if !p.is_of(p.cx.s.runtime().word()) => return None,
            Next::Wait(object) => return Some(busy(p, object)),
            Next::Again | Next::Recover(_) => {}
        }
        p.cx.intent = Intent::of(kind, p.cx.lead);
        p.cx.position = None;
        p.cx.end = None;
    }
}

fn plan(p: &mut Port<'_, '_>) -> Result<LockPlan, Prepared> {
    p.cx.dated = false;
    p.cx.refused.set(None);
    p.cx.generation = p.cx.s.runtime().generation();
    p.change.plan(&mut p.cx)
}

fn busy(p: &Port<'_, '_>, object: usize) -> Ran {
    let s = p.cx.s;
    if s.is_guarded() && patience::is_over(s.pair) {
        refused::record(s.pair, &refused::Refused::new(Refusal::Wait));
        return Ran::Done(Err(Errno::EIO));
    }
    let misses = MISSES.fetch_add(1, Ordering::Relaxed);
    if misses > 0 && held::waits_for_us(s, object, misses) {
        held::record(&p.cx);
        MISSES.store(0, Ordering::Relaxed);
        return Ran::Recorded;
    }
    BUSY[0].store(s.pair, Ordering::Relaxed);
    BUSY[1].store(object, Ordering::Relaxed);
    Ran::Wait
}

/// Waits until the busy object may be free. Program's stack and mask; nothing is held.
pub fn wait_outside() {
    let post = session::runtime_of(BUSY[0].load(Ordering::Relaxed))
        .and_then(|rt| rt.posts.get(BUSY[1].load(Ordering::Relaxed)));
    let Some(p) = post.filter(|_| !guest()) else {
        return sys::sleep_us(200);
    };
    p.waiting.store(1, Ordering::SeqCst);
    let s = p.state.load(Ordering::SeqCst);
    if s != 0 {
        // Bounded: a holder that dies wakes nobody. A signal handler ends it as well.
        sys::futex_wait_shared(&p.state, s, 10);
    } else if MISSES.load(Ordering::Relaxed) < 8 {
        // Just coming in, or just gone.
        sys::yield_now();
    } else {
        sys::sleep_us(200);
    }
}
