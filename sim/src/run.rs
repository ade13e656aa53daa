//! A case, its run, and its shrinking.
use crate::fault::{ErrorAt, Faults, Place, Sabotage, Which};
use crate::op::{Op, random};
use crate::oracle::judge;
use crate::proc::{Life, Proc};
use crate::rng::Rng;
use crate::steps::settle;
use crate::world::{Pid, World};
use mirror_core::Errno;
use mirror_core::Leg;

/// More steps than this are a livelock.
const LIMIT: u32 = 60_000;

/// What the schedule does next. As text: `0`, `kill0`, `stop0`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This process makes a step.
    Step(Pid),
    /// This process is killed.
    Kill(Pid),
    /// This process is stopped, until nobody else can go on.
    Stop(Pid),
}

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Choice::Step(p) => write!(f, "{p}"),
            Choice::Kill(p) => write!(f, "kill{p}"),
            Choice::Stop(p) => write!(f, "stop{p}"),
        }
    }
}

/// Everything that determines a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Seed of the schedule.
    pub seed: u64,
    /// The leg that is changed first.
    pub source: Leg,
    /// Every second process addresses the other leg.
    pub mixed: bool,
    /// Stripes of a lock table.
    pub stripes: usize,
    /// Locks are words, in which the dead stay.
    pub words: bool,
    /// A program per process.
    pub programs: Vec<Vec<Op>>,
    /// What goes wrong.
    pub faults: Faults,
    /// A defect, to test the oracles.
    pub sabotage: Option<Sabotage>,
    /// Whether locks are judged, and not outcomes alone.
    pub strict: bool,
    /// The schedule's first choices; the seed makes the others.
    pub schedule: Vec<Choice>,
}

/// What a good run tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Transactions in the log.
    pub transactions: usize,
    /// Changes of the dead that were ended.
    pub healed: u32,
    /// Changes that their own process left to be recovered.
    pub left: u32,
    /// Injected errors met.
    pub injected: u32,
    /// Errors of the second leg that the engine counted.
    pub partner_errors: u32,
    /// Objects recorded as pending.
    pub pending: usize,
    /// Changes of leg a alone, with leg b away.
    pub lone: u32,
    /// Yield points of each process.
    pub steps: Vec<u32>,
    /// The log as text: equal for equal cases.
    pub trace: String,
}

impl Case {
    /// Programs without faults.
    pub fn of(programs: Vec<Vec<Op>>) -> Case {
        Case {
            seed: 0,
            source: Leg::A,
            mixed: false,
            stripes: mirror_core::STRIPES_DEFAULT,
            words: false,
            programs,
            faults: Faults::default(),
            sabotage: None,
            strict: true,
            schedule: Vec::new(),
        }
    }
    /// A random case without faults.
    pub fn random(seed: u64, processes: usize, ops: usize) -> Case {
        let mut r = Rng::new(seed);
        let source = Leg::of(r.below(2));
        let stripes = [1, 2, 3, 64][r.below(4)];
        let programs = (0..processes)
            .map(|_| (0..ops).map(|_| random(&mut r)).collect())
            .collect();
        Case {
            seed,
            source,
            stripes,
            words: seed % 2 == 1,
            ..Case::of(programs)
        }
    }
    fn longest(&self) -> usize {
        self.programs.iter().map(Vec::len).max().unwrap_or(0)
    }
    /// With one to `n` kills.
    pub fn with_kills(mut self, n: usize) -> Case {
        let mut r = Rng::new(self.seed ^ 0x6b11);
        for _ in 0..=r.below(n) {
            // About fifteen yield points an operation.
            let at = (
                r.below(self.programs.len()),
                r.below(self.longest() * 15) as u32,
            );
            self.faults.kills.push(at);
        }
        self
    }
    /// With one to `n` processes that are stopped for a while.
    pub fn with_stops(mut self, n: usize) -> Case {
        let mut r = Rng::new(self.seed ^ 0x5709);
        for _ in 0..=r.below(n) {
            let at = (
                r.below(self.programs.len()),
                r.below(self.longest() * 15) as u32,
            );
            self.faults.stops.push(at);
        }
        self
    }
    /// With one error of the first or second leg.
    pub fn with_error(mut self, second: bool, errno: Errno, times: u32) -> Case {
        let mut r = Rng::new(self.seed ^ 0xe110 ^ u64::from(second));
        let ops: usize = self.programs.iter().map(Vec::len).sum();
        let place = [Place::Effect, Place::Effect, Place::Look, Place::Lock][r.below(4)];
        let calls = if place == Place::Lock { 3 * ops } else { ops };
        self.faults.errors.push(ErrorAt {
            second,
            place,
            nth: r.below(calls) as u32,
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
    /// The leg that a process addresses.
    fn first(&self, pid: Pid) -> Leg {
        match self.mixed && pid % 2 == 1 {
            true => self.source.other(),
            false => self.source,
        }
    }
}

/// The whole state of a run.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the processes share.
    pub world: World,
    /// The processes.
    pub procs: Vec<Proc>,
    total: u32,
    limit: u32,
}

impl Model {
    /// The state before the first step.
    pub fn new(case: &Case) -> Model {
        let mut world = World::new(case.seed, case.source, &case.faults, case.sabotage);
        (world.stripes, world.mixed, world.strict) = (case.stripes, case.mixed, case.strict);
        world.words = case.words;
        let procs = case.programs.iter().enumerate();
        Model {
            world,
            procs: procs.map(|(n, p)| Proc::new(n, case.first(n), p)).collect(),
            total: 0,
            limit: LIMIT,
        }
    }

    /// Without a limit of steps: a search goes long ways.
    pub fn endless(self) -> Model {
        Model {
            limit: u32::MAX,
            ..self
        }
    }

    /// The processes that can make a step. Those that were stopped go on when nobody else can.
    pub fn ready(&mut self) -> Vec<Pid> {
        let all = |m: &Model| {
            let ready = |p: &&Proc| p.ready(&m.world);
            m.procs
                .iter()
                .filter(ready)
                .map(|p| p.pid)
                .collect::<Vec<_>>()
        };
        let mut ready = all(self);
        if ready.is_empty() {
            self.look_at_waiters();
            for p in &mut self.procs {
                p.stopped = false;
            }
            ready = all(self);
            let waits = |p: &&Proc| p.life == Life::Runs;
            if ready.is_empty()
                && let Some(p) = self.procs.iter().find(waits)
            {
                let (pid, by) = (p.pid, p.blocked_by(&self.world));
                self.world
                    .violate(format!("deadlock: process {pid} waits for {by:?}"));
            }
        }
        ready
    }

    /// Nobody can go on: everybody waits for one who is stopped, not for one who waits.
    fn look_at_waiters(&mut self) {
        for p in self.procs.iter().filter(|p| p.life == Life::Runs) {
            let by = p.blocked_by(&self.world).and_then(|b| self.procs.get(b));
            if let Some(by) = by
                && by.life == Life::Runs
                && !by.stopped
            {
                let what = format!("process {} waits for {}, which waits", p.pid, by.pid);
                self.world.violate(what);
                return;
            }
        }
    }

    /// Does what the schedule says.
    pub fn take(&mut self, c: Choice) {
        self.total += 1;
        if self.total > self.limit {
            self.world.violate("livelock".into());
        }
        match c {
            Choice::Step(p) => self.procs[p].step(&mut self.world),
            Choice::Kill(p) => self.procs[p].die(&mut self.world),
            Choice::Stop(p) => self.procs[p].stopped = true,
        }
        if self.world.exited {
            for p in self.procs.iter_mut().filter(|p| p.life == Life::Runs) {
                p.die(&mut self.world);
            }
        }
    }

    /// Whether a rule is broken already.
    pub fn broken(&self) -> bool {
        self.world.violation.is_some()
    }

    /// The end of a run: somebody comes after all others, and the outcome is judged.
    pub fn end(mut self, case: &Case) -> Result<World, String> {
        let w = &mut self.world;
        if let Some(v) = &w.violation {
            return Err(v.clone());
        }
        w.calm();
        if case.faults.crash.is_some() {
            w.come_back();
        } else if !w.exited {
            w.sabotage = w.sabotage.filter(|&s| s != Sabotage::Crashed);
            if let Err(miss) = settle(w, self.procs.len()) {
                return Err(format!("the last one got {miss:?}: {:?}", w.holders));
            }
        }
        judge(w, &case.faults)?;
        Ok(self.world)
    }
}

fn crash(m: &mut Model, case: &Case, r: &mut Rng) {
    let Some(c) = case.faults.crash.filter(|c| c.at == m.total) else {
        return;
    };
    let (first, second) = (case.source, case.source.other());
    let legs: &[Leg] = match c.which {
        Which::First => &[first],
        Which::Second => &[second],
        Which::Both => &[first, second],
    };
    for &leg in legs {
        m.world.crash(leg, c.lag, r);
    }
    if c.which == Which::Both {
        for p in m.procs.iter_mut().filter(|p| p.life == Life::Runs) {
            p.die(&mut m.world);
        }
    }
}

/// Kills and stops that are due before a process's next step. Whether it still can make one.
fn strike(m: &mut Model, case: &Case, pid: Pid) -> bool {
    let at = (pid, m.procs[pid].steps);
    if case.faults.kills.contains(&at) {
        m.take(Choice::Kill(pid));
        return false;
    }
    let stops = case.faults.stops.contains(&at) && !m.procs[pid].stopped;
    if stops {
        // A second look at the same step must not stop it again.
        m.procs[pid].stopped = true;
        m.procs[pid].steps += 1;
    }
    !stops
}

/// Runs a case to its end, without judging it.
pub fn play(case: &Case) -> Model {
    let mut m = Model::new(case);
    let mut r = Rng::new(case.seed);
    // Some schedules change the process at every step, some seldom.
    let keep = [1, 2, 3, 6, 16][r.below(5)];
    let mut script = case.schedule.iter();
    let mut running = 0;
    loop {
        crash(&mut m, case, &mut r);
        let ready = m.ready();
        if ready.is_empty() || m.broken() {
            return m;
        }
        if let Some(&c) = script.next() {
            m.take(c);
            continue;
        }
        if !ready.contains(&running) || r.one_in(keep) {
            running = ready[r.below(ready.len())];
        }
        if strike(&mut m, case, running) {
            m.take(Choice::Step(running));
        }
    }
}

/// Runs a case and judges it.
pub fn run(case: &Case) -> Result<Report, String> {
    let m = play(case);
    let steps = m.procs.iter().map(|p| p.steps).collect();
    let w = m.end(case)?;
    Ok(Report {
        transactions: w.log.len(),
        healed: w.healed,
        left: w.left,
        injected: w.injected,
        partner_errors: w.partner_errors,
        pending: w.pending.causes.len(),
        lone: w.lone,
        steps,
        trace: format!("{:?}", w.log),
    })
}

/// A smaller case that still fails, with its failure: fewer processes, operations and faults.
pub fn shrink(case: &Case) -> (Case, String) {
    let mut best = case.clone();
    let mut why = run(&best).err().unwrap_or_default();
    loop {
        let next = smaller(&best)
            .into_iter()
            .filter(|c| *c != best)
            .find_map(|c| run(&c).err().map(|e| (c, e)));
        match next {
            Some((c, e)) => (best, why) = (c, e),
            None => return (best, why),
        }
    }
}

fn smaller(best: &Case) -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    let mut with = |f: &dyn Fn(&mut Case)| {
        let mut c = best.clone();
        f(&mut c);
        out.push(c);
    };
    for p in 0..best.programs.len() {
        // The place of a process stays, so that the others' numbers do.
        with(&|c| c.programs[p].clear());
    }
    for p in 0..best.programs.len() {
        for o in 0..best.programs[p].len() {
            with(&|c| {
                c.programs[p].remove(o);
            });
        }
    }
    for k in 0..best.faults.kills.len() {
        with(&|c| {
            c.faults.kills.remove(k);
        });
        for less in [10, 1] {
            with(&|c| c.faults.kills[k].1 = c.faults.kills[k].1.saturating_sub(less));
        }
    }
    for k in 0..best.faults.stops.len() {
        with(&|c| {
            c.faults.stops.remove(k);
        });
    }
    for k in 0..best.faults.errors.len() {
        with(&|c| {
            c.faults.errors.remove(k);
        });
        with(&|c| c.faults.errors[k].nth /= 2);
    }
    with(&|c| c.faults.short = false);
    with(&|c| c.faults.crash = None);
    for less in [40, 10, 1] {
        with(&|c| {
            if let Some(f) = &mut c.faults.crash {
                f.at = f.at.saturating_sub(less);
            }
        });
    }
    // Another schedule may do with less: only a smaller number, so that this ends.
    for seed in 0..best.seed.min(6) {
        with(&|c| c.seed = seed);
    }
    with(&|c| c.stripes = 1);
    with(&|c| c.mixed = false);
    with(&|c| c.words = false);
    out
}
