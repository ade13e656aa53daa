//! Make one object of the copy equal to the source's. Repair, resync and the first copy all do this.
use super::file;
use super::held::{self, Lifted};
use super::keep::Keeper;
use super::links::{Links, Verdict};
use crate::pair::legs::OpenLeg;
use crate::tree::beneath::{join, split};
use crate::tree::content;
use crate::tree::differs::{Differs, Presence};
use crate::tree::flags;
use crate::tree::object::{self, Fidelity, Meta, differences};
use indicatif::ProgressBar;
use mirror_core::BothLocked;
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Two legs with a direction.
pub struct Work<'a> {
    /// The leg that is right.
    pub source: &'a OpenLeg,
    /// The leg that is made like it.
    pub copy: &'a OpenLeg,
    /// What the two can carry.
    pub fidelity: Fidelity,
    /// Where losing versions go.
    pub keeper: Keeper,
    /// Hard-link groups seen in this walk.
    pub links: Links,
    /// Bytes read from the source.
    pub bar: ProgressBar,
    /// Set-id bits, file capabilities and device nodes are carried also to where they count from where they
    /// do not.
    pub privileged: bool,
    /// Files whose content was found, or made, equal, where that is remembered: while every change is both legs',
    /// they stay so.
    pub same: Option<Same>,
    /// Directories that were made: they get their attributes when they are full.
    pub made: Vec<Vec<u8>>,
    /// A directory that the copy did not have is being carried with all that is in it.
    filling: bool,
    /// Also the times of a file that is open for writing are compared: who has it open sets none when he closes it.
    pub open_too: bool,
    /// Leg b is on its way back: whoever has a file open for writing may owe it nothing of what he did before.
    pub returns: bool,
}

/// Pairs of files with the same content, by device and inode.
#[derive(Default)]
pub struct Same(RefCell<HashSet<[(u64, u64); 2]>>);

impl Same {
    fn has(&self, s: &Meta, d: &Meta) -> bool {
        self.0.borrow().contains(&[s.id(), d.id()])
    }
}

/// The objects at one path.
pub struct Seen {
    /// On the source.
    pub source: Option<Meta>,
    /// On the copy.
    pub copy: Option<Meta>,
    /// Which there are, and in what they differ.
    pub what: Presence,
}

/// Where an object is named; a root by itself.
fn place(leg: &OpenLeg, rel: &[u8]) -> io::Result<(OwnedFd, CString)> {
    let (dir, name) = leg.root.parent(rel)?;
    let own = rel.is_empty().then(|| c".".to_owned());
    Ok((dir, own.unwrap_or(name)))
}

fn read(leg: &OpenLeg, rel: &[u8]) -> io::Result<Option<Meta>> {
    let (dir, name) = match place(leg, rel) {
        Ok(p) => p,
        Err(e)
            if matches!(
                e.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    Meta::read(dir.as_fd(), &name)
}

impl<'a> Work<'a> {
    /// Work from `source` to `copy`.
    pub fn new(
        source: &'a OpenLeg,
        copy: &'a OpenLeg,
        fidelity: Fidelity,
        keep: bool,
        bar: ProgressBar,
    ) -> Work<'a> {
        source.root.agree(&copy.root);
        Work {
            source,
            copy,
            fidelity,
            keeper: Keeper::new(keep),
            links: Links::default(),
            bar,
            privileged: false,
            same: None,
            made: Vec::new(),
            filling: false,
            open_too: false,
            returns: false,
        }
    }

    /// Compares one path, contents included.
    pub fn compare(&self, rel: &[u8]) -> io::Result<Seen> {
        let (source, copy) = (read(self.source, rel)?, read(self.copy, rel)?);
        let what = match (&source, &copy) {
            (None, None) => Presence::Neither,
            (Some(_), None) => Presence::OnlySource,
            (None, Some(_)) => Presence::OnlyCopy,
            (Some(s), Some(d)) => {
                let mut what = differences(s, d, self.fidelity);
                if self.fidelity.links && self.links.judge(rel, s, Some(d)) != Verdict::Fits {
                    what |= Differs::LINKS;
                }
                if self.flags_differ(rel, s, d).is_some() {
                    what |= Differs::FLAGS;
                }
                if s.is_file() && d.is_file() && s.size() == d.size() {
                    let known = self.same.as_ref().is_some_and(|k| k.has(s, d));
                    if known || self.links.is_current(s, d) {
                        // One group is read once.
                    } else if self.same_content(rel)? {
                        self.is_same(s, d);
                    } else {
                        what |= Differs::CONTENT;
                    }
                }
                Presence::Both(what)
            }
        };
        Ok(Seen { source, copy, what })
    }

    /// [`Self::compare`] with the locks held. While a file is open for writing its times may differ:
    /// they are made equal when it is closed.
    pub fn compare_held(&self, rel: &[u8], held: &BothLocked) -> io::Result<Seen> {
        let mut seen = self.compare(rel)?;
        if self.lags(rel, &seen, held) {
            seen.what = Presence::Both(Differs::empty());
        }
        Ok(seen)
    }

    /// Whether only the times differ, and a mirrored program may owe one: it has the file open on both legs.
    fn lags(&self, rel: &[u8], seen: &Seen, held: &BothLocked) -> bool {
        seen.what == Presence::Both(Differs::MTIME)
            && !self.open_too
            && file::open_for_writing(&self.source.root, rel, held)
            && file::may_be_written(&self.copy.root, rel, held)
    }

    /// The source's flags, if the copy's object has other ones.
    fn flags_differ(&self, rel: &[u8], s: &Meta, d: &Meta) -> Option<u32> {
        let mask = self.fidelity.flags;
        if mask == 0 || s.kind != d.kind || !(s.is_file() || s.is_dir()) {
            return None;
        }
        let (a, b) = (
            flags::read(&self.source.root, rel)?,
            flags::read(&self.copy.root, rel)?,
        );
        ((a ^ b) & mask != 0).then_some(a)
    }

    /// The copy's object gets the source's flags: the last thing that it gets.
    fn put_flags(&self, rel: &[u8]) -> io::Result<()> {
        let (Some(s), Some(d)) = (read(self.source, rel)?, read(self.copy, rel)?) else {
            return Ok(());
        };
        match self.flags_differ(rel, &s, &d) {
            Some(want) => flags::put(&self.copy.root, rel, want, self.fidelity.flags),
            None => Ok(()),
        }
    }

    fn is_same(&self, s: &Meta, d: &Meta) {
        if let Some(k) = &self.same {
            k.0.borrow_mut().insert([s.id(), d.id()]);
        }
    }

    fn same_content(&self, rel: &[u8]) -> io::Result<bool> {
        let a = file::open_read(&self.source.root, rel)?;
        let b = file::open_read(&self.copy.root, rel)?;
        content::same(&a, &b, &|n| self.bar.inc(n))
    }

    /// Makes the object at `rel` equal, its parents first; a directory without its contents.
    /// Returns what was different.
    pub fn make_equal(&mut self, rel: &[u8], held: &BothLocked) -> io::Result<Seen> {
        let mut seen = self.compare(rel)?;
        let lags = self.lags(rel, &seen, held);
        if lags && !self.returns {
            seen.what = Presence::Both(Differs::empty());
        }
        if seen.what.equal() {
            self.remember(rel)?;
            return Ok(seen);
        }
        let withheld = match &mut seen.source {
            Some(s) => self.withhold(rel, s)?,
            None => None,
        };
        let parent = split(rel).0;
        let tried = [parent, rel].map(|rel| Lifted::at(&self.copy.root, rel));
        if let Err(e) = self.change(rel, &seen, held) {
            let [a, b] = &tried;
            return Err(held::explain(e, self.copy, [(rel, b), (parent, a)]));
        }
        let [_parent, own] = tried;
        let own = own.ok().flatten();
        let loose = own.is_some();
        // Otherwise it has its own again, as its other names must.
        let one_name = |d: &Meta| d.is_dir() || d.st.st_nlink == 1;
        if self.fidelity.flags & flags::HELD != 0 && seen.copy.as_ref().is_some_and(one_name) {
            own.into_iter().for_each(Lifted::stay);
        }
        if seen.source.as_ref().is_some_and(Meta::is_dir) {
            // When it is full.
            let new = self.made.last().is_some_and(|m| m == rel);
            if !new && (loose || seen.what.differs_in(Differs::FLAGS)) {
                self.made.push(rel.to_vec());
            }
        } else {
            self.put_flags(rel)?;
        }
        if let Some(why) = withheld {
            return Err(why);
        }
        self.remember(rel)?;
        if let Some(s) = read(self.source, rel)? {
            seen.source = Some(s);
        }
        if lags {
            // Programs make it differ and equal again: that is no end of it, and no difference.
            seen.what = Presence::Both(Differs::empty());
        }
        Ok(seen)
    }

    /// The act that makes what was seen equal.
    fn change(&mut self, rel: &[u8], seen: &Seen, held: &BothLocked) -> io::Result<()> {
        match (&seen.source, &seen.copy) {
            (None, None) => Ok(()),
            (None, Some(_)) => self.discard(rel, held),
            (Some(s), None) => self.create(rel, s, held),
            (Some(s), Some(d)) => self.alter(rel, s, d, seen.what, held),
        }
    }

    /// Remembers which objects stand for each other.
    pub fn remember(&mut self, rel: &[u8]) -> io::Result<()> {
        if let (Some(s), Some(d)) = (read(self.source, rel)?, read(self.copy, rel)?) {
            if s.is_file() && d.is_file() {
                self.is_same(&s, &d);
            }
            self.links.note(rel, &s, &d);
        }
        Ok(())
    }

    /// Removes what only the copy has. A vanished mount is not a mass deletion: both legs must still
    /// be the ones that were opened.
    fn discard(&mut self, rel: &[u8], held: &BothLocked) -> io::Result<()> {
        if !self.source.unchanged() || !self.copy.unchanged() {
            return Err(Errno::STALE.into());
        }
        if self.keeper.take(&self.copy.root, rel, held)? {
            return Ok(());
        }
        file::remove(&self.copy.root, rel, held)
    }

    /// The first directory on the way to `rel` that the copy does not have.
    pub fn missing_above(&self, rel: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let slashes = rel.iter().enumerate().filter(|(_, c)| **c == b'/');
        for above in slashes.filter_map(|(i, _)| rel.get(..i)) {
            if !read(self.copy, above)?.is_some_and(|m| m.is_dir()) {
                return Ok(Some(above.to_vec()));
            }
        }
        Ok(None)
    }

    fn create(&mut self, rel: &[u8], s: &Meta, held: &BothLocked) -> io::Result<()> {
        if let Some(top) = self.missing_above(rel)? {
            // A part of a directory would stand there for the whole of it, and nobody would ask for the rest.
            if std::mem::replace(&mut self.filling, true) {
                return Err(Errno::NOENT.into());
            }
            let carried = self.make_tree_equal(&top, held);
            self.filling = false;
            carried?;
            let seen = self.compare_held(rel, held)?;
            match (&seen.source, &seen.copy) {
                _ if seen.what.equal() => return Ok(()),
                (Some(s), Some(d)) => return self.alter(rel, s, d, seen.what, held),
                _ => {}
            }
        }
        if self.fidelity.links
            && let Verdict::JoinTo(first) = self.links.judge(rel, s, None)
        {
            return self.join(rel, &first, s, held);
        }
        let temp = self.temp(rel, s, held)?;
        file::place_temp(temp, &self.copy.root, rel, held)?;
        if s.is_dir() {
            self.made.push(rel.to_vec());
        }
        Ok(())
    }

    /// Makes the copy of the source's object at `rel` in the copy's folder of temporary objects.
    fn temp(&self, rel: &[u8], s: &Meta, held: &BothLocked) -> io::Result<(OwnedFd, CString)> {
        let tick = |n| self.bar.inc(n);
        let (source, copy) = (&self.source.root, &self.copy.root);
        file::make_temp(source, rel, s, copy, self.fidelity, &tick, held)
    }

    /// Keeps the copy's object at `rel`, if there is one, before another takes its name.
    fn save(&mut self, rel: &[u8], held: &BothLocked) -> io::Result<()> {
        if read(self.copy, rel)?.is_some() {
            let _ = self.keeper.take(&self.copy.root, rel, held)?;
        }
        Ok(())
    }

    /// Makes `rel` on the copy another name of `first`, if `first` still stands for the same object.
    fn join(&mut self, rel: &[u8], first: &[u8], s: &Meta, held: &BothLocked) -> io::Result<()> {
        let same_source = read(self.source, first)?.is_some_and(|m| m.id() == s.id());
        let target = read(self.copy, first)?;
        // What is held gets no further name, and cannot be moved to it.
        let _first = Lifted::at(&self.copy.root, first);
        if let Some(t) = target
            && same_source
            && self.links.is_current(s, &t)
            && let Some(temp) = file::link_temp(&self.copy.root, first, t.id(), held)?
        {
            self.save(rel, held)?;
            return file::place_temp(temp, &self.copy.root, rel, held);
        }
        self.links.forget(s);
        match read(self.copy, rel)? {
            None => self.create(rel, s, held),
            Some(d) => {
                let what = differences(s, &d, self.fidelity);
                self.alter(rel, s, &d, Presence::Both(what), held)
            }
        }
    }

    /// Replaces the copy's object by a new one.
    fn replace(&mut self, rel: &[u8], s: &Meta, d: &Meta, held: &BothLocked) -> io::Result<()> {
        if d.is_dir() || s.is_dir() {
            self.discard(rel, held)?;
            return self.create(rel, s, held);
        }
        // First make the new one, then take the old one away: a full disk loses nothing.
        let temp = self.temp(rel, s, held)?;
        self.save(rel, held)?;
        file::place_temp(temp, &self.copy.root, rel, held)
    }

    fn alter(
        &mut self,
        rel: &[u8],
        s: &Meta,
        d: &Meta,
        what: Presence,
        held: &BothLocked,
    ) -> io::Result<()> {
        if s.kind != d.kind || what.differs_in(Differs::TARGET | Differs::DEVICE) {
            return self.replace(rel, s, d, held);
        }
        // A second name of somebody else's file is not ours to write.
        if !s.is_dir() && d.st.st_nlink > s.st.st_nlink && d.st.st_uid != s.st.st_uid {
            return self.replace(rel, s, d, held);
        }
        if self.fidelity.links {
            match self.links.judge(rel, s, Some(d)) {
                Verdict::Fits => {}
                Verdict::JoinTo(first) => return self.join(rel, &first, s, held),
                Verdict::Split => return self.replace(rel, s, d, held),
            }
        }
        // It has other names than the source's, which are perhaps other files there: they keep what they have.
        let shared = s.is_file() && d.linked() && d.st.st_nlink != s.st.st_nlink;
        if self.fidelity.links && shared && !file::open_for_writing(&self.copy.root, rel, held) {
            return self.replace(rel, s, d, held);
        }
        if s.is_file() && what.differs_in(Differs::CONTENT | Differs::SIZE) {
            let src = file::open_read(&self.source.root, rel)?;
            let dst: File = file::open_write(&self.copy.root, rel, d)?;
            self.keeper.copy(&self.copy.root, rel, &dst, d, held)?;
            content::rewrite(&src, &dst, &|n| self.bar.inc(n))?;
        }
        let (dir, name) = place(self.copy, rel)?;
        let Some(now) = Meta::read(dir.as_fd(), &name)? else {
            return Err(Errno::NOENT.into());
        };
        if now.id() != d.id() {
            return Err(object::changed());
        }
        file::put_attributes(
            (dir.as_fd(), &name),
            s,
            &now,
            self.fidelity,
            s.is_file(),
            held,
        )
    }

    /// Puts the attributes and times on the directories that were made, the deepest first.
    pub fn finish_made(&mut self, rel: &[u8], held: &BothLocked) -> io::Result<()> {
        let (Some(s), Some(d)) = (read(self.source, rel)?, read(self.copy, rel)?) else {
            return Ok(());
        };
        if !s.is_dir() || !d.is_dir() {
            return Ok(());
        }
        let (dir, name) = self.copy.root.parent(rel)?;
        file::put_attributes((dir.as_fd(), &name), &s, &d, self.fidelity, true, held)?;
        self.put_flags(rel)
    }

    /// Makes the object at `rel` equal, and a directory that the copy did not have with all below it,
    /// under one hold of the locks.
    pub fn make_tree_equal(&mut self, rel: &[u8], held: &BothLocked) -> io::Result<()> {
        let first_made = self.made.len();
        let mut todo = vec![rel.to_vec()];
        while let Some(p) = todo.pop() {
            let seen = self.make_equal(&p, held)?;
            // A directory that both have is one object; a new one is filled.
            let new = !seen.copy.as_ref().is_some_and(Meta::is_dir);
            if new && seen.source.is_some_and(|s| s.is_dir()) {
                let mut names = self.source.root.names(&p)?;
                names.extend(self.copy.root.names(&p).unwrap_or_default());
                names.sort_unstable();
                names.dedup();
                todo.extend(names.iter().map(|n| join(&p, n)));
            }
        }
        for p in self.made.split_off(first_made).into_iter().rev() {
            self.finish_made(&p, held)?;
        }
        Ok(())
    }
}
