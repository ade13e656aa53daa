//! A process: its program, and the loop around the engine that the library has too.
use crate::effect::At;
use crate::fault::{Place, Sabotage};
use crate::memo::Memo;
use crate::op::Op;
use crate::port::Port;
use crate::tree::{Ino, Tree};
use crate::world::{Desc, Pid, Record, World};
use mirror_core::{Drive, Errno, LockMiss, LockPlan, Next, Prepared, Verdict, mend, transact};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// What has been found out for the call under way.
#[derive(Clone, Debug, Hash)]
pub struct Call {
    /// The call.
    pub op: Rc<Op>,
    /// Description behind the slot.
    pub desc: Option<usize>,
    /// Inodes behind it.
    pub object: [Option<Ino>; 2],
    /// Planned directories on leg a, by name.
    pub want: [Option<Ino>; 2],
    /// The generation of those that were remembered.
    pub known: [Option<u64>; 2],
    /// The generation under the locks, before each name was resolved.
    pub read: [Option<u64>; 2],
    /// The planned directory itself, on leg a.
    pub target: Option<Ino>,
    /// Directories as resolved under the locks: leg, name.
    pub dirs: [[Option<Ino>; 2]; 2],
    /// Why the second leg has none.
    pub lacks: Option<Errno>,
    /// What the names meant on the first leg.
    pub before: [Option<Ino>; 2],
    /// It loses something.
    pub destroys: bool,
    /// The file to lock late, on leg a.
    pub late: Option<Ino>,
    /// What was opened or made, by leg.
    pub made: [Option<Ino>; 2],
    /// Renames of directories when it was resolved.
    pub moves: u64,
    /// The position that the engine was told.
    pub position: Option<u64>,
    /// Line of the log.
    pub entry: Option<usize>,
    /// A fault was met.
    pub faulted: bool,
}

impl Call {
    fn new(op: Rc<Op>, desc: Option<usize>) -> Call {
        Call {
            op,
            desc,
            object: [None; 2],
            want: [None; 2],
            known: [None; 2],
            read: [None; 2],
            target: None,
            dirs: [[None; 2]; 2],
            lacks: None,
            before: [None; 2],
            destroys: false,
            late: None,
            made: [None; 2],
            moves: 0,
            position: None,
            entry: None,
            faulted: false,
        }
    }
    /// Where the call acts on a leg.
    pub fn at(&self, leg: usize) -> At {
        At {
            dirs: self.dirs[leg],
            object: self.object[leg],
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Start,
    Plan,
    Run(LockPlan),
    /// Ending what the dead left, or what this change left.
    Mend,
    /// Syncing the legs: how many are done, and the changes that are promised.
    Sync(usize, [u64; 2]),
    /// An open without locks (a sabotage): the inode on the first leg.
    Opened(Ino),
    /// exit: waits for the other threads.
    Exit,
}

/// Whether a process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// It has something to do.
    Runs,
    /// Its program is over.
    Done,
    /// Killed.
    Dead,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Proc {
    /// Its number.
    pub pid: Pid,
    /// The leg that it addresses.
    pub first: usize,
    /// Whether it goes on.
    pub life: Life,
    /// By SIGSTOP.
    pub stopped: bool,
    /// Steps made.
    pub steps: u32,
    /// The call under way.
    pub call: Call,
    /// The answers to it so far.
    pub memo: Memo,
    /// Intents that it heals.
    pub healing: Vec<Option<Record>>,
    /// What it has read of a leg, to write it to the other one.
    pub image: Option<Tree>,
    /// What it remembers of paths: the directory on leg a, and the generation then.
    pub cache: BTreeMap<String, (Ino, u64)>,
    /// It occupies posts.
    pub entered: bool,
    /// It has missed a lock (for a sabotage).
    pub missed: bool,
    program: Rc<Vec<Rc<Op>>>,
    next: usize,
    slots: BTreeMap<usize, usize>,
    phase: Phase,
    /// The object that it waits for.
    wait: Option<usize>,
    drive: Drive,
}

/// How often a process tries to end its own change that the second leg lacks.
const MENDS: u32 = 2;

impl Proc {
    /// What tells two states of a process apart. Generations count only as fresh or not: they grow
    /// with every try.
    pub fn key<H: Hasher>(&self, generation: u64, h: &mut H) {
        let fresh = |g: u64| u64::from(g == generation);
        let call = Call {
            known: self.call.known.map(|g| g.map(fresh)),
            read: self.call.read.map(|g| g.map(fresh)),
            ..self.call.clone()
        };
        (self.life, self.stopped, call, self.memo.key()).hash(h);
        (&self.healing, &self.image, self.entered, self.missed).hash(h);
        for (text, &(dir, g)) in &self.cache {
            (text, dir, fresh(g)).hash(h);
        }
        (self.next, &self.slots, self.wait).hash(h);
        self.drive.hash(h);
        match self.phase {
            Phase::Start => (0, 0, 0).hash(h),
            Phase::Plan => (1, 0, 0).hash(h),
            Phase::Run(p) => (2, p.objects().collect::<Vec<_>>()).hash(h),
            Phase::Mend => (3, 0, 0).hash(h),
            Phase::Sync(n, p) => (4, n, p).hash(h),
            Phase::Opened(i) => (5, i, 0).hash(h),
            Phase::Exit => (6, 0, 0).hash(h),
        }
    }

    /// A process that has not begun. Slots 0 and 1 are open.
    pub fn new(pid: Pid, first: usize, program: &[Op]) -> Proc {
        Proc {
            pid,
            first,
            life: Life::Runs,
            stopped: false,
            steps: 0,
            call: Call::new(Rc::new(Op::Nop), None),
            memo: Memo::default(),
            healing: Vec::new(),
            image: None,
            cache: BTreeMap::new(),
            entered: false,
            missed: false,
            program: Rc::new(program.iter().cloned().map(Rc::new).collect()),
            next: 0,
            slots: [(0, 0), (1, 1)].into(),
            phase: Phase::Start,
            wait: None,
            drive: Drive::new(None, MENDS),
        }
    }

    /// Whether it can make a step: it runs, is not stopped, and what it waits for is free.
    pub fn ready(&self, w: &World) -> bool {
        self.life == Life::Runs && !self.stopped && self.blocked_by(w).is_none()
    }

    /// Who has the object that it waits for.
    pub fn blocked_by(&self, w: &World) -> Option<Pid> {
        let other =
            |h: &BTreeMap<usize, Pid>, o: usize| h.get(&o).copied().filter(|&p| p != self.pid);
        match (self.phase, self.wait) {
            (Phase::Exit, _) if w.sabotage != Some(Sabotage::Gate) => {
                let all = w.holders.iter().flat_map(|h| h.values());
                all.copied().find(|&p| p != self.pid)
            }
            (_, Some(o)) => w.holders.iter().find_map(|h| other(h, o)),
            _ => None,
        }
    }

    /// Kills it.
    pub fn die(&mut self, w: &mut World) {
        self.life = Life::Dead;
        w.die(self.pid);
    }

    fn begin(&mut self, phase: Phase) {
        self.memo.clear();
        self.healing.clear();
        self.phase = phase;
    }

    /// One step: one call of a port, and what follows from it.
    pub fn step(&mut self, w: &mut World) {
        self.steps += 1;
        self.memo.fuel = 1;
        self.wait = None;
        while self.memo.fuel > 0 && self.life == Life::Runs && self.wait.is_none() {
            self.advance(w);
        }
    }

    fn advance(&mut self, w: &mut World) {
        match self.phase {
            Phase::Start => self.start(w),
            Phase::Plan => self.plan(w),
            Phase::Run(plan) => self.run(w, plan),
            Phase::Mend => self.mend(w),
            Phase::Sync(n, promise) => self.sync(w, n, promise),
            Phase::Opened(ino) => {
                self.memo.fuel = 0;
                let path = self.call.op.paths()[0].to_owned();
                let there = w.legs[1 - self.first].lookup(&path).ok();
                self.call.made[self.first] = Some(ino);
                self.call.made[1 - self.first] = there;
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
                let promise = [0, 1].map(|l| w.disks[l].changes);
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
    fn sync(&mut self, w: &mut World, n: usize, promise: [u64; 2]) {
        self.memo.fuel = 0;
        let leg = if n == 0 { self.first } else { 1 - self.first };
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
            Ok(plan) => self.begin(Phase::Run(plan)),
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
        let next = self.drive.ran(verdict, false);
        self.follow(w, next);
    }

    fn follow(&mut self, w: &mut World, next: Next) {
        match next {
            Next::Answer(answer) => self.finish(w, answer),
            Next::Native => w.violate("a call was forwarded".into()),
            // The library gives everything up for a wait, what it has decided too.
            Next::Wait(object) => {
                self.drive = Drive::new(None, MENDS);
                self.again(w, Some(object));
            }
            Next::Again => self.again(w, None),
            Next::Mend(_) => {
                if self.drive.left().is_none() {
                    self.void(w);
                }
                self.begin(Phase::Mend);
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

    fn mend(&mut self, w: &mut World) {
        let r = mend(&mut Port::new(w, self));
        if self.memo.out {
            return;
        }
        let failed = matches!(r, Err(LockMiss::Failed(_)));
        self.call.faulted |= failed && self.drive.left().is_none();
        let next = self.drive.mended(r);
        self.follow(w, next);
    }

    fn finish(&mut self, w: &mut World, answer: Result<u64, Errno>) {
        let n = w.log(self, Some(answer));
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

/// Ends what the dead left, in one go: who comes after all others.
pub fn settle(w: &mut World, pid: Pid) -> Result<(), LockMiss> {
    let mut p = Proc::new(pid, w.source, &[]);
    p.memo.fuel = u32::MAX;
    mend(&mut Port::new(w, &mut p))
}
