//! `mirror leg`: leg b of a pair is taken offline, or brought back.
use super::look;
use super::replace::{self, Replace};
use super::resync::Resync;
use super::side::Side;
use super::sub::{CommandLine, Sub};
use crate::fail::{Fail, Kind, Res};
use crate::pair::legs::Pair;
use crate::pair::{away, tab};
use crate::{output, text};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Take leg b of a pair offline, bring it back, or replace it
#[derive(Args)]
#[command(
    after_help = "Exit codes: offline: 0 leg b is away, 1 failed. online: 0 in sync (or leg b was not away), 1 not back yet (paths left, or programs at work on leg a alone) or failed, 2 refused, 3 interrupted (the same command goes on). replace: those of online once the new leg is made; before that 1 failed or in use, 64 refused. All: 64 usage (no such pair), 77 no permission, 78 configuration."
)]
pub struct Leg {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Programs go on with leg a alone; leg b can be unmounted
    Offline(Offline),
    /// Make leg b like leg a, and take it into the pair again, beside running programs (those that came after a restart
    /// without leg b must end first)
    Online(Online),
    /// Give the pair a new leg b, in an empty directory, and copy leg a to it
    Replace(Replace),
}

#[derive(Args)]
struct Offline {
    /// The pair
    pair: PathBuf,
    /// The leg (b)
    #[arg(value_enum)]
    leg: Side,
}

#[derive(Args)]
struct Online {
    /// The pair
    pair: PathBuf,
    /// The leg (b)
    #[arg(value_enum)]
    leg: Side,
    /// Only say what would be done
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Sub for Leg {
    const NAME: &'static str = "leg";
    fn run(&self, line: CommandLine) -> Res<u8> {
        match &self.what {
            What::Offline(a) => offline(a),
            What::Online(a) => online(a, line),
            What::Replace(a) => {
                is_b(a.leg)?;
                if !replace::prepare(a)? {
                    return Ok(0);
                }
                // From here on it is the return of a leg, which the same command, or that one, goes on with.
                online(
                    &Online {
                        pair: a.pair.clone(),
                        leg: a.leg,
                        dry_run: false,
                        yes: true,
                    },
                    line,
                )
            }
        }
    }
}

fn is_b(leg: Side) -> Res<()> {
    match leg {
        Side::B => Ok(()),
        Side::A => Err(Fail::new(
            Kind::Usage,
            "leg a is what programs see in V: it cannot be without them. The leg to name is b",
        )),
    }
}

fn offline(a: &Offline) -> Res<u8> {
    is_b(a.leg)?;
    let all = tab::load()?;
    let l = tab::find(&all, &a.pair)?;
    let (shown, v) = (text::path(&l.virt), text::shell(&l.virt));
    if !away::leave(l)? {
        output::say!("{shown}    leg b is away already    mirror status {v}");
        return Ok(0);
    }
    output::say!(
        "{shown}    DEGRADED  leg b is offline: new data exists once, on leg a; programs let go of b at their next change"
    );
    output::say!("action    mirror leg online {v} b    brings it back");
    Ok(0)
}

fn online(a: &Online, line: CommandLine) -> Res<u8> {
    is_b(a.leg)?;
    let all = tab::load()?;
    let l = tab::find(&all, &a.pair)?;
    // Its failures have the exit codes of the resync that it is.
    let failed = |f: Fail| {
        output::note!("mirror: leg: {}", f.text);
        Ok(Resync::exit(f.kind))
    };
    match not_away(l) {
        Ok(false) => {}
        Ok(true) => {
            output::say!("{}    leg b is not away", text::path(&l.virt));
            return Ok(0);
        }
        Err(f) => return failed(f),
    }
    let resync = Resync {
        pair: Some(a.pair.clone()),
        from: None,
        allow_privileged: false,
        dry_run: a.dry_run,
        yes: a.yes,
        json: false,
    };
    resync.run(line).or_else(failed)
}

/// Whether leg b is part of the pair: leg a says that nobody has left it behind, and both legs are there. An error: it
/// cannot be said.
fn not_away(l: &tab::Line) -> Res<bool> {
    let said = away::ask(l).map(|found| found.is_none());
    let there = match said {
        Ok(false) => return Ok(false),
        Ok(true) => Pair::open(l).map(|_| true),
        Err(e) => Err(e),
    };
    there.map_err(|e| Fail::new(e.kind, look::look(l).instead(e.text)))
}
