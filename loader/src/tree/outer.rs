//! Files that have more names than a walk has met: the others are outside of what was walked.
use super::beneath::Root;
use mirror_core::outside::FILE;
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
    /// Files that have names elsewhere: their inode numbers, which grow.
    pub fn outside(&self) -> Vec<u64> {
        let all = self.0.iter().filter(|(_, (met, links))| met < links);
        let mut inodes: Vec<u64> = all.map(|((_, inode), _)| *inode).collect();
        inodes.sort_unstable();
        inodes.dedup();
        inodes
    }
}

/// Writes the list of them into a leg's control folder (`mirror_core::outside`). Where that is not possible
/// (read-only, no room) the last list stays.
pub fn list(root: &Root, inodes: &[u64]) {
    let bytes: Vec<u8> = mirror_core::outside::head(inodes.len() as u64)
        .into_iter()
        .chain(inodes.iter().flat_map(|i| i.to_le_bytes()))
        .collect();
    let _ = match inodes.is_empty() {
        true => root.remove(FILE),
        false => root.replace(FILE, &bytes),
    };
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
