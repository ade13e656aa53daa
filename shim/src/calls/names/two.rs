//! Two names: rename, link (op classes *entry* and *rename*).
use crate::calls::mapped::table;
use crate::change::lone::{self, Shown};
use crate::change::number::describe;
use crate::change::pairing::{in_the_way, nothing_beside};
use crate::change::target::{Change, Cx};
use crate::change::times;
use crate::path::loc::Path;
use crate::process::{actor, fds};
use crate::repair::both::REPAIR_MAX;
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Leg;
use mirror_core::View;
use mirror_core::mapped::{Mapped, PATH_ROOM};
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

/// The entry of the file behind a descriptor, if somebody has it mapped.
fn mapped(cx: &Cx<'_>, n: i32) -> Option<(usize, Mapped)> {
    let st = sys::fstat(n).ok()?;
    let found = cx.s.runtime().mapped_file(st.ino());
    found.filter(|(_, m)| m.device == st.dev())
}

/// Whether a process has the file of a descriptor without a partner mapped, and a part of its own on the second leg: it
/// would store on into that.
fn mapped_elsewhere(cx: &Cx<'_>, n: i32) -> bool {
    let Some((_, m)) = mapped(cx, n) else {
        return false;
    };
    let own = table::find(cx.s.pair, m.inode, m.device);
    let stale = own.is_some_and(|(_, f)| !f.has_part(cx.s.epoch));
    // Who is to find it by its name must be told that.
    m.other != 0 && !stale || cx.name(1).text().len() > PATH_ROOM
}

/// Whether the file is mapped by who has no part of it on the second leg.
fn lacks(cx: &Cx<'_>, n: i32) -> bool {
    mapped(cx, n).is_some_and(|(_, m)| m.other == 0)
}

/// Whether a copy can be made under the locks: it is not too large, and a path leads to its name.
fn is_copied(cx: &Cx<'_>, n: i32) -> bool {
    let small = sys::fstat(n).is_ok_and(|st| st.size() <= REPAIR_MAX);
    small && !cx.name(1).text().is_empty()
}

/// Who has the file mapped finds it by its name from now on. `second`: the second leg has it too.
fn tell(cx: &Cx<'_>, n: i32, second: bool, _: &BothLocked) {
    let (Some((nth, m)), View::Own(rt)) = (mapped(cx, n), cx.s.runtime()) else {
        return;
    };
    let b = cx.name(1);
    let there = || sys::glance(b.at(cx.lead.other()), &b.name, c::AT_SYMLINK_NOFOLLOW);
    let other = match second {
        true => there().map_or(0, |st| st.ino()),
        false => m.other,
    };
    if let Some(e) = rt.mapped.entries.get(nth) {
        e.name(other, b.text());
    }
}

impl Change for Two {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        if let Some((n, paired)) = self.nameless {
            let dir = cx.parent(1)?;
            // Who has it mapped enters it, and leaves, under its own lock.
            return match (paired, cx.lead) {
                (false, Leg::B) => Ok(dir),
                _ => Ok(dir.union(cx.file_of(n)?)),
            };
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
        } else if let Some((n, true)) = self.nameless
            && !cx.exclusive
            && !cx.alone
            && lacks(cx, n)
        {
            // What was stored is copied.
            return Prepared::Exclusive;
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
        // A file without a name that got one, and lost it, never gets another.
        if let Some((n, paired)) = self.nameless
            && !cx.alone
            && (!paired || lacks(cx, n))
            && !is_copied(cx, n)
        {
            return Prepared::Answer(Err(Errno::EXDEV));
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
                if let (Ok(()), Some((n, _))) = (r, self.nameless) {
                    tell(cx, n, true, held);
                }
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
                let mut r = sys::linkat(c::AT_FDCWD, &p, b.at(leg), &b.name, c::AT_SYMLINK_FOLLOW);
                if r.is_ok() && step == Step::Second {
                    if lacks(cx, from) {
                        let copied = crate::repair::heal::equal(cx.s, cx.lead, b.text(), held);
                        r = copied.and(r);
                    }
                    if r.is_ok() {
                        named(from, b.text());
                    }
                }
                if r.is_ok() {
                    tell(cx, from, step == Step::Second, held);
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
