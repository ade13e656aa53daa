//! Everything the processes share: the legs, their locks, the runtime file's records, the open
//! descriptions, the pending record, and the log that the oracle replays.
use crate::fault::{ErrorAt, Faults, Sabotage};
use crate::op::{Op, effect};
use crate::rng::Rng;
use crate::tree::{Ino, Tree};
use mirror_core::{Errno, LockPlan};
use std::collections::{BTreeMap, BTreeSet};

/// A simulated process.
pub type Pid = usize;

/// An open description.
#[derive(Clone, Debug)]
pub struct Desc {
    /// Inode on the first leg; the partner is found by it.
    pub ino: Ino,
    /// O_APPEND.
    pub append: bool,
    /// Position.
    pub pos: u64,
    /// A reader or a death moved the position at its own time: it has no place in the lock order.
    pub raced: bool,
}

/// The intent of a transaction.
#[derive(Clone, Debug)]
pub struct Record {
    /// The call.
    pub op: Op,
    /// The inode on the first leg behind its descriptor.
    pub object: Option<Ino>,
    /// Inodes that its names meant before the change, with their leg.
    pub before: Vec<(usize, Ino)>,
    /// It touches what is pending already.
    pub tainted: bool,
}

/// Objects known to differ.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Inodes, with their leg.
    pub inos: BTreeSet<(usize, Ino)>,
    /// Names: leg, directory, name.
    pub entries: BTreeSet<(usize, Ino, String)>,
    /// What was recorded, and why; for the oracle.
    pub causes: Vec<(Op, Errno)>,
}

/// What a transaction left on the first leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// The call.
    Call,
    /// This many bytes at this offset.
    Bytes(u64, u64),
}

/// A line of the log, in lock order.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub pid: Pid,
    /// What.
    pub op: Op,
    /// On which description.
    pub desc: Option<usize>,
    /// The position that the engine was told.
    pub at: Option<u64>,
    /// A fault was injected on the way.
    pub faulted: bool,
    /// The effect that stays.
    pub left: Left,
    /// The answer; `None`: killed before it.
    pub answer: Option<Result<u64, Errno>>,
}

/// The shared world.
#[derive(Debug)]
pub struct World {
    /// The legs by id.
    pub legs: [Tree; 2],
    /// Inode of the same object on the other leg, by leg.
    pub partner: [BTreeMap<Ino, Ino>; 2],
    /// The leg that is changed first.
    pub source: usize,
    /// Holders of the lock objects: leg, stripe.
    pub holders: [BTreeMap<u32, Pid>; 2],
    /// Announced transactions by stripe.
    pub records: BTreeMap<u32, Record>,
    /// Open descriptions; never removed.
    pub descs: Vec<Desc>,
    /// The pending record.
    pub pending: Pending,
    /// The log.
    pub log: Vec<Entry>,
    /// First broken rule.
    pub violation: Option<String>,
    /// Transactions whose dead holder was healed.
    pub healed: u32,
    /// Injected errors that were met.
    pub injected: u32,
    /// Defect of the ports.
    pub sabotage: Option<Sabotage>,
    /// The tree that both legs start from (numbers of the first leg).
    pub start: Tree,
    effects: [u32; 2],
    errors: Vec<ErrorAt>,
    short: Option<Rng>,
}

/// The stripes of a plan.
pub fn stripes(plan: LockPlan) -> impl Iterator<Item = u32> {
    (0..64).filter(move |n| plan.stripes() >> n & 1 == 1)
}

impl World {
    /// Both legs with the same small population; descriptions 0 and 1 are open on `shared`.
    pub fn new(seed: u64, source: usize, faults: &Faults, sabotage: Option<Sabotage>) -> World {
        let mut w = World {
            legs: [Tree::new(1000), Tree::new(5000)],
            partner: [BTreeMap::new(), BTreeMap::new()],
            source,
            holders: [BTreeMap::new(), BTreeMap::new()],
            records: BTreeMap::new(),
            descs: Vec::new(),
            pending: Pending::default(),
            log: Vec::new(),
            violation: None,
            healed: 0,
            injected: 0,
            sabotage,
            start: Tree::new(0),
            effects: [0; 2],
            errors: faults.errors.clone(),
            short: faults.short.then(|| Rng::new(seed ^ 0x5407)),
        };
        let (a, b) = (w.legs[0].root(), w.legs[1].root());
        w.pair(0, a, b);
        let file = |path: &str| Op::Open {
            slot: 0,
            path: path.into(),
            create: true,
            excl: true,
            trunc: false,
            append: false,
            mode: 0o644,
        };
        let mut shared = a;
        for op in [
            Op::Mkdir {
                path: "d".into(),
                mode: 0o755,
            },
            Op::Mkdir {
                path: "d/e".into(),
                mode: 0o755,
            },
            file("a"),
            file("d/b"),
            file("shared"),
        ] {
            let made = [0, 1].map(|l| effect(&mut w.legs[l], &op, None).ok().and_then(|d| d.ino));
            if let [Some(a), Some(b)] = made {
                w.pair(0, a, b);
                shared = [a, b][source];
            }
        }
        for append in [false, true] {
            w.descs.push(Desc {
                ino: shared,
                append,
                pos: 0,
                raced: false,
            });
        }
        w.start = w.legs[source].clone();
        w
    }

    /// The leg that is changed second.
    pub fn other(&self) -> usize {
        1 - self.source
    }

    /// Says that two inodes are one object.
    pub fn pair(&mut self, leg: usize, here: Ino, there: Ino) {
        self.partner[leg].insert(here, there);
        self.partner[1 - leg].insert(there, here);
    }

    /// The first broken rule is kept.
    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// A leg, to change it: both locks must be held by whoever asks (claim 6).
    pub fn leg_mut(&mut self, pid: Pid, leg: usize) -> &mut Tree {
        let held = self
            .holders
            .iter()
            .filter(|h| h.values().any(|&p| p == pid))
            .count();
        if held != 2 {
            self.violate(format!(
                "process {pid} changed leg {leg} with {held} of 2 locks"
            ));
        }
        &mut self.legs[leg]
    }

    /// Counts an effect on a leg; the error that is due there.
    pub fn fault(&mut self, leg: usize, entry: Option<usize>) -> Result<(), Errno> {
        let n = self.effects[leg];
        self.effects[leg] += 1;
        let second = leg != self.source;
        let due = self
            .errors
            .iter()
            .find(|e| e.second == second && (e.nth..e.nth.saturating_add(e.times)).contains(&n));
        let Some(errno) = due.map(|e| e.errno) else {
            return Ok(());
        };
        self.injected += 1;
        if let Some(e) = entry.and_then(|e| self.log.get_mut(e)) {
            e.faulted = true;
        }
        Err(errno)
    }

    /// How many of `n` bytes a write takes this time.
    pub fn shorten(&mut self, n: usize, entry: Option<usize>) -> usize {
        let Some(r) = &mut self.short else { return n };
        if n < 2 || !r.one_in(2) {
            return n;
        }
        if let Some(e) = entry.and_then(|e| self.log.get_mut(e)) {
            e.faulted = true;
        }
        1 + r.below(n - 1)
    }

    /// A process is no more: the kernel frees its locks; its record stays.
    pub fn die(&mut self, pid: Pid) {
        for h in &mut self.holders {
            h.retain(|_, p| *p != pid);
        }
        if let Some(e) = self
            .log
            .iter()
            .rfind(|e| e.pid == pid && e.answer.is_none())
            .and_then(|e| e.desc)
        {
            self.descs[e].raced = true;
        }
    }

    /// Whether an inode is known to differ.
    pub fn covered(&self, leg: usize, ino: Option<Ino>) -> bool {
        ino.is_some_and(|i| self.pending.inos.contains(&(leg, i)))
    }

    /// Whether the call's objects, or what they lie in, are pending.
    pub fn touches_pending(&self, op: &Op, object: Option<Ino>) -> bool {
        let there = object.and_then(|i| self.partner[self.source].get(&i).copied());
        self.covered(self.source, object)
            || self.covered(self.other(), there)
            || op.paths().iter().any(|p| {
                (0..2).any(|leg| {
                    self.legs[leg].trail(p).into_iter().any(|(dir, name, ino)| {
                        self.covered(leg, ino)
                            || self.pending.entries.contains(&(leg, dir, name.to_owned()))
                    })
                })
            })
    }

    /// Adds the objects of a record, as they are now and were before, to the pending record.
    pub fn taint(&mut self, r: &Record) {
        if self.sabotage == Some(Sabotage::Pending) {
            return;
        }
        self.pending.inos.extend(r.before.iter().copied());
        if let Some(o) = r.object {
            self.pending.inos.insert((self.source, o));
        }
        for leg in 0..2 {
            for p in r.op.paths() {
                if let Ok((d, n)) = self.legs[leg].parent(p) {
                    self.pending.entries.insert((leg, d, n.to_owned()));
                }
                if let Ok(i) = self.legs[leg].lookup(p) {
                    self.pending.inos.insert((leg, i));
                }
            }
        }
    }
}
