//! The arguments of `mirror audit`.
use crate::audit::heal::Limit;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Watch both legs: tell each change that did not go through the mirror
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, 3 changes that were not mirrored, 4 events were lost (whatever else was found); with a COMMAND its own if that is not 0."
)]
pub struct Audit {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// What to watch with: t1 and t2 eBPF, t3 fanotify, t4 inotify (default: the best of t2 to t4 that is possible)
    #[arg(long, value_name = "TIER", value_parser = ["auto", "t1", "t2", "t3", "t4"], default_value = "auto")]
    pub tier: String,
    /// Carry changes of leg a to leg b, and undo those of leg b; what b loses is kept aside
    #[arg(long)]
    pub heal: bool,
    /// With --heal: only say what would be done
    #[arg(long, short = 'n', requires = "heal")]
    pub dry_run: bool,
    /// With --heal: hold what removes more than so many objects within ten seconds, or such a share of those
    /// that there are when the audit begins
    #[arg(long, value_name = "N|N%", default_value = "100", value_parser = Limit::parse)]
    pub brake: Limit,
    /// Machine-readable output: a line for each event
    #[arg(long)]
    pub json: bool,
    /// Lines on a terminal, too, in place of the live view
    #[arg(long)]
    pub plain: bool,
    /// No line for each finding: at the end (and on SIGUSR1) a table by program, reason and leg
    #[arg(long)]
    pub summary: bool,
    /// Run this shell command for each finding; MIRROR_EVENT, MIRROR_PAIR, MIRROR_LEG, MIRROR_PATH and others
    /// in its environment say what it is about
    #[arg(long, value_name = "CMD")]
    pub exec: Option<OsString>,
    /// Numbers for Prometheus, at http://ADDRESS:PORT/metrics or in a FILE for node_exporter
    #[arg(long, value_name = "[ADDRESS:]PORT|FILE")]
    pub metrics: Option<String>,
    /// Write to `journal` (with fields) or `syslog`, in place of lines
    #[arg(long, value_name = "WHERE")]
    pub log: Option<String>,
    /// What --heal held: list it, restore it from the leg that still has it, or carry the removal to that leg
    #[arg(long, value_name = "WHAT", value_parser = ["list", "restore", "carry"], conflicts_with_all = ["heal", "summary", "exec", "metrics", "log", "command", "explain"])]
    pub held: Option<String>,
    /// With --held: do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Say which ways of watching this machine allows, and what each does not see
    #[arg(long)]
    pub explain: bool,
    /// Run this command mirrored, and audit for as long as it runs
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
