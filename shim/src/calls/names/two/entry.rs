//! rename and link, from the program's arguments to the answer: what is refused before the change, in the
//! kernel's order.
use crate::calls::args::{copy_path, locate_arg, verdict};
use crate::calls::at_place::at_place;
use crate::calls::names::two::Two;
use crate::calls::paired::recognise::behind;
use crate::change::job::Job;
use crate::change::port::{Ran, run};
use crate::change::target::Target;
use crate::path::loc::{Last, Loc, Name, Path, Place};
use crate::path::proofs::{self, SYMLINKED};
use crate::path::resolve::locate_slow;
use crate::regs::{NATIVE, Regs, arg, fail};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_core::path::split;
use mirror_core::runtime::IntentKind;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Two names.
#[inline(never)]
// long: what the call asks for, and the loop around it
pub fn two(regs: &mut Regs) -> usize {
    let cwd = c::AT_FDCWD;
    let (a0, a1, a2, a3, a4) = (
        arg(regs, 0),
        arg(regs, 1),
        arg(regs, 2),
        arg(regs, 3),
        arg(regs, 4),
    );
    // The kernel looks at 32 bits of them.
    let flags = a4 as u32 as usize;
    let (d1, p1, d2, p2, flags, is_link) = match regs.call() {
        Some(Call::Rename) => (cwd, a0, cwd, a1, 0, false),
        Some(Call::Renameat) => (a0 as i32, a1, a2 as i32, a3, 0, false),
        Some(Call::Renameat2) => (a0 as i32, a1, a2 as i32, a3, flags, false),
        Some(Call::Link) => (cwd, a0, cwd, a1, 0, true),
        _ => (a0 as i32, a1, a2 as i32, a3, flags, true),
    };
    // What the kernel refuses before it looks at the paths.
    let refused = match is_link {
        true => flags & !((c::AT_SYMLINK_FOLLOW | c::AT_EMPTY_PATH) as usize) != 0,
        false => flags & !7 != 0 || (flags & 2 != 0 && flags & 5 != 0),
    };
    if refused {
        return NATIVE;
    }
    let follow = is_link && flags & c::AT_SYMLINK_FOLLOW as usize != 0;
    let (mut t1, mut t2) = (Path::new(), Path::new());
    let mut locs = (Loc::new(), Loc::new());
    let last1 = match (is_link, follow) {
        (true, true) => Last::Follow,
        (true, false) => Last::Keep,
        (false, _) => Last::Entry,
    };
    if copy_path(p1, &mut t1).is_none() {
        return NATIVE;
    }
    let by_number = is_link && flags & c::AT_EMPTY_PATH as usize != 0 && t1.is_empty();
    let from = |l1: &mut Loc, slow: bool| {
        if by_number {
            crate::path::object::jump(d1, d1, l1)
        } else if slow {
            locate_slow(d1, &t1, last1, l1)
        } else {
            crate::path::resolve::locate(d1, &t1, last1, l1)
        }
    };
    let old = from(&mut locs.0, false);
    locs.1.led = locs.0.led;
    let Some(new) = locate_arg(d2, p2, Last::Entry, &mut t2, &mut locs.1) else {
        return NATIVE;
    };
    if SYMLINKED.load(Ordering::Relaxed) {
        proofs::forget();
    }
    let nothing = |t: &Path| matches!(split(t.as_bytes()).1, b"" | b"." | b"..");
    if nothing(&t2) || (nothing(&t1) && !by_number) || (by_number && d1 == cwd) {
        // ENOENT, EBUSY, EPERM…: the kernel refuses it.
        return NATIVE;
    }
    if by_number && let Err(e) = may_link(d1) {
        return fail(regs, e);
    }
    let asked = Asked {
        old: (d1, &t1),
        new: (d2, &t2),
        flags,
        is_link,
        follow,
        by_number,
    };
    at_place(
        regs,
        (old, new),
        &mut locs,
        |(l1, l2), _, _| (from(l1, true), locate_slow(d2, &t2, Last::Entry, l2)),
        |regs, places, (l1, l2), _| asked.run(regs, places, l1, l2),
    )
}

/// What the call has asked for.
struct Asked<'a> {
    /// Directory and text of the old name.
    old: (i32, &'a Path),
    /// The same of the new one.
    new: (i32, &'a Path),
    flags: usize,
    is_link: bool,
    /// link: a symlink at the old name is followed.
    follow: bool,
    /// link: the old name is none, but a descriptor.
    by_number: bool,
}

impl Asked<'_> {
    /// The answer, from these places; `None`: they misled.
    // long: what is refused between two places, in the kernel's order, and the change
    fn run(
        &self,
        regs: &mut Regs,
        (old, new): (Place, Place),
        l1: &mut Loc,
        l2: &mut Loc,
    ) -> Option<usize> {
        let Asked {
            old: (d1, t1),
            new: (d2, t2),
            flags,
            is_link,
            follow,
            by_number,
        } = *self;
        if let (Place::Out(_), Place::Out(_)) = (old, new) {
            let exchange = flags & 2 != 0;
            if !is_link && (above(l1, d1, t1) || exchange && above(l2, d2, t2)) {
                return Some(fail(regs, Errno::EBUSY));
            }
            return Some(NATIVE);
        }
        let nameless = match old {
            Place::Linked | Place::Nameless => {
                let partner = match behind(old, l1) {
                    Ok(n) => n.map(|n| (n, true)),
                    Err(e) => return Some(fail(regs, e)),
                };
                let own = l1.jump.filter(|j| j.fd >= 0 && old == Place::Nameless);
                partner.or(own.map(|j| (j.fd, false)))
            }
            _ => None,
        };
        let here = old == Place::In || nameless.is_some();
        if !(here && new == Place::In && l1.pair == l2.pair) {
            let old_text = if by_number { None } else { Some(t1) };
            let last = refusal(is_link, old, new);
            let mut e = border((d1, old_text), (d2, t2), is_link, follow);
            if e.is_ok() && !is_link && old == Place::In {
                // Within the pair it is looked up before a new name that is too long.
                e = match last {
                    Errno::ENAMETOOLONG => {
                        sys::fstatat(d1, &without_slash(t1), c::AT_SYMLINK_NOFOLLOW).map(|_| ())
                    }
                    _ => Ok(()),
                };
            }
            return Some(fail(regs, e.err().unwrap_or(last)));
        }
        let mut a = Target::new(l1);
        if nameless.is_some() {
            a.forget();
        }
        let mut b = Target::new(l2);
        if !is_link && flags & 4 != 0 {
            // RENAME_WHITEOUT is overlayfs's; a kill in it could not be told from "not done".
            return Some(fail(regs, Errno::EINVAL));
        }
        let kind = match (is_link, flags & 2 != 0) {
            (true, _) => IntentKind::Link,
            (false, true) => IntentKind::Exchange,
            (false, false) => IntentKind::Rename,
        };
        let mut change = Two {
            kind,
            flags: flags as u32,
            nameless,
            // A magic link's end is the object, also where that is a symlink.
            follow: follow && l1.jump.is_none(),
            across: l1.leg != l2.leg,
            replaces: false,
        };
        let job = Job::on((l2.pair, l1.leg), kind);
        match run(job, [Some(&mut a), Some(&mut b)], &mut change) {
            Ran::Unresolved => None,
            // One of the names is on the leg whose lock is not to be had.
            Ran::Recorded if l1.leg != l2.leg => Some(fail(regs, Errno::EIO)),
            ran => Some(verdict(regs, ran)),
        }
    }
}

/// Whether a name is that of a directory above a root: a pair's texts must go on to lead to it.
fn above(loc: &Loc, dir: i32, path: &Path) -> bool {
    let st = || sys::glance(dir, &without_slash(path), c::AT_SYMLINK_NOFOLLOW);
    loc.near && st().is_ok_and(|st| st.kind() == c::S_IFDIR)
}

/// What a call that cannot be done between these places is refused with, if nothing else is wrong.
fn refusal(is_link: bool, old: Place, new: Place) -> Errno {
    let root = |p| matches!(p, Place::Root(_));
    match (old, new) {
        (Place::Control, _) | (_, Place::Control) => Errno::ENOENT,
        // The last component is looked up on one mount only.
        (Place::Fail(Errno::ENAMETOOLONG), Place::Out(_))
        | (Place::Out(_), Place::Fail(Errno::ENAMETOOLONG))
            if !is_link =>
        {
            Errno::EXDEV
        }
        (Place::Fail(e), _) | (_, Place::Fail(e)) => e,
        // A directory cannot be linked and a root cannot be moved or replaced.
        _ if is_link && root(old) => Errno::EPERM,
        _ if is_link && root(new) => Errno::EEXIST,
        _ if root(old) || root(new) => Errno::EBUSY,
        // As between two mounts.
        _ => Errno::EXDEV,
    }
}

/// What the kernel says before it finds that two names are on different mounts.
#[cold]
#[inline(never)]
fn border(
    (d1, old): (i32, Option<&Path>),
    (d2, new): (i32, &Path),
    is_link: bool,
    follow: bool,
) -> Sys<()> {
    if !is_link {
        // Both directories are there before a name is looked up in one of them.
        let gone = match old {
            Some(old) => reach(d1, old)?,
            None => false,
        };
        return found(reach(d2, new)? || gone);
    }
    if let Some(old) = old {
        let nofollow = if follow { 0 } else { c::O_NOFOLLOW };
        close_it(crate::process::limits::own_fd(|| {
            sys::openat(d1, old, c::O_PATH | c::O_CLOEXEC | nofollow, 0)
        }))?;
    }
    found(reach(d2, new)?)?;
    let (_, _, slash) = split(new.as_bytes());
    match sys::fstatat(d2, &without_slash(new), c::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EEXIST),
        Err(Errno::ENOENT) if slash => Err(Errno::ENOENT),
        Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The path of the name itself.
fn without_slash(path: &Path) -> Path {
    let (parent, name, _) = split(path.as_bytes());
    let mut bare = Path::new();
    let _ = bare.set(parent);
    let _ = bare.push(name);
    bare
}

/// A removed directory is of no mount: nothing is found in it.
fn found(gone: bool) -> Sys<()> {
    if gone { Err(Errno::ENOENT) } else { Ok(()) }
}

/// Walks to a path's parent, and asks whether it may be searched; true: it is removed.
fn reach(dir: i32, path: &Path) -> Sys<bool> {
    let (parent, ..) = split(path.as_bytes());
    let mut p = Path::new();
    let _ = p.set(parent);
    if p.push(b".").is_err() {
        let _ = p.set(parent);
    }
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let n = crate::process::limits::own_fd(|| sys::openat(dir, &p, flags, 0))?;
    let gone = sys::fglance(n).is_ok_and(|st| st.nlink() == 0);
    let _ = sys::close(n);
    Ok(gone)
}

fn close_it(n: Sys<i32>) -> Sys<()> {
    n.map(|n| {
        let _ = sys::close(n);
    })
}

/// Whether this process may link what descriptor `n` is open on (AT_EMPTY_PATH). The root exists, so
/// nothing is made.
fn may_link(n: i32) -> Sys<()> {
    let (none, root) = (Name::new(), Name::from_bytes(b"/").unwrap_or_default());
    match sys::linkat(n, &none, c::AT_FDCWD, &root, c::AT_EMPTY_PATH) {
        Err(Errno::EEXIST) | Ok(_) => Ok(()),
        Err(e) => Err(e),
    }
}
