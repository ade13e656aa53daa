//! The engine's ports over the model: the legs.
use crate::calls::{self, Does, Else, Row, needs_source};
use crate::fault::{Place, Sabotage};
use crate::legs::PIECE;
use crate::op::Op;
use crate::port::Port;
use crate::proc::Proc;
use crate::tree::Ino;
use crate::world::{Entry, Left, Record, World};
use mirror_core::Leg;
use mirror_core::{
    Applied, BothLocked, Errno, ErrorClass, Journal, LegIo, LockPlan, Prepared, Refused, Step,
    Untouched,
};

impl World {
    /// A call on a leg: the error that is due there is kept with the log.
    pub fn met(&mut self, p: &mut Proc, leg: Leg, place: Place) -> Result<(), Errno> {
        self.fault(leg, place).inspect_err(|_| self.faulted(p))
    }

    pub(crate) fn faulted(&mut self, p: &mut Proc) {
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

    pub(crate) fn set_left(&mut self, p: &Proc, left: Left) {
        if let Some(e) = p.call.entry.and_then(|e| self.log.get_mut(e)) {
            e.left = left;
        }
    }

    /// The inode behind the descriptor on the second leg: opened, or found later.
    fn second(&self, p: &Proc) -> Option<Ino> {
        let c = &p.call;
        c.object[p.first.other()].or_else(|| self.there(p.first, c.object[p.first]))
    }

    fn prepare_object(&mut self, p: &mut Proc) -> Prepared {
        p.call.moves = self.moves;
        let Some(d) = p.call.desc else {
            return Prepared::Answer(Err(Errno::EBADF));
        };
        p.call.object = self.descs[d].object;
        p.call.object[p.first.other()] = self.second(p);
        if p.call.object.iter().any(Option::is_none) {
            p.call.faulted = true;
            return Prepared::Answer(Err(Errno::EIO));
        }
        Prepared::Ready
    }

    /// What a mistake leaves out.
    fn left_out(&self, p: &Proc, Row(on, does, _): Row) -> bool {
        let beside = matches!(does, Does::SetId | Does::Capability);
        match self.sabotage {
            Some(Sabotage::Chown) => {
                beside && matches!(&*p.call.op, Op::Chown { .. } | Op::FChown { .. })
            }
            Some(Sabotage::Beside) => beside && p.call.op.slot().is_some(),
            Some(Sabotage::Growth) => does == Does::Cut,
            Some(Sabotage::Made) => does == Does::Unmake && on == Step::Second,
            _ => false,
        }
    }

    /// The second leg's file is there by now.
    fn is_there(&mut self, p: &mut Proc) {
        let leg = p.first.other();
        p.call.made[leg] = self.there(p.first, p.call.made[p.first]);
    }

    /// Whether the second leg already is as the call would leave it.
    fn is_done(&self, p: &Proc, why: Errno) -> bool {
        let there = |n: usize| {
            let (d, name) = p.call.at(p.first.other()).name(&p.call.op, n)?;
            self.legs[p.first.other()].entry(d, name)
        };
        match self.sabotage {
            Some(Sabotage::Alike) if matches!(&*p.call.op, Op::Rename { .. }) => {
                there(0).is_ok() && there(1).is_ok()
            }
            Some(Sabotage::Believed) => p.call.op.removes() && why == Errno::ENOENT,
            _ => p.call.op.removes() && why == Errno::ENOENT && there(0).is_err(),
        }
    }
}

impl Port<'_> {
    /// A call, if a mistake does not leave it out.
    fn row(&self, row: Row) -> Result<u64, Errno> {
        if self.look(|w, p| w.left_out(p, row)) {
            return Ok(0);
        }
        self.step(Err(Errno::EIO), |w, p| {
            w.log(p, None);
            if row.0 == Step::Second && row.1 != Does::Look {
                w.second_leg(p);
            }
            w.row(p, row)
        })
    }

    /// An undo that came so far.
    fn partly(&self, e: Errno) -> Refused {
        let part = self.note(false, |w, p| {
            let part = std::mem::take(&mut p.call.half) && w.sabotage != Some(Sabotage::Told);
            if part {
                w.halve(p);
                w.set_left(p, Left::Nothing);
            }
            part
        });
        Refused::after(part, e)
    }

    /// It is taken back, but not wholly: that is recorded.
    fn not_whole(&mut self, held: &BothLocked, e: Errno) {
        self.pending(held, e);
        self.note((), |w, p| w.halve(p));
    }

    /// After a refusal of the first leg.
    fn after(&mut self, held: &BothLocked) {
        if self.out() {
            return;
        }
        if let Err(e) = self.step(Ok(()), |w, p| w.aftermath(p)) {
            self.pending(held, e);
        }
    }

    /// The calls of a step, in their order.
    fn rows(&mut self, step: Step, held: &BothLocked) -> Result<Applied, Refused> {
        self.all(self.look(|_, p| calls::rows(&p.call, step)), held)
    }

    fn all(&mut self, rows: &[Row], held: &BothLocked) -> Result<Applied, Refused> {
        let (mut part, mut answer) = (false, 0);
        for &row in rows {
            let mut r = self.row(row);
            if r.is_err() && row.2 == Else::Again {
                r = self.row(row);
            }
            if self.out() {
                return Err(Refused::Whole(Errno::EIO));
            }
            part |= row.2 == Else::Part;
            match (r, row.2) {
                (Ok(n), _) if row.1 == Does::Own => answer = n,
                (Ok(_), _) | (Err(_), Else::Skip) => {}
                (Err(e), Else::Later) if e.class() == ErrorClass::Semantic => {
                    self.note((), |_, p| {
                        p.call.later = matches!(&*p.call.op, Op::Open { .. })
                    });
                }
                (Err(Errno::ENOENT | Errno::EEXIST), Else::Compare)
                    if !held.plan().is_exclusive() =>
                {
                    self.note((), |_, p| p.call.unequal = true);
                    return Err(Refused::Whole(Errno::EEXIST));
                }
                (Err(_), Else::Compare) => {}
                (Err(e), Else::Record | Else::Again) => self.pending(held, e),
                (Err(e), _) => return Err(Refused::after(part, e)),
            }
        }
        Ok(Applied(answer))
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
    fn apply(&mut self, step: Step, held: &BothLocked) -> Result<Applied, Refused> {
        let r = self.rows(step, held);
        if step == Step::First {
            if self.look(|_, p| p.call.op.slot().is_some()) && r.is_err() {
                self.after(held);
            }
            return r;
        }
        match (r, self.look(|w, _| w.sabotage)) {
            (Err(_), Some(Sabotage::Swallowed)) => Ok(Applied(0)),
            (Err(why), Some(Sabotage::Part)) => Err(Refused::Whole(why.errno())),
            (r, _) => r,
        }
    }
    fn undo(&mut self, held: &BothLocked, source: Option<&Untouched<'_>>) -> Result<(), Refused> {
        if self.look(|w, _| w.sabotage == Some(Sabotage::Undo)) {
            return Ok(());
        }
        let (destroys, needs) = self.look(|_, p| (p.call.destroys, needs_source(&p.call.op)));
        let unmoved = self.look(|w, p| {
            w.sabotage == Some(Sabotage::Unmoved) && matches!(&*p.call.op, Op::Rename { .. })
        });
        if destroys || unmoved || (needs && source.is_none()) {
            return Err(Errno::EIO.into());
        }
        for &row in self.look(|_, p| calls::undo(&p.call)) {
            match (self.row(row), row.2) {
                (Ok(_), _) => {}
                (Err(_), Else::Skip) => {}
                (Err(e), Else::Record) => self.not_whole(held, e),
                (Err(e), _) => return Err(self.partly(e)),
            }
            if self.out() {
                return Err(Errno::EIO.into());
            }
        }
        self.note((), |w, p| {
            p.call.half = false;
            w.set_left(p, Left::Nothing);
        });
        Ok(())
    }
    fn holds(&mut self, why: Errno, _: &BothLocked) -> bool {
        self.step(true, |w, p| w.is_done(p, why))
    }
    fn heal(&mut self, held: &BothLocked) -> Result<(), Errno> {
        if self.look(|w, _| w.sabotage == Some(Sabotage::Heal)) {
            return Ok(());
        }
        let r = self.intent(held.first_lock()).ok_or(Errno::EIO)?;
        self.heal_record(&r)?;
        if !matches!(&*r.op, Op::Open { .. }) || self.out() {
            return Ok(());
        }
        // Now it is there: it is opened, and no more made.
        self.note((), |w, p| w.is_there(p));
        let rows = self.look(|_, p| calls::reopened(&p.call));
        self.all(rows, held).map(|_| ()).map_err(Refused::errno)
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
    fn write_first(&mut self, at: Option<u64>, held: &BothLocked) -> Result<u64, Errno> {
        let r = self.step(Err(Errno::EIO), |w, p| w.write_first(p, at));
        if r.is_err() {
            self.after(held);
        }
        r
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
        old_size: Option<u64>,
        source: &Untouched<'_>,
    ) -> Result<(), Refused> {
        let (gone, unwrite) = self.look(|w, p| {
            (
                w.disks[p.first.other()].gone,
                w.sabotage != Some(Sabotage::Unwrite),
            )
        });
        if gone {
            return Err(Errno::EIO.into());
        }
        if !unwrite {
            return Ok(());
        }
        let mut size = from as usize;
        if old_size.is_none() {
            let pieces = (to.saturating_sub(from) as usize).div_ceil(PIECE);
            for n in 0..pieces {
                let r = self.step(Ok(()), |w, p| w.unwrite(p, from, to, n));
                r.map_err(|e| self.partly(e))?;
            }
            let len = self.step(Err(Errno::EIO), |w, p| {
                let there = p.call.object[p.first.other()].ok_or(Errno::EIO)?;
                Ok(w.legs[p.first.other()].bytes(there)?.len() as u64)
            });
            size = len.map_err(|e| self.partly(e))? as usize;
        }
        let r = self.step(Ok(()), |w, p| w.uncut(p, size));
        r.map_err(|e| self.partly(e))?;
        for capability in [false, true] {
            if let Err(e) = self.step(Ok(()), |w, p| w.given_back(p, capability)) {
                self.not_whole(source.held(), e);
                break;
            }
        }
        self.note((), |w, p| w.unwritten(p, from));
        Ok(())
    }
}
