//! The command line, defined once: help, completions and parsing come from here.
use crate::cmd;
use crate::fail::{Fail, Kind, Res};
use crate::{output, text};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
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

#[derive(Subcommand)]
enum Command {
    /// Make two directories the legs of a pair
    Init(Init),
    /// Run a command whose changes reach both legs
    #[command(
        after_help = "Exit codes: the command's; 125 a failure of mirror, 126 not runnable, 127 not found."
    )]
    Run(Run),
    /// Say whether pairs are in sync, and what to type if not
    #[command(after_help = STATUS_CODES)]
    Status(Report),
    /// Compare both legs completely
    #[command(after_help = VERIFY_CODES)]
    Verify(Report),
    /// Make one leg like the other again (or finish an interrupted first copy)
    #[command(after_help = RESYNC_CODES)]
    Resync(Resync),
    /// List the differences of a pair, or of two directories
    #[command(after_help = VERIFY_CODES)]
    Diff(Diff),
    /// Say who is attached to a pair
    Ps(Report),
    /// Return when a pair is in sync
    #[command(
        after_help = "Exit codes: 0 in sync, 1 not in time, 64 usage, 77 no permission, 78 configuration."
    )]
    Wait(Wait),
    /// Try it: a pair to throw away, and a shell in it
    Try(Try),
    /// Undo init: both trees stay as they are
    #[command(alias = "remove")]
    Detach(Detach),
    /// Check this machine, or whether a command can be mirrored
    Doctor(Doctor),
    /// Work with the mirrortab
    #[command(subcommand)]
    Config(Config),
    /// Explain a code from another command's output
    Explain {
        /// The code, like M-101
        code: Option<String>,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// The folder; man1, man5 and man7 are made in it
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print the names of pairs, for completion
    #[command(hide = true, name = "__pairs")]
    Pairs,
    /// The second process of the check whether locks exclude: standard input is the directory
    #[command(hide = true, name = "probe-lock")]
    ProbeLock {
        /// The file in it
        name: OsString,
    },
}

const STATUS_CODES: &str = "Exit codes: 0 in sync, 1 not in sync (both legs are there), 2 programs cannot use the pair, 3 unknown (no such pair, no permission).";
const VERIFY_CODES: &str = "Exit codes: 0 equal, 1 different or not all compared, 2 trouble.";
const RESYNC_CODES: &str = "Exit codes: 0 whole, 1 finished with paths left, 2 refused, 3 interrupted (the same command goes on).";

/// One of the legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Leg a
    A,
    /// Leg b
    B,
}

impl Side {
    /// 0 or 1.
    pub fn index(self) -> usize {
        usize::from(self == Side::B)
    }
}

/// What is done when a leg cannot hold everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// Say what is lost, and go on
    Possible,
    /// Refuse
    Full,
}

/// What a pair does when a leg is lost.
#[derive(Clone, Copy, ValueEnum)]
pub enum OnFailure {
    /// Go on with the other leg
    Degrade,
    /// The program gets the error
    Fail,
}

/// What a pair does when one leg is full.
#[derive(Clone, Copy, ValueEnum)]
pub enum OnFull {
    /// The program gets "no space", both legs stay equal
    Error,
    /// Go on with the other leg
    Degrade,
}

/// What a pair does about programs that cannot be mirrored.
#[derive(Clone, Copy, ValueEnum)]
pub enum Unmirrorable {
    /// They are counted and told
    Warn,
    /// They are not started: permission denied
    Refuse,
    /// They are counted, not told
    Quiet,
}

/// Who may use a pair.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Share {
    /// The user who makes it, and root
    Owner,
    /// The members of leg a's group as well
    Group,
}

/// `mirror init`
#[derive(Args)]
pub struct Init {
    /// Leg a: the directory that answers
    pub leg_a: PathBuf,
    /// Leg b: its mirror
    pub leg_b: PathBuf,
    /// Make V a link to leg a (without it the pair is in place: V is leg a)
    #[arg(long, value_name = "V")]
    pub at: Option<PathBuf>,
    /// Make V a link of this name beside leg a
    #[arg(long, conflicts_with = "at")]
    pub name: Option<OsString>,
    /// The leg that wins when both have contents that differ; what the other loses is kept aside
    #[arg(long, value_enum, value_name = "LEG")]
    pub source: Option<Side>,
    /// As root: carry set-id bits, capabilities and device nodes also from a leg that is mounted nosuid or
    /// nodev to one that is not
    #[arg(long)]
    pub allow_privileged: bool,
    /// When one leg cannot hold what the other can
    #[arg(long, value_enum, default_value = "possible")]
    pub fidelity: Wanted,
    /// When a leg is lost (stored only: not built yet)
    #[arg(long, value_enum, default_value = "degrade")]
    pub on_failure: OnFailure,
    /// When a leg is full (stored only: not built yet)
    #[arg(long, value_enum, default_value = "error")]
    pub on_full: OnFull,
    /// When a mirrored program starts one that cannot be mirrored
    #[arg(long, value_enum, default_value = "warn")]
    pub unmirrorable: Unmirrorable,
    /// Locks of each kind (directories, files), 1 to 64: more let more processes change the pair at a
    /// time [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=mirror_core::STRIPES_MAX as i64), hide_short_help = true)]
    pub stripes: Option<u8>,
    /// Only say what would be done
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Who may use the pair
    #[arg(long, value_enum, default_value = "owner")]
    pub share: Share,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The mirrortab to write (default: /etc/mirrortab, or ~/.config/mirror/mirrortab)
    #[arg(long, value_name = "FILE")]
    pub tab: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `mirror run`
#[derive(Args)]
pub struct Run {
    /// Open only this pair (can be given several times); changes in the other pairs are refused
    #[arg(long, value_name = "V")]
    pub pair: Vec<PathBuf>,
    /// Replace this process by the command (for services)
    #[arg(long)]
    pub exec: bool,
    /// Refuse to start unless the pairs are in sync
    #[arg(long, value_name = "STATE", value_parser = ["in-sync"])]
    pub require: Option<String>,
    /// Run this program although its changes cannot be mirrored
    #[arg(long, value_name = "NAME")]
    pub allow_unmirrored: Vec<OsString>,
    /// The command and its arguments
    #[arg(
        last = false,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// `mirror status`, `mirror verify`, `mirror ps`
#[derive(Args)]
pub struct Report {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `mirror resync`
#[derive(Args)]
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

/// `mirror diff`
#[derive(Args)]
pub struct Diff {
    /// A pair, or a directory
    pub first: PathBuf,
    /// Another directory
    pub second: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `mirror wait`
#[derive(Args)]
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

/// `mirror try`
#[derive(Args)]
pub struct Try {
    /// Leave the folder when the command has ended
    #[arg(long)]
    pub keep: bool,
    /// A command in place of a shell
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// `mirror detach`
#[derive(Args)]
pub struct Detach {
    /// The pair
    pub pair: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `mirror doctor`
#[derive(Args)]
pub struct Doctor {
    /// Prepare this machine's libc, and look which programs make system calls past it
    #[arg(long)]
    pub prepare: bool,
    /// Say whether this command can be mirrored
    pub command: Option<OsString>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `mirror config`
#[derive(Subcommand)]
pub enum Config {
    /// Check the mirrortab files, or one file
    Check {
        /// The file
        file: Option<PathBuf>,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
}

/// Which exit code a failure has in a command with a table of its own.
fn code(name: &str, f: &Fail) -> u8 {
    match (name, f.kind) {
        ("run", Kind::NotFound) => 127,
        ("run", Kind::NotRunnable) => 126,
        ("run", _) => 125,
        ("status", Kind::Leg | Kind::Distrust) => 2,
        ("status", _) => 3,
        ("verify" | "diff", _) => 2,
        ("resync", Kind::Interrupted) => 3,
        ("resync", Kind::Failed) => 1,
        ("resync", _) => 2,
        ("try", Kind::NotFound) => 127,
        ("try", Kind::NotRunnable) => 126,
        _ => f.code(),
    }
}

/// The command line without what is for ourselves alone.
fn visible() -> clap::Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|s| !s.is_hide_set()).cloned();
    clap::Command::new("mirror")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown.collect::<Vec<_>>())
}

fn usage_code(name: &str) -> u8 {
    code(name, &Fail::new(Kind::Usage, ""))
}

/// Prints a failure's line.
pub fn complain(name: &str, f: &Fail) {
    output::note!("mirror: {name}: {}", f.text);
}

/// Parses the command line and does what it says.
// long: one arm for each subcommand
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(c) => c,
        Err(e) => {
            let name = std::env::args_os().nth(1).unwrap_or_default();
            // A closed stderr leaves nothing to say.
            let _ = e.print();
            let usage = e.use_stderr()
                && e.kind() != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            let exit = match (usage, e.use_stderr()) {
                (true, _) => usage_code(&name.to_string_lossy()),
                (false, true) => 64,
                (false, false) => 0,
            };
            if exit != 0 && json_asked() {
                let text = e.render().to_string();
                let first = text.lines().next().unwrap_or("");
                let message = first.strip_prefix("error: ").unwrap_or(first);
                error(&name.to_string_lossy(), Kind::Usage, message, exit);
            }
            return ExitCode::from(exit);
        }
    };
    if wants_report(&cli.command) {
        output::begin_report();
    }
    let (name, r): (&str, Res<u8>) = match cli.command {
        Command::Init(a) => ("init", cmd::init::run(&a)),
        Command::Run(a) => ("run", cmd::run::run(&a)),
        Command::Status(a) => ("status", cmd::status::run(&a)),
        Command::Verify(a) => ("verify", cmd::verify::run(&a)),
        Command::Resync(a) => ("resync", cmd::resync::run(&a)),
        Command::Diff(a) => ("diff", cmd::diff::run(&a)),
        Command::Detach(a) => ("detach", cmd::detach::run(&a)),
        Command::Doctor(a) => ("doctor", cmd::doctor::run(&a)),
        Command::Config(Config::Check { file, .. }) => {
            ("config check", cmd::config::check(file.as_deref()))
        }
        Command::Explain { code } => ("explain", cmd::explain::run(code.as_deref())),
        Command::Ps(a) => ("ps", cmd::ps::run(&a)),
        Command::Wait(a) => ("wait", cmd::wait::run(&a)),
        Command::Try(a) => ("try", cmd::try_pair::run(&a)),
        Command::Completions { shell } => {
            let r = cmd::completions::run(shell, &mut visible());
            ("completions", r)
        }
        Command::Man { out } => ("man", cmd::man::run(Cli::command(), &out)),
        Command::Pairs => ("__pairs", cmd::completions::pairs()),
        Command::ProbeLock { name } => ("probe-lock", crate::tree::locks::second(&name)),
    };
    let report = output::end_report();
    let r = r.and_then(|c| {
        if let Some(mut fields) = report {
            let schema = format!("mirror.{}/1", name.replace(' ', "-"));
            fields.insert("schema".into(), schema.into());
            fields.insert("exit".into(), c.into());
            fields.insert("time".into(), text::iso(text::now()).into());
            output::say!("{}", serde_json::Value::Object(fields));
        }
        if output::lost() {
            return Err(Fail::failed(
                "standard output cannot be written. Is its disk full?",
            ));
        }
        Ok(c)
    });
    ExitCode::from(r.unwrap_or_else(|f| {
        let exit = code(name, &f);
        complain(name, &f);
        if json_asked() {
            error(name, f.kind, &f.text, exit);
        }
        exit
    }))
}

/// Whether the command's lines become one report.
fn wants_report(c: &Command) -> bool {
    match c {
        Command::Init(a) => a.json,
        Command::Resync(a) => a.json,
        Command::Detach(a) => a.json,
        Command::Doctor(a) => a.json,
        Command::Wait(a) => a.json,
        Command::Config(Config::Check { json, .. }) => *json,
        _ => false,
    }
}

/// Whether `--json` was given to a command that knows it.
fn json_asked() -> bool {
    let mut words = std::env::args_os().skip(1);
    let takes_a_command = words.next().is_some_and(|w| w == "run" || w == "try");
    !takes_a_command && words.take_while(|w| w != "--").any(|w| w == "--json")
}

/// A failure for those who read JSON.
fn error(name: &str, kind: Kind, message: &str, exit: u8) {
    let kind = match kind {
        Kind::Failed => "failed",
        Kind::Usage => "usage",
        Kind::Permission => "permission",
        Kind::Config => "configuration",
        Kind::Leg => "leg",
        Kind::Distrust => "distrust",
        Kind::Busy => "busy",
        Kind::Interrupted => "interrupted",
        Kind::NotFound => "not-found",
        Kind::NotRunnable => "not-runnable",
    };
    output::say!(
        "{}",
        serde_json::json!({
            "schema": "mirror.error/1",
            "command": name,
            "kind": kind,
            "code": text::code(message),
            "message": message,
            "exit": exit,
        })
    );
}
