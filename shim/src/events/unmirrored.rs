//! The record of programs that are started and cannot be mirrored (`core::unmirrored`).
//!
//! Rules: as in `refused`: nothing here may change the answer, or send the program a signal; what cannot be
//! recorded is lost. It waits at most [`TRIES`] × [`PAUSE`], while another process counts.
use crate::events::refused::open_ring;
use libc as c;
use mirror_core::Errno;
use mirror_core::unmirrored::{self, Record};
use mirror_sys as sys;
use mirror_sys::Sys;

const TRIES: u32 = 50;
/// Microseconds.
const PAUSE: u32 = 200;

/// Counts some starts of one program.
#[cold]
#[inline(never)]
pub fn count(records: impl Iterator<Item = Record>) {
    // Beyond it the write would be a SIGXFSZ.
    if sys::file_size_limit() < unmirrored::FILE as u64 {
        return;
    }
    let uid = sys::euid();
    let Ok(n) = open_ring(&unmirrored::ring(uid), unmirrored::OTHERS, uid) else {
        return;
    };
    if is_ring(n, uid).is_ok() {
        // Without its turn (its holder is stopped) a count may be lost, but not all of them.
        for _ in 0..TRIES {
            if sys::flock(n, c::LOCK_EX | c::LOCK_NB) != Err(Errno::EAGAIN) {
                break;
            }
            sys::sleep_us(PAUSE);
        }
        for r in records {
            let _ = put(n, &r);
        }
    }
    let _ = sys::close(n);
}

fn is_ring(n: i32, uid: u32) -> Sys<()> {
    let st = sys::fstat(n)?;
    if st.kind() != c::S_IFREG || st.uid() != uid || st.mode() & 0o7777 != 0o600 || st.nlink() != 1
    {
        return Err(Errno::EACCES);
    }
    if st.size() != unmirrored::FILE as u64 {
        sys::ftruncate(n, unmirrored::FILE as u64)?;
    }
    Ok(())
}

/// Adds to the record that counts the same, or takes the place of the oldest, or of none.
#[inline(never)]
fn put(n: i32, r: &Record) -> Sys<()> {
    let (mut best, mut oldest) = (0u64, u64::MAX);
    let mut whole = *r;
    for slot in 0..unmirrored::SLOTS as u64 {
        let at = slot.wrapping_mul(unmirrored::SIZE as u64);
        let mut bytes = [0u8; unmirrored::SIZE];
        sys::pread(n, &mut bytes, at)?;
        let old = Record::parse(&bytes);
        if let Some(old) = old.filter(|old| r.same(old)) {
            whole = r.after(&old);
            best = at;
            break;
        }
        let time = old.map_or(0, |old| old.times.1);
        if time < oldest {
            (best, oldest) = (at, time);
        }
    }
    sys::pwrite(n, &whole.encode(), best).map(|_| ())
}
