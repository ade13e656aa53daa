//! One path of an attached pair at a time, for those who know which one may differ.
use super::equal::{Seen, Work};
use super::file::open_for_writing;
use super::keep::Keeper;
use super::linked::Linked;
use super::session;
use crate::pair::domain::Attached;
use crate::tree::beneath::{Root, join, split};
use crate::tree::differs::{Differs, Presence};
use crate::tree::object::{Fidelity, Meta};
use crate::tree::probe;
use indicatif::ProgressBar;
use mirror_core::{BothLocked, Leg};
use std::io;
use std::os::fd::AsFd;

/// What both legs' file systems can carry: found by trying, so it is asked once.
pub fn fidelity(p: &Attached) -> Fidelity {
    probe::fidelity(p.pair.trees())
}

/// Whether there is no such directory.
fn absent(e: &io::Error) -> bool {
    let what = e.raw_os_error();
    matches!(what, Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

/// Leg a is the source, leg b the copy.
pub struct One<'a> {
    work: Work<'a>,
    /// Further names of leg a's files.
    linked: Option<&'a Linked>,
    /// The attributes of the roots themselves may differ.
    leaves_roots: bool,
}

/// What was done with a path.
pub struct Carried {
    /// Both legs are equal there now.
    pub whole: bool,
    /// Somebody has changed it meanwhile.
    pub changing: bool,
    /// What leg b has now.
    pub now: Option<Meta>,
}

impl<'a> One<'a> {
    /// For some paths of a pair.
    pub fn new(p: &'a Attached, fidelity: Fidelity) -> One<'a> {
        One::directed(p, fidelity, Leg::A)
    }

    /// The same with either leg as the source.
    pub fn directed(p: &'a Attached, fidelity: Fidelity, from: Leg) -> One<'a> {
        let (source, copy) = (&p.pair.legs[from], &p.pair.legs[from.other()]);
        let bar = ProgressBar::hidden();
        One {
            work: Work::new(source, copy, fidelity, false, bar),
            linked: None,
            leaves_roots: false,
        }
    }

    /// Whether what the roots themselves differ in is left alone.
    pub fn leaving_roots(mut self, leaves: bool) -> One<'a> {
        self.leaves_roots = leaves;
        self
    }

    /// With what was found of files that have several names.
    pub fn with(mut self, linked: &'a Linked) -> One<'a> {
        self.linked = Some(linked);
        self
    }

    /// Whether the times of what is open for writing count: no mirrored program has changed it.
    pub fn compare_open(&mut self, too: bool) {
        self.work.open_too = too;
    }

    /// Looks without any lock: what is equal was equal at some moment.
    pub fn look(&self, rel: &[u8]) -> io::Result<Seen> {
        self.work.compare(rel).map(|seen| self.left(rel, seen))
    }

    fn left(&self, rel: &[u8], mut seen: Seen) -> Seen {
        if rel.is_empty() && self.leaves_roots && One::has_directory(&seen) {
            seen.what = Presence::Both(Differs::empty());
        }
        seen
    }

    /// Looks with the locks held: what differs, differs.
    pub fn sure(&self, rel: &[u8], held: &BothLocked) -> io::Result<Seen> {
        let seen = self.work.compare_held(rel, held)?;
        Ok(self.left(rel, seen))
    }

    /// Whether leg a has a file there that has other names as well, and leg b nothing.
    pub fn is_new_link(seen: &Seen) -> bool {
        let linked = |s: &Meta| !s.is_dir() && s.linked();
        seen.copy.is_none() && seen.source.as_ref().is_some_and(linked)
    }

    /// Whether both legs have a directory there.
    pub fn has_directory(seen: &Seen) -> bool {
        let all = [&seen.source, &seen.copy];
        all.iter().all(|m| m.as_ref().is_some_and(Meta::is_dir))
    }

    /// Whether some process has a file open, or mapped, for writing on either leg.
    pub fn is_open(&self, rel: &[u8], held: &BothLocked) -> bool {
        let legs = [self.work.source, self.work.copy];
        legs.iter().any(|l| open_for_writing(&l.root, rel, held))
    }

    /// What kind of object it is.
    pub fn kind(seen: &Seen) -> &'static str {
        session::kind_word(seen)
    }

    /// How many objects there are at and below a path of a leg; no more than `limit` are counted.
    pub fn objects(&self, leg: Leg, rel: &[u8], limit: u64) -> u64 {
        let root = match leg == self.work.source.record.leg {
            true => &self.work.source.root,
            false => &self.work.copy.root,
        };
        let mut n = 0;
        let mut todo = vec![rel.to_vec()];
        while let Some(p) = todo.pop() {
            n += 1;
            if n >= limit {
                break;
            }
            // Of what is no directory there are none.
            let names = root.names(&p).unwrap_or_default();
            todo.extend(names.iter().map(|name| join(&p, name)));
        }
        n
    }

    /// What is carried for the sake of `rel`: the first directory on the way that leg b does not have, or itself.
    pub fn top(&self, rel: &[u8]) -> io::Result<Vec<u8>> {
        let top = self.work.missing_above(rel)?;
        Ok(top.unwrap_or_else(|| rel.to_vec()))
    }

    /// The names in a directory of either leg. A leg that has no directory there has none.
    pub fn names(&self, dir: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let of = |root: &Root| match root.names(dir) {
            Err(e) if absent(&e) => Ok(vec![]),
            r => r,
        };
        let mut all = of(&self.work.source.root)?;
        all.extend(of(&self.work.copy.root)?);
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Makes leg b like leg a there, with what is below a new directory. `keep`: what b loses is kept
    /// aside, or nothing is done.
    pub fn carry(&mut self, rel: &[u8], keep: bool, held: &BothLocked) -> io::Result<Carried> {
        self.work.keeper = match keep {
            true => Keeper::all(),
            false => Keeper::new(false),
        };
        self.meet_names(rel)?;
        self.work.make_tree_equal(rel, held)?;
        let seen = self.sure(rel, held)?;
        // A name of a file whose other names are not known here: only a walk sees which are one.
        let links = match (&seen.source, &seen.copy) {
            (Some(s), Some(d)) if !s.is_dir() => s.st.st_nlink == d.st.st_nlink,
            _ => true,
        };
        let whole = seen.what.equal() && (links || !self.work.fidelity.links);
        Ok(Carried {
            whole,
            // Of a hard link the other names may come yet.
            changing: !whole,
            now: seen.copy,
        })
    }

    /// A new name of a file is a link on the other leg too, if another name of it lies beside it or is known.
    fn meet_names(&mut self, rel: &[u8]) -> io::Result<()> {
        let seen = self.look(rel)?;
        let Some(s) = seen.source.filter(|s| s.is_file() && s.linked()) else {
            return Ok(());
        };
        if seen.what != Presence::OnlySource {
            return Ok(());
        }
        let dir = split(rel).0;
        for name in self.work.source.root.names(dir)? {
            let other = join(dir, &name);
            let fd = self.work.source.root.parent(&other)?.0;
            let st = rustix::fs::statat(
                fd.as_fd(),
                name.as_slice(),
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            );
            if other != rel && st.is_ok_and(|st| (st.st_dev, st.st_ino) == s.id()) {
                self.work.remember(&other)?;
            }
        }
        for other in self.linked.map_or(&[][..], |l| l.names(s.id())) {
            if other != rel {
                // It is what it was, or stands for nothing.
                self.work.remember(other)?;
            }
        }
        Ok(())
    }
}
