//! Everything the processes share: the legs, their locks, the runtime file, the open descriptions,
//! the pending record, and the log that the oracle replays.
use crate::disk::Disk;
use crate::effect::{At, Need, effect};
use crate::fault::{ErrorAt, Faults, Place, Sabotage};
use crate::op::Op;
use crate::rng::Rng;
use crate::tree::{CAPABILITY, Ino, Tree};
use mirror_core::runtime::Intent;
use mirror_core::{Errno, Leg, LockPlan, PerLeg, WHOLE};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// A simulated process.
pub type Pid = usize;

/// An open description.
#[derive(Clone, Debug, Hash)]
pub struct Desc {
    /// Inode on each leg, as it was opened there.
    pub object: PerLeg<Option<Ino>>,
    /// The name it was opened by.
    pub path: String,
    /// O_APPEND.
    pub append: bool,
    /// Position.
    pub pos: u64,
    /// A reader or a death moved the position at its own time: it has no place in the lock order.
    pub raced: bool,
}

/// The intent of a transaction.
#[derive(Clone, Debug, Hash)]
pub struct Record {
    /// Whose.
    pub pid: Pid,
    /// Lock objects of what it has changed so far.
    pub touched: BTreeSet<usize>,
    /// The call.
    pub op: Rc<Op>,
    /// The leg that is changed first.
    pub first: Leg,
    /// The inodes behind its descriptor.
    pub object: PerLeg<Option<Ino>>,
    /// What it says for whoever must end it.
    pub intent: Intent,
    /// Inodes that its names meant before the change, with their leg.
    pub before: Vec<(Leg, Ino)>,
    /// It touches what is pending already.
    pub tainted: bool,
}

/// Objects known to differ.
#[derive(Clone, Debug, Default, Hash)]
pub struct Pending {
    /// Inodes, with their leg.
    pub inos: BTreeSet<(Leg, Ino)>,
    /// Names: leg, directory, name.
    pub entries: BTreeSet<(Leg, Ino, String)>,
    /// What was recorded, and why; for the oracle.
    pub causes: Vec<(Rc<Op>, Errno)>,
}

/// What a transaction left on the first leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// The call.
    Call,
    /// This many bytes at this offset.
    Bytes(u64, u64),
    /// Set-id bits and capabilities are gone, although the call failed.
    Beside,
    /// A file, although its open failed.
    Made,
}

/// A line of the log, in the order in which the first legs were reached.
#[derive(Clone, Debug, Hash)]
pub struct Entry {
    /// Who.
    pub pid: Pid,
    /// What.
    pub op: Rc<Op>,
    /// On which description.
    pub desc: Option<usize>,
    /// The position that the engine was told.
    pub at: Option<u64>,
    /// A fault was injected on the way.
    pub faulted: bool,
    /// Taken back, to be done again.
    pub void: bool,
    /// An error, told without a lock, while what was seen may be taken back, from two looks, or from
    /// another leg than the one that others change first: it has no place in this order.
    pub loose: bool,
    /// The effect that stays.
    pub left: Left,
    /// The answer; `None`: killed before it.
    pub answer: Option<Result<u64, Errno>>,
}

/// The shared world.
#[derive(Clone, Debug)]
pub struct World {
    /// The legs by id.
    pub legs: PerLeg<Tree>,
    /// Inode of the same object on the other leg, by leg.
    pub partner: PerLeg<BTreeMap<Ino, Ino>>,
    /// The leg that is changed first, or that the first process changes first.
    pub source: Leg,
    /// Not all processes address the same leg.
    pub mixed: bool,
    /// Stripes of each lock table.
    pub stripes: usize,
    /// Holders of the lock objects, by leg.
    pub holders: PerLeg<BTreeMap<usize, Pid>>,
    /// Locks are words: the kernel frees none, and who meets a dead holder twice succeeds it.
    pub words: bool,
    /// Words of the dead, by leg and object.
    pub corpses: PerLeg<BTreeMap<usize, Pid>>,
    /// Occupied posts.
    pub posts: BTreeMap<usize, u32>,
    /// Intents, by first lock.
    pub records: BTreeMap<usize, Record>,
    /// The EXCLUSIVE bit.
    pub exclusive: bool,
    /// The generation of paths.
    pub generation: u64,
    /// Renames of directories, on either leg.
    pub moves: u64,
    /// Who is between its look at the bit and its leave.
    pub inside: BTreeSet<Pid>,
    /// Lock objects that anybody has ever asked for.
    pub used: BTreeSet<usize>,
    /// Open descriptions; never removed.
    pub descs: Vec<Desc>,
    /// The pending record.
    pub pending: Pending,
    /// The log.
    pub log: Vec<Entry>,
    /// First broken rule.
    pub violation: Option<String>,
    /// Transactions of the dead that were ended.
    pub healed: u32,
    /// Processes that were killed.
    pub deaths: u32,
    /// Changes that their own process left to be recovered.
    pub left: u32,
    /// Injected errors that were met.
    pub injected: u32,
    /// Errors of a second leg that the engine counted.
    pub partner_errors: u32,
    /// What a process was taking back when it died, with its leg: neither as before nor as after.
    pub half: BTreeSet<(Leg, Ino)>,
    /// The mark of leg b is on leg a's disk.
    pub mark: bool,
    /// The word says that leg b is away.
    pub away: bool,
    /// Changes of leg a alone.
    pub lone: u32,
    /// The program has ended by itself.
    pub exited: bool,
    /// Crash state of the legs.
    pub disks: PerLeg<Disk>,
    /// A defect, to test the oracles.
    pub sabotage: Option<Sabotage>,
    /// Whether locks are looked at too, not outcomes alone.
    pub strict: bool,
    /// The tree that both legs start from (numbers of the first leg).
    pub start: Rc<Tree>,
    pub(crate) faults: Rc<Faults>,
    counts: PerLeg<[u32; 3]>,
    short: Option<Rng>,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, h: &mut H) {
        (&self.legs, &self.partner, &self.holders, &self.posts).hash(h);
        (&self.records, self.exclusive, self.moves).hash(h);
        (&self.inside, &self.descs, &self.pending, &self.log).hash(h);
        (&self.violation, self.healed, self.deaths, self.left).hash(h);
        // Calls are counted for the errors that are still to come.
        for e in &self.faults.errors {
            let leg = if e.second { self.other() } else { self.source };
            let past = e.nth.saturating_add(e.times);
            self.counts[leg][e.place as usize].min(past).hash(h);
        }
        (self.injected, self.partner_errors, self.exited, &self.half).hash(h);
        (self.words, &self.corpses).hash(h);
        (self.mark, self.away).hash(h);
    }
}

impl World {
    /// Both legs with the same small population; descriptions 0 and 1 are open on `shared`.
    pub fn new(seed: u64, source: Leg, faults: &Faults, sabotage: Option<Sabotage>) -> World {
        let mut w = World {
            legs: PerLeg {
                a: Tree::new(1000),
                b: Tree::new(5000),
            },
            partner: Default::default(),
            source,
            mixed: false,
            stripes: mirror_core::STRIPES_DEFAULT,
            holders: Default::default(),
            words: false,
            corpses: Default::default(),
            posts: BTreeMap::new(),
            records: BTreeMap::new(),
            exclusive: false,
            generation: 0,
            moves: 0,
            inside: BTreeSet::new(),
            used: BTreeSet::new(),
            descs: Vec::new(),
            pending: Pending::default(),
            log: Vec::new(),
            violation: None,
            healed: 0,
            deaths: 0,
            left: 0,
            injected: 0,
            partner_errors: 0,
            half: BTreeSet::new(),
            mark: false,
            away: false,
            lone: 0,
            exited: false,
            disks: Default::default(),
            sabotage,
            strict: true,
            start: Rc::new(Tree::new(0)),
            faults: Rc::new(faults.clone()),
            counts: Default::default(),
            short: faults.short.then(|| Rng::new(seed ^ 0x5407)),
        };
        w.populate();
        w.start = Rc::new(w.legs[source].clone());
        for d in w.disks.iter_mut() {
            d.keep = faults.crash.is_some();
        }
        w
    }

    fn populate(&mut self) {
        let (a, b) = (self.legs.a.root(), self.legs.b.root());
        self.pair(Leg::A, a, b);
        let dir = |path: &str| Op::Mkdir {
            path: path.into(),
            mode: 0o755,
        };
        let file = |path: &str| Op::Open {
            slot: 0,
            path: path.into(),
            create: true,
            excl: true,
            trunc: false,
            append: false,
            mode: 0o644,
        };
        let mut shared = PerLeg::default();
        for op in [dir("d"), dir("d/e"), file("a"), file("d/b"), file("shared")] {
            let made = PerLeg::by(|l| {
                let at = At::find(&self.legs[l], &op, None).expect("a new tree");
                let done = effect(&mut self.legs[l], &op, &at).expect("a new tree");
                done.ino
            });
            if let (Some(a), Some(b)) = (made.a, made.b) {
                self.pair(Leg::A, a, b);
            }
            shared = made;
        }
        // Two have what a change of data or owner takes away.
        for (leg, path) in [
            (Leg::A, "a"),
            (Leg::B, "a"),
            (Leg::A, "shared"),
            (Leg::B, "shared"),
        ] {
            let t = &mut self.legs[leg];
            let i = t.lookup(path).expect("a new tree");
            let m = &mut t.node_mut(i).meta;
            m.mode = 0o6755;
            m.xattrs.insert(CAPABILITY.into(), vec![1]);
        }
        for append in [false, true] {
            self.descs.push(Desc {
                object: shared,
                path: "shared".into(),
                append,
                pos: 0,
                raced: false,
            });
        }
    }

    /// The leg that is not the source.
    pub fn other(&self) -> Leg {
        self.source.other()
    }

    /// Says that two inodes are one object.
    pub fn pair(&mut self, leg: Leg, here: Ino, there: Ino) {
        self.partner[leg].insert(here, there);
        self.partner[leg.other()].insert(there, here);
    }

    /// An inode's partner.
    pub fn there(&self, leg: Leg, ino: Option<Ino>) -> Option<Ino> {
        self.partner[leg].get(&ino?).copied()
    }

    /// The first broken rule is kept.
    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// Whether a process has an object's lock on both legs.
    pub fn holds(&self, pid: Pid, object: usize) -> bool {
        self.holders.iter().all(|h| h.get(&object) == Some(&pid))
    }

    /// A leg, to change it: both legs' locks of the right objects must be held (claim 6).
    pub fn change(&mut self, pid: Pid, leg: Leg, needs: &[Need]) -> &mut Tree {
        if self.strict {
            self.check(pid, leg, needs);
        }
        let now = &self.legs[leg];
        self.disks[leg].before_change(now);
        &mut self.legs[leg]
    }

    fn check(&mut self, pid: Pid, leg: Leg, needs: &[Need]) {
        if self.holds(pid, WHOLE) {
            if let Some(p) = self.inside.iter().find(|&&p| p != pid) {
                let what = format!("process {pid} changed leg {leg:?} alone with {p} inside");
                self.violate(what);
            }
            return;
        }
        for need in needs {
            // What is known to differ has no one key.
            if matches!(*need, Need::Dir(i) | Need::File(i) if self.covered(leg, Some(i))) {
                continue;
            }
            let key = |i: Ino| {
                if leg == Leg::A {
                    Some(i)
                } else {
                    self.there(Leg::B, Some(i))
                }
            };
            let object = match *need {
                Need::Alone => Some(WHOLE),
                Need::Dir(i) => key(i).map(|k| self.dir(k).first_lock()),
                Need::File(i) => key(i).map(|k| self.file(k).first_lock()),
            };
            let Some(object) = object else { continue };
            if !self.holds(pid, object) {
                self.violate(format!(
                    "process {pid} changed leg {leg:?} without both locks of {need:?}"
                ));
            }
            self.touch(pid, object);
        }
    }

    /// Keeps what a transaction has changed. What one who died has left half done is in the way of all
    /// others.
    fn touch(&mut self, pid: Pid, object: usize) {
        for r in self.records.values_mut() {
            if r.pid == pid {
                r.touched.insert(object);
            } else if r.touched.contains(&object) {
                let what = format!("process {pid} changed {object}, half done by {}", r.pid);
                self.violation.get_or_insert(what);
            }
        }
    }

    /// The plan for a directory with this number on leg a.
    pub fn dir(&self, key: Ino) -> LockPlan {
        LockPlan::EMPTY.dir(u64::from(key), self.stripes)
    }

    /// The plan for a file with this number on leg a.
    pub fn file(&self, key: Ino) -> LockPlan {
        LockPlan::EMPTY.file(u64::from(key), self.stripes)
    }

    /// Counts a call on a leg; the error that is due there.
    pub fn fault(&mut self, leg: Leg, place: Place) -> Result<(), Errno> {
        let n = self.counts[leg][place as usize];
        self.counts[leg][place as usize] += 1;
        let locks = self.faults.crash.is_some_and(|c| c.locks);
        if self.disks[leg].gone && (place != Place::Lock || locks) {
            return Err(Errno::EIO);
        }
        let second = leg != self.source;
        let due = |e: &&ErrorAt| {
            let struck = e.nth..e.nth.saturating_add(e.times);
            e.second == second && e.place == place && struck.contains(&n)
        };
        let Some(e) = self.faults.errors.iter().find(due) else {
            return Ok(());
        };
        self.injected += 1;
        Err(e.errno)
    }

    /// Whether no leg ever fails.
    pub fn healthy(&self) -> bool {
        self.faults.errors.is_empty() && self.faults.crash.is_none()
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.faults = Rc::new(Faults::default());
        self.short = None;
    }

    /// How many of `n` bytes a write takes this time.
    pub fn shorten(&mut self, n: usize) -> usize {
        let Some(r) = &mut self.short else { return n };
        if n < 2 || !r.one_in(2) {
            return n;
        }
        1 + r.below(n - 1)
    }

    /// A process is no more: the kernel frees its locks; its posts stay.
    pub fn die(&mut self, pid: Pid) {
        if self.sabotage != Some(Sabotage::Leak) {
            for (h, left) in self.holders.iter_mut().zip(self.corpses.iter_mut()) {
                if self.words {
                    left.extend(h.iter().filter(|l| *l.1 == pid));
                }
                h.retain(|_, p| *p != pid);
            }
        }
        self.inside.remove(&pid);
        self.deaths += 1;
        let open = |e: &&Entry| e.pid == pid && e.answer.is_none();
        if let Some(d) = self.log.iter().rfind(open).and_then(|e| e.desc) {
            self.descs[d].raced = true;
        }
    }

    /// Whether an inode is known to differ.
    pub fn covered(&self, leg: Leg, ino: Option<Ino>) -> bool {
        ino.is_some_and(|i| self.pending.inos.contains(&(leg, i)))
    }

    /// Whether the call's objects, or what they lie in, are pending.
    pub fn touches_pending(&self, op: &Op, object: PerLeg<Option<Ino>>) -> bool {
        Leg::BOTH.into_iter().any(|leg| {
            let names = |p: &&str| {
                self.legs[leg].trail(p).into_iter().any(|(dir, name, ino)| {
                    self.covered(leg, ino)
                        || self.pending.entries.contains(&(leg, dir, name.to_owned()))
                })
            };
            self.covered(leg, object[leg]) || op.paths().iter().any(names)
        })
    }

    /// Adds the objects of a record, as they are now and were before, to the pending record.
    pub fn taint(&mut self, r: &Record) {
        if self.sabotage == Some(Sabotage::Pending) {
            return;
        }
        self.pending.inos.extend(r.before.iter().copied());
        for leg in Leg::BOTH {
            self.pending.inos.extend(r.object[leg].map(|i| (leg, i)));
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
