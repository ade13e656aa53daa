//! The engine's ports over the model: locks and the runtime file.
use crate::fault::{Place, Sabotage};
use crate::memo::Answer;
use crate::op::Op;
use crate::proc::Proc;
use crate::world::{Pid, Record, World};
use mirror_core::runtime::{ANNOUNCED, first_lock};
use mirror_core::{
    BothLocked, Errno, Journal, Leg, LegLock, LockMiss, LockPlan, Posts, STRIPES_MAX, StateWord,
    WHOLE,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// One process's view of the world for one step.
pub struct Port<'a> {
    inner: RefCell<(&'a mut World, &'a mut Proc)>,
    /// Repairs begun in this run of the engine.
    pub heals: Cell<usize>,
}

impl<'a> Port<'a> {
    pub fn new(w: &'a mut World, p: &'a mut Proc) -> Port<'a> {
        p.memo.rewind();
        Port {
            inner: RefCell::new((w, p)),
            heals: Cell::new(0),
        }
    }
    fn call<T: Answer>(
        &self,
        rest: T,
        yields: impl FnOnce(&World) -> bool,
        act: impl FnOnce(&mut World, &mut Proc) -> T,
    ) -> T {
        let (w, p) = &mut *self.inner.borrow_mut();
        if p.memo.out {
            return rest;
        }
        if let Some(v) = p.memo.again() {
            return T::of(v);
        }
        if yields(w) {
            if p.memo.fuel == 0 {
                p.memo.out = true;
                return rest;
            }
            p.memo.fuel -= 1;
        }
        let t = act(w, p);
        p.memo.push(t.val());
        t
    }
    /// A yield point. `rest` is for an engine that only runs to its end.
    pub fn step<T: Answer>(&self, rest: T, act: impl FnOnce(&mut World, &mut Proc) -> T) -> T {
        self.call(rest, |_| true, act)
    }
    /// What no other process can come between.
    pub fn note<T: Answer>(&self, rest: T, act: impl FnOnce(&mut World, &mut Proc) -> T) -> T {
        self.call(rest, |_| false, act)
    }
    /// What never changes in an attempt.
    pub fn look<T>(&self, of: impl FnOnce(&World, &Proc) -> T) -> T {
        let (w, p) = &*self.inner.borrow();
        of(w, p)
    }
    /// The call that is carried out.
    pub fn op(&self) -> Rc<Op> {
        self.look(|_, p| p.call.op.clone())
    }
    /// The engine only runs to its end.
    pub fn out(&self) -> bool {
        self.look(|_, p| p.memo.out)
    }
}

impl World {
    fn try_lock(
        &mut self,
        p: &mut Proc,
        leg: Leg,
        object: usize,
        asks: bool,
    ) -> Result<(), LockMiss> {
        let pid = p.pid;
        self.used.insert(object);
        if leg == Leg::B && p.alone {
            return Ok(());
        }
        if leg == Leg::B && self.sabotage == Some(Sabotage::SecondLock) {
            return Ok(());
        }
        self.fault(leg, Place::Lock).map_err(|e| {
            p.call.faulted = true;
            LockMiss::Failed(e)
        })?;
        let mine = |h: &std::collections::BTreeMap<usize, Pid>| {
            h.iter().any(|(&o, &p)| p == pid && o >= object)
        };
        let below = leg == Leg::B && self.holders.a.get(&object) != Some(&pid);
        if self.strict && (mine(&self.holders[leg]) || below) {
            self.violate(format!(
                "process {pid} locks {object} on leg {leg:?} out of order: {:?}",
                self.holders
            ));
        }
        let asks = asks || p.asks;
        if let Some(&dead) = self.corpses[leg].get(&object) {
            if !asks && p.met != Some(dead) {
                p.met = Some(dead);
                p.missed = true;
                return Err(LockMiss::Busy(object));
            }
            self.corpses[leg].remove(&object);
        }
        match self.holders[leg].get(&object) {
            Some(&o) if o == pid && self.sabotage == Some(Sabotage::Hold) => {}
            Some(_) if self.sabotage != Some(Sabotage::Exclusion) => {
                p.missed = true;
                return Err(LockMiss::Busy(object));
            }
            _ => {}
        }
        self.holders[leg].insert(object, pid);
        Ok(())
    }

    /// Which leg's lock is taken first: leg a's, but for a mistake.
    fn ordered(&self, p: &Proc, leg: Leg) -> Leg {
        let turned = self.sabotage == Some(Sabotage::LegOrder) && p.first == Leg::B;
        if turned { leg.other() } else { leg }
    }

    fn unlock(&mut self, p: &Proc, leg: Leg, object: usize) {
        if self.sabotage == Some(Sabotage::Hold) && p.missed || leg == Leg::B && p.alone {
            return;
        }
        if self.holders[leg].remove(&object) != Some(p.pid) {
            let pid = p.pid;
            self.violate(format!(
                "process {pid} gave back {object} of leg {leg:?} without holding it"
            ));
        }
    }

    /// The first leg has it: for a mistake in the order of the intent and its post.
    pub fn first_leg(&mut self, p: &mut Proc) {
        let Some(first) = p
            .call
            .first_lock
            .filter(|_| self.sabotage == Some(Sabotage::Freed))
        else {
            return;
        };
        self.records.remove(&first);
        let mine = self.holders.a.iter().filter(|h| *h.1 == p.pid);
        for object in mine.map(|h| *h.0).collect::<Vec<_>>() {
            self.posts.remove(&object);
        }
    }

    /// The second leg's turn: for another one.
    pub fn second_leg(&mut self, p: &mut Proc) {
        if let (Some(first), Some(Sabotage::Publish)) = (p.call.first_lock.take(), self.sabotage) {
            self.publish(p, first);
        }
    }

    fn publish(&mut self, p: &Proc, first: usize) {
        let r = self.record(p);
        if r.tainted {
            self.taint(&r);
        }
        self.records.insert(first, r);
        *self.posts.entry(first).or_insert(0) |= ANNOUNCED;
    }

    /// Frees a post (a sabotage: later than it should).
    pub fn free(&mut self, object: usize) {
        self.posts.remove(&object);
        self.records.remove(&object);
    }

    /// Takes the intent back that stands in one of these posts, if one does.
    fn withdraw(&mut self, p: &Proc, objects: impl Iterator<Item = usize>) {
        // Both legs have it: who dies from here on leaves nothing half done.
        for r in self.records.values_mut().filter(|r| r.pid == p.pid) {
            r.touched.clear();
        }
        for object in objects {
            let Some(state) = self.posts.get_mut(&object).filter(|s| **s & ANNOUNCED != 0) else {
                continue;
            };
            *state &= !ANNOUNCED;
            if let Some(r) = self.records.remove(&object).filter(|r| r.tainted) {
                // What was moved out of a pending place is named as it is now, too.
                self.taint(&r);
            }
        }
    }

    fn leave(&mut self, p: &mut Proc, object: usize) {
        if self.sabotage == Some(Sabotage::Unlock) {
            p.late.push(object);
            return;
        }
        self.withdraw(p, std::iter::once(object));
        self.inside.remove(&p.pid);
        p.entered = false;
        self.posts.remove(&object);
    }

    fn record(&self, p: &Proc) -> Record {
        let c = &p.call;
        let mut before: Vec<(Leg, u32)> = Vec::new();
        for leg in Leg::BOTH {
            let names = c.op.paths();
            let found = names.iter().filter_map(|p| self.legs[leg].lookup(p).ok());
            before.extend(found.map(|i| (leg, i)));
        }
        Record {
            pid: p.pid,
            touched: Default::default(),
            op: c.op.clone(),
            first: p.first,
            object: c.object,
            intent: self.intent_of(p),
            before,
            tainted: self.touches_pending(&c.op, c.object),
        }
    }
}

impl LegLock for Port<'_> {
    fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.step(Err(LockMiss::Failed(Errno::EIO)), |w, p| {
            w.try_lock(p, w.ordered(p, leg), object, false)
        })
    }
    fn try_lock_asking(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.step(Err(LockMiss::Failed(Errno::EIO)), |w, p| {
            w.try_lock(p, w.ordered(p, leg), object, true)
        })
    }
    fn unlock(&mut self, leg: Leg, object: usize) {
        self.step((), |w, p| w.unlock(p, w.ordered(p, leg), object));
    }
}

impl Posts for Port<'_> {
    fn word(&self) -> StateWord {
        let bits = self.step(0u64, |w, p| {
            let out = w.exclusive && w.sabotage != Some(Sabotage::Bit);
            if p.entered && !out {
                w.inside.insert(p.pid);
            }
            let bit = |on: bool, b: u64| if on { b } else { 0 };
            bit(out, StateWord::EXCLUSIVE)
                | bit(w.away, StateWord::AWAY_B)
                | bit(!w.pending.causes.is_empty(), StateWord::PENDING)
        });
        StateWord(StateWord::FRESH.0 | bits)
    }
    fn state(&self, object: usize) -> u32 {
        let stripes = self.look(|w, _| w.stripes);
        let (dir, file) = (1 + stripes, 1 + STRIPES_MAX + stripes);
        if (dir..=STRIPES_MAX).contains(&object) || object >= file {
            return 0;
        }
        // Nobody has ever asked for it: to read it now or a moment later is the same.
        let yields = |w: &World| w.used.contains(&object);
        self.call(0u32, yields, |w, p| match w.sabotage {
            Some(Sabotage::Crashed) => 0,
            Some(Sabotage::Quiesce) if w.holds(p.pid, WHOLE) => 0,
            _ => w.posts.get(&object).copied().unwrap_or(0),
        })
    }
    fn forget(&mut self, object: usize, _: &BothLocked) {
        self.step((), |w, _| {
            let state = w.posts.remove(&object).unwrap_or(0);
            if first_lock(state) == object {
                w.records.remove(&object);
            }
        });
    }
    fn set_exclusive(&mut self, _: &BothLocked, on: bool) {
        self.step((), |w, _| {
            w.exclusive = on;
            w.generation += u64::from(!on);
        });
    }
    fn pause(&mut self, _: usize, nth: u32) -> bool {
        self.step(false, |_, _| nth < 2)
    }
    fn recover(&mut self, object: usize, held: &BothLocked) {
        self.step((), |w, _| w.healed += 1);
        let n = self.heals.get();
        let Some(r) = self.intent(object).filter(|_| !self.out()) else {
            return;
        };
        let said = self.look(|w, _| w.sabotage != Some(Sabotage::Unsaid));
        if let Err(e) = self.carry_out(n, &r, held)
            && said
        {
            self.step((), |w, _| w.record_pending(r, e));
        }
    }
}

impl Journal for Port<'_> {
    fn enter(&mut self, held: &BothLocked, plan: LockPlan) {
        for o in plan.objects() {
            self.step((), |w, p| {
                w.posts.insert(o, held.first_lock() as u32 + 1);
                p.entered = true;
            });
        }
    }
    fn publish(&mut self, held: &BothLocked) {
        let first = held.first_lock();
        let last = held.plan().objects().next_back().unwrap_or(first);
        self.step((), |w, p| {
            p.call.first_lock = Some(first);
            match w.sabotage {
                Some(Sabotage::Publish) => {}
                Some(Sabotage::Lead) => w.publish(p, last),
                _ => w.publish(p, first),
            }
        });
    }
    fn leave(&mut self, _: &BothLocked, plan: LockPlan) {
        let stays =
            self.look(|w, _| matches!(w.sabotage, Some(Sabotage::Unlock | Sabotage::Announced)));
        // A death in between is one before the intent was announced.
        let mut first = plan.is_several() && !stays;
        for o in plan.objects().rev() {
            self.step((), |w, p| {
                if first {
                    w.withdraw(p, plan.objects());
                }
                w.leave(p, o);
            });
            first = false;
        }
    }
    fn partner_error(&mut self, why: Errno) {
        self.note((), |w, p| {
            w.partner_errors += 1;
            p.lost = Some(why);
        });
    }
    fn is_pending(&self, held: &BothLocked) -> bool {
        let first = held.first_lock();
        self.note(true, |w, _| {
            let known = w.records.get(&first).is_none_or(|r| r.tainted);
            known && w.sabotage != Some(Sabotage::Source)
        })
    }
    fn pending(&mut self, held: &BothLocked, why: Errno) {
        let first = held.first_lock();
        self.step((), |w, _| {
            if let Some(r) = w.records.get(&first).cloned() {
                w.record_pending(r, why);
            }
        });
    }
}

impl World {
    /// Records an object that differs.
    pub fn record_pending(&mut self, r: Record, why: Errno) {
        self.taint(&r);
        self.pending.causes.push((r.op, why));
    }
}
