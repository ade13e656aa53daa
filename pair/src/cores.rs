//! The list of directories in which the kernel may write core files (`mirror_core::cores`).
//!
//! Rules: a line is added and never taken away: who may still write into such a directory is known to nobody.
use crate::control::common;
use libc as c;
use mirror_core::Errno;
use mirror_core::cores::{FILE, LONGEST, PATH};
use mirror_core::escape::escaped;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Puts a directory below the root of leg a on its list, if it is not there. An error: it is not there now.
#[inline(never)]
pub fn list(root: i32, rel: &[u8]) -> Sys<()> {
    let mut line = [0u8; 4 * PATH + 1];
    if rel.len() > PATH {
        return Err(Errno::ENAMETOOLONG);
    }
    let bytes = escaped(if rel.is_empty() { b"." } else { rel }).chain([b'\n']);
    let len = line.iter_mut().zip(bytes).fold(0usize, |n, (o, b)| {
        *o = b;
        n.wrapping_add(1)
    });
    let line = line.get(..len).unwrap_or(&[]);
    let n = common(root, FILE, c::O_RDWR | c::O_APPEND)?;
    let done = add(n, line);
    let _ = sys::close(n);
    done
}

fn add(n: i32, line: &[u8]) -> Sys<()> {
    let mut buf = [0u8; 8192];
    let mut at = 0u64;
    loop {
        let len = sys::pread(n, &mut buf, at)?;
        let read = buf.get(..len).unwrap_or(&[]);
        let whole = read
            .iter()
            .rposition(|b| *b == b'\n')
            .map(|i| i.wrapping_add(1));
        let lines = read.get(..whole.unwrap_or(0)).unwrap_or(&[]);
        if lines.split_inclusive(|b| *b == b'\n').any(|l| l == line) {
            return Ok(());
        }
        match whole {
            Some(used) => at = at.saturating_add(used as u64),
            None if len == 0 => break,
            // Longer than any line, or without an end: not what this has written.
            None => return Err(Errno::EIO),
        }
    }
    if at.saturating_add(line.len() as u64) > LONGEST {
        return Err(Errno::ENOSPC);
    }
    match sys::write(n, line)? {
        whole if whole == line.len() => Ok(()),
        _ => Err(Errno::ENOSPC),
    }
}
