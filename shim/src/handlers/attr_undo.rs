//! An attribute call that the second leg refused is taken back on the first.
use super::super::arg;
use super::ahead::capability;
use super::{Attr, Kind};
use crate::resolve::Path;
use crate::txn::Cx;
use libc as c;
use mirror_core::{Errno, K};
use mirror_sys as sys;
use mirror_sys::{OMIT, Stat, Sys};

impl Attr<'_> {
    /// Takes the first leg's change back.
    pub(super) fn take_back(&self, cx: &Cx<'_>) -> Sys<()> {
        // What was before is still on the second leg; mode, owner and times are at hand.
        let Some(st) = self.before else {
            return Err(Errno::EIO);
        };
        let mut p = Path::new();
        match self.by_fd {
            Some((n, _)) => sys::fd_text(n, &mut p),
            None => p = self.text(cx, cx.lead),
        }
        let cwd = c::AT_FDCWD;
        // The text of a descriptor is a link to follow; that of a name may end in one that is itself meant.
        let flags = if self.by_fd.is_some() {
            0
        } else {
            c::AT_SYMLINK_NOFOLLOW
        };
        match self.call.kind {
            Kind::Mode(_) => sys::fchmodat(cwd, &p, st.mode() & 0o7777),
            Kind::Owner(..) => {
                sys::fchownat(cwd, &p, st.uid(), st.gid(), flags)?;
                return self.undo_privileges(&p, &st);
            }
            Kind::Times => sys::utimensat(cwd, &p, st.atime(), st.mtime(), flags),
            Kind::SetXattr | Kind::RemoveXattr => return self.undo_xattr(cx, &p),
            Kind::Truncate(size) if size >= st.size() => {
                let mut second = Path::new();
                let keep = match self.by_fd {
                    Some((n, true)) => {
                        sys::fd_text(n.saturating_add(K), &mut second);
                        0
                    }
                    _ => {
                        second = self.text(cx, cx.lead ^ 1);
                        c::AT_SYMLINK_NOFOLLOW
                    }
                };
                if sys::fstatat(cwd, &second, keep)?.size() > st.size() {
                    sys::truncate(&second, st.size())?;
                    self.undo_privileges(&second, &st)?;
                    sys::utimensat(cwd, &second, OMIT, st.mtime(), keep)?;
                }
                sys::truncate(&p, st.size())?;
                self.undo_privileges(&p, &st)?;
                sys::utimensat(cwd, &p, OMIT, st.mtime(), flags)
            }
            Kind::Truncate(_) => Err(Errno::EIO),
        }
        .map(|_| ())
    }
    /// What a change of owner or size took away beside: set-id bits, capabilities.
    #[cold]
    fn undo_privileges(&self, p: &Path, st: &Stat) -> Sys<()> {
        if st.kind() != c::S_IFLNK && st.mode() & (c::S_ISUID | c::S_ISGID) != 0 {
            sys::fchmodat(c::AT_FDCWD, p, st.mode() & 0o7777)?;
        }
        if let Some((value, n)) = &self.caps {
            let value = value.get(..*n).unwrap_or(&[]);
            if self.by_fd.is_some() {
                sys::setxattr(p, &capability(), value)?;
            } else {
                sys::lsetxattr(p, &capability(), value)?;
            }
        }
        Ok(())
    }
    /// Sets the attribute back to what the second leg has.
    fn undo_xattr(&self, cx: &Cx<'_>, first: &Path) -> Sys<()> {
        let mut second = Path::new();
        match self.by_fd {
            Some((n, true)) => sys::fd_text(n.saturating_add(K), &mut second),
            _ => second = self.text(cx, cx.lead ^ 1),
        }
        // The second leg's copy is the source: only if it is known to be true.
        if cx.s.runtime().word().pending() {
            return Err(Errno::EIO);
        }
        let named = self.by_fd.is_none();
        let (set, remove) = if named {
            (c::SYS_lsetxattr, c::SYS_lremovexattr)
        } else {
            (c::SYS_setxattr, c::SYS_removexattr)
        };
        let get = if matches!(self.by_fd, Some((_, true))) {
            c::SYS_getxattr
        } else {
            c::SYS_lgetxattr
        };
        let name = arg(self.regs, 1);
        let mut value = [0u8; 4096];
        let (buf, len) = (value.as_mut_ptr() as usize, value.len());
        // SAFETY: our own path and buffer; the program's name has been accepted by the first call.
        let old = sys::ret(unsafe { sys::syscall4(get, second.as_ptr() as usize, name, buf, len) });
        match old {
            Ok(n) => {
                // SAFETY: as above.
                sys::ret(unsafe { sys::syscall5(set, first.as_ptr() as usize, name, buf, n, 0) })
            }
            Err(Errno::ENODATA) => {
                // SAFETY: as above.
                sys::ret(unsafe { sys::syscall2(remove, first.as_ptr() as usize, name) })
            }
            Err(e) => Err(e),
        }
        .map(|_| ())
    }
}
