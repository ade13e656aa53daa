//! An object of a leg, held: attributes are changed by name through nothing else.
//!
//! A name on a leg may have become anything since it was looked at, a symlink to somebody else's file among
//! others. An `O_PATH | O_NOFOLLOW` descriptor is one object for good: it is looked at, and then changed.
use crate::calls::{Stat, Sys, call, close, fd, fd_text, fstat, fstatat, openat};
use crate::names::Time;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;

const FCHMODAT2: i64 = 452;
const EMPTY: &core::ffi::CStr = c"";

/// An object that stays the same one whatever happens to its name.
pub struct Object {
    fd: i32,
    owned: bool,
    st: Stat,
}

impl Drop for Object {
    fn drop(&mut self) {
        if self.owned {
            let _ = close(self.fd);
        }
    }
}

/// Opens what `dir/name` is, a symlink itself included, for [`Object::take`]. It is not opened as a file:
/// nothing blocks, nothing happens to a device.
pub fn open_object<const N: usize>(dir: i32, name: &PathText<N>) -> Sys<i32> {
    openat(dir, name, c::O_PATH | c::O_NOFOLLOW | c::O_CLOEXEC, 0)
}

impl Object {
    /// The object of a descriptor that ends with this value.
    pub fn take(n: i32) -> Sys<Object> {
        match fstat(n) {
            Ok(st) => Ok(Object {
                fd: n,
                owned: true,
                st,
            }),
            Err(e) => {
                let _ = close(n);
                Err(e)
            }
        }
    }
    /// What `dir/name` is.
    pub fn open<const N: usize>(dir: i32, name: &PathText<N>) -> Sys<Object> {
        Object::take(open_object(dir, name)?)
    }
    /// The object of a descriptor that is somebody else's.
    pub fn of(n: i32) -> Sys<Object> {
        Ok(Object {
            fd: n,
            owned: false,
            st: fstat(n)?,
        })
    }
    /// Its status as it was when it was opened.
    pub fn stat(&self) -> &Stat {
        &self.st
    }
    /// The descriptor.
    pub fn fd(&self) -> i32 {
        self.fd
    }
    /// "/proc/thread-self/fd/N", for calls that take a path and follow it: it leads to this object, and no
    /// further if that is a symlink.
    pub fn text(&self) -> PathText<40> {
        let mut p = PathText::new();
        fd_text(self.fd, &mut p);
        p
    }
    /// Whether the permission bits can be set without [`Object::text`].
    pub fn knows_set_mode_held() -> bool {
        let none = -1isize as usize;
        let at = EMPTY.as_ptr() as usize;
        let r = call!(syscall4, FCHMODAT2, none, at, 0, c::AT_EMPTY_PATH as usize);
        matches!(r, Err(Errno::EBADF))
    }
    /// Whether [`Object::text`] leads here: without /proc it does not.
    pub fn has_text(&self) -> Sys<()> {
        let found = fstatat(c::AT_FDCWD, &self.text(), 0);
        let same = |st: Stat| (st.dev(), st.ino()) == (self.st.dev(), self.st.ino());
        if found.is_ok_and(same) {
            Ok(())
        } else {
            Err(Errno::EIO)
        }
    }
    /// Sets the permission bits.
    pub fn set_mode(&self, mode: u32) -> Sys<usize> {
        match self.set_mode_held(mode) {
            // Before Linux 6.6, or a filter that does not know it.
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => {
                let p = self.text();
                let at = p.as_ptr() as usize;
                here(call!(
                    syscall3,
                    c::SYS_fchmodat,
                    fd(c::AT_FDCWD),
                    at,
                    mode as usize
                ))
            }
            r => r,
        }
    }
    /// fchmodat2(2) alone.
    pub fn set_mode_held(&self, mode: u32) -> Sys<usize> {
        call!(
            syscall4,
            FCHMODAT2,
            fd(self.fd),
            EMPTY.as_ptr() as usize,
            mode as usize,
            c::AT_EMPTY_PATH as usize
        )
    }
    /// Sets user and group, −1 for as it is.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Sys<usize> {
        call!(
            syscall5,
            c::SYS_fchownat,
            fd(self.fd),
            EMPTY.as_ptr() as usize,
            uid as usize,
            gid as usize,
            c::AT_EMPTY_PATH as usize
        )
    }
    /// Sets the times.
    pub fn set_times(&self, atime: Time, mtime: Time) -> Sys<usize> {
        set_times(self.fd, atime, mtime)
    }
    /// Names of the extended attributes, each with a NUL; their length.
    pub fn xattrs(&self, out: &mut [u8]) -> Sys<usize> {
        let (p, to) = (self.text(), out.as_mut_ptr() as usize);
        here(call!(
            syscall3,
            c::SYS_listxattr,
            p.as_ptr() as usize,
            to,
            out.len()
        ))
    }
    /// An extended attribute's value; its length.
    pub fn xattr<const M: usize>(&self, name: &PathText<M>, out: &mut [u8]) -> Sys<usize> {
        let (n, to) = (name.as_ptr() as usize, out.as_mut_ptr());
        if !self.owned {
            // A descriptor of a program mostly is an open file. Whatever refuses this answers by the text.
            let r = call!(
                syscall4,
                c::SYS_fgetxattr,
                fd(self.fd),
                n,
                to as usize,
                out.len()
            );
            if matches!(r, Ok(_) | Err(Errno::ENODATA)) {
                return r;
            }
        }
        let p = self.text();
        here(call!(
            syscall4,
            c::SYS_getxattr,
            p.as_ptr() as usize,
            n,
            to as usize,
            out.len()
        ))
    }
    /// Sets an extended attribute.
    pub fn set_xattr<const M: usize>(&self, name: &PathText<M>, value: &[u8]) -> Sys<usize> {
        let (p, n, from) = (self.text(), name.as_ptr() as usize, value.as_ptr() as usize);
        here(call!(
            syscall5,
            c::SYS_setxattr,
            p.as_ptr() as usize,
            n,
            from,
            value.len(),
            0
        ))
    }
    /// Removes an extended attribute.
    pub fn remove_xattr<const M: usize>(&self, name: &PathText<M>) -> Sys<usize> {
        let p = self.text();
        here(call!(
            syscall2,
            c::SYS_removexattr,
            p.as_ptr() as usize,
            name.as_ptr() as usize
        ))
    }
    /// Sets a file's size.
    pub fn truncate(&self, size: u64) -> Sys<usize> {
        let p = self.text();
        here(call!(
            syscall2,
            c::SYS_truncate,
            p.as_ptr() as usize,
            size as usize
        ))
    }
}

/// Whether the object on the second leg can stand for the first leg's: one of the same type, and not a name
/// for somebody else's file (a hard link that only the second leg has). EEXIST: something else is there.
pub fn stands_for(first: &Stat, second: &Stat) -> Sys<()> {
    let foreign = second.kind() != c::S_IFDIR
        && second.nlink() > first.nlink()
        && second.uid() != first.uid();
    if first.kind() != second.kind() || foreign {
        return Err(Errno::EEXIST);
    }
    Ok(())
}

/// Whether two objects that stand for each other look alike: type, and of a regular file size and (where both
/// file systems have hard links) number of names. Equal contents are not shown by this; different ones of
/// different sizes are.
pub fn alike(first: &Stat, second: &Stat, names: bool) -> bool {
    first.kind() == second.kind()
        && (!matches!(first.kind(), c::S_IFREG | c::S_IFLNK) || first.size() == second.size())
        && (!names || first.kind() != c::S_IFREG || first.nlink() == second.nlink())
}

/// The answer of a call by [`Object::text`]: the object is there, so what is missing is /proc.
pub fn here(r: Sys<usize>) -> Sys<usize> {
    match r {
        Err(Errno::ENOENT) => Err(Errno::EIO),
        r => r,
    }
}

/// Sets the times of what a descriptor is, also one that was opened with O_PATH.
pub fn set_times(n: i32, atime: Time, mtime: Time) -> Sys<usize> {
    let t = [atime.0, atime.1, mtime.0, mtime.1];
    call!(
        syscall4,
        c::SYS_utimensat,
        fd(n),
        EMPTY.as_ptr() as usize,
        t.as_ptr() as usize,
        c::AT_EMPTY_PATH as usize
    )
}

/// Mount flags (ST_NOSUID, ST_NODEV …) of the file system that an open object is on.
pub fn mount_flags(n: i32) -> Sys<u64> {
    // SAFETY: struct statfs is plain integers; all zero is a value of it.
    let mut s: c::statfs64 = unsafe { core::mem::zeroed() };
    let p: *mut c::statfs64 = &mut s;
    call!(syscall2, c::SYS_fstatfs, fd(n), p as usize)?;
    Ok(s.f_flags as u64)
}
