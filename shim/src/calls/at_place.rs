//! The loop around a change: it runs where its name leads, and what misled it is looked for anew.
use crate::calls::args::{TRIES, verdict};
use crate::calls::paired::pair_up::paired;
use crate::change::port::Ran;
use crate::regs::{Regs, fail};
use mirror_core::Errno;

/// Runs `once` at what was found of the names in `loc`; `None`: it misled. Then `again` looks for the names
/// anew, slowly. Both are told how often they were asked before.
#[inline(always)]
pub fn at_place<P: Copy, L>(
    regs: &mut Regs,
    found: P,
    loc: &mut L,
    again: impl Fn(&mut L, P, usize) -> P,
    mut once: impl FnMut(&mut Regs, P, &mut L, usize) -> Option<usize>,
) -> usize {
    let mut found = found;
    for nth in 0..TRIES {
        if let Some(answer) = once(regs, found, loc, nth) {
            return answer;
        }
        found = again(loc, found, nth);
    }
    fail(regs, Errno::ELOOP)
}

/// The same of descriptor `n`, which gets its partner first if it has lost it.
#[inline(always)]
pub fn on_pair(regs: &mut Regs, n: i32, mut once: impl FnMut(&mut Regs) -> Ran) -> usize {
    for _ in 0..TRIES {
        if let Some(answer) = paired(regs, n) {
            return answer;
        }
        match once(regs) {
            Ran::Unresolved => {}
            ran => return verdict(regs, ran),
        }
    }
    // Whose it is changes again and again.
    match mirror_sys::is_open(n) {
        true => fail(regs, Errno::EIO),
        false => fail(regs, Errno::EBADF),
    }
}
