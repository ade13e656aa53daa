//! Typed wrappers. Their pointers come from Rust references or [`PathText`]s, so they are safe to
//! call; what they do to descriptors is the caller's business.
use crate::raw::{ret, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};
use core::sync::atomic::AtomicU32;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;

/// The result of a system call.
pub type Sys<T> = Result<T, Errno>;

/// `resolve` of openat2(2): every component must stay below the directory and be no symlink.
pub const BENEATH: u64 = 0x08 | 0x04;
/// `resolve` of openat2(2): no component is a symlink.
pub const NO_SYMLINKS: u64 = 0x04;

#[inline(always)]
fn fd(n: i32) -> usize {
    n as isize as usize
}

macro_rules! call {
    ($f:ident, $nr:expr $(, $a:expr)*) => {
        // SAFETY: the arguments are integers or point to live Rust objects of the size that the
        // kernel reads or writes for this call (each wrapper below takes references or PathTexts,
        // which are NUL-terminated).
        ret(unsafe { $f($nr $(, $a)*) })
    };
}

/// struct open_how of openat2(2).
#[repr(C)]
pub struct OpenHow {
    /// O_* flags.
    pub flags: u64,
    /// Mode of a new file, else 0.
    pub mode: u64,
    /// RESOLVE_* bits.
    pub resolve: u64,
}

/// openat2(2).
pub fn openat2<const N: usize>(
    dir: i32,
    path: &PathText<N>,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> Sys<i32> {
    let how = OpenHow {
        flags: flags as u32 as u64,
        mode: u64::from(mode),
        resolve,
    };
    let how_ptr: *const OpenHow = &how;
    call!(
        syscall4,
        c::SYS_openat2,
        fd(dir),
        path.as_ptr() as usize,
        how_ptr as usize,
        size_of::<OpenHow>()
    )
    .map(|n| n as i32)
}

/// openat(2).
pub fn openat<const N: usize>(dir: i32, path: &PathText<N>, flags: i32, mode: u32) -> Sys<i32> {
    call!(
        syscall4,
        c::SYS_openat,
        fd(dir),
        path.as_ptr() as usize,
        flags as usize,
        mode as usize
    )
    .map(|n| n as i32)
}

/// close(2).
pub fn close(n: i32) -> Sys<usize> {
    call!(syscall1, c::SYS_close, fd(n))
}

/// dup3(2).
pub fn dup3(old: i32, new: i32, flags: i32) -> Sys<usize> {
    call!(syscall3, c::SYS_dup3, fd(old), fd(new), flags as usize)
}

/// fcntl(2) with an integer argument.
pub fn fcntl(n: i32, cmd: i32, arg: usize) -> Sys<usize> {
    call!(syscall3, c::SYS_fcntl, fd(n), cmd as usize, arg)
}

/// What the library needs of a file's status.
#[derive(Clone, Copy)]
pub struct Stat(c::stat);

impl Stat {
    /// Device number.
    pub fn dev(&self) -> u64 {
        self.0.st_dev
    }
    /// Inode number.
    pub fn ino(&self) -> u64 {
        self.0.st_ino
    }
    /// Type and permission bits.
    pub fn mode(&self) -> u32 {
        self.0.st_mode
    }
    /// Type bits (S_IFMT).
    pub fn kind(&self) -> u32 {
        self.0.st_mode & c::S_IFMT
    }
    /// Number of names.
    pub fn nlink(&self) -> u64 {
        self.0.st_nlink
    }
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.st_size as u64
    }
    /// Owner.
    pub fn uid(&self) -> u32 {
        self.0.st_uid
    }
    /// Group.
    pub fn gid(&self) -> u32 {
        self.0.st_gid
    }
    /// Device a special file stands for.
    pub fn rdev(&self) -> u64 {
        self.0.st_rdev
    }
    /// (seconds, nanoseconds) of the last access.
    pub fn atime(&self) -> (i64, i64) {
        (self.0.st_atime, self.0.st_atime_nsec)
    }
    /// (seconds, nanoseconds) of the last change of content.
    pub fn mtime(&self) -> (i64, i64) {
        (self.0.st_mtime, self.0.st_mtime_nsec)
    }
}

fn no_stat() -> c::stat {
    // SAFETY: struct stat is plain integers; all zero is a value of it.
    unsafe { core::mem::zeroed() }
}

/// fstat(2).
pub fn fstat(n: i32) -> Sys<Stat> {
    let mut st = no_stat();
    let p: *mut c::stat = &mut st;
    call!(syscall2, c::SYS_fstat, fd(n), p as usize)?;
    Ok(Stat(st))
}

/// newfstatat(2): `flags` AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
pub fn fstatat<const N: usize>(dir: i32, path: &PathText<N>, flags: i32) -> Sys<Stat> {
    let mut st = no_stat();
    let p: *mut c::stat = &mut st;
    call!(
        syscall4,
        c::SYS_newfstatat,
        fd(dir),
        path.as_ptr() as usize,
        p as usize,
        flags as usize
    )?;
    Ok(Stat(st))
}

/// newfstatat(2) of a NUL-terminated text that lives as long as the program.
pub fn stat_static(path: &'static core::ffi::CStr) -> Sys<Stat> {
    let mut st = no_stat();
    let p: *mut c::stat = &mut st;
    call!(
        syscall4,
        c::SYS_newfstatat,
        fd(c::AT_FDCWD),
        path.as_ptr() as usize,
        p as usize,
        0
    )?;
    Ok(Stat(st))
}

/// f_type of fstatfs(2).
pub fn fs_magic(n: i32) -> Sys<u64> {
    // SAFETY: struct statfs is plain integers.
    let mut s: c::statfs = unsafe { core::mem::zeroed() };
    let p: *mut c::statfs = &mut s;
    call!(syscall2, c::SYS_fstatfs, fd(n), p as usize)?;
    Ok(s.f_type as u64)
}

/// lseek(2).
pub fn lseek(n: i32, to: i64, whence: i32) -> Sys<u64> {
    call!(syscall3, c::SYS_lseek, fd(n), to as usize, whence as usize).map(|v| v as u64)
}

/// ftruncate(2).
pub fn ftruncate(n: i32, size: u64) -> Sys<usize> {
    call!(syscall2, c::SYS_ftruncate, fd(n), size as usize)
}

/// fallocate(2).
pub fn fallocate(n: i32, mode: i32, off: u64, len: u64) -> Sys<usize> {
    call!(
        syscall4,
        c::SYS_fallocate,
        fd(n),
        mode as usize,
        off as usize,
        len as usize
    )
}

/// read(2).
pub fn read(n: i32, buf: &mut [u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_read,
        fd(n),
        buf.as_mut_ptr() as usize,
        buf.len()
    )
}

/// pread64(2).
pub fn pread(n: i32, buf: &mut [u8], at: u64) -> Sys<usize> {
    call!(
        syscall4,
        c::SYS_pread64,
        fd(n),
        buf.as_mut_ptr() as usize,
        buf.len(),
        at as usize
    )
}

/// write(2).
pub fn write(n: i32, buf: &[u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_write,
        fd(n),
        buf.as_ptr() as usize,
        buf.len()
    )
}

/// pwrite64(2).
pub fn pwrite(n: i32, buf: &[u8], at: u64) -> Sys<usize> {
    call!(
        syscall4,
        c::SYS_pwrite64,
        fd(n),
        buf.as_ptr() as usize,
        buf.len(),
        at as usize
    )
}

/// readlinkat(2) into `out`.
pub fn readlinkat<const N: usize, const M: usize>(
    dir: i32,
    path: &PathText<N>,
    out: &mut PathText<M>,
) -> Sys<()> {
    let room = out.buffer();
    let n = call!(
        syscall4,
        c::SYS_readlinkat,
        fd(dir),
        path.as_ptr() as usize,
        room.as_mut_ptr() as usize,
        room.len()
    )?;
    if n >= M {
        return Err(Errno::ENAMETOOLONG);
    }
    out.set_len(n);
    Ok(())
}

/// The kernel's text for an open descriptor (/proc/self/fd/N).
pub fn fd_path<const M: usize>(n: i32, out: &mut PathText<M>) -> Sys<()> {
    let mut p = PathText::<40>::new();
    fd_text(n, &mut p);
    readlinkat(c::AT_FDCWD, &p, out)
}

/// Writes "/proc/self/fd/N" into `out`.
pub fn fd_text<const M: usize>(n: i32, out: &mut PathText<M>) {
    let _ = out.set(b"/proc/self/fd/");
    append_number(n as u32, out);
}

/// Appends a decimal number (the text must have room: ten bytes).
pub fn append_number<const M: usize>(n: u32, out: &mut PathText<M>) {
    let mut d = [0u8; 10];
    let mut i = d.len();
    let mut v = n;
    loop {
        i = i.wrapping_sub(1);
        if let Some(x) = d.get_mut(i) {
            *x = b'0'.wrapping_add((v % 10) as u8);
        }
        v /= 10;
        if v == 0 {
            break;
        }
    }
    let _ = out.append(d.get(i..).unwrap_or(&[]));
}

/// getcwd(2).
pub fn getcwd<const M: usize>(out: &mut PathText<M>) -> Sys<()> {
    let room = out.buffer();
    let n = call!(
        syscall2,
        c::SYS_getcwd,
        room.as_mut_ptr() as usize,
        room.len()
    )?;
    out.set_len(n.saturating_sub(1));
    Ok(())
}

/// flock(2).
pub fn flock(n: i32, op: i32) -> Sys<usize> {
    call!(syscall2, c::SYS_flock, fd(n), op as usize)
}

/// rt_sigprocmask(2) with SIG_SETMASK and the kernel's 8-byte set; returns the old mask.
pub fn set_signal_mask(new: u64) -> u64 {
    let mut old = 0u64;
    let (n, o): (*const u64, *mut u64) = (&new, &mut old);
    let _ = call!(
        syscall4,
        c::SYS_rt_sigprocmask,
        c::SIG_SETMASK as usize,
        n as usize,
        o as usize,
        8
    );
    old
}

/// Whether `addr` may be read. rt_sigprocmask copies the set before it looks at an invalid `how`,
/// so EINVAL means readable and EFAULT means not; nothing changes.
pub fn readable(addr: usize) -> bool {
    call!(syscall4, c::SYS_rt_sigprocmask, 0x7fff, addr, 0, 8) != Err(Errno::EFAULT)
}

/// The soft and hard RLIMIT_NOFILE, and optionally new ones.
pub fn nofile(new: Option<(u64, u64)>) -> Sys<(u64, u64)> {
    let n = c::rlimit {
        rlim_cur: new.map_or(0, |v| v.0),
        rlim_max: new.map_or(0, |v| v.1),
    };
    let np: *const c::rlimit = &n;
    let mut old = c::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let op: *mut c::rlimit = &mut old;
    let np = if new.is_some() { np as usize } else { 0 };
    call!(
        syscall4,
        c::SYS_prlimit64,
        0,
        c::RLIMIT_NOFILE as usize,
        np,
        op as usize
    )?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// Anonymous private memory, zeroed.
pub fn map_anonymous(len: usize) -> Sys<usize> {
    let flags = c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_NORESERVE;
    call!(
        syscall6,
        c::SYS_mmap,
        0,
        len,
        (c::PROT_READ | c::PROT_WRITE) as usize,
        flags as usize,
        fd(-1),
        0
    )
}

/// A shared read-write mapping of a whole file.
pub fn map_shared(n: i32, len: usize) -> Sys<usize> {
    call!(
        syscall6,
        c::SYS_mmap,
        0,
        len,
        (c::PROT_READ | c::PROT_WRITE) as usize,
        c::MAP_SHARED as usize,
        fd(n),
        0
    )
}

/// munmap(2).
///
/// # Safety
/// Nothing may use the range any more.
pub unsafe fn unmap(addr: usize, len: usize) {
    let _ = call!(syscall2, c::SYS_munmap, addr, len);
}

/// getpid(2).
pub fn getpid() -> i32 {
    // SAFETY: takes no pointer.
    unsafe { syscall0(c::SYS_getpid) as i32 }
}

/// FUTEX_WAIT on a private futex, at most `ms` milliseconds (0: no limit).
pub fn futex_wait(word: &AtomicU32, expected: u32, ms: u32) {
    let t = c::timespec {
        tv_sec: i64::from(ms / 1000),
        tv_nsec: i64::from(ms % 1000) * 1_000_000,
    };
    let tp: *const c::timespec = &t;
    let tp = if ms == 0 { 0 } else { tp as usize };
    let op = (c::FUTEX_WAIT | c::FUTEX_PRIVATE_FLAG) as usize;
    let _ = call!(
        syscall4,
        c::SYS_futex,
        word.as_ptr() as usize,
        op,
        expected as usize,
        tp
    );
}

/// FUTEX_WAKE of one waiter.
pub fn futex_wake(word: &AtomicU32) {
    let op = (c::FUTEX_WAKE | c::FUTEX_PRIVATE_FLAG) as usize;
    let _ = call!(syscall3, c::SYS_futex, word.as_ptr() as usize, op, 1);
}

/// nanosleep(2), less than a second.
pub fn sleep_us(us: u32) {
    let t = c::timespec {
        tv_sec: 0,
        tv_nsec: i64::from(us.min(999_999)) * 1000,
    };
    let tp: *const c::timespec = &t;
    let _ = call!(syscall2, c::SYS_nanosleep, tp as usize, 0);
}

/// unlinkat(2).
pub fn unlinkat<const N: usize>(dir: i32, name: &PathText<N>, flags: i32) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_unlinkat,
        fd(dir),
        name.as_ptr() as usize,
        flags as usize
    )
}

/// mkdirat(2).
pub fn mkdirat<const N: usize>(dir: i32, name: &PathText<N>, mode: u32) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_mkdirat,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize
    )
}

/// mknodat(2).
pub fn mknodat<const N: usize>(dir: i32, name: &PathText<N>, mode: u32, dev: u64) -> Sys<usize> {
    call!(
        syscall4,
        c::SYS_mknodat,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize,
        dev as usize
    )
}

/// symlinkat(2).
pub fn symlinkat<const N: usize, const M: usize>(
    target: &PathText<N>,
    dir: i32,
    name: &PathText<M>,
) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_symlinkat,
        target.as_ptr() as usize,
        fd(dir),
        name.as_ptr() as usize
    )
}

/// linkat(2).
pub fn linkat<const N: usize, const M: usize>(
    old: i32,
    from: &PathText<N>,
    new: i32,
    to: &PathText<M>,
    flags: i32,
) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_linkat,
        fd(old),
        from.as_ptr() as usize,
        fd(new),
        to.as_ptr() as usize,
        flags as usize
    )
}

/// renameat2(2).
pub fn renameat2<const N: usize, const M: usize>(
    old: i32,
    from: &PathText<N>,
    new: i32,
    to: &PathText<M>,
    flags: u32,
) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_renameat2,
        fd(old),
        from.as_ptr() as usize,
        fd(new),
        to.as_ptr() as usize,
        flags as usize
    )
}

/// fchmodat(2): follows a symlink, so the caller has made sure that there is none.
pub fn fchmodat<const N: usize>(dir: i32, name: &PathText<N>, mode: u32) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_fchmodat,
        fd(dir),
        name.as_ptr() as usize,
        mode as usize
    )
}

/// fchmod(2).
pub fn fchmod(n: i32, mode: u32) -> Sys<usize> {
    call!(syscall2, c::SYS_fchmod, fd(n), mode as usize)
}

/// fchown(2).
pub fn fchown(n: i32, uid: u32, gid: u32) -> Sys<usize> {
    call!(syscall3, c::SYS_fchown, fd(n), uid as usize, gid as usize)
}

/// fchownat(2).
pub fn fchownat<const N: usize>(
    dir: i32,
    name: &PathText<N>,
    uid: u32,
    gid: u32,
    flags: i32,
) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_fchownat,
        fd(dir),
        name.as_ptr() as usize,
        uid as usize,
        gid as usize,
        flags as usize
    )
}

/// (seconds, nanoseconds); nanoseconds may be UTIME_OMIT.
pub type Time = (i64, i64);
/// "Leave this time alone".
pub const OMIT: Time = (0, c::UTIME_OMIT);

/// utimensat(2): with an empty name on the descriptor itself.
pub fn utimensat<const N: usize>(
    dir: i32,
    name: &PathText<N>,
    atime: Time,
    mtime: Time,
    flags: i32,
) -> Sys<usize> {
    let t = [atime.0, atime.1, mtime.0, mtime.1];
    let name = if name.is_empty() {
        0
    } else {
        name.as_ptr() as usize
    };
    call!(
        syscall4,
        c::SYS_utimensat,
        fd(dir),
        name,
        t.as_ptr() as usize,
        flags as usize
    )
}

/// fsync(2).
pub fn fsync(n: i32) -> Sys<usize> {
    call!(syscall1, c::SYS_fsync, fd(n))
}

/// fdatasync(2).
pub fn fdatasync(n: i32) -> Sys<usize> {
    call!(syscall1, c::SYS_fdatasync, fd(n))
}

/// getrandom(2).
pub fn random(out: &mut [u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_getrandom,
        out.as_mut_ptr() as usize,
        out.len(),
        0
    )
}

/// A fork whose death is announced to nobody (exit signal 0): for work that must not close files in
/// this process. Returns 0 in the child.
///
/// # Safety
/// The child must only do raw system calls on memory it owns and end with [`exit_group`].
pub unsafe fn quiet_fork() -> Sys<i32> {
    call!(syscall5, c::SYS_clone, 0, 0, 0, 0, 0).map(|n| n as i32)
}

/// Waits for a child made by [`quiet_fork`]; its exit code, or −1 when a signal ended it.
pub fn wait_quiet(pid: i32) -> i32 {
    let mut status = 0i32;
    let p: *mut i32 = &mut status;
    loop {
        match call!(
            syscall4,
            c::SYS_wait4,
            fd(pid),
            p as usize,
            c::__WALL as usize,
            0
        ) {
            Err(Errno::EINTR) => {}
            Err(_) => return -1,
            Ok(_) if status & 0x7f == 0 => return (status >> 8) & 0xff,
            Ok(_) => return -1,
        }
    }
}

/// Whether a process with this pid exists (kill(2) with signal 0).
pub fn alive(pid: i32) -> bool {
    call!(syscall2, c::SYS_kill, fd(pid), 0) != Err(Errno::ESRCH)
}

/// Whether the effective user may execute a path (faccessat2(2), X_OK).
pub fn executable<const N: usize>(dir: i32, path: &PathText<N>) -> bool {
    let flags = (c::AT_EACCESS) as usize;
    call!(
        syscall4,
        c::SYS_faccessat2,
        fd(dir),
        path.as_ptr() as usize,
        c::X_OK as usize,
        flags
    )
    .is_ok()
}

/// eventfd2(2): a descriptor that pins nothing.
pub fn eventfd() -> Sys<i32> {
    call!(syscall2, c::SYS_eventfd2, 0, c::O_CLOEXEC as usize).map(|n| n as i32)
}

/// llistxattr(2) into `out`; its length.
pub fn llistxattr<const N: usize>(path: &PathText<N>, out: &mut [u8]) -> Sys<usize> {
    call!(
        syscall3,
        c::SYS_llistxattr,
        path.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        out.len()
    )
}

/// lgetxattr(2) into `out`; its length. `name` ends with a NUL.
pub fn lgetxattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
    out: &mut [u8],
) -> Sys<usize> {
    let (p, n) = (path.as_ptr() as usize, name.as_ptr() as usize);
    call!(
        syscall4,
        c::SYS_lgetxattr,
        p,
        n,
        out.as_mut_ptr() as usize,
        out.len()
    )
}

/// lsetxattr(2).
pub fn lsetxattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
    value: &[u8],
) -> Sys<usize> {
    let (p, n) = (path.as_ptr() as usize, name.as_ptr() as usize);
    call!(
        syscall5,
        c::SYS_lsetxattr,
        p,
        n,
        value.as_ptr() as usize,
        value.len(),
        0
    )
}

/// lremovexattr(2).
pub fn lremovexattr<const N: usize, const M: usize>(
    path: &PathText<N>,
    name: &PathText<M>,
) -> Sys<usize> {
    call!(
        syscall2,
        c::SYS_lremovexattr,
        path.as_ptr() as usize,
        name.as_ptr() as usize
    )
}

/// exit_group(2).
pub fn exit_group(code: i32) -> ! {
    loop {
        let _ = call!(syscall1, c::SYS_exit_group, code as usize);
    }
}
