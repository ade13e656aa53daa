//! What every subcommand has.
use crate::fail::{Kind, Res};

/// The definition of the whole command line, for completions and manual pages.
pub type CommandLine = fn() -> clap::Command;

/// A subcommand: a name, exit codes, and its work. Its arguments are the value itself.
pub trait Sub {
    /// As messages and reports name it.
    const NAME: &'static str;
    /// The exit code of a failure.
    fn exit(kind: Kind) -> u8 {
        kind.exit()
    }
    /// Whether all that it says becomes one report, since `--json` was given. (Commands whose output is a
    /// list print their own.)
    fn reports(&self) -> bool {
        false
    }
    /// Does it; the exit code.
    fn run(&self, line: CommandLine) -> Res<u8>;
}
