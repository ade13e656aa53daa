//! One call of the tables in [`crate::calls`] on a model leg.
use crate::calls::{Does, Row, turns};
use crate::effect::{At, Need, destroys, effect, moves_directory, needs};
use crate::fault::{Place, Sabotage};
use crate::op::Op;
use crate::proc::Proc;
use crate::tree::{CAPABILITY, Ino, Meta};
use crate::world::{Left, World};
use mirror_core::Leg;
use mirror_core::{Errno, ErrorClass, Step};

/// Bytes that one call of a copy carries.
pub const PIECE: usize = 4;

impl World {
    fn leg_of(p: &Proc, step: Step) -> Leg {
        match step {
            Step::First => p.first,
            Step::Second => p.first.other(),
        }
    }

    /// What the call is about on a leg: the descriptor's file, what was opened, or what the name is.
    fn subject(&self, p: &Proc, leg: Leg) -> Result<Ino, Errno> {
        let c = &p.call;
        let named = || {
            let (d, name) = c.at(leg).name(&c.op, 0)?;
            self.legs[leg].entry(d, name)
        };
        match c.object[leg].or(c.made[leg]) {
            Some(i) => Ok(i),
            None => named(),
        }
    }

    /// Makes a call of a step.
    pub fn row(&mut self, p: &mut Proc, Row(on, does, _): Row) -> Result<u64, Errno> {
        let leg = World::leg_of(p, on);
        match does {
            Does::Own => return self.own(p, on),
            Does::Look => {
                self.met(p, leg, Place::Effect)?;
                let truncates = matches!(&*p.call.op, Op::Truncate { .. });
                if truncates || p.call.op.attributes() {
                    let i = self.subject(p, leg)?;
                    if on == Step::Second {
                        self.stands_for(p, i)?;
                    }
                }
            }
            // Only the process can lack one.
            Does::Dup => match self.fault(leg, Place::Effect) {
                Err(e) if e.class() == ErrorClass::ProcessLocal => {
                    self.faulted(p);
                    return Err(e);
                }
                r => {
                    self.injected -= u32::from(r.is_err() && !self.disks[leg].gone);
                    p.call.opened = true;
                }
            },
            Does::Open => {
                self.met(p, leg, Place::Effect)?;
                if let Some(e) = p.call.lacks {
                    return Err(e);
                }
                let i = self.subject(p, leg)?;
                self.legs[leg].bytes(i)?;
                p.call.made[leg] = matches!(&*p.call.op, Op::Open { .. }).then_some(i);
            }
            Does::Empty => {
                self.met(p, leg, Place::Effect)?;
                let i = self.subject(p, leg)?;
                if on == Step::First {
                    p.call.emptied = true;
                    p.call.destroys = !self.legs[leg].bytes(i)?.is_empty();
                }
                let t = self.altered(p, leg);
                t.bytes_mut(i)?.clear();
                t.node_mut(i).meta.strip();
                if on == Step::First {
                    self.set_left(p, Left::Call);
                }
            }
            Does::Times => {
                self.met(p, leg, Place::Effect)?;
                let (here, there) = (self.subject(p, leg)?, self.subject(p, leg.other())?);
                let mtime = self.legs[leg.other()].node(there).meta.mtime;
                self.altered(p, leg).node_mut(here).meta.mtime = mtime;
            }
            Does::Level => {
                self.met(p, leg, Place::Effect)?;
                let (here, there) = (self.subject(p, leg)?, self.subject(p, leg.other())?);
                let len = self.legs[leg.other()].bytes(there)?.len();
                if self.legs[leg].bytes(here)?.len() != len {
                    self.altered(p, leg).bytes_mut(here)?.resize(len, 0);
                }
            }
            _ => return self.back(p, on, does),
        }
        Ok(0)
    }

    /// Whether an object of the second leg is of the first one's type.
    fn stands_for(&self, p: &Proc, second: Ino) -> Result<(), Errno> {
        let first = self.subject(p, p.first)?;
        let [f, s] = [(p.first, first), (p.first.other(), second)];
        if self.legs[f.0]
            .node(f.1)
            .body
            .same_type(&self.legs[s.0].node(s.1).body)
        {
            Ok(())
        } else {
            Err(Errno::EEXIST)
        }
    }

    /// A leg, to change what the call under way is about.
    fn altered(&mut self, p: &Proc, leg: Leg) -> &mut crate::tree::Tree {
        let mut locked = needs(&self.legs[leg], &p.call.op, &p.call.at(leg));
        if matches!(&*p.call.op, Op::Open { .. } | Op::Mknod { .. }) && p.call.before[0].is_none() {
            // What was made has no other user yet.
            locked.retain(|n| matches!(n, Need::Dir(_)));
        }
        self.change(p.pid, leg, &locked)
    }

    /// The program's own call.
    fn own(&mut self, p: &mut Proc, step: Step) -> Result<u64, Errno> {
        let leg = World::leg_of(p, step);
        if let Err(e) = self.met(p, leg, Place::Effect) {
            self.begun(p, step, leg);
            return Err(e);
        }
        let at = p.call.at(leg);
        let made = p.call.before[0].is_none();
        let mut op = (*p.call.op).clone();
        if let (Step::Second, Some(e)) = (step, p.call.lacks) {
            return Err(e);
        }
        if let Op::Open { excl, trunc, .. } = &mut op {
            // Both are made, or neither is; the second leg's is never emptied by its open.
            *excl |= made && step == Step::Second;
            *trunc &= !p.call.later;
        }
        self.straddles(p);
        let locked = needs(&self.legs[leg], &op, &at);
        let moves = moves_directory(&self.legs[leg], &op, &at);
        if step == Step::First {
            if self.sabotage != Some(Sabotage::Early) {
                // Not sooner: what is locked late may have changed since it was looked at.
                p.call.destroys = destroys(&self.legs[leg], &op, &at);
            }
            let was = self.subject(p, leg).ok().map(|i| self.legs[leg].node(i));
            p.call.stat = was.map(|n| n.meta.clone());
            p.call.size = was.map_or(0, |n| n.body.size());
        }
        let done = effect(self.change(p.pid, leg, &locked), &op, &at)?;
        self.moves += u64::from(moves);
        let counts = matches!(op, Op::Rmdir { .. }) && step == Step::First;
        self.generation += u64::from(counts && self.sabotage != Some(Sabotage::Count));
        p.call.made[leg] = done.ino;
        p.call.second |= step == Step::Second;
        if step == Step::First {
            self.first_leg(p);
            if !p.call.later {
                self.set_left(p, Left::Call);
            }
        }
        let made = (p.call.made.a, p.call.made.b);
        if let (Step::Second, (Some(a), Some(b)), None) = (step, made, p.call.before[0]) {
            self.pair(Leg::A, a, b);
        }
        Ok(done.value)
    }

    /// A shift that fails has moved some bytes already, on the second leg as on the first.
    fn begun(&mut self, p: &mut Proc, step: Step, leg: Leg) {
        if let (true, Step::Second, Ok(i)) = (p.call.op.shifts(), step, self.subject(p, leg))
            && let Ok(b) = self.altered(p, leg).bytes_mut(i)
        {
            let half = b.len() / 2;
            b[half..].rotate_left(1.min(half));
        }
    }

    /// No directory may have moved since the names were resolved.
    fn straddles(&mut self, p: &Proc) {
        if self.strict && self.moves != p.call.moves && !self.holds(p.pid, mirror_core::WHOLE) {
            self.violate(format!("process {} straddles a directory's rename", p.pid));
        }
    }

    /// The object of a call is from now on neither what it was nor what the call makes of it.
    pub fn halve(&mut self, p: &Proc) {
        for leg in Leg::BOTH {
            let it = self.subject(p, leg);
            self.half.extend(it.map(|i| (leg, i)));
        }
    }

    /// What was made is taken back: who has met it by name, with no lock of that name, has changed it in vain.
    fn met_for_a_moment(&mut self, p: &Proc, leg: Leg, object: Option<Ino>) {
        let since = p.call.entry.map_or(self.log.len(), |e| e.saturating_add(1));
        for e in self.log.iter_mut().skip(since) {
            let by_name = match e.op.paths()[..] {
                [path] => self.legs[leg].lookup(path).ok(),
                _ => None,
            };
            e.loose |= by_name.is_some() && by_name == object;
        }
    }

    /// Takes something back on a leg. What needs no call is none.
    // long: one arm for each thing
    fn back(&mut self, p: &mut Proc, on: Step, does: Does) -> Result<u64, Errno> {
        let leg = World::leg_of(p, on);
        let before = p.call.stat.clone().unwrap_or_default();
        match does {
            Does::Unmake => {
                if on == Step::Second && !p.call.second {
                    return Ok(0);
                }
                let linked = matches!(&*p.call.op, Op::Link { .. });
                if p.call.before[usize::from(linked)].is_some() {
                    // It was only opened.
                    return Ok(0);
                }
                self.met(p, leg, Place::Effect)?;
                let (d, name) = p.call.at(leg).name(&p.call.op, usize::from(linked))?;
                let name = name.to_owned();
                if !linked {
                    self.met_for_a_moment(p, leg, self.legs[leg].entry(d, &name).ok());
                }
                self.altered(p, leg).set(d, &name, None);
                p.call.second &= on == Step::First;
                let counts = matches!(&*p.call.op, Op::Mkdir { .. });
                self.generation += u64::from(counts && self.sabotage != Some(Sabotage::Count));
                return Ok(0);
            }
            Does::Unmove => {
                self.met(p, leg, Place::Effect)?;
                let op = turns(&p.call.op).ok_or(Errno::EIO)?;
                let [a, b] = p.call.at(leg).dirs;
                let at = At {
                    dirs: [b, a],
                    object: None,
                };
                let needs = needs(&self.legs[leg], &op, &at);
                self.moves += u64::from(moves_directory(&self.legs[leg], &op, &at));
                p.call.moves = self.moves;
                effect(self.change(p.pid, leg, &needs), &op, &at)?;
                return Ok(0);
            }
            _ => {}
        }
        let i = self.subject(p, leg)?;
        let other = self.subject(p, leg.other());
        let there = |w: &World| other.map(|o| w.legs[leg.other()].node(o).clone());
        let now = self.legs[leg].node(i).clone();
        let mut meta: Meta = now.meta.clone();
        let mut bytes = self.legs[leg].bytes(i).ok().cloned();
        match does {
            Does::Mode => meta.mode = before.mode,
            Does::Owner => {
                meta.uid = before.uid;
                if bytes.is_some() {
                    meta.strip();
                }
            }
            Does::Time => meta.mtime = before.mtime,
            Does::SetId => meta.mode |= before.mode & 0o6000,
            Does::Capability => {
                if let Some(v) = before.xattrs.get(CAPABILITY) {
                    meta.xattrs.insert(CAPABILITY.into(), v.clone());
                }
            }
            Does::Value => {
                let (Op::SetXattr { name, .. }
                | Op::RemoveXattr { name, .. }
                | Op::FSetXattr { name, .. }) = &*p.call.op
                else {
                    return Ok(0);
                };
                match there(self)?.meta.xattrs.get(name) {
                    Some(v) => meta.xattrs.insert(name.clone(), v.clone()),
                    None => meta.xattrs.remove(name),
                };
            }
            Does::Cut => {
                if let Some(b) = &mut bytes
                    && b.len() > p.call.size
                {
                    b.truncate(p.call.size);
                    meta.strip();
                }
            }
            Does::Bytes => {
                let good = self.legs[leg.other()].bytes(other?)?;
                let Op::Allocate { at, len, .. } = *p.call.op else {
                    return Ok(0);
                };
                let cut_out = matches!(
                    *p.call.op,
                    Op::Allocate {
                        how: crate::op::Range::Insert,
                        ..
                    }
                );
                if let (Some(b), false) = (&mut bytes, cut_out) {
                    let end = (at + len).min(b.len()).min(good.len());
                    b[at.min(end)..end].copy_from_slice(&good[at.min(end)..end]);
                }
            }
            Does::Unshift => {
                let Op::Allocate { how, at, len, .. } = *p.call.op else {
                    return Ok(0);
                };
                if let Some(b) = &mut bytes {
                    match how {
                        crate::op::Range::Insert => drop(b.drain(at..at + len)),
                        _ => drop(b.splice(at..at, vec![0; len])),
                    }
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        if (&meta, bytes.as_ref()) == (&now.meta, self.legs[leg].bytes(i).ok()) {
            return Ok(0);
        }
        self.met(p, leg, Place::Effect)?;
        let to = self.altered(p, leg).node_mut(i);
        to.meta = meta;
        if let Some(b) = bytes {
            to.body = crate::tree::Body::File(b);
        }
        p.call.half |= on == Step::First;
        Ok(1)
    }
}
