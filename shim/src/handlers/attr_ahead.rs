//! What is asked, and remembered, before an attribute call touches the first leg.
use super::{Attr, Kind};
use crate::resolve::Path;
use crate::txn::{Cx, spare};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;
use mirror_sys as sys;
use mirror_sys::Sys;

/// The attribute that holds a file's capabilities.
pub(super) fn capability() -> PathText<32> {
    PathText::from_bytes(b"security.capability").unwrap_or_default()
}

impl Attr<'_> {
    /// Before the first leg is touched.
    pub(super) fn look_ahead(&mut self, cx: &Cx<'_>) -> Sys<()> {
        let regular = self.before.is_some_and(|st| st.kind() == c::S_IFREG);
        match self.call.kind {
            Kind::Owner(..) | Kind::Truncate(_) if regular => {
                let mut p = Path::new();
                match self.by_fd {
                    Some((n, _)) => sys::fd_text(n, &mut p),
                    None => p = self.text(cx, cx.lead),
                }
                let mut buf = [0u8; 64];
                // Of a descriptor the text is a link to follow.
                let r = if self.by_fd.is_some() {
                    sys::getxattr(&p, &capability(), &mut buf)
                } else {
                    sys::lgetxattr(&p, &capability(), &mut buf)
                };
                self.caps = r.ok().map(|n| (buf, n));
            }
            _ => {}
        }
        // A partner is open for writing already.
        let partner = matches!(self.by_fd, Some((_, true)));
        if matches!(self.call.kind, Kind::Truncate(_)) && !partner {
            self.open_other(cx)?;
        }
        Ok(())
    }
    /// truncate by name: a program may run from the other leg's file, or it may be immutable. Its locks
    /// are not the program's, so opening and closing it drops none.
    pub(super) fn open_other(&mut self, cx: &Cx<'_>) -> Sys<()> {
        let flags = c::O_WRONLY | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
        let (dir, name) = (self.dir(cx, cx.lead ^ 1), self.name(cx));
        let refused = match spare(|| sys::openat(dir, &name, flags, 0)) {
            Ok(m) => {
                self.second = m;
                return Ok(());
            }
            Err(e) => e,
        };
        let first = self.dir(cx, cx.lead);
        sys::faccessat(first, &name, c::W_OK)?;
        match refused {
            // Somebody touched one tree alone.
            Errno::ENOENT
            | Errno::ENOTDIR
            | Errno::ELOOP
            | Errno::EISDIR
            | Errno::ENXIO
            | Errno::EACCES => Ok(()),
            e => Err(e),
        }
    }
    pub(super) fn close_second(&mut self) {
        if self.second >= 0 {
            let _ = sys::close(self.second);
            self.second = -1;
        }
    }
}
