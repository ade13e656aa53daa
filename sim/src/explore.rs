//! All schedules of small programs: a search over the states, each one looked at once.
//!
//! Two states with equal trees, locks, posts, logs and answers so far have equal futures, so a state
//! that was met before is not followed again. With that the search is complete: every interleaving of
//! the port calls, and with `kills` every death at every step, not a bounded number of preemptions.
use crate::proc::Life;
use crate::run::{Case, Choice, Model};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a search has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// Distinct states.
    pub states: usize,
    /// Distinct ends of runs.
    pub ends: usize,
    /// Steps made.
    pub steps: usize,
}

/// A case with the schedule that fails, and why.
pub type Bad = (Case, String);

/// Faults that a search may still put in, at any step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Deaths.
    pub kills: usize,
    /// Processes that are stopped for a while.
    pub stops: usize,
}

struct Level {
    model: Model,
    left: Budget,
    choices: Vec<Choice>,
    taken: Choice,
}

/// Looks at every schedule of a case that begins with its own, with every way to spend the budget. The failure comes with the
/// case and the schedule that lead to it.
pub fn explore(case: &Case, budget: Budget, limit: usize) -> Result<Explored, Box<Bad>> {
    let mut seen = HashSet::new();
    let mut out = Explored::default();
    let mut start = Model::new(case).endless();
    for &c in &case.schedule {
        start.take(c);
    }
    let mut stack = vec![level(start, budget, Choice::Step(0))];
    let failed = |stack: &[Level], last: Option<Choice>, why: String| {
        let mut c = case.clone();
        let path = stack.iter().skip(1).map(|l| l.taken);
        c.schedule.extend(path.chain(last));
        Box::new((c, why))
    };
    while let Some(top) = stack.last_mut() {
        let Some(c) = top.choices.pop() else {
            stack.pop();
            continue;
        };
        let mut m = top.model.clone();
        let mut left = top.left;
        match c {
            Choice::Kill(_) => left.kills -= 1,
            Choice::Stop(_) => left.stops -= 1,
            Choice::Step(_) => {}
        }
        m.take(c);
        out.steps += 1;
        if !seen.insert(hash(&m, left)) {
            continue;
        }
        if seen.len() > limit {
            return Err(failed(&stack, Some(c), format!("more than {limit} states")));
        }
        let next = level(m, left, c);
        if next.choices.is_empty() || next.model.broken() {
            out.ends += 1;
            if let Err(why) = next.model.end(case) {
                return Err(failed(&stack, Some(c), why));
            }
            continue;
        }
        stack.push(next);
    }
    out.states = seen.len();
    Ok(out)
}

fn level(mut model: Model, left: Budget, taken: Choice) -> Level {
    let mut choices: Vec<Choice> = model.ready().into_iter().map(Choice::Step).collect();
    for p in model.procs.iter().filter(|p| p.life == Life::Runs) {
        if left.kills > 0 {
            choices.push(Choice::Kill(p.pid));
        }
        if left.stops > 0 && !p.stopped {
            choices.push(Choice::Stop(p.pid));
        }
    }
    Level {
        model,
        left,
        choices,
        taken,
    }
}

fn hash(m: &Model, left: Budget) -> u64 {
    let mut h = DefaultHasher::new();
    (&m.world, left).hash(&mut h);
    for p in &m.procs {
        p.key(m.world.generation, &mut h);
    }
    h.finish()
}
