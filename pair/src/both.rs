//! The names of a change on both legs, each by its held directory.
use libc as c;
use mirror_core::path::{Name, Path, is_control, split};
use mirror_core::repair::{Act, Names, OneName, Seen};
use mirror_core::{BothLocked, Errno, Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// Opens a directory below a leg's root: through no symlink, and nothing leads out.
pub type Open<'a> = &'a dyn Fn(i32, &Path) -> Sys<i32>;

/// [`Open`] with nothing else to mind.
pub fn open_dir(root: i32, rel: &Path) -> Sys<i32> {
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    loop {
        match sys::openat2(root, rel, flags, 0, sys::BENEATH) {
            // A rename elsewhere made the kernel unsure about "..": there is none, so ask again.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            r => return r,
        }
    }
}

/// That something is missing is believed when it was said twice: a difference is made of it.
pub fn surely<T>(look: impl Fn() -> Sys<T>) -> Sys<T> {
    match look() {
        Err(Errno::ENOENT) => look(),
        r => r,
    }
}

/// One name on both legs.
pub struct Both {
    dir: PerLeg<i32>,
    root: PerLeg<i32>,
    st: PerLeg<Option<Stat>>,
    /// The last component.
    pub name: Name,
}

impl Both {
    /// What `rel` is on both legs. Where neither has its directory, it is on neither.
    pub fn open(roots: PerLeg<i32>, rel: &[u8], open: Open<'_>) -> Sys<Both> {
        let (parent, name, _) = split(rel);
        let mut b = Both {
            dir: roots,
            root: roots,
            st: PerLeg::default(),
            name: Name::new(),
        };
        if name.is_empty() || name == b".." || name == b"." || is_control(rel) {
            return Err(Errno::EINVAL);
        }
        b.name.set(name).map_err(|_| Errno::ENAMETOOLONG)?;
        if !parent.is_empty() {
            let p = Path::from_bytes(parent).map_err(|_| Errno::ENAMETOOLONG)?;
            b.dir = PerLeg { a: -1, b: -1 };
            let mut lacks = 0;
            for (d, &root) in b.dir.iter_mut().zip(roots.iter()) {
                match surely(|| open(root, &p)) {
                    Err(Errno::ENOENT) => lacks |= 1,
                    r => {
                        *d = r?;
                        lacks |= 2;
                    }
                }
            }
            match lacks {
                1 => return Ok(b),
                3 => return Err(Errno::ENOENT),
                _ => {}
            }
        }
        b.look()?;
        Ok(b)
    }
    /// Looks at both legs anew.
    pub fn look(&mut self) -> Sys<()> {
        for (st, &d) in self.st.iter_mut().zip(self.dir.iter()) {
            *st = match surely(|| sys::fstatat(d, &self.name, c::AT_SYMLINK_NOFOLLOW)) {
                // Where there is no directory there is no name.
                Err(Errno::ENOENT) | Err(Errno::EBADF) => None,
                r => Some(r?),
            };
        }
        Ok(())
    }
    /// The directory on a leg.
    pub fn at(&self, leg: Leg) -> i32 {
        self.dir[leg]
    }
    /// What the name was on a leg.
    pub fn stat(&self, leg: Leg) -> Option<Stat> {
        self.st[leg]
    }
    fn seen(&self) -> OneName {
        OneName::by(|leg| {
            self.st[leg].map(|st| Seen {
                inode: st.ino(),
                size: st.size(),
            })
        })
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        for (d, r) in self.dir.iter().zip(self.root.iter()) {
            if *d >= 0 && d != r {
                let _ = sys::close(*d);
            }
        }
    }
}

/// The two names of an intent; an empty text is none.
pub struct Places {
    /// The first.
    pub one: Option<Both>,
    /// The second.
    pub two: Option<Both>,
}

impl Places {
    /// What the two are on both legs.
    pub fn open(roots: PerLeg<i32>, names: [&[u8]; 2], open: Open<'_>) -> Sys<Places> {
        let some = |rel: &[u8]| match rel.is_empty() {
            true => Ok(None),
            false => Both::open(roots, rel, open).map(Some),
        };
        let [one, two] = names;
        Ok(Places {
            one: some(one)?,
            two: some(two)?,
        })
    }
    /// Looks anew; what the decision is made from.
    pub fn look(&mut self) -> Sys<Names> {
        let mut names = Names::default();
        for (n, b) in names.iter_mut().zip([&mut self.one, &mut self.two]) {
            if let Some(b) = b {
                b.look()?;
                *n = b.seen();
            }
        }
        Ok(names)
    }
    /// One call on the names of one leg.
    pub fn call(&self, act: Act, _: &BothLocked) -> Sys<()> {
        let moved = |leg: Leg, flags| match (&self.one, &self.two) {
            (Some(a), Some(b)) => {
                sys::renameat2(a.at(leg), &a.name, b.at(leg), &b.name, flags).map(drop)
            }
            _ => Err(Errno::EINVAL),
        };
        match (act, &self.one, &self.two) {
            (Act::Rename(leg), ..) => moved(leg, 0),
            (Act::Exchange(leg), ..) => moved(leg, c::RENAME_EXCHANGE),
            (Act::Link(leg), Some(a), Some(b)) => {
                sys::linkat(a.at(leg), &a.name, b.at(leg), &b.name, 0).map(drop)
            }
            (Act::Unlink(leg), _, Some(b)) => sys::unlinkat(b.at(leg), &b.name, 0).map(drop),
            _ => Err(Errno::EINVAL),
        }
    }
}
