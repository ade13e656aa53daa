//! Files that have more names than a walk has met: the others are outside of what was walked.
use super::beneath::{Root, join};
use mirror_core::outside::{FILE, HEAD};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, statat};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a tree is walked once more, in which names come and go.
const PASSES: u32 = 5;
/// A change that comes within this time after another one may leave a directory the same time.
const TICK: Duration = Duration::from_millis(20);

type Id = (u64, u64);

/// A directory as it was before its names were read; `None`: it had just been changed.
struct Dir {
    rel: Vec<u8>,
    was: Option<(Id, i64, u64)>,
}

/// A file: how many names it has, and in which directories they were met.
#[derive(Default)]
struct Met {
    links: u64,
    dirs: Vec<usize>,
}

/// The names of files with several. A name that moves is met twice, or not at all: only those count that lie in
/// directories in which nothing has changed since they were read.
#[derive(Default)]
pub struct Names {
    dirs: Vec<Dir>,
    known: HashSet<Id>,
    files: HashMap<Id, Met>,
    /// Files of which it matters too that they have one name.
    asked: HashSet<u64>,
    /// Whether names are met in the last of the directories.
    within: bool,
    /// A directory could not be looked at.
    blind: bool,
}

fn time_of(st: &Stat) -> (Id, i64, u64) {
    ((st.st_dev, st.st_ino), st.st_ctime, st.st_ctime_nsec)
}

/// Whether a directory was changed just now.
fn fresh(st: &Stat) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let was = Duration::new(
        u64::try_from(st.st_ctime).unwrap_or(0),
        u32::try_from(st.st_ctime_nsec).unwrap_or(0),
    );
    now.is_ok_and(|now| now.checked_sub(was).is_some_and(|age| age < TICK))
}

impl Names {
    /// The names of this directory are read next.
    pub fn enter(&mut self, root: &Root, rel: &[u8]) {
        let state = root.dir(rel).and_then(|fd| Ok(fstat(&fd)?));
        self.enter_as(rel, state);
    }
    fn enter_as(&mut self, rel: &[u8], state: io::Result<Stat>) {
        self.within = false;
        match state {
            // One directory at two places: its names are names once.
            Ok(st) if self.known.insert((st.st_dev, st.st_ino)) => {
                let was = (!fresh(&st)).then(|| time_of(&st));
                let rel = rel.to_vec();
                self.dirs.push(Dir { rel, was });
                self.within = true;
            }
            Ok(_) => {}
            // Where it was moved from and to, something has changed; what may not be looked at stays so.
            Err(e) => {
                self.blind |= !matches!(
                    e.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
                );
            }
        }
    }
    /// A name of a file in that directory: its device and inode number, and how many names it has.
    pub fn meet(&mut self, id: Id, links: u64) {
        if links > 1 || self.asked.contains(&id.1) {
            let met = self.files.entry(id).or_default();
            met.links = met.links.max(links);
            if self.within {
                met.dirs.push(self.dirs.len() - 1);
            }
        }
    }
    /// The files of which all names are known to be inside, and whether nothing at all has changed.
    fn inside(&self, root: &Root) -> (HashSet<Id>, bool) {
        let still = |dir: &Dir| {
            let now = root.dir(&dir.rel).and_then(|fd| Ok(fstat(&fd)?));
            now.is_ok_and(|st| Some(time_of(&st)) == dir.was)
        };
        let still: Vec<bool> = self.dirs.iter().map(still).collect();
        let all = |met: &Met| {
            let there = met.dirs.iter().filter(|n| still[**n]).count() as u64;
            met.links <= 1 || there >= met.links
        };
        let files = self.files.iter().filter(|(_, met)| all(met));
        let whole = !self.blind && still.iter().all(|s| *s);
        (files.map(|(id, _)| *id).collect(), whole)
    }
    /// Files that have names elsewhere, by their inode numbers, which grow: after the walk of a tree that programs
    /// may have changed meanwhile. Who is not known to have all names inside is outside.
    pub fn outside_of(self, root: &Root) -> Vec<u64> {
        let mut old: HashSet<u64> = listed(root).into_iter().collect();
        let mut left: HashSet<Id> = HashSet::new();
        let mut inside: HashSet<Id> = HashSet::new();
        let mut walk = self;
        for pass in 0..=PASSES {
            let (proved, whole) = walk.inside(root);
            if whole {
                let all = walk.files.into_keys();
                return numbers(all.filter(|id| !proved.contains(id)).map(|id| id.1));
            }
            inside.extend(proved);
            left.extend(walk.files.into_keys());
            left.retain(|id| !inside.contains(id));
            for (_, inode) in &inside {
                old.remove(inode);
            }
            // A name that moves may have been met by no walk: once more at least.
            if pass == PASSES || (pass > 0 && left.is_empty() && old.is_empty()) {
                break;
            }
            std::thread::sleep(TICK * pass);
            let asked = left.iter().map(|id| id.1).chain(old.iter().copied());
            walk = walked(root, asked.collect());
        }
        numbers(left.into_iter().map(|id| id.1).chain(old))
    }
}

fn numbers(files: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut inodes: Vec<u64> = files.collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes
}

/// The names in a tree. What cannot be looked into is passed over.
fn walked(root: &Root, asked: HashSet<u64>) -> Names {
    let mut all = Names {
        asked,
        ..Names::default()
    };
    let mut todo = vec![vec![]];
    while let Some(dir) = todo.pop() {
        let fd = match root.dir(&dir) {
            Ok(fd) => fd,
            Err(e) => {
                all.enter_as(&dir, Err(e));
                continue;
            }
        };
        let mut state = fstat(&fd);
        if state.as_ref().is_ok_and(fresh) {
            std::thread::sleep(TICK);
            state = fstat(&fd);
        }
        all.enter_as(&dir, state.map_err(io::Error::from));
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
    }
    all
}

/// The last list of a leg: those of which nothing better is known stay on it.
fn listed(root: &Root) -> Vec<u64> {
    let mut bytes = vec![];
    if let Ok(fd) = root.control(FILE, OFlags::RDONLY, Mode::empty()) {
        let _ = File::from(fd).read_to_end(&mut bytes);
    }
    let numbers = bytes.get(HEAD..).unwrap_or_default().as_chunks::<8>().0;
    numbers.iter().map(|n| u64::from_le_bytes(*n)).collect()
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
