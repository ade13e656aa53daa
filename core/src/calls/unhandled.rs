//! The calls that the mirror does not see, each with its reason.

/// Why a call is left to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Reads files or asks about them; changes neither data nor attributes.
    ReadsFiles,
    /// Works on pipes alone.
    Pipes,
    /// Locks of the program: they are taken on the first leg's file.
    Locks,
    /// Flushes both legs anyway.
    Flushes,
    /// Memory: which files are mapped does not change, nor what of them.
    Memory,
    /// Sockets, timers and other descriptors that are no files.
    Descriptors,
    /// Receives descriptors: a file of a pair is recognised at the first change through it.
    Received,
    /// Processes, threads, rights and scheduling.
    Process,
    /// Signals and what processes tell each other.
    Signals,
    /// Clocks and timers.
    Time,
    /// The machine as a whole.
    System,
    /// Not implemented by any kernel that the library runs on.
    Gone,
    /// Works on a ring whose setup is refused.
    RingRefused,
    /// Can change a file of a pair and is not seen; docs/LIMITS.md says so.
    Unseen,
}

/// All other calls of Linux 6.17 on x86-64: (name, number), by reason.
#[rustfmt::skip]
pub const UNHANDLED: &[(Why, &[(&str, u32)])] = &[
    (Why::ReadsFiles, &[
        ("read", 0), ("pread64", 17), ("readv", 19), ("preadv", 295), ("preadv2", 327), ("readahead", 187),
        ("lseek", 8), ("fstat", 5), ("statfs", 137), ("fstatfs", 138), ("ustat", 136), ("getcwd", 79),
        ("getxattr", 191), ("lgetxattr", 192), ("fgetxattr", 193), ("getxattrat", 464), ("listxattr", 194),
        ("llistxattr", 195), ("flistxattr", 196), ("listxattrat", 465), ("name_to_handle_at", 303),
        ("file_getattr", 468), ("fadvise64", 221), ("cachestat", 451), ("statmount", 457),
        ("listmount", 458), ("sysfs", 139), ("lookup_dcookie", 212),
    ]),
    (Why::Pipes, &[
        ("pipe", 22), ("pipe2", 293), ("tee", 276), ("vmsplice", 278),
    ]),
    (Why::Locks, &[
        ("flock", 73),
    ]),
    (Why::Flushes, &[
        ("sync", 162),
    ]),
    (Why::Memory, &[
        ("mincore", 27), ("mlock", 149),
        ("mlock2", 325), ("munlock", 150), ("mlockall", 151), ("munlockall", 152), ("mbind", 237),
        ("set_mempolicy", 238), ("get_mempolicy", 239), ("set_mempolicy_home_node", 450),
        ("migrate_pages", 256), ("move_pages", 279), ("memfd_create", 319),
        ("memfd_secret", 447), ("pkey_alloc", 330), ("pkey_free", 331),
        ("map_shadow_stack", 453), ("mseal", 462), ("membarrier", 324), ("process_vm_readv", 310),
        ("process_mrelease", 448), ("shmget", 29), ("shmat", 30), ("shmctl", 31),
    ]),
    (Why::Descriptors, &[
        ("socket", 41), ("socketpair", 53), ("connect", 42), ("accept", 43), ("accept4", 288),
        ("listen", 50), ("shutdown", 48), ("getsockname", 51), ("getpeername", 52), ("getsockopt", 55),
        ("setsockopt", 54), ("sendto", 44), ("recvfrom", 45),
        ("epoll_create", 213), ("epoll_create1", 291), ("epoll_ctl", 233), ("epoll_ctl_old", 214),
        ("epoll_wait", 232), ("epoll_wait_old", 215), ("select", 23), ("poll", 7), ("eventfd", 284),
        ("eventfd2", 290), ("signalfd", 282), ("signalfd4", 289), ("timerfd_create", 283),
        ("timerfd_settime", 286), ("timerfd_gettime", 287), ("inotify_init", 253), ("inotify_init1", 294),
        ("inotify_add_watch", 254), ("inotify_rm_watch", 255), ("fanotify_init", 300),
        ("fanotify_mark", 301), ("perf_event_open", 298), ("bpf", 321), ("pidfd_open", 434),
        ("pidfd_send_signal", 424), ("mq_open", 240), ("mq_unlink", 241), ("mq_timedsend", 242),
        ("mq_timedreceive", 243), ("mq_notify", 244), ("mq_getsetattr", 245),
    ]),
    (Why::Received, &[
        ("recvmsg", 47), ("recvmmsg", 299),
    ]),
    (Why::Process, &[
        ("getpid", 39), ("gettid", 186), ("getppid", 110), ("getpgrp", 111), ("getpgid", 121),
        ("setpgid", 109), ("getsid", 124), ("setsid", 112), ("exit", 60), ("wait4", 61), ("waitid", 247),
        ("getuid", 102), ("geteuid", 107), ("getgid", 104), ("getegid", 108), ("getgroups", 115),
        ("getresuid", 118), ("getresgid", 120), ("setgid", 106), ("setregid", 114), ("setresgid", 119),
        ("setgroups", 116), ("setfsgid", 123), ("setfsuid", 122), ("capget", 125), ("capset", 126),
        ("umask", 95), ("getrlimit", 97), ("getrusage", 98), ("times", 100), ("personality", 135),
        ("getpriority", 140), ("setpriority", 141), ("ioprio_get", 252), ("ioprio_set", 251),
        ("sched_yield", 24), ("sched_setparam", 142), ("sched_getparam", 143), ("sched_setscheduler", 144),
        ("sched_getscheduler", 145), ("sched_get_priority_max", 146), ("sched_get_priority_min", 147),
        ("sched_rr_get_interval", 148), ("sched_setaffinity", 203), ("sched_getaffinity", 204),
        ("sched_setattr", 314), ("sched_getattr", 315), ("arch_prctl", 158), ("modify_ldt", 154),
        ("set_thread_area", 205), ("get_thread_area", 211), ("set_tid_address", 218),
        ("set_robust_list", 273), ("get_robust_list", 274), ("rseq", 334), ("kcmp", 312), ("getcpu", 309),
        ("landlock_create_ruleset", 444), ("landlock_add_rule", 445), ("landlock_restrict_self", 446),
        ("lsm_get_self_attr", 459), ("lsm_set_self_attr", 460), ("lsm_list_modules", 461),
        ("uretprobe", 335), ("uprobe", 336), ("restart_syscall", 219), ("iopl", 172), ("ioperm", 173),
    ]),
    (Why::Signals, &[
        ("kill", 62), ("tkill", 200), ("tgkill", 234), ("rt_sigqueueinfo", 129), ("rt_tgsigqueueinfo", 297),
        ("rt_sigpending", 127), ("rt_sigtimedwait", 128), ("rt_sigreturn", 15),
        ("pause", 34), ("alarm", 37), ("setitimer", 38), ("getitimer", 36), ("futex", 202),
        ("futex_waitv", 449), ("futex_wake", 454), ("futex_wait", 455), ("futex_requeue", 456),
        ("semget", 64), ("semop", 65), ("semtimedop", 220), ("semctl", 66), ("msgget", 68), ("msgsnd", 69),
        ("msgrcv", 70), ("msgctl", 71),
    ]),
    (Why::Time, &[
        ("nanosleep", 35), ("clock_nanosleep", 230), ("time", 201), ("gettimeofday", 96),
        ("settimeofday", 164), ("adjtimex", 159), ("clock_adjtime", 305), ("clock_gettime", 228),
        ("clock_settime", 227), ("clock_getres", 229), ("timer_create", 222), ("timer_settime", 223),
        ("timer_gettime", 224), ("timer_getoverrun", 225), ("timer_delete", 226),
    ]),
    (Why::System, &[
        ("uname", 63), ("sysinfo", 99), ("syslog", 103), ("sethostname", 170), ("setdomainname", 171),
        ("reboot", 169), ("vhangup", 153), ("getrandom", 318), ("init_module", 175), ("finit_module", 313),
        ("delete_module", 176), ("kexec_load", 246), ("kexec_file_load", 320), ("add_key", 248),
        ("request_key", 249), ("keyctl", 250), ("quotactl_fd", 443), ("open_tree", 428),
        ("open_tree_attr", 467), ("fsopen", 430), ("fsmount", 432), ("fspick", 433),
        ("mount_setattr", 442),
    ]),
    (Why::Gone, &[
        ("uselib", 134), ("_sysctl", 156), ("create_module", 174), ("get_kernel_syms", 177),
        ("query_module", 178), ("nfsservctl", 180), ("getpmsg", 181), ("putpmsg", 182),
        ("afs_syscall", 183), ("tuxcall", 184), ("security", 185), ("vserver", 236),
    ]),
    (Why::RingRefused, &[
        ("io_destroy", 207), ("io_getevents", 208), ("io_pgetevents", 333), ("io_submit", 209),
        ("io_cancel", 210),
    ]),
    (Why::Unseen, &[
        ("io_uring_enter", 426), ("io_uring_register", 427), ("process_vm_writev", 311),
        ("swapoff", 168),
    ]),
];
