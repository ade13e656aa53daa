//! fcntl F_SETFL of a descriptor of a pair.
use crate::calls::args::{TRIES, verdict};
use crate::calls::data::write::place;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::change::job::Job;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::path::loc::Loc;
use crate::regs::{NATIVE, Regs, copy_of, fd_arg, raw};
use mirror_core::runtime::IntentKind;
use mirror_core::{Action, BothLocked, LockPlan, Lone, Prepared, Undo};

/// F_SETFL: how writes go is changed under the file's lock.
struct Flags<'a> {
    n: i32,
    regs: &'a Regs,
}

impl Change for Flags<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.file_of(self.n)
    }
    fn prepare(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        Prepared::Answer(raw(self.regs))
    }
    /// It changes no tree.
    fn lone(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Lone {
        Lone::Kernel
    }
}

/// fcntl F_SETFL of a descriptor that has, or may have, a partner.
#[inline(never)]
pub fn set_flags(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    crate::process::fds::lent();
    let mut loc = Loc::new();
    let copy = copy_of(regs);
    for _ in 0..TRIES {
        if !matches!(recognise(n, &mut loc), Fd::Paired) {
            return NATIVE;
        }
        let job = Job::on(place(n), IntentKind::Attributes);
        let ran = run(
            job.action(Action::Call { undo: Undo::Never }),
            [None, None],
            &mut Flags { n, regs: &copy },
        );
        if !matches!(ran, Ran::Unresolved) {
            return verdict(regs, ran);
        }
    }
    NATIVE
}
