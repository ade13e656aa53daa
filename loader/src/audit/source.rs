//! Where the audit's knowledge of changes comes from.
#![allow(dead_code, reason = "the sources come with the command")]
use mirror_audit::{Event, Tier};
use std::io;
use std::os::fd::BorrowedFd;

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
}
