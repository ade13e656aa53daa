//! A change as the handlers describe it: its names, entered on both legs, and its call on one leg.
//!
//! Rules: as in `port`: signals are blocked, nothing waits; all but `plan` runs under the locks.
use crate::attach::handle::Session;
use crate::change::border::{self, Border};
use crate::change::deep::{Held, NOWHERE};
use crate::change::keys;
use crate::path::below::{hold, open_below, open_by};
use crate::path::loc::{Loc, Name, Path};
use crate::process::limits::spare;
use crate::repair::{heal, pending, same};
use libc as c;
use mirror_core::path::split;
use mirror_core::runtime::Intent;
use mirror_core::{BothLocked, Errno, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_core::{Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// One name of a change, entered on both legs.
pub struct Target {
    /// Path of the object, relative to [`Cx::spot`].
    pub(super) rel: Path,
    /// Its last component as the kernel gets it.
    pub name: Name,
    /// Parent directories on leg a and b.
    pub dir: PerLeg<i32>,
    opened: PerLeg<bool>,
    /// Descriptor (−1: none) and length of [`crate::path::loc::Anchor`].
    anchor: (i32, usize),
    /// Device and inode number that the name must still have: a magic link led to the object.
    object: Option<(u64, u64)>,
    /// No path can say where it is: what its name stands in, once that was found.
    pub(super) held: Option<Held>,
}

impl Target {
    /// A target that is not entered yet.
    pub fn new(loc: &Loc) -> Target {
        Target {
            rel: loc.rel.clone(),
            name: loc.name.clone(),
            dir: NOWHERE,
            opened: PerLeg { a: false, b: false },
            anchor: (loc.anchor.fd, loc.anchor.len),
            object: loc.jump.map(|j| j.object),
            held: loc.held.then(Held::nowhere),
        }
    }
    /// A name that is none: what it would name has no name that is known.
    pub fn forget(&mut self) {
        self.rel.truncate(0);
        self.held = None;
    }
    /// Whether it is a name at all.
    pub fn is_named(&self) -> bool {
        !self.rel.is_empty()
    }
    /// What records say of it: its path, or nothing.
    pub fn text(&self) -> &[u8] {
        match self.held {
            Some(_) => b"",
            None => self.rel.as_bytes(),
        }
    }
    /// The same; of what no path can say, a directory above it, or nothing as long as none is known.
    pub(super) fn said(&self) -> &[u8] {
        match &self.held {
            Some(held) => held.said(),
            None => self.rel.as_bytes(),
        }
    }
    /// Descriptor of what the request started from, or −1.
    pub(super) fn anchor(&self) -> i32 {
        self.anchor.0
    }
    /// Closes what `enter` opened.
    pub fn leave(&mut self) {
        for (d, o) in self.dir.iter_mut().zip(self.opened.iter_mut()) {
            if *o {
                let _ = sys::close(*d);
            }
            *o = false;
            *d = -1;
        }
        if let Some(h) = &mut self.held {
            *h = Held::nowhere();
        }
    }
    /// The directory on a leg.
    pub fn at(&self, leg: Leg) -> i32 {
        self.dir[leg]
    }
}

/// Stands for a name that a change does not have.
static NAMELESS: Target = Target {
    rel: Path::new(),
    name: Name::new(),
    dir: NOWHERE,
    opened: PerLeg { a: false, b: false },
    anchor: (-1, 0),
    object: None,
    held: None,
};

/// What a change sees of its transaction.
pub struct Cx<'a> {
    /// The pair.
    pub s: &'a Session,
    /// Leg b is away: nothing of it is looked at, and its locks are nobody's.
    pub alone: bool,
    /// Index of the leg that the request addresses.
    pub lead: Leg,
    /// The names: none for changes by descriptor, two for rename and link.
    pub t: [Option<&'a mut Target>; 2],
    /// Where repair would look for a descriptor's file.
    pub hint: Hint,
    /// The intent to publish.
    pub intent: Intent,
    /// The descriptor's position, if `prepare` has read it.
    pub position: Option<u64>,
    /// The end of the first leg's file, if `prepare` has asked for it; a write moves it.
    pub end: Option<u64>,
    /// The caller is exclusive.
    pub exclusive: bool,
    /// Two objects did not look alike, and nothing has been changed: ask again exclusively.
    pub unequal: bool,
    /// The generation at which the plan's directories were found.
    pub generation: u64,
    /// Whether the plan depends on it.
    pub dated: bool,
    /// A part of the change has been taken back on the first leg.
    pub half: core::cell::Cell<bool>,
    /// The number that the change goes by, with its partner; −1: none is known.
    pub number: i32,
    /// What leg b has answered to a change that is made there alone: stores that are carried over.
    pub refused: core::cell::Cell<Option<Errno>>,
}

/// A short path by value.
pub struct Hint {
    pub(super) buf: [u8; 232],
    pub(super) len: usize,
}

impl Hint {
    /// No path.
    pub const fn none() -> Hint {
        Hint {
            buf: [0; 232],
            len: 0,
        }
    }
    /// The path of a descriptor's record.
    pub fn read(&mut self, i: &crate::process::fds::FdInfo) {
        self.len = i.path(&mut self.buf).len();
    }
    fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }
}

impl Cx<'_> {
    /// A name.
    pub fn name(&self, which: usize) -> &Target {
        match self.t.get(which) {
            Some(Some(t)) => t,
            _ => &NAMELESS,
        }
    }
    /// The paths as records give them: of what no path can say, a directory above it.
    pub fn paths(&self) -> (&[u8], &[u8]) {
        let first = match &self.t[0] {
            Some(t) => t.said(),
            None => self.hint.as_bytes(),
        };
        (first, self.name(1).said())
    }
    /// The lock on the parent directory of a name.
    pub fn parent(&mut self, which: usize) -> Result<LockPlan, Prepared> {
        if self.name(which).held.is_some() {
            return self.held_parent(which);
        }
        let mut dir = Path::new();
        let _ = dir.set(split(self.name(which).rel.as_bytes()).0);
        let plan = self.directory(&dir);
        plan.map_err(|e| self.unplanned(which, e))
    }
    /// The lock on the directory that a name is.
    pub fn itself(&mut self, which: usize) -> Sys<LockPlan> {
        if self.name(which).held.is_some() {
            return self.held_itself(which);
        }
        let rel = self.name(which).rel.clone();
        self.directory(&rel)
    }
    /// The lock on any directory of the pair.
    pub fn directory(&mut self, rel: &Path) -> Sys<LockPlan> {
        self.dated = true;
        let key = keys::directory(self.s, rel.as_bytes(), self.generation)?;
        Ok(LockPlan::EMPTY.dir(key, self.s.stripes))
    }
    /// The lock on a file, by leg a's inode.
    pub fn file(&self, ino: u64) -> LockPlan {
        LockPlan::EMPTY.file(ino, self.s.stripes)
    }
    /// The lock on a directory, by leg a's inode.
    pub fn dir(&self, ino: u64) -> LockPlan {
        LockPlan::EMPTY.dir(ino, self.s.stripes)
    }
    /// The lock on the file behind a name that was entered.
    pub fn file_named(&self, which: usize) -> LockPlan {
        let t = self.name(which);
        match sys::glance(t.at(Leg::A), &t.name, c::AT_SYMLINK_NOFOLLOW) {
            Ok(st) => self.file(st.ino()),
            // Leg a lacks it: it is made there, with exclusive access.
            Err(_) => LockPlan::EMPTY,
        }
    }
    /// What the failure to find a directory without locks means.
    fn unplanned(&mut self, which: usize, e: Errno) -> Prepared {
        match e {
            Errno::ELOOP | Errno::EXDEV => Prepared::Unresolved,
            // Leg a is the one that the request addresses: its answer, if the text leads where the
            // request's descriptor is.
            _ if self.lead == Leg::A => match self.anchored(which) {
                Ok(()) => Prepared::Answer(Err(e)),
                Err(p) => p,
            },
            // Leg b is: if it fails there too, that is the answer.
            _ => {
                let mut dir = Path::new();
                let _ = dir.set(split(self.name(which).rel.as_bytes()).0);
                match open_below(self.s.at(Leg::B), &dir, c::O_PATH | c::O_DIRECTORY) {
                    Ok(n) => {
                        let _ = sys::close(n);
                        Prepared::Exclusive
                    }
                    Err(e) => match self.anchored(which) {
                        Ok(()) => Prepared::Answer(Err(e)),
                        Err(p) => p,
                    },
                }
            }
        }
    }
    /// Whether what the plan was made from still stands. Asked under the locks.
    pub fn plan_stands(&self) -> bool {
        self.exclusive || !self.dated || self.s.runtime().generation() == self.generation
    }
    /// The leg of a step.
    pub fn leg(&self, step: Step) -> Leg {
        match step {
            Step::First => self.lead,
            Step::Second => self.lead.other(),
        }
    }
    /// Whether the text still leads where the request's descriptor (or cwd) is. If not, the request is
    /// resolved again.
    pub fn anchored(&mut self, which: usize) -> Result<(), Prepared> {
        let t = self.name(which);
        if t.held.is_some() {
            return self.reach(which);
        }
        let (fd, len) = t.anchor;
        if fd == -1 {
            return Ok(());
        }
        let mut base = Path::new();
        let text = t
            .rel
            .as_bytes()
            .get(..len)
            .filter(|b| !b.is_empty())
            .unwrap_or(b".");
        let _ = base.set(text);
        let dot: Name = Name::from_bytes(b".").unwrap_or_default();
        let root = self.s.at(self.lead);
        let by_text = sys::glance(root, &base, c::AT_SYMLINK_NOFOLLOW);
        let by_fd = if fd == c::AT_FDCWD {
            sys::glance(fd, &dot, 0)
        } else {
            sys::fglance(fd)
        };
        match (by_text, by_fd) {
            (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev() => Ok(()),
            // A removed cwd or directory: nothing can be made or found in it.
            (_, Ok(b)) if b.nlink() == 0 => Err(Prepared::Answer(Err(Errno::ENOENT))),
            (_, Err(e)) => Err(Prepared::Answer(Err(e))),
            _ => Err(Prepared::Unresolved),
        }
    }
    /// Whether what the first leg has under a name is what the request meant, if that was an object and
    /// not the name. If not, the request is resolved again. Asked under the locks.
    pub fn still(&mut self, which: usize, found: Sys<Stat>) -> Result<(), Prepared> {
        match (self.name(which).object, found) {
            (None, _) => Ok(()),
            (Some(o), Ok(st)) if o == (st.dev(), st.ino()) => Ok(()),
            _ => Err(Prepared::Unresolved),
        }
    }
    /// Two names in one directory: the second is entered with the first, which closes it.
    fn share_directory(&mut self) -> bool {
        let [Some(a), Some(b)] = &mut self.t else {
            return false;
        };
        let dir = |t: &Target| split(t.rel.as_bytes()).0.len();
        let (na, nb) = (dir(a), dir(b));
        let same = a.rel.as_bytes().get(..na) == b.rel.as_bytes().get(..nb)
            && a.anchor == b.anchor
            && a.held.is_none()
            && b.held.is_none()
            && a.dir != NOWHERE;
        if same {
            b.dir = a.dir;
            b.opened = PerLeg::default();
        }
        same
    }
    /// Opens a target's parent directory on both legs: below the roots, through no symlink.
    pub fn enter(&mut self, which: usize, held: &BothLocked) -> Result<(), Prepared> {
        if which == 1 && self.share_directory() {
            return Ok(());
        }
        self.anchored(which)?;
        // Mount points are not crossed, unless the border says that it is none.
        let mut resolve = sys::BENEATH_HERE;
        for step in [Step::First, Step::Second] {
            let leg = self.leg(step);
            if self.skips(leg) {
                continue;
            }
            let root = self.s.at(leg);
            let Some(Some(t)) = self.t.get(which) else {
                continue;
            };
            let mut parent = Path::new();
            let _ = parent.set(split(t.rel.as_bytes()).0);
            let n = if t.held.is_some() {
                // It belongs to the target.
                self.spot(which, leg).0
            } else if parent.is_empty() {
                root
            } else {
                let mut r = open_by(root, &parent, DIRECTORY, resolve);
                if r == Err(Errno::EXDEV) {
                    self.border(which, &parent)?;
                    resolve = sys::BENEATH;
                    r = open_by(root, &parent, DIRECTORY, resolve);
                }
                match r {
                    Ok(n) => n,
                    Err(Errno::ELOOP | Errno::EXDEV) if step == Step::First => {
                        return Err(Prepared::Unresolved);
                    }
                    Err(e) if step == Step::First => return Err(Prepared::Answer(Err(e))),
                    // The other leg lacks a directory: a change is half done, or somebody changed one
                    // tree alone.
                    Err(_) if !self.exclusive => return Err(Prepared::Exclusive),
                    Err(_) => {
                        let name = split(t.rel.as_bytes()).1;
                        same::parents(self.s, self.lead, &parent, name, held);
                        match open_by(root, &parent, DIRECTORY, resolve) {
                            Ok(n) => n,
                            Err(e) => {
                                pending::pending(self.s, parent.as_bytes());
                                return Err(Prepared::Answer(Err(
                                    if e.class() == mirror_core::ErrorClass::ProcessLocal {
                                        e
                                    } else {
                                        Errno::EIO
                                    },
                                )));
                            }
                        }
                    }
                }
            };
            let Some(Some(t)) = self.t.get_mut(which) else {
                continue;
            };
            t.dir[leg] = n;
            t.opened[leg] = n != root && t.held.is_none();
        }
        Ok(())
    }
}

impl Cx<'_> {
    /// Refuses a name whose parent directory lies behind a mount point of one leg.
    #[cold]
    #[inline(never)]
    fn border(&self, which: usize, parent: &Path) -> Result<(), Prepared> {
        match self.border_of(parent) {
            Border::Within => Ok(()),
            Border::Kernel => Err(Prepared::Forward),
            Border::Beyond => {
                // Two names, and only one of them there: they are on two file systems.
                let mut other = Path::new();
                let name = self.t.get(usize::from(which == 0)).and_then(Option::as_ref);
                let e = match name {
                    Some(t) => {
                        let _ = other.set(split(t.rel.as_bytes()).0);
                        match self.border_of(&other) {
                            Border::Within => Errno::EXDEV,
                            _ => border::REFUSED,
                        }
                    }
                    None => border::REFUSED,
                };
                Err(Prepared::Answer(Err(e)))
            }
        }
    }
}

const DIRECTORY: i32 = c::O_PATH | c::O_DIRECTORY;

/// The same, of an object that changes with its name: on both legs it is where the name is.
pub fn hold_here(cx: &Cx<'_>, dir: i32, name: &Name) -> Sys<sys::Object> {
    let flags = c::O_PATH | c::O_NOFOLLOW | c::O_CLOEXEC;
    match spare(|| sys::openat2(dir, name, flags, 0, sys::BENEATH_HERE)) {
        Ok(n) => sys::Object::take(n),
        Err(Errno::EXDEV) => match cx.border_at(0) {
            Border::Within => hold(dir, name),
            _ => Err(border::REFUSED),
        },
        Err(Errno::EAGAIN) => hold(dir, name),
        Err(e) => Err(e),
    }
}

/// A change: what the handlers of one family provide.
pub trait Change {
    /// What must be locked, found without locks. May be asked again, after `undo` or a plan that did
    /// not stand.
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared>;
    /// What else, now that the request is resolved: files only.
    fn late(&mut self, _cx: &mut Cx<'_>) -> LockPlan {
        LockPlan::EMPTY
    }
    /// Whether the second leg, which has answered `why`, already is as the call would leave it.
    fn holds(&mut self, _cx: &mut Cx<'_>, _why: Errno) -> bool {
        false
    }
    /// With leg b away: what is done in its place, under leg a's locks (`change::lone`).
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone;
    /// Resolves under the locks and fills the intent.
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared;
    /// The call on one leg: its answer. Writes, and what `prepare` has answered, have none.
    fn apply(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Step) -> Result<u64, Refused> {
        Err(Refused::Whole(Errno::EINVAL))
    }
    /// Whether the second leg, which has just refused the call, may have done a part of it.
    fn begun(&self) -> bool {
        false
    }
    /// Takes the call back on both legs. What the second leg has is a source only with `source`.
    fn undo(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        Err(Errno::EIO)
    }
    /// Makes the second leg like the first after a semantic error.
    fn heal(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Sys<()> {
        let second = cx.leg(Step::Second);
        let (a, b) = cx.paths();
        heal::equal(cx.s, second.other(), a, held)?;
        if b.is_empty() {
            Ok(())
        } else {
            heal::equal(cx.s, second.other(), b, held)
        }
    }
    /// The second leg's object was not made equal (`why`), and is on record; the first leg has the change. What the
    /// program needs of it all the same.
    fn unmended(&mut self, _: &mut Cx<'_>, _why: Errno, _: &BothLocked) {}
    /// The write family's view of itself.
    fn data(&mut self) -> Option<&mut dyn Data> {
        None
    }
}

/// Writes: see `LegIo`.
pub trait Data {
    /// Descriptor on the first leg; the partner is the number + K.
    fn fd(&self) -> i32;
    /// The first leg's write.
    fn write_first(&mut self, at: Option<u64>, held: &BothLocked) -> Sys<u64>;
    /// What it has changed at `at` (`None`: behind the end) although it was refused, on the second leg.
    fn refused(&mut self, at: Option<u64>, held: &BothLocked) -> Sys<()>;
    /// The second leg's write of bytes `done..upto` of the data.
    fn write_second(&mut self, at: u64, done: u64, upto: u64, held: &BothLocked) -> Sys<u64>;
}
