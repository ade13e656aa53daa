//! Printing that cannot fail the program: a full disk under stdout is noted and told at the end. With
//! `--json`, what a command says becomes part of one report.
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Arguments;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static LOST: AtomicBool = AtomicBool::new(false);

static HUSHED: AtomicBool = AtomicBool::new(false);

static STILL: AtomicBool = AtomicBool::new(false);

/// Fields, and the lines that would have been printed.
pub type Report = (Map<String, Value>, Vec<String>);

/// The report that is being made.
static REPORT: Mutex<Option<Report>> = Mutex::new(None);

fn with_report<T>(f: impl FnOnce(&mut Report) -> T) -> Option<T> {
    let mut r = REPORT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    r.as_mut().map(f)
}

/// From now on lines are kept for a report.
pub fn begin_report() {
    if let Ok(mut r) = REPORT.lock() {
        *r = Some((Map::new(), Vec::new()));
    }
}

/// Adds the fields of a struct to the report, if there is to be one.
pub fn put(fields: &impl Serialize) {
    with_report(|(all, _)| {
        if let Value::Object(new) = value(fields) {
            all.extend(new);
        }
    });
}

/// Adds an object to a list of the report, if there is to be one.
pub fn push(list: &str, entry: &impl Serialize) {
    with_report(|(fields, _)| {
        let all = fields.entry(list).or_insert_with(|| Value::Array(vec![]));
        if let Value::Array(a) = all {
            a.push(value(entry));
        }
    });
}

/// Ends the report: the fields that were put in, and the lines.
pub fn end_report() -> Option<Report> {
    REPORT.lock().ok()?.take()
}

/// What serde makes of a struct of ours, which is always something.
fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// Prints a struct as one line of JSON.
pub fn print(of: &impl Serialize) {
    print_line(format_args!("{}", value(of)));
}

/// While it is set nothing goes to stdout: a command does another one's work.
pub fn hush(on: bool) {
    HUSHED.store(on, Ordering::Relaxed);
}

/// From now on nothing goes to stderr.
pub fn keep_still() {
    STILL.store(true, Ordering::Relaxed);
}

/// One line to stdout; use [`say!`].
pub fn print_line(text: Arguments<'_>) {
    if HUSHED.load(Ordering::Relaxed)
        || with_report(|(_, lines)| lines.push(text.to_string())).is_some()
    {
        return;
    }
    if writeln!(std::io::stdout(), "{text}").is_err() {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// One line to stderr, and into the report if there is to be one; use [`note!`].
/// There is nobody to tell when that fails.
pub fn print_note(text: Arguments<'_>) {
    with_report(|(_, lines)| lines.push(text.to_string()));
    if !STILL.load(Ordering::Relaxed) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// Whether some of the output could not be written.
pub fn lost() -> bool {
    std::io::stdout().flush().is_err() || LOST.load(Ordering::Relaxed)
}

/// `println!` that never panics.
macro_rules! say {
    ($($arg:tt)*) => { $crate::output::print_line(format_args!($($arg)*)) };
}

/// `eprintln!` that never panics.
macro_rules! note {
    ($($arg:tt)*) => { $crate::output::print_note(format_args!($($arg)*)) };
}

pub(crate) use {note, say};
