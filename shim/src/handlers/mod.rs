//! What is done with an intercepted call, by family.
//!
//! Rules: `filter` runs on the program's stack with the program's signals, in a few hundred bytes;
//! it only decides, except for calls that touch nothing of ours. `heavy` runs on a scratch stack with
//! all signals blocked. A call that is not ours, and every call that may block, is executed at its
//! own address (NATIVE).
mod aftermath;
mod attr_call;
mod attrs;
mod carry;
mod carry_alloc;
mod carry_clone;
mod carry_pipe;
mod carry_range;
mod data;
mod data_flags;
mod entry;
mod entry_two;
mod exec;
mod exec_file;
mod exec_touch;
mod fds;
mod ioctls;
mod lent;
mod marks;
mod open;
mod open_deep;
mod partner;
pub mod process;
mod quick;
mod readers;
mod recognise;
mod reopen;
mod sync;

use crate::arch::{
    BY_FD, DONE, FLAGS_1, FLAGS_2, HEAVY, NATIVE, PATH_0, PATH_1, Regs, WAIT, WATCHED,
};
use crate::net::signals;
use crate::resolve::{Loc, Path};
use crate::state::{TX, guest};
use crate::txn::Ran;
use core::sync::atomic::{AtomicU8, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_sys as sys;
use mirror_sys::Sys;

/// How often a name is resolved anew because it was another's under the locks. Somebody who exchanges
/// two names all the time spoils every second try.
const TRIES: usize = 40;

/// The answer for the program.
pub fn answer(regs: &mut Regs, r: Sys<u64>) -> usize {
    regs.nr = match r {
        Ok(v) => v as usize,
        Err(e) => (e.0 as usize).wrapping_neg(),
    };
    DONE
}

pub fn fail(regs: &mut Regs, e: Errno) -> usize {
    answer(regs, Err(e))
}

/// An argument as a descriptor (the kernel looks at 32 bits).
fn fd_arg(regs: &Regs, i: usize) -> i32 {
    arg(regs, i) as i32
}

pub fn arg(regs: &Regs, i: usize) -> usize {
    regs.args.get(i).copied().unwrap_or(0)
}

/// What a run means for the stub; `Slow` is the caller's to handle before.
fn verdict(regs: &mut Regs, ran: Ran) -> usize {
    match ran {
        Ran::Done(r) => answer(regs, r),
        Ran::Native => NATIVE,
        Ran::Wait => WAIT,
        Ran::Slow => fail(regs, Errno::ELOOP),
    }
}

/// The call as the program made it, from here: for calls that do not block.
pub fn raw(regs: &Regs) -> Sys<u64> {
    let [a, b, c, d, e, f] = regs.args;
    // SAFETY: the program's own call with the program's own arguments; the kernel checks its pointers.
    sys::ret(unsafe { sys::syscall6(regs.nr as i64, a, b, c, d, e, f) }).map(|v| v as u64)
}

/// The call's registers, for a change that makes it under the locks.
fn copy_of(regs: &Regs) -> Regs {
    Regs {
        nr: regs.nr,
        args: regs.args,
        site: regs.site,
        old_mask: regs.old_mask,
        scratch: 0,
    }
}

/// Copies a path from the program's memory, once. `None`: the kernel will refuse it (EFAULT,
/// ENAMETOOLONG).
fn copy_path(addr: usize, out: &mut Path) -> Option<()> {
    crate::user::path(addr, out).ok()
}

/// Calls whose first argument is a descriptor that they change.
const BY_FD_CALLS: [i64; 17] = [
    c::SYS_write,
    c::SYS_pwrite64,
    c::SYS_writev,
    c::SYS_pwritev,
    c::SYS_pwritev2,
    c::SYS_ftruncate,
    c::SYS_fallocate,
    c::SYS_fchmod,
    c::SYS_fchown,
    c::SYS_fsetxattr,
    c::SYS_fremovexattr,
    c::SYS_fsync,
    c::SYS_fdatasync,
    c::SYS_sync_file_range,
    c::SYS_syncfs,
    c::SYS_dup,
    c::SYS_ioctl,
];

fn by_fd(nr: i64) -> bool {
    BY_FD_CALLS.contains(&nr)
}

/// Fills the table of wanted calls.
pub fn fill(watch: &[AtomicU8; 512]) {
    for w in mirror_core::calls::WANTED {
        if mirror_core::calls::FOR_THE_NET.contains(&w.nr) {
            continue;
        }
        let nr = i64::from(w.nr);
        let bits = match nr {
            c::SYS_open => FLAGS_1 | PATH_0,
            c::SYS_openat => FLAGS_2 | PATH_1,
            _ if READERS_0.contains(&nr) => PATH_0,
            _ if READERS_1.contains(&nr) => PATH_1,
            _ if by_fd(nr) => BY_FD,
            _ => 0,
        };
        if let Some(w) = watch.get(nr as usize) {
            w.store(WATCHED | bits, Ordering::Relaxed);
        }
    }
}

/// Calls that only look: wanted because the control folder does not exist for the program.
const READERS_0: [i64; 4] = [c::SYS_stat, c::SYS_lstat, c::SYS_access, c::SYS_readlink];
/// The same, with a directory first.
const READERS_1: [i64; 5] = [
    c::SYS_newfstatat,
    c::SYS_statx,
    c::SYS_faccessat,
    c::SYS_faccessat2,
    c::SYS_readlinkat,
];

/// (directory, path) of a call that only looks.
fn reader_path(regs: &Regs) -> (i32, usize) {
    match regs.nr as i64 {
        c::SYS_stat
        | c::SYS_lstat
        | c::SYS_access
        | c::SYS_readlink
        | c::SYS_open
        | c::SYS_chdir => (c::AT_FDCWD, arg(regs, 0)),
        _ => (fd_arg(regs, 0), arg(regs, 1)),
    }
}

/// fchmodat2(2), since Linux 6.6.
pub const SYS_FCHMODAT2: i64 = 452;
/// setxattrat(2) and removexattrat(2), since Linux 6.13.
pub const SYS_SETXATTRAT: i64 = 463;
pub const SYS_REMOVEXATTRAT: i64 = 466;
use marks::SYS_FILE_SETATTR;

/// On the program's stack: NATIVE, DONE or HEAVY.
pub fn filter(regs: &mut Regs) -> usize {
    crate::net::look();
    match regs.nr as i64 {
        c::SYS_open | c::SYS_openat | c::SYS_creat => quick::open(regs),
        c::SYS_stat
        | c::SYS_lstat
        | c::SYS_access
        | c::SYS_readlink
        | c::SYS_newfstatat
        | c::SYS_statx
        | c::SYS_faccessat
        | c::SYS_faccessat2
        | c::SYS_readlinkat => {
            let (_, p) = reader_path(regs);
            if quick::names_control(p) {
                HEAVY
            } else {
                NATIVE
            }
        }
        c::SYS_close => fds::close_filter(regs),
        c::SYS_dup2 | c::SYS_dup3 => fds::dup_filter(regs),
        c::SYS_fcntl => fds::fcntl_filter(regs),
        c::SYS_close_range => fds::close_range_filter(regs),
        c::SYS_mmap => readers::mmap_filter(regs),
        c::SYS_mprotect | c::SYS_pkey_mprotect => readers::mprotect_filter(regs),
        c::SYS_munmap | c::SYS_brk | c::SYS_mremap | c::SYS_shmdt => readers::pages_go(regs),
        c::SYS_getdents64 | c::SYS_getdents => readers::getdents(regs),
        c::SYS_io_uring_setup | c::SYS_io_setup => fail(regs, Errno::ENOSYS),
        c::SYS_vfork | c::SYS_clone | c::SYS_clone3 | c::SYS_fork => process::clone_filter(regs),
        c::SYS_ioctl => ioctls::filter(regs),
        // What it opens is recognised at its first change; only emptying cannot wait.
        c::SYS_open_by_handle_at if arg(regs, 2) & c::O_TRUNC as usize == 0 => NATIVE,
        c::SYS_copy_file_range | c::SYS_sendfile | c::SYS_splice => carry::filter(regs),
        c::SYS_prlimit64 | c::SYS_setrlimit => process::limit_filter(regs),
        c::SYS_prctl | c::SYS_seccomp => process::seccomp_filter(regs),
        c::SYS_rt_sigaction => signals::action(regs),
        c::SYS_rt_sigprocmask => signals::mask(regs),
        c::SYS_rt_sigsuspend
        | c::SYS_ppoll
        | c::SYS_pselect6
        | c::SYS_epoll_pwait
        | c::SYS_epoll_pwait2 => signals::waits(regs),
        c::SYS_unlink | c::SYS_rmdir | c::SYS_mkdir | c::SYS_mknod | c::SYS_lchown => {
            quick::one_path(c::AT_FDCWD, arg(regs, 0))
        }
        c::SYS_unlinkat | c::SYS_mkdirat | c::SYS_mknodat => {
            let (dir, p) = (fd_arg(regs, 0), arg(regs, 1));
            quick::one_path(dir, p)
        }
        c::SYS_rename => quick::two_paths((c::AT_FDCWD, arg(regs, 0)), (c::AT_FDCWD, arg(regs, 1))),
        c::SYS_renameat | c::SYS_renameat2 => quick::two_paths(
            (fd_arg(regs, 0), arg(regs, 1)),
            (fd_arg(regs, 2), arg(regs, 3)),
        ),
        c::SYS_utimensat
            if arg(regs, 1) == 0 && crate::state::hint(fd_arg(regs, 0)) == crate::state::OUT =>
        {
            NATIVE
        }
        _ => HEAVY,
    }
}

/// On the scratch stack: NATIVE, DONE or WAIT.
pub fn heavy(regs: &mut Regs) -> usize {
    // Beside the number it carries what its wait came to.
    if regs.nr as u32 as i64 == c::SYS_splice {
        return carry_pipe::splice(regs);
    }
    if by_fd(regs.nr as i64) && crate::state::is_ours(fd_arg(regs, 0)) && fds::any() {
        return fail(regs, Errno::EBADF);
    }
    match regs.nr as i64 {
        c::SYS_open | c::SYS_openat | c::SYS_creat | c::SYS_openat2 => open::open(regs),
        c::SYS_stat
        | c::SYS_lstat
        | c::SYS_access
        | c::SYS_readlink
        | c::SYS_newfstatat
        | c::SYS_statx
        | c::SYS_faccessat
        | c::SYS_faccessat2
        | c::SYS_readlinkat => readers::look(regs),
        c::SYS_write | c::SYS_pwrite64 | c::SYS_writev | c::SYS_pwritev | c::SYS_pwritev2 => {
            data::write(regs)
        }
        c::SYS_ftruncate | c::SYS_fallocate => data::resize(regs),
        c::SYS_fsync | c::SYS_fdatasync | c::SYS_sync_file_range | c::SYS_syncfs => {
            sync::sync(regs)
        }
        c::SYS_copy_file_range | c::SYS_sendfile => carry::copy(regs),
        c::SYS_ioctl => ioctls::ioctl(regs),
        c::SYS_truncate
        | c::SYS_chmod
        | c::SYS_fchmodat
        | SYS_FCHMODAT2
        | c::SYS_chown
        | c::SYS_lchown
        | c::SYS_fchownat
        | c::SYS_utime
        | c::SYS_utimes
        | c::SYS_futimesat
        | c::SYS_utimensat
        | c::SYS_setxattr
        | c::SYS_lsetxattr
        | c::SYS_removexattr
        | c::SYS_lremovexattr
        | SYS_SETXATTRAT
        | SYS_REMOVEXATTRAT
        | SYS_FILE_SETATTR
        | c::SYS_fchmod
        | c::SYS_fchown
        | c::SYS_fsetxattr
        | c::SYS_fremovexattr => attrs::attribute(regs),
        c::SYS_unlink
        | c::SYS_unlinkat
        | c::SYS_rmdir
        | c::SYS_mkdir
        | c::SYS_mkdirat
        | c::SYS_mknod
        | c::SYS_mknodat
        | c::SYS_symlink
        | c::SYS_symlinkat
        | c::SYS_bind => entry::one(regs),
        c::SYS_rename | c::SYS_renameat | c::SYS_renameat2 | c::SYS_link | c::SYS_linkat => {
            entry_two::two(regs)
        }
        c::SYS_close => fds::close(regs),
        c::SYS_fcntl if arg(regs, 1) as i32 == c::F_SETFL => data_flags::set_flags(regs),
        c::SYS_dup | c::SYS_dup2 | c::SYS_dup3 | c::SYS_fcntl => fds::dup(regs),
        c::SYS_close_range => fds::close_range(regs),
        c::SYS_mmap => readers::mmap(regs),
        c::SYS_mprotect | c::SYS_pkey_mprotect => readers::mprotect(regs),
        c::SYS_chdir | c::SYS_fchdir | c::SYS_chroot => process::chdir(regs),
        c::SYS_unshare => process::unshare(regs),
        c::SYS_setns | c::SYS_mount | c::SYS_umount2 | c::SYS_pivot_root | c::SYS_move_mount => {
            process::other_mounts()
        }
        c::SYS_open_by_handle_at => open::by_handle(regs),
        c::SYS_setuid | c::SYS_setreuid | c::SYS_setresuid => process::new_user(regs),
        c::SYS_fork | c::SYS_clone => process::fork(regs),
        c::SYS_prlimit64 | c::SYS_setrlimit => process::limit(regs),
        c::SYS_execve | c::SYS_execveat => exec::exec(regs),
        c::SYS_prctl | c::SYS_seccomp => process::seccomp(regs),
        _ => NATIVE,
    }
}

/// On the program's stack with its own mask, holding nothing.
pub fn wait(regs: &mut Regs) {
    if carry_pipe::waits(regs) {
        carry_pipe::wait(regs);
    } else {
        crate::txn::wait_outside();
    }
}

/// On the program's stack with its own mask, after `heavy`.
pub fn finish(regs: &mut Regs) -> usize {
    process::finish_seccomp(regs)
}

/// The exit_group place: lets this process's transactions end and settles what its descriptors owe.
pub fn before_exit(regs: &mut Regs) {
    process::before_exit(regs);
}

/// Runs `f` with TX held, unless this is a guest.
pub fn locked<T>(f: impl FnOnce() -> T) -> T {
    let own = !guest();
    if own {
        TX.lock();
    }
    let r = f();
    if own {
        TX.unlock();
    }
    r
}

pub use quick::{cycles, forget_proofs, remember};

/// Copies a path argument and locates it. `None`: let the kernel refuse it.
fn locate_arg(
    dir: i32,
    addr: usize,
    last: crate::resolve::Last,
    path: &mut Path,
    loc: &mut Loc,
) -> Option<crate::resolve::Place> {
    copy_path(addr, path)?;
    Some(crate::resolve::locate(dir, path, last, loc))
}
