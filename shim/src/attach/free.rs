//! Whether the library's numbers are free, before a pair is attached to.
use crate::events::refused::Refused;
use crate::process::actor::SPLIT;
use crate::process::fds::ANY_PARTNER;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::path::Name;
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;
use mirror_sys::Sys;

const TASKS: &[u8] = b"/proc/self/task";

/// Nothing of the program stands on the library's numbers. It can only where its limit was higher, and
/// a process that inherited partners has had a lowered one. Threads may have tables of their own.
pub fn numbers_are_free() -> Result<(), Refused> {
    let (soft, _) = sys::nofile(None)?;
    if soft <= RESERVED as u64 || ANY_PARTNER.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut free = table_is_free(b"/proc/thread-self/fd")?;
    if free && SPLIT.load(Ordering::Relaxed) {
        numbers_in(TASKS, &mut |task| {
            free = free && of_task(task)?;
            Ok(())
        })?;
    }
    free.then_some(()).ok_or(Refused {
        why: Refusal::Numbers,
        errno: Errno::EMFILE,
        call: None,
    })
}

/// The same of one thread's table; one that has ended has none.
fn of_task(task: i32) -> Sys<bool> {
    let mut table = Name::new();
    let long = |_| Errno::ENAMETOOLONG;
    table.set(TASKS).map_err(long)?;
    table.append(b"/").map_err(long)?;
    sys::append_number(task.unsigned_abs(), &mut table);
    table.append(b"/fd").map_err(long)?;
    match table_is_free(table.as_bytes()) {
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(true),
        found => found,
    }
}

fn table_is_free(table: &[u8]) -> Sys<bool> {
    let mut free = true;
    numbers_in(table, &mut |n| {
        free &= !crate::config::is_ours(n);
        Ok(())
    })?;
    Ok(free)
}

/// Calls `each` for the numbers that a directory of /proc names. What could not be read is an error.
fn numbers_in(path: &[u8], each: &mut dyn FnMut(i32) -> Sys<()>) -> Sys<()> {
    let path = Name::from_bytes(path).map_err(|_| Errno::ENAMETOOLONG)?;
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC;
    let dir = sys::openat(c::AT_FDCWD, &path, flags, 0)?;
    let r = listed(dir, each);
    let _ = sys::close(dir);
    r
}

fn listed(dir: i32, each: &mut dyn FnMut(i32) -> Sys<()>) -> Sys<()> {
    let mut buf = [0u8; 2048];
    loop {
        // SAFETY: the kernel writes at most buf.len() bytes into it.
        let r = unsafe {
            sys::syscall3(
                c::SYS_getdents64,
                dir as usize,
                buf.as_mut_ptr() as usize,
                buf.len(),
            )
        };
        let n = sys::ret(r)?;
        if n == 0 {
            return Ok(());
        }
        let mut rest = buf.get(..n).unwrap_or(&[]);
        while let (Some(&[lo, hi]), Some(name)) = (
            rest.get(16..18).and_then(|s| s.first_chunk::<2>()),
            rest.get(19..),
        ) {
            let digits = name.iter().take_while(|b| b.is_ascii_digit());
            let number = digits.fold(0i32, |v, b| {
                v.saturating_mul(10)
                    .saturating_add(i32::from(b.wrapping_sub(b'0')))
            });
            if name.first().is_some_and(u8::is_ascii_digit) {
                each(number)?;
            }
            match rest.get(usize::from(u16::from_le_bytes([lo, hi])).max(1)..) {
                Some(r) => rest = r,
                None => break,
            }
        }
    }
}
