//! The partner of a descriptor that may have lost it, before a change through it.
use crate::calls::args::{TRIES, verdict};
use crate::calls::paired::recognise::{self, Fd, adopt, recognise};
use crate::change::port::Ran;
use crate::path::loc::Loc;
use crate::regs::{NATIVE, Regs, fail};
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Sees to it that `n` is paired. `Some`: what to answer instead.
pub fn paired(regs: &mut Regs, n: i32) -> Option<usize> {
    if recognise::is_paired(n) {
        None
    } else {
        pair_up(regs, n)
    }
}

#[inline(never)]
fn pair_up(regs: &mut Regs, n: i32) -> Option<usize> {
    for _ in 0..TRIES {
        if let Ok(v) = try_pair(regs, n) {
            return v;
        }
        // The name was renamed or the number replaced meanwhile: look again.
    }
    Some(fail(regs, Errno::EIO))
}

/// `Err`: changed meanwhile.
fn try_pair(regs: &mut Regs, n: i32) -> Result<Option<usize>, ()> {
    let mut loc = Loc::new();
    Ok(match recognise(n, &mut loc) {
        Fd::Paired => None,
        Fd::Out(_) => Some(NATIVE),
        Fd::Lost(e) => match takes_data(n) {
            Ok(false) => Some(NATIVE),
            _ => Some(fail(regs, e)),
        },
        Fd::Bare => {
            match takes_data(n) {
                Ok(true) => {}
                Ok(false) => return Ok(Some(NATIVE)),
                Err(e) => return Ok(Some(fail(regs, e))),
            }
            match adopt(n, &loc) {
                Ran::Done(Ok(_)) => None,
                // With leg b away it needs none.
                Ran::Alone => None,
                Ran::Unresolved => return Err(()),
                r => Some(verdict(regs, r)),
            }
        }
    })
}

/// Whether data can be written through a descriptor: the kernel refuses what was opened for reading only, and what is
/// no file.
fn takes_data(n: i32) -> Sys<bool> {
    match sys::fcntl(n, c::F_GETFL, 0).and_then(|fl| Ok((fl as i32, sys::fstat(n)?))) {
        Ok((fl, st)) => {
            Ok(st.kind() == c::S_IFREG && fl & c::O_ACCMODE != c::O_RDONLY && fl & c::O_PATH == 0)
        }
        Err(Errno::EBADF) => Ok(false),
        Err(e) => Err(e),
    }
}
