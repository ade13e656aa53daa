//! The file of verdicts in a folder of prepared images.
//!
//! Rules of this file: the library (shim) looks in the same folders in the same order; one is written
//! whole to a temporary name, synced, renamed; two writers at once lose nothing (a lock on the folder).
use super::file::{Head, Key};
use super::judge::Judged;
use super::search;
use crate::image::{cache_dir, distrust, search as image_folders};
use mirror_core::verdicts::Verdict;
use mirror_core::verdicts::{self, ENTRY, MOST, NAME};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What is on record, and what was found out since.
#[derive(Debug, Default)]
pub struct Store {
    old: Vec<Vec<u8>>,
    new: BTreeMap<Key, Verdict>,
}

fn name() -> &'static OsStr {
    OsStr::from_bytes(NAME)
}

/// A file of verdicts that the library would use.
fn trusted(dir: &Path) -> Option<Vec<u8>> {
    let path = dir.join(name());
    let file = fs::symlink_metadata(&path).ok()?;
    let folder = fs::metadata(dir).ok()?;
    if !file.is_file() || distrust(&file).is_some() || distrust(&folder).is_some() {
        return None;
    }
    fs::read(&path).ok()
}

impl Store {
    /// What the library would find.
    pub fn load() -> Store {
        Store {
            old: image_folders().iter().filter_map(|d| trusted(d)).collect(),
            new: BTreeMap::new(),
        }
    }

    fn find(&self, key: &Key) -> Option<Verdict> {
        let old = || {
            let mut files = self.old.iter();
            files.find_map(|f| verdicts::find(f, &key.build_id, key.text))
        };
        self.new.get(key).copied().or_else(old)
    }

    /// The verdict on a file: that on record, or judged now and kept for [`Store::save`]. `None`: not a
    /// program or library of this machine.
    pub fn of(&mut self, path: &Path) -> io::Result<Option<Judged>> {
        // A folder may have pipes and devices in it too.
        let f = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        if !f.metadata()?.is_file() {
            return Ok(None);
        }
        let Some(head) = Head::read(&f)? else {
            return Ok(None);
        };
        let known = head.key.as_ref().and_then(|k| self.find(k));
        let verdict = match known {
            Some(v) => v,
            None => search::verdict(&f, &head)?,
        };
        if let (None, Some(k)) = (known, &head.key) {
            self.new.insert(k.clone(), verdict);
        }
        Ok(Some(Judged {
            key: head.key,
            verdict,
        }))
    }

    /// How many verdicts are not on record yet.
    pub fn unsaved(&self) -> usize {
        self.new.len()
    }

    /// Writes what was found out, beside what this user's file says already. Its path; `None`: there was
    /// nothing to write.
    pub fn save(&mut self) -> io::Result<Option<PathBuf>> {
        if self.new.is_empty() {
            return Ok(None);
        }
        let dir = cache_dir().ok_or_else(|| {
            io::Error::other("no folder for prepared images: set MIRROR_CACHE or HOME")
        })?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&dir)?;
        let lock = File::open(&dir)?;
        lock.lock()?;
        let mut all = std::mem::take(&mut self.new);
        let there = trusted(&dir).unwrap_or_default();
        let entries = verdicts::entries(&there).unwrap_or(&[]).chunks_exact(ENTRY);
        for (id, text, verdict) in entries.filter_map(verdicts::read) {
            if all.len() < MOST {
                let build_id = id.to_vec();
                all.entry(Key { build_id, text }).or_insert(verdict);
            }
        }
        let path = dir.join(name());
        let bytes = encode(&all);
        write(&dir, &path, &bytes)?;
        self.old.insert(0, bytes);
        Ok(Some(path))
    }
}

/// The file's bytes.
fn encode(all: &BTreeMap<Key, Verdict>) -> Vec<u8> {
    let mut entries: Vec<_> = all
        .iter()
        .take(MOST)
        .filter_map(|(k, v)| {
            let order = verdicts::key(&k.build_id, k.text)?;
            Some((order, verdicts::entry(&k.build_id, k.text, *v)?))
        })
        .collect();
    entries.sort_unstable_by_key(|e| e.0);
    let mut out = verdicts::header(entries.len() as u32).to_vec();
    entries.iter().for_each(|(_, e)| out.extend(e));
    out
}

fn write(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temp = dir.join(format!(".verdicts.{}", std::process::id()));
    let done = (|| {
        let _ = fs::remove_file(&temp);
        let mut f = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temp)?;
        f.write_all(bytes)?;
        // Not what the umask leaves of it: others may read a system-wide file.
        f.set_permissions(fs::Permissions::from_mode(0o644))?;
        f.sync_all()?;
        fs::rename(&temp, path)
    })();
    if done.is_err() {
        let _ = fs::remove_file(&temp);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_found() {
        let mut r = 1u64;
        let mut next = || {
            r = r.wrapping_mul(6364136223846793005).wrapping_add(1);
            r >> 33
        };
        let all: BTreeMap<Key, Verdict> = (0..500)
            .map(|_| {
                let build_id = (0..8 + next() % 25).map(|_| (next() % 3) as u8).collect();
                let verdict =
                    [Verdict::Clean, Verdict::Own, Verdict::Unknown][(next() % 3) as usize];
                (
                    Key {
                        build_id,
                        text: next(),
                    },
                    verdict,
                )
            })
            .collect();
        let f = encode(&all);
        for (k, v) in &all {
            assert_eq!(verdicts::find(&f, &k.build_id, k.text), Some(*v));
        }
    }
}
