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
    /// What a directory that was moved has taken the place of: it has gone, or is moved next, to where the other
    /// one was (an exchange).
    aside: Option<Aside>,
}

/// A directory without a place, and what is below it: paths from it on, and their watches.
struct Aside {
    /// Where it was.
    at: Place,
    /// Where the one was that stands there now.
    other: Place,
    all: Vec<(Vec<u8>, i32)>,
}

impl Watches {
    /// None yet.
    pub fn new(legs: PerLeg<Root>) -> Watches {
        Watches {
            legs,
            by_number: HashMap::new(),
            by_path: Default::default(),
            closed: vec![],
            aside: None,
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

    /// The watch that stands at a place.
    pub fn number(&self, (leg, rel): &Place) -> Option<i32> {
        self.by_path[*leg].get(rel).copied()
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

    /// Whether this watch stands there.
    pub fn stands(&self, number: i32, (leg, rel): &Place) -> bool {
        self.by_path[*leg].get(rel) == Some(&number)
    }

    /// A directory and what is below it, with their watches; paths from it on.
    fn below(&self, (leg, rel): &Place) -> Vec<(Vec<u8>, i32)> {
        let prefix = join(rel, b"");
        let paths = &self.by_path[*leg];
        let own = paths.get_key_value(rel).into_iter();
        let rest = paths
            .range(prefix.clone()..)
            .take_while(|(p, _)| p.starts_with(&prefix));
        let from_it = |p: &Vec<u8>| p.get(rel.len()..).unwrap_or_default().to_vec();
        own.chain(rest).map(|(p, n)| (from_it(p), *n)).collect()
    }

    /// A directory got another name in its leg. Whether it was known.
    pub fn rename(&mut self, from: &Place, to: &Place) -> bool {
        let aside = self.aside.take();
        let all = match aside.filter(|a| (&a.at, &a.other) == (from, to)) {
            Some(aside) => aside.all,
            None => self.below(from),
        };
        // What had the name is told of by its old one until it has another.
        let replaced = self.below(to);
        let paths = &mut self.by_path[to.0];
        for (rest, _) in &replaced {
            paths.remove(&[to.1.as_slice(), rest].concat());
        }
        if !replaced.is_empty() {
            self.aside = Some(Aside {
                at: to.clone(),
                other: from.clone(),
                all: replaced,
            });
        }
        for (rest, number) in &all {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::beneath::Root;

    /// Watches with these numbers at these paths of leg a.
    fn watches(all: &[(i32, &str)]) -> Watches {
        let root = || Root::open(std::path::Path::new("/")).unwrap();
        let mut w = Watches::new(PerLeg {
            a: root(),
            b: root(),
        });
        for (n, rel) in all {
            w.insert(*n, &at(rel));
        }
        w
    }

    fn at(rel: &str) -> Place {
        (Leg::A, rel.into())
    }

    fn places(w: &Watches) -> Vec<(i32, String)> {
        let mut all: Vec<_> = w.by_number.iter().map(|(n, p)| (*n, text(&p.1))).collect();
        all.sort();
        all
    }

    fn text(rel: &[u8]) -> String {
        String::from_utf8_lossy(rel).into_owned()
    }

    #[test]
    fn an_exchange_is_two_moves() {
        let mut w = watches(&[(1, "d"), (2, "d/x"), (3, "e"), (4, "e/x"), (5, "e/y")]);
        assert!(w.rename(&at("d"), &at("e")));
        assert!(w.rename(&at("e"), &at("d")));
        let now = [(1, "e"), (2, "e/x"), (3, "d"), (4, "d/x"), (5, "d/y")];
        assert_eq!(places(&w), now.map(|(n, p)| (n, p.to_owned())));
        for (n, rel) in now {
            assert!(w.stands(n, &at(rel)), "{n} {rel}");
        }
    }

    #[test]
    fn what_is_replaced_stands_nowhere() {
        let mut w = watches(&[(1, "d"), (2, "d/x"), (3, "e")]);
        assert!(w.rename(&at("d"), &at("e")));
        assert!(w.stands(1, &at("e")) && w.stands(2, &at("e/x")) && !w.stands(3, &at("e")));
        // It has gone, and its watch with it.
        w.forget(3);
        assert!(w.stands(1, &at("e")));
        assert!(w.rename(&at("e"), &at("f")));
        assert!(w.stands(1, &at("f")) && w.stands(2, &at("f/x")));
        assert_eq!(w.len(), 2);
    }
}
