//! What goes wrong, as the user reads it: one line of text with the way out, and a kind from which
//! each command takes its exit code (ux: the table of exit codes).
use std::io;

/// The kind of a failure. Each command maps it to its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The work could not be done.
    Failed,
    /// The command line is wrong, or names a pair that does not exist.
    Usage,
    /// This user may not.
    Permission,
    /// A mirrortab, or MIRROR, is broken.
    Config,
    /// A leg of the pair cannot be used.
    Leg,
    /// A leg's control folder may have been put there by somebody else.
    Distrust,
    /// Another command works on the pair.
    Busy,
    /// This process lacks what looking needs: it has found out nothing.
    Unseen,
    /// Stopped by the user.
    Interrupted,
    /// The command to run was not found.
    NotFound,
    /// The command to run cannot be run.
    NotRunnable,
}

impl Kind {
    /// The exit code of commands without a table of their own.
    pub fn exit(self) -> u8 {
        match self {
            Kind::Usage => 64,
            Kind::Permission => 77,
            Kind::Config => 78,
            _ => 1,
        }
    }
    /// The word for reports.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Permission => "permission",
            Kind::Config => "configuration",
            Kind::Leg => "leg",
            Kind::Distrust => "distrust",
            Kind::Busy => "busy",
            Kind::Unseen => "unseen",
            Kind::Interrupted => "interrupted",
            Kind::NotFound => "not-found",
            Kind::NotRunnable => "not-runnable",
        }
    }
}

/// A failure.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Fail {
    /// What kind.
    pub kind: Kind,
    /// The line, without the leading `mirror: COMMAND: `.
    pub text: String,
}

/// What fallible work returns.
pub type Res<T> = Result<T, Fail>;

impl Fail {
    /// A failure of a kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Fail {
        Fail {
            kind,
            text: text.into(),
        }
    }
    /// [`Kind::Failed`].
    pub fn failed(text: impl Into<String>) -> Fail {
        Fail::new(Kind::Failed, text)
    }
    /// An I/O error about a thing; "permission denied" gets its own kind.
    pub fn io(what: impl std::fmt::Display, e: impl Into<io::Error>) -> Fail {
        let e = e.into();
        let kind = match e.kind() {
            io::ErrorKind::PermissionDenied => Kind::Permission,
            io::ErrorKind::Interrupted => Kind::Interrupted,
            _ if blind(&e) => Kind::Unseen,
            _ => Kind::Failed,
        };
        Fail::new(kind, format!("{what}: {}", reason(&e)))
    }
}

/// Whether an error of looking says something of this process alone, and nothing of what it looked at.
pub fn blind(e: &io::Error) -> bool {
    use libc::{EACCES, EINTR, EMFILE, ENFILE, ENOMEM, EPERM};
    let none = [EMFILE, ENFILE, ENOMEM, EINTR, EACCES, EPERM];
    e.raw_os_error().is_some_and(|n| none.contains(&n))
}

/// The text of an I/O error without Rust's "(os error N)".
pub fn reason(e: &io::Error) -> String {
    let s = e.to_string();
    match s.rfind(" (os error") {
        Some(i) => s[..i].to_string(),
        None => s,
    }
}

/// Puts a subject before an I/O error.
pub trait Context<T> {
    /// `what: reason`.
    fn about(self, what: impl std::fmt::Display) -> Res<T>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn about(self, what: impl std::fmt::Display) -> Res<T> {
        self.map_err(|e| Fail::io(what, e))
    }
}
