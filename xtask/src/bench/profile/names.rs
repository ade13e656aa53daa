//! Names of system calls that a profile may show.

macro_rules! calls {
    ($($name:ident)*) => {
        const CALLS: &[(&str, i64)] = &[$((stringify!($name), libc::$name)),*];
    };
}

calls! {
    SYS_read SYS_write SYS_open SYS_close SYS_stat SYS_fstat SYS_lstat SYS_lseek SYS_mmap SYS_mprotect
    SYS_munmap SYS_brk SYS_rt_sigaction SYS_rt_sigprocmask SYS_pread64 SYS_pwrite64 SYS_readv
    SYS_writev SYS_access SYS_getpid SYS_fcntl SYS_flock SYS_fsync SYS_fdatasync SYS_truncate
    SYS_ftruncate SYS_getdents64 SYS_getcwd SYS_rename SYS_mkdir SYS_rmdir SYS_creat SYS_link
    SYS_unlink SYS_symlink SYS_readlink SYS_chmod SYS_fchmod SYS_chown SYS_fchown SYS_umask
    SYS_getuid SYS_geteuid SYS_getppid SYS_getrlimit SYS_setrlimit SYS_gettid SYS_futex SYS_openat
    SYS_mkdirat SYS_newfstatat SYS_unlinkat SYS_renameat SYS_renameat2 SYS_linkat SYS_symlinkat
    SYS_readlinkat SYS_fchmodat SYS_faccessat SYS_utimensat SYS_fallocate SYS_dup SYS_dup2 SYS_dup3
    SYS_prlimit64 SYS_statx SYS_openat2 SYS_close_range SYS_faccessat2 SYS_eventfd2 SYS_getrandom
    SYS_sched_yield SYS_nanosleep SYS_clock_nanosleep SYS_statfs SYS_fstatfs SYS_sync_file_range
    SYS_rseq SYS_membarrier
}

/// A call's name.
pub fn of(number: i64) -> String {
    let found = CALLS.iter().find(|(_, n)| *n == number);
    found.map_or_else(
        || format!("call {number}"),
        |(name, _)| name.trim_start_matches("SYS_").to_owned(),
    )
}

/// A call's number.
pub fn number(name: &str) -> Option<i64> {
    let found = CALLS
        .iter()
        .find(|(n, _)| n.strip_prefix("SYS_") == Some(name));
    found.map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_fit() {
        assert_eq!(
            (of(libc::SYS_flock).as_str(), number("flock")),
            ("flock", Some(libc::SYS_flock))
        );
        assert_eq!((of(9999).as_str(), number("no")), ("call 9999", None));
    }
}
