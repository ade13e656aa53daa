//! `mirror wait`: returns when a pair is in sync, or when the time is over.
use super::sub::{CommandLine, Sub};
use super::{json, status};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::tab;
use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Return when a pair is in sync
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 in sync, 1 not in time, 64 usage, 77 no permission, 78 configuration."
)]
pub struct Wait {
    /// The pair
    pub pair: PathBuf,
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
        output::put(&json::Wait {
            state: view.state.to_lowercase().replace(' ', "-"),
        });
        if view.exit == 0 {
            status::brief(&view, 0, 0);
            return Ok(0);
        }
        if view.foreign {
            return Err(Fail::new(Kind::Permission, view.why.join("; ")));
        }
        let left = limit.map(|l| l.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            status::full(&view);
            return Ok(1);
        }
        if !told && limit.is_none() {
            // It may wait for somebody to type something.
            output::note!("mirror: wait: {}: {}", view.state, view.why.join("; "));
            told = true;
        }
        std::thread::sleep(left.unwrap_or(STEP).min(STEP));
    }
}
