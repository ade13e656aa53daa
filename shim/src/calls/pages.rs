//! Calls that take pages away: what was found readable is forgotten.
use crate::regs::{Regs, answer, raw};
use core::sync::atomic::{AtomicUsize, Ordering};
use libc as c;

/// Where the heap ended.
static BREAK: AtomicUsize = AtomicUsize::new(usize::MAX);

/// A call that takes pages away, or their readability. Here, since they are forgotten after it: before,
/// another thread might find them readable once more.
pub fn pages_go(regs: &mut Regs) -> usize {
    let [at, len, to, flags, new, _] = regs.args;
    let end = at.saturating_add(len);
    let r = raw(regs);
    match regs.nr as i64 {
        // Beyond the heap's new end, as far as it may have gone.
        c::SYS_brk => {
            let end = r.map_or(0, |v| v as usize);
            if BREAK.swap(end, Ordering::Relaxed) > end {
                crate::user::forget(end, usize::MAX);
            }
        }
        c::SYS_shmdt => crate::user::forget(0, usize::MAX),
        c::SYS_mremap => {
            crate::user::forget(at, end);
            if flags & c::MREMAP_FIXED as usize != 0 {
                crate::user::forget(new, new.saturating_add(to));
            }
        }
        _ => crate::user::forget(at, end),
    }
    answer(regs, r)
}
