//! The walks of a repair, until one finds nothing left to do.
use crate::cmd::{json, left_out, verify};
use crate::fail::{Context, Fail, Res};
use crate::output;
use crate::pair::alone;
use crate::pair::attached;
use crate::pair::away;
use crate::pair::back::Watch;
use crate::pair::domain::Attached;
use crate::pair::working::UNNAMED;
use crate::sync::equal::Same;
use crate::sync::joining::{self, Begun};
use crate::sync::keep::Keeper;
use crate::sync::ledger::Ledger;
use crate::sync::session::{self, Repaired};
use crate::sync::still::{self, End, FEW, NotYet};
use crate::sync::turn::Turn;
use crate::sync::walk::Tally;
use crate::text;
use mirror_core::Leg;

/// Walks after which a pair that programs keep changing from outside is given up.
const PASSES: usize = 4;

/// What a pair is whose leg b is on its way back.
const ON_ITS_WAY: &str =
    "Leg b is on its way back: programs change both legs, and leg a alone answers.";

/// A repair, and what it has done so far.
struct Repair<'a> {
    pair: &'a Attached,
    /// The leg that is right.
    from: Leg,
    privileged: bool,
    /// Leg b is on its way back: every change is both legs'.
    joining: bool,
    /// Why it was not back after the last walk.
    not_yet: Option<NotYet>,
    repaired: u64,
    kept: u64,
}

/// Makes the other leg like leg `from`. The exit code.
pub fn repair(p: &mut Attached, from: Leg, privileged: bool, turn: &mut Turn) -> Res<u8> {
    let begun = match from {
        Leg::A => joining::begin(p)?,
        Leg::B => Begun::No,
    };
    if begun == Begun::Mapped {
        return Ok(mapped_alone(p));
    }
    let p = &*p;
    let mut r = Repair {
        pair: p,
        from,
        privileged,
        joining: begun == Begun::Yes,
        not_yet: None,
        repaired: 0,
        kept: 0,
    };
    let done = r.run(turn);
    match begun {
        Begun::Yes => done.map_err(|e| r.unended(e)),
        _ => done,
    }
}

/// Nothing is unfinished any more.
pub fn whole(p: &Attached, turn: &mut Turn) -> Res<()> {
    turn.whole().about(record(p))
}

/// Says what no repair looks at.
pub fn left_out(p: &Attached, links_out: u64) {
    let root = &p.pair.legs.a.root;
    left_out::say(root, links_out);
    output::push(
        "pairs",
        &json::Resynced {
            virt: p.pair.line.virt.as_path().into(),
            symlinks_out: links_out,
            left_out: left_out::json(root),
        },
    );
}

fn record(p: &Attached) -> String {
    format!("{}: .mirror/resync", text::path(&p.pair.line.virt))
}

impl Repair<'_> {
    fn run(&mut self, turn: &mut Turn) -> Res<u8> {
        let before = turn.begin().about(record(self.pair))?;
        (self.repaired, self.kept) = (before.repaired, before.kept);
        session::sweep(self.pair, self.from)?;
        for nth in 1..=PASSES {
            if let Some(code) = self.pass(nth, turn)? {
                return Ok(code);
            }
        }
        self.runtime_files();
        Ok(1)
    }

    /// One walk. `Some`: the repair has ended, with this exit code.
    fn pass(&mut self, nth: usize, turn: &mut Turn) -> Res<Option<u8>> {
        let p = self.pair;
        let watch = (!self.joining && away::is_away(&p.pair))
            .then(|| Watch::begin(p))
            .transpose()?;
        // One that is not struck leaves all that was known.
        let ledger = Ledger::begin(p)?;
        let _ = p.still.moved();
        let mut same = self.joining.then(Same::default);
        let walked = self.walk(nth, turn, &mut same)?;
        let tally = &walked.tally;
        let n = tally.differences();
        self.repaired += n;
        self.kept += walked.kept.0;
        self.tell_kept(&walked);
        if !tally.trouble.is_empty() {
            return self.left(&walked, turn).map(Some);
        }
        let struck = if self.joining {
            match self.returned(nth, ledger, tally, same)? {
                Some(End::Left) => return Ok(Some(left_again(p, self.repaired))),
                Some(End::Back { whole, .. }) => whole,
                Some(End::NotYet(why)) => {
                    self.not_yet = Some(why);
                    false
                }
                None => false,
            }
        } else if n > 0 {
            false
        } else if let Some(w) = &watch
            && !w.end(p)?
        {
            return Ok(Some(at_work(p, self.repaired)));
        } else {
            ledger.strike_off(p)?
        };
        if !struck {
            // What the last look found has been repaired, and it is not known whether that is all.
            p.pair.set_verified(tally.objects, n.max(1), 0);
            return Ok(None);
        }
        let unrecorded = p.pair.set_verified(tally.objects, 0, 0);
        whole(p, turn)?;
        left_out(p, tally.links_out);
        output::say!(
            "{}    IN SYNC  {} repaired, {} compared",
            text::path(&p.pair.line.virt),
            text::plural(self.repaired, "path"),
            text::plural(tally.objects, "object")
        );
        verify::unrecorded(p, &unrecorded);
        Ok(Some(0))
    }

    /// The end of the return of leg b, after a walk that may have been the last. None: it was not.
    fn returned(
        &mut self,
        nth: usize,
        ledger: Ledger,
        tally: &Tally,
        same: Option<Same>,
    ) -> Res<Option<End>> {
        if tally.differences() > 0 && nth == 1 {
            return Ok(None);
        }
        let end = still::end(self.pair, ledger, tally, same)?;
        if let End::Back { repaired, .. } = &end {
            self.repaired += repaired;
            self.joining = false;
        }
        Ok(Some(end))
    }

    fn walk(&self, nth: usize, turn: &mut Turn, same: &mut Option<Same>) -> Res<Repaired> {
        let (p, from) = (self.pair, self.from);
        let what = if nth == 1 { "" } else { "checked again" };
        let bar = session::bar(session::total(p, from), what);
        // What programs have worked with is kept whole, or left where it is.
        let keeper = if from == p.source() {
            Keeper::new(true)
        } else {
            Keeper::all()
        };
        let mut done = 0;
        let walked = session::repair(p, from, keeper, self.privileged, bar, same, |n, k| {
            done = n;
            turn.count(self.repaired + n, self.kept + k);
        });
        walked.map_err(|e| self.stopped(self.repaired + done, e))
    }

    fn tell_kept(&self, walked: &Repaired) {
        let copy = &self.pair.pair.legs[self.from.other()];
        let (kept, bytes, skipped) = walked.kept;
        if let Some(folder) = &walked.folder {
            output::say!(
                "kept      {} of {} in {}/{} ({})",
                text::plural(kept, "version"),
                copy.letter(),
                text::path(&copy.root.path),
                text::show(folder),
                text::bytes(bytes)
            );
        }
        if skipped > 0 {
            output::say!(
                "kept      {} not kept: more than {} in one run, or no room",
                text::plural(skipped, "version"),
                text::bytes(crate::sync::keep::BOUND)
            );
        }
    }

    /// The walk went to its end, and left paths that it could not repair.
    fn left(&self, walked: &Repaired, turn: &mut Turn) -> Res<u8> {
        let p = self.pair;
        let tally = &walked.tally;
        let left = tally.trouble.len() as u64;
        turn.left(left).about(record(p))?;
        p.pair.set_verified(tally.objects, 0, left);
        left_out(p, tally.links_out);
        output::say!(
            "{}    {} repaired, {} left:",
            text::path(&p.pair.line.virt),
            text::plural(self.repaired, "path"),
            text::plural(left, "path")
        );
        for (rel, why) in &tally.trouble {
            output::say!("  {}  {why}", text::below(rel));
        }
        if self.joining {
            output::say!("state     DEGRADED  {ON_ITS_WAY}");
        }
        output::say!("action    fix these, then: {}", self.again());
        Ok(1)
    }

    /// The last walk has ended, and more is to be done.
    fn runtime_files(&self) {
        let shown = text::path(&self.pair.pair.line.virt);
        let repaired = text::plural(self.repaired, "path");
        if !self.joining {
            output::say!(
                "{shown}    {repaired} repaired, and still something changes one leg alone. Stop what does, then: {}",
                self.again()
            );
            return;
        }
        let why = not_back(self.not_yet);
        output::say!(
            "{shown}    DEGRADED  {repaired} repaired; leg b is not back yet: {why}. {ON_ITS_WAY}"
        );
        output::say!(
            "action    {}    goes on, best while programs make, rename and remove less",
            self.again()
        );
    }

    /// A return has failed: what the pair is now, and what goes on.
    fn unended(&self, e: Fail) -> Fail {
        let p = &self.pair.pair;
        let word = self.pair.runtime.word();
        let state = if !away::is_away(p) {
            "Leg b is back; what was known to differ before is known still."
        } else if word.joining() {
            ON_ITS_WAY
        } else if word.alone() {
            "Leg b was left behind again: new data exists once, on leg a."
        } else {
            "Programs change both legs, and the mark on leg a stands: leg b counts as left behind."
        };
        let again = self.again();
        let go_on = match e.text.contains(&again) {
            true => String::new(),
            false => format!(" To go on: {again}"),
        };
        Fail::new(e.kind, format!("{}\n  {state}{go_on}", e.text))
    }

    /// The command that goes on.
    fn again(&self) -> String {
        if self.joining {
            let v = text::shell(&self.pair.pair.line.virt);
            return format!("mirror leg online {v} b");
        }
        format!(
            "mirror resync {} --from {}",
            text::shell(&self.pair.pair.line.virt),
            self.from.letter()
        )
    }

    /// The repair ended early: how far it came, in which direction, and what goes on.
    fn stopped(&self, done: u64, e: Fail) -> Fail {
        let (s, c) = (self.from.letter(), self.from.other().letter());
        Fail::new(
            e.kind,
            format!(
                "{}\n  {} repaired, {s} -> {c}. The same command goes on: {}",
                e.text,
                text::plural(done, "path"),
                self.again()
            ),
        )
    }
}

/// Why leg b is not back after the last walk.
fn not_back(why: Option<NotYet>) -> String {
    match why {
        Some(NotYet::Many(objects)) => format!(
            "names were moved, or paths repaired, during each walk, and {} objects are too many to be looked at once more while programs wait (at most {})",
            text::count(objects),
            text::count(FEW)
        ),
        Some(NotYet::Trouble) => "not everything could be looked at in the end".into(),
        Some(NotYet::Recorded) | None => "more was found to differ during each walk".into(),
    }
}

/// Leg b failed on its way back.
fn left_again(p: &Attached, repaired: u64) -> u8 {
    let (shown, v) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    output::say!(
        "{shown}    DEGRADED  {} repaired; a program could not change leg b, or not open it, and has left it behind again",
        text::plural(repaired, "path")
    );
    output::say!("action    mirror status {v}    says why");
    1
}

/// Nothing was begun: programs that work have files mapped on leg a alone.
fn mapped_alone(p: &Attached) -> u8 {
    let (shown, v) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    let who = match alone::who(&p.pair).join(", ") {
        none if none.is_empty() => UNNAMED.into(),
        who => who,
    };
    output::say!(
        "{shown}    DEGRADED  leg b is not back: {who} still at work, with files mapped for writing on leg a alone"
    );
    output::say!("action    stop them, then: mirror leg online {v} b");
    1
}

/// Leg b is like leg a, and stays away: programs work on leg a alone.
fn at_work(p: &Attached, repaired: u64) -> u8 {
    let (shown, v) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    let who = match attached::count(&p.pair.legs.a.root) {
        // Those of other containers are in no list.
        None | Some(0) => format!("{UNNAMED} work, or have worked,"),
        Some(n) => format!("{} still at work", text::plural(n, "program")),
    };
    output::say!(
        "{shown}    DEGRADED  {} repaired; {who} on leg a alone, so leg b is not back",
        text::plural(repaired, "path")
    );
    output::say!(
        "action    stop them (mirror ps {v}), then: mirror leg online {v} b    what is equal is not copied again"
    );
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done above the bound is not what is done below it, and is said for what it is.
    #[test]
    fn why_leg_b_is_not_back() {
        let many = not_back(Some(NotYet::Many(FEW + 1)));
        assert!(
            many.contains("50,001 objects") && many.contains("at most 50,000"),
            "{many}"
        );
        for other in [None, Some(NotYet::Recorded), Some(NotYet::Trouble)] {
            let why = not_back(other);
            assert!(!why.contains("50,") && !why.is_empty(), "{why}");
        }
    }
}
