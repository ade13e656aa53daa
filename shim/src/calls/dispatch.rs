//! What is done with an intercepted call, by family.
//!
//! Rules: `filter` runs on the program's stack with the program's signals, in a few hundred bytes;
//! it only decides, except for calls that touch nothing of ours. `heavy` runs on a scratch stack with
//! all signals blocked. A call that is not ours, and every call that may block, is executed at its
//! own address (NATIVE).
use crate::calls::args::{self, reader_path};
use crate::calls::attributes::set;
use crate::calls::data::{flags, resize, write};
use crate::calls::exec::{call, count};
use crate::calls::names::{one, two};
use crate::calls::open::change::{self, ahead, how};
use crate::calls::paired::partner;
use crate::calls::range::{copy, pipe};
use crate::calls::{
    descriptors, fast, fast_fd, ioctls, lends, mapped, messages, pages, process, readers, rules,
    sandbox, steady, trace,
};
use crate::net::{signals, stacks};
use crate::process::actor::{self, guest};
use crate::process::look;
use crate::regs::{HEAVY, NATIVE, Regs, WAIT, arg, fail, fd_arg};
use crate::user;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::{Call, Family, PreFilter, Row};
use mirror_core::unmirrored::Kind;

/// On the program's stack: NATIVE, DONE or HEAVY.
pub fn filter(regs: &mut Regs) -> usize {
    if actor::is_aside() {
        return NATIVE;
    }
    crate::net::look();
    if rules::denied(regs) {
        return NATIVE;
    }
    let Some(row) = regs.row() else { return NATIVE };
    let a = |i: usize| arg(regs, i);
    let fd = |i: usize| fd_arg(regs, i);
    match (row.family, row.call) {
        (Family::Open, Call::Openat2) => HEAVY,
        (Family::Open, _) => steady::filter(regs, row, fast::open),
        (Family::Look, _) if args::names_control(reader_path(regs).1) => HEAVY,
        (Family::Look, _) => NATIVE,
        (Family::Close, _) => descriptors::close_filter(regs),
        (Family::Duplicate, Call::Dup2 | Call::Dup3) => descriptors::dup_filter(regs),
        (Family::Fcntl, _) => descriptors::fcntl_filter(regs),
        (Family::CloseRange, _) => descriptors::close_range_filter(regs),
        (Family::Map, _) => readers::mmap_filter(regs),
        (Family::Protect, _) => readers::mprotect_filter(regs),
        (Family::Msync, _) if !mapped::call::concerns(regs) => NATIVE,
        (Family::Pages, _) if mapped::call::concerns(regs) => HEAVY,
        (Family::Pages, _) => pages::pages_go(regs),
        (Family::List, _) => readers::getdents(regs),
        (Family::Pager, _) => {
            user::paged();
            NATIVE
        }
        (Family::Ring, _) => fail(regs, Errno::ENOSYS),
        (Family::Message, _) => messages::filter(regs),
        (Family::Trace, _) => trace::filter(regs),
        (Family::Take, _) => HEAVY,
        (Family::Fork, _) => process::clone_filter(regs),
        (Family::Ioctl, _) => ioctls::filter(regs),
        // What it opens is recognised at its first change; only emptying cannot wait.
        (Family::OpenHandle, _) if a(2) & c::O_TRUNC as usize == 0 => NATIVE,
        (Family::RangeCopy | Family::Splice, _) => copy::filter(regs),
        (Family::Limit, _) => process::limit_filter(regs),
        (Family::Sandbox, _) => process::seccomp_filter(regs),
        (Family::Signals, Call::RtSigaction) => signals::action(regs),
        (Family::Signals, Call::RtSigprocmask) => signals::mask(regs),
        (Family::Signals, Call::Sigaltstack) => stacks::by_libc(regs),
        (Family::Signals, _) => signals::waits(regs),
        (Family::Entry | Family::TwoNames | Family::Attribute, call) => {
            steady::filter(regs, row, |regs| by_name(regs, call, row))
        }
        _ if row.pre == PreFilter::Fd && fast_fd::is_out(fd(0)) => NATIVE,
        _ => HEAVY,
    }
}

/// Changes by a name: NATIVE where it is known that it lies outside.
fn by_name(regs: &mut Regs, call: Call, row: &Row) -> usize {
    const CWD: i32 = c::AT_FDCWD;
    let a = |i: usize| arg(regs, i);
    let fd = |i: usize| fd_arg(regs, i);
    match call {
        Call::Unlink | Call::Mkdir | Call::Mknod => fast::one_path(CWD, a(0)),
        Call::Lchown | Call::Lsetxattr | Call::Lremovexattr => fast::object(CWD, a(0)),
        Call::Mkdirat | Call::Mknodat => fast::one_path(fd(0), a(1)),
        Call::Rmdir => fast::goes(CWD, a(0)),
        Call::Unlinkat if a(2) as u32 == 0 => fast::one_path(fd(0), a(1)),
        Call::Unlinkat => fast::goes(fd(0), a(1)),
        Call::Symlink => fast::symlink(CWD, a(1)),
        Call::Symlinkat => fast::symlink(fd(1), a(2)),
        Call::Rename | Call::Link => fast::two_paths((CWD, a(0)), (CWD, a(1))),
        Call::Linkat if a(4) as u32 != 0 => HEAVY,
        Call::Renameat | Call::Renameat2 | Call::Linkat => {
            fast::two_paths((fd(0), a(1)), (fd(2), a(3)))
        }
        Call::Chmod | Call::Chown | Call::Truncate | Call::Utime | Call::Utimes => {
            fast::leads(CWD, a(0))
        }
        Call::Setxattr | Call::Removexattr => fast::leads(CWD, a(0)),
        Call::Fchmodat => fast::leads(fd(0), a(1)),
        Call::Futimesat if a(1) != 0 => fast::leads(fd(0), a(1)),
        Call::Utimensat if a(1) != 0 => fast::attribute(regs, a(3)),
        Call::Fchownat => fast::attribute(regs, a(4)),
        Call::Fchmodat2 => fast::attribute(regs, a(3)),
        Call::Utimensat if fast_fd::is_out(fd(0)) => NATIVE,
        _ if row.pre == PreFilter::Fd && fast_fd::is_out(fd(0)) => NATIVE,
        _ => HEAVY,
    }
}

/// On the scratch stack: NATIVE, DONE or WAIT.
pub fn heavy(regs: &mut Regs) -> usize {
    if crate::net::owes() && !guest() {
        count::count_self(Kind::OwnCalls);
    }
    let Some(row) = regs.row() else { return NATIVE };
    if user::is_paged() {
        args::touch(regs);
    }
    let by_fd = row.pre == PreFilter::Fd;
    if by_fd && crate::config::is_ours(fd_arg(regs, 0)) && partner::any() {
        return fail(regs, Errno::EBADF);
    }
    if by_fd && look::turns(fd_arg(regs, 0)) {
        return WAIT;
    }
    match row.family {
        Family::Open if row.call == Call::Openat2 => steady::heavy(regs, row, how::open_how),
        Family::Open => match steady::heavy(regs, row, change::entry::open) {
            NATIVE => fast::again(regs),
            r => r,
        },
        Family::OpenHandle => ahead::by_handle(regs),
        Family::Look => readers::look(regs),
        Family::Data => write::write(regs),
        Family::Resize => resize::resize(regs),
        Family::Sync => mapped::sync::sync(regs),
        Family::RangeCopy => copy::copy(regs),
        Family::Splice => pipe::splice(regs),
        Family::Ioctl => ioctls::ioctl(regs),
        Family::Attribute => steady::heavy(regs, row, set::entry::attribute),
        Family::Entry => steady::heavy(regs, row, one::one),
        Family::TwoNames => steady::heavy(regs, row, two::entry::two),
        Family::Close => descriptors::close(regs),
        Family::CloseRange => descriptors::close_range(regs),
        Family::Fcntl if arg(regs, 1) as i32 == c::F_SETFL => flags::set_flags(regs),
        Family::Fcntl | Family::Duplicate => descriptors::dup(regs),
        Family::Map => readers::mmap(regs),
        Family::Protect => readers::mprotect(regs),
        Family::Msync => mapped::call::msync(regs),
        Family::Pages => mapped::call::pages(regs),
        Family::Stand => process::chdir(regs),
        Family::Unshare => process::unshare(regs),
        Family::Mounts => match lends::lend(regs) {
            NATIVE => process::other_mounts(),
            r => r,
        },
        Family::Lend => lends::lend(regs),
        Family::Trace => trace::trace(regs),
        Family::Take => messages::take(regs),
        Family::User => process::new_user(regs),
        Family::Fork if matches!(row.call, Call::Fork | Call::Clone) => process::fork(regs),
        Family::Limit => process::limit(regs),
        Family::Exec => call::exec(regs),
        Family::Message => messages::send(regs),
        Family::Sandbox => sandbox::install(regs),
        // Answered by `filter`, or by an entry of its own.
        Family::Fork
        | Family::List
        | Family::Pager
        | Family::Ring
        | Family::Signals
        | Family::Exit => NATIVE,
    }
}

/// On the program's stack with its own mask, holding nothing.
pub fn wait(regs: &mut Regs) {
    if pipe::waits(regs) {
        pipe::wait(regs);
    } else {
        crate::change::port::wait_outside();
    }
}

/// On the program's stack with its own mask, after `heavy`.
pub fn finish(regs: &mut Regs) -> usize {
    if fast::is_proven(regs) {
        fast::proven(regs)
    } else if steady::is_later(regs) {
        steady::finish(regs)
    } else {
        sandbox::finish(regs)
    }
}

/// In the net's handler: whether it is done, and the call is to be made behind it.
pub fn finish_ahead(regs: &Regs) -> bool {
    !fast::is_proven(regs) && !steady::is_later(regs) && sandbox::ahead()
}

/// The exit_group place: lets this process's transactions end and settles what its descriptors owe.
pub fn before_exit(regs: &mut Regs) {
    process::before_exit(regs);
}
