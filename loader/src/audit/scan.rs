//! After events were lost: both legs are compared, a little at a time, so that what happens meanwhile is read.
use super::source::now;
use super::suspects::Suspects;
use crate::sync::one::One;
use crate::tree::beneath::join;
use std::time::{Duration, Instant};

/// How long one part may take.
const PART: Duration = Duration::from_millis(20);

/// A comparison that is under way.
#[derive(Default)]
pub struct Scan {
    /// Directories that have not been looked into, and names that have not been looked at.
    todo: Vec<Todo>,
    /// When its next part may come.
    again: Option<Instant>,
}

enum Todo {
    Dir(Vec<u8>),
    Name(Vec<u8>),
}

impl Scan {
    /// From the roots on.
    pub fn begin(&mut self) {
        self.todo = vec![Todo::Dir(vec![])];
        self.again = None;
    }

    /// When its next part is due, if it is under way.
    pub fn next(&self) -> Option<Instant> {
        self.runs().then(|| self.again.unwrap_or_else(Instant::now))
    }

    /// Its next part comes no sooner than after so long.
    pub fn rest(&mut self, long: Duration) {
        self.again = Some(Instant::now() + long);
    }

    /// Whether there is something to compare.
    pub fn runs(&self) -> bool {
        !self.todo.is_empty()
    }

    /// Goes on for a while; what differs is suspected.
    pub fn go_on(&mut self, one: &One<'_>, suspects: &mut Suspects) {
        let begun = Instant::now();
        while begun.elapsed() < PART {
            match self.todo.pop() {
                None => return,
                Some(Todo::Dir(dir)) => {
                    let names = one.names(&dir);
                    self.todo
                        .extend(names.iter().map(|n| Todo::Name(join(&dir, n))));
                }
                Some(Todo::Name(rel)) => {
                    // What cannot be looked at now is no finding; who judges it would say the same.
                    let Ok(seen) = one.look(&rel) else { continue };
                    if !seen.what.equal() {
                        suspects.add_scanned(&rel, now());
                    }
                    let is_dir = |m: &Option<crate::tree::object::Meta>| {
                        m.as_ref().is_some_and(crate::tree::object::Meta::is_dir)
                    };
                    // What only one leg has is carried, or counted by the brake, with all that is in it.
                    if is_dir(&seen.source) && is_dir(&seen.copy) {
                        self.todo.push(Todo::Dir(rel));
                    }
                }
            }
        }
    }
}
