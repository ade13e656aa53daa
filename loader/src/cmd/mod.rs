//! The subcommands.
pub mod completions;
pub mod config;
pub mod detach;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod fill;
pub mod fit;
pub mod init;
pub mod judge;
pub mod man;
pub mod places;
pub mod ps;
pub mod refusals;
pub mod resync;
pub mod run;
pub mod scan;
pub mod sharing;
pub mod status;
pub mod try_pair;
pub mod verify;
pub mod wait;

use crate::fail::{Fail, Kind, Res};
use crate::pair::control::Pair;
use crate::pair::tab;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// The pairs that a command works on: the named ones; without names, all that this user may use.
/// Those of other users are then left alone, which `tell` says on stderr.
pub fn usable(words: &[PathBuf], tell: bool) -> Res<Vec<Pair>> {
    let mut mine = Vec::new();
    let mut others = Vec::new();
    for l in tab::choose(words)? {
        match Pair::open(&l) {
            Ok(p) => mine.push(p),
            Err(e) if e.kind == Kind::Permission && words.is_empty() => others.push(e),
            Err(e) => return Err(e),
        }
    }
    match others.first() {
        Some(first) if mine.is_empty() => Err(Fail::new(
            Kind::Permission,
            format!(
                "no pair that this user may use. {}    a pair of your own: mirror init LEG_A LEG_B",
                first.text
            ),
        )),
        _ => {
            for e in others.iter().filter(|_| tell) {
                crate::note!("mirror: passed over: {}", e.text);
            }
            Ok(mine)
        }
    }
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
