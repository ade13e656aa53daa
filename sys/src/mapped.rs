//! Mappings of files, and the locks that say who has one.
use crate::bytes::lock_command;
use crate::calls::{Sys, call, fd};
use libc as c;
use mirror_core::Errno;

/// A shared mapping of a file from its beginning.
pub fn map_file(n: i32, len: usize, write: bool) -> Sys<usize> {
    let prot = match write {
        true => c::PROT_READ | c::PROT_WRITE,
        false => c::PROT_READ,
    };
    let flags = (c::MAP_SHARED | c::MAP_NORESERVE) as usize;
    call!(
        syscall6,
        c::SYS_mmap,
        0,
        len,
        prot as usize,
        flags,
        fd(n),
        0
    )
}

/// The same mapping with another length, and perhaps elsewhere.
///
/// # Safety
/// Nothing may use the mapping meanwhile, nor at its old place afterwards.
pub unsafe fn resize_mapping(at: usize, old: usize, new: usize) -> Sys<usize> {
    let may_move = c::MREMAP_MAYMOVE as usize;
    call!(syscall5, c::SYS_mremap, at, old, new, may_move, 0)
}

/// Copies memory of this process as the kernel would: what is not there is an error, and no signal. How much was
/// copied.
///
/// # Safety
/// `to` must be memory that may be written, or a mapping that nobody has a reference into.
pub unsafe fn copy_memory(to: usize, from: usize, len: usize) -> Sys<usize> {
    let vector = |at: usize| c::iovec {
        iov_base: at as *mut c::c_void,
        iov_len: len,
    };
    let (local, remote) = (vector(to), vector(from));
    let (l, r): (*const c::iovec, *const c::iovec) = (&local, &remote);
    let me = crate::getpid() as usize;
    call!(
        syscall6,
        c::SYS_process_vm_readv,
        me,
        l as usize,
        1,
        r as usize,
        1,
        0
    )
}

/// msync(2) with MS_SYNC.
pub fn sync_mapping(at: usize, len: usize) -> Sys<()> {
    call!(syscall3, c::SYS_msync, at, len, c::MS_SYNC as usize).map(drop)
}

fn byte(kind: i32, at: usize) -> c::flock {
    c::flock {
        l_type: kind as i16,
        l_whence: c::SEEK_SET as i16,
        l_start: at as i64,
        l_len: 1,
        l_pid: 0,
    }
}

/// Takes, without waiting, or gives back the open description's shared lock on one byte (fcntl(2),
/// F_OFD_SETLK): it lasts until the last descriptor of the description is closed.
pub fn share_byte(n: i32, at: usize, on: bool) -> Sys<()> {
    let l = byte(if on { c::F_RDLCK } else { c::F_UNLCK }, at);
    match lock_command(n, c::F_OFD_SETLK, &l) {
        Err(Errno::EACCES) => Err(Errno::EAGAIN),
        r => r.map(drop),
    }
}

/// Whether any other description has a lock on the byte (F_OFD_GETLK).
pub fn byte_is_held(n: i32, at: usize) -> Sys<bool> {
    let mut l = byte(c::F_WRLCK, at);
    let p: *mut c::flock = &mut l;
    lock_command(n, c::F_OFD_GETLK, p)?;
    Ok(l.l_type != c::F_UNLCK as i16)
}
