//! `mirror resync`: makes one leg like the other, while programs run. One source per repair; what the
//! losing leg had is kept aside.
mod passes;

use super::side::Side;
use super::sub::{CommandLine, Sub};
use super::verify::line;
use super::{Found, ask, can_ask, fill, look, ready, signs};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::away;
use crate::pair::domain::{self, Attached};
use crate::sync::heal;
use crate::sync::ledger::Ledger;
use crate::sync::session;
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
            Kind::Failed | Kind::Unseen => 1,
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
                "--from {} needs a pair. Name one: {}",
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
    if !signs::emptied(&p.pair, from)? {
        return Ok(());
    }
    let (s, c) = (from.letter(), from.other().letter());
    let way_out = if from == Leg::A && away::is_away(&p.pair) {
        let [mistake, meant] = signs::emptied_alone(&p.pair.line);
        let say = |(what, when): (String, &str)| format!("\n  {what}    {when}");
        format!("Nothing was done.{}{}", say(mistake), say(meant))
    } else {
        format!(
            "If {c} is right: --from {c}. If all shall go: mirror run -- find {} -mindepth 1 -delete, then again",
            text::shell(&p.pair.legs[from.other()].root.path)
        )
    };
    Err(Fail::new(
        Kind::Usage,
        format!(
            "{}: leg {s} is empty: everything in leg {c} would be removed. {way_out}",
            text::path(&p.pair.line.virt)
        ),
    ))
}

fn one(p: &mut Attached, a: &Resync) -> Res<u8> {
    let from = source(p, a)?;
    direction(p, from, a)?;
    if p.pair.incomplete().is_none() {
        not_empty(p, from)?;
    }
    if a.dry_run {
        let (_, links_out) = preview(p, from)?;
        passes::left_out(p, links_out);
        return Ok(0);
    }
    let mut turn = turn::take(&p.pair, from)?;
    // Again: another may have been stopped before the turn came.
    direction(p, from, a)?;
    if p.pair.incomplete().is_some() {
        let code = finish_copy(p, a, from)?;
        // With programs at work on leg a alone it is not part of the pair yet.
        if !away::is_away(&p.pair) {
            return Ok(code);
        }
    }
    if heal::recover(p) {
        output::say!(
            "{}    repaired what a killed program left",
            text::path(&p.pair.line.virt)
        );
    }
    if !a.yes && !agreed(p, from, &mut turn)? {
        return Ok(0);
    }
    passes::repair(p, from, a.allow_privileged, &mut turn)
}

/// Shows what would be repaired, and asks. `false`: both legs are equal.
fn agreed(p: &Attached, from: Leg, turn: &mut Turn) -> Res<bool> {
    let shown = text::path(&p.pair.line.virt);
    let ledger = Ledger::begin(p)?;
    let (n, links_out) = preview(p, from)?;
    if n == 0 && away::is_away(&p.pair) {
        return Ok(true);
    }
    if n == 0 {
        if !ledger.strike_off(p)? {
            // More was recorded meanwhile: the repair looks at it.
            return Ok(true);
        }
        passes::whole(p, turn)?;
        passes::left_out(p, links_out);
        output::say!("{shown}    IN SYNC  nothing to do");
        return Ok(false);
    }
    let (s, c) = (from.letter(), from.other().letter());
    if !can_ask() {
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "leg {c} of {shown} would be overwritten as listed, and nobody can be asked here. Nothing was done. To do it: add --yes"
            ),
        ));
    }
    let question = if from == p.source() {
        format!("Make {c} like {s}?")
    } else {
        format!(
            "Make {c} like {s}? {} is what programs see in {shown} today.",
            text::path(&p.pair.legs[from.other()].root.path)
        )
    };
    match ask(&question) {
        true => Ok(true),
        false => Err(Fail::new(Kind::Usage, "nothing was done")),
    }
}

fn finish_copy(p: &mut Attached, a: &Resync, from: Leg) -> Res<u8> {
    let (s, c) = (from.letter(), from.other().letter());
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
    if away::is_away(&p.pair) {
        output::say!("{shown}    leg {c} is copied; what was changed meanwhile comes now");
        return Ok(0);
    }
    passes::left_out(p, 0);
    output::say!("{shown}    IN SYNC  leg {c} is complete");
    Ok(0)
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
