//! A change as the handlers describe it: its names, entered on both legs, and its call on one leg.
//!
//! Rules: as in `txn`: both locks are held, signals are blocked, nothing waits.
use crate::attach::{self, Session};
use crate::heal;
use crate::resolve::{Loc, Name, Path};
use libc as c;
use mirror_core::path::split;
use mirror_core::runtime::Intent;
use mirror_core::{Errno, Prepared, Step};
use mirror_sys as sys;
use mirror_sys::Sys;

/// One name of a change, entered on both legs.
pub struct Target {
    /// Relative path of the object.
    pub rel: Path,
    /// Its last component as the kernel gets it.
    pub name: Name,
    /// Parent directories on leg a and b.
    pub dir: [i32; 2],
    opened: [bool; 2],
    /// Descriptor (−1: none) and length of [`crate::resolve::Anchor`].
    anchor: (i32, usize),
}

impl Target {
    /// A target that is not entered yet.
    pub fn new(loc: &Loc) -> Target {
        Target {
            rel: loc.rel.clone(),
            name: loc.name.clone(),
            dir: [-1; 2],
            opened: [false; 2],
            anchor: (loc.anchor.fd, loc.anchor.len),
        }
    }
    /// Closes what `enter` opened.
    pub fn leave(&mut self) {
        for (d, o) in self.dir.iter_mut().zip(&mut self.opened) {
            if *o {
                let _ = sys::close(*d);
            }
            *o = false;
            *d = -1;
        }
    }
    /// The directory on a leg.
    pub fn at(&self, leg: usize) -> i32 {
        self.dir.get(leg).copied().unwrap_or(-1)
    }
}

/// Stands for a name that a change does not have.
static NAMELESS: Target = Target {
    rel: Path::new(),
    name: Name::new(),
    dir: [-1; 2],
    opened: [false; 2],
    anchor: (-1, 0),
};

/// What a change sees of its transaction.
pub struct Cx<'a> {
    /// The pair.
    pub s: &'a Session,
    /// Index of the leg that the request addresses.
    pub lead: usize,
    /// The names: none for changes by descriptor, two for rename and link.
    pub t: [Option<&'a mut Target>; 2],
    /// Where repair would look for a descriptor's file.
    pub hint: Hint,
    /// A symlink was met where the text promised none: resolve slowly and ask again.
    pub slow: bool,
    /// The intent to publish.
    pub intent: Intent,
    /// The descriptor's position, if `prepare` has read it.
    pub position: Option<u64>,
}

/// A short path by value.
pub struct Hint {
    buf: [u8; 232],
    len: usize,
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
    pub fn read(&mut self, i: &crate::state::FdInfo) {
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
    /// The paths as the intent gives them.
    pub fn paths(&self) -> (&[u8], &[u8]) {
        let first = match &self.t[0] {
            Some(t) => t.rel.as_bytes(),
            None => self.hint.as_bytes(),
        };
        (first, self.name(1).rel.as_bytes())
    }
    /// The leg of a step.
    pub fn leg(&self, step: Step) -> usize {
        match step {
            Step::First => self.lead,
            Step::Second => self.lead ^ 1,
        }
    }
    /// Whether the text still leads where the request's descriptor (or cwd) is. If not, the request is
    /// resolved again.
    pub fn anchored(&mut self, which: usize) -> Result<(), Prepared> {
        let t = self.name(which);
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
        let root = self.s.root.get(self.lead).copied().unwrap_or(-1);
        let by_text = sys::fstatat(root, &base, c::AT_SYMLINK_NOFOLLOW);
        let by_fd = if fd == c::AT_FDCWD {
            sys::fstatat(fd, &dot, 0)
        } else {
            sys::fstat(fd)
        };
        match (by_text, by_fd) {
            (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev() => Ok(()),
            // A removed cwd or directory: nothing can be made or found in it.
            (_, Ok(b)) if b.nlink() == 0 => Err(Prepared::Answer(Err(Errno::ENOENT))),
            (_, Err(e)) => Err(Prepared::Answer(Err(e))),
            _ => {
                self.slow = true;
                Err(Prepared::Answer(Err(Errno::ESTALE)))
            }
        }
    }
    /// Opens a target's parent directory on both legs: below the roots, through no symlink.
    pub fn enter(&mut self, which: usize) -> Result<(), Prepared> {
        self.anchored(which)?;
        for step in [Step::First, Step::Second] {
            let leg = self.leg(step);
            let root = self.s.root.get(leg).copied().unwrap_or(-1);
            let Some(Some(t)) = self.t.get_mut(which) else {
                continue;
            };
            let mut parent = Path::new();
            let _ = parent.set(split(t.rel.as_bytes()).0);
            let n = if parent.is_empty() {
                root
            } else {
                match open_below(root, &parent, c::O_PATH | c::O_DIRECTORY) {
                    Ok(n) => n,
                    Err(Errno::ELOOP | Errno::EXDEV) if step == Step::First => {
                        self.slow = true;
                        return Err(Prepared::Answer(Err(Errno::ELOOP)));
                    }
                    Err(e) if step == Step::First => return Err(Prepared::Answer(Err(e))),
                    // The other leg lacks a directory: somebody changed one tree alone.
                    Err(_) => {
                        heal::parents(self.s, self.lead, &parent);
                        match open_below(root, &parent, c::O_PATH | c::O_DIRECTORY) {
                            Ok(n) => n,
                            Err(e) => {
                                heal::pending(self.s, parent.as_bytes());
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
            if let (Some(d), Some(o)) = (t.dir.get_mut(leg), t.opened.get_mut(leg)) {
                *d = n;
                *o = n != root;
            }
        }
        Ok(())
    }
}

/// Opens a descriptor of our own: the program's limit is not for it. TX is held (or this is a guest).
pub fn spare(open: impl Fn() -> Sys<i32>) -> Sys<i32> {
    match open() {
        Err(Errno::EMFILE) => attach::with_limit(open),
        r => r,
    }
}

/// openat2 below a root: no symlink, no way out.
pub fn open_below(root: i32, rel: &Path, flags: i32) -> Sys<i32> {
    loop {
        match spare(|| sys::openat2(root, rel, flags | c::O_CLOEXEC, 0, sys::BENEATH)) {
            // A rename elsewhere made the kernel unsure about "..": there is none, so ask again.
            Err(Errno::EAGAIN) => {}
            r => return r,
        }
    }
}

/// A change: what the handlers of one family provide.
pub trait Change {
    /// Resolves under the locks and fills the intent.
    fn prepare(&mut self, cx: &mut Cx<'_>) -> Prepared;
    /// The call on one leg.
    fn apply(&mut self, cx: &mut Cx<'_>, step: Step) -> Sys<u64>;
    /// Takes the first leg's call back.
    fn undo(&mut self, _cx: &mut Cx<'_>) -> Sys<()> {
        Err(Errno::EIO)
    }
    /// Makes the second leg like the first after a semantic error.
    fn heal(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        let second = cx.leg(Step::Second);
        let (a, b) = cx.paths();
        heal::equal(cx.s, second ^ 1, a)?;
        if b.is_empty() {
            Ok(())
        } else {
            heal::equal(cx.s, second ^ 1, b)
        }
    }
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
    fn write_first(&mut self, at: Option<u64>) -> Sys<u64>;
    /// The second leg's write of bytes `done..upto` of the data.
    fn write_second(&mut self, at: u64, done: u64, upto: u64) -> Sys<u64>;
}
