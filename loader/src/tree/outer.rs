//! Files that have more names than a walk has met: the others are outside of what was walked.
use super::beneath::{Root, join};
use mirror_core::outside::FILE;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use std::collections::HashMap;

/// How often a tree is walked once more, in which names come and go.
const PASSES: u32 = 5;

type Id = (u64, u64);

/// The names of files with several.
#[derive(Debug, Default)]
pub struct Names(HashMap<Id, (u64, u64)>);

impl Names {
    /// A name of a file: its device and inode number, and how many names it has.
    pub fn meet(&mut self, id: Id, links: u64) {
        if links > 1 {
            let known = self.0.entry(id).or_insert((0, links));
            *known = (known.0 + 1, links);
        }
    }
    /// Files that have names elsewhere: their inode numbers, which grow.
    pub fn outside(&self) -> Vec<u64> {
        numbers(self.suspects())
    }
    /// The same after a walk of a tree that programs change: a name that was moved behind it was not met.
    pub fn outside_of(&self, root: &Root) -> Vec<u64> {
        let mut left = self.suspects();
        for _ in 0..PASSES {
            if left.is_empty() {
                break;
            }
            let (again, still) = walked(root);
            left.retain(|id| !again.has_met_all(*id));
            if still {
                break;
            }
        }
        numbers(left)
    }
    fn suspects(&self) -> Vec<Id> {
        let all = self.0.iter().filter(|(_, (met, links))| met < links);
        all.map(|(id, _)| *id).collect()
    }
    fn has_met_all(&self, id: Id) -> bool {
        self.0.get(&id).is_some_and(|(met, links)| met >= links)
    }
}

fn numbers(files: Vec<Id>) -> Vec<u64> {
    let mut inodes: Vec<u64> = files.into_iter().map(|(_, inode)| inode).collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes
}

/// The names in a tree, and whether no directory was changed meanwhile. What cannot be looked into is passed over.
fn walked(root: &Root) -> (Names, bool) {
    let mut all = Names::default();
    let (mut todo, mut seen) = (vec![vec![]], vec![]);
    while let Some(dir) = todo.pop() {
        let Ok(fd) = root.dir(&dir) else { continue };
        let Ok(before) = fstat(&fd) else { continue };
        for name in root.names(&dir).unwrap_or_default() {
            let Ok(st) = statat(&fd, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            match FileType::from_raw_mode(st.st_mode) {
                FileType::Directory => todo.push(join(&dir, &name)),
                FileType::RegularFile => all.meet((st.st_dev, st.st_ino), st.st_nlink),
                _ => {}
            }
        }
        seen.push((dir, (before.st_ino, before.st_ctime, before.st_ctime_nsec)));
    }
    let still = seen.iter().all(|(dir, was)| {
        let now = root.dir(dir).and_then(|fd| Ok(fstat(&fd)?));
        now.is_ok_and(|st| (st.st_ino, st.st_ctime, st.st_ctime_nsec) == *was)
    });
    (all, still)
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
