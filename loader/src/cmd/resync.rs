//! `mirror resync`: makes the copy like the source, while programs run.
use super::verify::line;
use super::{ask, can_ask, init};
use crate::cli::Resync;
use crate::fail::{Fail, Kind, Res};
use crate::pair::control::Pair;
use crate::pair::domain::{self, Attached};
use crate::pair::{heal, tab};
use crate::sync::session::{self, Ledger};
use crate::text;

/// Walks after which a pair that programs keep changing from outside is given up.
const PASSES: usize = 4;

/// Runs it.
pub fn run(a: &Resync) -> Res<u8> {
    crate::signal::stop_gently();
    let mut code = 0;
    for l in &tab::choose(a.pair.as_slice())? {
        let pair = Pair::open(l)?;
        let mut p = domain::attach(pair)?;
        code = code.max(one(&mut p, a)?);
    }
    Ok(code)
}

fn one(p: &mut Attached, a: &Resync) -> Res<u8> {
    let virt = p.pair.line.virt.clone();
    let (s, c) = (
        p.pair.legs[p.source()].letter(),
        p.pair.legs[1 - p.source()].letter(),
    );
    if a.dry_run {
        return preview(p, s, c).map(|_| 0);
    }
    if let Some(sink) = p.pair.incomplete() {
        if !a.yes && !can_ask() {
            return Err(Fail::new(
                Kind::Usage,
                format!(
                    "the first copy of {} to leg {c} has not finished, and nobody can be asked here. To go on: add --yes",
                    text::path(&virt)
                ),
            ));
        }
        if !a.yes
            && !ask(&format!(
                "Go on copying {} from {s} to {c}?",
                text::path(&virt)
            ))
        {
            return Err(Fail::new(Kind::Usage, "nothing was done"));
        }
        init::fill(p)?;
        crate::say!(
            "{}    IN SYNC  leg {} is complete",
            text::path(&virt),
            p.pair.legs[sink].letter()
        );
        return Ok(0);
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
            match preview(p, s, c) {
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
        if !ask(&format!("Make {c} like {s}?")) {
            return Err(Fail::new(Kind::Usage, "nothing was done"));
        }
    }
    repair(p)
}

/// Lists what differs; the number of differences.
fn preview(p: &Attached, s: char, c: char) -> Res<usize> {
    let bar = session::bar(session::total(p), "compared");
    let (t, found) = session::compare(p, bar)?;
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

fn repair(p: &Attached) -> Res<u8> {
    let shown = text::path(&p.pair.line.virt);
    let root = text::path(&p.pair.legs[1 - p.source()].root.path);
    let mut repaired = 0;
    for pass in 1..=PASSES {
        let ledger = Ledger::begin(p)?;
        let bar = session::bar(
            session::total(p),
            if pass == 1 { "" } else { "checked again" },
        );
        let r = match session::repair(p, true, bar) {
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
                p.pair.legs[1 - p.source()].letter(),
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
                "action    mend these, then: mirror resync {}",
                text::shell(&p.pair.line.virt)
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
        "{shown}    {} repaired, and still something changes one leg alone. Stop what does, then: mirror resync {}",
        text::plural(repaired, "path"),
        text::shell(&p.pair.line.virt)
    );
    Ok(1)
}
