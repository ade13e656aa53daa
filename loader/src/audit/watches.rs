//! Which watch stands for which directory.
use crate::tree::beneath::{Root, join};
use mirror_core::{Leg, PerLeg};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, inotify};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;

/// A leg, and a path below it.
pub type Place = (Leg, Vec<u8>);

/// The watches of both legs.
pub struct Watches {
    legs: PerLeg<Root>,
    by_number: HashMap<i32, Place>,
    by_path: PerLeg<BTreeMap<Vec<u8>, i32>>,
    /// Directories that may not be read.
    closed: Vec<Place>,
}

impl Watches {
    /// None yet.
    pub fn new(legs: PerLeg<Root>) -> Watches {
        Watches {
            legs,
            by_number: HashMap::new(),
            by_path: Default::default(),
            closed: vec![],
        }
    }

    /// What is left out on both legs is settled.
    pub fn begin(&self) {
        self.legs.a.agree(&self.legs.b);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Directories without a watch because this user may not read them.
    pub fn unreadable(&self) -> u64 {
        self.closed.len() as u64
    }

    /// This user may not read it.
    pub fn closed(&mut self, place: &Place) {
        if !self.closed.contains(place) {
            self.closed.push(place.clone());
        }
    }

    /// Whether a name at the root of a leg is no part of the tree.
    pub fn leaves(&self, leg: Leg, name: &[u8]) -> bool {
        name == b".mirror" || (name == b"lost+found" && self.legs[leg].leaves_lost_found())
    }

    /// The directory itself, if it is one and part of the tree.
    pub fn hold(&self, (leg, rel): &Place) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let root = &self.legs[*leg];
        if root.left_mounts().contains(rel) {
            return None;
        }
        root.open_at(rel, flags, Mode::empty()).ok()
    }

    /// What is in a directory, and whether it is a directory itself.
    pub fn children(&self, (leg, rel): &Place) -> Vec<(Vec<u8>, bool)> {
        let root = &self.legs[*leg];
        let Ok(fd) = root.dir(rel) else {
            return vec![];
        };
        let Ok(dir) = rustix::fs::Dir::read_from(&fd) else {
            return vec![];
        };
        let mounts = root.left_mounts();
        let mut all = vec![];
        for e in dir.flatten() {
            let name = e.file_name().to_bytes();
            let outside = rel.is_empty() && self.leaves(*leg, name);
            if name == b"." || name == b".." || outside || mounts.contains(&join(rel, name)) {
                continue;
            }
            let kind = match e.file_type() {
                FileType::Unknown => {
                    rustix::fs::statat(&fd, e.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                        .map_or(FileType::Unknown, |st| FileType::from_raw_mode(st.st_mode))
                }
                kind => kind,
            };
            all.push((name.to_vec(), kind == FileType::Directory));
        }
        all
    }

    /// Where a watch stands.
    pub fn place(&self, number: i32) -> Option<Place> {
        self.by_number.get(&number).cloned()
    }

    /// A watch, new or moved: the kernel has one for a directory, whatever its name is.
    pub fn insert(&mut self, number: i32, place: &Place) {
        self.forget(number);
        let (leg, rel) = place.clone();
        if let Some(old) = self.by_path[leg].insert(rel, number) {
            self.by_number.remove(&old);
        }
        self.by_number.insert(number, place.clone());
        self.closed.retain(|p| p != place);
    }

    /// A watch is gone.
    pub fn forget(&mut self, number: i32) {
        if let Some((leg, rel)) = self.by_number.remove(&number) {
            let paths = &mut self.by_path[leg];
            if paths.get(&rel) == Some(&number) {
                paths.remove(&rel);
            }
        }
    }

    /// A directory and what is below it, with their watches.
    fn below(&self, (leg, rel): &Place) -> Vec<(Vec<u8>, i32)> {
        let prefix = join(rel, b"");
        let paths = &self.by_path[*leg];
        let own = paths.get_key_value(rel).into_iter();
        let rest = paths
            .range(prefix.clone()..)
            .take_while(|(p, _)| p.starts_with(&prefix));
        own.chain(rest).map(|(p, n)| (p.clone(), *n)).collect()
    }

    /// A directory got another name in its leg. Whether it was known.
    pub fn rename(&mut self, from: &Place, to: &Place) -> bool {
        let all = self.below(from);
        for (path, number) in &all {
            let rest = path.get(from.1.len()..).unwrap_or_default();
            self.insert(*number, &(to.0, [to.1.as_slice(), rest].concat()));
        }
        !all.is_empty()
    }

    /// A directory has left its leg: its watches go.
    pub fn remove(&mut self, place: &Place, queue: &OwnedFd) {
        for (_, number) in self.below(place) {
            self.forget(number);
            let _ = inotify::remove_watch(queue, number);
        }
    }
}
