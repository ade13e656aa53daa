//! The fsync family finds what was stored through mappings on both legs.
use crate::calls::data::fsync;
use crate::calls::mapped::hooks;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::path::loc::Loc;
use crate::regs::{Regs, WAIT, fail, fd_arg};
use mirror_core::calls::Call;

/// fsync, fdatasync, sync_file_range, syncfs.
#[inline(never)]
pub fn sync(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    match before(regs, n) {
        None => fsync::sync(regs),
        Some(Ok(())) => WAIT,
        Some(Err(e)) => fail(regs, e),
    }
}

fn before(regs: &Regs, n: i32) -> Option<Result<(), mirror_core::Errno>> {
    let mut loc = Loc::new();
    match recognise(n, &mut loc) {
        Fd::Paired | Fd::Bare if regs.is(Call::Syncfs) => hooks::before_sync_all(),
        Fd::Paired => hooks::before_sync(n),
        Fd::Bare => hooks::before_sync_bare(n, &loc),
        Fd::Out(_) | Fd::Lost(_) => None,
    }
}
