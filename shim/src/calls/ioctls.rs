//! ioctl(2) by the verdicts of `mirror_core::ioctls`.
//!
//! Rules: a command that only answers costs a look at the table; a descriptor that leads out of the
//! pairs, or to a fifo or device in one, is the kernel's.
use crate::calls::args::command;
use crate::calls::attributes::set;
use crate::calls::data::resize;
use crate::calls::paired::lent;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::calls::range::clone;
use crate::path::loc::Loc;
use crate::process::fds;
use crate::regs::{DONE, HEAVY, NATIVE, Regs, arg, copy_of, fail, fd_arg, raw};
use crate::tables;
use crate::user::{self, UserPtr};

use libc as c;
use mirror_core::ioctls::{Lent, REFUSED_WITH, Verdict, verdict};
use mirror_core::{Errno, K};
use mirror_sys as sys;
use mirror_sys::Sys;

/// As userfaultfd(2), of /dev/userfaultfd.
const USERFAULTFD_IOC_NEW: u32 = 0xaa00;

/// On the program's stack.
pub fn filter(regs: &mut Regs) -> usize {
    if command(regs) == USERFAULTFD_IOC_NEW {
        user::paged();
    }
    match verdict(command(regs)) {
        Verdict::Forwarded => NATIVE,
        Verdict::CloseOnExec(_) if fds::hint(fd_arg(regs, 0)) == tables::OUT => NATIVE,
        _ => HEAVY,
    }
}

/// On the scratch stack.
#[inline(never)]
pub fn ioctl(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    match verdict(command(regs)) {
        Verdict::Allocate(mode) => allocate(regs, n, mode),
        Verdict::Clone | Verdict::Dedupe => clone::ioctl(regs),
        Verdict::CloseOnExec(on) => close_on_exec(regs, n, on),
        Verdict::Refused(others) => {
            let also = |at: &u8| {
                let word = UserPtr::<u64>::new(arg(regs, 2).wrapping_add(usize::from(*at))).read();
                word.is_ok_and(|w| of_a_pair(w as i32))
            };
            if of_a_pair(n) || others.iter().flatten().any(also) {
                return fail(regs, REFUSED_WITH);
            }
            NATIVE
        }
        Verdict::Lends(lent) => lend(regs, n, lent),
        Verdict::Marks(_) | Verdict::Recorded if of_a_pair(n) => set::entry::attribute(regs),
        _ => NATIVE,
    }
}

/// A file is given to a loop device, or to another part of the kernel that writes it.
fn lend(regs: &mut Regs, n: i32, lent: Lent) -> usize {
    let given = match lent {
        Lent::Argument => arg(regs, 2) as i32,
        Lent::First => match UserPtr::<u64>::new(arg(regs, 2)).read() {
            Ok(words) => words as i32,
            Err(_) => return NATIVE,
        },
    };
    let command = command(regs);
    // A number that only loop devices know may be another device's.
    let loops = command >> 8 & 0xff == u32::from(b'L');
    if (loops && !lent::is_loop(n)) || !of_a_pair(given) || !lent::writes(given) {
        return NATIVE;
    }
    if !loops {
        // It may take long.
        lent::record(given);
        return NATIVE;
    }
    let r = raw(regs);
    if r.is_ok() {
        lent::record(given);
    }
    crate::regs::answer(regs, r)
}

/// Whether `n` is a regular file or directory of a pair.
fn of_a_pair(n: i32) -> bool {
    let mut loc = Loc::new();
    if matches!(recognise(n, &mut loc), Fd::Out(_)) {
        return false;
    }
    // What cannot be looked at is not taken for something else.
    sys::fstat(n).map_or(true, |st| matches!(st.kind(), c::S_IFREG | c::S_IFDIR))
}

/// struct space_resv: where a range begins, as fallocate(2) wants it, and its length.
fn space(n: i32, addr: usize) -> Sys<(i64, i64)> {
    let [kind, start, len, ..] = UserPtr::<[u64; 6]>::new(addr).read()?;
    let base = match (kind >> 16) as u16 as i32 {
        c::SEEK_SET => 0,
        c::SEEK_CUR => sys::lseek(n, 0, c::SEEK_CUR)? as i64,
        c::SEEK_END => sys::fstat(n)?.size() as i64,
        _ => return Err(Errno::EINVAL),
    };
    Ok(((start as i64).wrapping_add(base), len as i64))
}

/// The reservation calls of old: the kernel makes a fallocate(2) of them, and so do we.
fn allocate(regs: &mut Regs, n: i32, mode: i32) -> usize {
    if !of_a_pair(n) {
        return NATIVE;
    }
    let (start, len) = match space(n, arg(regs, 2)) {
        Ok(range) => range,
        // As the kernel will say.
        Err(Errno::EFAULT | Errno::EINVAL | Errno::EBADF | Errno::ESPIPE) => return NATIVE,
        Err(e) => return fail(regs, e),
    };
    let mode = mode | c::FALLOC_FL_KEEP_SIZE;
    let mut call = copy_of(regs);
    call.nr = c::SYS_fallocate as usize;
    call.args = [
        n as usize,
        mode as usize,
        start as usize,
        len as usize,
        0,
        0,
    ];
    let v = resize::resize(&mut call);
    if v == DONE {
        regs.nr = call.nr;
    }
    v
}

/// The partner lives as long as its descriptor.
fn close_on_exec(regs: &mut Regs, n: i32, on: bool) -> usize {
    let mut loc = Loc::new();
    if !matches!(recognise(n, &mut loc), Fd::Paired) {
        return NATIVE;
    }
    crate::process::actor::locked(|| {
        let r = raw(regs);
        if r.is_ok() {
            let _ = sys::fcntl(n.saturating_add(K), c::F_SETFD, usize::from(on));
        }
        crate::regs::answer(regs, r)
    })
}
