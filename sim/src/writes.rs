//! The calls of a write: on either leg, after a refusal, and what takes it back. To compare:
//! `shim/src/calls/data/write.rs`, `aftermath.rs`, `shim/src/repair/unwrite.rs`, `privileges.rs`.
use crate::effect::needs;
use crate::fault::{Place, Sabotage};
use crate::legs::PIECE;
use crate::op::Op;
use crate::proc::Proc;
use crate::tree::{CAPABILITY, Meta};
use crate::world::{Left, World};
use mirror_core::Errno;
use mirror_core::Leg;

impl World {
    /// The first leg's call.
    pub fn write_first(&mut self, p: &mut Proc, at: Option<u64>) -> Result<u64, Errno> {
        self.log(p, None);
        let (leg, desc) = (p.first, p.call.desc.ok_or(Errno::EBADF)?);
        let at_object = p.call.at(leg);
        let ino = at_object.object.ok_or(Errno::EBADF)?;
        p.call.stat = Some(self.legs[leg].node(ino).meta.clone());
        if let Err(e) = self.met(p, leg, Place::Effect) {
            self.beside(p, leg, e);
            return Err(e);
        }
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
        self.first_leg(p);
        Ok(k)
    }

    /// The second leg's, of a part.
    pub fn write_second(
        &mut self,
        p: &mut Proc,
        at: u64,
        done: u64,
        upto: u64,
    ) -> Result<u64, Errno> {
        let leg = p.first.other();
        self.second_leg(p);
        if let Err(e) = self.met(p, leg, Place::Effect) {
            self.beside(p, leg, e);
            return Err(e);
        }
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
        let k = self
            .change(p.pid, leg, &locked)
            .write(ino, to, &data[..n])?;
        if self.sabotage == Some(Sabotage::Short) {
            return Ok(upto - done);
        }
        Ok(k)
    }

    /// A call that has failed on a leg takes set-id bits and capabilities away all the same: they go
    /// before it is known whether there is room.
    pub fn beside(&mut self, p: &mut Proc, leg: Leg, e: Errno) {
        let (Some(i), true) = (
            p.call.object[leg],
            matches!(e, Errno::ENOSPC | Errno::EDQUOT),
        ) else {
            return;
        };
        let needs = needs(&self.legs[leg], &p.call.op, &p.call.at(leg));
        self.change(p.pid, leg, &needs).node_mut(i).meta.strip();
        if leg == p.first {
            self.set_left(p, Left::Beside);
        }
    }

    /// What the first leg's call has taken although it failed, is taken on the second.
    pub fn aftermath(&mut self, p: &mut Proc) -> Result<(), Errno> {
        let leg = p.first.other();
        let (Some(_), Some(_)) = (p.call.object.a, p.call.object.b) else {
            return Ok(());
        };
        let meta = |leg: Leg| p.call.object[leg].map(|i| self.legs[leg].node(i).meta.clone());
        let (Some(first), Some(mut second)) = (meta(p.first), meta(leg)) else {
            return Ok(());
        };
        let gone = second.mode & !first.mode & 0o6000;
        let capable = |m: &Meta| m.xattrs.contains_key(CAPABILITY);
        if (gone == 0 && (capable(&first) || !capable(&second)))
            || self.sabotage == Some(Sabotage::After)
        {
            return Ok(());
        }
        self.met(p, leg, Place::Effect)?;
        second.strip();
        let needs = needs(&self.legs[leg], &p.call.op, &p.call.at(leg));
        if let Some(i) = p.call.object[leg] {
            self.change(p.pid, leg, &needs).node_mut(i).meta = second;
        }
        Ok(())
    }

    /// A piece of what is taken back: bytes that the second leg has.
    pub fn unwrite(&mut self, p: &mut Proc, from: u64, to: u64, n: usize) -> Result<(), Errno> {
        let leg = p.first;
        let ino = p.call.object[leg].ok_or(Errno::EBADF)?;
        let there = p.call.object[leg.other()].ok_or(Errno::EIO)?;
        let good = self.legs[leg.other()].bytes(there)?.clone();
        let start = from as usize + n * PIECE;
        let end = (start + PIECE).min(to as usize).min(good.len());
        if start >= end {
            return Ok(());
        }
        self.met(p, leg, Place::Effect)?;
        let needs = needs(&self.legs[leg], &p.call.op, &p.call.at(leg));
        p.call.half = true;
        let t = self.change(p.pid, leg, &needs);
        t.write(ino, start as u64, &good[start..end]).map(|_| ())
    }

    /// The file is no longer than the second leg's; for an append: than before.
    pub fn uncut(&mut self, p: &mut Proc, size: usize) -> Result<(), Errno> {
        let leg = p.first;
        let ino = p.call.object[leg].ok_or(Errno::EBADF)?;
        if self.legs[leg].bytes(ino)?.len() <= size {
            return Ok(());
        }
        self.met(p, leg, Place::Effect)?;
        let needs = needs(&self.legs[leg], &p.call.op, &p.call.at(leg));
        p.call.half = true;
        self.change(p.pid, leg, &needs)
            .bytes_mut(ino)?
            .truncate(size);
        Ok(())
    }

    /// Set-id bits, then capabilities, that the second leg still has.
    pub fn given_back(&mut self, p: &mut Proc, capability: bool) -> Result<(), Errno> {
        let leg = p.first;
        let (Some(_), Some(_)) = (p.call.object.a, p.call.object.b) else {
            return Ok(());
        };
        let meta = |leg: Leg| p.call.object[leg].map(|i| self.legs[leg].node(i).meta.clone());
        let (Some(mut m), Some(there)) = (meta(leg), meta(leg.other())) else {
            return Ok(());
        };
        let was = m.clone();
        match there.xattrs.get(CAPABILITY).filter(|_| capability) {
            Some(v) => drop(m.xattrs.insert(CAPABILITY.into(), v.clone())),
            None if !capability => m.mode |= there.mode & 0o6000,
            None => {}
        }
        if m == was || self.sabotage == Some(Sabotage::Beside) {
            return Ok(());
        }
        self.met(p, leg, Place::Effect)?;
        let needs = needs(&self.legs[leg], &p.call.op, &p.call.at(leg));
        if let Some(i) = p.call.object[leg] {
            self.change(p.pid, leg, &needs).node_mut(i).meta = m;
        }
        Ok(())
    }

    /// After a write was taken back to `from`: what of it is left on the first leg.
    pub fn unwritten(&mut self, p: &mut Proc, from: u64) {
        p.call.half = false;
        let leg = p.first;
        let now = p.call.object[leg].map(|i| &self.legs[leg].node(i).meta);
        let beside = now.is_some_and(|m| p.call.stat.as_ref() != Some(m));
        if let Some(Left::Bytes(at, _)) = p.call.entry.and_then(|e| self.log.get(e)).map(|e| e.left)
        {
            let kept = match (from > at, beside) {
                (true, _) => Left::Bytes(at, from - at),
                (false, true) => Left::Beside,
                (false, false) => Left::Nothing,
            };
            self.set_left(p, kept);
        }
    }
}
