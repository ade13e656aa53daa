//! A process that needs the net only later: a library with calls of its own is loaded by dlopen.
//!
//! Rules of this file: nobody says when that happens, so ld.so's list is looked at when a call of libc's
//! comes to the library; the thread that finds something arms itself, every other one does when it comes
//! here next. No thread is interrupted for it.
use crate::net::arming::{CHILDREN, NEEDED, OWED, arm, arm_late};
use crate::net::{needed, signals, stacks};
use crate::process::actor::{UNSEEN, guest};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use mirror_sys::thread_pointer;

/// Nothing is to be done.
const IDLE: u8 = 0;
/// ld.so's list is watched.
const WATCH: u8 = 1;
/// Threads that have not been here since are not armed.
const THREADS: u8 = 2;

#[unsafe(link_section = ".data.boot")]
static STATE: AtomicU8 = AtomicU8::new(IDLE);
/// The program has tried to put itself under a filter.
#[unsafe(link_section = ".data.boot")]
static FILTERED: AtomicBool = AtomicBool::new(false);
/// Thread pointers of threads that are armed, each at the place that its number gives.
static ARMED: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

/// From boot.
pub fn watch() {
    STATE.store(WATCH, Ordering::Relaxed);
}

/// The program puts itself under a filter: nothing is armed any more.
pub fn stop() {
    FILTERED.store(true, Ordering::Relaxed);
    STATE.store(IDLE, Ordering::Relaxed);
}

/// Whether it may be under one that kills for what arming needs.
pub fn filtered() -> bool {
    FILTERED.load(Ordering::Relaxed)
}

/// At each call that comes to the library.
#[inline]
pub fn look() {
    match STATE.load(Ordering::Relaxed) {
        IDLE => {}
        WATCH => {
            if needed::later() {
                all();
            }
        }
        _ => thread(),
    }
}

/// Arms this thread, and whatever comes here from now on.
#[cold]
#[inline(never)]
fn all() {
    if guest()
        || STATE
            .compare_exchange(WATCH, IDLE, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
    {
        return;
    }
    NEEDED.store(true, Ordering::Relaxed);
    if arm() {
        signals::strip_masks();
        stacks::adopt();
        STATE.store(THREADS, Ordering::Release);
    } else {
        UNSEEN.store(true, Ordering::Relaxed);
        OWED.store(true, Ordering::Relaxed);
    }
}

fn thread() {
    let me = thread_pointer();
    let Some(place) = ARMED.get((me >> 6) % ARMED.len()) else {
        return;
    };
    if place.load(Ordering::Relaxed) == me || !CHILDREN.load(Ordering::Relaxed) {
        return;
    }
    signals::unblock();
    arm_late();
    stacks::adopt();
    place.store(me, Ordering::Relaxed);
}
