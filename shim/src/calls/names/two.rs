//! Two names: rename, link (op classes *entry* and *rename*).
use crate::change::lone::{self, Shown};
use crate::change::number::describe;
use crate::change::pairing::{in_the_way, nothing_beside};
use crate::change::target::{Change, Cx};
use crate::change::times;
use crate::path::loc::Path;
use crate::process::{actor, fds};
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

pub mod entry;
mod sooner;

/// The last rename was a directory's: the next one is planned as one. A hint whose wrong value keeps others out for
/// nothing, or costs a run in vain.
static MOVES: AtomicBool = AtomicBool::new(false);

struct Two {
    kind: IntentKind,
    flags: u32,
    /// linkat of a file without a known name: its descriptor, and whether n + K is its partner.
    nameless: Option<(i32, bool)>,
    /// linkat through a symlink.
    follow: bool,
    /// One name is by leg a's path, the other by leg b's.
    across: bool,
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
    /// The same as a guess, before anything is locked: like the last one.
    fn begins_exclusive(&self) -> bool {
        self.kind != IntentKind::Link && MOVES.load(Ordering::Relaxed)
    }
}

/// The file behind `n` has a name by now.
fn named(n: i32, rel: &[u8]) {
    if fds::hint(n) == fds::PAIRED
        && !actor::maybe_guest()
        && let Some(i) = fds::info(n)
    {
        i.set_path(rel);
    }
}

/// Whether a process has the file of a descriptor without a partner mapped: it would store on into another file of
/// the second leg.
fn mapped_elsewhere(cx: &Cx<'_>, n: i32) -> bool {
    sys::fstat(n).is_ok_and(|st| cx.s.runtime().mapped_file(st.ino()).is_some())
}

impl Change for Two {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        if self.nameless.is_some() {
            return cx.parent(1);
        }
        if self.begins_exclusive() {
            return Err(Prepared::Exclusive);
        }
        let old = cx.parent(0)?;
        match cx.parent(1) {
            Ok(new) => Ok(old.union(new)),
            Err(p) => Err(self.sooner(cx, p)),
        }
    }
    // long: what is asked of two names, in the kernel's order
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        if let Some((n, true)) = self.nameless
            && let Err(p) = describe(n, cx)
        {
            return p;
        }
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
        if let Some((n, false)) = self.nameless {
            // A copy is made as by repair.
            if !cx.exclusive && !cx.alone {
                return Prepared::Exclusive;
            }
            if !cx.alone && mapped_elsewhere(cx, n) {
                return Prepared::Answer(Err(Errno::EXDEV));
            }
        }
        if self.kind != IntentKind::Link && (!cx.exclusive || MOVES.load(Ordering::Relaxed)) {
            let dir = self.moves_directory(cx, &old);
            MOVES.store(dir, Ordering::Relaxed);
            if dir && !cx.exclusive {
                return Prepared::Exclusive;
            }
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
                if step == Step::First && !cx.alone {
                    // Before it has a name: whoever is killed afterwards has left equal times.
                    let _ = times::copy(n, n.saturating_add(K), sys::OMIT, held);
                }
                let from = n;
                let n = if step == Step::First {
                    n
                } else {
                    n.saturating_add(K)
                };
                let mut p = Path::new();
                sys::fd_text(n, &mut p);
                let r = sys::linkat(c::AT_FDCWD, &p, b.at(leg), &b.name, c::AT_SYMLINK_FOLLOW);
                if r.is_ok() && step == Step::Second {
                    named(from, b.text());
                }
                r
            }
        };
        Ok(r? as u64)
    }
    fn begun(&self) -> bool {
        matches!(self.nameless, Some((_, false)))
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        if self.across {
            return lone::refuse(cx);
        }
        if let Some((n, _)) = self.nameless
            && let Err(lone) = Shown::object(n, cx, held)
        {
            return lone;
        }
        lone::first(self, cx, held)
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
