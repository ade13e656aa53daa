//! The calls on mappings: munmap, mremap, a mapping over another one, mprotect, msync.
//!
//! Rules: what takes a mapping away is done first, then its file is carried over: nothing can be stored any more.
//! What lets stores come is announced before.
use crate::attach::session;
use crate::calls::mapped::carry::{What, act};
use crate::calls::mapped::hooks;
use crate::calls::mapped::table::{self, Piece};
use crate::calls::pages::pages_go;
use crate::change::job::Patience;
use crate::change::lost;
use crate::process::actor::{self, guest};
use crate::regs::{DONE, NATIVE, Regs, WAIT, arg, copy_of, fail, raw};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::calls::Call;
use mirror_core::{Errno, Leg};
use mirror_sys as sys;

const PAGE: usize = 4096;

/// Longest list of files that one call concerns.
const MANY: usize = 32;

fn up(len: usize) -> usize {
    len.checked_next_multiple_of(PAGE)
        .unwrap_or(usize::MAX & !(PAGE - 1))
}

/// Whether the call concerns a mapping that is known here.
pub fn concerns(regs: &Regs) -> bool {
    let [at, len, to, flags, new, _] = regs.args;
    let meets = |at: usize, len: usize| table::overlaps(at, at.saturating_add(up(len)));
    match regs.call() {
        Some(Call::Mremap) => {
            meets(at, len.max(1)) || flags & c::MREMAP_FIXED as usize != 0 && meets(new, to)
        }
        Some(Call::Munmap | Call::Mmap | Call::Mprotect | Call::PkeyMprotect) => meets(at, len),
        Some(Call::RemapFilePages | Call::Msync | Call::Madvise) => meets(at, len),
        _ => false,
    }
}

/// munmap, mremap, and a mapping of something else over one of ours.
#[inline(never)]
pub fn pages(regs: &mut Regs) -> usize {
    if regs.is(Call::RemapFilePages) {
        return fail(regs, Errno::EINVAL);
    }
    let call = copy_of(regs);
    let [at, len, to, flags, _, _] = call.args;
    let grows = call.is(Call::Mremap) && up(to) > up(len);
    if guest() {
        // The memory is its parent's too, which knows nothing of this.
        return if grows {
            fail(regs, Errno::ENOMEM)
        } else {
            pages_go(regs)
        };
    }
    if call.is(Call::Mremap) && !table::has_room(4) {
        return fail(regs, Errno::ENOMEM);
    }
    if grows && let Some(v) = announce(regs, at, len, to) {
        return v;
    }
    actor::locked(|| {
        pages_go(regs);
        let r = sys::ret(regs.nr as isize);
        if let Ok(r) = r {
            match call.call() {
                Some(Call::Mremap) => moved((at, len), (r, to), flags),
                Some(Call::Mmap) => table::remove(r, r.saturating_add(up(len))),
                _ => table::remove(at, at.saturating_add(up(len))),
            }
        }
    });
    hooks::settle_gone();
    DONE
}

/// A mapping is about to reach further into its files.
fn announce(regs: &mut Regs, at: usize, len: usize, to: usize) -> Option<usize> {
    let last = table::pieces(at, at.saturating_add(up(len).max(1))).max_by_key(|p| p.end)?;
    let from = last.offset;
    let end = from.checked_add(up(to))?;
    let entered = table::file(last.file).is_some_and(|f| f.entry().is_some());
    let reached = actor::locked(|| table::reach(last.file, end));
    if let Err(e) = reached {
        return Some(fail(regs, e));
    }
    if !entered {
        return None;
    }
    let ran = act(
        last.file,
        What::Enter,
        (from as u64, end as u64),
        Patience::Wait,
    );
    match hooks::done(ran)? {
        Ok(()) => Some(WAIT),
        Err(_) => Some(fail(regs, Errno::ENOMEM)),
    }
}

/// What mremap has done.
fn moved((at, len): (usize, usize), (new, to): (usize, usize), flags: usize) {
    let (old_end, new_end) = (at.saturating_add(up(len)), new.saturating_add(up(to)));
    let mut list = [None::<Piece>; MANY];
    for (d, p) in list
        .iter_mut()
        .zip(table::pieces(at, old_end.max(at.saturating_add(1))))
    {
        *d = Some(p);
    }
    const DONT_UNMAP: usize = 4;
    if len != 0 && flags & DONT_UNMAP == 0 {
        table::remove(at, old_end);
    }
    table::remove(new, new_end);
    for mut p in list.into_iter().flatten() {
        let whole = p.end >= old_end || len == 0;
        p.start = p.start.wrapping_sub(at).wrapping_add(new);
        p.end = match whole {
            true => new_end,
            false => p.end.wrapping_sub(at).wrapping_add(new).min(new_end),
        };
        if p.start < p.end {
            table::add(p);
        }
    }
}

/// mprotect to writable: announced before.
#[inline(never)]
pub fn protect(regs: &mut Regs) -> usize {
    let (at, len) = (arg(regs, 0), arg(regs, 1));
    for p in table::pieces(at, at.saturating_add(up(len))) {
        if guest() {
            let entered = table::file(p.file).is_some_and(|f| f.entry().is_some());
            if entered {
                continue;
            }
            return fail(regs, Errno::EACCES);
        }
        let end = p.offset.saturating_add(p.end.wrapping_sub(p.start));
        let ran = act(
            p.file,
            What::Enter,
            (p.offset as u64, end as u64),
            Patience::Wait,
        );
        match hooks::done(ran) {
            None => {}
            Some(Ok(())) => return WAIT,
            Some(Err(_)) => return fail(regs, Errno::EACCES),
        }
    }
    NATIVE
}

/// msync: carried over, then down on both legs.
#[inline(never)]
pub fn msync(regs: &mut Regs) -> usize {
    let (at, len, flags) = (arg(regs, 0), arg(regs, 1), arg(regs, 2));
    let end = at.saturating_add(up(len));
    let both = (c::MS_SYNC | c::MS_ASYNC) as usize;
    if guest() || flags & both == 0 || flags & both == both || at % PAGE != 0 {
        return NATIVE;
    }
    for p in table::pieces(at, end) {
        let entered = table::file(p.file).is_some_and(|f| f.entry().is_some());
        if !entered {
            continue;
        }
        let to = p.offset.saturating_add(p.end.wrapping_sub(p.start));
        let range = (p.offset as u64, to as u64);
        match hooks::done(act(p.file, What::Carry, range, Patience::Wait)) {
            None => {}
            Some(Ok(())) => return WAIT,
            Some(Err(e)) => return fail(regs, e),
        }
    }
    let r = raw(regs);
    let second = if r.is_ok() && flags & c::MS_SYNC as usize != 0 {
        down(at, end)
    } else {
        Ok(())
    };
    crate::regs::answer(regs, second.and(r))
}

/// The second leg's part of these ranges is made durable.
fn down(at: usize, end: usize) -> sys::Sys<()> {
    for p in table::pieces(at, end) {
        let Some(f) = table::file(p.file) else {
            continue;
        };
        let pair = usize::from(f.pair.load(Ordering::Relaxed));
        let len = p.end.wrapping_sub(p.start);
        let synced = actor::locked(|| {
            let (base, have) = f.mapping(Leg::B);
            let there = base != 0 && p.offset.saturating_add(len) <= have;
            match there && f.entry().is_some() && !session::is_alone(pair) {
                true => sys::sync_mapping(base.wrapping_add(p.offset), len),
                false => Ok(()),
            }
        });
        match synced {
            // What the kernel has lost of leg b it says once.
            Err(e) if lost::leave_pair(pair, e, lost::From::Sync) => {}
            r => r?,
        }
    }
    Ok(())
}

/// mmap, shared, by a descriptor that may write.
pub use crate::calls::mapped::map::{Did, map, map_nameless};
