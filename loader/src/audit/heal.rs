//! What an audit does about a finding. Leg a is what programs see, so a change of leg a is carried to leg b,
//! and one of leg b is undone from leg a; what b loses is kept aside. Many names that went away at once are
//! held for a decision, and so is what was changed on both legs.
use super::finding::{Done, Finding};
use super::suspects::Suspect;
use crate::pair::away;
use crate::pair::domain::Attached;
use crate::sync::equal::Seen;
use crate::sync::heal::append_pending;
use crate::sync::one::One;
use crate::tree::object::Meta;
use mirror_core::{BothLocked, Leg};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// Names that go away within this time are one burst.
const BURST: Duration = Duration::from_secs(10);
/// What a share is of is counted no more often than this.
const RECOUNT: Duration = Duration::from_secs(1);
/// Healed objects that are remembered.
const OURS: usize = 10_000;

/// How much may go away at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many objects.
    Objects(u64),
    /// So many of a hundred of those that there are.
    Share(u8),
}

impl Limit {
    /// `100` or `20%`.
    pub fn parse(word: &str) -> Result<Limit, String> {
        let limit = match word.strip_suffix('%') {
            Some(n) => n.parse().ok().filter(|n| *n <= 100).map(Limit::Share),
            None => word.parse().ok().map(Limit::Objects),
        };
        limit.ok_or_else(|| "a number of objects (100), or a share of them (20%)".into())
    }

    /// In objects of a pair, as it is now: of a tiny one, one may go.
    fn of(self, one: &One<'_>) -> u64 {
        match self {
            Limit::Objects(n) => n,
            Limit::Share(n) => {
                // What goes away on one leg is on the other one still.
                let all = Leg::BOTH.map(|leg| one.objects(leg, b"", u64::MAX));
                // The root is none of them.
                let all = all.into_iter().max().unwrap_or(0).saturating_sub(1);
                all.saturating_mul(u64::from(n)).div_ceil(100)
            }
        }
    }
}

/// The brake: how many names may go away at once, and how many have gone lately.
pub struct Brake {
    /// No more than so many.
    pub(super) limit: u64,
    /// A share, and when it was last counted of what: the pair may have grown or shrunk since.
    share: Option<(Limit, Instant)>,
    lately: Vec<(Instant, u64)>,
    /// What has been counted of what is judged now, with all that lies below.
    counted: Vec<Vec<u8>>,
}

/// The leg that has objects which went away on the one that was changed: its name there is gone, or
/// something else has taken the place of a directory.
fn going(leg: Option<Leg>, seen: &Seen) -> Option<Leg> {
    let (changed, other, there) = match leg {
        Some(Leg::B) => (&seen.copy, &seen.source, Leg::A),
        _ => (&seen.source, &seen.copy, Leg::B),
    };
    let gone = match (changed, other) {
        (None, Some(_)) => true,
        (Some(now), Some(before)) => before.is_dir() && !now.is_dir(),
        _ => false,
    };
    gone.then_some(there)
}

impl Brake {
    /// Nothing has gone away yet.
    pub(super) fn new(limit: Limit, one: &One<'_>) -> Brake {
        Brake {
            limit: limit.of(one),
            share: matches!(limit, Limit::Share(_)).then(|| (limit, Instant::now())),
            lately: vec![],
            counted: vec![],
        }
    }

    /// Whether so many names went away, now and lately, that somebody must decide.
    pub(super) fn pulled(&mut self, one: &One<'_>, doubts: &[Suspect]) -> bool {
        let now = Instant::now();
        self.lately.retain(|(t, _)| now.duration_since(*t) < BURST);
        self.counted.clear();
        if self.lately.is_empty() {
            self.recount(one, RECOUNT);
        } else {
            // A burst that goes on and on.
            self.recount(one, BURST);
        }
        let mut pulled = false;
        // A directory comes before what is below it.
        let mut sorted: Vec<&Suspect> = doubts.iter().collect();
        sorted.sort_by(|x, y| x.rel.cmp(&y.rel));
        for s in sorted {
            if let Ok(seen) = one.look(&s.rel) {
                pulled |= self.more(one, s, &seen);
            }
        }
        pulled
    }

    /// The same, when one more is looked at: it may have gone away since.
    pub(super) fn more(&mut self, one: &One<'_>, s: &Suspect, seen: &Seen) -> bool {
        let Some(there) = going(s.way(), seen) else {
            return false;
        };
        // What lies below a directory that is gone has been counted with it.
        let within = |top: &Vec<u8>| {
            let rest = s.rel.strip_prefix(top.as_slice());
            rest.is_some_and(|r| r.is_empty() || r.starts_with(b"/"))
        };
        if !self.counted.iter().rev().any(within) {
            self.counted.push(s.rel.clone());
            let gone = one.objects(there, &s.rel, self.limit.saturating_add(1));
            self.lately.push((Instant::now(), gone));
        }
        let sum = self.lately.iter().map(|b| b.1).fold(0, u64::saturating_add);
        if sum > self.limit {
            self.recount(one, RECOUNT);
        }
        sum > self.limit
    }

    /// A share is of what there is when a burst begins: what goes then is on the other leg still.
    fn recount(&mut self, one: &One<'_>, after: Duration) {
        if let Some((limit, counted)) = &mut self.share
            && counted.elapsed() >= after
        {
            self.limit = limit.of(one);
            *counted = Instant::now();
        }
    }
}

/// What leg b has, to know it again.
fn mark(m: &Meta) -> (u64, i64, i64) {
    (m.st.st_ino, m.st.st_ctime, m.st.st_ctime_nsec as i64)
}

/// What would be done about a finding.
pub(super) fn would(s: &Suspect, seen: &Seen, brake: bool) -> Done {
    match s.way() {
        None => Done::Would("left: both legs were changed"),
        Some(_) if brake && going(s.way(), seen).is_some() => Done::Would("held"),
        Some(Leg::A) => Done::Would("healed"),
        Some(Leg::B) => Done::Would("undone"),
    }
}

/// How often what is changed while it is carried is carried again.
pub(super) const TRIES: u8 = 20;

/// Whether somebody was at work there at that moment: by now it is something else.
pub(super) fn passing(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::StaleNetworkFileHandle
        || matches!(
            e.raw_os_error(),
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EEXIST | libc::ENOTEMPTY)
        )
}

/// Does what is to be done about a finding. False: it was changed meanwhile, and is to be looked at again.
pub(super) fn heal(
    p: &Attached,
    one: &mut One<'_>,
    (s, f): (&Suspect, &mut Finding),
    seen: &Seen,
    brake: bool,
    ours: &mut HashMap<Vec<u8>, (u64, i64, i64)>,
    held: &BothLocked,
) -> bool {
    let vanished = going(s.way(), seen).is_some();
    f.done = match s.way() {
        None => Done::Conflict,
        Some(_) if brake && vanished => Done::Held,
        Some(leg) => {
            // An empty or replaced leg is no source, whatever its events were.
            if away::is_away(&p.pair) {
                Done::Failed("leg b was left behind".into())
            } else if !p.pair.legs.iter().all(|l| l.unchanged()) {
                Done::Held
            } else {
                let seen = one.look(&f.rel).ok().and_then(|s| s.copy);
                let own = seen.is_some_and(|m| ours.get(&f.rel) == Some(&mark(&m)));
                let keep = !own || leg == Leg::B || vanished;
                match one.carry(&f.rel, keep, held) {
                    Ok(c) if c.changing && s.tries < TRIES => return false,
                    Ok(c) => {
                        if ours.len() >= OURS {
                            ours.clear();
                        }
                        match &c.now {
                            Some(m) => _ = ours.insert(f.rel.clone(), mark(m)),
                            None => _ = ours.remove(&f.rel),
                        }
                        match (c.whole, leg) {
                            (true, Leg::A) => Done::Healed,
                            (true, Leg::B) => Done::Undone,
                            _ => Done::Failed("a hard link, or it was changed again".into()),
                        }
                    }
                    Err(e) if passing(&e) && s.tries < TRIES => return false,
                    Err(e) => Done::Failed(crate::fail::reason(&e)),
                }
            }
        }
    };
    // A conflict is for somebody to decide; so is what could not be carried.
    if !f.done.mended() && !f.rel.is_empty() {
        let _ = append_pending(p, std::slice::from_ref(&f.rel), held);
    }
    true
}
