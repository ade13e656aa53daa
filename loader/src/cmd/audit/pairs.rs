//! The pairs that an audit watches. While it runs some come, some go, and some cannot be watched for a time:
//! the others are watched all the same.
use super::args::Audit;
use super::outputs::Outputs;
use crate::audit::watch::{Ask, Counts, Watch};
use crate::cmd::{self, Found};
use crate::fail::{Fail, Kind, Res};
use crate::pair::legs::Pair;
use crate::pair::tab::{self, Line};
use crate::pair::{audited, away};
use crate::text;
use mirror_audit::Tier;
use mirror_core::Leg;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the mirrortab and the legs' roots are looked at.
const USUAL: Duration = Duration::from_secs(2);
/// The same while leg b of a pair is away: when it is back, nobody watches until this audit does.
const SOON: Duration = Duration::from_millis(100);

/// All of them.
pub struct Pairs {
    /// Those that are watched.
    pub watches: Vec<Watch>,
    /// The exit code by what was found in pairs that are not watched any more.
    pub code: u8,
    /// The only one that is asked for. What is wrong with it is the end of the audit.
    named: Option<PathBuf>,
    ask: Ask,
    /// By V: why it cannot be watched now.
    waiting: BTreeMap<PathBuf, Waits>,
    next: Instant,
}

struct Waits {
    why: String,
    /// Leg b is away.
    away: bool,
    told: bool,
}

/// Notes why a pair waits. What has been told is not told again.
fn waits(all: &mut BTreeMap<PathBuf, Waits>, v: &Path, why: String, away: bool) {
    let told = all.get(v).is_some_and(|w| w.told && w.why == why);
    all.insert(v.to_owned(), Waits { why, away, told });
}

/// The exit code by what was counted, and by what was so before.
pub fn code(before: u8, c: Counts) -> u8 {
    match before {
        // There may be more than what was found.
        _ if c.lost > 0 => 4,
        0 if c.unmirrored > 0 => 3,
        c => c,
    }
}

fn incomplete(l: &Line) -> String {
    let v = text::shell(&l.virt);
    format!("{v}: its first copy has not finished. mirror resync {v}")
}

/// Why a pair is not watched while leg b is away.
fn behind(l: &Line) -> String {
    format!(
        "{}: leg b was left behind: there is nothing to compare with. It is watched when leg b is back: mirror leg online {} b",
        text::path(&l.virt),
        text::shell(&l.virt)
    )
}

impl Pairs {
    /// Begins with those that there are.
    pub fn begin(a: &Audit) -> Res<Pairs> {
        let mut all = Pairs {
            watches: vec![],
            code: 0,
            named: a.pair.clone(),
            ask: Ask {
                tier: Tier::parse(&a.tier),
                heal: a.heal,
                dry_run: a.dry_run,
                brake: a.brake,
                stays: a.pair.is_some(),
            },
            waiting: BTreeMap::new(),
            next: Instant::now() + USUAL,
        };
        let mut failed = None;
        for found in cmd::each(a.pair.as_slice(), true)? {
            let (line, tried) = match found {
                Found::Pair(p) if p.incomplete().is_some() => (
                    p.line.clone(),
                    Err(Fail::new(Kind::Leg, incomplete(&p.line))),
                ),
                Found::Pair(p) => (p.line.clone(), Watch::open(*p, all.ask)),
                Found::Lost(k) => {
                    let f = Fail::new(Kind::Leg, k.instead(k.sentence()));
                    (k.line, Err(f))
                }
            };
            match tried {
                Ok(w) => all.watches.push(w),
                // A command is not to run unseen.
                Err(_) if away::standing(&line).is_some() && a.command.is_empty() => {
                    all.wait(&line, behind(&line), true);
                }
                Err(f) if all.named.is_some() => return Err(f),
                Err(f) => {
                    all.wait(&line, f.text.clone(), false);
                    failed = failed.or(Some(f));
                }
            }
        }
        match failed {
            Some(f) if all.watches.is_empty() && !all.waiting.values().any(|w| w.away) => Err(f),
            _ => Ok(all),
        }
    }

    fn wait(&mut self, l: &Line, why: String, away: bool) {
        waits(&mut self.waiting, &l.virt, why, away);
    }

    /// When to come round again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The leg of the only pair that has gone away.
    pub fn lost(&self) -> bool {
        self.named.is_some() && self.watches.iter().any(|w| w.gone.is_some())
    }

    /// Lets go of what cannot be watched any more, and takes up what can.
    pub fn turn(&mut self, out: &mut Outputs) {
        let look = self.next <= Instant::now();
        let lines = match look {
            true => tab::choose(self.named.as_slice()).ok(),
            false => None,
        };
        for at in (0..self.watches.len()).rev() {
            let Some(w) = self.watches.get_mut(at) else {
                continue;
            };
            if look {
                w.look_at_roots();
            }
            let line = w.pair.pair.line.clone();
            let same = |l: &Line| l.virt == line.virt && l.legs == line.legs;
            if w.away() {
                let why = behind(&line);
                out.gone(w, Leg::B, &why);
                self.wait(&line, why.clone(), true);
                self.leave(at, &why, out);
            } else if self.named.is_some() {
                // Its end is the audit's.
            } else if let Some(leg) = w.gone {
                let why = w.vanished(leg).text;
                out.gone(w, leg, &why);
                self.wait(&line, why.clone(), false);
                self.leave(at, &why, out);
            } else if w.wanted() || lines.as_ref().is_some_and(|all| !all.iter().any(same)) {
                let why = format!("{}: it is detached", text::path(&line.virt));
                self.leave(at, &why, out);
            }
        }
        if let Some(lines) = &lines {
            self.look(lines, out);
        }
        for w in self.waiting.values_mut().filter(|w| !w.told) {
            w.told = true;
            out.say(&w.why);
        }
        let now = Instant::now();
        if look {
            self.next = now + USUAL;
        }
        if self.waiting.values().any(|w| w.away) {
            self.next = self.next.min(now + SOON);
        }
    }

    fn leave(&mut self, at: usize, why: &str, out: &mut Outputs) {
        let mut w = self.watches.remove(at);
        w.leave();
        self.code = code(self.code, w.counts);
        out.leave(at, &w, why);
        if let Some(waits) = self.waiting.get_mut(&w.pair.pair.line.virt) {
            waits.told = true;
        }
    }

    /// Takes up what is not watched and can be.
    fn look(&mut self, lines: &[Line], out: &mut Outputs) {
        self.waiting
            .retain(|v, _| lines.iter().any(|l| l.virt == *v));
        for l in lines {
            let watched = |w: &Watch| w.pair.pair.line.virt == l.virt;
            if self.watches.iter().any(watched) {
                continue;
            }
            if away::standing(l).is_some() {
                self.wait(l, behind(l), true);
                continue;
            }
            let pair = match Pair::open(l) {
                Ok(p) if p.incomplete().is_some() || audited::is_wanted(&p.legs.a.root) => {
                    continue;
                }
                Ok(p) => p,
                // It has been said of whom it is.
                Err(e) if e.kind == Kind::Permission => continue,
                Err(e) => {
                    self.wait(l, e.text, false);
                    continue;
                }
            };
            match Watch::open(pair, self.ask) {
                Ok(w) => {
                    self.waiting.remove(&l.virt);
                    out.add(self.watches.len(), &w);
                    self.watches.push(w);
                }
                Err(_) if away::standing(l).is_some() => self.wait(l, behind(l), true),
                Err(e) => self.wait(l, e.text, false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An audit that takes long to begin has come round before it has told anything.
    #[test]
    fn what_waits_is_told_once() {
        let (mut all, v) = (BTreeMap::new(), Path::new("/v"));
        let mut untold = |why: &str| {
            waits(&mut all, v, why.into(), true);
            let w = all.get_mut(v).expect("it waits");
            !std::mem::replace(&mut w.told, true)
        };
        assert_eq!(
            [untold("one"), untold("one"), untold("two")],
            [true, false, true]
        );
        let mut all = BTreeMap::new();
        for _ in 0..2 {
            waits(&mut all, v, "one".into(), true);
        }
        assert!(all.values().all(|w| !w.told));
    }
}
