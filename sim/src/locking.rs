//! Lock words beside flocks (`mirror_pair::words`), as a small model of its own that is searched through and through:
//! one object on both legs, its words, flocks, post and intent, the bit FLOCKED and the byte of those who rely on the
//! flocks, kills of anybody at any step, and the old mistakes.
//!
//! Each step is one access to what is shared. Who waits begins anew, so a state may come back: whether everybody gets
//! through is asked of the whole graph at its end.
use mirror_core::PerLeg;
use std::collections::HashMap;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Who meets a word twice takes it over without asking whether its holder lives.
    Unasked,
    /// A dead one's word is overwritten, whatever stands there by then.
    Blind,
    /// A slot is asked for, not a word: what was met is not compared.
    Slot,
    /// The bit FLOCKED is looked at before the word is taken.
    Early,
    /// The bit is not looked at again when the post is occupied.
    Unstood,
    /// Who relies on the flocks does not look at the word.
    Unlooked,
    /// The bit is taken out although somebody relies on the flocks.
    Dropped,
    /// A child goes on with its parent's slot.
    Inherited,
    /// What a dead one has left half done is not looked at.
    Skipped,
    /// The post is freed after the locks.
    Late,
    /// A dead one's slot is given again.
    Again,
}

type Leg = usize;

/// A word: whose, and which of his.
type Word = (u8, u8);

const FREE: Word = (0, 0);

/// Where a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    /// Between two changes.
    Rest,
    /// It relies from now on: it has the byte, the bit is next.
    Relies,
    /// A leg's word, or flock, is next.
    Take(Leg),
    /// This dead word was met twice, and is taken over.
    Succeed(Leg, Word),
    /// It has the word; the bit is next.
    Bit(Leg),
    /// The flock beside the word is next.
    Beside(Leg),
    /// It has the byte alone, and takes the bit out.
    Drops,
    /// It relies, and has the flock; the word is next.
    Looks(Leg),
    /// It has both; the post is next.
    Post,
    /// It has occupied the post; the bit is looked at again.
    Stands,
    /// Inside: this leg is changed next.
    Change(Leg),
    /// It leaves the post; or gives a leg's lock back.
    Leave,
    GiveBack(Leg),
    /// With a mistake: the post is next, when the locks are given back.
    LeaveLate,
    /// All done.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    slot: u8,
    words: bool,
    relying: bool,
    alive: bool,
    left: u8,
    count: u8,
    seen: Word,
    /// Words, and flocks, that it has on each leg.
    has: [bool; 2],
    flock: [bool; 2],
    bare: bool,
    early: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    processes: Vec<Process>,
    word: [Word; 2],
    flock: [Option<u8>; 2],
    flocked: bool,
    /// Who has the byte of those who rely alone.
    alone: Option<u8>,
    post: Option<u8>,
    trees: PerLeg<u8>,
    kills: u8,
}

/// What is searched.
#[derive(Clone, Debug)]
pub struct Search {
    /// How many changes each makes that takes words.
    pub words: Vec<u8>,
    /// The same of those who rely on the flocks.
    pub flocks: Vec<u8>,
    /// How many are killed.
    pub kills: u8,
    /// What is wrong.
    pub mistake: Option<Mistake>,
}

impl Search {
    fn is(&self, m: Mistake) -> bool {
        self.mistake == Some(m)
    }

    fn start(&self) -> World {
        let of = |(i, left, words): (usize, u8, bool)| Process {
            at: At::Rest,
            slot: i as u8 + 1,
            words,
            relying: false,
            alive: true,
            left,
            count: 0,
            seen: FREE,
            has: [false; 2],
            flock: [false; 2],
            bare: false,
            early: false,
        };
        let words = self.words.iter().map(|n| (*n, true));
        let all = words.chain(self.flocks.iter().map(|n| (*n, false)));
        let mut processes: Vec<Process> = all
            .enumerate()
            .map(|(i, (left, words))| of((i, left, words)))
            .collect();
        if self.is(Mistake::Inherited) {
            processes[1].slot = processes[0].slot;
        }
        World {
            processes,
            word: [FREE; 2],
            flock: [None; 2],
            flocked: false,
            alone: None,
            post: None,
            trees: PerLeg::default(),
            kills: self.kills,
        }
    }

    /// Every order of steps; how many states, or what went wrong.
    pub fn run(&self) -> Result<usize, String> {
        let mut known: HashMap<World, usize> = HashMap::new();
        let (mut todo, mut into): (Vec<World>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
        let (mut ends, mut next) = (Vec::new(), 0);
        known.insert(self.start(), 0);
        todo.push(self.start());
        into.push(Vec::new());
        while let Some(w) = todo.get(next).cloned() {
            let from = next;
            next += 1;
            if w.processes.iter().all(|p| !p.alive || p.at == At::Done) {
                w.ended()?;
                ends.push(from);
            }
            for after in self.steps(&w)? {
                let new = known.len();
                let to = *known.entry(after.clone()).or_insert(new);
                if to == new {
                    todo.push(after);
                    into.push(Vec::new());
                }
                into[to].push(from);
            }
        }
        // Backwards from the ends: who is not met waits for ever.
        let mut through = vec![false; next];
        while let Some(n) = ends.pop() {
            if !std::mem::replace(&mut through[n], true) {
                ends.extend(&into[n]);
            }
        }
        match through.iter().position(|t| !t) {
            None => Ok(next),
            Some(n) => Err(format!("somebody waits for ever: {:?}", todo[n])),
        }
    }

    fn steps(&self, w: &World) -> Result<Vec<World>, String> {
        let mut all = Vec::new();
        for i in 0..w.processes.len() {
            let p = &w.processes[i];
            if !p.alive || p.at == At::Done {
                continue;
            }
            let mut after = w.clone();
            self.step(&mut after, i)?;
            all.push(after);
            // Whether anybody relies still is looked at now and then, by who changes something else.
            if p.words && p.at == At::Rest && w.flocked && w.alone.is_none() {
                let relied = w.processes.iter().any(|q| q.alive && q.relying);
                if !relied || self.is(Mistake::Dropped) {
                    let mut after = w.clone();
                    after.alone = Some(i as u8);
                    after.processes[i].at = At::Drops;
                    all.push(after);
                }
            }
            if self.is(Mistake::Again) && p.at == At::Rest && p.count == 0 {
                for slot in w.processes.iter().filter(|q| !q.alive).map(|q| q.slot) {
                    let mut after = w.clone();
                    after.processes[i].slot = slot;
                    all.push(after);
                }
            }
            if w.kills > 0 {
                let mut after = w.clone();
                after.kills -= 1;
                after.die(i);
                all.push(after);
            }
        }
        Ok(all)
    }

    // long: the steps of a change, one after the other
    fn step(&self, w: &mut World, i: usize) -> Result<(), String> {
        let me = i as u8;
        let mut p = w.processes[i];
        match p.at {
            At::Rest if p.left == 0 => {
                p.relying = false;
                p.at = At::Done;
            }
            At::Rest if !p.words && !p.relying => {
                if w.alone.is_none() {
                    p.relying = true;
                    p.at = At::Relies;
                }
            }
            At::Rest => {
                p.count += 1;
                p.bare = false;
                p.early = w.flocked;
                p.at = At::Take(0);
            }
            At::Relies => {
                w.flocked = true;
                p.at = At::Rest;
            }
            At::Take(leg) if !p.words => {
                if w.flock[leg].is_none() {
                    w.flock[leg] = Some(me);
                    p.flock[leg] = true;
                    p.at = At::Looks(leg);
                } else {
                    w.busy(&mut p);
                }
            }
            At::Looks(leg) => {
                w.flocked = true;
                let there = w.word[leg];
                if !self.is(Mistake::Unlooked) && there != FREE && w.lives(there) {
                    w.busy(&mut p);
                } else {
                    p.at = if leg == 0 { At::Take(1) } else { At::Post };
                }
            }
            At::Take(leg) => {
                let there = w.word[leg];
                let met = match self.is(Mistake::Slot) {
                    true => there.0 == p.seen.0,
                    false => there == p.seen,
                };
                if there == FREE {
                    w.word[leg] = (p.slot, p.count);
                    p.has[leg] = true;
                    p.at = At::Bit(leg);
                } else if there.0 == p.slot || met && (self.is(Mistake::Unasked) || !w.lives(there))
                {
                    p.at = At::Succeed(leg, there);
                } else {
                    p.seen = there;
                    w.busy(&mut p);
                }
            }
            At::Succeed(leg, there) => {
                if w.word[leg] == there || self.is(Mistake::Blind) || self.is(Mistake::Slot) {
                    w.word[leg] = (p.slot, p.count);
                    p.has[leg] = true;
                    p.at = At::Bit(leg);
                } else {
                    w.busy(&mut p);
                }
            }
            At::Bit(leg) => {
                let flocked = match self.is(Mistake::Early) {
                    true => p.early,
                    false => w.flocked,
                };
                p.bare |= !flocked;
                p.at = match (flocked, leg) {
                    (true, leg) => At::Beside(leg),
                    (false, 0) => At::Take(1),
                    (false, _) => At::Post,
                };
            }
            At::Beside(leg) => {
                if w.flock[leg].is_none() {
                    w.flock[leg] = Some(me);
                    p.flock[leg] = true;
                    p.at = if leg == 0 { At::Take(1) } else { At::Post };
                } else {
                    w.busy(&mut p);
                }
            }
            At::Drops => {
                w.flocked = false;
                w.alone = None;
                p.at = At::Rest;
            }
            At::Post => {
                if let Some(other) = w.post {
                    if w.processes[usize::from(other)].alive {
                        return Err(format!("{other} is in, and {me} has its locks: {w:?}"));
                    }
                    if !self.is(Mistake::Skipped) {
                        w.trees.b = w.trees.a;
                    }
                }
                w.post = Some(me);
                p.at = At::Stands;
            }
            At::Stands => {
                let asked = !self.is(Mistake::Unstood) && !self.is(Mistake::Early);
                if p.bare && w.flocked && asked {
                    w.post = None;
                    w.busy(&mut p);
                } else if w.flocked && p.flock != [true; 2] {
                    // Who sees flocks alone takes it for a change that went round the mirror.
                    return Err(format!("{me} goes in without flocks: {w:?}"));
                } else {
                    p.at = At::Change(0);
                }
            }
            At::Change(leg) => {
                let in_it = |q: &Process| q.alive && matches!(q.at, At::Change(_) | At::Leave);
                let all = w.processes.iter().enumerate();
                if let Some((other, _)) = all.filter(|(j, _)| *j != i).find(|(_, q)| in_it(q)) {
                    return Err(format!("{me} and {other} are inside: {w:?}"));
                }
                if leg == 0 && w.trees.a != w.trees.b {
                    return Err(format!("{me} changes what is half done: {w:?}"));
                }
                match leg {
                    0 => w.trees.a += 1,
                    _ => w.trees.b = w.trees.a,
                }
                p.at = match leg {
                    0 => At::Change(1),
                    _ if self.is(Mistake::Late) => At::GiveBack(1),
                    _ => At::Leave,
                };
            }
            At::Leave => {
                w.post = None;
                p.at = At::GiveBack(1);
            }
            At::GiveBack(leg) => {
                w.release(&mut p, leg);
                if leg == 1 {
                    p.at = At::GiveBack(0);
                } else {
                    p.left -= 1;
                    p.at = match self.is(Mistake::Late) {
                        true => At::LeaveLate,
                        false => At::Rest,
                    };
                }
            }
            At::LeaveLate => {
                w.post = None;
                p.at = At::Rest;
            }
            At::Done => {}
        }
        w.processes[i] = p;
        Ok(())
    }
}

impl World {
    /// What the kernel says of a slot's byte.
    fn lives(&self, word: Word) -> bool {
        let has = |p: &Process| p.alive && p.words && p.at != At::Done && p.slot == word.0;
        self.processes.iter().any(has)
    }

    fn release(&mut self, p: &mut Process, leg: Leg) {
        if std::mem::take(&mut p.flock[leg]) {
            self.flock[leg] = None;
        }
        if std::mem::take(&mut p.has[leg]) && self.word[leg] == (p.slot, p.count) {
            self.word[leg] = FREE;
        }
    }

    /// Somebody is in the way: all is given back, and it begins anew.
    fn busy(&mut self, p: &mut Process) {
        self.release(p, 1);
        self.release(p, 0);
        // The same change: its next words are others all the same, but two are told apart.
        p.count = 1 + p.count % 2;
        p.bare = false;
        p.at = At::Take(0);
    }

    fn die(&mut self, i: usize) {
        let me = i as u8;
        let p = &mut self.processes[i];
        p.alive = false;
        p.relying = false;
        self.alone = self.alone.filter(|a| *a != me);
        for f in &mut self.flock {
            *f = f.filter(|a| *a != me);
        }
    }

    fn ended(&self) -> Result<(), String> {
        let dead = |n: u8| !self.processes[usize::from(n)].alive;
        let known = self.post.is_some_and(dead);
        let left = |word: Word| word != FREE && self.lives(word);
        if self.trees.a != self.trees.b && !known {
            return Err(format!("the legs differ, and nobody knows: {self:?}"));
        }
        if self.word.into_iter().any(left) {
            return Err(format!("a word is left: {self:?}"));
        }
        Ok(())
    }
}
