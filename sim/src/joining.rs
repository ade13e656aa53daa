//! The return of leg b under programs that work, as a small model of its own that is searched through and through: the
//! word and its epochs, the mark, posts, a walk that copies, kills of anybody at any step, and the old mistakes.
//!
//! Files stand for themselves on both legs; names lead to them. A process holds leg b as of an epoch: what it writes by a
//! handle of another epoch reaches nothing.
use mirror_core::PerLeg;
use std::collections::HashSet;

const FILES: usize = 2;
const NAMES: usize = 3;
/// Lock objects: a file's each, then the directory's.
const LOCKS: usize = FILES + 1;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Writes this into a file.
    Write(usize, u8),
    /// Gives what has the first name the second.
    Rename(usize, usize),
    /// A sync that leg b fails: it is left behind, without any lock of the pair.
    Lose,
}

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// With leg b away the change is made when the locks have been given back.
    Unlocked,
    /// The switch does not wait for those who are inside.
    Unquiesced,
    /// What was opened of leg b before is used on.
    Stale,
    /// The word is not looked at again under the lock.
    Early,
    /// What was renamed during the walk is not looked for.
    Moved,
    /// The same of what the dead have renamed.
    Died,
    /// The mark is ended without the lock of the state.
    Mark,
    /// The word is not asked at the end: leg b was lost meanwhile.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum B {
    Away,
    Joining,
    InSync,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tree {
    files: [u8; FILES],
    names: [Option<usize>; NAMES],
}

impl Tree {
    fn apply(&mut self, act: Act) -> bool {
        match act {
            Act::Write(f, v) => self.files[f] = v,
            Act::Rename(n, m) => {
                let Some(f) = self.names[n].take() else {
                    return false;
                };
                self.names[m] = Some(f);
            }
            Act::Lose => {}
        }
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Plan,
    Lock,
    Enter,
    Look,
    First,
    Second,
    Leave,
    /// Leg b is away, and nothing is held.
    Bare,
    /// The lock of the state is held; the mark is set, or not yet.
    Losing(bool),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Proc {
    acts: Vec<Act>,
    at: At,
    /// Of leg b it holds what was there in this epoch; `None`: nothing.
    held: Option<u8>,
    dead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Walk {
    /// Nobody else is to come in.
    Begin,
    /// Nobody is inside: leg b is on its way back.
    Switch,
    Look(usize),
    /// This name differs: alone.
    Alone(usize),
    Copy(usize),
    AskEnd,
    Last,
    /// The word says in sync, the mark is still there.
    Mark,
    Done,
}

/// A state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    legs: PerLeg<Tree>,
    b: B,
    epoch: u8,
    mark: bool,
    exclusive: bool,
    /// Who is inside with an object, and what it had announced when it died.
    posts: [Option<usize>; LOCKS],
    holders: [Option<usize>; LOCKS],
    /// Who has the lock of the state: a process, or the command (`usize::MAX`).
    state: Option<usize>,
    moved: bool,
    pending: bool,
    procs: Vec<Proc>,
    walk: Walk,
    kills: u8,
    restarts: u8,
}

const COMMAND: usize = usize::MAX;

/// What is searched.
pub struct Search {
    /// What each process does.
    pub programs: Vec<Vec<Act>>,
    /// How many may be killed, the command among them.
    pub kills: u8,
    /// A mistake.
    pub mistake: Option<Mistake>,
}

impl Search {
    /// Looks at every state that can be reached; how many there are, or what is wrong.
    pub fn run(&self) -> Result<usize, String> {
        let leg = |stale: bool| Tree {
            files: [u8::from(!stale); FILES],
            names: match stale {
                false => [Some(0), Some(1), None],
                true => [None, Some(1), Some(0)],
            },
        };
        let procs = self.programs.iter().map(|acts| Proc {
            acts: acts.clone(),
            at: At::Plan,
            held: Some(0),
            dead: false,
        });
        let first = World {
            legs: PerLeg {
                a: leg(false),
                b: leg(true),
            },
            b: B::Away,
            epoch: 1,
            mark: true,
            exclusive: false,
            posts: [None; LOCKS],
            holders: [None; LOCKS],
            state: None,
            moved: false,
            pending: false,
            procs: procs.collect(),
            walk: Walk::Begin,
            kills: self.kills,
            restarts: 1,
        };
        let mut seen = HashSet::new();
        let mut todo = vec![first];
        while let Some(w) = todo.pop() {
            if !seen.insert(w.clone()) {
                continue;
            }
            let before = todo.len();
            for pid in 0..w.procs.len() {
                let mut n = w.clone();
                if self.step(&mut n, pid) {
                    todo.push(n);
                }
                if w.kills > 0 && !w.procs[pid].dead && w.procs[pid].at != At::Done {
                    let mut n = w.clone();
                    n.kills -= 1;
                    n.die(pid);
                    todo.push(n);
                }
            }
            let mut n = w.clone();
            if self.walk(&mut n) {
                todo.push(n);
            }
            if w.kills > 0 && w.restarts > 0 && w.walk != Walk::Done {
                let mut n = w.clone();
                (n.kills, n.restarts) = (w.kills - 1, 0);
                n.walk = Walk::Begin;
                // Whoever comes by finds that nobody holds the pair.
                n.exclusive = false;
                n.state = n.state.filter(|s| *s != COMMAND);
                todo.push(n);
            }
            self.judge(&w, todo.len() == before)?;
        }
        Ok(seen.len())
    }

    fn judge(&self, w: &World, last: bool) -> Result<(), String> {
        if w.b == B::Away && !w.mark && w.state.is_none() {
            return Err(format!("left behind without a mark: {w:?}"));
        }
        let runs = |p: &Proc| !p.dead && p.at != At::Done;
        if last && (w.procs.iter().any(runs) || w.walk != Walk::Done) {
            return Err(format!("nobody can go on: {w:?}"));
        }
        let quiet = w
            .procs
            .iter()
            .all(|p| p.dead || matches!(p.at, At::Plan | At::Done));
        let announced = w.posts.iter().any(Option::is_some);
        // What has no name any more is nobody's to compare.
        let differ = (0..NAMES).any(|n| !w.same(n));
        if quiet && !announced && w.b == B::InSync && differ && !w.pending {
            return Err(format!("in sync, and different: {w:?}"));
        }
        Ok(())
    }

    // long: one step of each kind
    fn step(&self, w: &mut World, pid: usize) -> bool {
        let p = w.procs[pid].clone();
        let Some(&act) = p.acts.first().filter(|_| !p.dead) else {
            w.procs[pid].at = At::Done;
            return p.at != At::Done && !p.dead;
        };
        let object = match act {
            Act::Write(f, _) => f,
            _ => FILES,
        };
        let is = |m| self.mistake == Some(m);
        let to = match p.at {
            At::Plan if act == Act::Lose => {
                if w.state.is_some() || w.b == B::Away {
                    return w.skip(pid, w.b == B::Away);
                }
                w.state = Some(pid);
                At::Losing(false)
            }
            At::Losing(false) => {
                w.mark = true;
                At::Losing(true)
            }
            At::Losing(true) => {
                if w.b != B::Away {
                    (w.b, w.epoch) = (B::Away, w.epoch + 1);
                }
                w.state = None;
                return w.skip(pid, true);
            }
            At::Plan => {
                match w.b {
                    B::Away => w.procs[pid].held = None,
                    _ if is(Mistake::Stale) && p.held.is_some() => {}
                    _ => w.procs[pid].held = Some(w.epoch),
                }
                At::Lock
            }
            At::Lock => {
                if w.holders[object].is_some() {
                    return false;
                }
                w.holders[object] = Some(pid);
                At::Enter
            }
            At::Enter => {
                if let Some(dead) = w.posts[object].filter(|_| !w.exclusive) {
                    w.recover(object, dead, true);
                }
                if w.posts[object].is_some() {
                    w.holders[object] = None;
                    w.procs[pid].at = At::Plan;
                    return true;
                }
                w.posts[object] = Some(pid);
                At::Look
            }
            At::Look => {
                let right = match w.b {
                    B::Away => p.held.is_none(),
                    _ => p.held == Some(w.epoch) || is(Mistake::Stale) && p.held.is_some(),
                };
                let alone = match is(Mistake::Early) {
                    true => p.held.is_none(),
                    false => w.b == B::Away,
                };
                if w.exclusive || !right && !is(Mistake::Early) {
                    (w.posts[object], w.holders[object]) = (None, None);
                    At::Plan
                } else if alone && is(Mistake::Unlocked) {
                    (w.posts[object], w.holders[object]) = (None, None);
                    At::Bare
                } else {
                    At::First
                }
            }
            At::Bare => {
                w.legs.a.apply(act);
                return w.skip(pid, true);
            }
            At::First => {
                let done = w.legs.a.apply(act);
                match done && p.held.is_some() {
                    true => At::Second,
                    false => At::Leave,
                }
            }
            At::Second => {
                // A handle of another epoch leads to what is no leg any more.
                if p.held == Some(w.epoch) && w.b != B::Away && !w.legs.b.apply(act) {
                    w.pending = true;
                }
                At::Leave
            }
            At::Leave => {
                w.moved |= matches!(act, Act::Rename(..)) && w.b == B::Joining;
                (w.posts[object], w.holders[object]) = (None, None);
                return w.skip(pid, true);
            }
            At::Done => return false,
        };
        w.procs[pid].at = to;
        true
    }

    // long: one step of each kind
    fn walk(&self, w: &mut World) -> bool {
        let is = |m| self.mistake == Some(m);
        let alone = |w: &mut World| {
            if w.holders.iter().any(Option::is_some) && !is(Mistake::Unquiesced) {
                return false;
            }
            for o in 0..LOCKS {
                if let Some(dead) = w.posts[o].filter(|p| w.procs[*p].dead) {
                    w.recover(o, dead, !is(Mistake::Died));
                }
            }
            true
        };
        w.walk = match w.walk {
            Walk::Begin => {
                w.exclusive = true;
                Walk::Switch
            }
            Walk::Switch => {
                if w.state.is_some() || !alone(w) {
                    return false;
                }
                if w.b != B::Joining {
                    (w.b, w.epoch) = (B::Joining, w.epoch + 1);
                }
                (w.moved, w.pending, w.exclusive) = (false, false, false);
                Walk::Look(0)
            }
            Walk::Look(NAMES) => Walk::AskEnd,
            Walk::Look(n) => match w.same(n) {
                true => Walk::Look(n + 1),
                false => Walk::Alone(n),
            },
            Walk::Alone(n) => {
                w.exclusive = true;
                Walk::Copy(n)
            }
            Walk::Copy(n) => {
                if !alone(w) {
                    return false;
                }
                if w.b == B::Joining {
                    w.copy(n);
                }
                w.exclusive = false;
                Walk::Look(n + 1)
            }
            Walk::AskEnd => {
                w.exclusive = true;
                Walk::Last
            }
            Walk::Last => {
                if !alone(w) || w.state.is_some() && !is(Mistake::Mark) {
                    return false;
                }
                if w.b != B::Joining && !is(Mistake::Lost) {
                    w.exclusive = false;
                    Walk::Done
                } else {
                    if (w.moved || w.pending) && !is(Mistake::Moved) {
                        (0..NAMES).for_each(|n| w.copy(n));
                        w.pending = false;
                    }
                    w.b = B::InSync;
                    if !is(Mistake::Mark) {
                        w.state = Some(COMMAND);
                    }
                    Walk::Mark
                }
            }
            Walk::Mark => {
                w.mark = false;
                w.exclusive = false;
                w.state = w.state.filter(|s| *s != COMMAND);
                Walk::Done
            }
            Walk::Done => return false,
        };
        true
    }
}

impl World {
    /// The act is over.
    fn skip(&mut self, pid: usize, over: bool) -> bool {
        if over {
            self.procs[pid].acts.remove(0);
            self.procs[pid].at = At::Plan;
        }
        over
    }

    fn die(&mut self, pid: usize) {
        self.procs[pid].dead = true;
        for h in self.holders.iter_mut().filter(|h| **h == Some(pid)) {
            *h = None;
        }
        self.state = self.state.filter(|s| *s != pid);
    }

    /// Ends what a dead process has left. What was leg a's alone is nobody's concern.
    fn recover(&mut self, object: usize, pid: usize, counts: bool) {
        let p = self.procs[pid].clone();
        let half = p.dead && matches!(p.at, At::Second);
        if half && self.b != B::Away && p.held == Some(self.epoch) {
            let act = p.acts[0];
            if !self.legs.b.apply(act) {
                self.pending = true;
            }
        }
        // Who dies after a rename has not said that it was made.
        self.moved |= p.dead && counts && self.b == B::Joining;
        if p.dead {
            self.posts[object] = None;
        }
    }

    fn same(&self, n: usize) -> bool {
        let PerLeg { a, b } = &self.legs;
        a.names[n] == b.names[n] && a.names[n].is_none_or(|f| a.files[f] == b.files[f])
    }

    fn copy(&mut self, n: usize) {
        let PerLeg { a, b } = &mut self.legs;
        b.names[n] = a.names[n];
        if let Some(f) = a.names[n] {
            b.files[f] = a.files[f];
        }
    }
}
