//! One name: mkdir, mknod, symlink, bind, unlink, rmdir (op class *entry*).
use crate::calls::args::{copy_path, verdict};
use crate::calls::at_place::at_place;
use crate::calls::sockets::socket_path;
use crate::change::job::Job;
use crate::change::lone;
use crate::change::pairing::in_the_way;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx, Target};
use crate::change::times;
use crate::path::below::hold;
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::proofs::{self, SYMLINKED};
use crate::path::resolve::{locate, locate_slow};
use crate::process::actor::THREADED;
use crate::regs::{NATIVE, Regs, arg, fail, raw};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Leg;
use mirror_core::calls::Call;
use mirror_core::path::split;
use mirror_core::runtime::IntentKind;
use mirror_core::{
    Action, BothLocked, Errno, LockPlan, Lone, Prepared, Refused, Step, Undo, Untouched,
};
use mirror_sys as sys;
use mirror_sys::{OMIT, Sys};

/// What is done to the name.
#[derive(Clone, Copy)]
enum What {
    Mkdir(u32),
    Mknod(u32, u64),
    Symlink,
    Bind,
    Unlink,
    Rmdir,
}

struct One<'a> {
    what: What,
    /// What a symlink says.
    target: &'a Path,
    regs: &'a Regs,
    /// rmdir: only the parent is locked.
    alone: bool,
    /// The second leg's object was made.
    second: bool,
}

/// unlink: what is removed from both legs was one file, or is the first leg's alone.
fn unequal(cx: &Cx<'_>) -> Result<(), Prepared> {
    let t = cx.name(0);
    let look = |leg: Leg| sys::glance(t.at(leg), &t.name, c::AT_SYMLINK_NOFOLLOW);
    let first = look(cx.lead);
    match cx.compare_entered(0, &first) {
        Err(_) if first.is_ok() && matches!(look(cx.lead.other()), Err(Errno::ENOENT)) => Ok(()),
        r => r,
    }
}

impl Change for One<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        let plan = cx.parent(0)?;
        self.alone = true;
        if matches!(self.what, What::Rmdir)
            && let Ok(victim) = cx.itself(0)
        {
            self.alone = false;
            return Ok(plan.union(victim));
        }
        Ok(plan)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        if let Err(p) = cx.enter(0, held) {
            return p;
        }
        // What was no directory when the plan was made may be one now.
        if matches!(self.what, What::Rmdir) && self.alone && !cx.exclusive {
            let t = cx.name(0);
            let st = sys::fstatat(t.at(cx.lead), &t.name, c::AT_SYMLINK_NOFOLLOW);
            if st.is_ok_and(|st| st.kind() == c::S_IFDIR) {
                return Prepared::Replan;
            }
        }
        self.second = false;
        if matches!(self.what, What::Rmdir)
            && let Err(p) = cx.removable(0)
        {
            return p;
        }
        if matches!(self.what, What::Unlink) {
            cx.settle(0, false, held);
            if let Err(p) = unequal(cx) {
                return p;
            }
        }
        if !matches!(self.what, What::Rmdir | What::Unlink) {
            let t = cx.name(0);
            let dirs = (t.at(cx.lead), t.at(cx.lead.other()));
            if let Err(p) = in_the_way(cx, held, dirs, &t.name, 0, Errno::EEXIST) {
                return p;
            }
        }
        Prepared::Ready
    }
    fn holds(&mut self, cx: &mut Cx<'_>, why: Errno) -> bool {
        let t = cx.name(0);
        let there = || sys::glance(t.at(cx.lead.other()), &t.name, c::AT_SYMLINK_NOFOLLOW);
        let removes = matches!(self.what, What::Unlink | What::Rmdir);
        removes && why == Errno::ENOENT && there().is_err()
    }
    /// And what has to follow it there.
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        let leg = cx.leg(step);
        let t = cx.name(0);
        let (dir, name) = (t.at(leg), &t.name);
        let r = match self.what {
            What::Mkdir(mode) => sys::mkdirat(dir, name, mode),
            What::Mknod(mode, dev) => sys::mknodat(dir, name, mode, dev),
            What::Symlink => sys::symlinkat(self.target, dir, name),
            What::Unlink => sys::unlinkat(dir, name, 0),
            What::Rmdir => {
                let r = sys::unlinkat(dir, name, c::AT_REMOVEDIR);
                if r.is_ok() {
                    // A text that led to it leads nowhere now.
                    cx.s.runtime().count_generation();
                }
                r
            }
            What::Bind if step == Step::First => return Ok(raw(self.regs)?),
            What::Bind => {
                let st = sys::fstatat(t.at(leg.other()), name, c::AT_SYMLINK_NOFOLLOW)?;
                sys::mknodat(dir, name, c::S_IFSOCK | 0o600, 0)?;
                self.second = true;
                let made = hold(dir, name)?;
                sys::stands_for(&st, made.stat())?;
                made.set_mode(st.mode() & 0o7777)
            }
        }?;
        self.second |= step == Step::Second;
        // Another thread may have changed the umask in between.
        if step == Step::Second
            && THREADED.load(Ordering::Relaxed)
            && matches!(self.what, What::Mkdir(_) | What::Mknod(..))
        {
            let first = sys::glance(t.at(leg.other()), name, c::AT_SYMLINK_NOFOLLOW)?;
            let made = hold(dir, name)?;
            sys::stands_for(&first, made.stat())?;
            if first.mode() != made.stat().mode() {
                made.set_mode(first.mode() & 0o7777)?;
            }
        }
        // A regular file made by mknod has a time that readers compare.
        if step == Step::Second
            && matches!(self.what, What::Mknod(m, _) if m & c::S_IFMT == c::S_IFREG || m & c::S_IFMT == 0)
        {
            let (first, made) = (hold(t.at(leg.other()), name)?, hold(dir, name)?);
            sys::stands_for(first.stat(), made.stat())?;
            match times::copy(first.fd(), made.fd(), OMIT, held) {
                // A file system that lets only the owner of the mount set times.
                Ok(_) | Err(Errno::EPERM) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(r as u64)
    }
    fn begun(&self) -> bool {
        self.second
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        lone::first(self, cx, held)
    }
    fn undo(&mut self, cx: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        let (dir, name) = (cx.name(0).at(cx.lead), &cx.name(0).name);
        if self.second && !matches!(self.what, What::Unlink | What::Rmdir) {
            let flags = match self.what {
                What::Mkdir(_) => c::AT_REMOVEDIR,
                _ => 0,
            };
            sys::unlinkat(cx.name(0).at(cx.lead.other()), name, flags)?;
            self.second = false;
        }
        match self.what {
            What::Mkdir(_) => {
                // Somebody may remember it already.
                cx.s.runtime().count_generation();
                sys::unlinkat(dir, name, c::AT_REMOVEDIR)
            }
            What::Unlink | What::Rmdir => return Err(Errno::EIO),
            _ => sys::unlinkat(dir, name, 0),
        }
        .map(|_| ())
    }
}

impl What {
    /// What a record says of it.
    fn kind(self) -> IntentKind {
        match self {
            What::Mkdir(_) => IntentKind::Mkdir,
            What::Mknod(..) | What::Bind => IntentKind::Mknod,
            What::Symlink => IntentKind::Symlink,
            What::Unlink => IntentKind::Unlink,
            What::Rmdir => IntentKind::Rmdir,
        }
    }
    fn removes(self) -> bool {
        matches!(self, What::Unlink | What::Rmdir)
    }
}

/// Directory, address of the path, and what is done there; `None`: the kernel refuses it. `target` gets a
/// symlink's text, `text` the path that bind has in its address.
fn asked(regs: &Regs, text: &mut Path, target: &mut Path) -> Option<(i32, usize, What)> {
    let (a0, a1, a2, a3) = (arg(regs, 0), arg(regs, 1), arg(regs, 2), arg(regs, 3));
    let cwd = c::AT_FDCWD;
    Some(match regs.call()? {
        Call::Mkdir => (cwd, a0, What::Mkdir(a1 as u32)),
        Call::Mkdirat => (a0 as i32, a1, What::Mkdir(a2 as u32)),
        Call::Mknod => (cwd, a0, What::Mknod(a1 as u32, a2 as u64)),
        Call::Mknodat => (a0 as i32, a1, What::Mknod(a2 as u32, a3 as u64)),
        Call::Unlink => (cwd, a0, What::Unlink),
        Call::Rmdir => (cwd, a0, What::Rmdir),
        Call::Unlinkat if a2 as u32 == 0 => (a0 as i32, a1, What::Unlink),
        Call::Unlinkat if a2 as i32 == c::AT_REMOVEDIR => (a0 as i32, a1, What::Rmdir),
        Call::Symlink | Call::Symlinkat => {
            SYMLINKED.store(true, Ordering::Relaxed);
            proofs::forget();
            // An empty one is refused before the name is looked at.
            copy_path(a0, target).filter(|()| !target.is_empty())?;
            match regs.is(Call::Symlink) {
                true => (cwd, a1, What::Symlink),
                false => (a1 as i32, a2, What::Symlink),
            }
        }
        Call::Bind if socket_path(a1, a2, text) => (cwd, 0, What::Bind),
        _ => return None,
    })
    .filter(|(.., what)| match what {
        // No other type is made by mknod: refused before the name is looked at.
        What::Mknod(mode, _) => matches!(
            mode & c::S_IFMT,
            0 | c::S_IFREG | c::S_IFIFO | c::S_IFCHR | c::S_IFBLK | c::S_IFSOCK
        ),
        _ => true,
    })
}

/// One name.
#[inline(never)]
pub fn one(regs: &mut Regs) -> usize {
    let (mut text, mut target, mut loc) = (Path::new(), Path::new(), Loc::new());
    let Some((dir, path, what)) = asked(regs, &mut text, &mut target) else {
        return NATIVE;
    };
    if !matches!(what, What::Bind) && copy_path(path, &mut text).is_none() {
        return NATIVE;
    }
    let place = locate(dir, &text, Last::Entry, &mut loc);
    if matches!(split(text.as_bytes()).1, b"" | b"." | b"..") {
        // EINVAL, EEXIST, ENOTEMPTY, ENOENT…: nothing can change.
        return NATIVE;
    }
    let undo = match what.removes() {
        true => Undo::Never,
        false => Undo::Possible,
    };
    at_place(
        regs,
        place,
        &mut loc,
        |loc, _, _| locate_slow(dir, &text, Last::Entry, loc),
        |regs, place, loc, _| {
            if let Some(v) = not_inside(regs, place, what.removes()) {
                return Some(v);
            }
            let mut t = Target::new(loc);
            let mut change = One {
                what,
                target: &target,
                regs,
                alone: true,
                second: false,
            };
            let job = Job::at(loc, what.kind()).action(Action::Call { undo });
            match run(job, [Some(&mut t), None], &mut change) {
                Ran::Unresolved => None,
                ran => Some(verdict(regs, ran)),
            }
        },
    )
}

/// What stands for a place that is not in a leg; `None`: it is.
fn not_inside(regs: &mut Regs, place: Place, removal: bool) -> Option<usize> {
    match place {
        Place::In => None,
        Place::Fail(e) => Some(fail(regs, e)),
        Place::Out(_) | Place::Nameless | Place::Linked => Some(NATIVE),
        Place::Root(_) if removal => Some(fail(regs, Errno::EBUSY)),
        Place::Root(_) => Some(NATIVE),
        Place::Control => Some(fail(regs, Errno::ENOENT)),
    }
}
