//! What was once wrong and must not be again.

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
    // The second leg lacked the flags, and nothing said so.
    ("setflags", "ioctl", "KILL"),
    ("setflags", "flock", "KILL"),
    ("setxflags", "ioctl", "KILL"),
    ("setxflags", "flock", "KILL"),
    // Tried again for ever.
    ("splice", "splice", "EIO+"),
    ("splice", "splice", "EPERM+"),
    // A program was taken for one that the library does not cover, since one look at it failed.
    ("exec_dirty", "pread64", "EIO"),
    // Where blocks are shared: nothing was copied, since the source's size was not known.
    ("clone", "fstat", "EIO+"),
    // Taken for a directory without a name, and changed on the addressed leg alone.
    ("fchmod_dir", "newfstatat", "EIO+"),
    ("setflags_dir", "newfstatat", "EPERM+"),
    // Recorded as different, since one look did not find it.
    ("rename_dir", "openat2", "ENOENT"),
    ("rename_dir", "statx", "ENOENT"),
    // An empty file's set-id bits and capabilities were gone from the leg that had been emptied.
    ("open_trunc_empty", "ftruncate", "EIO"),
    ("reopen_trunc_empty", "ftruncate", "ENOSPC"),
    // Emptied on both legs before its partner was installed: neither had them any more.
    ("reopen_trunc_empty", "dup3", "EMFILE"),
    // A link of /proc that could not be read was taken for none, and the file opened on one leg alone.
    ("reopen_trunc_empty", "readlinkat", "EIO"),
    ("reopen_trunc_empty", "readlinkat", "ENOENT"),
    ("reopen_trunc_empty", "openat", "EIO"),
    // One call's ENOENT was the proof that the text leads nowhere.
    ("reopen_trunc_empty", "openat2", "ENOENT"),
];
