//! Opens outside, so deep that the kernel has no text for the file: the descriptor is remembered, since
//! nothing could be found out of it later.
use crate::path::loc::Path;
use crate::process::{actor, fds};
use crate::regs::{NATIVE, Regs, answer, raw};
use crate::tables;

use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;

/// The program's open of `text`.
#[cold]
pub fn open(regs: &mut Regs, dir: i32, text: &Path, flags: i32) -> usize {
    let follow = if flags & c::O_NOFOLLOW != 0 {
        c::AT_SYMLINK_NOFOLLOW
    } else {
        0
    };
    match sys::glance(dir, text, follow) {
        // No other type's open may wait here.
        Ok(st) if st.kind() != c::S_IFREG => return NATIVE,
        Ok(_) | Err(Errno::ENOENT) => {}
        Err(_) => return NATIVE,
    }
    let r = raw(regs);
    if let (Ok(n), false) = (r, actor::guest()) {
        fds::set_hint(n as i32, tables::OUT);
    }
    answer(regs, r)
}
