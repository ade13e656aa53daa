//! Opening for change: both legs are opened under the locks, the partner becomes n + K.
//!
//! Rules: nothing that can block for long is opened here (a fifo, a device: the kernel gets the
//! program's call); data files are opened only to become n or n + K.
use super::partner::{install, note};
use super::recognise::behind;
use super::{arg, copy_path, fail, quick, verdict};
use crate::arch::{NATIVE, Regs};
use crate::resolve::{Last, Loc, Path, Place, locate, locate_slow};
use crate::state::set_dirty;
use crate::txn::{Change, Cx, Patience, Ran, Target, run, spare};
use libc as c;
use mirror_core::runtime::IntentKind;
use mirror_core::{Action, Errno, K, LockPlan, Prepared, Step, Undo};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

const TMPFILE: i32 = 0o20200000;

/// What the kernel knows; open(2) drops the rest, openat2(2) refuses it.
pub const OPEN_FLAGS: i32 = c::O_ACCMODE
    | c::O_CREAT
    | c::O_EXCL
    | c::O_NOCTTY
    | c::O_TRUNC
    | c::O_APPEND
    | c::O_NONBLOCK
    | c::O_SYNC
    | c::O_DSYNC
    | c::O_ASYNC
    | c::O_DIRECT
    | 0o100000
    | TMPFILE
    | c::O_DIRECTORY
    | c::O_NOFOLLOW
    | c::O_NOATIME
    | c::O_CLOEXEC
    | c::O_PATH;

struct Open {
    flags: i32,
    mode: u32,
    fd: [i32; 2],
    found: Option<Stat>,
    made: bool,
    stat: [Option<Stat>; 2],
}

impl Open {
    fn tmpfile(&self) -> bool {
        self.flags & TMPFILE == TMPFILE
    }
    fn open_at(&self, cx: &Cx<'_>, leg: usize, flags: i32) -> Sys<i32> {
        let root = cx.s.root.get(leg).copied().unwrap_or(-1);
        let makes = flags & c::O_CREAT != 0 || self.tmpfile();
        let mode = if makes { self.mode & 0o7777 } else { 0 };
        let mut rel = Path::new();
        let _ = rel.set(if cx.name(0).rel.is_empty() {
            b"."
        } else {
            cx.name(0).rel.as_bytes()
        });
        loop {
            let open = || sys::openat2(root, &rel, flags, mode, sys::BENEATH);
            // The first leg's number is the program's own.
            match if leg == cx.lead { open() } else { spare(open) } {
                Err(Errno::EAGAIN) => {}
                r => return r,
            }
        }
    }
}

impl Open {
    /// Notes the new pair of descriptors, with TX held: whoever exits next must know what it owes.
    fn remember(&self, cx: &Cx<'_>, n: i32) {
        let ino = |leg: usize| {
            let st = self.stat.get(leg).copied().flatten();
            st.map_or(0, |s| s.ino())
        };
        let rel: &[u8] = if self.tmpfile() {
            b""
        } else {
            cx.name(0).rel.as_bytes()
        };
        note(n, cx.s.pair, cx.lead, [ino(0), ino(1)], rel);
        if self.made || self.flags & c::O_TRUNC != 0 {
            set_dirty(n);
        }
    }
    /// A file system without O_DIRECT refuses it when the file is made already: then it is on the
    /// second leg too.
    #[cold]
    fn made_in_vain(&self, cx: &Cx<'_>) {
        let root = cx.s.root.get(cx.lead).copied().unwrap_or(-1);
        if sys::fstatat(root, &cx.name(0).rel, c::AT_SYMLINK_NOFOLLOW).is_err() {
            return;
        }
        let flags = c::O_CREAT | c::O_EXCL | c::O_WRONLY | c::O_CLOEXEC;
        match self.open_at(cx, cx.lead ^ 1, flags) {
            Ok(n) => {
                let _ = sys::close(n);
            }
            Err(_) => crate::heal::pending(cx.s, cx.name(0).rel.as_bytes()),
        }
    }
}

impl Change for Open {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        if !self.tmpfile() {
            return cx.parent(0);
        }
        match cx.itself(0) {
            Ok(plan) => Ok(plan),
            // It has no name that anybody could race for.
            Err(_) => Ok(cx.dir(cx.s.root_ino)),
        }
    }
    fn late(&mut self, cx: &mut Cx<'_>) -> LockPlan {
        match self.found {
            Some(st) if self.flags & c::O_TRUNC != 0 && cx.lead == 0 => cx.file(st.ino()),
            Some(_) if self.flags & c::O_TRUNC != 0 => {
                sys::fstatat(cx.s.root[0], &cx.name(0).rel, c::AT_SYMLINK_NOFOLLOW)
                    .map_or(LockPlan::EMPTY, |st| cx.file(st.ino()))
            }
            _ => LockPlan::EMPTY,
        }
    }
    fn prepare(&mut self, cx: &mut Cx<'_>) -> Prepared {
        (self.found, self.made, self.fd, self.stat) = (None, false, [-1; 2], [None, None]);
        if let Err(p) = cx.anchored(0) {
            return p;
        }
        if self.tmpfile() {
            return Prepared::Ready;
        }
        let root = cx.s.root.get(cx.lead).copied().unwrap_or(-1);
        let found = sys::glance(root, &cx.name(0).rel, c::AT_SYMLINK_NOFOLLOW);
        if let Err(p) = cx.still(0, found) {
            return p;
        }
        match found {
            Ok(_) if self.flags & (c::O_CREAT | c::O_EXCL) == c::O_CREAT | c::O_EXCL => {
                Prepared::Answer(Err(Errno::EEXIST))
            }
            Ok(st) => match st.kind() {
                c::S_IFREG => {
                    self.found = Some(st);
                    Prepared::Ready
                }
                c::S_IFLNK if self.flags & c::O_NOFOLLOW != 0 => {
                    Prepared::Answer(Err(Errno::ELOOP))
                }
                c::S_IFLNK => {
                    cx.slow = true;
                    Prepared::Answer(Err(Errno::ELOOP))
                }
                c::S_IFDIR => Prepared::Answer(Err(Errno::EISDIR)),
                // A fifo, a socket, a device: no business of ours.
                _ => Prepared::Forward,
            },
            Err(Errno::ENOENT) if self.flags & c::O_CREAT != 0 => {
                self.made = true;
                Prepared::Ready
            }
            Err(e) => Prepared::Answer(Err(e)),
        }
    }

    fn apply(&mut self, cx: &mut Cx<'_>, step: Step) -> Sys<u64> {
        let leg = cx.leg(step);
        if step == Step::First && self.found.is_some() && self.flags & c::O_TRUNC != 0 {
            // What the undo goes by: the file's lock was taken after it was found.
            let root = cx.s.root.get(leg).copied().unwrap_or(-1);
            self.found = sys::glance(root, &cx.name(0).rel, c::AT_SYMLINK_NOFOLLOW).ok();
        }
        let exclusive = if self.made { c::O_CREAT | c::O_EXCL } else { 0 };
        let base = if self.tmpfile() {
            self.flags
        } else {
            self.flags & !(c::O_CREAT | c::O_EXCL) | exclusive
        };
        let n = if step == Step::First {
            match self.open_at(cx, leg, base) {
                Err(Errno::ELOOP | Errno::EXDEV) => {
                    cx.slow = true;
                    return Err(Errno::ELOOP);
                }
                Err(Errno::EINVAL) if self.made && self.flags & c::O_DIRECT != 0 => {
                    self.made_in_vain(cx);
                    return Err(Errno::EINVAL);
                }
                r => r?,
            }
        } else {
            // Without O_APPEND pwrite goes where it is told; readable, so that a refused write can be
            // undone and so that nothing needs another descriptor.
            let flags =
                base & !(c::O_APPEND | c::O_DIRECT | c::O_ACCMODE | c::O_NONBLOCK) | c::O_CLOEXEC;
            match self.open_at(cx, leg, flags | c::O_RDWR) {
                Err(Errno::EACCES | Errno::EPERM) => self.open_at(cx, leg, flags | c::O_WRONLY),
                // The first leg has just made it: a foreign object is in the way.
                Err(Errno::EEXIST) if self.made => {
                    self.open_at(cx, leg, flags & !(c::O_CREAT | c::O_EXCL) | c::O_RDWR)
                }
                r => r,
            }?
        };
        if let Some(f) = self.fd.get_mut(leg) {
            *f = n;
        }
        if let Some(s) = self.stat.get_mut(leg) {
            *s = if step == Step::First && self.found.is_some() {
                self.found
            } else {
                sys::fglance(n).ok()
            };
        }
        if step == Step::First {
            return Ok(n as u64);
        }
        // Another thread may have changed the umask in between.
        if let (true, [Some(a), Some(b)]) = (self.made, self.stat)
            && a.mode() != b.mode()
        {
            let mode = self.stat.get(leg ^ 1).copied().flatten();
            let _ = sys::fchmod(n, mode.map_or(0, |s| s.mode()) & 0o7777);
        }
        let first = self.fd.get(leg ^ 1).copied().unwrap_or(-1);
        let cloexec = self.flags & c::O_CLOEXEC;
        let r = install(n, first, cloexec);
        let _ = sys::close(n);
        r?;
        self.remember(cx, first);
        Ok(0)
    }

    fn undo(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        // An O_TRUNC that emptied a file cannot be taken back.
        if !self.made
            && !self.tmpfile()
            && self.flags & c::O_TRUNC != 0
            && self.found.is_none_or(|s| s.size() > 0)
        {
            return Err(Errno::EIO);
        }
        if self.made {
            let root = cx.s.root.get(cx.lead).copied().unwrap_or(-1);
            sys::unlinkat(root, &cx.name(0).rel, 0)?;
        }
        let n = self.fd.get(cx.lead).copied().unwrap_or(-1);
        sys::close(n)?;
        self.fd = [-1; 2];
        Ok(())
    }

    fn heal(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        if cx.enter(0).is_err() {
            return Err(Errno::EIO);
        }
        crate::heal::equal(cx.s, cx.lead, cx.name(0).rel.as_bytes())?;
        // Now it is there; it was made or truncated with the copy.
        self.flags &= !(c::O_TRUNC | c::O_EXCL | c::O_CREAT);
        self.made = false;
        self.apply(cx, Step::Second).map(|_| ())
    }
}

/// The program's open, without what would change a leg if the name meanwhile were another's.
fn without_effects(regs: &mut Regs) -> usize {
    let keep = !((c::O_CREAT | c::O_EXCL | c::O_TRUNC) as usize);
    match (regs.nr as i64, &mut regs.args) {
        (c::SYS_openat, [_, _, flags, ..]) | (c::SYS_open, [_, flags, ..]) => *flags &= keep,
        (c::SYS_creat, [_, flags, ..]) => {
            regs.nr = c::SYS_open as usize;
            *flags = c::O_WRONLY as usize;
        }
        // openat2 keeps its flags in the program's memory.
        _ => return fail(regs, Errno::ENXIO),
    }
    NATIVE
}

/// open, openat, creat, openat2 that can change something.
#[inline(never)]
pub fn open(regs: &mut Regs) -> usize {
    let a = |i| arg(regs, i);
    let (dir, path, flags, mode) = match regs.nr as i64 {
        c::SYS_openat => (a(0) as i32, a(1), a(2) as i32, a(3) as u32),
        c::SYS_open => (c::AT_FDCWD, a(0), a(1) as i32, a(2) as u32),
        c::SYS_creat => (
            c::AT_FDCWD,
            a(0),
            c::O_CREAT | c::O_WRONLY | c::O_TRUNC,
            a(1) as u32,
        ),
        _ => return open_how(regs),
    };
    opening(regs, dir, path, flags, mode, false)
}

/// openat2 by the program: with `resolve` bits it keeps its own rules; only changes to a pair are ours.
fn open_how(regs: &mut Regs) -> usize {
    let (how, size) = (arg(regs, 2), arg(regs, 3));
    if size < size_of::<sys::OpenHow>()
        || !(0x1_0000..0x7fff_ffff_f000).contains(&how)
        || !sys::readable(how)
    {
        return NATIVE;
    }
    // SAFETY: probed; the kernel would copy the same 24 bytes.
    let h = unsafe { (how as *const sys::OpenHow).read_volatile() };
    let flags = h.flags as i32;
    let (dir, path) = (arg(regs, 0) as i32, arg(regs, 1));
    // What openat2 refuses and open takes.
    let makes = flags & c::O_CREAT != 0 || flags & TMPFILE == TMPFILE;
    if h.mode & !0o7777 != 0 || (h.mode != 0 && !makes) || h.flags & !(OPEN_FLAGS as u64) != 0 {
        return NATIVE;
    }
    if flags & (c::O_ACCMODE | c::O_CREAT | c::O_TRUNC) == 0 || flags & c::O_PATH != 0 {
        return if quick::names_control(path) {
            super::readers::look(regs)
        } else {
            NATIVE
        };
    }
    opening(regs, dir, path, flags, h.mode as u32, h.resolve != 0)
}

#[inline(never)]
fn opening(regs: &mut Regs, dir: i32, addr: usize, flags: i32, mode: u32, strict: bool) -> usize {
    let tmpfile = flags & TMPFILE == TMPFILE;
    // What the kernel drops or takes from open(2) and refuses from openat2(2).
    if flags & c::O_PATH != 0 || (!tmpfile && flags & (c::O_ACCMODE | c::O_CREAT | c::O_TRUNC) == 0)
    {
        return super::readers::look(regs);
    }
    if tmpfile && flags & c::O_ACCMODE == c::O_RDONLY {
        // Refused before the path is looked at.
        return NATIVE;
    }
    let flags = flags & OPEN_FLAGS;
    if flags & (c::O_CREAT | c::O_DIRECTORY) == c::O_CREAT | c::O_DIRECTORY && !tmpfile {
        // As Linux 6.4 and later say; earlier ones would make a file.
        return fail(regs, Errno::EINVAL);
    }
    let mut text = Path::new();
    // With '/' behind the name nothing is ever made.
    let slash = |t: &Path| flags & c::O_CREAT != 0 && t.as_bytes().last() == Some(&b'/');
    if copy_path(addr, &mut text).is_none() || slash(&text) {
        return NATIVE;
    }
    let keep =
        flags & c::O_NOFOLLOW != 0 || flags & (c::O_CREAT | c::O_EXCL) == c::O_CREAT | c::O_EXCL;
    let last = if keep && !tmpfile {
        Last::Keep
    } else {
        Last::Follow
    };
    let mut loc = Loc::new();
    let mut place = locate(dir, &text, last, &mut loc);
    for _ in 0..super::TRIES {
        match place {
            Place::In => {}
            Place::Root(_) if tmpfile => {}
            Place::Control => return fail(regs, Errno::ENOENT),
            Place::Fail(e) => {
                let answer = if strict {
                    probe_strict(regs).err()
                } else {
                    None
                };
                return answer.unwrap_or_else(|| fail(regs, e));
            }
            Place::Out => return NATIVE,
            Place::Linked | Place::Nameless => {}
            Place::Root(_) => return NATIVE,
        }
        let open_file = if tmpfile {
            None
        } else {
            behind(place, &mut loc)
        };
        if open_file.is_none() {
            match place {
                // It lives somewhere in the leg, and where is not known: nothing is changed.
                Place::Linked => return fail(regs, Errno::EIO),
                // Without a partner it is the program's alone; a link to it copies it to the other leg.
                Place::Nameless => return NATIVE,
                _ => {}
            }
        }
        // "name/" opens a directory or nothing.
        if loc.slash && !tmpfile {
            return NATIVE;
        }
        if strict {
            // The program set RESOLVE_* bits: what they forbid, the kernel shall say.
            match probe_strict(regs) {
                Ok(()) => {}
                Err(v) => return v,
            }
        }
        if let Some(n) = open_file {
            match super::reopen::reopen(regs, n, flags, &loc) {
                Some(v) => return v,
                None => {
                    place = locate_slow(dir, &text, last, &mut loc);
                    continue;
                }
            }
        }
        let mut change = Open {
            flags,
            mode,
            fd: [-1; 2],
            found: None,
            made: false,
            stat: [None, None],
        };
        let mut t = Target::new(&loc);
        let action = Action::Call {
            undo: Undo::Possible,
        };
        let ran = run(
            loc.pair,
            loc.leg,
            [Some(&mut t), None],
            IntentKind::Open,
            &mut change,
            action,
            Patience::Wait,
        );
        match ran {
            Ran::Slow => place = locate_slow(dir, &text, last, &mut loc),
            Ran::Native => return without_effects(regs),
            Ran::Done(Ok(n)) => return opened(regs, n as i32, &change, &loc),
            r => return verdict(regs, r),
        }
    }
    fail(regs, Errno::ELOOP)
}

fn opened(regs: &mut Regs, n: i32, change: &Open, loc: &Loc) -> usize {
    let paired = || sys::fcntl(n.saturating_add(K), c::F_GETFD, 0).is_ok();
    if change.fd.get(loc.leg ^ 1).copied().unwrap_or(-1) < 0 && !change.tmpfile() {
        // The second leg's file came by repair, after its open had failed.
        for _ in 0..100 {
            match super::recognise::adopt(n, loc) {
                Ran::Wait => sys::sleep_us(1000),
                _ => break,
            }
        }
        if paired() {
            if change.made || change.flags & c::O_TRUNC != 0 {
                set_dirty(n);
            }
            return super::answer(regs, Ok(n as u64));
        }
    }
    if !paired() {
        // Never hand out a descriptor whose changes would reach one leg only.
        let _ = sys::close(n);
        return fail(regs, Errno::EIO);
    }
    super::answer(regs, Ok(n as u64))
}

/// Asks the kernel with the program's own rules, without changing anything.
fn probe_strict(regs: &mut Regs) -> Result<(), usize> {
    let how = arg(regs, 2);
    // SAFETY: `open_how` has probed and read it.
    let h = unsafe { (how as *const sys::OpenHow).read_volatile() };
    let mine = sys::OpenHow {
        flags: (c::O_PATH | c::O_CLOEXEC) as u64 | h.flags & c::O_NOFOLLOW as u64,
        mode: 0,
        resolve: h.resolve,
    };
    let p: *const sys::OpenHow = &mine;
    // SAFETY: the program's path, checked by the kernel, and our own struct.
    let r = unsafe {
        sys::syscall4(
            c::SYS_openat2,
            arg(regs, 0),
            arg(regs, 1),
            p as usize,
            size_of::<sys::OpenHow>(),
        )
    };
    match sys::ret(r) {
        Ok(n) => {
            let _ = sys::close(n as i32);
            Ok(())
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(fail(regs, e)),
    }
}
