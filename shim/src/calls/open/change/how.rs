//! openat2: the program's struct, and its own rules.
use crate::calls::open::change::entry::opening;
use crate::calls::{args, readers};
use crate::path::loc::Path;
use crate::regs::{NATIVE, Regs, arg, fail};
use crate::user::UserPtr;
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;

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
    let strict = (h.resolve != 0).then_some(h);
    opening(regs, dir, path, flags, h.mode as u32, strict)
}
