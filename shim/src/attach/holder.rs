//! Who this process is among those that take lock words (`mirror_pair::words`): its own description of the
//! runtime file, and its slot.
//!
//! Rules: as in `attach`. A forked child closes its parent's description first, and takes a slot of its own
//! before its first change; but in a family (see `session`), which shares one and takes turns. Who can have no
//! description of its own, or may not lock a byte of it, relies on the flocks.
use crate::attach::handle::Session;
use crate::attach::settle::settle_fd;
use crate::process::actor::UNSEEN;
use crate::process::limits::spare;
use core::sync::atomic::{AtomicU64, Ordering};
use libc as c;
use mirror_core::{Errno, Leg, LockWord, MAX_PAIRS, numbers};
use mirror_pair::words::{self, Holder, Standing};
use mirror_sys as sys;
use mirror_sys::{Byte, Sys};

/// This memory's owner's slot in each pair. 0: none yet.
static SLOTS: [AtomicU64; MAX_PAIRS] = [const { AtomicU64::new(0) }; MAX_PAIRS];
/// In its place: it relies on the flocks.
const RELIES: u64 = u64::MAX;
/// Words taken so far.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The word that was missed last.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// The next word of this process.
pub fn next(slot: u64) -> LockWord {
    LockWord::of(slot, COUNT.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
}

/// What was missed last.
pub fn seen() -> LockWord {
    LockWord(SEEN.load(Ordering::Relaxed))
}

/// This was missed.
pub fn miss(word: LockWord) {
    SEEN.store(word.0, Ordering::Relaxed);
}

/// Whether the byte is held still: the program may have closed the description by system calls of its own, which
/// nobody sees, and its words would look dead. Where calls are known to go unseen an open number says too little:
/// a relative that nobody knows of may share the table, and have put its own description there. To lock what one
/// has locked changes nothing, and fails where it is another's.
fn stands(h: Holder) -> bool {
    if !UNSEEN.load(Ordering::Relaxed) {
        return sys::is_open(h.fd);
    }
    match sys::lock_of_description(h.fd, words::byte(h.slot), Byte::Alone) {
        Ok(()) => true,
        Err(Errno::EAGAIN | Errno::EBADF) => false,
        // A filter that forbids it: what it was before.
        Err(_) => sys::is_open(h.fd),
    }
}

/// In a process whose threads have tables of descriptors of their own each change has a slot of its own. A word
/// with the slot that the process had before is nobody's then, and would be waited for for ever: it goes. TX is
/// held. Not in a family, whose relatives have the same slot.
pub fn free_former(s: &Session, leg: Leg, object: usize) {
    let slot = SLOTS.get(s.pair).map_or(0, |n| n.load(Ordering::Relaxed));
    let there = s.runtime().lock_word(leg, object);
    if matches!(slot, 0 | RELIES) || there.slot() != slot {
        return;
    }
    if let Some(rt) = s.runtime().own() {
        let _ = rt.change_word(leg, object, there, LockWord::FREE);
    }
}

/// The owner's standing, which it takes first if need be, and anew if its description is gone. TX is held.
pub fn of_owner(s: &Session) -> Sys<Standing> {
    let slot = SLOTS.get(s.pair).ok_or(Errno::EIO)?;
    let fd = numbers::prover(s.slot);
    match slot.load(Ordering::Relaxed) {
        0 => {}
        RELIES => return Ok(Standing::Flocks(s.file)),
        slot if stands(Holder { fd, slot }) => return Ok(Standing::Words(Holder { fd, slot })),
        _ => UNSEEN.store(true, Ordering::Relaxed),
    }
    let standing = new(s, |n| settle_fd(n, s.slot, fd, false))?;
    slot.store(
        match standing {
            Standing::Words(h) => h.slot,
            Standing::Flocks(_) => RELIES,
        },
        Ordering::Relaxed,
    );
    Ok(standing)
}

/// A guest's, for one change.
pub fn of_guest(s: &Session) -> Sys<Standing> {
    new(s, Ok)
}

/// Ends a guest's.
pub fn end(standing: Standing) {
    if let Standing::Words(h) = standing {
        let _ = sys::close(h.fd);
    }
}

#[cold]
#[inline(never)]
fn new(s: &Session, settle: impl FnOnce(i32) -> Sys<i32>) -> Sys<Standing> {
    let flocks = || words::rely(s.file, s.runtime(), || sys::sleep_us(1000));
    let Some(rt) = s.runtime().own() else {
        flocks()?;
        return Ok(Standing::Flocks(s.file));
    };
    match spare(|| sys::open_again(s.file, c::O_RDWR)) {
        Ok(n) => {
            let fd = settle(n)?;
            match words::prove(fd, rt) {
                Ok(h) => Ok(Standing::Words(h)),
                Err(e) => {
                    let _ = sys::close(fd);
                    // All bytes are somebody's, or there is no memory: no reason to leave the words for good.
                    if matches!(e, Errno::EIO | Errno::ENOLCK | Errno::ENOMEM) {
                        return Err(e);
                    }
                    flocks()?;
                    Ok(Standing::Flocks(s.file))
                }
            }
        }
        Err(e @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => Err(e),
        // No /proc, a sandbox, or a user who may not any more.
        Err(_) => {
            flocks()?;
            Ok(Standing::Flocks(s.file))
        }
    }
}

/// In a child: its parent's description is closed first, which would show the parent alive. Not in a family.
pub fn let_go(slots: usize) {
    for block in 0..slots {
        let _ = sys::close(numbers::prover(block));
    }
}

/// The same, and what is remembered of it: this memory is the child's.
pub fn after_fork_in_child(slots: usize) {
    let_go(slots);
    SLOTS.iter().for_each(|s| s.store(0, Ordering::Relaxed));
}
