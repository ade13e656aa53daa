//! The engine's ports over the model.
use crate::fault::Sabotage;
use crate::op::{Op, effect};
use crate::sched::Sched;
use crate::tree::Ino;
use crate::world::{Entry, Left, Pid, Record, World, stripes};
use mirror_core::{
    BothLocked, Errno, Journal, LegIo, LegLock, LockMiss, LockPlan, Prepared, StateWord, Step,
};
use std::sync::{Mutex, MutexGuard};

/// One process's request. Without a schedule (the last heal) nothing yields.
pub struct Port<'a> {
    pub sched: Option<&'a Sched>,
    pub world: &'a Mutex<World>,
    pub pid: Pid,
    pub op: Op,
    /// Description behind the slot.
    pub desc: Option<usize>,
    /// What the call opened or made on the first leg.
    pub made: Option<Ino>,
    /// Line of the log.
    pub entry: Option<usize>,
    object: Option<Ino>,
    destroys: bool,
}

impl<'a> Port<'a> {
    pub fn new(
        sched: Option<&'a Sched>,
        world: &'a Mutex<World>,
        pid: Pid,
        op: Op,
        desc: Option<usize>,
    ) -> Port<'a> {
        Port {
            sched,
            world,
            pid,
            op,
            desc,
            made: None,
            entry: None,
            object: None,
            destroys: false,
        }
    }
    /// A yield point, then the world.
    pub fn step(&self) -> MutexGuard<'a, World> {
        if let Some(s) = self.sched {
            s.step(self.pid);
        }
        self.world.lock().expect("the world's lock")
    }
    fn record(&self, w: &World) -> Record {
        let mut before: Vec<(usize, Ino)> = Vec::new();
        for leg in 0..2 {
            before.extend(
                self.op
                    .paths()
                    .iter()
                    .filter_map(|p| w.legs[leg].lookup(p).ok())
                    .map(|i| (leg, i)),
            );
        }
        if let Some(&t) = self.object.and_then(|o| w.partner[w.source].get(&o)) {
            before.push((w.other(), t));
        }
        let tainted = w.touches_pending(&self.op, self.object);
        Record {
            op: self.op.clone(),
            object: self.object,
            before,
            tainted,
        }
    }
    fn left(&self, w: &mut World, left: Left) {
        if let Some(e) = self.entry.and_then(|e| w.log.get_mut(e)) {
            e.left = left;
        }
    }
    fn partner(&self, w: &World) -> Result<Ino, Errno> {
        self.object
            .and_then(|o| w.partner[w.source].get(&o).copied())
            .ok_or(Errno::EIO)
    }
    fn announced(&self, w: &World, held: &BothLocked) -> Option<Record> {
        stripes(held.plan()).find_map(|s| w.records.get(&s).cloned())
    }
    /// Heals a record's objects from the first leg, a step each. The first error ends it.
    fn heal_record(&mut self, r: &Record, entry: Option<usize>) -> Result<(), Errno> {
        let names = r.op.paths();
        for n in 0..=names.len() {
            let mut w = self.step();
            let (from, to) = (w.source, w.other());
            w.fault(to, entry)?;
            match names.get(n) {
                Some(path) => w.heal_name(self.pid, path, from)?,
                None => w.heal_object(self.pid, r, from),
            }
        }
        Ok(())
    }
}

impl LegLock for Port<'_> {
    fn try_lock(&mut self, leg: usize, plan: LockPlan) -> Result<(), LockMiss> {
        let mut w = self.step();
        if leg == 1 && w.sabotage == Some(Sabotage::SecondLock) {
            return Ok(());
        }
        if w.sabotage != Some(Sabotage::Exclusion)
            && stripes(plan).any(|s| w.holders[leg].contains_key(&s))
        {
            return Err(LockMiss::Busy);
        }
        w.holders[leg].extend(stripes(plan).map(|s| (s, self.pid)));
        Ok(())
    }
    fn unlock(&mut self, leg: usize, plan: LockPlan) {
        let mut w = self.step();
        for s in stripes(plan) {
            if w.holders[leg].remove(&s) != Some(self.pid) {
                w.violate(format!(
                    "process {} gave back leg {leg}'s lock without holding it",
                    self.pid
                ));
            }
        }
    }
}

impl Journal for Port<'_> {
    fn word(&self) -> StateWord {
        let pending = !self.step().pending.causes.is_empty();
        StateWord(StateWord::FRESH.0 | if pending { StateWord::PENDING } else { 0 })
    }
    fn orphan(&self, held: &BothLocked) -> bool {
        let w = self.step();
        w.sabotage != Some(Sabotage::Orphans) && self.announced(&w, held).is_some()
    }
    fn publish(&mut self, held: &BothLocked) {
        let mut w = self.step();
        let r = self.record(&w);
        if r.tainted {
            w.taint(&r);
        }
        w.records
            .extend(stripes(held.plan()).map(|s| (s, r.clone())));
    }
    fn retract(&mut self, held: &BothLocked) {
        let mut w = self.step();
        for s in stripes(held.plan()) {
            // What was moved out of a pending place is named as it is now, too.
            if let Some(r) = w.records.remove(&s).filter(|r| r.tainted) {
                w.taint(&r);
            }
        }
    }
    fn pending(&mut self, held: &BothLocked, why: Errno) {
        let mut w = self.step();
        if let Some(r) = self.announced(&w, held) {
            w.taint(&r);
            w.pending.causes.push((r.op, why));
        }
    }
}

impl LegIo for Port<'_> {
    fn prepare(&mut self, _: &BothLocked) -> Prepared {
        let mut w = self.step();
        if self.op == Op::Nop {
            return Prepared::Answer(Ok(0));
        }
        self.object = self.desc.map(|d| w.descs[d].ino);
        self.destroys = self.op.destroys(&w.legs[w.source]);
        self.entry = Some(w.log.len());
        w.log.push(Entry {
            pid: self.pid,
            op: self.op.clone(),
            desc: self.desc,
            at: None,
            faulted: false,
            left: Left::Nothing,
            answer: None,
        });
        if self.op.slot().is_some() {
            if self.desc.is_none() {
                return Prepared::Answer(Err(Errno::EBADF));
            }
            if self.partner(&w).is_err() {
                w.log.last_mut().expect("just pushed").faulted = true;
                return Prepared::Answer(Err(Errno::EIO));
            }
        }
        Prepared::Ready
    }

    fn apply(&mut self, step: Step, _: &BothLocked) -> Result<u64, Errno> {
        let mut w = self.step();
        let (leg, object) = match step {
            Step::First => (w.source, self.object),
            Step::Second => (w.other(), self.partner(&w).ok()),
        };
        w.fault(leg, self.entry)?;
        let done = effect(w.leg_mut(self.pid, leg), &self.op, object)?;
        match (step, self.made, done.ino) {
            (Step::First, ..) => {
                self.made = done.ino;
                self.left(&mut w, Left::Call);
            }
            (Step::Second, Some(a), Some(b)) => w.pair(1 - leg, a, b),
            _ => {}
        }
        Ok(done.value)
    }

    fn undo(&mut self, held: &BothLocked) -> Result<(), Errno> {
        let mut w = self.step();
        if w.sabotage == Some(Sabotage::Undo) {
            return Ok(());
        }
        let (first, second) = (w.source, w.other());
        w.fault(first, self.entry)?;
        let Some(r) = self.announced(&w, held) else {
            return Err(Errno::EIO);
        };
        // What was replaced is gone on the first leg.
        if self.destroys || r.tainted {
            return Err(Errno::EIO);
        }
        for p in r.op.paths() {
            w.heal_name(self.pid, p, second)?;
        }
        w.heal_object(self.pid, &r, second);
        self.left(&mut w, Left::Nothing);
        Ok(())
    }

    fn holds(&mut self, held: &BothLocked) -> bool {
        let w = self.step();
        self.announced(&w, held)
            .is_some_and(|r| w.objects_equal(&r))
    }

    fn heal(&mut self, held: &BothLocked) -> Result<(), Errno> {
        let w = self.step();
        if w.sabotage == Some(Sabotage::Heal) {
            return Ok(());
        }
        let Some(r) = self.announced(&w, held) else {
            return Err(Errno::EIO);
        };
        drop(w);
        self.heal_record(&r, self.entry)
    }

    fn heal_orphan(&mut self, held: &BothLocked) {
        let mut w = self.step();
        w.healed += 1;
        let Some(r) = self.announced(&w, held) else {
            return;
        };
        drop(w);
        if let Err(e) = self.heal_record(&r, None) {
            self.pending(held, e);
        }
    }

    fn position(&mut self) -> Result<u64, Errno> {
        let mut w = self.step();
        let at = w.descs[self.desc.ok_or(Errno::EBADF)?].pos;
        if let Some(e) = self.entry.and_then(|e| w.log.get_mut(e)) {
            e.at = Some(at);
        }
        Ok(at)
    }

    fn set_position(&mut self, to: u64, _: &BothLocked) -> Result<(), Errno> {
        let mut w = self.step();
        if w.sabotage != Some(Sabotage::Position) {
            w.descs[self.desc.ok_or(Errno::EBADF)?].pos = to;
        }
        Ok(())
    }

    fn size(&mut self) -> Result<u64, Errno> {
        let mut w = self.step();
        let first = w.source;
        w.fault(first, self.entry)?;
        Ok(w.legs[first].bytes(self.object.ok_or(Errno::EBADF)?)?.len() as u64)
    }

    fn write_first(&mut self, at: Option<u64>, _: &BothLocked) -> Result<u64, Errno> {
        let mut w = self.step();
        let (leg, ino, desc) = (
            w.source,
            self.object.ok_or(Errno::EBADF)?,
            self.desc.ok_or(Errno::EBADF)?,
        );
        w.fault(leg, self.entry)?;
        let data = self.op.data().unwrap_or_default();
        let n = w.shorten(data.len(), self.entry);
        let end = w.legs[leg].bytes(ino)?.len() as u64;
        let to = at.unwrap_or(end);
        let k = w.leg_mut(self.pid, leg).write(ino, to, &data[..n])?;
        if at.is_none() && k > 0 && matches!(self.op, Op::Write { .. }) {
            w.descs[desc].pos = to + k;
        }
        self.left(&mut w, Left::Bytes(to, k));
        Ok(k)
    }

    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        _: &BothLocked,
    ) -> Result<u64, Errno> {
        let mut w = self.step();
        let (leg, ino) = (w.other(), self.partner(&w)?);
        w.fault(leg, self.entry)?;
        let data = &self.op.data().unwrap_or_default()[done as usize..upto as usize];
        let n = w.shorten(data.len(), self.entry);
        let late = u64::from(w.sabotage == Some(Sabotage::Offset));
        w.leg_mut(self.pid, leg)
            .write(ino, at + done + late, &data[..n])
    }

    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        _: Option<u64>,
        held: &BothLocked,
    ) -> Result<(), Errno> {
        let mut w = self.step();
        // A copy that differs already is no source: acknowledged bytes would go with it.
        if self.announced(&w, held).is_none_or(|r| r.tainted) {
            return Err(Errno::EIO);
        }
        if w.sabotage == Some(Sabotage::Unwrite) {
            return Ok(());
        }
        let (leg, ino) = (w.source, self.object.ok_or(Errno::EBADF)?);
        w.fault(leg, self.entry)?;
        let there = self.partner(&w)?;
        let good = w.legs[w.other()].bytes(there)?.clone();
        let here = w.leg_mut(self.pid, leg).bytes_mut(ino)?;
        // Bytes that the second leg has, then its size.
        for n in from as usize..(to as usize).min(here.len()) {
            here[n] = good.get(n).copied().unwrap_or(0);
        }
        here.truncate(good.len());
        if let Some(Left::Bytes(at, _)) = self.entry.and_then(|e| w.log.get(e)).map(|e| e.left) {
            self.left(
                &mut w,
                if from > at {
                    Left::Bytes(at, from - at)
                } else {
                    Left::Nothing
                },
            );
        }
        Ok(())
    }
}
