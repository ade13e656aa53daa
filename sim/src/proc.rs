//! A process: its program, and where it stands in it.
use crate::effect::At;
use crate::fault::Sabotage;
use crate::memo::Memo;
use crate::op::Op;
use crate::tree::{Ino, Meta, Tree};
use crate::world::{Pid, Record, World};
use mirror_core::repair::Names;
use mirror_core::{Drive, Errno, LockPlan};
use mirror_core::{Leg, PerLeg};
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
    pub object: PerLeg<Option<Ino>>,
    /// Planned directories on leg a, by name.
    pub want: [Option<Ino>; 2],
    /// The generation of those that were remembered.
    pub known: [Option<u64>; 2],
    /// The generation under the locks, before each name was resolved.
    pub read: [Option<u64>; 2],
    /// The planned directory itself, on leg a.
    pub target: Option<Ino>,
    /// Directories as resolved under the locks: leg, name.
    pub dirs: PerLeg<[Option<Ino>; 2]>,
    /// Why the second leg has none.
    pub lacks: Option<Errno>,
    /// What the names meant on the first leg.
    pub before: [Option<Ino>; 2],
    /// It loses something.
    pub destroys: bool,
    /// Attributes and size of its object on the first leg, just before that was changed.
    pub stat: Option<Meta>,
    /// See `stat`.
    pub size: usize,
    /// The first leg's file is emptied only after the second leg's was asked for once more.
    pub later: bool,
    /// See `later`: it has been.
    pub emptied: bool,
    /// The second leg's file is open beside the first leg's.
    pub opened: bool,
    /// It has made something on the second leg.
    pub second: bool,
    /// A part of it has been taken back on the first leg.
    pub half: bool,
    /// The legs were seen not to look alike.
    pub unequal: bool,
    /// The file to lock late, on leg a.
    pub late: Option<Ino>,
    /// What was opened or made, by leg.
    pub made: PerLeg<Option<Ino>>,
    /// Renames of directories when it was resolved.
    pub moves: u64,
    /// The object that leads its intent, until the second leg's turn.
    pub first_lock: Option<usize>,
    /// The position that the engine was told.
    pub position: Option<u64>,
    /// Line of the log.
    pub entry: Option<usize>,
    /// A fault was met.
    pub faulted: bool,
}

impl Call {
    pub(crate) fn new(op: Rc<Op>, desc: Option<usize>) -> Call {
        Call {
            op,
            desc,
            object: PerLeg::default(),
            want: [None; 2],
            known: [None; 2],
            read: [None; 2],
            target: None,
            dirs: PerLeg::default(),
            lacks: None,
            before: [None; 2],
            destroys: false,
            stat: None,
            size: 0,
            later: false,
            emptied: false,
            opened: false,
            second: false,
            half: false,
            unequal: false,
            late: None,
            made: PerLeg::default(),
            moves: 0,
            first_lock: None,
            position: None,
            entry: None,
            faulted: false,
        }
    }
    /// Where the call acts on a leg.
    pub fn at(&self, leg: Leg) -> At {
        At {
            dirs: self.dirs[leg],
            object: self.object[leg],
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Start,
    Plan,
    Run(LockPlan),
    /// The change has come to this answer, and leg b is left behind: first the mark, then the word.
    Mark(Result<u64, Errno>, bool),
    /// Leg b is away: the kernel's, on leg a.
    Lone,
    /// Ending what crashed processes left, or what this change left.
    Recover,
    /// Syncing the legs: how many are done, and the changes that are promised.
    Sync(usize, PerLeg<u64>),
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
    pub first: Leg,
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
    /// What it saw of them: which, and the how manieth look.
    pub seen: BTreeMap<(usize, usize), Names>,
    /// What it has read of a leg, to write it to the other one.
    pub image: Option<Tree>,
    /// Which bytes of it are to be written.
    pub span: (usize, usize),
    /// Posts that it frees too late (a sabotage).
    pub late: Vec<usize>,
    /// What it remembers of paths: the directory on leg a, and the generation then.
    pub cache: BTreeMap<String, (Ino, u64)>,
    /// It occupies posts.
    pub entered: bool,
    /// It has missed a lock (for a sabotage).
    pub missed: bool,
    /// The dead holder that it met last.
    pub met: Option<Pid>,
    /// It asks for whoever it meets, as the command does.
    pub asks: bool,
    /// Leg b was away when this attempt began.
    pub alone: bool,
    /// What leg b has answered to it.
    pub lost: Option<Errno>,
    pub(crate) program: Rc<Vec<Rc<Op>>>,
    pub(crate) next: usize,
    pub(crate) slots: BTreeMap<usize, usize>,
    pub(crate) phase: Phase,
    /// The object that it waits for.
    pub(crate) wait: Option<usize>,
    pub(crate) drive: Drive,
}

/// How often a process tries to end its own change that the second leg lacks.
pub(crate) const MENDS: u32 = 2;

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
        (
            &self.healing,
            &self.seen,
            &self.image,
            self.span,
            &self.late,
            self.entered,
            self.missed,
            self.met,
            self.alone,
            self.lost,
        )
            .hash(h);
        for (text, &(dir, g)) in &self.cache {
            (text, dir, fresh(g)).hash(h);
        }
        (self.next, &self.slots, self.wait).hash(h);
        self.drive.hash(h);
        match self.phase {
            Phase::Start => (0, 0, 0).hash(h),
            Phase::Plan => (1, 0, 0).hash(h),
            Phase::Run(p) => (2, p.objects().collect::<Vec<_>>()).hash(h),
            Phase::Recover => (3, 0, 0).hash(h),
            Phase::Sync(n, p) => (4, n, p).hash(h),
            Phase::Opened(i) => (5, i, 0).hash(h),
            Phase::Exit => (6, 0, 0).hash(h),
            Phase::Mark(answer, marked) => (7, answer, marked).hash(h),
            Phase::Lone => (8, 0, 0).hash(h),
        }
    }

    /// A process that has not begun. Slots 0 and 1 are open.
    pub fn new(pid: Pid, first: Leg, program: &[Op]) -> Proc {
        Proc {
            pid,
            first,
            life: Life::Runs,
            stopped: false,
            steps: 0,
            call: Call::new(Rc::new(Op::Nop), None),
            memo: Memo::default(),
            healing: Vec::new(),
            seen: BTreeMap::new(),
            image: None,
            span: (0, 0),
            late: Vec::new(),
            cache: BTreeMap::new(),
            entered: false,
            missed: false,
            met: None,
            asks: false,
            alone: false,
            lost: None,
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
        if self.call.half {
            w.halve(self);
        }
        w.die(self.pid);
    }

    pub(crate) fn begin(&mut self, phase: Phase) {
        self.memo.clear();
        self.healing.clear();
        self.seen.clear();
        self.phase = phase;
    }
}
