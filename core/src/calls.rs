//! The table of system calls: which ones the mirror sees, and why it need not see the others.
//!
//! Rules of this file: one row per call, and every call of the kernel has one, here or in
//! [`UNHANDLED`](unhandled::UNHANDLED). The command patches libc by it, the library dispatches by it, and
//! an image made by another table is refused ([`HASH`]). A new call is a row here and, if no family fits,
//! an arm in the library's dispatcher.
//!
//! Source of names, numbers and arguments: the kernel's `syscall_64.tbl` and `asm-generic/unistd.h`, and
//! section 2 of the manual.
mod unhandled;

pub use unhandled::{UNHANDLED, Why};

/// What one argument of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A number, flags, or an address that is not followed.
    Int,
    /// A descriptor.
    Fd,
    /// A directory's descriptor (or `AT_FDCWD`) for the path that follows.
    Dir,
    /// A path.
    Path,
    /// An address that the kernel reads.
    In,
    /// An address that the kernel writes.
    Out,
    /// An address that the kernel reads and writes.
    InOut,
}

/// What libc must give up for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A site of this call that cannot be patched means that libc is not covered: preparing it fails.
    Must,
    /// Patched where it can be.
    May,
}

/// What the pre-filter looks at, before anything of the program's stack is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreFilter {
    /// Nothing: always asks the library.
    No,
    /// The first argument is a descriptor: native if it is known not to be ours.
    Fd,
    /// The first argument is a path: native unless the control folder may be named in it.
    Path0,
    /// The second argument is such a path.
    Path1,
    /// Opens by its first argument, flags in the second.
    Open1,
    /// Opens by its second argument, flags in the third.
    Open2,
}

/// Who handles a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Writes data through a descriptor.
    Data,
    /// Changes a file's size or allocation through a descriptor.
    Resize,
    /// Makes data durable.
    Sync,
    /// ioctl(2); [`crate::ioctls`] has its own table.
    Ioctl,
    /// The kernel moves data between two descriptors.
    RangeCopy,
    /// The same where one of them is a pipe.
    Splice,
    /// Opens by a path.
    Open,
    /// Opens by a file handle.
    OpenHandle,
    /// Closes a descriptor.
    Close,
    /// Closes many.
    CloseRange,
    /// Makes another descriptor of an open file.
    Duplicate,
    /// fcntl(2): duplicates, and changes O_APPEND.
    Fcntl,
    /// Makes or removes one name.
    Entry,
    /// Renames or links: two names.
    TwoNames,
    /// Changes attributes, by a path or a descriptor.
    Attribute,
    /// Only looks at what a path names.
    Look,
    /// Lists a directory.
    List,
    /// Maps a file.
    Map,
    /// Changes what a mapping allows.
    Protect,
    /// Makes stores through a mapping durable.
    Msync,
    /// Takes pages away.
    Pages,
    /// Changes the working directory or the root.
    Stand,
    /// Parts what threads share.
    Unshare,
    /// Changes which mounts are seen.
    Mounts,
    /// Changes what another process does.
    Trace,
    /// A descriptor of another process's is taken out of it.
    Take,
    /// Gives files to the kernel, which writes them by itself.
    Lend,
    /// Makes a process or a thread.
    Fork,
    /// Sends messages: descriptors may be among them.
    Message,
    /// Starts another program.
    Exec,
    /// Ends the process; it has an entry of its own.
    Exit,
    /// Gives up rights.
    User,
    /// Changes or asks a limit.
    Limit,
    /// Locks the process in.
    Sandbox,
    /// Lets another thread, or process, provide memory that is touched.
    Pager,
    /// Sets up a ring that writes past every call: refused.
    Ring,
    /// Takes a signal mask or an action; seen only in a process with the net.
    Signals,
}

/// One call of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which one.
    pub call: Call,
    /// Number on x86-64.
    pub x86_64: u32,
    /// Number on aarch64, if the call exists there.
    pub aarch64: Option<u32>,
    /// Whether its sites must be patched.
    pub need: Need,
    /// Who handles it.
    pub family: Family,
    /// What is looked at first.
    pub pre: PreFilter,
    operands: ([Operand; 6], u8),
}

const fn list(given: &[Operand]) -> ([Operand; 6], u8) {
    let mut all = [Operand::Int; 6];
    let mut i = 0;
    while i < given.len() {
        all[i] = given[i];
        i += 1;
    }
    (all, given.len() as u8)
}

macro_rules! number {
    (-) => {
        None
    };
    ($n:literal) => {
        Some($n)
    };
}
macro_rules! need {
    (must) => {
        Need::Must
    };
    (may) => {
        Need::May
    };
}
macro_rules! table {
    ($($call:ident, $name:literal, $x86:literal, $arm:tt, $need:ident, $family:ident, $pre:ident,
       [$($op:ident),*];)*) => {
        /// A call that the mirror sees.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Call {
            $(#[doc = concat!($name, "(2)")] $call,)*
        }
        /// All calls that the mirror sees, in the order of [`Call`].
        pub const TABLE: &[Row] = &[
            $(Row {
                call: Call::$call,
                x86_64: $x86,
                aarch64: number!($arm),
                need: need!($need),
                family: Family::$family,
                pre: PreFilter::$pre,
                operands: list(&[$(Operand::$op),*]),
            },)*
        ];
        /// Their names: apart, because a table without addresses needs no relocation at the start of
        /// a program.
        const NAMES: [&str; TABLE.len()] = [$($name),*];
    };
}

#[rustfmt::skip]
table! {
    // call           name                 x86-64 aarch64   family      pre-filter  operands
    // data through a descriptor
    Write,           "write",             1,  64, must, Data,       Fd,    [Fd, In, Int];
    Writev,          "writev",            20,  66, must, Data,       Fd,    [Fd, In, Int];
    Pwrite64,        "pwrite64",          18,  68, must, Data,       Fd,    [Fd, In, Int, Int];
    Pwritev,         "pwritev",           296,  70, must, Data,       Fd,    [Fd, In, Int, Int, Int];
    Pwritev2,        "pwritev2",          328, 287, must, Data,       Fd,    [Fd, In, Int, Int, Int, Int];
    Ftruncate,       "ftruncate",         77,  46, must, Resize,     Fd,    [Fd, Int];
    Fallocate,       "fallocate",         285,  47, must, Resize,     Fd,    [Fd, Int, Int, Int];
    Fsync,           "fsync",             74,  82, must, Sync,       Fd,    [Fd];
    Fdatasync,       "fdatasync",         75,  83, must, Sync,       Fd,    [Fd];
    SyncFileRange,   "sync_file_range",   277,  84, must, Sync,       Fd,    [Fd, Int, Int, Int];
    Syncfs,          "syncfs",            306, 267, must, Sync,       Fd,    [Fd];
    Ioctl,           "ioctl",             16,  29, may,  Ioctl,      Fd,    [Fd, Int, InOut];
    CopyFileRange,   "copy_file_range",   326, 285, must, RangeCopy,  No,    [Fd, InOut, Fd, InOut, Int, Int];
    Sendfile,        "sendfile",          40,  71, must, RangeCopy,  No,    [Fd, Fd, InOut, Int];
    Splice,          "splice",            275,  76, must, Splice,     No,    [Fd, InOut, Fd, InOut, Int, Int];
    // opening, and descriptors
    Open,            "open",              2,   -, must, Open,       Open1, [Path, Int, Int];
    Openat,          "openat",            257,  56, must, Open,       Open2, [Dir, Path, Int, Int];
    Creat,           "creat",             85,   -, must, Open,       No,    [Path, Int];
    Openat2,         "openat2",           437, 437, must, Open,       No,    [Dir, Path, In, Int];
    OpenByHandleAt,  "open_by_handle_at", 304, 265, may,  OpenHandle, No,    [Fd, In, Int];
    Close,           "close",             3,  57, must, Close,      No,    [Fd];
    CloseRange,      "close_range",       436, 436, must, CloseRange, No,    [Int, Int, Int];
    Dup,             "dup",               32,  23, must, Duplicate,  Fd,    [Fd];
    Dup2,            "dup2",              33,   -, must, Duplicate,  No,    [Fd, Int];
    Dup3,            "dup3",              292,  24, must, Duplicate,  No,    [Fd, Int, Int];
    Fcntl,           "fcntl",             72,  25, must, Fcntl,      No,    [Fd, Int, InOut];
    // names
    Mkdir,           "mkdir",             83,   -, must, Entry,      No,    [Path, Int];
    Mkdirat,         "mkdirat",           258,  34, must, Entry,      No,    [Dir, Path, Int];
    Mknod,           "mknod",             133,   -, must, Entry,      No,    [Path, Int, Int];
    Mknodat,         "mknodat",           259,  33, must, Entry,      No,    [Dir, Path, Int, Int];
    Symlink,         "symlink",           88,   -, must, Entry,      No,    [In, Path];
    Symlinkat,       "symlinkat",         266,  36, must, Entry,      No,    [In, Dir, Path];
    Unlink,          "unlink",            87,   -, must, Entry,      No,    [Path];
    Unlinkat,        "unlinkat",          263,  35, must, Entry,      No,    [Dir, Path, Int];
    Rmdir,           "rmdir",             84,   -, must, Entry,      No,    [Path];
    Bind,            "bind",              49, 200, may,  Entry,      No,    [Fd, In, Int];
    Rename,          "rename",            82,   -, must, TwoNames,   No,    [Path, Path];
    Renameat,        "renameat",          264,  38, must, TwoNames,   No,    [Dir, Path, Dir, Path];
    Renameat2,       "renameat2",         316, 276, must, TwoNames,   No,    [Dir, Path, Dir, Path, Int];
    Link,            "link",              86,   -, must, TwoNames,   No,    [Path, Path];
    Linkat,          "linkat",            265,  37, must, TwoNames,   No,    [Dir, Path, Dir, Path, Int];
    // attributes
    Truncate,        "truncate",          76,  45, must, Attribute,  No,    [Path, Int];
    Chmod,           "chmod",             90,   -, must, Attribute,  No,    [Path, Int];
    Fchmod,          "fchmod",            91,  52, must, Attribute,  Fd,    [Fd, Int];
    Fchmodat,        "fchmodat",          268,  53, must, Attribute,  No,    [Dir, Path, Int];
    Fchmodat2,       "fchmodat2",         452, 452, must, Attribute,  No,    [Dir, Path, Int, Int];
    Chown,           "chown",             92,   -, must, Attribute,  No,    [Path, Int, Int];
    Fchown,          "fchown",            93,  55, must, Attribute,  Fd,    [Fd, Int, Int];
    Lchown,          "lchown",            94,   -, must, Attribute,  No,    [Path, Int, Int];
    Fchownat,        "fchownat",          260,  54, must, Attribute,  No,    [Dir, Path, Int, Int, Int];
    Utime,           "utime",             132,   -, must, Attribute,  No,    [Path, In];
    Utimes,          "utimes",            235,   -, must, Attribute,  No,    [Path, In];
    Futimesat,       "futimesat",         261,   -, must, Attribute,  No,    [Dir, Path, In];
    Utimensat,       "utimensat",         280,  88, must, Attribute,  No,    [Dir, Path, In, Int];
    Setxattr,        "setxattr",          188,   5, must, Attribute,  No,    [Path, In, In, Int, Int];
    Lsetxattr,       "lsetxattr",         189,   6, must, Attribute,  No,    [Path, In, In, Int, Int];
    Fsetxattr,       "fsetxattr",         190,   7, must, Attribute,  Fd,    [Fd, In, In, Int, Int];
    Setxattrat,      "setxattrat",        463, 463, may,  Attribute,  No,    [Dir, Path, Int, In, In, Int];
    Removexattr,     "removexattr",       197,  14, must, Attribute,  No,    [Path, In];
    Lremovexattr,    "lremovexattr",      198,  15, must, Attribute,  No,    [Path, In];
    Fremovexattr,    "fremovexattr",      199,  16, must, Attribute,  Fd,    [Fd, In];
    Removexattrat,   "removexattrat",     466, 466, may,  Attribute,  No,    [Dir, Path, Int, In];
    FileSetattr,     "file_setattr",      469, 469, may,  Attribute,  No,    [Dir, Path, In, Int, Int];
    // calls that only look: the control folder does not exist for a program
    Stat,            "stat",              4,   -, may,  Look,       Path0, [Path, Out];
    Lstat,           "lstat",             6,   -, may,  Look,       Path0, [Path, Out];
    Newfstatat,      "newfstatat",        262,  79, may,  Look,       Path1, [Dir, Path, Out, Int];
    Statx,           "statx",             332, 291, may,  Look,       Path1, [Dir, Path, Int, Int, Out];
    Access,          "access",            21,   -, may,  Look,       Path0, [Path, Int];
    Faccessat,       "faccessat",         269,  48, may,  Look,       Path1, [Dir, Path, Int];
    Faccessat2,      "faccessat2",        439, 439, may,  Look,       Path1, [Dir, Path, Int, Int];
    Readlink,        "readlink",          89,   -, may,  Look,       Path0, [Path, Out, Int];
    Readlinkat,      "readlinkat",        267,  78, may,  Look,       Path1, [Dir, Path, Out, Int];
    Getdents,        "getdents",          78,   -, may,  List,       No,    [Fd, Out, Int];
    Getdents64,      "getdents64",        217,  61, may,  List,       No,    [Fd, Out, Int];
    // mappings
    Mmap,            "mmap",              9, 222, must, Map,        No,    [Int, Int, Int, Int, Fd, Int];
    Mprotect,        "mprotect",          10, 226, must, Protect,    No,    [Int, Int, Int];
    PkeyMprotect,    "pkey_mprotect",     329, 288, may,  Protect,    No,    [Int, Int, Int, Int];
    Madvise,         "madvise",           28, 233, may,  Protect,    No,    [Int, Int, Int];
    ProcessMadvise,  "process_madvise",   440, 440, may,  Protect,    No,    [Fd, In, Int, Int, Int];
    Msync,           "msync",             26, 227, must, Msync,      No,    [Int, Int, Int];
    RemapFilePages,  "remap_file_pages",  216, 234, may, Pages,      No,    [Int, Int, Int, Int, Int];
    // pages that go away: what was found readable is forgotten
    Munmap,          "munmap",            11, 215, may,  Pages,      No,    [Int, Int];
    Mremap,          "mremap",            25, 216, must, Pages,      No,    [Int, Int, Int, Int, Int];
    Brk,             "brk",               12, 214, may,  Pages,      No,    [Int];
    Shmdt,           "shmdt",             67, 197, may,  Pages,      No,    [Int];
    // where a process stands
    Chdir,           "chdir",             80,  49, must, Stand,      No,    [Path];
    Fchdir,          "fchdir",            81,  50, must, Stand,      No,    [Fd];
    Chroot,          "chroot",            161,  51, must, Stand,      No,    [Path];
    Unshare,         "unshare",           272,  97, may,  Unshare,    No,    [Int];
    Setns,           "setns",             308, 268, may,  Mounts,     No,    [Fd, Int];
    Mount,           "mount",             165,  40, may,  Mounts,     No,    [In, Path, In, Int, In];
    Umount2,         "umount2",           166,  39, may,  Mounts,     No,    [Path, Int];
    PivotRoot,       "pivot_root",        155,  41, may,  Mounts,     No,    [Path, Path];
    MoveMount,       "move_mount",        429, 429, may,  Mounts,     No,    [Dir, Path, Dir, Path, Int];
    // the kernel writes these files by itself
    Fsconfig,        "fsconfig",          431, 431, may,  Lend,       No,    [Fd, Int, In, In, Int];
    Quotactl,        "quotactl",          179,  60, may,  Lend,       No,    [Int, In, Int, InOut];
    Swapon,          "swapon",            167, 224, may,  Lend,       No,    [Path, Int];
    Acct,            "acct",              163,  89, may,  Lend,       No,    [Path];
    PidfdGetfd,      "pidfd_getfd",       438, 438, may, Take,       No,    [Fd, Int, Int];
    Ptrace,          "ptrace",            101, 117, may,  Trace,      No,    [Int, Int, Int, Int];
    // processes
    Fork,            "fork",              57,   -, must, Fork,       No,    [];
    Vfork,           "vfork",             58,   -, must, Fork,       No,    [];
    Clone,           "clone",             56, 220, must, Fork,       No,    [Int, Int, Out, Out, Int];
    Clone3,          "clone3",            435, 435, must, Fork,       No,    [In, Int];
    Execve,          "execve",            59, 221, must, Exec,       No,    [Path, In, In];
    Execveat,        "execveat",          322, 281, must, Exec,       No,    [Dir, Path, In, In, Int];
    ExitGroup,       "exit_group",        231,  94, must, Exit,       No,    [Int];
    Setuid,          "setuid",            105, 146, may,  User,       No,    [Int];
    Setreuid,        "setreuid",          113, 145, may,  User,       No,    [Int, Int];
    Setresuid,       "setresuid",         117, 147, may,  User,       No,    [Int, Int, Int];
    Setrlimit,       "setrlimit",         160, 164, may,  Limit,      No,    [Int, In];
    Prlimit64,       "prlimit64",         302, 261, must, Limit,      No,    [Int, Int, In, Out];
    Prctl,           "prctl",             157, 167, may,  Sandbox,    No,    [Int, Int, Int, Int, Int];
    Seccomp,         "seccomp",           317, 277, may,  Sandbox,    No,    [Int, Int, In];
    // memory that others provide: it is touched before a lock is held
    Userfaultfd,     "userfaultfd",       323, 282, may,  Pager,      No,    [Int];
    // messages: who gets a descriptor may write without the library
    Sendmsg,         "sendmsg",           46, 211, may,  Message,    No,    [Fd, In, Int];
    Sendmmsg,        "sendmmsg",          307, 269, may,  Message,    No,    [Fd, In, Int, Int];
    // rings write past every call: refused
    IoSetup,         "io_setup",          206,   0, may,  Ring,       No,    [Int, Out];
    IoUringSetup,    "io_uring_setup",    425, 425, may,  Ring,       No,    [Int, InOut];
    // signals: the net's own must not be blocked or taken
    RtSigaction,     "rt_sigaction",      13, 134, must, Signals,    No,    [Int, In, Out, Int];
    RtSigprocmask,   "rt_sigprocmask",    14, 135, must, Signals,    No,    [Int, In, Out, Int];
    RtSigsuspend,    "rt_sigsuspend",     130, 133, may,  Signals,    No,    [In, Int];
    Sigaltstack,     "sigaltstack",       131, 132, may,  Signals,    No,    [In, Out];
    Pselect6,        "pselect6",          270,  72, may,  Signals,    No,    [Int, InOut, InOut, InOut, In, In];
    Ppoll,           "ppoll",             271,  73, may,  Signals,    No,    [InOut, Int, In, In, Int];
    EpollPwait,      "epoll_pwait",       281,  22, may,  Signals,    No,    [Fd, Out, Int, Int, In, Int];
    EpollPwait2,     "epoll_pwait2",      441, 441, may,  Signals,    No,    [Fd, Out, Int, In, In, Int];
}

impl Row {
    /// Name as in the kernel's table.
    pub const fn name(&self) -> &'static str {
        NAMES[self.call as usize]
    }

    /// Its arguments.
    pub fn operands(&self) -> &[Operand] {
        let (all, count) = &self.operands;
        all.get(..usize::from(*count)).unwrap_or(&[])
    }

    /// The call's number on the architecture that this is built for.
    pub const fn nr(&self) -> Option<u32> {
        if cfg!(target_arch = "aarch64") {
            self.aarch64
        } else {
            Some(self.x86_64)
        }
    }
}

impl Call {
    /// Its row.
    pub const fn row(self) -> &'static Row {
        // The order of both is that of the table.
        &TABLE[self as usize]
    }
}

/// One more than the largest number of a row.
pub const NUMBERS: usize = 512;

/// By number: the row's place in [`TABLE`], plus one.
const INDEX: [u8; NUMBERS] = {
    let mut index = [0; NUMBERS];
    let mut i = 0;
    while i < TABLE.len() {
        if let Some(nr) = TABLE[i].nr() {
            index[nr as usize] = i as u8 + 1;
        }
        i += 1;
    }
    index
};

/// The row of a number of this architecture, if the mirror sees it.
pub fn row(nr: u32) -> Option<&'static Row> {
    let i = *INDEX.get(nr as usize)?;
    TABLE.get(usize::from(i).checked_sub(1)?)
}

/// The name of a call, seen or not.
pub fn name(nr: u32) -> Option<&'static str> {
    let seen = row(nr).map(Row::name);
    let mut rest = UNHANDLED.iter().flat_map(|(_, calls)| calls.iter());
    seen.or_else(|| rest.find(|(_, n)| *n == nr).map(|(name, _)| *name))
}

/// What tells this table from another one: an image that was made by it has the sites of these calls.
pub const HASH: u64 = {
    let mut sum = crate::fnv::FNV_START;
    let mut i = 0;
    while i < TABLE.len() {
        if let Some(nr) = TABLE[i].nr() {
            let must = matches!(TABLE[i].need, Need::Must) as u64;
            sum = (sum ^ (nr as u64 | must << 32)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        i += 1;
    }
    sum
};

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
