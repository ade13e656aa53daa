//! Attributes by path and by descriptor: chmod, chown, times, extended attributes; truncate by path.
//!
//! The first leg gets the program's own call and pointers (the kernel checks them); the second gets the
//! same, except times, which are copied from the first: "now" is never asked twice.
use super::attr_call::{Call, Kind, is_cwd, parse};
use super::recognise::{Fd, behind, recognise};
use super::{arg, copy_path, fail, fd_arg, raw, verdict};
use crate::arch::{NATIVE, Regs};
use crate::resolve::{Last, Loc, Name, Path, Place, locate, locate_slow};
use crate::state;
use crate::times;
use crate::txn::{Change, Cx, Patience, Ran, Target, run};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::runtime::IntentKind;
use mirror_core::{Action, Errno, K, LockPlan, Prepared, Step, Undo};
use mirror_sys as sys;
use mirror_sys::{OMIT, Stat, Sys};

#[path = "attr_ahead.rs"]
mod ahead;
#[path = "attr_undo.rs"]
mod undo;

struct Attr<'a> {
    call: Call,
    regs: &'a Regs,
    /// A descriptor on the first leg, and whether n + K is its partner.
    by_fd: Option<(i32, bool)>,
    before: Option<Stat>,
    root: bool,
    /// The path ended with '/': only a directory will do.
    slash: bool,
    /// The object is a directory, as far as is known.
    directory: bool,
    /// A descriptor's name was looked for often enough.
    again: bool,
    /// File capabilities before the call: a change of owner or size takes them away.
    caps: Option<([u8; 64], usize)>,
    /// truncate: the second leg's file, open for writing; what it may refuse is known then.
    second: i32,
}

impl Attr<'_> {
    /// "/proc/self/fd/DIR/NAME": for calls that have no *at form. No symlink is on that way: the
    /// directory is held and the last component was looked at under the locks.
    fn text(&self, cx: &Cx<'_>, leg: usize) -> Path {
        let mut p = Path::new();
        let t = cx.name(0);
        sys::fd_text(self.dir(cx, leg), &mut p);
        let _ = p.push(if self.root { b"." } else { t.name.as_bytes() });
        p
    }
    fn dir(&self, cx: &Cx<'_>, leg: usize) -> i32 {
        if self.root {
            cx.s.root.get(leg).copied().unwrap_or(-1)
        } else {
            cx.name(0).at(leg)
        }
    }
    fn name(&self, cx: &Cx<'_>) -> Name {
        let mut n = Name::new();
        let _ = n.set(if self.root {
            b"."
        } else {
            cx.name(0).name.as_bytes()
        });
        n
    }
    fn stat(&self, cx: &Cx<'_>, leg: usize, first: bool) -> Sys<Stat> {
        match self.by_fd {
            Some((n, _)) if first => sys::fstat(n),
            Some((n, true)) => sys::fstat(n.saturating_add(K)),
            _ => sys::fstatat(self.dir(cx, leg), &self.name(cx), c::AT_SYMLINK_NOFOLLOW),
        }
    }

    /// The change on a leg, by name.
    fn by_name(&self, cx: &Cx<'_>, leg: usize, step: Step) -> Sys<u64> {
        let (dir, name) = (self.dir(cx, leg), self.name(cx));
        let [_, a1, a2, a3, a4, _] = self.regs.args;
        let nr = self.regs.nr as i64;
        let r = match self.call.kind {
            Kind::Mode(m) if nr == super::SYS_FCHMODAT2 && self.call.last == Last::Keep => {
                let nofollow = c::AT_SYMLINK_NOFOLLOW as usize;
                // SAFETY: our own name, NUL-terminated.
                sys::ret(unsafe {
                    sys::syscall4(
                        nr,
                        dir as usize,
                        name.as_ptr() as usize,
                        m as usize,
                        nofollow,
                    )
                })
            }
            Kind::Mode(m) => sys::fchmodat(dir, &name, m),
            Kind::Owner(u, g) => sys::fchownat(dir, &name, u, g, c::AT_SYMLINK_NOFOLLOW),
            Kind::Times if step == Step::Second => return self.times(cx, leg),
            Kind::Times => match nr {
                c::SYS_utimensat => {
                    let nofollow = c::AT_SYMLINK_NOFOLLOW as usize;
                    // SAFETY: our own name; the program's times, checked by the kernel.
                    sys::ret(unsafe {
                        sys::syscall4(nr, dir as usize, name.as_ptr() as usize, a2, nofollow)
                    })
                }
                c::SYS_futimesat => {
                    // SAFETY: as above.
                    sys::ret(unsafe { sys::syscall3(nr, dir as usize, name.as_ptr() as usize, a2) })
                }
                _ => {
                    let p = self.text(cx, leg);
                    // SAFETY: our own path; the program's times, checked by the kernel.
                    sys::ret(unsafe { sys::syscall2(nr, p.as_ptr() as usize, a1) })
                }
            },
            Kind::SetXattr => {
                let p = self.text(cx, leg);
                // SAFETY: our own path; the program's name and value, checked by the kernel.
                sys::ret(unsafe {
                    sys::syscall5(c::SYS_lsetxattr, p.as_ptr() as usize, a1, a2, a3, a4)
                })
            }
            Kind::RemoveXattr => {
                let p = self.text(cx, leg);
                // SAFETY: our own path; the program's name, checked by the kernel.
                sys::ret(unsafe { sys::syscall2(c::SYS_lremovexattr, p.as_ptr() as usize, a1) })
            }
            Kind::Truncate(size) if step == Step::Second && self.second >= 0 => {
                sys::ftruncate(self.second, size)
            }
            Kind::Truncate(size) => sys::truncate(&self.text(cx, leg), size),
        }?;
        if step == Step::Second && matches!(self.call.kind, Kind::Truncate(_)) {
            self.times(cx, leg)?;
        }
        Ok(r as u64)
    }

    /// The change on n + K.
    fn by_partner(&self, cx: &Cx<'_>, leg: usize, n: i32) -> Sys<u64> {
        let m = n.saturating_add(K);
        let [_, a1, a2, a3, a4, _] = self.regs.args;
        match self.call.kind {
            Kind::Mode(mode) => sys::fchmod(m, mode),
            Kind::Owner(u, g) => sys::fchown(m, u, g),
            Kind::Times => return self.times(cx, leg),
            Kind::SetXattr => {
                // SAFETY: the program's name and value, checked by the kernel.
                sys::ret(unsafe { sys::syscall5(c::SYS_fsetxattr, m as usize, a1, a2, a3, a4) })
            }
            Kind::RemoveXattr => {
                // SAFETY: as above.
                sys::ret(unsafe { sys::syscall2(c::SYS_fremovexattr, m as usize, a1) })
            }
            Kind::Truncate(size) => {
                sys::ftruncate(m, size)?;
                return self.times(cx, leg);
            }
        }
        .map(|v| v as u64)
    }

    /// Copies the first leg's times to the second.
    fn times(&self, cx: &Cx<'_>, leg: usize) -> Sys<u64> {
        // atime is not part of the copy, but a program that sets it means both.
        let atime = if self.call.kind == Kind::Times {
            self.stat(cx, leg ^ 1, true)?.atime()
        } else {
            OMIT
        };
        let (none, name) = (Name::new(), self.name(cx));
        let first = match self.by_fd {
            Some((n, _)) => (n, &none),
            None => (self.dir(cx, leg ^ 1), &name),
        };
        let second = match self.by_fd {
            Some((n, true)) => (n.saturating_add(K), &none),
            _ => (self.dir(cx, leg), &name),
        };
        times::copy(first, second, atime).map(|()| 0)
    }
}

impl Change for Attr<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        if self.root {
            return Ok(cx.dir(cx.s.root_ino));
        }
        if let Some((n, true)) = self.by_fd {
            return cx.file_of(n).map_err(|e| Prepared::Answer(Err(e)));
        }
        // A directory is locked itself: its name moves only with everybody else kept out, and rmdir
        // locks it too.
        if self.directory {
            if let Ok(plan) = cx.itself(0) {
                return Ok(plan);
            }
            self.directory = false;
        }
        cx.parent(0)
    }
    fn late(&mut self, cx: &mut Cx<'_>) -> LockPlan {
        if self.root || self.directory || matches!(self.by_fd, Some((_, true))) {
            return LockPlan::EMPTY;
        }
        match self.before {
            Some(st) if cx.lead == 0 => cx.file(st.ino()),
            _ => cx.file_named(0),
        }
    }
    fn prepare(&mut self, cx: &mut Cx<'_>) -> Prepared {
        if !self.root
            && !cx.name(0).rel.is_empty()
            && !matches!(self.by_fd, Some((_, true)))
            && let Err(p) = cx.enter(0)
        {
            return p;
        }
        let st = match self.stat(cx, cx.lead, true) {
            Ok(st) => st,
            Err(e) => return Prepared::Answer(Err(e)),
        };
        if self.by_fd.is_none() {
            if let Err(p) = cx.still(0, Ok(st)) {
                return p;
            }
            if st.kind() == c::S_IFLNK && self.call.last == Last::Follow {
                cx.slow = true;
                return Prepared::Answer(Err(Errno::ELOOP));
            }
            if st.kind() == c::S_IFLNK && matches!(self.call.kind, Kind::Mode(_)) {
                return Prepared::Answer(Err(Errno::EOPNOTSUPP));
            }
        }
        if !self.root && self.directory != (st.kind() == c::S_IFDIR) {
            self.directory = !self.directory;
            if !cx.exclusive {
                return Prepared::Replan;
            }
        }
        if self.slash && st.kind() != c::S_IFDIR {
            return Prepared::Answer(Err(Errno::ENOTDIR));
        }
        if matches!(self.call.kind, Kind::Truncate(_)) && st.kind() != c::S_IFREG {
            let e = if st.kind() == c::S_IFDIR {
                Errno::EISDIR
            } else {
                Errno::EINVAL
            };
            return Prepared::Answer(Err(e));
        }
        if let Some(i) = cx.intent.inode.get_mut(cx.lead) {
            *i = st.ino();
        }
        cx.intent.old_size = st.size();
        self.before = Some(st);
        if let Some((_, false)) = self.by_fd {
            // A descriptor without a partner: by name, and only if the name still is this object.
            let same = self.root
                || sys::fstatat(
                    self.dir(cx, cx.lead),
                    &self.name(cx),
                    c::AT_SYMLINK_NOFOLLOW,
                )
                .is_ok_and(|s| s.ino() == st.ino() && s.dev() == st.dev());
            if !same {
                if !self.again {
                    // Renamed meanwhile: it may be found under its new name.
                    cx.slow = true;
                    return Prepared::Answer(Err(Errno::ESTALE));
                }
                // Its name is gone. Another may live, and was not found: nothing is changed.
                if st.nlink() > 0 && st.kind() != c::S_IFDIR {
                    return Prepared::Answer(Err(Errno::EIO));
                }
                return Prepared::Forward;
            }
        }
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, step: Step) -> Sys<u64> {
        let leg = cx.leg(step);
        if step == Step::First && !self.root && !matches!(self.by_fd, Some((_, true))) {
            // The object's own lock may have been taken after `prepare` looked.
            self.before = Some(self.stat(cx, leg, true)?);
        }
        if step == Step::First {
            self.look_ahead(cx)?;
        }
        match (self.by_fd, step) {
            (Some(_), Step::First) => {
                let r = raw(self.regs);
                if r.is_err() {
                    self.close_second();
                }
                r
            }
            (Some((n, true)), Step::Second) => self.by_partner(cx, leg, n),
            _ => {
                let r = self.by_name(cx, leg, step);
                if r.is_err() || step == Step::Second {
                    self.close_second();
                }
                r
            }
        }
    }
    fn undo(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        self.take_back(cx)
    }
}

/// The family's entry.
#[inline(never)]
pub fn attribute(regs: &mut Regs) -> usize {
    let Some(mut call) = parse(regs) else {
        return NATIVE;
    };
    let mut text = Path::new();
    if is_cwd(regs, &call) {
        call.path = arg(regs, 1);
        call.last = Last::Follow;
        let _ = text.set(b".");
    }
    let copy = Regs {
        nr: regs.nr,
        args: regs.args,
        site: regs.site,
        old_mask: regs.old_mask,
        scratch: 0,
    };
    let kind = if matches!(call.kind, Kind::Truncate(_)) {
        IntentKind::Truncate
    } else {
        IntentKind::Attributes
    };
    let mut loc = Loc::new();
    let mut by_fd;
    let last = call.last;
    let mut place;
    if call.path == 0 {
        let n = fd_arg(regs, 0);
        place = match recognise(n, &mut loc) {
            Fd::Out => return NATIVE,
            Fd::Paired => {
                let Some(i) = state::info(n) else {
                    return NATIVE;
                };
                loc.pair = usize::from(i.pair.load(Ordering::Relaxed));
                loc.leg = usize::from(i.leg.load(Ordering::Relaxed));
                let mut buf = [0u8; 232];
                let _ = loc.rel.set(i.path(&mut buf));
                by_fd = Some((n, true));
                Place::In
            }
            Fd::Bare => {
                by_fd = Some((n, false));
                if loc.rel.is_empty() {
                    Place::Root(false)
                } else {
                    Place::In
                }
            }
        };
    } else {
        if text.is_empty() && copy_path(call.path, &mut text).is_none() {
            return NATIVE;
        }
        place = locate(call.dir, &text, call.last, &mut loc);
        by_fd = through(place, &mut loc);
    }
    for tries in 0..super::TRIES {
        let mut call = call;
        if loc.jump.is_some() {
            // The link's end is the object, also where that is a symlink.
            call.last = Last::Keep;
        }
        let root = match place {
            Place::Linked | Place::Nameless if matches!(by_fd, Some((_, true))) => false,
            // It lives somewhere in the leg, and where is not known: nothing is changed.
            Place::Linked => return fail(regs, Errno::EIO),
            Place::Out | Place::Nameless => return NATIVE,
            Place::Control => return fail(regs, Errno::ENOENT),
            Place::Fail(e) => return fail(regs, e),
            // The symlink V itself is nobody's component.
            Place::Root(true) if call.last == Last::Keep => return NATIVE,
            Place::Root(_) => true,
            Place::In => false,
        };
        if root && matches!(call.kind, Kind::Truncate(_)) {
            return NATIVE;
        }
        // "name/" is followed by the kernel: through a symlink that might lead from one leg to the other.
        let slash = loc.slash && call.path != 0;
        if slash {
            call.last = Last::Follow;
            let bare = loc.name.len().saturating_sub(1);
            if loc.name.as_bytes().last() == Some(&b'/') {
                loc.name.truncate(bare);
            }
        }
        let mut t = Target::new(&loc);
        let mut change = Attr {
            call,
            regs: &copy,
            by_fd,
            before: None,
            root,
            slash,
            directory: slash,
            again: tries.saturating_add(1) == super::TRIES,
            caps: None,
            second: -1,
        };
        let action = Action::Call {
            undo: Undo::Possible,
        };
        match run(
            loc.pair,
            loc.leg,
            [Some(&mut t), None],
            kind,
            &mut change,
            action,
            Patience::Wait,
        ) {
            Ran::Slow if call.path == 0 => {
                place = match crate::resolve::sought(fd_arg(&copy, 0), &mut loc) {
                    Place::Nameless | Place::Linked if tries < 8 => Place::In,
                    p => p,
                }
            }
            Ran::Slow => {
                place = locate_slow(call.dir, &text, last, &mut loc);
                by_fd = through(place, &mut loc);
            }
            r => return verdict(regs, r),
        }
    }
    fail(regs, Errno::ELOOP)
}

/// The descriptor of this process that a magic link led to, and whether it has a partner.
fn through(place: Place, loc: &mut Loc) -> Option<(i32, bool)> {
    if let Some(n) = behind(place, loc) {
        return Some((n, true));
    }
    let own = loc.jump.filter(|j| j.fd >= 0 && place == Place::In);
    own.map(|j| (j.fd, false))
}
