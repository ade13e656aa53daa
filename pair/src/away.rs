//! Leaving leg b behind: the mark on leg a, and the probe that says whether a leg takes anything.
//!
//! Rules: first the mark, on leg a's disk, then the word, then the program's answer. Whoever dies before the
//! mark is durable has left nobody behind; after it, whoever comes by completes it. All of that under an
//! exclusive flock of the mark, which is the lock of the state. Nothing of leg b is needed, and nothing there
//! is touched.
use crate::control::{common, open, text};
use libc as c;
use mirror_core::Errno;
use mirror_core::away::{AWAY_MARK, AWAY_SIZE, Away, COUNT_AT, Mark, PROBE};
use mirror_core::record::CONTROL;
use mirror_sys as sys;
use mirror_sys::Sys;

/// What stands in an open mark.
fn mark_of(n: i32) -> Sys<Mark> {
    let mut b = [0u8; AWAY_SIZE];
    let len = sys::pread(n, &mut b, 0)?;
    Ok(Mark::of(b.get(..len).unwrap_or(&[])))
}

/// The mark below leg a's root. What is there and cannot be read is an error: it may stand.
pub fn read(root: i32) -> Sys<Mark> {
    let n = match open(root, &text(AWAY_MARK), c::O_RDONLY, 0) {
        Err(Errno::ENOENT) => return Ok(Mark::None),
        r => r?,
    };
    let mark = mark_of(n);
    let _ = sys::close(n);
    mark
}

/// Takes the lock of the state, a millisecond at a time; whoever has it waits for a disk.
fn lock(n: i32) -> Sys<()> {
    for _ in 0..WAITS {
        match sys::flock(n, c::LOCK_EX | c::LOCK_NB) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => sys::sleep_us(1000),
            Err(e) => return Err(e),
        }
    }
    Err(Errno::EAGAIN)
}

/// Milliseconds that are waited for somebody else's mark.
const WAITS: u32 = 10_000;

/// Opens the mark and takes its lock, runs `act` on what stands there.
fn locked<T>(root: i32, act: impl FnOnce(i32, Mark) -> Sys<T>) -> Sys<T> {
    let n = common(root, AWAY_MARK, c::O_RDWR)?;
    let r = lock(n).and_then(|()| act(n, mark_of(n)?));
    // With the description its lock goes.
    let _ = sys::close(n);
    r
}

/// Leaves leg b behind. `word` puts it into the word; it is called with the mark on the disk, by the first and
/// by all that come after it. `own` runs what extends a file of the library's own.
pub fn leave(
    root: i32,
    mut new: Away,
    own: impl Fn(&dyn Fn() -> Sys<usize>) -> Sys<usize>,
    word: impl FnOnce(),
) -> Sys<()> {
    locked(root, |n, mark| {
        if !mark.stands() {
            new.epoch = mark.epoch().wrapping_add(1);
            let made = put(n, &new, &own).and_then(|()| sync_folder(root));
            if let Err(e) = made {
                // What may be there of it is none.
                let before = match mark {
                    Mark::Back(a) => put(n, &a, &own),
                    _ => sys::ftruncate(n, 0).and_then(|_| sys::fdatasync(n).map(drop)),
                };
                // Nobody can tell whether it stands now: then it does, for all.
                if before.is_err() && mark_of(n).is_ok_and(|m| m.stands()) {
                    word();
                }
                return Err(e);
            }
        }
        word();
        Ok(())
    })
}

/// Leg b, on its way back, is left behind again: `word` does so, if it is on its way back still, and says whether. The
/// mark stands; it says `new` from then on.
pub fn leave_again(
    root: i32,
    mut new: Away,
    own: impl Fn(&dyn Fn() -> Sys<usize>) -> Sys<usize>,
    word: impl FnOnce() -> bool,
) -> Sys<bool> {
    locked(root, |n, mark| {
        let gone = mark.stands() && word();
        if gone {
            new.epoch = mark.epoch();
            // Half of it is a mark too.
            let _ = put(n, &new, &own);
        }
        Ok(gone)
    })
}

fn put(n: i32, a: &Away, own: &impl Fn(&dyn Fn() -> Sys<usize>) -> Sys<usize>) -> Sys<()> {
    let bytes = a.encode();
    match own(&|| sys::pwrite(n, &bytes, 0))? {
        AWAY_SIZE => sys::fdatasync(n).map(drop),
        _ => Err(Errno::ENOSPC),
    }
}

/// A new name in the control folder is on the disk as well.
fn sync_folder(root: i32) -> Sys<()> {
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC | c::O_NOFOLLOW;
    let dir = sys::openat2(root, &text(CONTROL), flags, 0, sys::BENEATH)?;
    let r = sys::fsync(dir);
    let _ = sys::close(dir);
    r.map(drop)
}

/// A mark that stands is in the word as well: its writer may have died between the two.
pub fn complete(root: i32, word: impl FnOnce()) -> Sys<()> {
    locked(root, |_, mark| {
        if mark.stands() {
            word();
        }
        Ok(())
    })
}

/// Leg b is back, and equal. Nobody is attached, and the caller keeps it so.
pub fn end(root: i32) -> Sys<()> {
    locked(root, ended)
}

/// Leg b is on its way back: `word` says so, and whether it could. Nothing is written; the mark stands until the leg
/// is equal. False: there is no mark, or the word has another state.
pub fn comes(root: i32, word: impl FnOnce() -> bool) -> Sys<bool> {
    locked(root, |_, mark| Ok(mark.stands() && word()))
}

/// The same as [`end`] under programs that work: first the word, which says whether leg b is on its way back still,
/// then the mark. Who dies in between has left a mark that costs one more comparison. What is lost of leg b from here
/// on finds the mark ended, and sets it anew.
pub fn is_back(root: i32, word: impl FnOnce() -> bool) -> Sys<bool> {
    locked(root, |n, mark| {
        let back = word();
        if back {
            ended(n, mark)?;
        }
        Ok(back)
    })
}

fn ended(n: i32, mark: Mark) -> Sys<()> {
    match mark {
        Mark::Stands(mut a) => {
            a.away = false;
            put(n, &a, &|f: &dyn Fn() -> Sys<usize>| f())
        }
        // Without a record of whose it was: the next epoch is the first again.
        _ => sys::ftruncate(n, 0).and_then(|_| sys::fdatasync(n).map(drop)),
    }
}

/// How many programs have come to the pair while the mark stood.
pub fn count(root: i32) -> Sys<u64> {
    let n = open(root, &text(AWAY_MARK), c::O_RDONLY, 0)?;
    let mut b = [0u8; 8];
    let len = sys::pread(n, &mut b, COUNT_AT);
    let _ = sys::close(n);
    Ok(if len? == b.len() {
        u64::from_le_bytes(b)
    } else {
        0
    })
}

/// Counts one more, before it changes anything: who made leg b equal meanwhile looks again.
pub fn come(root: i32, own: impl Fn(&dyn Fn() -> Sys<usize>) -> Sys<usize>) -> Sys<()> {
    locked(root, |n, _| {
        let mut b = [0u8; 8];
        let len = sys::pread(n, &mut b, COUNT_AT)?;
        let now = if len == b.len() {
            u64::from_le_bytes(b)
        } else {
            0
        };
        let next = now.wrapping_add(1).to_le_bytes();
        match own(&|| sys::pwrite(n, &next, COUNT_AT))? {
            8 => Ok(()),
            _ => Err(Errno::ENOSPC),
        }
    })
}

/// Whether a leg takes nothing: a few bytes, written and waited for. What this process alone may not or cannot
/// says nothing of the leg.
pub fn fails(root: i32, own: impl Fn(&dyn Fn() -> Sys<usize>) -> Sys<usize>) -> Option<Errno> {
    let probe = || -> Sys<()> {
        let n = common(root, PROBE, c::O_RDWR)?;
        // Other bytes each time: what is there already need not be written.
        let bytes = sys::realtime().to_le_bytes();
        let r = own(&|| sys::pwrite(n, &bytes, 0)).and_then(|_| sys::fdatasync(n));
        let _ = sys::close(n);
        r.map(drop)
    };
    match probe() {
        Err(e) if e.class() == mirror_core::ErrorClass::Leg => Some(e),
        _ => None,
    }
}
