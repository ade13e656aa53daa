//! What is left to a resync: the list of paths known to differ, `.mirror/pending` of each leg, and the bit
//! in the state word that says that there is one.
//!
//! Rules: first the lists, on the disks, then the bit. Whoever dies between the two leaves the intent that
//! it could not carry out, or a list that the next runtime file is made with the bit for; the other way
//! round a bit could stand for a path that nobody knows.
use crate::control::{common, open, text};
use libc as c;
use mirror_core::PerLeg;
use mirror_core::path::PATH_MAX;
use mirror_core::record::PENDING_LOG;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Room for the longest line: each byte may become an escape of four.
pub const LINE_MAX: usize = 4 * PATH_MAX;

/// The line of a list for `rel`; its length in `out`.
pub fn line(rel: &[u8], out: &mut [u8]) -> usize {
    let bytes = mirror_core::escape::escaped(rel).chain([b'\n']);
    out.iter_mut().zip(bytes).fold(0, |n, (o, b)| {
        *o = b;
        n.wrapping_add(1)
    })
}

/// Puts `rel` on the lists of both legs, then calls `set`, which sets the bit. `write` writes to a
/// descriptor (the library lifts the program's limit of file sizes meanwhile). Whether a list has it now.
#[inline(never)]
pub fn mark(
    roots: PerLeg<i32>,
    rel: &[u8],
    write: impl Fn(i32, &[u8]) -> Sys<usize>,
    set: impl FnOnce(),
) -> bool {
    let mut buf = [0u8; LINE_MAX];
    let len = line(rel, &mut buf);
    let line = buf.get(..len).unwrap_or(&[]);
    let mut any = false;
    for root in roots {
        if let Ok(n) = common(root, PENDING_LOG, c::O_WRONLY | c::O_APPEND) {
            let written = write(n, line) == Ok(len);
            any |= sys::fdatasync(n).is_ok() && written;
            let _ = sys::close(n);
        }
    }
    set();
    any
}

/// Whether this line is among the last of a leg's list, whose writer may not read it.
pub fn has(root: i32, line: &[u8]) -> bool {
    let Ok(n) = open(root, &text(PENDING_LOG), c::O_RDONLY, 0) else {
        return false;
    };
    let mut buf = [0u8; 8192];
    let size = sys::fglance(n).map_or(0, |st| st.size());
    let last = size.saturating_sub(buf.len() as u64);
    let read = sys::pread(n, &mut buf, last);
    let _ = sys::close(n);
    let list = buf.get(..read.unwrap_or(0)).unwrap_or(&[]);
    list.split_inclusive(|&b| b == b'\n').any(|l| l == line)
}
