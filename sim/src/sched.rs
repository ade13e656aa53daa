//! The deterministic schedule: one process runs at a time, and only a yield point hands on.
use crate::rng::Rng;
use std::sync::{Condvar, Mutex, MutexGuard};

/// Unwinds a killed process. Nothing of it runs on: the ports do nothing while it unwinds.
pub struct Killed;

/// More steps than this are a livelock.
const LIMIT: u32 = 200_000;

struct Turn {
    rng: Rng,
    alive: Vec<bool>,
    steps: Vec<u32>,
    total: u32,
    running: usize,
}

/// The scheduler.
pub struct Sched {
    turn: Mutex<Turn>,
    wake: Vec<Condvar>,
    kills: Vec<(usize, u32)>,
}

impl Sched {
    /// `n` processes; the first to run is drawn too.
    pub fn new(seed: u64, n: usize, kills: &[(usize, u32)]) -> Sched {
        let mut rng = Rng::new(seed);
        let running = rng.below(n);
        Sched {
            turn: Mutex::new(Turn {
                rng,
                alive: vec![true; n],
                steps: vec![0; n],
                total: 0,
                running,
            }),
            wake: (0..n).map(|_| Condvar::new()).collect(),
            kills: kills.to_vec(),
        }
    }

    fn wait(&self, me: usize, mut t: MutexGuard<'_, Turn>) {
        while t.running != me {
            t = self.wake[me].wait(t).expect("the scheduler's lock");
        }
    }

    /// Waits for the first turn.
    pub fn begin(&self, me: usize) {
        self.wait(me, self.turn.lock().expect("the scheduler's lock"));
    }

    /// A yield point; dies here if that is due.
    pub fn step(&self, me: usize) {
        let mut t = self.turn.lock().expect("the scheduler's lock");
        let n = t.steps[me];
        t.steps[me] += 1;
        t.total += 1;
        let dies = t.total > LIMIT || self.kills.contains(&(me, n));
        self.hand_on(&mut t);
        self.wait(me, t);
        if dies {
            std::panic::resume_unwind(Box::new(Killed));
        }
    }

    fn hand_on(&self, t: &mut Turn) {
        let alive: Vec<usize> = (0..t.alive.len()).filter(|&p| t.alive[p]).collect();
        if let Some(&next) = alive.get(t.rng.below(alive.len())) {
            t.running = next;
            self.wake[next].notify_one();
        }
    }

    /// The process is over; somebody else runs.
    pub fn end(&self, me: usize) {
        let mut t = self.turn.lock().expect("the scheduler's lock");
        t.alive[me] = false;
        self.hand_on(&mut t);
    }

    /// Whether the run was cut off.
    pub fn livelock(&self) -> bool {
        self.turn.lock().expect("the scheduler's lock").total > LIMIT
    }
    /// Yield points of a process.
    pub fn steps(&self, p: usize) -> u32 {
        self.turn.lock().expect("the scheduler's lock").steps[p]
    }
}
