//! A case, its run, and its shrinking.
use crate::fault::{ErrorAt, Faults, Sabotage};
use crate::op::{Op, random};
use crate::oracle::judge;
use crate::port::Port;
use crate::rng::Rng;
use crate::sched::{Killed, Sched};
use crate::world::{Desc, Entry, Left, Pid, World};
use mirror_core::{Errno, LockPlan, Verdict, transact};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Everything that determines a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Seed of the schedule.
    pub seed: u64,
    /// The leg that is changed first.
    pub source: usize,
    /// A program per process.
    pub programs: Vec<Vec<Op>>,
    /// What goes wrong.
    pub faults: Faults,
    /// A defect of the ports, to test the oracles.
    pub sabotage: Option<Sabotage>,
}

/// What a good run tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Transactions in the log.
    pub transactions: usize,
    /// Records of dead processes that were healed.
    pub healed: u32,
    /// Injected errors met.
    pub injected: u32,
    /// Objects recorded as pending.
    pub pending: usize,
    /// Yield points of each process.
    pub steps: Vec<u32>,
    /// The log as text: equal for equal cases.
    pub trace: String,
}

impl Case {
    /// A random case without faults.
    pub fn random(seed: u64, processes: usize, ops: usize) -> Case {
        let mut r = Rng::new(seed);
        let source = r.below(2);
        let programs = (0..processes)
            .map(|_| (0..ops).map(|_| random(&mut r)).collect())
            .collect();
        Case {
            seed,
            source,
            programs,
            faults: Faults::default(),
            sabotage: None,
        }
    }
    /// With one to `n` kills.
    pub fn with_kills(mut self, n: usize) -> Case {
        let mut r = Rng::new(self.seed ^ 0x6b11);
        let ops = self.programs.iter().map(Vec::len).max().unwrap_or(0);
        for _ in 0..=r.below(n) {
            // About ten yield points an operation.
            self.faults
                .kills
                .push((r.below(self.programs.len()), r.below(ops * 10) as u32));
        }
        self
    }
    /// With one error of the first or second leg.
    pub fn with_error(mut self, second: bool, errno: Errno, times: u32) -> Case {
        let mut r = Rng::new(self.seed ^ 0xe110);
        let ops: usize = self.programs.iter().map(Vec::len).sum();
        self.faults.errors.push(ErrorAt {
            second,
            nth: r.below(ops) as u32,
            times,
            errno,
        });
        self
    }
    /// With short writes.
    pub fn with_short(mut self) -> Case {
        self.faults.short = true;
        self
    }
}

fn process(pid: Pid, program: &[Op], sched: &Sched, world: &Mutex<World>) {
    let mut slots: BTreeMap<usize, usize> = [(0, 0), (1, 1)].into();
    for op in program {
        let desc = op.slot().and_then(|s| slots.get(&s).copied());
        let mut port = Port::new(Some(sched), world, pid, op.clone(), desc);
        match op {
            Op::Close { slot } => {
                drop(port.step());
                slots.remove(slot);
            }
            Op::Read { slot, len } => read(&mut port.step(), pid, op, desc, *slot < 2, *len),
            _ => change(&mut port, &mut slots),
        }
    }
}

/// A reader takes no lock: it moves the position at any yield point of others.
fn read(w: &mut World, pid: Pid, op: &Op, desc: Option<usize>, shared: bool, len: u64) {
    let Some(d) = desc else { return };
    let size = w.legs[w.source]
        .bytes(w.descs[d].ino)
        .map_or(0, |b| b.len() as u64);
    let n = len.min(size.saturating_sub(w.descs[d].pos));
    w.descs[d].pos += n;
    w.descs[d].raced |= shared;
    let (op, answer) = (op.clone(), Some(Ok(n)));
    w.log.push(Entry {
        pid,
        op,
        desc,
        at: None,
        faulted: false,
        left: Left::Nothing,
        answer,
    });
}

fn change(port: &mut Port<'_>, slots: &mut BTreeMap<usize, usize>) {
    let append = port
        .desc
        .is_some_and(|d| port.world.lock().expect("the world's lock").descs[d].append);
    let action = port.op.action(append);
    loop {
        let verdict = transact(port, LockPlan::SINGLE, action);
        let mut w = port.world.lock().expect("the world's lock");
        if w.holders.iter().any(|h| h.values().any(|&p| p == port.pid)) {
            w.violate(format!("{verdict:?} with a lock held"));
        }
        let Verdict::Done(answer) = verdict else {
            continue;
        };
        let Some(n) = port.entry else { return };
        w.log[n].answer = Some(answer);
        if let (Op::Open { slot, append, .. }, Ok(_), Some(ino)) = (&port.op, answer, port.made) {
            w.log[n].desc = Some(w.descs.len());
            slots.insert(*slot, w.descs.len());
            w.descs.push(Desc {
                ino,
                append: *append,
                pos: 0,
                raced: false,
            });
        }
        return;
    }
}

/// Runs a case and judges it.
pub fn run(case: &Case) -> Result<Report, String> {
    let n = case.programs.len();
    let world = Mutex::new(World::new(
        case.seed,
        case.source,
        &case.faults,
        case.sabotage,
    ));
    let sched = Sched::new(case.seed, n, &case.faults.kills);
    std::thread::scope(|s| {
        for (pid, program) in case.programs.iter().enumerate() {
            let (sched, world) = (&sched, &world);
            s.spawn(move || {
                sched.begin(pid);
                let end = catch_unwind(AssertUnwindSafe(|| process(pid, program, sched, world)));
                let mut w = world.lock().unwrap_or_else(|p| p.into_inner());
                w.die(pid);
                if end.is_err_and(|e| !e.is::<Killed>()) {
                    w.violate(format!("process {pid} panicked"));
                }
                drop(w);
                sched.end(pid);
            });
        }
    });
    if sched.livelock() {
        return Err("livelock".into());
    }
    // The next locker, whoever it is, ends what the last one left.
    let mut last = Port::new(None, &world, n, Op::Nop, None);
    let verdict = transact(&mut last, LockPlan::SINGLE, Op::Nop.action(false));
    let w = world
        .lock()
        .map_err(|_| "a process panicked in the world")?;
    if verdict != Verdict::Done(Ok(0)) {
        return Err(format!("the last locker got {verdict:?}: {:?}", w.holders));
    }
    judge(&w, &case.faults)?;
    Ok(Report {
        transactions: w.log.len(),
        healed: w.healed,
        injected: w.injected,
        pending: w.pending.causes.len(),
        steps: (0..n).map(|p| sched.steps(p)).collect(),
        trace: format!("{:?}", w.log),
    })
}

/// A smaller case that still fails, with its failure: fewer processes, operations and faults.
pub fn shrink(case: &Case) -> (Case, String) {
    let mut best = case.clone();
    let mut why = run(&best).err().unwrap_or_default();
    loop {
        let mut smaller: Vec<Case> = Vec::new();
        let with = |f: &dyn Fn(&mut Case)| {
            let mut c = best.clone();
            f(&mut c);
            c
        };
        for p in 0..best.programs.len() {
            // The place of a process stays, so that the others' numbers do.
            smaller.push(with(&|c| c.programs[p].clear()));
        }
        for p in 0..best.programs.len() {
            for o in 0..best.programs[p].len() {
                smaller.push(with(&|c| {
                    c.programs[p].remove(o);
                }));
            }
        }
        for k in 0..best.faults.kills.len() {
            smaller.push(with(&|c| {
                c.faults.kills.remove(k);
            }));
            for less in [10, 1] {
                smaller.push(with(&|c| {
                    c.faults.kills[k].1 = c.faults.kills[k].1.saturating_sub(less)
                }));
            }
        }
        for k in 0..best.faults.errors.len() {
            smaller.push(with(&|c| {
                c.faults.errors.remove(k);
            }));
            smaller.push(with(&|c| c.faults.errors[k].nth /= 2));
        }
        smaller.push(with(&|c| c.faults.short = false));
        let next = smaller
            .into_iter()
            .filter(|c| *c != best)
            .find_map(|c| run(&c).err().map(|e| (c, e)));
        match next {
            Some((c, e)) => (best, why) = (c, e),
            None => return (best, why),
        }
    }
}
