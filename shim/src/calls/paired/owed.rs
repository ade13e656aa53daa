//! What this process owes partners' mtimes, where others can read it: who is killed settles nothing (see
//! `mirror_pair::owed`).
//!
//! Rules: noted by whoever makes a descriptor dirty, while the change is still announced: a kill before leaves a
//! change to end, a kill after leaves the note.
use crate::attach::session;
use crate::process::actor;
use crate::process::fds;
use core::sync::atomic::Ordering;
use mirror_core::{BothLocked, LockPlan, PerLeg};

/// The partner's time of the file behind `n` is settled later; TX is held, and the change is announced.
pub fn later(n: i32, held: &BothLocked) {
    fds::set_dirty(n);
    let Some(Owed { pair, file, inode }) = owed(n) else {
        return;
    };
    let (Some(rt), Some(i)) = (session::runtime_of(pair), fds::info(n)) else {
        return;
    };
    let exclusive = held.plan().is_exclusive();
    let object = if exclusive || held.plan().has(file) {
        file
    } else {
        // A file that was made just now: under its directory's object.
        i.made.store(held.first_lock() as u8, Ordering::Relaxed);
        held.first_lock()
    };
    rt.owe(held.first_lock(), object, own_pid(), inode);
}

/// What this process owes the file behind a descriptor.
pub struct Owed {
    pair: usize,
    file: usize,
    inode: PerLeg<u64>,
}

/// Read before anything else may make the number another file's.
pub fn owed(n: i32) -> Option<Owed> {
    let i = fds::info(n).filter(|_| !actor::maybe_guest())?;
    let pair = usize::from(i.pair.load(Ordering::Relaxed));
    let [a, b] = i.ino.each_ref().map(|w| w.load(Ordering::Relaxed));
    let file = LockPlan::EMPTY
        .file(a, session::stripes_of(pair)?)
        .first_lock();
    Some(Owed {
        pair,
        file,
        inode: PerLeg { a, b },
    })
}

/// Nobody needs to settle it after this process. What others have owed the file is theirs: they may be in the
/// middle of a change.
pub fn settled(n: i32, owed: Option<Owed>) {
    let Some(Owed { pair, file, inode }) = owed else {
        return;
    };
    let (Some(rt), Some(i)) = (session::runtime_of(pair), fds::info(n)) else {
        return;
    };
    let by = own_pid();
    rt.settled(file, by, Some(inode.a));
    let made = i.made.swap(0, Ordering::Relaxed);
    if made != 0 {
        rt.settled(usize::from(made), by, Some(inode.a));
    }
}

fn own_pid() -> u32 {
    actor::OWN_PID.load(Ordering::Relaxed) as u32
}
