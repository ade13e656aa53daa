//! `mirror wait`: returns when a pair is in sync, or clean, or when the time is over.
use super::sub::{CommandLine, Sub};
use super::{json, status};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::legs::Pair;
use crate::pair::{domain, tab};
use crate::sync::clean::{self, Flushed};
use crate::sync::heal;
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Return when a pair is in sync
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 in sync (and clean), 1 not in time, 64 usage, 77 no permission, 78 configuration."
)]
pub struct Wait {
    /// The pair
    pub pair: PathBuf,
    /// Wait until nobody uses the pair, flush both legs, and note that: it needs no comparison after a restart
    #[arg(long)]
    pub clean: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Wait {
    const NAME: &'static str = "wait";
    fn reports(&self) -> bool {
        self.json
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// Between two looks.
const STEP: Duration = Duration::from_millis(200);

/// Runs it: 0 in sync, 1 not in time.
pub fn run(a: &Wait) -> Res<u8> {
    let limit = match a.timeout {
        None => None,
        Some(s) => Some(Duration::try_from_secs_f64(s).map_err(|_| {
            Fail::new(
                Kind::Usage,
                format!("--timeout {s}: a number of seconds, 0 or more"),
            )
        })?),
    };
    let begun = Instant::now();
    let mut told = false;
    loop {
        // The mirrortab is read each time: the pair may be detached meanwhile.
        let all = tab::load()?;
        let view = status::look(tab::find(&all, &a.pair)?);
        let left = limit.map(|l| l.saturating_sub(begun.elapsed()));
        let flushed = match view.exit == 0 && a.clean {
            true => Some(flushed(&all, &a.pair)?),
            false => None,
        };
        output::put(&json::Wait {
            state: view.state.to_lowercase().replace(' ', "-"),
            clean: flushed.map(|f| f == Flushed::Clean),
        });
        if view.exit == 0 && flushed.is_none_or(|f| f == Flushed::Clean) {
            status::brief(&view, 0, 0);
            return Ok(0);
        }
        if view.foreign {
            return Err(Fail::new(Kind::Permission, view.why.join("; ")));
        }
        // Who wants it clean does not wait for what somebody must decide, or for what stays as it is.
        let stays = a.clean && view.exit != 0 && !["RESYNCING", "INCOMPLETE"].contains(&view.state);
        if left == Some(Duration::ZERO) || stays || flushed == Some(Flushed::Unknown) {
            match flushed {
                Some(f) => output::note!("mirror: wait: {}", not_clean(f)),
                None => status::full(&view),
            }
            return Ok(1);
        }
        if !told && let (Some(f), None) = (flushed, limit) {
            output::note!("mirror: wait: {}", not_clean(f));
            told = true;
        }
        if !told && limit.is_none() {
            // It may wait for somebody to type something.
            output::note!("mirror: wait: {}: {}", view.state, view.why.join("; "));
            told = true;
        }
        std::thread::sleep(left.unwrap_or(STEP).min(STEP));
    }
}

fn flushed(all: &[tab::Line], pair: &Path) -> Res<Flushed> {
    let pair = Pair::open(tab::find(all, pair)?)?;
    if clean::of(&pair) {
        return Ok(Flushed::Clean);
    }
    let Some(_turn) = clean::turn(&pair)? else {
        return Ok(Flushed::InUse);
    };
    let p = domain::attach_idle(pair)?;
    heal::recover(&p);
    heal::settle(&p);
    clean::flush(&p)
}

/// Why a pair that is in sync is not clean.
fn not_clean(f: Flushed) -> &'static str {
    match f {
        Flushed::Clean => "clean",
        Flushed::InUse => "in sync, and in use: not clean (mirror ps)",
        Flushed::Doubtful => "in sync, and something is still to be repaired: not clean",
        Flushed::Unknown => {
            "in sync; whether a leg's server has everything on its disk cannot be known (FUSE): not clean"
        }
    }
}
