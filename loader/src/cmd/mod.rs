//! The subcommands.
pub mod audit;
pub mod completions;
pub mod config;
pub mod degraded;
pub mod detach;
pub mod diff;
pub mod differences;
pub mod doctor;
pub mod explain;
pub mod fill;
pub mod finding;
pub mod fit;
pub mod handed;
pub mod init;
pub mod init_args;
pub mod json;
pub mod judge;
pub mod leave;
pub mod left_out;
pub mod leg;
pub mod link;
pub mod look;
pub mod lost;
pub mod man;
pub mod places;
pub mod probe_lock;
pub mod ps;
pub mod ready;
pub mod refusals;
mod replace;
pub mod resync;
pub mod rings;
pub mod run;
pub mod scan;
pub mod sharing;
pub mod side;
pub mod signs;
pub mod status;
pub mod sub;
pub mod try_pair;
pub mod unmirrored;
pub mod unread;
pub mod verify;
pub mod wait;

use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::legs::Pair;
use crate::pair::state::State;
use crate::pair::tab;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// A pair that a command works on, or what is wrong with it.
#[allow(clippy::large_enum_variant, reason = "one for each pair of a command")]
pub enum Found {
    /// Its legs are at hand.
    Pair(Box<Pair>),
    /// They are not.
    Lost(Box<look::Look>),
}

/// The pairs that a command works on: the named ones; without names, all that this user may use. Those of
/// other users are then left alone, which `tell` says on stderr. A pair that is lost does not keep the
/// command from the others.
pub fn each(words: &[PathBuf], tell: bool) -> Res<Vec<Found>> {
    let lines = tab::choose(words)?;
    let mut found = Vec::new();
    let mut foreign = Vec::new();
    for l in &lines {
        let mut k = look::look(l);
        match k.pair.take() {
            Some(p) => found.push(Found::Pair(Box::new(p))),
            None if k.state == State::Unknown => foreign.push(k),
            None => found.push(Found::Lost(Box::new(k))),
        }
    }
    let mut foreign = foreign.into_iter();
    if let (true, Some(k)) = (
        found.is_empty() || !words.is_empty(),
        foreign.as_slice().first(),
    ) {
        let why = k.why.join("; ");
        return Err(Fail::new(
            Kind::Permission,
            match words {
                [] => format!(
                    "no pair that this user may use. {why}    a pair of your own: mirror init LEG_A LEG_B"
                ),
                _ => why,
            },
        ));
    }
    for k in foreign.by_ref().filter(|_| tell) {
        output::note!("mirror: passed over: {}", k.why.join("; "));
    }
    Ok(found)
}

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question on the terminal; anything but yes is no.
pub fn ask(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question}  [y/N] ");
    let _ = std::io::stderr().flush();
    // Read directly: a ^C must end the wait (std would go on reading).
    let mut buf = [0u8; 256];
    let n = rustix::io::read(rustix::stdio::stdin(), &mut buf).unwrap_or(0);
    let answer = String::from_utf8_lossy(buf.get(..n).unwrap_or(&[])).into_owned();
    matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
}
