//! Opening an open file anew through /proc/self/fd/N: both legs' objects are at hand as n and n + K, so
//! no name is needed, and it does not matter whether one is left.
use crate::attach::session;
use crate::calls::args::verdict;
use crate::calls::paired::partner::{install, note, open_writable, owes_time};
use crate::change::job::Job;
use crate::change::lone::{self, Shown};
use crate::change::lost;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::path::loc::{Loc, Path};
use crate::process::fds;
use crate::process::limits::spare;
use crate::regs::{Regs, answer, fail};
use crate::repair::privileges;
use libc as c;
use mirror_core::PerLeg;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

struct Reopen {
    /// The descriptor whose file is opened anew.
    n: i32,
    /// Device and inode number that it had when the path was followed.
    object: (u64, u64),
    flags: i32,
    first: i32,
    /// The number whose partner the second leg's file is already, or −1.
    slot: i32,
    before: Option<Stat>,
}

impl Reopen {
    fn truncates(&self) -> bool {
        self.flags & c::O_TRUNC != 0
    }
    /// The second leg's file, opened as that of every open: see `open`. Never emptied by its open.
    fn open_second(&self) -> Sys<i32> {
        let m = self.n.saturating_add(K);
        open_writable(self.flags, |flags| spare(|| through(m, flags)))
    }
    /// Before O_TRUNC empties the first leg's file: the second's is opened, and becomes the partner of the number
    /// that the program is about to get. What may be refused is known then.
    fn reserve(&mut self) -> Sys<()> {
        match self.open_second() {
            Ok(m) => {
                let r = install(m, m, self.flags & c::O_CLOEXEC);
                let _ = sys::close(m);
                r?;
                self.slot = m;
                Ok(())
            }
            Err(e) => {
                // The first leg's own refusal goes first.
                let n = through(self.n, self.flags & !c::O_TRUNC)?;
                let _ = sys::close(n);
                Err(e)
            }
        }
    }
    fn release(&mut self) {
        if self.slot >= 0 {
            let _ = sys::close(self.slot.saturating_add(K));
            self.slot = -1;
        }
    }
}

fn through(n: i32, flags: i32) -> Sys<i32> {
    let mut p = Path::new();
    sys::fd_text(n, &mut p);
    sys::openat(c::AT_FDCWD, &p, flags, 0)
}

impl Change for Reopen {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.file_of(self.n)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        if let Err(p) = crate::change::number::describe(self.n, cx) {
            return p;
        }
        if cx.exclusive {
            cx.settle_descriptor(self.n, held);
        }
        match sys::fstat(self.n) {
            Ok(st) if (st.dev(), st.ino()) == self.object => {
                let partner = sys::fglance(self.n.saturating_add(K));
                if partner.is_ok_and(|t| !cx.fit(&st, &t)) {
                    return Prepared::Exclusive;
                }
                cx.intent.old_size = st.size();
                self.before = Some(st);
                Prepared::Ready
            }
            // The number is another file's by now.
            _ => Prepared::Unresolved,
        }
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::First {
            if self.truncates() && !cx.alone {
                self.reserve()?;
            }
            let r = through(self.n, self.flags);
            if r.is_err() {
                self.release();
            }
            self.first = r?;
            return Ok(self.first as u64);
        }
        let m = match self.slot {
            0.. => self.slot.saturating_add(K),
            _ => self.open_second()?,
        };
        if self.slot < 0 || self.slot != self.first {
            self.slot = -1;
            let r = install(m, self.first, self.flags & c::O_CLOEXEC);
            let _ = sys::close(m);
            r?;
        }
        self.slot = self.first;
        let m = self.first.saturating_add(K);
        if self.truncates() {
            // Last: until both files are empty, the second leg's says what the first leg's was.
            sys::ftruncate(m, 0)?;
        }
        let mut ino = PerLeg::<u64>::default();
        for (leg, n) in [(cx.lead, self.first), (cx.lead.other(), m)] {
            if let Ok(st) = sys::fglance(n) {
                ino[leg] = st.ino();
            }
        }
        let mut buf = [0u8; 232];
        let rel = fds::info(self.n)
            .filter(|_| fds::hint(self.n) == fds::PAIRED)
            .map_or(&[][..], |i| i.path(&mut buf));
        note(self.first, cx.s.pair, cx.lead, ino, rel);
        if self.truncates() {
            owes_time(self.first, held);
        }
        Ok(0)
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        match Shown::data(self.n, cx, held) {
            Ok(_) => lone::first(self, cx, held),
            Err(lone) => lone,
        }
    }
    fn undo(&mut self, cx: &mut Cx<'_>, _: &BothLocked, source: Option<&Untouched<'_>>) -> Sys<()> {
        if self.truncates() {
            let empty = self.before.filter(|st| st.size() == 0);
            let empty = empty.ok_or(Errno::EIO)?;
            privileges::emptied_back((cx.s, cx.paths().0), self.n, &empty, source);
        }
        self.release();
        sys::close(self.first).map(|_| ())
    }
    fn heal(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Sys<()> {
        // The name that is on record may be another file's.
        Err(Errno::EIO)
    }
    fn unmended(&mut self, cx: &mut Cx<'_>, why: Errno, held: &BothLocked) {
        let _ = lost::not_healed(cx, why, held);
    }
}

/// Opens what descriptor `n`, which has a partner, is open on. `None`: the number is another file's now.
#[inline(never)]
pub fn reopen(regs: &mut Regs, n: i32, flags: i32, loc: &Loc) -> Option<usize> {
    let mut change = Reopen {
        n,
        object: loc.jump.map_or((0, 0), |j| j.object),
        flags,
        first: -1,
        slot: -1,
        before: None,
    };
    let kind = if change.truncates() {
        IntentKind::Truncate
    } else {
        IntentKind::Attributes
    };
    let job = Job::at(loc, kind);
    let ran = run(job, [None, None], &mut change);
    Some(match ran {
        Ran::Unresolved => return None,
        Ran::Done(Ok(n)) => {
            let n = n as i32;
            // What was let go since is found anew, and what is on its way back gets its partner before it is changed.
            let of_a = loc.leg == mirror_core::Leg::A;
            let away = of_a && (session::is_alone(loc.pair) || session::is_joining(loc.pair));
            if change.slot == n || away {
                answer(regs, Ok(n as u64))
            } else {
                // Never hand out a descriptor whose changes would reach one leg only.
                let _ = sys::close(n);
                fail(regs, Errno::EIO)
            }
        }
        r => verdict(regs, r),
    })
}
