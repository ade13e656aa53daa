//! Typed wrappers. Their pointers come from Rust references or [`PathText`]s, so they are safe to
//! call; what they do to descriptors is the caller's business.
use core::sync::atomic::{AtomicI32, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;

/// The result of a system call.
pub type Sys<T> = Result<T, Errno>;

/// `resolve` of openat2(2): every component must stay below the directory and be no symlink.
pub const BENEATH: u64 = 0x08 | 0x04;
/// The same, and no mount point is crossed (EXDEV).
pub const BENEATH_HERE: u64 = BENEATH | 0x01;
/// `resolve` of openat2(2): no component is a symlink.
pub const NO_SYMLINKS: u64 = 0x04;
/// No mount point is crossed (EXDEV).
pub const HERE: u64 = 0x01;

#[inline(always)]
pub(crate) fn fd(n: i32) -> usize {
    n as isize as usize
}

macro_rules! call {
    ($f:ident, $nr:expr $(, $a:expr)*) => {
        // SAFETY: the arguments are integers or point to live Rust objects of the size that the
        // kernel reads or writes for this call (each wrapper below takes references or PathTexts,
        // which are NUL-terminated).
        $crate::raw::told($nr, unsafe { $crate::raw::$f($nr $(, $a)*) })
    };
}
pub(crate) use call;

/// struct open_how of openat2(2).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenHow {
    /// O_* flags.
    pub flags: u64,
    /// Mode of a new file, else 0.
    pub mode: u64,
    /// RESOLVE_* bits.
    pub resolve: u64,
}

/// openat2(2) itself.
pub(crate) fn openat2_call<const N: usize>(
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

/// Closes the numbers `lo..end`, or tells them to close on exec: by close_range(2), or one by one where a
/// filter does not know it.
pub fn close_numbers(lo: i32, end: i32, on_exec: bool) {
    const CLOEXEC: usize = 4;
    let flags = if on_exec { CLOEXEC } else { 0 };
    let last = end.saturating_sub(1);
    if call!(syscall3, c::SYS_close_range, fd(lo), fd(last), flags).is_ok() {
        return;
    }
    for n in lo..end {
        let _ = if on_exec {
            fcntl(n, c::F_SETFD, c::FD_CLOEXEC as usize)
        } else {
            close(n)
        };
    }
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
pub struct Stat(c::stat, bool);

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
    /// Whether something is mounted there, as far as [`glance`] has asked.
    pub fn is_mount(&self) -> bool {
        self.1
    }
    /// (seconds, nanoseconds) of the last access.
    pub fn atime(&self) -> (i64, i64) {
        (self.0.st_atime, self.0.st_atime_nsec)
    }
    /// (seconds, nanoseconds) of the last change of content.
    pub fn mtime(&self) -> (i64, i64) {
        (self.0.st_mtime, self.0.st_mtime_nsec)
    }
    /// (seconds, nanoseconds) of the last change of anything, number of names included.
    pub fn ctime(&self) -> (i64, i64) {
        (self.0.st_ctime, self.0.st_ctime_nsec)
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
    Ok(Stat(st, false))
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
    Ok(Stat(st, false))
}

/// What [`glance`] asks for: STATX_TYPE, MODE, NLINK, UID, GID, INO, SIZE.
const NO_TIMES: usize = 0x001 | 0x002 | 0x004 | 0x008 | 0x010 | 0x100 | 0x200;

/// A status without times: type, mode, links, owner, inode, size and device; the rest is zero. To ask for times
/// makes the file's next write dear: since Linux 6.13 it must get a time that differs (multigrain
/// timestamps). `flags` as for [`fstatat`].
pub fn glance<const N: usize>(dir: i32, path: &PathText<N>, flags: i32) -> Sys<Stat> {
    // SAFETY: struct statx is plain integers; all zero is a value of it.
    let mut x: c::statx = unsafe { core::mem::zeroed() };
    let p: *mut c::statx = &mut x;
    let r = call!(
        syscall5,
        c::SYS_statx,
        fd(dir),
        path.as_ptr() as usize,
        flags as usize,
        NO_TIMES,
        p as usize
    );
    match r {
        // Sandboxes that do not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => return fstatat(dir, path, flags),
        r => r?,
    };
    let mut st = no_stat();
    st.st_dev = c::makedev(x.stx_dev_major, x.stx_dev_minor);
    st.st_ino = x.stx_ino;
    st.st_mode = u32::from(x.stx_mode);
    st.st_nlink = u64::from(x.stx_nlink);
    st.st_uid = x.stx_uid;
    st.st_gid = x.stx_gid;
    st.st_size = x.stx_size as i64;
    Ok(Stat(
        st,
        x.stx_attributes & c::STATX_ATTR_MOUNT_ROOT as u64 != 0,
    ))
}

/// [`glance`] at an open file.
pub fn fglance(n: i32) -> Sys<Stat> {
    glance(n, &PathText::<1>::new(), c::AT_EMPTY_PATH)
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
    Ok(Stat(st, false))
}

/// readlink(2) of a text that is no [`PathText`].
pub fn readlink_static<const M: usize>(
    path: &'static core::ffi::CStr,
    out: &mut PathText<M>,
) -> Sys<()> {
    readlink(c::AT_FDCWD, path.as_ptr() as usize, out)
}

/// `path`: the address of a text that ends with NUL.
fn readlink<const M: usize>(dir: i32, path: usize, out: &mut PathText<M>) -> Sys<()> {
    let room = out.buffer();
    let n = call!(
        syscall4,
        c::SYS_readlinkat,
        fd(dir),
        path,
        room.as_mut_ptr() as usize,
        room.len()
    )?;
    if n >= M {
        return Err(Errno::ENAMETOOLONG);
    }
    out.set_len(n);
    Ok(())
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

/// All of `buf`, at `at`. A file system that takes nothing and says no reason: EIO.
pub fn pwrite_all(n: i32, buf: &[u8], at: u64) -> Sys<()> {
    let mut done = 0usize;
    while let Some(rest) = buf.get(done..).filter(|r| !r.is_empty()) {
        match pwrite(n, rest, at.saturating_add(done as u64)) {
            Ok(0) => return Err(Errno::EIO),
            Ok(k) => done = done.saturating_add(k),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// readlinkat(2) into `out`.
pub fn readlinkat<const N: usize, const M: usize>(
    dir: i32,
    path: &PathText<N>,
    out: &mut PathText<M>,
) -> Sys<()> {
    readlink(dir, path.as_ptr() as usize, out)
}

/// The kernel's text for an open descriptor (/proc/thread-self/fd/N: the first thread may be gone, and a
/// thread may have descriptors of its own).
pub fn fd_path<const M: usize>(n: i32, out: &mut PathText<M>) -> Sys<()> {
    let mut p = PathText::<40>::new();
    let proc = PROC.load(Ordering::Relaxed);
    if proc >= 0 {
        let _ = p.set(b"thread-self/fd/");
        append_number(n as u32, &mut p);
        return readlinkat(proc, &p, out);
    }
    fd_text(n, &mut p);
    readlinkat(c::AT_FDCWD, &p, out)
}

/// A descriptor of "/proc", or −1: the path leads there.
pub(crate) static PROC: AtomicI32 = AtomicI32::new(-1);

/// From now on texts of descriptors come from this descriptor of "/proc": after a chroot there may be none.
pub fn keep_proc(n: i32) {
    PROC.store(n, Ordering::Relaxed);
}

/// Writes "/proc/thread-self/fd/N" into `out`.
pub fn fd_text<const M: usize>(n: i32, out: &mut PathText<M>) {
    let _ = out.set(b"/proc/thread-self/fd/");
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
    call!(frequent2, c::SYS_flock, fd(n), op as usize)
}

/// Takes (without waiting) or gives back this process's lock on one byte of a file (fcntl(2)): unlike
/// flock(2), it is the process's own where a description is shared, and ends with it.
pub fn lock_byte(n: i32, at: usize, on: bool) -> Sys<()> {
    let l = c::flock {
        l_type: if on { c::F_WRLCK } else { c::F_UNLCK } as i16,
        l_whence: c::SEEK_SET as i16,
        l_start: at as i64,
        l_len: 1,
        l_pid: 0,
    };
    let p: *const c::flock = &l;
    match call!(
        syscall3,
        c::SYS_fcntl,
        fd(n),
        c::F_SETLK as usize,
        p as usize
    ) {
        Err(Errno::EACCES) => Err(Errno::EAGAIN),
        r => r.map(|_| ()),
    }
}

/// memfd_create(2), closed on exec.
pub fn memory_file<const N: usize>(name: &PathText<N>) -> Sys<i32> {
    call!(
        syscall2,
        c::SYS_memfd_create,
        name.as_ptr() as usize,
        c::MFD_CLOEXEC as usize
    )
    .map(|n| n as i32)
}

/// fsync(2).
pub fn fsync(n: i32) -> Sys<usize> {
    call!(syscall1, c::SYS_fsync, fd(n))
}

/// fdatasync(2).
pub fn fdatasync(n: i32) -> Sys<usize> {
    call!(syscall1, c::SYS_fdatasync, fd(n))
}
