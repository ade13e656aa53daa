//! Printing that cannot fail the program: a full disk under stdout is noted and told at the end.
use std::fmt::Arguments;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static LOST: AtomicBool = AtomicBool::new(false);

static HUSHED: AtomicBool = AtomicBool::new(false);

/// While it is set nothing goes to stdout: a command does another one's work.
pub fn hush(on: bool) {
    HUSHED.store(on, Ordering::Relaxed);
}

/// One line to stdout; use [`crate::say`].
pub fn line(text: Arguments<'_>) {
    if !HUSHED.load(Ordering::Relaxed) && writeln!(std::io::stdout(), "{text}").is_err() {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// One line to stderr; use [`crate::note`]. There is nobody to tell when that fails.
pub fn note(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether some of the output could not be written.
pub fn lost() -> bool {
    std::io::stdout().flush().is_err() || LOST.load(Ordering::Relaxed)
}

/// `println!` that never panics.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::output::line(format_args!($($arg)*)) };
}

/// `eprintln!` that never panics.
#[macro_export]
macro_rules! note {
    ($($arg:tt)*) => { $crate::output::note(format_args!($($arg)*)) };
}
