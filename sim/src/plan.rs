//! Which locks a call needs, made without any: the names are looked up on leg a, a yield point each.
//! And what of it must be proved again under the locks.
use crate::effect::{destroys, last, moves_directory};
use crate::fault::{Place, Sabotage};
use crate::op::Op;
use crate::port::Port;
use crate::proc::Proc;
use crate::tree::Ino;
use crate::world::World;
use mirror_core::{Errno, ErrorClass, LockPlan, Prepared};
use mirror_core::{Leg, PerLeg};

/// The directory part of a path.
pub fn dirs(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(d, _)| d)
}

impl World {
    /// The plan for a file by its numbers on both legs.
    fn file_plan(&self, p: &Proc, object: PerLeg<Option<Ino>>) -> LockPlan {
        let leg = if self.sabotage == Some(Sabotage::Keys) {
            p.first
        } else {
            Leg::A
        };
        let key = object[leg].or_else(|| self.there(leg.other(), object[leg.other()]));
        key.map_or(LockPlan::EXCLUSIVE, |k| self.file(k))
    }
    fn dir_plan(&self, p: &Proc, dir: Ino, path: &str) -> LockPlan {
        match self.sabotage {
            Some(Sabotage::Names) => {
                let name = last(path).bytes().fold(7, |n, b| n * 31 + u32::from(b));
                self.dir(dir.wrapping_mul(131).wrapping_add(name))
            }
            Some(Sabotage::Keys) if p.first == Leg::B => {
                self.dir(self.there(Leg::A, Some(dir)).unwrap_or(dir))
            }
            _ => self.dir(dir),
        }
    }
}

/// What a name is: number and type in one answer.
fn what(w: &World, leg: Leg, path: &str) -> Result<u64, Errno> {
    let i = w.legs[leg].lookup(path)?;
    Ok(u64::from(i) << 1 | u64::from(w.legs[leg].is_dir(i)))
}

impl Port<'_> {
    /// The locks for the call, or its answer.
    pub fn plan(&self) -> Result<LockPlan, Errno> {
        let op = self.op();
        if op.slot().is_some() {
            // Numbers are kept with the descriptor: nothing is looked up.
            return self.look(|w, p| {
                let d = p
                    .call
                    .desc
                    .and_then(|d| w.descs.get(d))
                    .ok_or(Errno::EBADF)?;
                Ok(w.file_plan(p, d.object))
            });
        }
        let mut plan = LockPlan::EMPTY;
        for (n, path) in op.paths().into_iter().enumerate() {
            match self.plan_dir(n, path) {
                Ok(Some(d)) => plan = plan.union(self.look(|w, p| w.dir_plan(p, d, path))),
                Ok(None) => return Ok(LockPlan::EXCLUSIVE),
                Err(e) => return Err(e),
            }
        }
        if matches!(&*op, Op::Rmdir { .. }) || op.attributes() {
            let path = op.paths()[0];
            let found = self.step(Err(Errno::EIO), |w, _| what(w, Leg::A, path));
            if let Ok(f) = found {
                let (ino, dir) = ((f >> 1) as Ino, f & 1 == 1);
                self.note((), |_, p| p.call.target = Some(ino).filter(|_| dir));
                let own = self.look(|w, p| w.dir_plan(p, ino, "."));
                plan = match (dir, op.attributes()) {
                    (true, true) => own,
                    (true, false) if self.look(|w, _| w.sabotage != Some(Sabotage::Names)) => {
                        plan.union(own)
                    }
                    _ => plan,
                };
            }
        }
        Ok(plan)
    }

    /// The directory of the n-th name on leg a. `None`: the legs do not look alike.
    fn plan_dir(&self, n: usize, path: &str) -> Result<Option<Ino>, Errno> {
        let text = dirs(path);
        if text.is_empty() {
            let root = self.look(|w, _| w.legs.a.root());
            self.note((), |_, p| p.call.want[n] = Some(root));
            return Ok(Some(root));
        }
        if let Some((ino, generation)) = self.look(|_, p| p.cache.get(text).copied()) {
            self.note((), |_, p| {
                p.call.want[n] = Some(ino);
                p.call.known[n] = Some(generation);
            });
            return Ok(Some(ino));
        }
        let found = self.step(Err(Errno::EIO), |w, _| {
            w.legs.a.parent(path).map(|(d, _)| u64::from(d))
        });
        match found {
            Ok(d) => {
                self.note((), |_, p| p.call.want[n] = Some(d as Ino));
                Ok(Some(d as Ino))
            }
            Err(e) if self.look(|_, p| p.first == Leg::A) => Err(e),
            // The program addresses the other leg: it must not hear what leg a says alone.
            Err(_) => self
                .step(Err(Errno::EIO), |w, _| w.legs.b.parent(path).map(|_| 0))
                .map(|_| None),
        }
    }

    /// Resolves the directory of a name, a step each.
    fn resolve(&self, leg: Leg, path: &str) -> Result<Ino, Errno> {
        let mut at = self.look(|w, _| w.legs[leg].root());
        for c in dirs(path).split('/').filter(|c| !c.is_empty()) {
            at = self.step(Err(Errno::EIO), |w, p| {
                w.met(p, leg, Place::Look)?;
                w.legs[leg].walk(at, c).map(u64::from)
            })? as Ino;
        }
        Ok(at)
    }

    /// Resolves the n-th name's directory with locks held. An outcome other than Ready ends it.
    fn prove(&self, n: usize, path: &str) -> Prepared {
        let known = self.look(|_, p| p.call.known[n]);
        let (first, sabotage) = self.look(|w, p| (p.first, w.sabotage));
        // Before anything is looked up: what is found is at least as new.
        if !dirs(path).is_empty() {
            self.step((), |w, p| p.call.read[n] = Some(w.generation));
        }
        let now = self.look(|_, p| p.call.read[n]).unwrap_or(0);
        let fresh = known.is_some_and(|k| k == now || sabotage == Some(Sabotage::Generation));
        if known.is_some() && !fresh {
            self.note((), |_, p| p.cache.clear());
            return Prepared::Replan;
        }
        for leg in Leg::BOTH {
            let found = self.resolve(leg, path);
            match found {
                Ok(i) if leg == Leg::A => {
                    let trust = fresh || sabotage == Some(Sabotage::Plan);
                    if !trust && self.look(|_, p| p.call.want[n] != Some(i)) {
                        return Prepared::Replan;
                    }
                }
                Ok(_) => {}
                Err(e) if leg == first && e.class() != ErrorClass::Semantic => {
                    return Prepared::Answer(Err(e));
                }
                Err(_) if leg == Leg::A && leg == first => return Prepared::Replan,
                Err(_) => return Prepared::Exclusive,
            }
            self.note((), |_, p| p.call.dirs[leg][n] = found.ok());
        }
        self.note((), |_, p| {
            if let (Some(a), false) = (p.call.dirs.a[n], dirs(path).is_empty()) {
                p.cache.insert(dirs(path).to_owned(), (a, now));
            }
        });
        Prepared::Ready
    }

    /// The same with exclusive access: the second leg's missing directories are made.
    fn prove_alone(&self, n: usize, path: &str) -> Prepared {
        let first = self.look(|_, p| p.first);
        match self.resolve(first, path) {
            Ok(i) => self.note((), |_, p| p.call.dirs[first][n] = Some(i)),
            Err(e) => return Prepared::Answer(Err(e)),
        }
        let mut found = self.resolve(first.other(), path);
        if found.is_err() {
            found = self
                .step(Err(Errno::EIO), |w, p| {
                    w.met(p, first.other(), Place::Effect)?;
                    w.heal_parents(p.pid, path, first)?;
                    w.legs[first.other()]
                        .parent(path)
                        .map(|(d, _)| u64::from(d))
                })
                .map(|d| d as Ino);
        }
        self.note((), |_, p| match found {
            Ok(i) => p.call.dirs[first.other()][n] = Some(i),
            Err(e) => p.call.lacks = Some(e),
        });
        Prepared::Ready
    }

    /// [`mirror_core::LegIo::prepare`] for a call by name.
    pub fn prepare_names(&self, alone: bool) -> Prepared {
        self.note((), |w, p| p.call.moves = w.moves);
        let op = self.op();
        for (n, path) in op.paths().into_iter().enumerate() {
            let r = if alone {
                self.prove_alone(n, path)
            } else {
                self.prove(n, path)
            };
            if r != Prepared::Ready || self.out() {
                return r;
            }
        }
        self.step(Prepared::Forward, |w, p| w.prove_names(p, alone))
    }
}

impl World {
    /// Looks at the names themselves, and keeps what the rest of the transaction needs.
    fn prove_names(&self, p: &mut Proc, alone: bool) -> Prepared {
        let (op, first) = (p.call.op.clone(), p.first);
        let at = PerLeg::by(|leg| p.call.at(leg));
        let entry = |leg: Leg, n: usize| {
            at[leg]
                .name(&op, n)
                .and_then(|(d, name)| self.legs[leg].entry(d, name))
        };
        if let Op::Open {
            excl: true,
            create: true,
            ..
        } = &*op
            && entry(first, 0).is_ok()
        {
            return Prepared::Answer(Err(Errno::EEXIST));
        }
        if !alone {
            let moves = Leg::BOTH
                .into_iter()
                .any(|l| moves_directory(&self.legs[l], &op, &at[l]));
            if moves && self.sabotage != Some(Sabotage::Rename) {
                return Prepared::Exclusive;
            }
            let found = entry(Leg::A, 0).ok();
            let dir = found.filter(|&i| self.legs.a.is_dir(i));
            let planned = matches!(&*op, Op::Rmdir { .. }) || op.attributes();
            if planned && dir != p.call.target && self.sabotage != Some(Sabotage::Plan) {
                return Prepared::Replan;
            }
            // A directory is locked, not the one above: it may be half made.
            let whole = op.attributes() && dir.is_some();
            if whole && entry(Leg::B, 0).is_err() {
                return Prepared::Exclusive;
            }
            let late = match &*op {
                Op::Open { trunc, .. } => *trunc,
                Op::Truncate { .. } => true,
                _ => op.attributes(),
            };
            p.call.late = found.filter(|_| late && dir.is_none());
        }
        if self.sabotage == Some(Sabotage::Early) {
            p.call.destroys = destroys(&self.legs[first], &op, &at[first]);
        }
        p.call.before = [0, 1].map(|n| entry(first, n).ok());
        Prepared::Ready
    }

    /// The plan for the file behind a name.
    pub fn late(&self, p: &Proc) -> LockPlan {
        match p.call.late {
            Some(_) if self.sabotage == Some(Sabotage::Late) => LockPlan::EMPTY,
            Some(i) => self.file_plan(
                p,
                PerLeg {
                    a: Some(i),
                    b: self.there(Leg::A, Some(i)),
                },
            ),
            None => LockPlan::EMPTY,
        }
    }
}
