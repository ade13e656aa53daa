//! mmap of a file of a pair, shared, by a descriptor that may write.
use crate::attach::again;
use crate::calls::data::write::place;
use crate::calls::mapped::table::{self, Piece};
use crate::calls::mapped::{carry, hooks, marks};
use crate::calls::paired::pair_up::paired;
use crate::change::job::Job;
use crate::change::lone::Shown;
use crate::change::lost;
use crate::change::number::{by_path, describe};
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::process::{actor, fds};
use crate::regs::{NATIVE, Regs, WAIT, answer, arg, copy_of, fd_arg, raw};
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
    /// It has no name, and leg b no part of it.
    nameless: bool,
}

/// What became of a mapping.
pub enum Did {
    /// The answer for the program is in the registers.
    This(usize),
    /// It cannot be mirrored.
    Cannot,
    /// What the number is has changed meanwhile: it is looked at anew.
    Again,
}

/// Whether this process can have mappings at all.
fn may(regs: &Regs) -> bool {
    let shares = crate::attach::session::SHARED_FILES.load(Ordering::Relaxed)
        || actor::SPLIT.load(Ordering::Relaxed);
    !actor::guest() && !shares && arg(regs, 3) & c::MAP_HUGETLB as usize == 0
}

/// A mapping that is, or can be made, writable.
#[inline(never)]
pub fn map(regs: &mut Regs) -> Did {
    let n = fd_arg(regs, 4);
    if !may(regs) {
        return Did::Cannot;
    }
    let mut ask = copy_of(regs);
    match paired(&mut ask, n) {
        None => {}
        Some(WAIT) => return Did::This(WAIT),
        // It has no name any more, or is another's.
        Some(NATIVE) => return Did::Again,
        Some(_) => return Did::Cannot,
    }
    at(regs, n, place(n), false)
}

/// The same of a file that has no name and no partner: while leg b is away it is like any other. When that has come
/// back, what this process has made before can have no part on leg b, whoever has it open: it gets one with its name. Of
/// others nobody knows that; a leg b on its way back is left behind for them.
pub fn map_nameless(regs: &mut Regs, n: i32, (pair, leg): (usize, Leg)) -> Did {
    if leg != Leg::A || !may(regs) {
        return Did::Cannot;
    }
    match at(regs, n, (pair, leg), true) {
        Did::Cannot if lost::give_up_return(pair, Errno::ENODEV) => at(regs, n, (pair, leg), true),
        did => did,
    }
}

fn at(regs: &mut Regs, n: i32, (pair, leg): (usize, Leg), nameless: bool) -> Did {
    // What the other tree's own name leads to has its source there.
    if leg != Leg::A {
        return Did::Cannot;
    }
    let copy = copy_of(regs);
    let mut change = Map {
        n,
        regs: &copy,
        cannot: false,
        nameless,
    };
    let job = Job::on((pair, leg), IntentKind::Write);
    let ran = run(job, [None, None], &mut change);
    let cannot = change.cannot;
    hooks::settle_gone();
    match ran {
        Ran::Unresolved => Did::Again,
        Ran::Wait => Did::This(WAIT),
        Ran::Done(r) | Ran::Lone(r) if !cannot => Did::This(answer(regs, r)),
        _ => Did::Cannot,
    }
}

impl Map<'_> {
    /// With the file's lock held: nobody gives it a name.
    fn still_nameless(&mut self, cx: &mut Cx<'_>) -> Prepared {
        let found = match (sys::identity_of(self.n), by_path(self.n)) {
            (Ok(id), Some(at)) if at == (cx.s.pair, cx.lead) && id.nlink == 0 => id,
            _ => return Prepared::Unresolved,
        };
        if sys::is_open(self.n.saturating_add(K)) || !again::has_no_part(cx.s, &found) {
            self.cannot = true;
            return Prepared::Answer(Err(Errno::ENODEV));
        }
        cx.intent.inode.a = found.ino;
        Prepared::Ready
    }

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
        let twin = match self.nameless {
            true => 0,
            false => sys::fstat(self.n.saturating_add(K))?.ino(),
        };
        let known = table::find(cx.s.pair, st.ino(), st.dev()).map(|(nth, _)| nth);
        let nth = match known {
            Some(nth) => {
                if !self.nameless {
                    table::renew_by(nth, cx.s, self.n)?;
                }
                table::reach(nth, to)?;
                nth
            }
            None => {
                let mut buf = [0u8; 232];
                let known = fds::info(self.n).filter(|_| !self.nameless);
                let path = known.map_or(&[][..], |i| i.path(&mut buf));
                let id = (st.ino(), st.dev(), twin);
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
        if self.nameless && !cx.alone {
            return self.still_nameless(cx);
        }
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
