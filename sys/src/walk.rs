//! openat2, also where it is refused: seccomp filters answer ENOSYS (systemd's RestrictSUIDSGID=) or
//! EPERM (older container profiles), valgrind does not know the call.
//!
//! Rules: the same answers and the same guarantees, only slower. No component is followed as a symlink:
//! each is opened with O_NOFOLLOW from the descriptor before it. Below a root ".." never asks the kernel
//! (a directory moved out meanwhile would lead out): what it takes back is walked again from the root.
use crate::calls::{
    BENEATH, BENEATH_HERE, NO_SYMLINKS, Sys, close, fcntl, fstat, fstatat, openat, openat2_call,
};
use crate::raw::{ret, syscall4};
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::{NAME_MAX, PATH_MAX, PathText, split};

/// The kernel has refused openat2 in this process. Filters only ever become narrower.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// What openat2 is refused with in this process, whatever its arguments are.
pub fn openat2_refusal() -> Option<Errno> {
    // No struct is shorter than its first version: EINVAL, before anything else is looked at.
    // SAFETY: the kernel reads nothing.
    match ret(unsafe { syscall4(c::SYS_openat2, c::AT_FDCWD as isize as usize, 0, 0, 0) }) {
        Ok(_) | Err(Errno::EINVAL) => None,
        Err(e) => {
            REFUSED.store(true, Ordering::Relaxed);
            Some(e)
        }
    }
}

/// Whether a call has found out already that openat2 is refused.
pub fn openat2_is_refused() -> bool {
    REFUSED.load(Ordering::Relaxed)
}

/// openat2(2) with [`BENEATH`], [`BENEATH_HERE`] or [`NO_SYMLINKS`].
pub fn openat2<const N: usize>(
    dir: i32,
    path: &PathText<N>,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> Sys<i32> {
    if !openat2_is_refused() {
        match openat2_call(dir, path, flags, mode, resolve) {
            // EPERM and EACCES may be the file's answer.
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES) if openat2_refusal().is_some() => {}
            r => return r,
        }
    }
    openat2_by_walk(dir, path.as_bytes(), flags, mode, resolve)
}

/// The same by a walk: one openat for each component.
#[inline(never)]
pub fn openat2_by_walk(dir: i32, path: &[u8], flags: i32, mode: u32, resolve: u64) -> Sys<i32> {
    if !matches!(resolve, BENEATH | BENEATH_HERE | NO_SYMLINKS) {
        return Err(Errno::ENOSYS);
    }
    let absolute = path.first() == Some(&b'/');
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if absolute && resolve != NO_SYMLINKS {
        return Err(Errno::EXDEV);
    }
    let mut w = Walk {
        start: dir,
        at: dir,
        own: false,
        top: absolute,
        beneath: resolve != NO_SYMLINKS,
        done: PathText::new(),
    };
    let (parent, name, slash) = split(path);
    for part in parent.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if w.beneath => w.up()?,
            _ => w.down(part)?,
        }
    }
    // What is bound there, the device does not tell.
    if resolve == BENEATH_HERE && fstat(w.at)?.dev() != fstat(dir)?.dev() {
        return Err(Errno::EXDEV);
    }
    if name == b".." && w.beneath {
        w.up()?;
        return w.last(b".", flags, mode, slash);
    }
    w.last(name, flags, mode, slash)
}

const STEP: i32 = c::O_PATH | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_CLOEXEC;

/// A component with what stands around it.
type Part = PathText<{ NAME_MAX + 8 }>;

struct Walk {
    start: i32,
    at: i32,
    /// `at` is this walk's own.
    own: bool,
    /// At the process's root, for which no descriptor is needed.
    top: bool,
    beneath: bool,
    /// The way from `start` to `at`, below a root.
    done: PathText<PATH_MAX>,
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.go(-1, false);
    }
}

impl Walk {
    fn go(&mut self, n: i32, own: bool) {
        if self.own {
            let _ = close(self.at);
        }
        (self.at, self.own, self.top) = (n, own, false);
    }

    fn text(&self, name: &[u8], slash: bool) -> Sys<Part> {
        let mut t = Part::new();
        let long = |_| Errno::ENAMETOOLONG;
        if self.top {
            t.append(b"/").map_err(long)?;
        }
        // One byte too many is for the kernel to refuse: it asks first whether the directory may be searched.
        let most = name.len().min(NAME_MAX.saturating_add(1));
        t.append(name.get(..most).unwrap_or(&[])).map_err(long)?;
        if slash {
            t.append(b"/").map_err(long)?;
        }
        Ok(t)
    }

    /// With O_DIRECTORY the kernel says of a symlink that it is no directory.
    fn why(&self, name: &Part, e: Errno) -> Errno {
        let link =
            || fstatat(self.at, name, c::AT_SYMLINK_NOFOLLOW).is_ok_and(|s| s.kind() == c::S_IFLNK);
        if e == Errno::ENOTDIR && link() {
            Errno::ELOOP
        } else {
            e
        }
    }

    fn down(&mut self, name: &[u8]) -> Sys<()> {
        let text = self.text(name, false)?;
        let n = openat(self.at, &text, STEP, 0).map_err(|e| self.why(&text, e))?;
        self.go(n, true);
        if self.beneath {
            self.done.push(name).map_err(|_| Errno::ENAMETOOLONG)?;
        }
        Ok(())
    }

    /// "..", below a root.
    fn up(&mut self) -> Sys<()> {
        if self.done.is_empty() {
            return Err(Errno::EXDEV);
        }
        // Whoever may not search a directory may not leave it by its "..".
        let _ = close(openat(self.at, &self.text(b".", false)?, STEP, 0)?);
        let mut way = self.done.clone();
        way.pop();
        self.done.truncate(0);
        self.go(self.start, false);
        for part in way.as_bytes().split(|&b| b == b'/') {
            if !part.is_empty() {
                self.down(part)?;
            }
        }
        Ok(())
    }

    fn last(&mut self, name: &[u8], flags: i32, mode: u32, slash: bool) -> Sys<i32> {
        let makes = flags & c::O_CREAT != 0;
        // A slash behind a name that may be made: EISDIR, without following it.
        let text = self.text(name, slash && makes)?;
        let follows = flags & c::O_NOFOLLOW == 0 || slash;
        let directory = if slash && !makes { c::O_DIRECTORY } else { 0 };
        // O_EXCL never follows.
        let keep = if flags & (c::O_CREAT | c::O_EXCL) == c::O_CREAT | c::O_EXCL {
            0
        } else {
            c::O_NOFOLLOW
        };
        self.park()?;
        let n = openat(self.at, &text, flags | directory | keep, mode).map_err(|e| {
            if follows && !makes {
                self.why(&text, e)
            } else {
                e
            }
        })?;
        // O_PATH opens a symlink itself.
        if flags & c::O_PATH != 0 && follows && fstat(n)?.kind() == c::S_IFLNK {
            let _ = close(n);
            return Err(Errno::ELOOP);
        }
        Ok(n)
    }

    /// Frees the lowest number for what is opened last: programs count on it.
    fn park(&mut self) -> Sys<()> {
        if self.own {
            let above = self.at.saturating_add(1) as usize;
            let n = fcntl(self.at, c::F_DUPFD_CLOEXEC, above)?;
            self.go(n as i32, true);
        }
        Ok(())
    }
}
