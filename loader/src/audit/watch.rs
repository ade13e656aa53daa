//! One pair under audit: events come in, paths at which something happened are looked at on both legs, and
//! what differs then is a finding.
//!
//! A source that sees both legs but not which changes belong together (T3, T4) is no judge of what is
//! mirrored. So both objects are compared: first without a lock, and what differs, again while the pair's
//! locks keep every mirrored program out. Equal: nothing happened that matters. Different: a finding.
use super::finding::Finding;
use super::heal::{Brake, Limit};
use super::held::{self, Choice, Decided};
use super::open::{self, Opened};
use super::people::People;
use super::scan::Scan;
use super::source::Source;
use super::suspects::Suspects;
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::audited::{Audited, Sign};
use crate::pair::away;
use crate::pair::domain::{self, Attached};
use crate::pair::held::Held;
use crate::pair::legs::Pair;
use crate::sync::heal::locked;
use crate::sync::linked::Linked;
use crate::sync::one::{self, One};
use crate::sync::turn;
use crate::text;
use crate::tree::object::{Fidelity, std};
use mirror_audit::{Event, Judged, Op, Tier};
use mirror_core::word::StateWord;
use mirror_core::{Leg, LockKind};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// How often what has happened in the meantime is taken at the end.
const ROUNDS: usize = 20;

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
    pub brake: Limit,
    /// This pair alone is watched: nobody can make the audit let go of it.
    pub stays: bool,
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
    /// The legs' epoch: each loss of leg b begins another one.
    pub(super) epoch: u32,
    pub(super) ask: Ask,
    pub(super) fidelity: Fidelity,
    pub(super) suspects: Suspects,
    pub(super) people: People,
    /// Losses that have been told.
    pub(super) lost: u64,
    /// Matches that have been counted.
    pub(super) matched: u64,
    pub(super) sign: Option<Sign>,
    pub(super) since: u64,
    pub(super) last: u64,
    pub(super) brake: Brake,
    /// The attributes of the two roots differ since before it began, and are left alone.
    pub(super) leaves_roots: bool,
    /// What leg b has had since it was last healed.
    pub(super) ours: HashMap<Vec<u8>, (u64, i64, i64)>,
    /// Files of leg a with several names, and when that was looked at.
    pub(super) linked: Option<(Instant, Linked)>,
    /// What was lost is looked for.
    pub(super) scan: Scan,
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

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(50);
/// How often the roots are looked at, where that fails.
const LOOKS: usize = 5;

/// Whether the roots' attributes differ: as they are while no mirrored program is changing them.
fn roots_differ(p: &Attached, fidelity: Fidelity) -> bool {
    let one = One::new(p, fidelity);
    for n in 0..LOOKS {
        if n > 0 {
            std::thread::sleep(AGAIN);
        }
        let differ = match locked(p, |held| one.sure(b"", held)) {
            Ok(seen) => seen.ok().map(|seen| !seen.what.equal()),
            // Somebody keeps the locks. What is equal all the same is equal.
            Err(_) => one.look(b"").ok().filter(|s| s.what.equal()).map(|_| false),
        };
        if let Some(differ) = differ {
            return differ;
        }
    }
    true
}

impl Watch {
    /// Begins.
    pub fn open(pair: Pair, ask: Ask) -> Res<Watch> {
        let opened = open::open(pair.trees(), ask.tier)?;
        let pair = domain::attach(pair)?;
        let mark = away::mark(&pair.pair.legs.a.root);
        if mark.stands() {
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
        let opened = with_flocks(&pair, ask, opened)?;
        let watch = Watch::of(pair, mark.epoch(), opened, ask);
        watch.say();
        Ok(watch)
    }

    /// Of an attached pair, with this source.
    fn of(pair: Attached, epoch: u32, opened: Opened, ask: Ask) -> Watch {
        let Opened { source, refused } = opened;
        let fidelity = one::fidelity(&pair);
        let one = One::new(&pair, fidelity);
        let brake = Brake::new(ask.brake, &one);
        let leaves_roots = roots_differ(&pair, fidelity);
        Watch {
            fidelity,
            sign: Sign::put(&pair.pair.legs.a.root, ask.stays).ok(),
            pair,
            epoch,
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
            brake,
            leaves_roots,
            ours: HashMap::new(),
            linked: None,
            scan: Scan::default(),
        }
    }

    /// Whether what is changed of the roots themselves is told to nobody.
    pub fn leaves_roots(&self) -> bool {
        self.leaves_roots
    }

    /// When something is to be judged.
    pub fn next(&self) -> Option<Instant> {
        let both = [self.scan.next(), self.suspects.next()];
        both.into_iter().flatten().min()
    }

    /// What is held for a decision.
    pub fn held(&self) -> Vec<Held> {
        held::of(&self.pair.pair)
    }

    /// Does what was decided about it.
    pub fn decide(&self, choice: Choice) -> Res<Decided> {
        held::decide(&self.pair, self.fidelity, choice)
    }

    /// Whether leg b has been left behind since this began: there is nothing to compare with, or it is back
    /// already, and what was seen meanwhile is of one leg alone.
    pub fn away(&self) -> bool {
        behind(&self.pair, self.epoch)
    }

    /// Whether somebody wants the pair for himself, and this audit lets go of it.
    pub fn wanted(&self) -> bool {
        !self.ask.stays && self.sign.as_ref().is_some_and(Sign::wanted)
    }

    /// What has not been judged will not be.
    pub fn leave(&mut self) {
        let left = self.suspects.take(true).len() + self.scan.stop();
        self.counts.open += left as u64;
        self.say();
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
        // What it had told before it failed has happened.
        let done = self.source.read(&mut events);
        self.people.forget();
        let any = !events.is_empty();
        for e in events {
            let gone = note(e, &mut self.suspects, &mut self.people, &mut self.counts);
            self.gone = gone.or(self.gone);
        }
        let matched = self.source.matched();
        self.counts.mirrored += matched.saturating_sub(self.matched);
        self.matched = matched;
        let lost = self.count_lost();
        done.map(|()| any || lost)
    }

    /// Counts what the source has lost since it was asked last. Whether there was anything.
    pub(super) fn count_lost(&mut self) -> bool {
        let more = self.source.lost().saturating_sub(self.lost);
        if more > 0 {
            self.lost = self.lost.saturating_add(more);
            self.missed(more);
        }
        more > 0
    }

    /// So many events nobody will ever have: only a comparison finds what they told.
    pub(super) fn missed(&mut self, events: u64) {
        self.counts.lost = self.counts.lost.saturating_add(events);
        self.last = text::now();
        if self.ask.heal {
            self.scan.begin();
        }
        self.doubt();
        self.say();
    }

    /// The pair is to be compared. (Where it cannot be marked, the audit's own text says what it has counted.)
    pub(super) fn doubt(&self) {
        let _ = locked(&self.pair, |held| {
            self.pair.set_bits(StateWord::UNMIRRORED, held);
        });
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
    pub(super) fn say(&self) {
        if let Some(sign) = &self.sign {
            sign.say(&Audited {
                pid: std::process::id(),
                tier: self.source.tier(),
                since: self.since,
                last: self.last,
                findings: self.counts.unmirrored,
                // What is equal by now needs nobody.
                healed: self.counts.unmirrored.saturating_sub(self.counts.left),
                lost: self.counts.lost,
            });
        }
    }

    /// Whether what is to be compared can be.
    fn compares(&self) -> bool {
        self.scan.runs() && !self.away() && turn::running(&self.pair.pair).is_none()
    }

    /// Takes and judges all that has happened before this call.
    pub fn end(&mut self) -> Res<Vec<Finding>> {
        let mut found = vec![];
        // Somebody may go on changing things for ever.
        for _ in 0..ROUNDS {
            // What is read meanwhile is judged afterwards: it may give more to compare.
            while self.compares() && self.read().is_ok() {
                self.compare();
            }
            let more = self.read().unwrap_or_else(|_| {
                // What it still had is gone with it.
                self.missed(1);
                false
            });
            let mut waiting = vec![];
            self.source.rest(&mut waiting);
            for e in waiting {
                let gone = note(e, &mut self.suspects, &mut self.people, &mut self.counts);
                self.gone = gone.or(self.gone);
            }
            found.extend(self.judge(true)?);
            // Judging reads as well, and what waited may be missing.
            let lost = self.count_lost();
            if !more && !lost && self.suspects.is_empty() && !self.compares() {
                break;
            }
        }
        if !self.suspects.is_empty() || self.scan.runs() {
            // Nobody will judge it.
            self.doubt();
            self.leave();
        }
        Ok(found)
    }
}

/// Whether leg b is away, or was since that epoch.
pub(super) fn behind(p: &Attached, epoch: u32) -> bool {
    let mark = away::mark(&p.pair.legs.a.root);
    mark.stands() || mark.epoch() != epoch
}

/// Takes an event in. The leg whose root has gone away by it.
pub(super) fn note(
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

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
