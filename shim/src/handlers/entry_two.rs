//! Two names: rename, link (op classes *entry* and *rename*).
use super::{answer, arg, copy_path, fail, locate_arg, quick, verdict};
use crate::arch::{NATIVE, Regs};
use crate::resolve::{Last, Loc, Path, Place, locate_slow};
use crate::state::SYMLINKED;
use crate::txn::{Change, Cx, Patience, Ran, Target, in_the_way, run};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::path::split;
use mirror_core::runtime::IntentKind;
use mirror_core::{Action, Errno, K, LockPlan, Prepared, Step, Undo};
use mirror_sys as sys;
use mirror_sys::Sys;

struct Two {
    kind: IntentKind,
    flags: u32,
    /// linkat of a file without a name: its descriptor.
    nameless: Option<i32>,
    /// linkat through a symlink.
    follow: bool,
    /// The new name was taken on the first leg: what a rename replaces does not come back.
    replaces: bool,
}

impl Two {
    /// Whether a name is a directory on the first leg: it moves only with everybody else kept out, so
    /// that no path resolution straddles its way from one leg to the other.
    fn moves_directory(&self, cx: &Cx<'_>) -> bool {
        let names: &[usize] = match self.kind {
            IntentKind::Rename => &[0],
            IntentKind::Exchange => &[0, 1],
            _ => &[],
        };
        names.iter().any(|&which| {
            let t = cx.name(which);
            sys::glance(t.at(cx.lead), &t.name, c::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|st| st.kind() == c::S_IFDIR)
        })
    }
}

impl Change for Two {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        let new = cx.parent(1)?;
        if self.nameless.is_some() {
            return Ok(new);
        }
        Ok(new.union(cx.parent(0)?))
    }
    fn prepare(&mut self, cx: &mut Cx<'_>) -> Prepared {
        for which in 0..2 {
            if which == 0 && self.nameless.is_some() {
                continue;
            }
            if let Err(p) = cx.enter(which) {
                return p;
            }
        }
        if self.follow && self.nameless.is_none() {
            let t = cx.name(0);
            let st = sys::glance(t.at(cx.lead), &t.name, c::AT_SYMLINK_NOFOLLOW);
            if st.is_ok_and(|st| st.kind() == c::S_IFLNK) {
                cx.slow = true;
                return Prepared::Answer(Err(Errno::ELOOP));
            }
        }
        if !cx.exclusive && self.moves_directory(cx) {
            return Prepared::Exclusive;
        }
        if self.kind == IntentKind::Exchange {
            for leg in 0..2 {
                if let (Ok(st), Some(i)) = (
                    sys::fstatat(cx.name(0).at(leg), &cx.name(0).name, c::AT_SYMLINK_NOFOLLOW),
                    cx.intent.inode.get_mut(leg),
                ) {
                    *i = st.ino();
                }
            }
        }
        if self.kind != IntentKind::Exchange {
            let t = cx.name(1);
            if self.kind == IntentKind::Rename {
                let old = sys::glance(t.at(cx.lead), &t.name, c::AT_SYMLINK_NOFOLLOW);
                self.replaces = !matches!(old, Err(Errno::ENOENT));
            }
            let why = match self.kind == IntentKind::Link || self.flags & 1 != 0 {
                true => Errno::EEXIST,
                false => Errno::EIO,
            };
            let dirs = (t.at(cx.lead), t.at(cx.lead ^ 1));
            if let Err(p) = in_the_way(cx, dirs, &t.name, t.rel.as_bytes(), why) {
                return p;
            }
        }
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, step: Step) -> Sys<u64> {
        let leg = cx.leg(step);
        let (a, b) = (cx.name(0), cx.name(1));
        if self.kind != IntentKind::Link {
            let mv = |flags| {
                sys::renameat2(a.at(leg), &a.name, b.at(leg), &b.name, flags).map(|v| v as u64)
            };
            // What only the second leg has is not replaced.
            if step == Step::Second && self.kind == IntentKind::Rename && !self.replaces {
                match mv(self.flags | 1) {
                    // A file system that does not know the flag.
                    Err(Errno::EINVAL) => {}
                    r => return r,
                }
            }
            return mv(self.flags);
        }
        match self.nameless {
            None => sys::linkat(a.at(leg), &a.name, b.at(leg), &b.name, 0),
            Some(n) => {
                let n = if step == Step::First {
                    n
                } else {
                    n.saturating_add(K)
                };
                let mut p = Path::new();
                sys::fd_text(n, &mut p);
                sys::linkat(c::AT_FDCWD, &p, b.at(leg), &b.name, c::AT_SYMLINK_FOLLOW)
            }
        }
        .map(|v| v as u64)
    }
    fn undo(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        let leg = cx.lead;
        let (a, b) = (cx.name(0), cx.name(1));
        match self.kind {
            IntentKind::Link => sys::unlinkat(b.at(leg), &b.name, 0).map(|_| ()),
            IntentKind::Exchange => {
                sys::renameat2(a.at(leg), &a.name, b.at(leg), &b.name, 2).map(|_| ())
            }
            // Only a rename that replaced nothing can be taken back.
            _ if self.replaces => Err(Errno::EIO),
            _ => sys::renameat2(b.at(leg), &b.name, a.at(leg), &a.name, 1).map(|_| ()),
        }
    }
    fn heal(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        // The second leg lacks the old name or has another victim: the two names decide.
        let from = cx.lead;
        crate::heal::equal(cx.s, from, cx.name(1).rel.as_bytes())?;
        if self.nameless.is_some() {
            Ok(())
        } else {
            crate::heal::equal(cx.s, from, cx.name(0).rel.as_bytes())
        }
    }
}

/// Two names.
#[inline(never)]
pub fn two(regs: &mut Regs) -> usize {
    let cwd = c::AT_FDCWD;
    let (a0, a1, a2, a3, a4) = (
        arg(regs, 0),
        arg(regs, 1),
        arg(regs, 2),
        arg(regs, 3),
        arg(regs, 4),
    );
    let (d1, p1, d2, p2, flags, is_link) = match regs.nr as i64 {
        c::SYS_rename => (cwd, a0, cwd, a1, 0, false),
        c::SYS_renameat => (a0 as i32, a1, a2 as i32, a3, 0, false),
        c::SYS_renameat2 => (a0 as i32, a1, a2 as i32, a3, a4, false),
        c::SYS_link => (cwd, a0, cwd, a1, 0, true),
        _ => (a0 as i32, a1, a2 as i32, a3, a4, true),
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
    let (mut l1, mut l2) = (Loc::new(), Loc::new());
    let last1 = if follow { Last::Follow } else { Last::Keep };
    if copy_path(p1, &mut t1).is_none() {
        return NATIVE;
    }
    let mut nameless = None;
    let mut from = if is_link && flags & c::AT_EMPTY_PATH as usize != 0 && t1.is_empty() {
        nameless = Some(d1);
        crate::resolve::named(d1, &mut l1)
    } else {
        if follow {
            nameless = proc_fd(t1.as_bytes());
        }
        crate::resolve::locate(d1, &t1, last1, &mut l1)
    };
    let Some(mut to) = locate_arg(d2, p2, Last::Keep, &mut t2, &mut l2) else {
        return NATIVE;
    };
    if SYMLINKED.load(Ordering::Relaxed) {
        quick::forget_proofs();
    }
    let nothing = |t: &Path| matches!(split(t.as_bytes()).1, b"" | b"." | b"..");
    if nothing(&t2) || (nothing(&t1) && nameless.is_none()) {
        // ENOENT, EBUSY, EPERM…: the kernel refuses it.
        return NATIVE;
    }
    for _ in 0..super::TRIES {
        if from == Place::Control || to == Place::Control {
            return fail(regs, Errno::ENOENT);
        }
        if let (Place::Fail(e), _) | (_, Place::Fail(e)) = (from, to) {
            return fail(regs, e);
        }
        let root = |p| matches!(p, Place::Root(_));
        if root(from) || root(to) {
            // A directory cannot be linked and a root cannot be moved or replaced.
            let e = if is_link && root(from) {
                Errno::EPERM
            } else if is_link {
                Errno::EEXIST
            } else {
                Errno::EBUSY
            };
            return fail(regs, e);
        }
        if !matches!(from, Place::Nameless | Place::Linked) {
            nameless = None;
        }
        match (from, to) {
            (Place::Out, Place::Out) => return NATIVE,
            (Place::In, Place::In) if l1.pair == l2.pair => {}
            (Place::Nameless | Place::Linked, Place::In)
                if nameless
                    .is_some_and(|n| sys::fcntl(n.saturating_add(K), c::F_GETFD, 0).is_ok()) => {}
            // As between two mounts.
            _ => {
                let old = if t1.is_empty() {
                    Ok(())
                } else {
                    sys::fstatat(d1, &t1, c::AT_SYMLINK_NOFOLLOW).map(|_| ())
                };
                return answer(regs, Err(old.err().unwrap_or(Errno::EXDEV)));
            }
        }
        let mut a = Target::new(&l1);
        if nameless.is_some() {
            a.rel.truncate(0);
        }
        let mut b = Target::new(&l2);
        if !is_link && flags & 4 != 0 {
            // RENAME_WHITEOUT is overlayfs's; a kill in it could not be told from "not done".
            return fail(regs, Errno::EINVAL);
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
            follow,
            replaces: false,
        };
        let lead = if nameless.is_some() {
            nameless_leg(nameless, l2.leg)
        } else {
            l1.leg
        };
        match run(
            l2.pair,
            lead,
            [Some(&mut a), Some(&mut b)],
            kind,
            &mut change,
            Action::Call {
                undo: Undo::Possible,
            },
            Patience::Wait,
        ) {
            Ran::Slow => {
                if nameless.is_none() {
                    from = locate_slow(d1, &t1, last1, &mut l1);
                }
                to = locate_slow(d2, &t2, Last::Keep, &mut l2);
            }
            r => return verdict(regs, r),
        }
    }
    fail(regs, Errno::ELOOP)
}

fn nameless_leg(n: Option<i32>, or: usize) -> usize {
    n.and_then(crate::state::info)
        .map_or(or, |i| usize::from(i.leg.load(Ordering::Relaxed)))
}

/// N of "/proc/self/fd/N" or "/dev/fd/N".
fn proc_fd(t: &[u8]) -> Option<i32> {
    let d = t
        .strip_prefix(b"/proc/self/fd/")
        .or_else(|| t.strip_prefix(b"/dev/fd/"))?;
    if d.is_empty() || d.len() > 7 {
        return None;
    }
    d.iter().try_fold(0i32, |n, b| {
        b.is_ascii_digit().then(|| {
            n.wrapping_mul(10)
                .wrapping_add(i32::from(b.wrapping_sub(b'0')))
        })
    })
}
