//! The engine's ports over the model: the legs.
use crate::effect::{destroys, effect, moves_directory, needs};
use crate::fault::{Place, Sabotage};
use crate::op::Op;
use crate::port::Port;
use crate::proc::Proc;
use crate::tree::Ino;
use crate::world::{Entry, Left, Record, World};
use mirror_core::{
    Applied, BothLocked, Errno, LegIo, LockPlan, Prepared, Refused, Step, Untouched,
};

impl World {
    /// A call on a leg: the error that is due there is kept with the log.
    pub fn met(&mut self, p: &mut Proc, leg: usize, place: Place) -> Result<(), Errno> {
        self.fault(leg, place).inspect_err(|_| self.faulted(p))
    }

    fn faulted(&mut self, p: &mut Proc) {
        p.call.faulted = true;
        if let Some(e) = p.call.entry.and_then(|e| self.log.get_mut(e)) {
            e.faulted = true;
        }
    }

    /// The call stands in the log from here on.
    pub fn log(&mut self, p: &mut Proc, answer: Option<Result<u64, Errno>>) -> usize {
        let n = *p.call.entry.get_or_insert(self.log.len());
        if n == self.log.len() {
            self.log.push(Entry {
                pid: p.pid,
                op: p.call.op.clone(),
                desc: p.call.desc,
                at: p.call.position,
                faulted: p.call.faulted,
                void: false,
                loose: false,
                left: Left::Nothing,
                answer,
            });
        }
        n
    }

    fn set_left(&mut self, p: &Proc, left: Left) {
        if let Some(e) = p.call.entry.and_then(|e| self.log.get_mut(e)) {
            e.left = left;
        }
    }

    /// The inode behind the descriptor on the second leg: opened, or found later.
    fn second(&self, p: &Proc) -> Option<Ino> {
        let c = &p.call;
        c.object[1 - p.first].or_else(|| self.there(p.first, c.object[p.first]))
    }

    fn prepare_object(&mut self, p: &mut Proc) -> Prepared {
        p.call.moves = self.moves;
        let Some(d) = p.call.desc else {
            return Prepared::Answer(Err(Errno::EBADF));
        };
        p.call.object = self.descs[d].object;
        p.call.object[1 - p.first] = self.second(p);
        if p.call.object.contains(&None) {
            p.call.faulted = true;
            return Prepared::Answer(Err(Errno::EIO));
        }
        Prepared::Ready
    }

    fn apply(&mut self, p: &mut Proc, step: Step) -> Result<u64, Errno> {
        let leg = if step == Step::First {
            p.first
        } else {
            1 - p.first
        };
        if step == Step::First {
            self.log(p, None);
        }
        self.met(p, leg, Place::Effect)?;
        let (op, at) = (p.call.op.clone(), p.call.at(leg));
        if let (Step::Second, Some(e)) = (step, p.call.lacks) {
            return Err(e);
        }
        self.straddles(p);
        let locked = needs(&self.legs[leg], &op, &at);
        let moves = moves_directory(&self.legs[leg], &op, &at);
        if step == Step::First && self.sabotage != Some(Sabotage::Early) {
            // Not sooner: what is locked late may have changed since it was looked at.
            p.call.destroys = destroys(&self.legs[leg], &op, &at);
        }
        let done = effect(self.change(p.pid, leg, &locked), &op, &at)?;
        self.moves += u64::from(moves);
        self.generation += u64::from(matches!(&*op, Op::Rmdir { .. }) && step == Step::First);
        p.call.made[leg] = done.ino;
        if step == Step::First {
            self.set_left(p, Left::Call);
        }
        if let (Step::Second, [Some(a), Some(b)], None) = (step, p.call.made, p.call.before[0]) {
            self.pair(0, a, b);
        }
        Ok(done.value)
    }

    /// No directory may have moved since the names were resolved.
    fn straddles(&mut self, p: &Proc) {
        if self.strict && self.moves != p.call.moves && !self.holds(p.pid, mirror_core::WHOLE) {
            self.violate(format!("process {} straddles a directory's rename", p.pid));
        }
    }

    fn undo(&mut self, p: &mut Proc, source: bool) -> Result<(), Errno> {
        if self.sabotage == Some(Sabotage::Undo) {
            return Ok(());
        }
        self.met(p, p.first, Place::Effect)?;
        // What was replaced is gone on the first leg.
        if p.call.destroys || !source {
            return Err(Errno::EIO);
        }
        let attributes = p.call.op.attributes() || p.call.op.slot().is_some();
        if attributes && self.disks[1 - p.first].gone {
            return Err(Errno::EIO);
        }
        let (op, at) = (p.call.op.clone(), p.call.at(p.first));
        self.take_back(p.pid, p.first, &op, &at, p.call.before)?;
        self.set_left(p, Left::Nothing);
        Ok(())
    }

    fn heal_part(&mut self, p: &mut Proc, r: &Record, n: usize) -> Result<(), Errno> {
        self.met(p, 1 - r.first, Place::Effect)?;
        if self.disks[r.first].gone {
            return Err(Errno::EIO);
        }
        if let (Some(Sabotage::Intent), Some(s)) = (self.sabotage, r.op.slot()) {
            let path = self.descs[s.min(1)].path.clone();
            return self.heal_name(p.pid, &path, r.first);
        }
        match r.op.paths().get(n) {
            Some(path) => self.heal_name(p.pid, path, r.first),
            None => {
                self.heal_object(p.pid, r);
                Ok(())
            }
        }
    }

    fn write_first(&mut self, p: &mut Proc, at: Option<u64>) -> Result<u64, Errno> {
        self.log(p, None);
        let (leg, desc) = (p.first, p.call.desc.ok_or(Errno::EBADF)?);
        let at_object = p.call.at(leg);
        let ino = at_object.object.ok_or(Errno::EBADF)?;
        self.met(p, leg, Place::Effect)?;
        let op = p.call.op.clone();
        let data = op.data().unwrap_or_default();
        let n = self.shorten(data.len());
        if n < data.len() {
            self.faulted(p);
        }
        let end = self.legs[leg].bytes(ino)?.len() as u64;
        let to = at.unwrap_or(end);
        let locked = needs(&self.legs[leg], &op, &at_object);
        let k = self
            .change(p.pid, leg, &locked)
            .write(ino, to, &data[..n])?;
        let moves = at.is_none() || self.sabotage == Some(Sabotage::Derived);
        if moves && k > 0 && matches!(&*op, Op::Write { .. }) {
            self.descs[desc].pos = to + k;
        }
        self.set_left(p, Left::Bytes(to, k));
        Ok(k)
    }

    fn write_second(&mut self, p: &mut Proc, at: u64, done: u64, upto: u64) -> Result<u64, Errno> {
        let leg = 1 - p.first;
        self.met(p, leg, Place::Effect)?;
        let at_object = p.call.at(leg);
        let ino = at_object.object.ok_or(Errno::EIO)?;
        let op = p.call.op.clone();
        let data = &op.data().unwrap_or_default()[done as usize..upto as usize];
        let n = self.shorten(data.len());
        if n < data.len() {
            self.faulted(p);
        }
        let to = match self.sabotage {
            Some(Sabotage::Offset) => at + done + 1,
            Some(Sabotage::Derived) if matches!(&*op, Op::Write { .. }) => {
                let pos = self.descs[p.call.desc.unwrap_or(0)].pos;
                pos.saturating_sub(upto) + done
            }
            _ => at + done,
        };
        let locked = needs(&self.legs[leg], &op, &at_object);
        self.change(p.pid, leg, &locked).write(ino, to, &data[..n])
    }

    fn unwrite(&mut self, p: &mut Proc, from: u64, to: u64) -> Result<(), Errno> {
        if self.disks[1 - p.first].gone {
            return Err(Errno::EIO);
        }
        if self.sabotage == Some(Sabotage::Unwrite) {
            return Ok(());
        }
        let leg = p.first;
        self.met(p, leg, Place::Effect)?;
        let at = p.call.at(leg);
        let ino = at.object.ok_or(Errno::EBADF)?;
        let there = p.call.at(1 - leg).object.ok_or(Errno::EIO)?;
        let good = self.legs[1 - leg].bytes(there)?.clone();
        let locked = needs(&self.legs[leg], &p.call.op, &at);
        let here = self.change(p.pid, leg, &locked).bytes_mut(ino)?;
        // Bytes that the second leg has, then its size.
        for n in from as usize..(to as usize).min(here.len()) {
            here[n] = good.get(n).copied().unwrap_or(0);
        }
        here.truncate(good.len());
        if let Some(Left::Bytes(at, _)) = p.call.entry.and_then(|e| self.log.get(e)).map(|e| e.left)
        {
            let kept = if from > at {
                Left::Bytes(at, from - at)
            } else {
                Left::Nothing
            };
            self.set_left(p, kept);
        }
        Ok(())
    }
}

impl Port<'_> {
    /// Heals a record's objects from its first leg: each is read, then written. The first error ends
    /// it.
    pub(crate) fn heal_record(&self, r: &Record) -> Result<(), Errno> {
        for n in 0..=r.op.paths().len() {
            self.read_then(r.first, |w, p| w.heal_part(p, r, n))?;
        }
        Ok(())
    }
    /// A leg is read, then the other one is written: two steps.
    pub(crate) fn read_then(
        &self,
        from: usize,
        write: impl FnOnce(&mut World, &mut Proc) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.step((), |w, p| p.image = Some(w.legs[from].clone()));
        self.step(Ok(()), |w, p| {
            let Some(image) = p.image.take() else {
                return Ok(());
            };
            let now = std::mem::replace(&mut w.legs[from], image);
            let done = write(w, p);
            w.legs[from] = now;
            done
        })
    }
    /// The intent that leads with an object, as it is when first asked for.
    pub(crate) fn intent(&self, object: usize) -> Option<Record> {
        let n = self.heals.get();
        self.heals.set(n + 1);
        self.note((), |w, p| {
            let r = w.records.get(&object).cloned();
            p.healing.truncate(n);
            p.healing.push(r);
        });
        self.look(|_, p| p.healing.get(n).cloned().flatten())
    }
}

impl LegIo for Port<'_> {
    fn prepare(&mut self, held: &BothLocked) -> Prepared {
        let op = self.op();
        let r = if op.slot().is_some() {
            self.step(Prepared::Forward, |w, p| w.prepare_object(p))
        } else {
            self.prepare_names(held.plan().is_exclusive())
        };
        if let Prepared::Answer(a) = r {
            self.note((), |w, p| {
                w.log(p, Some(a));
            });
        }
        if self.out() { Prepared::Forward } else { r }
    }
    fn late(&mut self, _: &BothLocked) -> LockPlan {
        self.look(|w, p| w.late(p))
    }
    fn apply(&mut self, step: Step, _: &BothLocked) -> Result<Applied, Refused> {
        let r = self.step(Err(Errno::EIO), |w, p| w.apply(p, step));
        r.map(Applied).map_err(Refused::Whole)
    }
    fn undo(&mut self, _: &BothLocked, source: Option<&Untouched<'_>>) -> Result<(), Errno> {
        self.step(Err(Errno::EIO), |w, p| w.undo(p, source.is_some()))
    }
    fn holds(&mut self, _: Errno, held: &BothLocked) -> bool {
        let lead = held.lead();
        self.step(true, |w, _| {
            w.records.get(&lead).is_some_and(|r| w.objects_equal(r))
        })
    }
    fn heal(&mut self, held: &BothLocked) -> Result<(), Errno> {
        if self.look(|w, _| w.sabotage == Some(Sabotage::Heal)) {
            return Ok(());
        }
        let r = self.intent(held.lead()).ok_or(Errno::EIO)?;
        self.heal_record(&r)
    }
    fn position(&mut self) -> Result<u64, Errno> {
        self.step(Err(Errno::EIO), |w, p| {
            let at = w.descs[p.call.desc.ok_or(Errno::EBADF)?].pos;
            p.call.position = Some(at);
            Ok(at)
        })
    }
    fn set_position(&mut self, to: u64, _: &BothLocked) -> Result<(), Errno> {
        self.step(Ok(()), |w, p| {
            if w.sabotage != Some(Sabotage::Position) {
                w.descs[p.call.desc.ok_or(Errno::EBADF)?].pos = to;
            }
            Ok(())
        })
    }
    fn size(&mut self) -> Result<u64, Errno> {
        self.step(Err(Errno::EIO), |w, p| {
            w.met(p, p.first, Place::Effect)?;
            let ino = p.call.object[p.first].ok_or(Errno::EBADF)?;
            Ok(w.legs[p.first].bytes(ino)?.len() as u64)
        })
    }
    fn write_first(&mut self, at: Option<u64>, _: &BothLocked) -> Result<u64, Errno> {
        self.step(Err(Errno::EIO), |w, p| w.write_first(p, at))
    }
    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        _: &BothLocked,
    ) -> Result<u64, Errno> {
        self.step(Err(Errno::EIO), |w, p| w.write_second(p, at, done, upto))
    }
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        _: Option<u64>,
        _: &Untouched<'_>,
    ) -> Result<(), Errno> {
        self.step(Err(Errno::EIO), |w, p| w.unwrite(p, from, to))
    }
}
