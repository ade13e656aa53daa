//! Data from one leg's file to the other's, in a short-lived child: closing a data file in the program would
//! drop the program's locks on it.
use crate::repair::both::REPAIR_MAX;
use libc as c;
use mirror_core::{BothLocked, Errno, Leg};
use mirror_pair::both::Both;
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// Copies data in a quiet fork. `range`: only these bytes may differ.
#[inline(never)]
pub fn copy(
    b: &Both,
    from: Leg,
    f: &Stat,
    range: Option<(u64, u64)>,
    held: &BothLocked,
) -> Sys<()> {
    let (start, len) = range.unwrap_or((0, f.size()));
    let len = len.min(f.size().saturating_sub(start));
    if len > REPAIR_MAX {
        return Err(Errno::EFBIG);
    }
    // SAFETY: the child runs `copy_child` on its own copy of this memory, makes raw system calls and
    // exits; it never returns into the program.
    let pid = unsafe { sys::quiet_fork() }?;
    if pid == 0 {
        // A repair is not the program's own writing.
        let _ = crate::process::limits::lift();
        sys::exit_group(
            if copy_child(b, from, (start, len), f.size(), held).is_ok() {
                0
            } else {
                1
            },
        );
    }
    if sys::wait_quiet(pid) == 0 {
        Ok(())
    } else {
        Err(Errno::EIO)
    }
}

fn copy_child(b: &Both, from: Leg, (start, len): (u64, u64), size: u64, _: &BothLocked) -> Sys<()> {
    // The program waits for this child under the locks: a fifo in the place must not block it.
    let flags = c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    let src = sys::openat(b.at(from), &b.name, c::O_RDONLY | flags, 0)?;
    // Readable if it may be: what is equal is left alone, with its capabilities and its time.
    let to = |access| sys::openat(b.at(from.other()), &b.name, access | flags, 0);
    let dst = to(c::O_RDWR).or_else(|_| to(c::O_WRONLY))?;
    let f = sys::fstat(src)?;
    let t = sys::fstat(dst)?;
    sys::stands_for(&f, &t)?;
    if f.kind() != c::S_IFREG {
        return Err(Errno::EEXIST);
    }
    let mut buf = [0u8; 8192];
    let mut have = [0u8; 8192];
    let mut at = start;
    let end = start.saturating_add(len).min(size);
    while at < end {
        let want = end.saturating_sub(at).min(buf.len() as u64) as usize;
        let k = sys::pread(src, buf.get_mut(..want).unwrap_or(&mut []), at)?;
        if k == 0 {
            break;
        }
        let there = sys::pread(dst, have.get_mut(..k).unwrap_or(&mut []), at);
        let same = there == Ok(k) && have.get(..k) == buf.get(..k);
        if !same {
            sys::pwrite_all(dst, buf.get(..k).unwrap_or(&[]), at)?;
        }
        at = at.saturating_add(k as u64);
    }
    if sys::fstat(dst)?.size() == size {
        return Ok(());
    }
    // Last: who is killed before leaves sizes that differ, if they did.
    sys::ftruncate(dst, size).map(|_| ())
}
