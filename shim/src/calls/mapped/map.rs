//! mmap of a file of a pair, shared, by a descriptor that may write.
use crate::calls::args::TRIES;
use crate::calls::data::write::place;
use crate::calls::mapped::table::{self, Piece};
use crate::calls::mapped::{carry, hooks, marks};
use crate::calls::paired::pair_up::paired;
use crate::change::job::Job;
use crate::change::lone::Shown;
use crate::change::number::describe;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::process::{actor, fds};
use crate::regs::{Regs, WAIT, answer, arg, copy_of, fd_arg, raw};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, Leg, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::Sys;

const PAGE: usize = 4096;

struct Map<'a> {
    n: i32,
    regs: &'a Regs,
    /// It cannot be mirrored; nothing was done.
    cannot: bool,
}

/// What became of a mapping.
pub enum Did {
    /// The answer for the program is in the registers.
    This(usize),
    /// It cannot be mirrored.
    Cannot,
}

/// A mapping that is, or can be made, writable.
#[inline(never)]
pub fn map(regs: &mut Regs) -> Did {
    let n = fd_arg(regs, 4);
    let shares = crate::attach::session::SHARED_FILES.load(Ordering::Relaxed)
        || actor::SPLIT.load(Ordering::Relaxed);
    if actor::guest() || shares || arg(regs, 3) & c::MAP_HUGETLB as usize != 0 {
        return Did::Cannot;
    }
    for _ in 0..TRIES {
        if let Some(did) = tried(regs, n) {
            return did;
        }
    }
    Did::Cannot
}

/// `None`: the number is another's now.
fn tried(regs: &mut Regs, n: i32) -> Option<Did> {
    let mut ask = copy_of(regs);
    if let Some(v) = paired(&mut ask, n) {
        return Some(match v {
            WAIT => Did::This(WAIT),
            _ => Did::Cannot,
        });
    }
    let (pair, leg) = place(n);
    // What the other tree's own name leads to has its source there.
    if leg != Leg::A {
        return Some(Did::Cannot);
    }
    let copy = copy_of(regs);
    let mut change = Map {
        n,
        regs: &copy,
        cannot: false,
    };
    let job = Job::on((pair, leg), IntentKind::Write);
    let ran = run(job, [None, None], &mut change);
    let cannot = change.cannot;
    hooks::settle_gone();
    match ran {
        Ran::Unresolved => None,
        Ran::Wait => Some(Did::This(WAIT)),
        Ran::Done(r) | Ran::Lone(r) if !cannot => Some(Did::This(answer(regs, r))),
        _ => Some(Did::Cannot),
    }
}

impl Map<'_> {
    fn range(&self) -> Option<(usize, usize)> {
        let [_, len, .., offset] = self.regs.args;
        let len = len.checked_next_multiple_of(PAGE).filter(|l| *l != 0)?;
        let end = offset.checked_add(len)?;
        (offset % PAGE == 0 && end <= isize::MAX as usize).then_some((offset, end))
    }

    fn make(&mut self, cx: &Cx<'_>, held: &BothLocked) -> Sys<u64> {
        let Some((from, to)) = self.range() else {
            // The kernel's to refuse.
            return raw(self.regs);
        };
        self.cannot = true;
        if !table::has_room(3) {
            return Err(Errno::ENOMEM);
        }
        let st = sys::fstat(self.n)?;
        let twin = sys::fstat(self.n.saturating_add(K))?;
        let known = table::find(cx.s.pair, st.ino(), st.dev()).map(|(nth, _)| nth);
        let nth = match known {
            Some(nth) => {
                table::renew(nth, cx.s)?;
                table::reach(nth, to)?;
                nth
            }
            None => {
                let mut buf = [0u8; 232];
                let path = fds::info(self.n).map_or(&[][..], |i| i.path(&mut buf));
                let id = (st.ino(), st.dev(), twin.ino());
                table::take((self.n, cx.s.pair, cx.s.epoch), id, to, path)?
            }
        };
        let r = self.in_place(nth, cx, (from, to), held);
        if r.is_err() && known.is_none() && table::file(nth).is_some_and(|f| f.entry().is_none()) {
            table::give_back(nth);
        }
        r
    }

    /// With leg b away: the program's call, after that stores may come is noted, also if they cannot yet: the range is
    /// not remembered, since nobody carries it over.
    fn on_a_alone(&mut self, cx: &Cx<'_>, held: &BothLocked) -> Sys<u64> {
        self.cannot = true;
        let Some((from, to)) = self.range() else {
            self.cannot = false;
            return raw(self.regs);
        };
        marks::note_alone(cx.s, held)?;
        self.cannot = false;
        let at = raw(self.regs)?;
        let start = at as usize;
        table::remove(start, start.saturating_add(to.saturating_sub(from)));
        Ok(at)
    }

    /// Announces it, if stores can come, and makes the program's call.
    fn in_place(
        &mut self,
        nth: usize,
        cx: &Cx<'_>,
        (from, to): (usize, usize),
        held: &BothLocked,
    ) -> Sys<u64> {
        if arg(self.regs, 2) & c::PROT_WRITE as usize != 0 {
            carry::enter(nth, cx, (from as u64, to as u64), held)?;
        }
        self.cannot = false;
        let at = raw(self.regs)?;
        let start = at as usize;
        let end = start.saturating_add(to.saturating_sub(from));
        table::remove(start, end);
        table::add(Piece {
            start,
            end,
            offset: from,
            file: nth,
        });
        Ok(at)
    }
}

impl Change for Map<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.file_of(self.n)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        describe(self.n, cx).map_or_else(|p| p, |()| Prepared::Ready)
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::Second {
            return Ok(0);
        }
        self.make(cx, held).map_err(Refused::Whole)
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        match Shown::data(self.n, cx, held) {
            Ok(_) => Lone::Done(self.on_a_alone(cx, held)),
            Err(lone) => lone,
        }
    }
    fn undo(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        Ok(())
    }
}
