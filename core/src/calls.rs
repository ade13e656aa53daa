//! The system calls that the mirror must see, as data: one list for the command, which patches their
//! sites, and for the library, which handles them.
//!
//! Rules of this file: one row per call; `required` means that a libc in which a site of this call
//! cannot be patched is not covered at all, and preparing it fails. Whoever changes the list raises
//! [`crate::image::VERSION`]: images made before have other sites.

/// One wanted system call.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Name as in the kernel's table.
    pub name: &'static str,
    /// x86-64 number.
    pub nr: u32,
    /// A site that cannot be patched is an error.
    pub required: bool,
}

const fn must(name: &'static str, nr: u32) -> Wanted {
    Wanted {
        name,
        nr,
        required: true,
    }
}
const fn may(name: &'static str, nr: u32) -> Wanted {
    Wanted {
        name,
        nr,
        required: false,
    }
}

/// All wanted calls.
pub const WANTED: &[Wanted] = &[
    // descriptors and data
    must("write", 1),
    must("open", 2),
    must("close", 3),
    must("mmap", 9),
    may("mprotect", 10),
    may("pkey_mprotect", 329),
    may("ioctl", 16),
    must("pwrite64", 18),
    must("writev", 20),
    must("dup", 32),
    must("dup2", 33),
    must("sendfile", 40),
    must("fcntl", 72),
    must("fsync", 74),
    must("fdatasync", 75),
    must("truncate", 76),
    must("ftruncate", 77),
    must("creat", 85),
    must("openat", 257),
    must("splice", 275),
    must("sync_file_range", 277),
    must("fallocate", 285),
    must("dup3", 292),
    must("pwritev", 296),
    may("open_by_handle_at", 304),
    must("syncfs", 306),
    must("copy_file_range", 326),
    must("pwritev2", 328),
    must("close_range", 436),
    must("openat2", 437),
    may("io_setup", 206),
    may("io_uring_setup", 425),
    // names
    may("getdents", 78),
    may("getdents64", 217),
    must("rename", 82),
    must("mkdir", 83),
    must("rmdir", 84),
    must("link", 86),
    must("unlink", 87),
    must("symlink", 88),
    must("mknod", 133),
    must("mkdirat", 258),
    must("mknodat", 259),
    must("unlinkat", 263),
    must("renameat", 264),
    must("linkat", 265),
    must("symlinkat", 266),
    must("renameat2", 316),
    may("bind", 49),
    // calls that only look: the control folder does not exist for a program
    may("stat", 4),
    may("lstat", 6),
    may("access", 21),
    may("readlink", 89),
    may("newfstatat", 262),
    may("readlinkat", 267),
    may("faccessat", 269),
    may("statx", 332),
    may("faccessat2", 439),
    // attributes
    must("chmod", 90),
    must("fchmod", 91),
    must("chown", 92),
    must("fchown", 93),
    must("lchown", 94),
    must("utime", 132),
    must("setxattr", 188),
    must("lsetxattr", 189),
    must("fsetxattr", 190),
    must("removexattr", 197),
    must("lremovexattr", 198),
    must("fremovexattr", 199),
    must("utimes", 235),
    must("fchownat", 260),
    must("futimesat", 261),
    must("fchmodat", 268),
    must("utimensat", 280),
    must("fchmodat2", 452),
    may("setxattrat", 463),
    may("removexattrat", 466),
    may("file_setattr", 469),
    // where a process stands
    must("chdir", 80),
    must("fchdir", 81),
    must("chroot", 161),
    may("mount", 165),
    may("umount2", 166),
    may("pivot_root", 155),
    may("move_mount", 429),
    may("unshare", 272),
    may("setns", 308),
    // processes
    may("setuid", 105),
    may("setreuid", 113),
    may("setresuid", 117),
    must("clone", 56),
    must("fork", 57),
    must("vfork", 58),
    must("execve", 59),
    must("execveat", 322),
    must("clone3", 435),
    must("exit_group", EXIT_GROUP),
    // pages that go away: what was found readable is forgotten
    may("munmap", 11),
    may("brk", 12),
    may("mremap", 25),
    may("shmdt", 67),
    // limits and sandboxes
    may("setrlimit", 160),
    must("prlimit64", 302),
    may("prctl", 157),
    may("seccomp", 317),
    // signals: the net's own must not be blocked or taken (see `FOR_THE_NET`)
    must("rt_sigaction", 13),
    must("rt_sigprocmask", 14),
    may("rt_sigsuspend", 130),
    may("pselect6", 270),
    may("ppoll", 271),
    may("epoll_pwait", 281),
    may("epoll_pwait2", 441),
];

/// Wanted only in a process with the net (system call user dispatch).
pub const FOR_THE_NET: [u32; 7] = [13, 14, 130, 270, 271, 281, 441];

/// exit_group has a place of its own in libc.
pub const EXIT_GROUP: u32 = 231;

/// The row of a number, if it is wanted.
pub fn wanted(nr: u32) -> Option<&'static Wanted> {
    WANTED.iter().find(|w| w.nr == nr)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    /// The library's two dispatchers, as text: it is no_std and has no tests of its own.
    const LIBRARY: &str = include_str!("../../shim/src/calls/dispatch.rs");

    /// What stands between a function's beginning and the next one's.
    fn body(name: &str) -> &'static str {
        let at = LIBRARY.find(name).expect("a dispatcher");
        let rest = &LIBRARY[at..];
        &rest[..rest.find("\n}\n").expect("its end")]
    }

    #[test]
    fn every_wanted_call_is_handled_and_every_handled_one_is_wanted() {
        let code: String = [body("pub fn filter("), body("pub fn heavy(")].concat();
        let named: std::vec::Vec<&str> = code
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter_map(|w| w.strip_prefix("SYS_"))
            .collect();
        let is = |name: &str, call: &&str| call.eq_ignore_ascii_case(name);
        for w in WANTED.iter().filter(|w| w.nr != EXIT_GROUP) {
            assert!(
                named.iter().any(|n| is(w.name, n)),
                "{} is patched and handled by nobody",
                w.name
            );
        }
        for n in &named {
            assert!(
                WANTED.iter().any(|w| is(w.name, n)),
                "{n} is handled and not in the table"
            );
        }
    }

    #[test]
    fn names_and_numbers_are_the_kernels_and_unique() {
        for (i, w) in WANTED.iter().enumerate() {
            assert!(w.nr < 512, "{}", w.name);
            let twice = |o: &Wanted| o.nr == w.nr || o.name == w.name;
            assert!(!WANTED[i + 1..].iter().any(twice), "{}", w.name);
        }
    }
}
