//! One pair under audit: events come in, paths at which something happened are looked at on both legs, and
//! what differs then is a finding.
//!
//! A source that sees both legs but not which changes belong together (T3, T4) is no judge of what is
//! mirrored. So both objects are compared: first without a lock, and what differs, again while the pair's
//! locks keep every mirrored program out. Equal: nothing happened that matters. Different: a finding.
use super::finding::{Done, Finding};
use super::heal::{self, Brake};
use super::held::{self, Choice, Decided};
use super::open::{self, Opened};
use super::people::{People, Person};
use super::source::Source;
use super::suspects::{Suspect, Suspects};
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::audited::{Audited, Sign};
use crate::pair::away;
use crate::pair::domain::{self, Attached};
use crate::pair::held::Held;
use crate::pair::legs::Pair;
use crate::sync::heal::locked;
use crate::sync::mapped;
use crate::sync::one::{self, One};
use crate::sync::turn;
use crate::text;
use crate::tree::differs::Presence;
use crate::tree::object::{Fidelity, std};
use mirror_audit::{Event, Judged, Op, Tier, Why};
use mirror_core::word::StateWord;
use mirror_core::{Leg, LockKind};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Paths that are judged under one hold of the locks.
const HOLD: usize = 32;
/// How often what has happened in the meantime is taken at the end.
const ROUNDS: usize = 20;
/// What is changed while it is carried is looked at again after so long.
const SOON: Duration = Duration::from_millis(100);
/// What differs while a repair runs is looked at again after so long.
const LATER: Duration = Duration::from_millis(500);
/// What differs because a mirrored program stores there is looked at again after so long.
const STORED: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Ask {
    /// The source.
    pub tier: Option<Tier>,
    /// Carry findings.
    pub heal: bool,
    /// Only say how.
    pub dry_run: bool,
    /// Names that may go away at once.
    pub brake: u64,
}

/// What was counted.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Paths that were changed and are equal on both legs.
    pub mirrored: u64,
    /// Changes that were not mirrored.
    pub unmirrored: u64,
    /// Of these, healed or undone.
    pub healed: u64,
    /// Of these, held or left alone.
    pub held: u64,
    /// Of these, those after which the legs differ.
    pub left: u64,
    /// Paths that could not be judged.
    pub open: u64,
    /// How often events were lost.
    pub lost: u64,
}

/// A pair under audit.
pub struct Watch {
    /// The pair.
    pub pair: Attached,
    /// Where events come from.
    pub source: Box<dyn Source>,
    /// Better sources, and why they are not used.
    pub refused: Vec<(Tier, String)>,
    /// What was counted.
    pub counts: Counts,
    /// The root of this leg has gone away: nothing more can be judged.
    pub gone: Option<Leg>,
    ask: Ask,
    fidelity: Fidelity,
    suspects: Suspects,
    people: People,
    /// Losses that have been told.
    lost: u64,
    /// Matches that have been counted.
    matched: u64,
    sign: Option<Sign>,
    since: u64,
    last: u64,
    brake: Brake,
    /// What leg b has had since it was last healed.
    ours: HashMap<Vec<u8>, (u64, i64, i64)>,
}

/// Who goes by flocks sees those of programs whose locks are words only when they have been asked to take them
/// too, and when the last change that began without has ended: what it has seen before is nothing.
fn with_flocks(p: &Attached, ask: Ask, opened: Opened) -> Res<Opened> {
    let by_flocks = matches!(opened.source.tier(), Tier::T1 | Tier::T2);
    if !by_flocks || p.runtime.locks == LockKind::Flock {
        return Ok(opened);
    }
    drop(opened);
    std(p.runtime.rely()).about("the pair's runtime file")?;
    locked(p, |_| ())?;
    open::open(p.pair.trees(), ask.tier)
}

impl Watch {
    /// Begins.
    pub fn open(pair: Pair, ask: Ask) -> Res<Watch> {
        let opened = open::open(pair.trees(), ask.tier)?;
        let pair = domain::attach(pair)?;
        if away::is_away(&pair.pair) {
            let (shown, v) = (
                text::path(&pair.pair.line.virt),
                text::shell(&pair.pair.line.virt),
            );
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "{shown}: leg b was left behind: there is nothing to compare with. mirror status {v}"
                ),
            ));
        }
        let Opened { source, refused } = with_flocks(&pair, ask, opened)?;
        let watch = Watch {
            fidelity: one::fidelity(&pair),
            sign: Sign::put(&pair.pair.legs.a.root).ok(),
            pair,
            source,
            refused,
            counts: Counts::default(),
            gone: None,
            ask,
            suspects: Suspects::default(),
            people: People::default(),
            lost: 0,
            matched: 0,
            since: text::now(),
            last: 0,
            brake: Brake::new(ask.brake),
            ours: HashMap::new(),
        };
        watch.say();
        Ok(watch)
    }

    /// When something is to be judged.
    pub fn next(&self) -> Option<Instant> {
        self.suspects.next()
    }

    /// What is held for a decision.
    pub fn held(&self) -> Vec<Held> {
        held::of(&self.pair.pair)
    }

    /// Does what was decided about it.
    pub fn decide(&self, choice: Choice) -> Res<Decided> {
        held::decide(&self.pair, self.fidelity, choice)
    }

    /// How many paths wait to be judged.
    pub fn waiting(&self) -> usize {
        self.suspects.len()
    }

    /// When it began, and when it last found something, in seconds since 1970 (0: never).
    pub fn times(&self) -> (u64, u64) {
        (self.since, self.last)
    }

    /// Takes what the source has. Whether there was anything.
    pub fn read(&mut self) -> io::Result<bool> {
        let mut events = vec![];
        self.source.read(&mut events)?;
        self.people.forget();
        let any = !events.is_empty();
        for e in events {
            let gone = note(e, &mut self.suspects, &mut self.people, &mut self.counts);
            self.gone = gone.or(self.gone);
        }
        let matched = self.source.matched();
        self.counts.mirrored += matched.saturating_sub(self.matched);
        self.matched = matched;
        let more = self.source.lost() - self.lost;
        if more > 0 {
            self.lost += more;
            self.counts.lost += more;
            self.last = text::now();
            // Nobody knows what was missed: only a comparison finds it.
            let _ = locked(&self.pair, |held| {
                self.pair.set_bits(StateWord::UNMIRRORED, held);
            });
            self.say();
        }
        Ok(any || more > 0)
    }

    /// Judges what is due; `all`: everything. What was found.
    pub fn judge(&mut self, all: bool) -> Res<Vec<Finding>> {
        let mut found = vec![];
        let due = self.suspects.take(all);
        let doubts = self.doubts(due, all);
        if !doubts.is_empty() {
            let repair = turn::running(&self.pair.pair).is_some();
            if repair || self.pair.pair.incomplete().is_some() {
                // What it has not come to yet differs, and no program is to blame.
                for s in doubts {
                    match all {
                        true => self.counts.open += 1,
                        false => self.suspects.again(s, LATER),
                    }
                }
            } else {
                self.settle(doubts, &mut found)?;
            }
        }
        if !found.is_empty() {
            self.last = text::now();
            self.counts.unmirrored += found.len() as u64;
            let count = |what: &dyn Fn(&Done) -> bool| {
                found.iter().filter(|f| what(&f.done)).count() as u64
            };
            self.counts.healed += count(&Done::healed);
            self.counts.left += count(&|d| !d.mended());
            self.counts.held +=
                count(&|d| matches!(d, Done::Held | Done::Conflict | Done::Failed(_)));
            self.say();
        }
        Ok(found)
    }

    /// Looks without locks: what is equal has been mirrored, or does not matter any more.
    fn doubts(&mut self, due: Vec<Suspect>, all: bool) -> Vec<Suspect> {
        if due.is_empty() {
            return vec![];
        }
        let one = One::new(&self.pair, self.fidelity);
        let mut doubts = vec![];
        for s in due {
            let begun = Instant::now();
            let seen = one.look(&s.rel);
            self.suspects.took(&s.rel, begun.elapsed());
            match seen {
                Ok(seen) if seen.what.equal() && !s.certain => self.counts.mirrored += 1,
                // A program has it mapped and carries it over: until then nobody can say more.
                Ok(seen) if s.by_mirrored() && mapped::may_explain(&self.pair, &seen) => {
                    match all {
                        true => self.counts.open += 1,
                        false => self.suspects.again(s, STORED),
                    }
                }
                _ => doubts.push(s),
            }
        }
        doubts
    }

    /// Looks with the locks held, and repairs if that is asked for.
    // long: one path after the other under one hold of the locks
    fn settle(&mut self, mut doubts: Vec<Suspect>, found: &mut Vec<Finding>) -> Res<()> {
        let known = self.pair.pair.pending();
        let mut held_back = self.ask.heal && {
            let one = One::new(&self.pair, self.fidelity);
            self.brake.pulled(&one, &doubts)
        };
        while !doubts.is_empty() {
            let some: Vec<Suspect> = doubts.drain(..doubts.len().min(HOLD)).collect();
            let Watch {
                pair,
                source,
                suspects,
                people,
                counts,
                gone,
                ask,
                fidelity,
                brake,
                ours,
                ..
            } = self;
            let pair = &*pair;
            locked(pair, |held| {
                // No mirrored change is under way: all of its events, on both legs, are in the queue.
                let mut events = vec![];
                let _ = source.read(&mut events);
                people.forget();
                for e in events {
                    *gone = note(e, suspects, people, counts).or(*gone);
                }
                let mut one = One::new(pair, *fidelity);
                let mut marked = false;
                for mut s in some {
                    suspects.more_of(&mut s);
                    match one.sure(&s.rel, held) {
                        Ok(seen) if seen.what.equal() && !s.certain => counts.mirrored += 1,
                        Ok(seen) if s.by_mirrored() && mapped::may_explain(pair, &seen) => {
                            suspects.again(s, STORED)
                        }
                        // Recorded already, by whoever met it.
                        Ok(_) if known.contains(&s.rel) && !s.certain => counts.mirrored += 1,
                        Err(_) => counts.open += 1,
                        Ok(seen) => {
                            let mut f = finding(&s, &seen.what, One::kind(&seen));
                            if seen.what.equal() {
                                f.done = Done::Equal;
                            } else if ask.heal {
                                // Who removes things does not wait for the pair's locks.
                                held_back |= brake.more(&one, &s, &seen);
                                if ask.dry_run {
                                    f.done = heal::would(&f, &seen, held_back);
                                } else {
                                    let how = (held_back, s.tries);
                                    let (one, f) = (&mut one, &mut f);
                                    if !heal::heal(pair, one, f, &seen, how, ours, held) {
                                        s.tries += 1;
                                        suspects.again(s, SOON);
                                        continue;
                                    }
                                }
                            }
                            held::note(pair, &f, held);
                            if !f.done.mended() && !marked {
                                pair.set_bits(StateWord::UNMIRRORED, held);
                                marked = true;
                            }
                            found.push(f);
                        }
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Whether both legs are still where they were.
    pub fn look_at_roots(&mut self) {
        let gone = self.pair.pair.legs.position(|l| !l.unchanged());
        self.gone = self.gone.or(gone);
    }

    /// A leg has gone away: the end of the audit.
    pub fn vanished(&self, leg: Leg) -> Fail {
        let p = &self.pair.pair;
        Fail::new(
            Kind::Leg,
            format!(
                "leg {} ({}) is not the directory that it was: removed, moved, unmounted or detached. Nothing is carried from now on. mirror status {}",
                leg.letter(),
                text::path(&p.legs[leg].root.path),
                text::shell(&p.line.virt)
            ),
        )
    }

    /// Says in the pair how it stands.
    fn say(&self) {
        if let Some(sign) = &self.sign {
            sign.say(&Audited {
                pid: std::process::id(),
                tier: self.source.tier(),
                since: self.since,
                last: self.last,
                findings: self.counts.unmirrored,
                healed: self.counts.healed,
                lost: self.counts.lost,
            });
        }
    }

    /// Takes and judges all that has happened before this call.
    pub fn end(&mut self) -> Res<Vec<Finding>> {
        let mut found = vec![];
        // Somebody may go on changing things for ever.
        for _ in 0..ROUNDS {
            let more = self.read().unwrap_or(false);
            let mut waiting = vec![];
            self.source.rest(&mut waiting);
            for e in waiting {
                note(e, &mut self.suspects, &mut self.people, &mut self.counts);
            }
            found.extend(self.judge(true)?);
            if !more && self.suspects.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}

/// Takes an event in. The leg whose root has gone away by it.
fn note(
    mut e: Event,
    suspects: &mut Suspects,
    people: &mut People,
    counts: &mut Counts,
) -> Option<Leg> {
    // What becomes of a file that is kept aside while somebody still writes it.
    if e.rel.starts_with(b".mirror/") || e.rel == b".mirror" {
        return None;
    }
    let own = std::process::id();
    if e.who.as_ref().is_some_and(|w| w.pid == own || w.tid == own) {
        return None;
    }
    if e.op == Op::Root {
        return Some(e.leg);
    }
    if e.judged == Judged::Mirrored {
        counts.mirrored += 1;
        return None;
    }
    let by = e.who.as_ref().map(|w| {
        let thread = if w.tid != 0 { w.tid } else { w.pid };
        (thread, people.of(w))
    });
    // What a program without the library stores is nobody's to carry over.
    if e.op == Op::Map && by.as_ref().is_some_and(|b| b.1.foreign()) {
        e.judged = Judged::Unmirrored;
    }
    suspects.add(e, by);
    None
}

/// A finding, before anything is done about it.
fn finding(s: &Suspect, what: &Presence, kind: &'static str) -> Finding {
    let leg = s.leg();
    let told = s.told(leg);
    let by: Option<Rc<Person>> = told.and_then(|t| t.by.clone());
    Finding {
        time: s.time,
        leg,
        op: told.map_or(Op::Change, |t| t.op),
        count: told.map_or(1, |t| t.count),
        range: told.and_then(|t| t.range),
        rel: s.rel.clone(),
        to: s.to.clone(),
        kind,
        what: *what,
        why: by.as_ref().map_or(Why::Unknown, |b| b.why),
        by,
        done: Done::Found,
    }
}
