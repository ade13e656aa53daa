//! What is said of a libc and of its image.
use mirror_core::calls;
use std::path::PathBuf;

/// One `syscall` instruction of a libc that the mirror wants.
#[derive(Clone, Debug)]
pub struct Site {
    /// Address of the instruction, relative to the load address.
    pub address: u64,
    /// Its possible numbers; empty if computed.
    pub numbers: Vec<u32>,
    /// The one number is certain.
    pub certain: bool,
    /// Why it could not be patched.
    pub why: Option<&'static str>,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self
            .numbers
            .iter()
            .map(|n| calls::row(*n).map_or_else(|| format!("#{n}"), |row| row.name().to_owned()))
            .collect();
        let names = if names.is_empty() {
            "computed".to_owned()
        } else {
            names.join("|")
        };
        write!(f, "{names} at {:#x}", self.address)?;
        self.why.map_or(Ok(()), |w| write!(f, " ({w})"))
    }
}

fn list(sites: &[Site]) -> String {
    sites
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why no image could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// This library cannot be patched at all.
    #[error("this C library cannot be prepared: {0}")]
    Unsuitable(String),
    /// Calls that must be seen could not be patched.
    #[error("this C library cannot be covered: {}", list(.0))]
    Required(Vec<Site>),
    /// The segment's tail is too small.
    #[error("this C library cannot be prepared: no room behind its text")]
    NoRoom,
    /// No folder for images.
    #[error("no folder for prepared images: set MIRROR_CACHE or HOME")]
    NoCache,
}

/// The state of the image of one libc.
#[derive(Debug)]
pub enum Status {
    /// There is a trusted, undamaged image.
    Ok(PathBuf),
    /// There is none.
    Missing(PathBuf),
    /// There is one, but it would not be used.
    Untrusted(PathBuf, String),
    /// This libc cannot be prepared.
    Unsuitable(String),
}
