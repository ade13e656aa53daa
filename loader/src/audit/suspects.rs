//! Paths at which something happened and that have not been judged yet.
use super::moves::Moves;
use super::people::Person;
use mirror_audit::{Event, Judged, Op, Range};
use mirror_core::{Leg, PerLeg};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A path is looked at when nothing has happened there for so long…
const QUIET: Duration = Duration::from_millis(100);
/// …or, if something goes on happening, after so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Names that go away are judged together, when no more have gone for so long.
const BURST: Duration = Duration::from_millis(300);
/// But no later than this.
const LATEST: Duration = Duration::from_secs(3);
/// Changes of one leg that are told apart at one path.
const TOUCHES: usize = 16;

/// Some changes of one kind by one thread on one leg.
#[derive(Clone)]
pub struct Touch {
    /// What.
    pub op: Op,
    /// The thread, 0 if not known.
    pub tid: u32,
    /// Who that is.
    pub by: Option<Rc<Person>>,
    /// The bytes, if there was one change and they are known.
    pub range: Option<Range>,
    /// How many.
    pub count: u64,
}

/// A path, and what happened there.
#[derive(Clone)]
pub struct Suspect {
    /// Below the legs.
    pub rel: Vec<u8>,
    /// When the first change was seen (nanoseconds since 1970).
    pub time: u64,
    /// The other name of a rename.
    pub to: Option<Vec<u8>>,
    /// What happened on leg a and on leg b.
    pub touched: PerLeg<Vec<Touch>>,
    /// The source itself knows that a change had no match.
    pub certain: bool,
    /// It was found by comparing all, after events had been lost.
    pub scanned: bool,
    /// How often it was changed while it was carried.
    pub tries: u8,
    /// What is known of how its name was moved, on each leg.
    moves: PerLeg<Moves>,
    /// Something was done to it, and the source does not say what: of a directory, its names.
    unknown: bool,
    /// It is looked at again for as long as it is open for writing.
    pub stored: bool,
    first: Instant,
    last: Instant,
    not_before: Instant,
}

impl Suspect {
    fn new(rel: &[u8], time: u64, now: Instant) -> Suspect {
        Suspect {
            rel: rel.to_vec(),
            time,
            to: None,
            touched: PerLeg::default(),
            certain: false,
            scanned: false,
            tries: 0,
            moves: PerLeg::default(),
            unknown: false,
            stored: false,
            first: now,
            last: now,
            not_before: now,
        }
    }

    fn add(&mut self, leg: Leg, op: Op, range: Option<Range>, by: Option<(u32, Rc<Person>)>) {
        let tid = by.as_ref().map_or(0, |b| b.0);
        self.unknown |= op == Op::Change;
        let all = &mut self.touched[leg];
        if let Some(t) = all.iter_mut().find(|t| (t.op, t.tid) == (op, tid)) {
            t.count += 1;
            t.range = None;
        } else if all.len() < TOUCHES {
            all.push(Touch {
                op,
                tid,
                by: by.map(|b| b.1),
                range,
                count: 1,
            });
        }
    }

    /// What is known of the same path besides.
    pub(super) fn merge(&mut self, other: Suspect) {
        self.time = self.time.min(other.time);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.not_before = self.not_before.max(other.not_before);
        self.to = self.to.take().or(other.to);
        self.certain |= other.certain;
        self.scanned |= other.scanned;
        self.tries = self.tries.max(other.tries);
        self.unknown |= other.unknown;
        self.stored |= other.stored;
        for (mine, theirs) in self.moves.iter_mut().zip(other.moves) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.touched.iter_mut().zip(other.touched) {
            for t in theirs {
                let same = |m: &&mut Touch| (m.op, m.tid) == (t.op, t.tid);
                if let Some(m) = mine.iter_mut().find(same) {
                    m.count += t.count;
                } else if mine.len() < TOUCHES {
                    mine.push(t);
                }
            }
        }
    }

    /// Whether a name went away there.
    pub fn removed(&self) -> bool {
        let mut all = self.touched.iter().flatten();
        all.any(|t| t.op.removes() || t.op == Op::Rename)
    }

    /// The leg that was changed alone. None: both were, or nobody knows.
    pub fn leg(&self) -> Option<Leg> {
        match (self.touched.a.is_empty(), self.touched.b.is_empty()) {
            (false, true) => return Some(Leg::A),
            (true, false) => return Some(Leg::B),
            (true, true) => return None,
            _ => {}
        }
        // A mirrored thread changes both: who changed one leg alone is the one.
        let alone = |leg: Leg| {
            let other = &self.touched[leg.other()];
            let mut mine = self.touched[leg].iter();
            mine.any(|t| t.tid != 0 && !other.iter().any(|o| o.tid == t.tid))
        };
        match (alone(Leg::A), alone(Leg::B)) {
            (true, false) => Some(Leg::A),
            (false, true) => Some(Leg::B),
            _ => None,
        }
    }

    /// Whether something changed, and the source does not say what: of a directory, its names.
    pub fn names_unknown(&self) -> bool {
        self.unknown
    }

    /// Whether another directory may stand there than before, on one leg alone: the name was moved, and it is not
    /// known that the same was done on the other leg. What lies below may be that one's then.
    pub fn replaced(&self) -> bool {
        let (a, b) = (&self.moves.a, &self.moves.b);
        !(a.is_empty() && b.is_empty()) && (self.certain || !a.same(b))
    }

    /// What lies below must be looked at.
    pub fn doubt_below(&mut self) {
        self.moves.b.lose();
    }

    /// What lies below is looked at, or need not be.
    pub fn looked_below(&mut self) {
        self.moves = PerLeg::default();
        self.unknown = false;
    }

    /// The legs that were changed.
    pub fn legs(&self) -> impl Iterator<Item = Leg> + '_ {
        let all = Leg::BOTH.into_iter();
        all.filter(|l| self.scanned || !self.touched[*l].is_empty())
    }

    /// The same was done to a directory above, with which it is carried.
    pub(super) fn above(&self, top: Vec<u8>) -> Suspect {
        Suspect {
            rel: top,
            to: None,
            stored: false,
            ..self.clone()
        }
    }

    /// It has been looked at, and a program without the library may go on to store there: nobody tells a store to a
    /// page that is dirty already. None: none has stored.
    pub fn while_stored(&self) -> Option<Suspect> {
        let stored = self.certain || self.stored;
        let maps = self.touched.iter().flatten().any(|t| t.op == Op::Map);
        (stored && maps).then(|| Suspect {
            certain: false,
            stored: true,
            tries: 0,
            ..self.clone()
        })
    }

    /// When the first change was noted.
    pub fn noted(&self) -> Instant {
        self.first
    }

    /// The leg that is taken for the changed one: where nobody knows what happened, leg a is right.
    pub fn way(&self) -> Option<Leg> {
        let unseen = self.scanned && self.touched.iter().all(Vec::is_empty);
        self.leg().or(unseen.then_some(Leg::A))
    }

    /// Whether nothing speaks against it that mirrored programs did all of it.
    pub fn by_mirrored(&self) -> bool {
        let mut all = self.touched.iter().flatten();
        !self.certain && all.all(|t| t.by.as_ref().is_none_or(|b| !b.foreign()))
    }

    /// The change that says most, and who made it.
    pub fn told(&self, leg: Option<Leg>) -> Option<&Touch> {
        let mut legs = Leg::BOTH
            .into_iter()
            .filter(|l| leg.is_none_or(|leg| leg == *l));
        let on = |l: Leg| {
            let other = &self.touched[l.other()];
            let alone = move |t: &&Touch| t.tid == 0 || !other.iter().any(|o| o.tid == t.tid);
            let list = &self.touched[l];
            list.iter()
                .filter(alone)
                .find(|t| t.op != Op::Close)
                .or_else(|| list.iter().find(|t| t.op != Op::Close))
                .or(list.first())
        };
        legs.find_map(on)
    }
}

/// All of them.
#[derive(Default)]
pub struct Suspects {
    all: BTreeMap<Vec<u8>, Suspect>,
    last_removal: Option<Instant>,
    /// Files whose comparison takes long are compared less often.
    slow: BTreeMap<Vec<u8>, Instant>,
}

impl Suspects {
    /// Notes an event.
    pub fn add(&mut self, e: Event, by: Option<(u32, Rc<Person>)>) {
        let now = Instant::now();
        if e.op.removes() {
            self.last_removal = Some(now);
        }
        let leg = e.leg;
        let tid = by.as_ref().map_or(0, |b| b.0);
        // What stands there after a removal is another one: somebody's, or this audit's for what lies below.
        let moved = matches!(e.op, Op::Rename | Op::Exchange | Op::Rmdir);
        let (rel, other) = (e.rel.clone(), e.to.clone());
        for (rel, to, from) in [(Some(e.rel), e.to, None), (other, None, Some(rel))] {
            let Some(rel) = rel else { continue };
            let s = self
                .all
                .entry(rel)
                .or_insert_with_key(|rel| Suspect::new(rel, e.time, now));
            s.last = now;
            s.certain |= e.judged == Judged::Unmirrored;
            if moved {
                s.moves[leg].add(tid, to.as_deref(), from.as_deref());
            }
            s.to = to.or(s.to.take());
            s.add(leg, e.op, e.range, by.clone());
        }
    }

    /// Notes a path that differs, nobody knows since when. `moved`: its name was.
    pub fn add_scanned(&mut self, rel: &[u8], time: u64, moved: bool) {
        let now = Instant::now();
        let new = || Suspect::new(rel, time, now);
        let s = self.all.entry(rel.to_vec()).or_insert_with(new);
        s.scanned = true;
        if moved {
            s.last = now;
            s.moves.b.lose();
        }
    }

    /// Notes paths below a directory of which only it is known that it was changed, or that another one stands
    /// there. They are judged at once: so much may go away that somebody must decide.
    pub fn add_below(&mut self, dir: &Suspect, found: &[Vec<u8>]) {
        let now = Instant::now();
        let here = |t: &&Touch| matches!(t.op, Op::Change | Op::Rename | Op::Exchange | Op::Rmdir);
        for rel in found {
            let mut new = Suspect::new(rel, dir.time, now);
            new.scanned = dir.scanned;
            for (all, of) in new.touched.iter_mut().zip(&dir.touched) {
                all.extend(of.iter().filter(here).cloned());
            }
            match self.all.get_mut(rel) {
                Some(there) => there.merge(new),
                None => _ = self.all.insert(rel.clone(), new),
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    fn due(&self, s: &Suspect) -> Instant {
        let usual = (s.last + QUIET).min(s.first + PATIENCE);
        let burst = match self.last_removal {
            Some(t) if s.removed() => (t + BURST).min(s.first + LATEST),
            _ => usual,
        };
        let slow = self.slow.get(&s.rel).copied().unwrap_or(usual);
        usual.max(burst).max(s.not_before).max(slow)
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Instant> {
        self.all.values().map(|s| self.due(s)).min()
    }

    /// Those that are due (`all`: every one), the first change first, directories before what is in them.
    pub fn take(&mut self, all: bool) -> Vec<Suspect> {
        let now = Instant::now();
        let due: Vec<Vec<u8>> = self
            .all
            .values()
            .filter(|s| all || self.due(s) <= now)
            .map(|s| s.rel.clone())
            .collect();
        self.slow.retain(|_, t| *t > now);
        let mut some: Vec<Suspect> = due.iter().filter_map(|rel| self.all.remove(rel)).collect();
        some.sort_by(|a, b| (a.time, &a.rel).cmp(&(b.time, &b.rel)));
        some
    }

    /// What happened at a path in the meantime.
    pub fn more_of(&mut self, s: &mut Suspect) {
        if let Some(new) = self.all.remove(&s.rel) {
            s.merge(new);
        }
    }

    /// It cannot be judged now: again later.
    pub fn again(&mut self, mut s: Suspect, later: Duration) {
        s.not_before = Instant::now() + later;
        match self.all.get_mut(&s.rel) {
            Some(there) => there.merge(s),
            None => _ = self.all.insert(s.rel.clone(), s),
        }
    }

    /// A look at a path took so long.
    pub fn took(&mut self, rel: &[u8], long: Duration) {
        if long > Duration::from_millis(20) {
            self.slow.insert(rel.to_vec(), Instant::now() + long * 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_audit::Tier;

    fn event(leg: Leg, rel: &str, op: Op) -> Event {
        Event::seen(Tier::T4, 1, leg, rel.into(), op)
    }

    #[test]
    fn the_leg_that_was_changed_alone() {
        let leg = |events: &[(Leg, u32)]| {
            let mut all = Suspects::default();
            for (leg, tid) in events {
                let by = (*tid != 0).then(|| (*tid, Rc::default()));
                all.add(event(*leg, "f", Op::Write), by);
            }
            all.take(true).first().and_then(Suspect::leg)
        };
        assert_eq!(leg(&[(Leg::A, 0)]), Some(Leg::A));
        assert_eq!(leg(&[(Leg::B, 7), (Leg::B, 8)]), Some(Leg::B));
        assert_eq!(leg(&[(Leg::A, 0), (Leg::B, 0)]), None);
        // 7 is mirrored, 8 is not.
        assert_eq!(leg(&[(Leg::A, 7), (Leg::B, 7), (Leg::B, 8)]), Some(Leg::B));
        assert_eq!(leg(&[(Leg::A, 7), (Leg::B, 8)]), None);
    }

    #[test]
    fn a_rename_is_both_its_names() {
        let mut all = Suspects::default();
        let mut e = event(Leg::A, "old", Op::Rename);
        e.to = Some(b"new".to_vec());
        all.add(e, None);
        all.add(event(Leg::A, "new", Op::Close), None);
        let found = all.take(true);
        let names: Vec<&[u8]> = found.iter().map(|s| s.rel.as_slice()).collect();
        assert_eq!(names, [b"new", b"old"]);
        assert_eq!(found[0].told(Some(Leg::A)).unwrap().op, Op::Rename);
        assert!(all.is_empty());
    }
}
