//! `mirror resync`: makes one leg like the other, while programs run. One source per repair; what the
//! losing leg had is kept aside.
use super::verify::line;
use super::{ask, can_ask, fill};
use crate::cli::Resync;
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::control::letter;
use crate::pair::domain::{self, Attached};
use crate::pair::heal;
use crate::sync::keep::Keeper;
use crate::sync::session::{self, Ledger};
use crate::sync::turn;
use crate::text;
use mirror_core::word::LegState;

/// Walks after which a pair that programs keep changing from outside is given up.
const PASSES: usize = 4;

/// Runs it.
pub fn run(a: &Resync) -> Res<u8> {
    crate::signal::stop_gently();
    let mut code = 0;
    let pairs = super::usable(a.pair.as_slice(), true)?;
    if let (Some(s), None, 2..) = (a.from, &a.pair, pairs.len()) {
        let names: Vec<String> = pairs.iter().map(|p| text::path(&p.line.virt)).collect();
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "--from {} is a word about one pair. Name it: {}",
                letter(s.index()),
                names.join("  ")
            ),
        ));
    }
    for pair in pairs {
        let mut p = domain::attach(pair)?;
        code = code.max(one(&mut p, a)?);
    }
    Ok(code)
}

/// The leg that is right. A leg that lacks what the other has is never taken for it.
fn source(p: &Attached, a: &Resync) -> Res<usize> {
    let (v, word) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    let from = a.from.map_or_else(|| p.source(), |s| s.index());
    if p.pair.incomplete() == Some(from) {
        let (s, c) = (letter(1 - from), letter(from));
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "{v}: the first copy to leg {c} has not finished, so {c} cannot be the source. Finish it: mirror resync {word} --from {s}    or give up: mirror detach {word}"
            ),
        ));
    }
    if p.runtime.word().leg(from) != LegState::InSync {
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "{v}: leg {} lacks changes that the other leg has, so it cannot be the source. mirror status {word}",
                letter(from)
            ),
        ));
    }
    Ok(from)
}

/// A source without anything would take everything away: more likely it was emptied by mistake, or is
/// not what it seems.
fn not_empty(p: &Attached, from: usize) -> Res<()> {
    let legs = [&p.pair.legs[from].root, &p.pair.legs[1 - from].root];
    let names = |i: usize| legs[i].names(b"").about(text::path(&legs[i].path));
    if names(0)?.is_empty() && !names(1)?.is_empty() {
        let (s, c) = (letter(from), letter(1 - from));
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "{}: leg {s} is empty: everything in leg {c} would be removed. If {c} is right: --from {c}. If all shall go: mirror run -- find {} -mindepth 1 -delete, then again",
                text::path(&p.pair.line.virt),
                text::shell(&p.pair.legs[1 - from].root.path)
            ),
        ));
    }
    Ok(())
}

fn one(p: &mut Attached, a: &Resync) -> Res<u8> {
    let virt = p.pair.line.virt.clone();
    let from = source(p, a)?;
    let (s, c) = (letter(from), letter(1 - from));
    if p.pair.incomplete().is_none() {
        not_empty(p, from)?;
    }
    if a.dry_run {
        return preview(p, from).map(|_| 0);
    }
    let _turn = turn::take(&p.pair, from)?;
    if p.pair.incomplete().is_some() {
        return finish_copy(p, a, s, c);
    }
    if heal::heal_orphan(p) {
        crate::say!(
            "{}    repaired what a killed program left",
            text::path(&virt)
        );
    }
    if !a.yes {
        let (n, ledger) = {
            let ledger = Ledger::begin(p)?;
            match preview(p, from) {
                Ok(n) => (n, ledger),
                Err(e) => {
                    ledger.restore(p)?;
                    return Err(e);
                }
            }
        };
        if n == 0 {
            ledger.settle(p)?;
            crate::say!("{}    IN SYNC  nothing to do", text::path(&virt));
            return Ok(0);
        }
        ledger.restore(p)?;
        if !can_ask() {
            return Err(Fail::new(
                Kind::Usage,
                format!(
                    "leg {c} of {} would be overwritten as listed, and nobody can be asked here. Nothing was done. To do it: add --yes",
                    text::path(&virt)
                ),
            ));
        }
        let question = if from == p.source() {
            format!("Make {c} like {s}?")
        } else {
            format!(
                "Make {c} like {s}? {} is what programs see in {} today.",
                text::path(&p.pair.legs[1 - from].root.path),
                text::path(&virt)
            )
        };
        if !ask(&question) {
            return Err(Fail::new(Kind::Usage, "nothing was done"));
        }
    }
    repair(p, from, a.allow_privileged)
}

fn finish_copy(p: &mut Attached, a: &Resync, s: char, c: char) -> Res<u8> {
    let shown = text::path(&p.pair.line.virt);
    if !a.yes && !can_ask() {
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "the first copy of {shown} to leg {c} has not finished, and nobody can be asked here. To go on: add --yes"
            ),
        ));
    }
    if !a.yes && !ask(&format!("Go on copying {shown} from {s} to {c}?")) {
        return Err(Fail::new(Kind::Usage, "nothing was done"));
    }
    fill::fill(p, a.allow_privileged)?;
    crate::say!("{shown}    IN SYNC  leg {c} is complete");
    Ok(0)
}

/// Lists what differs; the number of differences.
fn preview(p: &Attached, from: usize) -> Res<usize> {
    let (s, c) = (letter(from), letter(1 - from));
    let bar = session::bar(session::total(p, from), "compared");
    let (t, found) = session::compare(p, from, bar)?;
    for d in &found {
        crate::say!("{}", line(d, s, c));
    }
    for (rel, why) in &t.trouble {
        crate::say!("  {}  cannot be compared: {why}", text::show(rel));
    }
    crate::say!(
        "{}    {} to make {c} like {s}",
        text::path(&p.pair.line.virt),
        text::plural(found.len() as u64, "repair")
    );
    Ok(found.len() + t.trouble.len())
}

fn repair(p: &Attached, from: usize, privileged: bool) -> Res<u8> {
    let shown = text::path(&p.pair.line.virt);
    let root = text::path(&p.pair.legs[1 - from].root.path);
    let mut repaired = 0;
    session::sweep(p, from)?;
    for pass in 1..=PASSES {
        let ledger = Ledger::begin(p)?;
        let bar = session::bar(
            session::total(p, from),
            if pass == 1 { "" } else { "checked again" },
        );
        // What programs have worked with is kept whole, or left where it is.
        let keeper = if from == p.source() {
            Keeper::new(true)
        } else {
            Keeper::all()
        };
        let r = match session::repair(p, from, keeper, privileged, bar) {
            Ok(r) => r,
            Err(e) => {
                ledger.restore(p)?;
                return Err(e);
            }
        };
        let n = r.tally.differences();
        repaired += n;
        if let Some(folder) = &r.folder {
            crate::say!(
                "kept      {} of {} in {root}/{} ({})",
                text::plural(r.kept.0, "version"),
                p.pair.legs[1 - from].letter(),
                text::show(folder),
                text::bytes(r.kept.1)
            );
        }
        if r.kept.2 > 0 {
            crate::say!(
                "kept      {} not kept: more than {} in one run, or no room",
                text::plural(r.kept.2, "version"),
                text::bytes(crate::sync::keep::BOUND)
            );
        }
        if !r.tally.trouble.is_empty() {
            ledger.restore(p)?;
            crate::say!(
                "{shown}    {} repaired, {} left:",
                text::plural(repaired, "path"),
                text::plural(r.tally.trouble.len() as u64, "path")
            );
            for (rel, why) in &r.tally.trouble {
                crate::say!("  {}  {why}", text::show(rel));
            }
            crate::say!(
                "action    mend these, then: mirror resync {} --from {}",
                text::shell(&p.pair.line.virt),
                letter(from)
            );
            return Ok(1);
        }
        if n == 0 {
            ledger.settle(p)?;
            p.pair.set_verified(r.tally.objects, 0);
            crate::say!(
                "{shown}    IN SYNC  {} repaired, {} compared",
                text::plural(repaired, "path"),
                text::plural(r.tally.objects, "object")
            );
            return Ok(0);
        }
        ledger.restore(p)?;
    }
    crate::say!(
        "{shown}    {} repaired, and still something changes one leg alone. Stop what does, then: mirror resync {} --from {}",
        text::plural(repaired, "path"),
        text::shell(&p.pair.line.virt),
        letter(from)
    );
    Ok(1)
}
