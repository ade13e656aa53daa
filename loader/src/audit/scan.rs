//! Comparing more than one path, a little at a time, so that what happens meanwhile is read: both legs after
//! events were lost, and what lies below a directory in whose place another one may have come.
use super::source::now;
use super::suspects::{Suspect, Suspects};
use crate::sync::one::One;
use crate::tree::beneath::join;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long one part may take.
const PART: Duration = Duration::from_millis(20);

/// What is to be compared.
#[derive(Default)]
pub struct Scan {
    /// Both legs: directories that have not been looked into, and names that have not been looked at.
    todo: Vec<Todo>,
    /// Directories, one after the other.
    walks: VecDeque<Walk>,
    /// When its next part may come.
    again: Option<Instant>,
}

enum Todo {
    Dir(Vec<u8>),
    Name(Vec<u8>),
}

/// What lies below one directory.
struct Walk {
    of: Suspect,
    todo: Vec<Todo>,
    begun: bool,
    /// What differs. It is told when all of it is known: what goes away at once is counted at once.
    found: Vec<Vec<u8>>,
}

/// One step. Some: a path that differs, or cannot be looked at. Err: a directory that cannot be read.
fn step(todo: &mut Vec<Todo>, one: &One<'_>) -> Result<Option<Vec<u8>>, ()> {
    match todo.pop() {
        None => Ok(None),
        Some(Todo::Dir(dir)) => {
            let names = one.names(&dir).map_err(drop)?;
            todo.extend(names.iter().map(|n| Todo::Name(join(&dir, n))));
            Ok(None)
        }
        Some(Todo::Name(rel)) => {
            // Who judges what cannot be looked at now will say so.
            let Ok(seen) = one.look(&rel) else {
                return Ok(Some(rel));
            };
            // What only one leg has is carried, or counted by the brake, with all that is in it.
            if One::has_directory(&seen) {
                todo.push(Todo::Dir(rel.clone()));
            }
            Ok((!seen.what.equal()).then_some(rel))
        }
    }
}

impl Scan {
    /// From the roots on.
    pub fn begin(&mut self) {
        self.todo = vec![Todo::Dir(vec![])];
        self.again = None;
    }

    /// What lies below this directory is compared too: who changed it has changed what differs.
    pub fn below(&mut self, of: &Suspect) {
        let waits = |w: &&Walk| !w.begun && w.of.rel == of.rel;
        let mut of = of.clone();
        if let Some(i) = self.walks.iter().position(|w| waits(&w)) {
            // What is known of both is known of it.
            if let Some(old) = self.walks.remove(i) {
                of.merge(old.of);
            }
        }
        self.walks.push_back(Walk {
            todo: vec![Todo::Dir(of.rel.clone())],
            of,
            begun: false,
            found: vec![],
        });
    }

    /// When its next part is due, if there is something to compare.
    pub fn next(&self) -> Option<Instant> {
        self.runs().then(|| self.again.unwrap_or_else(Instant::now))
    }

    /// Its next part comes no sooner than after so long.
    pub fn rest(&mut self, long: Duration) {
        self.again = Some(Instant::now() + long);
    }

    /// Whether there is something to compare.
    pub fn runs(&self) -> bool {
        !(self.todo.is_empty() && self.walks.is_empty())
    }

    /// Nothing is compared any more. How many directories were not.
    pub fn stop(&mut self) -> usize {
        let left = self.walks.len() + usize::from(!self.todo.is_empty());
        self.walks.clear();
        self.todo.clear();
        left
    }

    /// Goes on for a while; what differs is suspected. How many directories could not be read.
    pub fn go_on(&mut self, one: &One<'_>, suspects: &mut Suspects) -> usize {
        let begun = Instant::now();
        let mut unread = 0;
        while begun.elapsed() < PART && self.runs() {
            let Some(walk) = self.walks.front_mut() else {
                match step(&mut self.todo, one) {
                    Ok(Some(rel)) => suspects.add_scanned(&rel, now(), false),
                    Ok(None) => {}
                    Err(()) => unread += 1,
                }
                continue;
            };
            walk.begun = true;
            match step(&mut walk.todo, one) {
                Ok(found) => walk.found.extend(found),
                Err(()) => unread += 1,
            }
            if walk.todo.is_empty()
                && let Some(walk) = self.walks.pop_front()
            {
                suspects.add_below(&walk.of, &walk.found);
            }
        }
        unread
    }
}
