//! fanotify's records, and file handles: read field by field, never past their end.
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes of a handle, at most (MAX_HANDLE_SZ of the kernel).
const HANDLE: usize = 128;

/// One record.
pub struct Record<'a> {
    /// What happened.
    pub mask: u64,
    /// The thread.
    pub pid: i32,
    /// What is told about the object.
    pub rest: &'a [u8],
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

/// The next record (fanotify_event_metadata and what follows it).
pub fn next<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let b = *rest;
    let len = u32_at(b, 0)? as usize;
    let head = usize::from(u16_at(b, 6)?);
    let r = Record {
        mask: u64_at(b, 8)?,
        pid: u32_at(b, 20)? as i32,
        rest: b.get(head..len)?,
    };
    if head < 24 {
        return None;
    }
    *rest = b.get(len..)?;
    Some(r)
}

/// What a record tells about its object.
pub enum Info<'a> {
    /// A directory, and a name in it.
    Named {
        /// The file system, as [`system_of`] names it.
        system: &'a [u8],
        /// The directory's handle, as [`open_handle`] takes it.
        handle: &'a [u8],
        /// The name, `.` for the directory itself.
        name: &'a [u8],
    },
    /// Something else.
    Other,
}

/// All that a record tells (fanotify_event_info_fid: a header, the file system, a handle, a name).
pub fn infos(mut rest: &[u8]) -> Vec<Info<'_>> {
    let mut all = vec![];
    while let Some(len) = u16_at(rest, 2).map(usize::from).filter(|n| *n >= 4) {
        let Some(this) = rest.get(..len) else { break };
        all.push(named(this).unwrap_or(Info::Other));
        rest = rest.get(len..).unwrap_or_default();
    }
    all
}

fn named(b: &[u8]) -> Option<Info<'_>> {
    let kind = *b.first()?;
    if kind != libc::FAN_EVENT_INFO_TYPE_DFID_NAME && kind != libc::FAN_EVENT_INFO_TYPE_DFID {
        return None;
    }
    let bytes = u32_at(b, 12)? as usize;
    let handle = b.get(12..20usize.checked_add(bytes)?)?;
    let name = b.get(12 + handle.len()..)?;
    let end = name.iter().position(|c| *c == 0).unwrap_or(name.len());
    Some(Info::Named {
        system: b.get(4..12)?,
        handle,
        name: name.get(..end)?,
    })
}

/// A file_handle of the kernel's, with room for its bytes.
#[repr(C, align(8))]
struct Handle([u8; 8 + HANDLE]);

/// The kernel's number of the file system that an object lies in.
pub fn system_of(fd: BorrowedFd<'_>) -> io::Result<[u8; 8]> {
    let mut st = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: an out-buffer of the right type.
    if unsafe { libc::fstatfs(fd.as_raw_fd(), st.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled by the call, and zeroed before; an fsid_t is two words of 32 bits.
    Ok(unsafe { std::mem::transmute::<libc::fsid_t, [u8; 8]>(st.assume_init().f_fsid) })
}

/// The handle of a held object.
pub fn handle_of(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut h = Handle([0; 8 + HANDLE]);
    h.0[..4].copy_from_slice(&(HANDLE as u32).to_ne_bytes());
    let mut mount = 0i32;
    // SAFETY: the handle says how much room it has; path and mount id are valid for the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_raw_fd(),
            c"".as_ptr(),
            &mut h,
            &mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let len = u32_at(&h.0, 0).unwrap_or(0) as usize;
    Ok(h.0.get(..8 + len).unwrap_or_default().to_vec())
}

/// Opens what a handle stands for, by the mount that `at` lies in.
pub fn open_handle(at: BorrowedFd<'_>, handle: &[u8]) -> io::Result<OwnedFd> {
    let mut h = Handle([0; 8 + HANDLE]);
    h.0.get_mut(..handle.len())
        .ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(handle);
    // SAFETY: a handle with room for as many bytes as it can say; the answer is checked.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            at.as_raw_fd(),
            &mut h,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was opened just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_to_their_ends() {
        let mut info = vec![libc::FAN_EVENT_INFO_TYPE_DFID_NAME, 0, 0, 0];
        info.extend([7; 8]);
        info.extend(4u32.to_ne_bytes());
        info.extend(1u32.to_ne_bytes());
        info.extend([1, 2, 3, 4]);
        info.extend(b"name\0\0\0\0");
        let len = info.len() as u16;
        info[2..4].copy_from_slice(&len.to_ne_bytes());
        let mut b = vec![];
        b.extend((24 + u32::from(len)).to_ne_bytes());
        b.extend([3, 0]);
        b.extend(24u16.to_ne_bytes());
        b.extend(libc::FAN_CREATE.to_ne_bytes());
        b.extend((-1i32).to_ne_bytes());
        b.extend(42i32.to_ne_bytes());
        b.extend(&info);
        let whole = b.clone();
        let mut rest = b.as_slice();
        let r = next(&mut rest).unwrap();
        assert_eq!((r.mask, r.pid, rest.len()), (libc::FAN_CREATE, 42, 0));
        let [Info::Named { handle, name, .. }] = &infos(r.rest)[..] else {
            panic!("not named");
        };
        assert_eq!((handle.len(), *name), (12, &b"name"[..]));
        // Any cut, and any byte turned, is read without leaving the buffer.
        for end in 0..whole.len() {
            let mut rest = &whole[..end];
            assert!(next(&mut rest).is_none());
        }
        for at in 0..whole.len() {
            let mut b = whole.clone();
            b[at] ^= 0xff;
            let mut rest = b.as_slice();
            while let Some(r) = next(&mut rest) {
                let _ = infos(r.rest);
            }
        }
    }
}
