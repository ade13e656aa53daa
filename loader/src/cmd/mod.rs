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
pub mod status;
pub mod verify;

use std::io::{BufRead, IsTerminal, Write};

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question on the terminal; anything but yes is no.
pub fn ask(question: &str) -> bool {
    eprint!("{question}  [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
}
