//! The size of a descriptor's file, and what is allocated of it: ftruncate, fallocate.
use crate::calls::at_place::on_pair;
use crate::calls::data::write::place;
use crate::calls::data::{aftermath, alloc};
use crate::calls::paired::partner::owes_time;
use crate::change::job::Job;
use crate::change::lone;
use crate::change::number::describe;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::regs::{Regs, copy_of, fd_arg, raw};
use crate::repair::{pending, privileges};
use mirror_core::calls::Call;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{OMIT, Stat, Sys};

struct Resize<'a> {
    n: i32,
    regs: &'a Regs,
    before: Option<Stat>,
}

impl Change for Resize<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.file_of(self.n)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        if let Err(p) = describe(self.n, cx) {
            return p;
        }
        self.before = sys::fstat(self.n).ok();
        let size = self.before.map_or(0, |s| s.size());
        cx.intent.old_size = size;
        if let Some((mode, off, len)) = self.allocation() {
            if !alloc::shifts(mode) {
                // Repair looks at these bytes and the size alone.
                cx.intent.kind = IntentKind::Write;
                let clears = alloc::clears(mode);
                (cx.intent.offset, cx.intent.length) = if clears { (off, len) } else { (size, 0) };
            }
            if alloc::shifts(mode) && cx.is_mapped() {
                // What is stored meanwhile would move on one leg alone.
                return Prepared::Answer(Err(Errno::EOPNOTSUPP));
            }
            let m = self.n.saturating_add(K);
            if let Err(e) = alloc::prepare(self.n, m, mode, off, size) {
                return Prepared::Answer(Err(e));
            }
        }
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::First {
            let r = raw(self.regs);
            if let (Err(e), Some(range)) = (r, self.allocation())
                && aftermath::not_allocated(self.n, e, range, held).is_err()
            {
                pending::pending(cx.s, cx.paths().0);
            }
            return Ok(r?);
        }
        let m = self.n.saturating_add(K);
        let r = match self.allocation() {
            None => match sys::ftruncate(m, self.regs.args[1] as u64) {
                Ok(_) => Ok(()),
                Err(e) => Err(Refused::Whole(e)),
            },
            Some((mode, off, len)) => {
                alloc::second(m, mode, off, len, held).inspect(|()| {
                    // It has been done: what is not known now is no refusal.
                    let level = || alloc::level(self.n, m, held);
                    if level().or_else(|_| level()).is_err() {
                        pending::pending_once(cx.s, cx.paths().0);
                    }
                })
            }
        };
        owes_time(self.n, held);
        r.map(|()| 0)
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        lone::by_number(self.n, self.regs, cx, held)
    }
    fn undo(&mut self, cx: &mut Cx<'_>, _: &BothLocked, source: Option<&Untouched<'_>>) -> Sys<()> {
        // Growth can be taken back; what a shrinking destroyed cannot. Of holes the second leg may have the bytes.
        let grew = match self.regs.call() {
            Some(Call::Ftruncate) => self.regs.args[1] as u64 >= cx.intent.old_size,
            _ => self.regs.args[1] & !1 == 0,
        };
        let old = cx.intent.old_size;
        let m = self.n.saturating_add(K);
        match self.allocation() {
            _ if grew => {}
            Some((mode, off, len)) if alloc::clears(mode) => {
                let source = source.ok_or(Errno::EIO)?;
                alloc::back((self.n, m), (off, len), old, &cx.half, source)?;
            }
            Some((mode, off, len)) if alloc::shifts(mode) => {
                let source = source.ok_or(Errno::EIO)?;
                alloc::shift_back((self.n, m), mode, (off, len), &cx.half, source)?;
            }
            _ => return Err(Errno::EIO),
        }
        // A full file system may have done a part.
        if sys::fstat(m)?.size() > old {
            sys::ftruncate(m, old)?;
        }
        sys::ftruncate(self.n, old)?;
        if privileges::give_back(self.n, m, source).is_err() {
            pending::pending_once(cx.s, cx.paths().0);
        }
        // The partner's is made equal at close.
        if let Some(st) = self.before {
            let _ = sys::set_times(self.n, OMIT, st.mtime());
        }
        Ok(())
    }
}

impl Resize<'_> {
    /// (mode, offset, length) of fallocate.
    fn allocation(&self) -> Option<(i32, u64, u64)> {
        let a = &self.regs.args;
        self.regs
            .is(Call::Fallocate)
            .then(|| (a[1] as i32, a[2] as u64, a[3] as u64))
    }
}

/// ftruncate, fallocate.
#[inline(never)]
pub fn resize(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    on_pair(regs, n, |regs| resize_paired(regs, n))
}

pub fn resize_paired(regs: &Regs, n: i32) -> Ran {
    let (pair, leg) = place(n);
    let kind = if regs.is(Call::Ftruncate) {
        IntentKind::Truncate
    } else {
        IntentKind::Allocate
    };
    let copy = copy_of(regs);
    let mut change = Resize {
        n,
        regs: &copy,
        before: None,
    };
    let job = Job::on((pair, leg), kind);
    run(job, [None, None], &mut change)
}
