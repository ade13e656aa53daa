//! openat2: the program's struct, and its own rules.
use crate::calls::open::change::opening;
use crate::calls::{args, readers};
use crate::path::loc::Path;
use crate::regs::{NATIVE, Regs, arg, fail};
use crate::user::UserPtr;
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;

/// RESOLVE_IN_ROOT of openat2(2).
const RESOLVE_IN_ROOT: u64 = 0x10;

/// openat2 by the program: with `resolve` bits it keeps its own rules; only changes to a pair are ours.
pub fn open_how(regs: &mut Regs) -> usize {
    let (how, size) = (arg(regs, 2), arg(regs, 3));
    // The kernel looks at the struct, of whatever length, before it looks at the path.
    let none = Path::new();
    // SAFETY: our own empty path; the program's struct, which the kernel checks.
    let r = sys::ret(unsafe {
        sys::syscall4(
            c::SYS_openat2,
            c::AT_FDCWD as usize,
            none.as_ptr() as usize,
            how,
            size,
        )
    });
    match r {
        Err(Errno::ENOENT) => {}
        Err(e) => return fail(regs, e),
        Ok(_) => return NATIVE,
    }
    let Ok(h) = UserPtr::<sys::OpenHow>::new(how).read() else {
        return NATIVE;
    };
    let flags = h.flags as i32;
    let (dir, path) = (arg(regs, 0) as i32, arg(regs, 1));
    if flags & (c::O_ACCMODE | c::O_CREAT | c::O_TRUNC) == 0 || flags & c::O_PATH != 0 {
        return if args::names_control(path) {
            readers::look(regs)
        } else {
            NATIVE
        };
    }
    // What a filter answers to this call is the program's answer, whatever the library does without it.
    if sys::openat2_refusal().is_some() {
        return NATIVE;
    }
    let Some(path) = in_root(dir, path, h.resolve) else {
        return fail(regs, Errno::EXDEV);
    };
    let strict = (h.resolve != 0).then_some(h);
    opening(regs, dir, path, flags, h.mode as u32, strict)
}

/// RESOLVE_IN_ROOT makes the directory the root of the path: a leading slash means nothing more, and `..` stays
/// in it. The path as it is without that; `None`: it would leave the directory, and may reach a pair.
fn in_root(dir: i32, path: usize, resolve: u64) -> Option<usize> {
    let mut text = Path::new();
    if resolve & RESOLVE_IN_ROOT == 0 || args::copy_path(path, &mut text).is_none() {
        return Some(path);
    }
    let t = text.as_bytes();
    let slashes = t.iter().take_while(|&&b| b == b'/').count();
    let mut depth = 0i32;
    let leaves = t.split(|&b| b == b'/').any(|c| {
        depth = match c {
            b"" | b"." => depth,
            b".." => depth.saturating_sub(1),
            _ => depth.saturating_add(1),
        };
        depth < 0
    });
    let leaves = leaves || (slashes > 0 && slashes == t.len());
    if leaves && crate::path::seen::away(dir, b"x") {
        return Some(path);
    }
    (!leaves).then(|| path.wrapping_add(slashes))
}
