//! Which names of a tree are of one file: a walk, as it was at some moment.
use crate::tree::beneath::{Root, join};
use rustix::fs::{AtFlags, FileType, statat};
use std::collections::HashMap;

/// Entries that are looked at, at most.
const MOST: usize = 131_072;

/// By device and inode, the names of files that have several.
#[derive(Default)]
pub struct Linked(HashMap<(u64, u64), Vec<Vec<u8>>>);

impl Linked {
    /// Of a leg. What cannot be looked into is passed over.
    pub fn of(root: &Root) -> Linked {
        let mut all = Linked::default();
        let (mut todo, mut seen) = (vec![vec![]], 0);
        while let Some(dir) = todo.pop() {
            let names = root.names(&dir).unwrap_or_default();
            let Ok(fd) = root.dir(&dir) else { continue };
            for name in names {
                seen += 1;
                if seen > MOST {
                    return all;
                }
                let Ok(st) = statat(&fd, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else {
                    continue;
                };
                if FileType::from_raw_mode(st.st_mode) == FileType::Directory {
                    todo.push(join(&dir, &name));
                } else if st.st_nlink > 1 {
                    let names = all.0.entry((st.st_dev, st.st_ino)).or_default();
                    names.push(join(&dir, &name));
                }
            }
        }
        all
    }

    /// The names of a file, as far as they are known.
    pub fn names(&self, id: (u64, u64)) -> &[Vec<u8>] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }
}
