//! `mirror resync`: makes one leg like the other, while programs run. One source per repair; what the
//! losing leg had is kept aside.
use super::side::Side;
use super::sub::{CommandLine, Sub};
use super::verify::line;
use super::{Found, ask, can_ask, fill, json, left_out, look, ready};
use crate::fail::{Context, Fail, Kind, Res};
use crate::output;
use crate::pair::away;
use crate::pair::back::Watch;
use crate::pair::domain::{self, Attached};
use crate::sync::heal;
use crate::sync::keep::Keeper;
use crate::sync::session::{self, Ledger};
use crate::sync::turn::{self, Open, Turn};
use crate::text;
use clap::Args;
use mirror_core::Leg;
use mirror_core::word::LegState;
use std::path::PathBuf;

/// Make one leg like the other again (or finish an interrupted first copy)
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 whole, 1 finished with paths left, 2 refused, 3 interrupted (the same command goes on)."
)]
pub struct Resync {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// The leg that is right (default: a, or the complete one); what the other loses is kept aside
    #[arg(long, value_enum, value_name = "LEG")]
    pub from: Option<Side>,
    /// As root: carry set-id bits, capabilities and device nodes also from a leg that is mounted nosuid or
    /// nodev to one that is not
    #[arg(long)]
    pub allow_privileged: bool,
    /// Only say what would be done
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Resync {
    const NAME: &'static str = "resync";
    fn exit(kind: Kind) -> u8 {
        match kind {
            Kind::Interrupted => 3,
            Kind::Failed => 1,
            _ => 2,
        }
    }
    fn reports(&self) -> bool {
        self.json
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// Walks after which a pair that programs keep changing from outside is given up.
const PASSES: usize = 4;

/// Runs it.
pub fn run(a: &Resync) -> Res<u8> {
    crate::signal::stop_gently();
    let mut code = 0;
    let mut pairs = Vec::new();
    for f in super::each(a.pair.as_slice(), true)? {
        match f {
            Found::Pair(p) => pairs.push(*p),
            Found::Lost(k) => {
                output::note!("mirror: resync: {}", k.instead(k.sentence()));
                code = 2;
            }
        }
    }
    if let (Some(s), None, 2..) = (a.from, &a.pair, pairs.len()) {
        let names: Vec<String> = pairs.iter().map(|p| text::path(&p.line.virt)).collect();
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "--from {} is a word about one pair. Name it: {}",
                s.leg().letter(),
                names.join("  ")
            ),
        ));
    }
    for pair in pairs {
        if !ready::fit(&pair, a.from, a.dry_run)? {
            continue;
        }
        let line = pair.line.clone();
        let mut p = if a.dry_run {
            domain::attach_to_read(pair)
        } else {
            domain::attach(pair)
        }
        .map_err(|e| Fail::new(e.kind, look::look(&line).instead(e.text)))?;
        code = code.max(one(&mut p, a)?);
    }
    Ok(code)
}

/// A repair that has begun goes on in its direction, unless another is named in so many words.
fn direction(p: &Attached, from: Leg, a: &Resync) -> Res<()> {
    let word = text::shell(&p.pair.line.virt);
    let v = text::path(&p.pair.line.virt);
    let refuse = |text: String| Err(Fail::new(Kind::Usage, text));
    match turn::unfinished(&p.pair) {
        _ if a.from.is_some() || p.pair.incomplete().is_some() => Ok(()),
        Open::Unfinished(u) if u.from != from => {
            let (s, c) = u.way();
            refuse(format!(
                "{v}: a resync from {s} to {c} has begun and not finished. To go on: mirror resync {word} --from {s}    to turn it round, so that {s} becomes like {c}: mirror resync {word} --from {c}"
            ))
        }
        Open::Unknown => refuse(format!(
            "{v}: the record of the last resync is damaged, so its direction is not known. Name the leg that is right: mirror resync {word} --from a    or: mirror resync {word} --from b"
        )),
        _ => Ok(()),
    }
}

/// The leg that is right. A leg that lacks what the other has is never taken for it.
fn source(p: &Attached, a: &Resync) -> Res<Leg> {
    let (v, word) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    let from = a.from.map_or_else(|| p.source(), |s| s.leg());
    if p.pair.incomplete() == Some(from) {
        let (s, c) = (from.other().letter(), from.letter());
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
                from.letter()
            ),
        ));
    }
    Ok(from)
}

/// A source without anything would take everything away: more likely it was emptied by mistake, or is
/// not what it seems.
fn not_empty(p: &Attached, from: Leg) -> Res<()> {
    let trees = p.pair.trees();
    let names = |leg: Leg| trees[leg].names(b"").about(text::path(&trees[leg].path));
    if names(from)?.is_empty() && !names(from.other())?.is_empty() {
        let (s, c) = (from.letter(), from.other().letter());
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "{}: leg {s} is empty: everything in leg {c} would be removed. If {c} is right: --from {c}. If all shall go: mirror run -- find {} -mindepth 1 -delete, then again",
                text::path(&p.pair.line.virt),
                text::shell(&p.pair.legs[from.other()].root.path)
            ),
        ));
    }
    Ok(())
}

// long: the steps in their order, each with its refusal
fn one(p: &mut Attached, a: &Resync) -> Res<u8> {
    let virt = p.pair.line.virt.clone();
    let from = source(p, a)?;
    let (s, c) = (from.letter(), from.other().letter());
    direction(p, from, a)?;
    if p.pair.incomplete().is_none() {
        not_empty(p, from)?;
    }
    if a.dry_run {
        let (_, links_out) = preview(p, from)?;
        left_out(p, links_out);
        return Ok(0);
    }
    let mut turn = turn::take(&p.pair, from)?;
    // Again: another may have been stopped before the turn came.
    direction(p, from, a)?;
    if p.pair.incomplete().is_some() {
        return finish_copy(p, a, s, c);
    }
    if heal::recover(p) {
        output::say!(
            "{}    repaired what a killed program left",
            text::path(&virt)
        );
    }
    if !a.yes {
        let ((n, links_out), ledger) = {
            let ledger = Ledger::begin(p)?;
            match preview(p, from) {
                Ok(found) => (found, ledger),
                Err(e) => {
                    ledger.restore(p)?;
                    return Err(e);
                }
            }
        };
        if n == 0 && !away::is_away(&p.pair) {
            ledger.settle(p)?;
            whole(p, &mut turn)?;
            left_out(p, links_out);
            output::say!("{}    IN SYNC  nothing to do", text::path(&virt));
            return Ok(0);
        }
        ledger.restore(p)?;
        if n == 0 {
            return repair(p, from, a.allow_privileged, &mut turn);
        }
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
                text::path(&p.pair.legs[from.other()].root.path),
                text::path(&virt)
            )
        };
        if !ask(&question) {
            return Err(Fail::new(Kind::Usage, "nothing was done"));
        }
    }
    repair(p, from, a.allow_privileged, &mut turn)
}

/// Nothing is unfinished any more.
fn whole(p: &Attached, turn: &mut Turn) -> Res<()> {
    turn.whole()
        .about(format!("{}: .mirror/resync", text::path(&p.pair.line.virt)))
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
    left_out(p, 0);
    output::say!("{shown}    IN SYNC  leg {c} is complete");
    Ok(0)
}

/// Says what no repair looks at.
fn left_out(p: &Attached, links_out: u64) {
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

/// Lists what differs; the number of differences, and of symlinks that lead out.
fn preview(p: &Attached, from: Leg) -> Res<(usize, u64)> {
    let (s, c) = (from.letter(), from.other().letter());
    let bar = session::bar(session::total(p, from), "compared");
    let (t, found) = session::compare(p, from, bar)?;
    for d in &found {
        output::say!("{}", line(d, s, c));
    }
    for (rel, why) in &t.trouble {
        output::say!("  {}  cannot be compared: {why}", text::below(rel));
    }
    output::say!(
        "{}    {} to make {c} like {s}",
        text::path(&p.pair.line.virt),
        text::plural(found.len() as u64, "repair")
    );
    Ok((found.len() + t.trouble.len(), t.links_out))
}

// long: the steps in their order, each with its message
fn repair(p: &Attached, from: Leg, privileged: bool, turn: &mut Turn) -> Res<u8> {
    let shown = text::path(&p.pair.line.virt);
    let root = text::path(&p.pair.legs[from.other()].root.path);
    let before = turn.begin().about(format!("{shown}: .mirror/resync"))?;
    let mut repaired = before.repaired;
    let mut kept = before.kept;
    session::sweep(p, from)?;
    for pass in 1..=PASSES {
        let watch = away::is_away(&p.pair)
            .then(|| Watch::begin(p))
            .transpose()?;
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
        let mut done = 0;
        let r = session::repair(p, from, keeper, privileged, bar, |n, k| {
            done = n;
            turn.count(repaired + n, kept + k);
        });
        let r = match r {
            Ok(r) => r,
            Err(e) => {
                ledger.restore(p)?;
                return Err(stopped(p, from, repaired + done, e));
            }
        };
        let n = r.tally.differences();
        repaired += n;
        kept += r.kept.0;
        if let Some(folder) = &r.folder {
            output::say!(
                "kept      {} of {} in {root}/{} ({})",
                text::plural(r.kept.0, "version"),
                p.pair.legs[from.other()].letter(),
                text::show(folder),
                text::bytes(r.kept.1)
            );
        }
        if r.kept.2 > 0 {
            output::say!(
                "kept      {} not kept: more than {} in one run, or no room",
                text::plural(r.kept.2, "version"),
                text::bytes(crate::sync::keep::BOUND)
            );
        }
        if !r.tally.trouble.is_empty() {
            ledger.restore(p)?;
            let left = r.tally.trouble.len() as u64;
            turn.left(left).about(format!("{shown}: .mirror/resync"))?;
            p.pair.set_verified(r.tally.objects, 0, left);
            left_out(p, r.tally.links_out);
            output::say!(
                "{shown}    {} repaired, {} left:",
                text::plural(repaired, "path"),
                text::plural(r.tally.trouble.len() as u64, "path")
            );
            for (rel, why) in &r.tally.trouble {
                output::say!("  {}  {why}", text::below(rel));
            }
            output::say!(
                "action    mend these, then: mirror resync {} --from {}",
                text::shell(&p.pair.line.virt),
                from.letter()
            );
            return Ok(1);
        }
        if n == 0
            && let Some(w) = &watch
            && !w.end(p)?
        {
            ledger.restore(p)?;
            return Ok(at_work(p, repaired));
        }
        if n == 0 {
            ledger.settle(p)?;
            p.pair.set_verified(r.tally.objects, 0, 0);
            whole(p, turn)?;
            left_out(p, r.tally.links_out);
            output::say!(
                "{shown}    IN SYNC  {} repaired, {} compared",
                text::plural(repaired, "path"),
                text::plural(r.tally.objects, "object")
            );
            return Ok(0);
        }
        ledger.restore(p)?;
        // What the last look found has been repaired, and it is not known whether that is all.
        p.pair.set_verified(r.tally.objects, n, 0);
    }
    output::say!(
        "{shown}    {} repaired, and still something changes one leg alone. Stop what does, then: mirror resync {} --from {}",
        text::plural(repaired, "path"),
        text::shell(&p.pair.line.virt),
        from.letter()
    );
    Ok(1)
}

/// Leg b is like leg a, and stays away: programs work on leg a alone.
fn at_work(p: &Attached, repaired: u64) -> u8 {
    let (shown, v) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    let n = domain::holders(&p.pair.legs.a.root).unwrap_or(0);
    let who = match n {
        0 => "programs have worked".into(),
        n => format!("{} still at work", text::plural(n, "program")),
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

/// A repair that ended early: how far it came, in which direction, and what goes on.
fn stopped(p: &Attached, from: Leg, done: u64, e: Fail) -> Fail {
    let (s, c) = (from.letter(), from.other().letter());
    Fail::new(
        e.kind,
        format!(
            "{}\n  {} repaired, {s} -> {c}. The same command goes on: mirror resync {} --from {s}",
            e.text,
            text::plural(done, "path"),
            text::shell(&p.pair.line.virt)
        ),
    )
}
