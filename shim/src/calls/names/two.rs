//! Two names: rename, link (op classes *entry* and *rename*).
use crate::calls::args::{copy_path, locate_arg, verdict};
use crate::calls::at_place::at_place;
use crate::calls::paired::recognise::behind;
use crate::change::pairing::{in_the_way, nothing_beside};
use crate::change::port::{Job, Ran, run};
use crate::change::target::{Change, Cx, Target};
use crate::path::loc::{Last, Loc, Name, Path, Place};
use crate::path::proofs::{self, SYMLINKED};
use crate::path::resolve::locate_slow;
use crate::regs::{NATIVE, Regs, arg, fail};
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::calls::Call;
use mirror_core::path::split;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, LockPlan, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

mod sooner;

/// The last rename was a directory's: the next one is looked at before it is planned. A hint whose wrong
/// value costs a look, or a run in vain.
static MOVES: AtomicBool = AtomicBool::new(false);

struct Two {
    kind: IntentKind,
    flags: u32,
    /// linkat of a file without a known name: its descriptor, and whether n + K is its partner.
    nameless: Option<(i32, bool)>,
    /// linkat through a symlink.
    follow: bool,
    /// The new name was taken on the first leg: what a rename replaces does not come back.
    replaces: bool,
}

impl Two {
    /// Whether a directory is moved on the first leg, `old` being what the old name is there: that is done
    /// only exclusively, so that no path resolution straddles its way from one leg to the
    /// other.
    fn moves_directory(&self, cx: &Cx<'_>, old: &Sys<Stat>) -> bool {
        let is_dir = |st: &Stat| st.kind() == c::S_IFDIR;
        let t = cx.name(1);
        match self.kind {
            IntentKind::Rename => old.is_ok_and(|st| is_dir(&st)),
            IntentKind::Exchange => {
                let new = sys::glance(t.at(cx.lead), &t.name, c::AT_SYMLINK_NOFOLLOW);
                old.is_ok_and(|st| is_dir(&st)) || new.is_ok_and(|st| is_dir(&st))
            }
            _ => false,
        }
    }
}

impl Two {
    /// The same as a guess, before anything is locked.
    fn begins_exclusive(&self, cx: &Cx<'_>) -> bool {
        let (from, rel) = cx.spot(0, cx.lead);
        let dir = self.kind != IntentKind::Link
            && sys::glance(from, rel, c::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|st| st.kind() == c::S_IFDIR);
        MOVES.store(dir, Ordering::Relaxed);
        dir
    }
}

impl Change for Two {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        if self.nameless.is_some() {
            return cx.parent(1);
        }
        if MOVES.load(Ordering::Relaxed) && self.begins_exclusive(cx) {
            return Err(Prepared::Exclusive);
        }
        let old = cx.parent(0)?;
        match cx.parent(1) {
            Ok(new) => Ok(old.union(new)),
            Err(p) => Err(self.sooner(cx, p)),
        }
    }
    // long: one look at both names on both legs, in its order
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        for which in 0..2 {
            if which == 0 && self.nameless.is_some() {
                continue;
            }
            if let Err(p) = cx.enter(which, held) {
                return if which == 0 { p } else { self.sooner(cx, p) };
            }
        }
        let mut old = Err(Errno::ENOENT);
        if self.nameless.is_none() {
            let t = cx.name(0);
            let st = sys::glance(t.at(cx.lead), &t.name, c::AT_SYMLINK_NOFOLLOW);
            old = st;
            if let Err(p) = cx.still(0, st) {
                return p;
            }
            if self.follow && st.is_ok_and(|st| st.kind() == c::S_IFLNK) {
                return Prepared::Unresolved;
            }
            if let Err(p) = cx.pair_entered(0, false, &st, held) {
                return p;
            }
        }
        // A copy is made as by repair.
        if matches!(self.nameless, Some((_, false))) && !cx.exclusive {
            return Prepared::Exclusive;
        }
        if !cx.exclusive && self.moves_directory(cx, &old) {
            MOVES.store(true, Ordering::Relaxed);
            return Prepared::Exclusive;
        }
        if self.kind == IntentKind::Exchange {
            let new = cx.name(1);
            let st = sys::glance(new.at(cx.lead), &new.name, c::AT_SYMLINK_NOFOLLOW);
            if let Err(p) = cx.pair_entered(1, false, &st, held) {
                return p;
            }
            for leg in Leg::BOTH {
                let old = cx.name(0);
                if let Ok(st) = sys::fstatat(old.at(leg), &old.name, c::AT_SYMLINK_NOFOLLOW) {
                    cx.intent.inode[leg] = st.ino();
                }
            }
        }
        if self.kind != IntentKind::Exchange {
            let t = cx.name(1);
            let why = match self.kind == IntentKind::Link || self.flags & 1 != 0 {
                true => Errno::EEXIST,
                false => Errno::EIO,
            };
            let (first, second) = (t.at(cx.lead), t.at(cx.lead.other()));
            let mut fits = Ok(());
            if self.kind == IntentKind::Rename {
                let old = sys::glance(first, &t.name, c::AT_SYMLINK_NOFOLLOW);
                self.replaces = !matches!(old, Err(Errno::ENOENT));
                if self.replaces {
                    fits = cx.pair_entered(1, true, &old, held);
                } else if cx.exclusive {
                    fits = nothing_beside(cx, held, second, &t.name, 1, why);
                }
            } else {
                fits = in_the_way(cx, held, (first, second), &t.name, 1, why);
            }
            if let Err(p) = fits {
                return p;
            }
        }
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        let leg = cx.leg(step);
        let (a, b) = (cx.name(0), cx.name(1));
        if self.kind != IntentKind::Link {
            let mv = |flags| {
                sys::renameat2(a.at(leg), &a.name, b.at(leg), &b.name, flags).map(|v| v as u64)
            };
            // What only the second leg has is not replaced; and nothing that the undo would not bring back.
            if self.kind == IntentKind::Rename && !self.replaces {
                match mv(self.flags | 1) {
                    // A file system that does not know the flag.
                    Err(Errno::EINVAL) => {}
                    Err(Errno::EEXIST) if step == Step::First && self.flags & 1 == 0 => {
                        self.replaces = true;
                    }
                    r => return Ok(r?),
                }
            }
            return Ok(mv(self.flags)?);
        }
        let r = match self.nameless {
            None => sys::linkat(a.at(leg), &a.name, b.at(leg), &b.name, 0),
            Some((_, false)) if step == Step::Second => {
                // It has no partner: received, or opened for reading only.
                let r = crate::repair::heal::equal(cx.s, cx.lead, b.text(), held);
                r.map(|()| 0).map_err(|e| match e {
                    // Too large for a copy under the locks, or no path leads there.
                    Errno::EFBIG | Errno::EINVAL => Errno::EXDEV,
                    e => e,
                })
            }
            Some((n, _)) => {
                let n = if step == Step::First {
                    n
                } else {
                    n.saturating_add(K)
                };
                let mut p = Path::new();
                sys::fd_text(n, &mut p);
                sys::linkat(c::AT_FDCWD, &p, b.at(leg), &b.name, c::AT_SYMLINK_FOLLOW)
            }
        };
        Ok(r? as u64)
    }
    fn begun(&self) -> bool {
        matches!(self.nameless, Some((_, false)))
    }
    fn undo(&mut self, cx: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        let leg = cx.lead;
        let (a, b) = (cx.name(0), cx.name(1));
        match self.kind {
            IntentKind::Link => {
                if matches!(self.nameless, Some((_, false))) {
                    // A part of the copy may be there.
                    let _ = sys::unlinkat(b.at(leg.other()), &b.name, 0);
                }
                sys::unlinkat(b.at(leg), &b.name, 0).map(|_| ())
            }
            IntentKind::Exchange => {
                sys::renameat2(a.at(leg), &a.name, b.at(leg), &b.name, 2).map(|_| ())
            }
            // Only a rename that replaced nothing can be taken back.
            _ if self.replaces => Err(Errno::EIO),
            _ => sys::renameat2(b.at(leg), &b.name, a.at(leg), &a.name, 1).map(|_| ()),
        }
    }
    fn heal(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Sys<()> {
        // The second leg lacks the old name or has another victim: the two names decide.
        let from = cx.lead;
        // What directories hold is not compared here, and a half of it would be neither.
        let is_dir = |which: usize| {
            let t = cx.name(which);
            sys::glance(t.at(from), &t.name, c::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|st| st.kind() == c::S_IFDIR)
        };
        if self.kind != IntentKind::Link && (is_dir(0) || is_dir(1)) {
            return Err(Errno::ENOTEMPTY);
        }
        crate::repair::heal::equal(cx.s, from, cx.name(1).text(), held)?;
        if self.nameless.is_some() {
            Ok(())
        } else {
            crate::repair::heal::equal(cx.s, from, cx.name(0).text(), held)
        }
    }
}

/// Two names.
#[inline(never)]
// long: locate, run, try again: the stack is used once
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
            replaces: false,
        };
        let job = Job::on((l2.pair, l1.leg), kind);
        match run(job, [Some(&mut a), Some(&mut b)], &mut change) {
            Ran::Unresolved => None,
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
        old.map_or(Ok(()), |old| reach(d1, old))?;
        return reach(d2, new);
    }
    if let Some(old) = old {
        let nofollow = if follow { 0 } else { c::O_NOFOLLOW };
        close_it(crate::process::limits::own_fd(|| {
            sys::openat(d1, old, c::O_PATH | c::O_CLOEXEC | nofollow, 0)
        }))?;
    }
    reach(d2, new)?;
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

/// Walks to a path's parent, and asks whether it may be searched.
fn reach(dir: i32, path: &Path) -> Sys<()> {
    let (parent, ..) = split(path.as_bytes());
    let mut p = Path::new();
    let _ = p.set(parent);
    if p.push(b".").is_err() {
        let _ = p.set(parent);
    }
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let n = crate::process::limits::own_fd(|| sys::openat(dir, &p, flags, 0))?;
    // A removed directory is of no mount: nothing is found in it.
    let gone = sys::fglance(n).is_ok_and(|st| st.nlink() == 0);
    let _ = sys::close(n);
    if gone { Err(Errno::ENOENT) } else { Ok(()) }
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
