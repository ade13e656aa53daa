//! Where the audit's knowledge of changes comes from.
use mirror_audit::{Event, Tier};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of events of one pair: both legs, from when it was made until it is dropped.
pub trait Source {
    /// Which one it is.
    fn tier(&self) -> Tier;
    /// What it does not see, each as half a sentence.
    fn blind(&self) -> Vec<String>;
    /// Becomes readable when there may be something to [`Source::read`].
    fn ready(&self) -> BorrowedFd<'_>;
    /// Takes what has happened, in its order, without waiting. Every change whose call had returned before
    /// is among what has been read when nothing more comes.
    fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()>;
    /// At the end: what still waits for its match.
    fn rest(&mut self, _events: &mut Vec<Event>) {}
    /// How often events have been lost since it was made: whole changes are missing then.
    fn lost(&self) -> u64;
    /// How many changes have been matched where they happened, and are not told.
    fn matched(&self) -> u64 {
        0
    }
    /// What is watched, as it is shown.
    fn scope(&self) -> String {
        "both legs".into()
    }
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
