//! What `mirror init` is asked for.
use super::sharing::Share;
use super::side::Side;
use crate::tree::locks;
use clap::{Args, ValueEnum};
use mirror_core::LockKind;
use std::ffi::OsString;
use std::path::PathBuf;

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
    /// Programs go on with leg a, and leg b is left behind until it is brought back
    Degrade,
    /// Programs get the error
    Fail,
}

/// What a pair does when one leg is full.
#[derive(Clone, Copy, ValueEnum)]
pub enum OnFull {
    /// The program gets "no space", both legs stay equal
    Error,
    /// Programs go on with leg a, and leg b is left behind until it is brought back
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

/// What keeps a pair's programs apart.
#[derive(Clone, Copy, ValueEnum)]
pub enum Locks {
    /// flock(2) on files of both legs
    Flock,
    /// Words in memory that the programs share
    Memory,
}

impl Init {
    /// The locks that are asked for; else words, where a process can show that it lives.
    pub fn locks(&self) -> LockKind {
        match self.locks {
            Some(Locks::Flock) => LockKind::Flock,
            Some(Locks::Memory) => LockKind::Memory,
            // Words that everybody may write lock nothing.
            None if self.share == Share::All => LockKind::Flock,
            None if locks::in_memory().is_ok() => LockKind::Memory,
            None => LockKind::Flock,
        }
    }
}

/// Make two directories the legs of a pair
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
    /// When leg b is lost
    #[arg(long, value_enum, default_value = "fail")]
    pub on_failure: OnFailure,
    /// When leg b is full
    #[arg(long, value_enum, default_value = "error")]
    pub on_full: OnFull,
    /// When a mirrored program starts one that cannot be mirrored
    #[arg(long, value_enum, default_value = "warn")]
    pub unmirrorable: Unmirrorable,
    /// What keeps the pair's programs apart [default: memory, where the kernel has what it needs]
    #[arg(long, value_enum, hide_short_help = true)]
    pub locks: Option<Locks>,
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
