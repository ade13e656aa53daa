//! Opening for change: both legs are opened under the locks, the partner becomes n + K.
//!
//! Rules: nothing that can block for long is opened here (a fifo, a device: the kernel gets the
//! program's call); data files are opened only to become n or n + K.
use crate::attach::again;
use crate::calls::open::flags::TMPFILE;
use crate::calls::open::sticky::may_create_over;
use crate::calls::paired::partner::{install, note, owes_time};
use crate::change::deep::NOWHERE;
use crate::change::pairing::in_the_way;
use crate::change::target::{Change, Cx};
use crate::change::{lone, lost};
use crate::path::loc::Path;
use crate::process::actor::maybe_guest;
use crate::process::fds::{PAIRED, hint, info};
use crate::process::limits::spare;
use libc as c;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_core::{Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

pub mod ahead;
pub mod entry;
mod given;
pub mod how;

/// Nothing may be there.
const EXCLUSIVE: i32 = c::O_CREAT | c::O_EXCL;

/// Of the class that is undone; the program gets EPERM.
const REFUSED: Errno = Errno::EOPNOTSUPP;

struct Open {
    flags: i32,
    mode: u32,
    /// The text ended with '/': with O_TMPFILE it is followed then, whatever the flags say.
    slash: bool,
    fd: PerLeg<i32>,
    found: Option<Stat>,
    made: bool,
    stat: PerLeg<Option<Stat>>,
    /// The second leg's file was made here.
    second: bool,
    /// The number whose partner the second leg's file is already, or -1.
    slot: i32,
    /// Nothing may be there, and whether that is so, the open itself finds out. What it meets is looked at, and
    /// compared, when the name is looked for again.
    blind: bool,
    /// O_TRUNC: the second leg's file must be made equal first; then both are emptied.
    later: bool,
    /// The second leg does not permit it.
    refused: bool,
    /// O_TRUNC: the first leg's file has been emptied.
    emptied: bool,
    /// The partner is installed and noted.
    ready: core::cell::Cell<bool>,
    /// It is the kernel's own, behind a mount point.
    kernels: core::cell::Cell<bool>,
}

impl Open {
    fn tmpfile(&self) -> bool {
        self.flags & TMPFILE == TMPFILE
    }
    fn open_at(&self, cx: &Cx<'_>, leg: Leg, flags: i32) -> Sys<i32> {
        let (root, path) = cx.spot(0, leg);
        let makes = flags & c::O_CREAT != 0 || self.tmpfile();
        let mode = if makes { self.mode & 0o7777 } else { 0 };
        let mut rel = Path::new();
        let _ = rel.set(if path.is_empty() {
            b"."
        } else {
            path.as_bytes()
        });
        if self.slash && self.tmpfile() {
            let _ = rel.push(b".");
        }
        let mut resolve = sys::BENEATH_HERE;
        loop {
            let open = || sys::openat2(root, &rel, flags, mode, resolve);
            // The first leg's number is the program's own.
            match if leg == cx.lead { open() } else { spare(open) } {
                Err(Errno::EAGAIN) => {}
                Err(Errno::EXDEV) if resolve != sys::BENEATH => {
                    self.border(cx)?;
                    resolve = sys::BENEATH;
                }
                r => return r,
            }
        }
    }
}

impl Open {
    /// Notes the new pair of descriptors, with TX held: whoever exits next must know what it owes.
    fn remember(&self, cx: &Cx<'_>, n: i32, held: &BothLocked) {
        let ino = |leg: Leg| {
            let st = self.stat[leg];
            st.map_or(0, |s| s.ino())
        };
        let rel: &[u8] = if self.tmpfile() {
            b""
        } else {
            cx.name(0).text()
        };
        note(n, cx.s.pair, cx.lead, PerLeg::by(ino), rel);
        if let Some(i) = info(n).filter(|_| hint(n) == PAIRED && !maybe_guest()) {
            i.set_alone(self.flags & c::O_APPEND != 0);
        }
        if self.made || self.tmpfile() || self.flags & c::O_TRUNC != 0 {
            owes_time(n, held);
        }
        self.ready.set(true);
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
            Some(st) if self.flags & c::O_TRUNC != 0 && cx.lead == Leg::A => cx.file(st.ino()),
            Some(_) if self.flags & c::O_TRUNC != 0 => cx
                .stat(0, Leg::A)
                .map_or(LockPlan::EMPTY, |st| cx.file(st.ino())),
            _ => LockPlan::EMPTY,
        }
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        (self.found, self.made, self.fd, self.stat) = (None, false, NOWHERE, PerLeg::default());
        (self.second, self.slot, self.later, self.emptied) = (false, -1, false, false);
        self.refused = false;
        if let Err(p) = cx.anchored(0) {
            return p;
        }
        cx.park(0);
        if self.tmpfile() {
            return Prepared::Ready;
        }
        self.blind &= !cx.exclusive && cx.still(0, Err(Errno::ENOENT)).is_ok();
        let found = match self.blind {
            true => Err(Errno::ENOENT),
            false => cx.look(0, cx.lead),
        };
        if let Err(p) = self.compared(cx, held, &found) {
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
                c::S_IFLNK => Prepared::Unresolved,
                c::S_IFDIR => Prepared::Answer(Err(Errno::EISDIR)),
                // A fifo, a socket, a device: no business of ours. The kernel gets the call without O_CREAT.
                _ if self.flags & c::O_CREAT != 0 && !may_create_over(cx, &st) => {
                    Prepared::Answer(Err(Errno::EACCES))
                }
                _ => Prepared::Forward,
            },
            Err(Errno::ENOENT) if self.flags & c::O_CREAT != 0 => {
                self.made = true;
                let why = match self.flags & c::O_EXCL {
                    0 => Errno::EIO,
                    _ => Errno::EEXIST,
                };
                let (first, rel) = cx.spot(0, cx.lead);
                let second = cx.spot(0, cx.lead.other()).0;
                match in_the_way(cx, held, (first, second), rel, 0, why) {
                    Ok(()) => Prepared::Ready,
                    Err(p) => p,
                }
            }
            Err(e) => Prepared::Answer(Err(e)),
        }
    }

    // long: the two legs of one open side by side
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        let leg = cx.leg(step);
        if step == Step::First && self.found.is_some() && self.flags & c::O_TRUNC != 0 {
            // What the undo goes by: the file's lock was taken after it was found.
            let st = cx.look(0, leg)?;
            if st.kind() != c::S_IFREG {
                return Err(Refused::Unresolved);
            }
            self.found = Some(st);
        }
        let writes = self.flags & (c::O_ACCMODE | c::O_TRUNC) != 0;
        if step == Step::First && self.found.is_some() && writes && !cx.alone {
            self.reserve(cx)?;
        }
        let exclusive = if self.made { c::O_CREAT | c::O_EXCL } else { 0 };
        let base = if self.tmpfile() {
            self.flags
        } else {
            // O_CREAT stays: with it the kernel protects files in sticky directories.
            self.flags & !c::O_EXCL | exclusive
        };
        let n = if step == Step::First {
            let now = if self.later { base & !c::O_TRUNC } else { base };
            let r = self.open_at(cx, leg, now);
            if r.is_err() {
                self.release();
            }
            match r {
                Err(Errno::ELOOP | Errno::EXDEV) => return Err(Refused::Unresolved),
                Err(Errno::EEXIST) if self.blind => return Err(Refused::Unresolved),
                Err(Errno::EINVAL) if self.made && self.flags & c::O_DIRECT != 0 => {
                    self.made_in_vain(cx, held);
                    return Err(Errno::EINVAL.into());
                }
                r => r?,
            }
        } else if self.slot >= 0 {
            self.slot.saturating_add(K)
        } else {
            // Without O_APPEND pwrite goes where it is told; readable, so that a refused write can be
            // undone and so that nothing needs another descriptor.
            match self.open_second(cx, base) {
                // Immutable or append-only there: nothing that repair could mend.
                Err(Errno::EPERM) if !self.made && !self.tmpfile() => {
                    self.refused = true;
                    return Err(REFUSED.into());
                }
                r => r?,
            }
        };
        self.fd[leg] = n;
        // The second leg's was looked at when it was opened.
        if step == Step::First {
            self.stat[leg] = self.found.or_else(|| sys::fglance(n).ok());
        }
        if step == Step::First && self.tmpfile() && !maybe_guest() {
            again::made_nameless(cx.s, n, cx.alone);
        }
        if step == Step::First {
            self.emptied = self.found.is_some() && self.flags & c::O_TRUNC != 0 && !self.later;
            return Ok(n as u64);
        }
        // Another thread may have changed the umask in between.
        if let (true, Some(a), Some(b)) = (self.made || self.tmpfile(), self.stat.a, self.stat.b)
            && a.mode() != b.mode()
        {
            let mode = self.stat[leg.other()];
            let _ = sys::fchmod(n, mode.map_or(0, |s| s.mode()) & 0o7777);
        }
        let first = self.fd[leg.other()];
        if self.slot < 0 || self.slot != first {
            let r = install(n, first, self.flags & c::O_CLOEXEC);
            let _ = sys::close(n);
            r?;
        }
        self.slot = first;
        if self.later {
            self.empty_first(first, held)?;
        }
        if self.emptied {
            sys::ftruncate(first.saturating_add(K), 0)?;
        }
        self.remember(cx, first, held);
        Ok(0)
    }
    fn begun(&self) -> bool {
        self.second
    }

    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        lone::first(self, cx, held)
    }
    fn undo(&mut self, cx: &mut Cx<'_>, _: &BothLocked, source: Option<&Untouched<'_>>) -> Sys<()> {
        if self.emptied {
            self.not_emptied(cx, source)?;
        }
        if self.second && !self.tmpfile() {
            let (from, rel) = cx.spot(0, cx.lead.other());
            sys::unlinkat(from, rel, 0)?;
            self.second = false;
        }
        self.release();
        if self.made {
            let (from, rel) = cx.spot(0, cx.lead);
            sys::unlinkat(from, rel, 0)?;
        }
        let n = self.fd[cx.lead];
        sys::close(n)?;
        self.fd = NOWHERE;
        Ok(())
    }

    fn heal(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Sys<()> {
        if cx.enter(0, held).is_err() {
            return Err(Errno::EIO);
        }
        crate::repair::heal::equal(cx.s, cx.lead, cx.name(0).text(), held)?;
        // Now it is there; it was made or truncated with the copy.
        self.flags &= !(c::O_EXCL | c::O_CREAT);
        if !self.later {
            self.flags &= !c::O_TRUNC;
        }
        self.made = false;
        self.apply(cx, held, Step::Second).map_err(Refused::errno)?;
        Ok(())
    }
    fn unmended(&mut self, cx: &mut Cx<'_>, why: Errno, held: &BothLocked) {
        if lost::not_healed(cx, why, held) && self.later && !self.emptied {
            // Leg a's alone, under its locks. What fails is told by `opened`.
            let _ = self.empty_first(self.fd[cx.lead], held);
        }
    }
}
