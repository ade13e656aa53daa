//! What is done with an intercepted call, by family.
//!
//! Rules: `filter` runs on the program's stack with the program's signals, in a few hundred bytes;
//! it only decides, except for calls that touch nothing of ours. `heavy` runs on a scratch stack with
//! all signals blocked. A call that is not ours, and every call that may block, is executed at its
//! own address (NATIVE).
use crate::calls::args::{SYS_FCHMODAT2, SYS_REMOVEXATTRAT, SYS_SETXATTRAT, reader_path};
use crate::calls::attributes::marks::SYS_FILE_SETATTR;
use crate::calls::attributes::set;
use crate::calls::data::{flags, fsync, resize, write};
use crate::calls::exec::{call, count};
use crate::calls::names::{one, two};
use crate::calls::open::change;
use crate::calls::range::{copy, pipe};
use crate::calls::{descriptors, ioctls, process, quick, quick_fd, readers, sandbox};
use crate::net::signals;
use crate::process::actor::guest;
use crate::regs::{HEAVY, NATIVE, Regs, arg, fail, fd_arg};
use crate::tables::{BY_FD, FLAGS_1, FLAGS_2, PATH_0, PATH_1, WATCHED};
use core::sync::atomic::{AtomicU8, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::unmirrored::Kind;

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
        c::SYS_close => descriptors::close_filter(regs),
        c::SYS_dup2 | c::SYS_dup3 => descriptors::dup_filter(regs),
        c::SYS_fcntl => descriptors::fcntl_filter(regs),
        c::SYS_close_range => descriptors::close_range_filter(regs),
        c::SYS_mmap => readers::mmap_filter(regs),
        c::SYS_mprotect | c::SYS_pkey_mprotect => readers::mprotect_filter(regs),
        c::SYS_munmap | c::SYS_brk | c::SYS_mremap | c::SYS_shmdt => readers::pages_go(regs),
        c::SYS_getdents64 | c::SYS_getdents => readers::getdents(regs),
        c::SYS_io_uring_setup | c::SYS_io_setup => fail(regs, Errno::ENOSYS),
        c::SYS_vfork | c::SYS_clone | c::SYS_clone3 | c::SYS_fork => process::clone_filter(regs),
        c::SYS_ioctl => ioctls::filter(regs),
        // What it opens is recognised at its first change; only emptying cannot wait.
        c::SYS_open_by_handle_at if arg(regs, 2) & c::O_TRUNC as usize == 0 => NATIVE,
        c::SYS_copy_file_range | c::SYS_sendfile | c::SYS_splice => copy::filter(regs),
        c::SYS_prlimit64 | c::SYS_setrlimit => process::limit_filter(regs),
        c::SYS_prctl | c::SYS_seccomp => process::seccomp_filter(regs),
        c::SYS_rt_sigaction => signals::action(regs),
        c::SYS_rt_sigprocmask => signals::mask(regs),
        c::SYS_rt_sigsuspend
        | c::SYS_ppoll
        | c::SYS_pselect6
        | c::SYS_epoll_pwait
        | c::SYS_epoll_pwait2 => signals::waits(regs),
        c::SYS_unlink | c::SYS_mkdir | c::SYS_mknod | c::SYS_lchown => {
            quick::one_path(c::AT_FDCWD, arg(regs, 0))
        }
        c::SYS_lsetxattr | c::SYS_lremovexattr => quick::one_path(c::AT_FDCWD, arg(regs, 0)),
        c::SYS_mkdirat | c::SYS_mknodat => quick::one_path(fd_arg(regs, 0), arg(regs, 1)),
        c::SYS_rmdir => quick::goes(c::AT_FDCWD, arg(regs, 0)),
        c::SYS_unlinkat if arg(regs, 2) == 0 => quick::one_path(fd_arg(regs, 0), arg(regs, 1)),
        c::SYS_unlinkat => quick::goes(fd_arg(regs, 0), arg(regs, 1)),
        c::SYS_symlink => quick::symlink(c::AT_FDCWD, arg(regs, 1)),
        c::SYS_symlinkat => quick::symlink(fd_arg(regs, 1), arg(regs, 2)),
        c::SYS_rename | c::SYS_link => {
            quick::two_paths((c::AT_FDCWD, arg(regs, 0)), (c::AT_FDCWD, arg(regs, 1)))
        }
        c::SYS_renameat | c::SYS_renameat2 => quick::two_paths(
            (fd_arg(regs, 0), arg(regs, 1)),
            (fd_arg(regs, 2), arg(regs, 3)),
        ),
        c::SYS_linkat if arg(regs, 4) as u32 == 0 => quick::two_paths(
            (fd_arg(regs, 0), arg(regs, 1)),
            (fd_arg(regs, 2), arg(regs, 3)),
        ),
        c::SYS_chmod
        | c::SYS_chown
        | c::SYS_truncate
        | c::SYS_utime
        | c::SYS_utimes
        | c::SYS_setxattr
        | c::SYS_removexattr => quick::leads(c::AT_FDCWD, arg(regs, 0)),
        c::SYS_fchmodat => quick::leads(fd_arg(regs, 0), arg(regs, 1)),
        c::SYS_futimesat if arg(regs, 1) != 0 => quick::leads(fd_arg(regs, 0), arg(regs, 1)),
        c::SYS_utimensat if arg(regs, 1) != 0 => quick::attribute(regs, arg(regs, 3)),
        c::SYS_fchownat => quick::attribute(regs, arg(regs, 4)),
        SYS_FCHMODAT2 => quick::attribute(regs, arg(regs, 3)),
        c::SYS_utimensat if quick_fd::is_out(fd_arg(regs, 0)) => NATIVE,
        nr if by_fd(nr) && quick_fd::is_out(fd_arg(regs, 0)) => NATIVE,
        _ => HEAVY,
    }
}

/// On the scratch stack: NATIVE, DONE or WAIT.
pub fn heavy(regs: &mut Regs) -> usize {
    if crate::net::owes() && !guest() {
        count::count_self(Kind::OwnCalls);
    }
    // Beside the number it carries what its wait came to.
    if regs.nr as u32 as i64 == c::SYS_splice {
        return pipe::splice(regs);
    }
    if by_fd(regs.nr as i64) && crate::config::is_ours(fd_arg(regs, 0)) && descriptors::any() {
        return fail(regs, Errno::EBADF);
    }
    match regs.nr as i64 {
        c::SYS_open | c::SYS_openat | c::SYS_creat | c::SYS_openat2 => change::open(regs),
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
            write::write(regs)
        }
        c::SYS_ftruncate | c::SYS_fallocate => resize::resize(regs),
        c::SYS_fsync | c::SYS_fdatasync | c::SYS_sync_file_range | c::SYS_syncfs => {
            fsync::sync(regs)
        }
        c::SYS_copy_file_range | c::SYS_sendfile => copy::copy(regs),
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
        | c::SYS_fremovexattr => set::attribute(regs),
        c::SYS_unlink
        | c::SYS_unlinkat
        | c::SYS_rmdir
        | c::SYS_mkdir
        | c::SYS_mkdirat
        | c::SYS_mknod
        | c::SYS_mknodat
        | c::SYS_symlink
        | c::SYS_symlinkat
        | c::SYS_bind => one::one(regs),
        c::SYS_rename | c::SYS_renameat | c::SYS_renameat2 | c::SYS_link | c::SYS_linkat => {
            two::two(regs)
        }
        c::SYS_close => descriptors::close(regs),
        c::SYS_fcntl if arg(regs, 1) as i32 == c::F_SETFL => flags::set_flags(regs),
        c::SYS_dup | c::SYS_dup2 | c::SYS_dup3 | c::SYS_fcntl => descriptors::dup(regs),
        c::SYS_close_range => descriptors::close_range(regs),
        c::SYS_mmap => readers::mmap(regs),
        c::SYS_mprotect | c::SYS_pkey_mprotect => readers::mprotect(regs),
        c::SYS_chdir | c::SYS_fchdir | c::SYS_chroot => process::chdir(regs),
        c::SYS_unshare => process::unshare(regs),
        c::SYS_setns | c::SYS_mount | c::SYS_umount2 | c::SYS_pivot_root | c::SYS_move_mount => {
            process::other_mounts()
        }
        c::SYS_open_by_handle_at => change::by_handle(regs),
        c::SYS_setuid | c::SYS_setreuid | c::SYS_setresuid => process::new_user(regs),
        c::SYS_fork | c::SYS_clone => process::fork(regs),
        c::SYS_prlimit64 | c::SYS_setrlimit => process::limit(regs),
        c::SYS_execve | c::SYS_execveat => call::exec(regs),
        c::SYS_prctl | c::SYS_seccomp => sandbox::install(regs),
        _ => NATIVE,
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
    sandbox::finish(regs)
}

/// In the net's handler: whether it is done, and the call is to be made behind it.
pub fn finish_ahead() -> bool {
    sandbox::ahead()
}

/// The exit_group place: lets this process's transactions end and settles what its descriptors owe.
pub fn before_exit(regs: &mut Regs) {
    process::before_exit(regs);
}
