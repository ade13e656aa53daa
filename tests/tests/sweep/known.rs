//! What was once wrong and must not be again, and what is still wrong, each with its reason.
use crate::judge::Wrong;

/// Struck in every run: operation, each of its calls of that name, what happens.
pub const PINS: &[(&str, &str, &str)] = &[
    // The new file was left on leg B.
    ("create", "statx", "ENOSPC"),
    ("create_excl", "statx", "EMFILE"),
    // Capabilities were gone from the leg whose write was taken back, and from what a repair wrote.
    ("write_cap", "pwrite64", "EIO"),
    ("append_cap", "pwrite64", "ENOSPC"),
    ("write_cap", "pwrite64", "KILL"),
    ("append_cap", "write", "KILL"),
    // A part of it was repaired, and zeros stood for the rest.
    ("append_huge", "pwrite64", "KILL"),
    // Done on both legs, then undone on one, because a look at the result failed.
    ("punch", "fstat", "EIO"),
    ("collapse", "fstat", "EIO"),
    ("truncate_same", "utimensat", "EIO"),
    ("truncate_down", "utimensat", "EIO"),
    // Set to the present moment on both legs.
    ("futimens", "utimensat", "EPERM"),
    // A descriptor that could not be looked at was taken for none of the pair's.
    ("splice", "fstat", "EIO"),
    // The second leg's name was believed to be gone.
    ("unlink_linked", "unlinkat", "ENOENT"),
    // What could not be looked at was recorded as different.
    ("rename_dir", "openat2", "EIO"),
    ("exchange_dirs", "newfstatat", "EINTR"),
    // Taken back without the flags that it had.
    ("setflags", "ioctl", "EIO"),
    ("setflags", "fstat", "EIO"),
    // Taken for equal, although the second leg's exchange had been refused.
    ("exchange_dirs", "renameat2", "EPERM"),
    // An empty directory was made on leg A, and the full one stayed under its old name.
    ("rename_dir_deeper", "renameat2", "ENOENT"),
    // Replaced, and then undone as if nothing had been.
    ("rename_over_linked", "statx", "ENOENT"),
    ("mknod_file", "utimensat", "EINTR"),
];

/// A fault that is known: names with `|` between, `*` for any.
pub struct Known {
    op: &'static str,
    call: &'static str,
    strike: &'static str,
    what: Wrong,
    pub reason: &'static str,
}

impl Known {
    pub fn is(&self, op: &str, call: &str, strike: &str, what: Wrong) -> bool {
        let one =
            |pattern: &str, name: &str| pattern == "*" || pattern.split('|').any(|p| p == name);
        one(self.op, op) && one(self.call, call) && one(self.strike, strike) && self.what == what
    }
}

pub const KNOWN: &[Known] = &[
    Known {
        op: "setflags",
        call: "*",
        strike: "KILL|AFTER",
        what: Wrong::Silent,
        reason: "no repair carries flags: each file system has its own among them (docs/LIMITS.md)",
    },
    Known {
        op: "splice",
        call: "splice",
        strike: "EIO+|EPERM+",
        what: Wrong::Died,
        reason: "a move between two pipes is tried again until it succeeds; the kernel does not refuse one",
    },
    Known {
        op: "exec_dirty",
        call: "pread64|pread|openat|openat2|fstat|statx|newfstatat|access",
        strike: "*",
        what: Wrong::False,
        reason: "a program whose file cannot be read is taken for one that the library does not cover",
    },
    Known {
        op: "rename_dir|rename_dir_deeper|rename_dir_over|exchange_dirs|exchange_mixed",
        call: "openat2|newfstatat",
        strike: "ENOENT",
        what: Wrong::False,
        reason: "the kernel says of an object that it is not there, and it is",
    },
];
