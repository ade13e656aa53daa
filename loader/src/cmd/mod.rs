//! The subcommands.
pub mod config;
pub mod detach;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod init;
pub mod places;
pub mod resync;
pub mod run;
pub mod scan;
pub mod sharing;
pub mod status;
pub mod verify;

use std::io::{IsTerminal, Write};

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
