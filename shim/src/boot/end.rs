//! What boot ends with.
use crate::program::files::{self, Name};

/// What `start` decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Leave the process as it is.
    Off,
    /// Intercept.
    On,
}

/// Exit status of a process that would have been unmirrored.
pub const EX_CONFIG: usize = 78;

/// Ends the process with one line on descriptor 2, unless that may be somebody's data.
#[cold]
#[inline(never)]
pub fn fail(text: &[u8]) -> ! {
    let mut line: Name<1024> = Name::new();
    let _ = line.push(b"mirror: ");
    // a text that is too long is cut, not lost
    let room = 1024 - 16;
    let _ = line.push(text.get(..text.len().min(room)).unwrap_or(text));
    let _ = line.push(b"\n");
    if files::speaks(2) {
        files::write(2, line.filled());
    }
    files::exit_group(EX_CONFIG)
}
