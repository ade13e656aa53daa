//! The command line: the list of subcommands, from which help, completions, manual pages and parsing come.
//! What belongs to one of them is in its file in `cmd/`.
use crate::cmd::sub::Sub;
use crate::cmd::{
    audit, completions, config, detach, diff, doctor, explain, init_args, json, leg, man,
    probe_lock, ps, resync, run, status, try_pair, verify, wait,
};
use crate::fail::{Fail, Kind, Res};
use crate::{output, text};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Links two directory trees into one and keeps both copies equal while programs use it.
///
/// Start with `mirror init LEG_A LEG_B`, then `mirror run -- COMMAND`.
#[derive(Parser)]
#[command(name = "mirror", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The enum, what runs each of them, and the exit code of its usage errors.
macro_rules! subcommands {
    ($($(#[$attr:meta])* $name:ident($args:ty),)*) => {
        #[derive(Subcommand)]
        enum Command {
            $($(#[$attr])* $name($args),)*
        }

        impl Command {
            fn act(&self) -> ExitCode {
                match self {
                    $(Command::$name(a) => act(a),)*
                }
            }
        }

        /// Names, and the exit codes of failures.
        const TABLE: &[(&str, fn(Kind) -> u8)] = &[
            $((<$args>::NAME, <$args>::exit),)*
        ];
    };
}

subcommands! {
    Init(init_args::Init),
    Run(run::Run),
    Status(status::Status),
    Verify(verify::Verify),
    Resync(resync::Resync),
    Diff(diff::Diff),
    #[command(alias = "monitor")]
    Audit(audit::Audit),
    Leg(leg::Leg),
    Ps(ps::Ps),
    Wait(wait::Wait),
    Try(try_pair::Try),
    #[command(alias = "remove")]
    Detach(detach::Detach),
    Doctor(doctor::Doctor),
    Config(config::Config),
    Explain(explain::Explain),
    Completions(completions::Completions),
    #[command(hide = true)]
    Man(man::Pages),
    #[command(hide = true, name = "__pairs")]
    Pairs(completions::Pairs),
    #[command(hide = true, name = "probe-lock")]
    ProbeLock(probe_lock::ProbeLock),
}

/// Parses the command line and does what it says.
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.command.act(),
        Err(e) => usage(&e),
    }
}

fn act<S: Sub>(sub: &S) -> ExitCode {
    if sub.reports() {
        output::begin_report();
    }
    let done = sub.run(Cli::command);
    ExitCode::from(told(S::NAME, done).unwrap_or_else(|f| {
        let exit = S::exit(f.kind);
        output::note!("mirror: {}: {}", S::NAME, f.text);
        if json_asked() {
            error(S::NAME, f.kind, &f.text, exit);
        }
        exit
    }))
}

/// Prints the report, if there is to be one.
fn told(name: &str, done: Res<u8>) -> Res<u8> {
    let report = output::end_report();
    let exit = done?;
    if let Some((fields, messages)) = report {
        output::print(&json::Report {
            schema: format!("mirror.{}/1", name.replace(' ', "-")),
            exit,
            time: text::iso(text::now()),
            messages,
            fields,
        });
    }
    if output::lost() {
        return Err(Fail::failed(
            "standard output cannot be written. Is its disk full?",
        ));
    }
    Ok(exit)
}

/// Help was asked for, or the command line is wrong.
fn usage(e: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as Bare;
    let name = std::env::args_os().nth(1).unwrap_or_default();
    let name = name.to_string_lossy();
    // A closed stderr leaves nothing to say.
    let _ = e.print();
    if !e.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let of = TABLE.iter().find(|(n, _)| *n == name);
    let exit = match of {
        Some((_, exit)) if e.kind() != Bare => exit(Kind::Usage),
        _ => Kind::Usage.exit(),
    };
    if json_asked() {
        let text = e.render().to_string();
        let first = text.lines().next().unwrap_or("");
        let message = first.strip_prefix("error: ").unwrap_or(first);
        error(&name, Kind::Usage, message, exit);
    }
    ExitCode::from(exit)
}

/// Whether `--json` was given to a command that knows it.
fn json_asked() -> bool {
    let mut words = std::env::args_os().skip(1);
    let takes_a_command = words.next().is_some_and(|w| w == "run" || w == "try");
    !takes_a_command && words.take_while(|w| w != "--").any(|w| w == "--json")
}

/// A failure for those who read JSON.
fn error(name: &str, kind: Kind, message: &str, exit: u8) {
    output::print(&json::Error {
        schema: "mirror.error/1",
        command: name,
        kind: kind.word(),
        code: text::code(message),
        message,
        exit,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_typed() {
        Cli::command().debug_assert();
        let line = Cli::command();
        let typed: Vec<&str> = line
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let named: Vec<&str> = TABLE
            .iter()
            .map(|(n, _)| n.split(' ').next().unwrap_or(n))
            .collect();
        assert_eq!(typed, named);
    }
}
