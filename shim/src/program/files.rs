//! The few file operations of boot.
//!
//! Rules of this file: raw system calls; a descriptor is closed when it goes out of scope; a file is
//! trusted by what fstat says of the open descriptor, never of a name.
use core::ffi::CStr;

use crate::program::info::BootInfo;
use mirror_core::Errno;
use mirror_core::idmap::NOBODY;
use mirror_pair::idmap::shown_as;
use mirror_sys::{ret, syscall1, syscall2, syscall3, syscall4, syscall6};

/// An open descriptor.
pub struct Fd(usize);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor.
        unsafe { syscall1(libc::SYS_close, self.0) };
    }
}

/// A buffer of N bytes with a length.
pub struct Name<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Name<N> {
    /// Empty, zeroed.
    pub fn new() -> Self {
        Name {
            bytes: [0; N],
            len: 0,
        }
    }

    /// The whole buffer.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole buffer.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// What was appended.
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Appends; `None` if it would not fit with a final NUL.
    pub fn push(&mut self, s: &[u8]) -> Option<()> {
        let end = self.len.checked_add(s.len()).filter(|e| *e < N)?;
        self.bytes
            .get_mut(self.len..end)?
            .copy_from_slice_checked(s);
        self.len = end;
        Some(())
    }
}

trait CopyChecked {
    fn copy_from_slice_checked(&mut self, s: &[u8]);
}
impl CopyChecked for [u8] {
    // copy_from_slice has a panic path
    fn copy_from_slice_checked(&mut self, s: &[u8]) {
        for (d, s) in self.iter_mut().zip(s) {
            *d = *s;
        }
    }
}

/// Lower-case hexadecimal in `out`.
pub fn hex<'a>(id: &[u8], out: &'a mut [u8]) -> &'a str {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    let mut len = 0;
    for (pair, b) in out.chunks_exact_mut(2).zip(id) {
        if let [hi, lo] = pair {
            *hi = digit(b >> 4);
            *lo = digit(b & 15);
            len += 2;
        }
    }
    out.get(..len)
        .and_then(|b| core::str::from_utf8(b).ok())
        .unwrap_or("")
}

fn open(dir: usize, path: *const u8, flags: i32) -> Result<Fd, Errno> {
    // SAFETY: all callers pass NUL-terminated buffers.
    ret(unsafe {
        syscall4(
            libc::SYS_openat,
            dir,
            path as usize,
            (flags | libc::O_CLOEXEC) as usize,
            0,
        )
    })
    .map(Fd)
}

/// Opens a path, from a directory or the cwd.
pub fn open_path(dir: Option<&Fd>, path: &CStr, flags: i32) -> Result<Fd, Errno> {
    let dir = dir.map_or(libc::AT_FDCWD as usize, |d| d.0);
    open(dir, path.as_ptr().cast(), flags)
}

fn name_of<'a>(folder: Option<&(Option<&'a CStr>, &'static [u8])>) -> &'a [u8] {
    match folder {
        Some((Some(name), [])) => name.to_bytes(),
        _ => &[],
    }
}

const FOLDER: i32 = libc::O_PATH | libc::O_DIRECTORY;

/// Opens the folder `base` + `tail`.
fn folder((base, tail): (Option<&CStr>, &[u8])) -> Option<Fd> {
    match tail {
        [] => open_path(None, base?, FOLDER).ok(),
        tail => below(base?, tail),
    }
}

#[cold]
#[inline(never)]
fn below(base: &CStr, tail: &[u8]) -> Option<Fd> {
    let mut path: Name<4096> = Name::new();
    path.push(base.to_bytes())?;
    path.push(tail)?;
    open(libc::AT_FDCWD as usize, path.bytes.as_ptr(), FOLDER).ok()
}

/// The folders of prepared images, each opened once.
pub struct Folders<'a> {
    names: [(Option<&'a CStr>, &'static [u8]); 2],
    open: [Option<Folder>; 2],
}

/// One of them, if it is there.
pub struct Folder {
    dir: Option<Fd>,
    /// Whether nobody else can put files there.
    pub trusted: bool,
}

impl<'a> Folders<'a> {
    /// None is open yet.
    pub fn new(info: &'a BootInfo) -> Self {
        Folders {
            names: crate::program::env::folders(info),
            open: [None, None],
        }
    }

    /// The one and the other.
    pub fn get(&mut self, which: usize, euid: u32) -> Option<&Folder> {
        let place = self.open.get_mut(which)?;
        if place.is_none() {
            let dir = self.names.get(which).and_then(|n| folder(*n));
            let system = *name_of(self.names.get(which)) == *crate::program::env::SYSTEM.to_bytes();
            let safe = |d: &Fd| size_of_trusted(d, euid, libc::S_IFDIR, system).is_some();
            *place = Some(Folder {
                trusted: dir.as_ref().is_some_and(safe),
                dir,
            });
        }
        place.as_ref()
    }
}

impl Folder {
    /// Opens one of its files.
    fn open(&self, name: &[u8]) -> Option<Fd> {
        const READ: i32 = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut text: Name<128> = Name::new();
        text.push(name)?;
        open(self.dir.as_ref()?.0, text.bytes.as_ptr(), READ).ok()
    }

    /// Opens the image of a build-id.
    pub fn image(&self, build_id: &str) -> Option<Fd> {
        let mut name: Name<120> = Name::new();
        name.push(build_id.as_bytes())?;
        name.push(b".text")?;
        self.open(name.filled())
    }

    /// The verdicts' file, also mapped for good.
    pub fn verdicts(&self, euid: u32) -> Option<(Fd, &'static [u8])> {
        let file = self.open(mirror_core::verdicts::NAME)?;
        if !self.trusted {
            return None;
        }
        let len = size_of_trusted(&file, euid, libc::S_IFREG, true)? as usize;
        let flags = libc::MAP_PRIVATE as usize;
        // SAFETY: a new mapping at a place of the kernel's choice replaces nothing.
        let at = ret(unsafe {
            syscall6(
                libc::SYS_mmap,
                0,
                len,
                libc::PROT_READ as usize,
                flags,
                file.0,
                0,
            )
        });
        // SAFETY: mapped just now and never unmapped. The file is root's or this user's, and is replaced as
        // a whole: nobody else can write it or cut it short.
        let mapped = at
            .ok()
            .map(|at| unsafe { core::slice::from_raw_parts(at as *const u8, len) });
        Some((file, mapped.unwrap_or(&[])))
    }
}

/// Of a trusted folder: a regular file, root's or ours, that nobody else can write, exactly as long.
pub fn trusted(fd: &Fd, euid: u32, size: u64) -> bool {
    size_of_trusted(fd, euid, libc::S_IFREG, true) == Some(size)
}

/// Whether an effective uid of 0 is that of the system's root, not of somebody in a user namespace. What cannot be
/// told is.
#[inline]
pub fn is_systems_root() -> bool {
    const FIRST: &[u8] = b"user:[4026531837]";
    let (path, mut name) = (c"/proc/self/ns/user", [0u8; 32]);
    // SAFETY: the kernel writes at most name.len() bytes to name.
    let len = ret(unsafe {
        syscall3(
            libc::SYS_readlink,
            path.as_ptr() as usize,
            name.as_mut_ptr() as usize,
            name.len(),
        )
    });
    let first = len.map_or(true, |n| name.get(..n) == Some(FIRST));
    first || !root_is_nobody()
}

#[cold]
#[inline(never)]
fn root_is_nobody() -> bool {
    shown_as(0) == Some(NOBODY)
}

/// The size of a file of this type that is root's or ours, and that nobody else can write. `system`: it lies where
/// root alone can put it; then it counts also where root is shown as nobody, in a user namespace.
pub fn size_of_trusted(fd: &Fd, euid: u32, kind: libc::mode_t, system: bool) -> Option<u64> {
    let mut st = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat fills the whole structure when it succeeds.
    let st = unsafe {
        ret(syscall2(libc::SYS_fstat, fd.0, st.as_mut_ptr() as usize)).ok()?;
        st.assume_init()
    };
    let owned = |uid| mirror_core::tabs::owned(st.st_mode, uid, euid).is_ok();
    let ours =
        || owned(st.st_uid) || (system && st.st_uid == NOBODY && owned(0) && root_is_nobody());
    let fits = st.st_mode & libc::S_IFMT == kind && ours();
    fits.then_some(st.st_size as u64)
}

/// As much of a regular file of this size as there is room for; `None`: it cannot be read.
pub fn read(fd: &Fd, buf: &mut [u8], size: u64) -> Option<usize> {
    let mut len = 0usize;
    while let Some(room) = buf.get_mut(len..).filter(|r| !r.is_empty()) {
        // SAFETY: the kernel writes at most room.len() bytes to room.
        let n = unsafe { syscall3(libc::SYS_read, fd.0, room.as_mut_ptr() as usize, room.len()) };
        match ret(n) {
            Ok(0) => break,
            Ok(k) => {
                let short = k < room.len();
                len = len.saturating_add(k);
                // Less than asked for, and all that it had: its end.
                if short && len as u64 >= size {
                    break;
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
    Some(len)
}

/// Entries of a directory, as getdents64 gives them.
pub fn entries(dir: &Fd, buf: &mut [u8]) -> Option<usize> {
    let at = buf.as_mut_ptr() as usize;
    // SAFETY: the kernel writes at most buf.len() bytes to buf.
    ret(unsafe { syscall3(libc::SYS_getdents64, dir.0, at, buf.len()) }).ok()
}

/// Fills `buf` from the file.
#[inline(never)]
pub fn read_at(fd: &Fd, buf: &mut [u8], at: usize) -> bool {
    // SAFETY: the kernel writes at most buf.len() bytes to buf.
    let n = unsafe {
        syscall4(
            libc::SYS_pread64,
            fd.0,
            buf.as_mut_ptr() as usize,
            buf.len(),
            at,
        )
    };
    ret(n) == Ok(buf.len())
}

/// Maps the prepared text over the live one.
pub fn map_text(fd: &Fd, at: usize, len: usize, offset: usize) -> bool {
    let prot = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_FIXED) as usize;
    // SAFETY: the range is exactly libc's executable segment and the file holds the same code with
    // its sites patched (build-id, layout and trust were checked); ld.so, not libc, is running.
    ret(unsafe { syscall6(libc::SYS_mmap, at, len, prot, flags, fd.0, offset) }).is_ok()
}

/// mprotect.
pub fn protect(at: usize, len: usize, prot: i32) -> bool {
    // SAFETY: callers pass pages of libc's text.
    ret(unsafe { syscall3(libc::SYS_mprotect, at, len, prot as usize) }).is_ok()
}

/// Whether a line may be written to this descriptor: a terminal, a pipe, a socket; or a regular file of
/// no pair that is being written from its end on, as logs are. Anything else may be somebody's data.
pub fn speaks(fd: usize) -> bool {
    let mut st = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat fills the whole structure when it succeeds.
    let (mode, size) = unsafe {
        if ret(syscall2(libc::SYS_fstat, fd, st.as_mut_ptr() as usize)).is_err() {
            return false;
        }
        let st = st.assume_init();
        (st.st_mode, st.st_size)
    };
    let mut termios = [0u64; 16];
    match mode & libc::S_IFMT {
        libc::S_IFIFO | libc::S_IFSOCK => true,
        // SAFETY: TCGETS fills a kernel termios of 36 bytes.
        libc::S_IFCHR => ret(unsafe {
            syscall3(
                libc::SYS_ioctl,
                fd,
                libc::TCGETS as usize,
                termios.as_mut_ptr() as usize,
            )
        })
        .is_ok(),
        libc::S_IFREG => is_log(fd, size as usize),
        _ => false,
    }
}

fn is_log(fd: usize, size: usize) -> bool {
    // SAFETY: no pointers.
    let (flags, at) = unsafe {
        (
            ret(syscall3(libc::SYS_fcntl, fd, libc::F_GETFL as usize, 0)),
            ret(syscall3(libc::SYS_lseek, fd, 0, libc::SEEK_CUR as usize)),
        )
    };
    let Ok(flags) = flags else { return false };
    let flags = flags as i32;
    flags & libc::O_ACCMODE != libc::O_RDONLY
        && (flags & libc::O_APPEND != 0 || at == Ok(size))
        && !in_a_leg(fd)
}

/// Whether a descriptor's file lies in a leg. The configuration may be what is broken, so the legs' own
/// records are asked; what cannot be known counts as inside.
fn in_a_leg(fd: usize) -> bool {
    let mut link: Name<64> = Name::new();
    let mut digits = [b'0'; 8];
    let mut rest = fd;
    for d in digits.iter_mut().rev() {
        *d = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let first = digits.iter().position(|d| *d != b'0').unwrap_or(7);
    let _ = link.push(b"/proc/thread-self/fd/");
    let _ = link.push(digits.get(first..).unwrap_or(b"0"));
    let mut path: Name<4096> = Name::new();
    // SAFETY: the kernel reads a NUL-terminated name and writes at most 4095 bytes.
    let len = ret(unsafe {
        syscall4(
            libc::SYS_readlinkat,
            libc::AT_FDCWD as usize,
            link.bytes.as_ptr() as usize,
            path.bytes.as_mut_ptr() as usize,
            4095,
        )
    });
    let Ok(mut len) = len else { return true };
    // A file without a name, or one that is seen from outside its root, is no log that anybody reads.
    if path.bytes.first() != Some(&b'/') {
        return true;
    }
    const RECORD: &[u8] = b"/.mirror/leg";
    loop {
        let Some(slash) = path
            .bytes
            .get(..len)
            .and_then(|p| p.iter().rposition(|b| *b == b'/'))
        else {
            return false;
        };
        path.len = slash;
        if path.push(RECORD).is_none() {
            return true;
        }
        if let Some(end) = path.bytes.get_mut(path.len) {
            *end = 0;
        }
        // SAFETY: a NUL-terminated path. What may not be looked at may be a leg.
        let there = ret(unsafe {
            syscall4(
                libc::SYS_faccessat,
                libc::AT_FDCWD as usize,
                path.bytes.as_ptr() as usize,
                libc::F_OK as usize,
                0,
            )
        });
        if !matches!(there, Err(e) if e == Errno::ENOENT || e == Errno::ENOTDIR) {
            return true;
        }
        len = slash;
    }
}

/// write(2), once.
pub fn write(fd: usize, text: &[u8]) {
    // SAFETY: the kernel reads text.len() bytes.
    unsafe { syscall3(libc::SYS_write, fd, text.as_ptr() as usize, text.len()) };
}

/// exit_group(2).
pub fn exit_group(status: usize) -> ! {
    loop {
        // SAFETY: ends the process.
        unsafe { syscall1(libc::SYS_exit_group, status) };
    }
}
