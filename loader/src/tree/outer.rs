//! Files that have more names than a walk has met: the others are outside of what was walked.
use std::collections::HashMap;

/// The names of files with several.
#[derive(Debug, Default)]
pub struct Names(HashMap<(u64, u64), (u64, u64)>);

impl Names {
    /// A name of a file: its device and inode number, and how many names it has.
    pub fn meet(&mut self, id: (u64, u64), links: u64) {
        if links > 1 {
            let known = self.0.entry(id).or_insert((0, links));
            *known = (known.0 + 1, links);
        }
    }
    /// Files that have names elsewhere.
    pub fn outside(&self) -> u64 {
        self.0.values().filter(|(met, links)| met < links).count() as u64
    }
}

/// What is said of them.
pub fn words(files: u64) -> Option<String> {
    let who = match files {
        0 => return None,
        1 => "1 file has".into(),
        n => format!("{} files have", crate::text::count(n)),
    };
    Some(format!(
        "! {who} further hard links outside the leg: what is changed by those names reaches one leg."
    ))
}
