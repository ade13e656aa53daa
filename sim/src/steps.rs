//! The steps of a process: the loop around the engine that the library has too.
use crate::effect::{At, effect};
use crate::fault::{Place, Sabotage};
use crate::op::Op;
use crate::port::Port;
use crate::proc::{Call, Life, MENDS, Phase, Proc};
use crate::world::{Desc, Left, Pid, World};
use mirror_core::policy::Act;
use mirror_core::{
    Drive, Errno, ErrorClass, Leg, LockMiss, LockPlan, Next, PerLeg, Prepared, Verdict, transact,
};

impl Proc {
    /// One step: one call of a port, and what follows from it.
    pub fn step(&mut self, w: &mut World) {
        self.steps += 1;
        self.memo.fuel = 1;
        self.wait = None;
        for object in std::mem::take(&mut self.late) {
            // Not sooner than the locks were given back.
            match w.holders.a.get(&object) {
                Some(&holder) if holder == self.pid => self.late.push(object),
                _ => w.free(object),
            }
        }
        while self.memo.fuel > 0 && self.life == Life::Runs && self.wait.is_none() {
            self.advance(w);
        }
    }

    fn advance(&mut self, w: &mut World) {
        match self.phase {
            Phase::Start => self.start(w),
            Phase::Plan => self.plan(w),
            Phase::Run(plan) => self.run(w, plan),
            Phase::Recover => self.recover(w),
            Phase::Mark(answer, marked) => self.mark(w, answer, marked),
            Phase::Lone => self.carry_out_alone(w),
            Phase::Sync(n, promise) => self.sync(w, n, promise),
            Phase::Opened(ino) => {
                self.memo.fuel = 0;
                let path = self.call.op.paths()[0].to_owned();
                let there = w.legs[self.first.other()].lookup(&path).ok();
                self.call.made[self.first] = Some(ino);
                self.call.made[self.first.other()] = there;
                let Op::Open { slot, .. } = *self.call.op else {
                    return;
                };
                self.finish(w, Ok(slot as u64));
            }
            Phase::Exit => {
                self.memo.fuel = 0;
                w.exited = true;
                self.life = Life::Done;
            }
        }
    }

    fn start(&mut self, w: &mut World) {
        let Some(op) = self.program.get(self.next).cloned() else {
            self.life = Life::Done;
            return;
        };
        let desc = op.slot().and_then(|s| self.slots.get(&s).copied());
        self.call = Call::new(op.clone(), desc);
        self.drive = Drive::new(None, MENDS);
        match &*op {
            Op::Nop | Op::Close { .. } => {
                self.memo.fuel = 0;
                if let Op::Close { slot } = *op {
                    self.slots.remove(&slot);
                }
                self.next += 1;
            }
            Op::Read { slot, len } => {
                self.memo.fuel = 0;
                self.read(w, *slot < 2, *len);
                self.next += 1;
            }
            Op::Fsync { .. } => {
                self.memo.fuel = 0;
                let promise = PerLeg::by(|l| w.disks[l].changes);
                self.phase = Phase::Sync(0, promise);
            }
            Op::Exit => {
                self.phase = Phase::Exit;
                if self.blocked_by(w).is_some() {
                    self.memo.fuel = 0;
                }
            }
            _ => self.begin(Phase::Plan),
        }
    }

    /// A reader takes no lock: it moves the position at any yield point of others.
    fn read(&mut self, w: &mut World, shared: bool, len: u64) {
        let Some(d) = self.call.desc else { return };
        let ino = w.descs[d].object[self.first];
        if w.disks[self.first].gone {
            return;
        }
        let size = ino.and_then(|i| w.legs[self.first].bytes(i).ok());
        let size = size.map_or(0, |b| b.len() as u64);
        let n = len.min(size.saturating_sub(w.descs[d].pos));
        w.descs[d].pos += n;
        w.descs[d].raced |= shared;
        w.log(self, Some(Ok(n)));
    }

    /// fsync: both legs, one after the other; what was changed before it is promised.
    fn sync(&mut self, w: &mut World, n: usize, promise: PerLeg<u64>) {
        self.memo.fuel = 0;
        let leg = if n == 0 {
            self.first
        } else {
            self.first.other()
        };
        if n == 2 || w.fault(leg, Place::Effect).is_err() {
            for (d, p) in w.disks.iter_mut().zip(promise) {
                d.promised = if n == 2 {
                    d.promised.max(p)
                } else {
                    d.promised
                };
            }
            self.next += 1;
            self.phase = Phase::Start;
            return;
        }
        w.sync(leg);
        self.phase = Phase::Sync(n + 1, promise);
    }

    fn plan(&mut self, w: &mut World) {
        if !self.drive.exclusive()
            && w.sabotage == Some(Sabotage::Open)
            && let Op::Open {
                path,
                create: false,
                ..
            } = &*self.call.op
        {
            self.memo.fuel = 0;
            let found = w.legs[self.first].lookup(path);
            w.log(self, None);
            match found {
                Ok(i) if !w.legs[self.first].is_dir(i) => self.phase = Phase::Opened(i),
                Ok(_) => self.finish(w, Err(Errno::EISDIR)),
                Err(e) => self.finish(w, Err(e)),
            }
            return;
        }
        let mut drive = self.drive.clone();
        let plan = drive.plan(|| {
            let found = Port::new(w, self).plan();
            found.map_err(|e| Prepared::Answer(Err(e)))
        });
        if self.memo.out {
            return;
        }
        self.drive = drive;
        match plan {
            Ok(plan) => {
                (self.alone, self.lost) = (w.away, None);
                self.begin(Phase::Run(plan));
            }
            // What is remembered of one name is no ground for an answer about the other.
            Err(_) if self.call.known != [None; 2] => {
                self.cache.clear();
                self.again(w, None);
            }
            Err(Next::Answer(answer)) => {
                let n = w.log(self, None);
                // A kernel too looks up two names one after the other, and whoever looks without a
                // lock sees what may be taken back.
                let looks = self.call.op.paths().len();
                w.log[n].loose = w.mixed || looks > 1 || !w.healthy();
                self.finish(w, answer);
            }
            Err(next) => w.violate(format!("a plan came to {next:?}")),
        }
    }

    fn run(&mut self, w: &mut World, plan: LockPlan) {
        let append = self.call.desc.is_some_and(|d| w.descs[d].append);
        let action = self.call.op.action(append);
        let verdict = transact(&mut Port::new(w, self), plan, action);
        if self.memo.out {
            return;
        }
        w.inside.remove(&self.pid);
        self.entered = false;
        if w.strict && w.holders.iter().any(|h| h.values().any(|&p| p == self.pid)) {
            w.violate(format!("{verdict:?} with a lock held"));
        }
        w.left += u32::from(matches!(verdict, Verdict::Left(_)));
        let next = self.drive.ran(verdict, self.call.unequal);
        self.follow(w, next);
    }

    fn follow(&mut self, w: &mut World, next: Next) {
        match next {
            Next::Answer(answer) if self.leaves(w, answer) => {
                self.begin(Phase::Mark(answer, false));
            }
            Next::Answer(answer) => self.finish(w, answer),
            Next::Native => w.violate("a call was forwarded".into()),
            Next::Unresolved => w.violate("a name was to be resolved again".into()),
            Next::Alone => {
                self.void(w);
                self.begin(Phase::Lone);
            }
            Next::Lone(answer) => w.violate(format!("carried out alone: {answer:?}")),
            // The library gives everything up for a wait, what it has decided too.
            Next::Wait(object) => {
                self.drive = Drive::new(None, MENDS);
                self.again(w, Some(object));
            }
            Next::Again => self.again(w, None),
            Next::Recover(_) => {
                if self.drive.left().is_none() {
                    self.void(w);
                }
                self.begin(Phase::Recover);
            }
        }
    }

    fn void(&mut self, w: &mut World) {
        if let Some(e) = self.call.entry {
            w.log[e].void = true;
        }
        let faulted = self.call.faulted;
        self.call = Call::new(self.call.op.clone(), self.call.desc);
        self.call.faulted = faulted;
    }

    fn again(&mut self, w: &mut World, wait: Option<usize>) {
        self.void(w);
        self.wait = wait;
        self.begin(Phase::Plan);
    }

    fn recover(&mut self, w: &mut World) {
        let r = mirror_core::recover(&mut Port::new(w, self));
        if self.memo.out {
            return;
        }
        let failed = matches!(r, Err(LockMiss::Failed(_)));
        self.call.faulted |= failed && self.drive.left().is_none();
        let next = self.drive.recovered(r);
        self.follow(w, next);
    }

    /// Whether leg b is away after a change that came to `answer`, or is to be left behind.
    fn leaves(&self, w: &World, answer: Result<u64, Errno>) -> bool {
        let why = match (self.lost, answer) {
            (Some(e), _) => e,
            (None, Err(e)) if e.class() == ErrorClass::Leg => e,
            _ => return false,
        };
        self.first == Leg::A && !self.alone && w.policy(why) != Act::Fail
    }

    /// A step for the mark, one for the word: whoever dies in between has left the mark alone.
    fn mark(&mut self, w: &mut World, answer: Result<u64, Errno>, marked: bool) {
        self.memo.fuel = 0;
        if !marked && w.sabotage != Some(Sabotage::Mark) {
            w.mark = true;
            self.phase = Phase::Mark(answer, true);
            return;
        }
        w.away = true;
        match answer {
            Ok(_) => self.finish(w, answer),
            // It was put back: leg a's to do again.
            Err(_) => self.again(w, None),
        }
    }

    /// The kernel's call, on leg a.
    fn carry_out_alone(&mut self, w: &mut World) {
        self.memo.fuel = 0;
        if !w.mark {
            w.violate("changed leg a alone without a mark".into());
        }
        w.lone += 1;
        let op = self.call.op.clone();
        let object = self.call.desc.and_then(|d| w.descs[d].object[Leg::A]);
        let answer = match (op.data(), self.call.desc, object) {
            (Some(data), Some(d), Some(ino)) => {
                let end = w.legs[Leg::A].bytes(ino).map_or(0, |b| b.len() as u64);
                let at = match &*op {
                    _ if w.descs[d].append => end,
                    Op::PWrite { at, .. } => *at,
                    _ => w.descs[d].pos,
                };
                self.call.position = Some(w.descs[d].pos);
                let done = w.legs[Leg::A].write(ino, at, data);
                if let (Ok(n), Op::Write { .. }) = (done, &*op) {
                    w.descs[d].pos = at + n;
                }
                done
            }
            _ if op.slot().is_some()
                && self.call.desc.is_none()
                && !matches!(&*op, Op::Open { .. }) =>
            {
                Err(Errno::EBADF)
            }
            _ => At::find(&w.legs[Leg::A], &op, object)
                .and_then(|at| effect(&mut w.legs[Leg::A], &op, &at))
                .map(|done| {
                    self.call.made = [done.ino, None].into();
                    done.value
                }),
        };
        self.finish(w, answer);
    }

    fn finish(&mut self, w: &mut World, answer: Result<u64, Errno>) {
        let lacks =
            self.lost.is_some() && w.disks[Leg::B].gone && w.policy(Errno::EIO) != Act::Fail;
        if answer.is_ok() && self.first == Leg::A && lacks && !w.mark {
            w.violate(format!("success before the mark: {:?}", self.call.op));
        }
        if answer == Err(Errno::EIO) && self.first == Leg::A && w.degrades() {
            w.violate(format!(
                "an error although leg a goes on: {:?}",
                self.call.op
            ));
        }
        let n = w.log(self, Some(answer));
        let answer = self.handed_out(w, n, answer);
        w.log[n].answer = Some(answer);
        if let (
            Op::Open {
                slot, path, append, ..
            },
            Ok(_),
        ) = (&*self.call.op, answer)
        {
            let d = w.descs.len();
            w.log[n].desc = Some(d);
            self.slots.insert(*slot, d);
            w.descs.push(Desc {
                object: self.call.made,
                path: path.clone(),
                append: *append,
                pos: 0,
                raced: false,
            });
        }
        self.next += 1;
        self.phase = Phase::Start;
        self.missed = false;
    }
}

impl Proc {
    /// No descriptor is handed out whose changes would reach one leg only, or whose file was to be emptied
    /// and is not.
    fn handed_out(
        &mut self,
        w: &mut World,
        n: usize,
        answer: Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        let c = &self.call;
        if !matches!(&*c.op, Op::Open { .. }) || answer.is_err() || w.disks.iter().any(|d| d.gone) {
            return answer;
        }
        let paired = c.opened || w.there(self.first, c.made[self.first]).is_some();
        if paired && (!c.later || c.emptied) {
            return answer;
        }
        // What was made is there, and on record.
        w.log[n].left = match c.before[0] {
            None => Left::Made,
            Some(_) => Left::Nothing,
        };
        Err(Errno::EIO)
    }
}

/// Ends what crashed processes left, in one go: who comes after all others.
pub fn settle(w: &mut World, pid: Pid) -> Result<(), LockMiss> {
    let mut p = Proc::new(pid, w.source, &[]);
    (p.memo.fuel, p.asks) = (u32::MAX, true);
    mirror_core::recover(&mut Port::new(w, &mut p))
}
