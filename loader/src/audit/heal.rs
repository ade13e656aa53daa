//! What an audit does about a finding. Leg a is what programs see, so a change of leg a is carried to leg b,
//! and one of leg b is undone from leg a; what b loses is kept aside. Many names that went away at once are
//! held for a decision, and so is what was changed on both legs.
use super::finding::{Done, Finding};
use super::suspects::Suspect;
use crate::pair::domain::Attached;
use crate::sync::heal::append_pending;
use crate::sync::one::One;
use crate::text;
use crate::tree::differs::Presence;
use crate::tree::object::Meta;
use mirror_core::BothLocked;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Names that go away within this time are one burst.
const BURST: Duration = Duration::from_secs(10);
/// Healed objects that are remembered.
const OURS: usize = 10_000;

/// The brake: how many names may go away at once, and how many have gone lately.
pub struct Brake {
    /// No more than so many.
    pub limit: u64,
    lately: Vec<(Instant, u64)>,
}

impl Brake {
    /// Nothing has gone away yet.
    pub fn new(limit: u64) -> Brake {
        Brake {
            limit,
            lately: vec![],
        }
    }

    /// Whether so many names went away, now and lately, that somebody must decide.
    pub(super) fn pulled(&mut self, one: &One<'_>, doubts: &[Suspect]) -> bool {
        let now = Instant::now();
        self.lately.retain(|(t, _)| now.duration_since(*t) < BURST);
        let limit = self.limit.saturating_add(1);
        let mut gone = 0u64;
        // What lies below a directory that is gone has been counted with it.
        let mut counted: Vec<&[u8]> = vec![];
        let mut sorted: Vec<&Suspect> = doubts.iter().collect();
        sorted.sort_by(|x, y| x.rel.cmp(&y.rel));
        for s in sorted {
            let within = |top: &&[u8]| {
                let rest = s.rel.strip_prefix(*top);
                rest.is_some_and(|r| r.starts_with(b"/"))
            };
            if counted.last().is_some_and(within) {
                continue;
            }
            let there = match one.look(&s.rel).map(|seen| seen.what) {
                Ok(Presence::OnlyCopy) if s.leg() != Some(1) => 1,
                Ok(Presence::OnlySource) if s.leg() == Some(1) => 0,
                _ => continue,
            };
            counted.push(&s.rel);
            gone += one.objects(there, &s.rel, limit);
        }
        let before: u64 = self.lately.iter().map(|b| b.1).sum();
        if gone > 0 {
            self.lately.push((now, gone));
        }
        before + gone > self.limit
    }
}

/// What leg b has, to know it again.
fn mark(m: &Meta) -> (u64, i64, i64) {
    (m.st.st_ino, m.st.st_ctime, m.st.st_ctime_nsec as i64)
}

/// Does what is to be done about a finding.
pub(super) fn heal(
    p: &Attached,
    one: &mut One<'_>,
    f: &mut Finding,
    brake: bool,
    ours: &mut HashMap<Vec<u8>, (u64, i64, i64)>,
    held: &BothLocked,
) {
    let vanished = match f.leg {
        Some(1) => f.what == Presence::OnlySource,
        _ => f.what == Presence::OnlyCopy,
    };
    f.done = match f.leg {
        None => Done::Conflict,
        Some(_) if brake && vanished => Done::Held,
        Some(leg) => {
            // An empty or replaced leg is no source, whatever its events were.
            if !p.pair.legs.iter().all(|l| l.unchanged()) {
                Done::Held
            } else {
                let seen = one.look(&f.rel).ok().and_then(|s| s.copy);
                let own = seen.is_some_and(|m| ours.get(&f.rel) == Some(&mark(&m)));
                let keep = !own || leg == 1 || vanished;
                match one.carry(&f.rel, keep, held) {
                    Ok(c) => {
                        if ours.len() >= OURS {
                            ours.clear();
                        }
                        match &c.now {
                            Some(m) => _ = ours.insert(f.rel.clone(), mark(m)),
                            None => _ = ours.remove(&f.rel),
                        }
                        match (c.whole, leg) {
                            (true, 0) => Done::Healed,
                            (true, _) => Done::Undone,
                            _ => Done::Failed("a hard link, or it was changed again".into()),
                        }
                    }
                    Err(e) => Done::Failed(crate::fail::reason(&e)),
                }
            }
        }
    };
    // A conflict is for somebody to decide; so is what could not be carried.
    if !f.done.mended() {
        let _ = append_pending(p, std::slice::from_ref(&f.rel), held);
    }
}

/// What to type about findings that were not healed.
pub fn way_out(p: &Attached, held: bool) -> String {
    let v = text::shell(&p.pair.line.virt);
    match held {
        true => format!(
            "(M-130)    mirror diff {v} shows them    as leg a is: mirror resync {v}    as leg b is: mirror resync {v} --from b"
        ),
        false => format!("(M-128)    mirror verify {v}    mirror resync {v}"),
    }
}
