//! A lock whose holder goes on only when this process lets it: its own tracee, or its own stopped child.
//!
//! Rules: waiting for such a holder would be for ever. Asked only after some misses, for it reads /proc; what
//! cannot be told is a holder like any other.
use crate::attach::handle::Session;
use crate::change::target::Cx;
use crate::repair::pending;
use core::sync::atomic::{AtomicU64, Ordering};
use libc as c;
use mirror_core::path::PathText;
use mirror_core::{Leg, LockKind};
use mirror_pair::words;
use mirror_sys as sys;

/// Misses between two questions, and how long a stop lasts, in milliseconds, that somebody else, or another thread
/// of this process, is not about to end.
const FEW: u32 = 16;
const LONG: u64 = 300;
/// Pairs of a holder that are looked through for this one.
const FEW_PAIRS: usize = 8;

/// The process of which it was so: the next question comes at once, and whether it is so still needs no time. 0:
/// none.
static BEFORE: AtomicU64 = AtomicU64::new(0);
/// When the misses began, in milliseconds.
static SINCE: AtomicU64 = AtomicU64::new(0);

/// Whether the holder of a busy object waits for this process. `misses`: in a row.
#[cold]
#[inline(never)]
pub fn waits_for_us(s: &Session, object: usize, misses: u32) -> bool {
    let before = BEFORE.load(Ordering::Relaxed);
    if misses == 1 {
        SINCE.store(sys::clock_ms(), Ordering::Relaxed);
    }
    if !misses.is_multiple_of(FEW) && before == 0 {
        return false;
    }
    let waited = sys::clock_ms().saturating_sub(SINCE.load(Ordering::Relaxed));
    for leg in Leg::BOTH {
        let found = match s.locks {
            LockKind::Flock => {
                let n = mirror_core::numbers::lock(s.slot, leg, object);
                sys::fstat(n).ok().and_then(|st| holder(st.ino()))
            }
            LockKind::Memory => word_holder(s, leg, object),
        };
        if let Some(pid) = found
            && stopped_by_us(pid, waited >= LONG || pid == before)
        {
            BEFORE.store(pid, Ordering::Relaxed);
            return true;
        }
    }
    if before != 0 {
        BEFORE.store(0, Ordering::Relaxed);
    }
    false
}

/// The change is made on the addressed leg alone.
pub fn record(cx: &Cx<'_>) {
    let (a, b) = cx.paths();
    // Without a name it may be anything.
    pending::pending_once(cx.s, if a.is_empty() { b"." } else { a });
    if !b.is_empty() {
        pending::pending_once(cx.s, b);
    }
}

/// Lines of a file of /proc, those that are not too long, until `f` has an answer.
fn lines<T>(name: &[u8], mut f: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    let mut path = PathText::<48>::new();
    path.set(name).ok()?;
    let n = sys::openat(c::AT_FDCWD, &path, c::O_RDONLY | c::O_CLOEXEC, 0).ok()?;
    let (mut chunk, mut line, mut len) = ([0u8; 1024], [0u8; 160], 0usize);
    let mut found = None;
    'file: while let Ok(got @ 1..) = sys::read(n, &mut chunk) {
        for &b in chunk.get(..got).unwrap_or(&[]) {
            if b == b'\n' {
                found = line.get(..len).and_then(&mut f);
                len = 0;
                if found.is_some() {
                    break 'file;
                }
            } else {
                if let Some(l) = line.get_mut(len) {
                    *l = b;
                }
                len = len.saturating_add(1);
            }
        }
    }
    let _ = sys::close(n);
    found
}

fn number(text: &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for b in text {
        let digit = b.checked_sub(b'0').filter(|d| *d < 10)?;
        v = v.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!text.is_empty()).then_some(v)
}

/// Who has a flock on an inode: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`.
fn holder(inode: u64) -> Option<u64> {
    lines(b"/proc/locks", |line| {
        let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
        let kind = words.nth(1)?;
        let pid = words.nth(2).and_then(number)?;
        let at = words
            .next()?
            .rsplit(|b| *b == b':')
            .next()
            .and_then(number)?;
        (kind == b"FLOCK" && at == inode && pid != 0).then_some(pid)
    })
}

/// Who has a lock word: the process that its post names, if that has the byte of the word's slot. (Pids of another
/// namespace are not this one's: the process is not found.)
fn word_holder(s: &Session, leg: Leg, object: usize) -> Option<u64> {
    let rt = s.runtime();
    let (word, pid) = (rt.lock_word(leg, object), rt.pid(object));
    (0..FEW_PAIRS).find_map(|block| {
        let mut name = PathText::<48>::new();
        let _ = name.append(b"/proc/");
        sys::append_number(pid, &mut name);
        let _ = name.append(b"/fdinfo/");
        sys::append_number(mirror_core::numbers::prover(block) as u32, &mut name);
        // `lock:	1: OFDLCK ADVISORY  WRITE -1 00:1a:4711 1099511627777 1099511627777`.
        lines(name.as_bytes(), |line| {
            let words = || {
                line.split(|b| matches!(b, b' ' | b'\t'))
                    .filter(|w| !w.is_empty())
            };
            // Neighbours are one lock.
            let mut ends = words().rev().map(number);
            let (to, from) = (ends.next()??, ends.next()??);
            let held = (from..=to).contains(&words::byte(word.slot()));
            (words().nth(2) == Some(b"OFDLCK") && held).then_some(())
        })
    })?;
    (pid != 0).then_some(u64::from(pid))
}

/// Whether that process is stopped, and by what only this one ends.
fn stopped_by_us(pid: u64, long: bool) -> bool {
    let me = sys::getpid() as u64;
    if pid == me {
        return false;
    }
    let mut name = PathText::<48>::new();
    let _ = name.append(b"/proc/");
    sys::append_number(pid as u32, &mut name);
    let _ = name.append(b"/status");
    let (mut state, mut parent) = (0u8, 0u64);
    let tracer = lines(name.as_bytes(), |line| {
        let mut parts = line.split(|b| *b == b'\t');
        let (key, value) = (parts.next()?, parts.next()?);
        match key {
            b"State:" => state = value.first().copied().unwrap_or(0),
            b"PPid:" => parent = number(value)?,
            b"TracerPid:" => return number(value),
            _ => {}
        }
        None
    });
    match tracer {
        Some(t) if t == me => state == b't' || state == b'T' || long,
        // Somebody else's tracee.
        Some(1..) => false,
        _ => long && state == b'T' && parent == me,
    }
}
