//! What is asked, and remembered, before an attribute call touches the first leg.
use crate::calls::attributes::marks;
use crate::calls::attributes::set::{Attr, Kind};
use crate::change::target::Cx;
use crate::process::limits::spare;
use libc as c;
use mirror_core::marks::{By, Value};
use mirror_core::path::PathText;
use mirror_core::{BothLocked, Errno, K};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Stat, Sys};

/// The attribute that holds a file's capabilities.
pub(super) fn capability() -> PathText<32> {
    PathText::from_bytes(b"security.capability").unwrap_or_default()
}

fn fits(cx: &mut Cx<'_>, first: &Stat, second: &Stat) -> Sys<()> {
    sys::stands_for(first, second)?;
    cx.unequal = !cx.fit(first, second);
    if cx.unequal {
        return Err(Errno::EEXIST);
    }
    Ok(())
}

/// Flags and the like. What has none refuses the call itself.
fn marked(by: By, o: &Object) -> Sys<Option<Value>> {
    match marks::get(by, o) {
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(None),
        r => r.map(Some),
    }
}

impl Attr<'_> {
    /// Flags and the like as they are now: the intent says from where they change. Another's change of them
    /// meanwhile is on both legs.
    pub(super) fn announce_marks(&self, cx: &mut Cx<'_>) -> Sys<()> {
        let Kind::Marks(by) = self.call.kind else {
            return Ok(());
        };
        let first = match self.by_fd {
            Some((n, _)) => Object::of(n)?,
            None => self.object(cx, cx.lead)?,
        };
        if let Some(v) = marked(by, &first)? {
            v.announce(by, &mut cx.intent);
        }
        Ok(())
    }
    /// Before the first leg's object is touched.
    pub(super) fn look_ahead(
        &mut self,
        cx: &mut Cx<'_>,
        held: &BothLocked,
        first: &Object,
    ) -> Sys<()> {
        if cx.alone {
            return Ok(());
        }
        let regular = first.stat().kind() == c::S_IFREG;
        if regular && matches!(self.call.kind, Kind::Owner(..) | Kind::Truncate(_)) {
            let mut buf = [0u8; 64];
            let r = first.xattr(&capability(), &mut buf);
            self.caps = r.ok().map(|n| (buf, n));
        }
        if let Kind::Marks(by) = self.call.kind {
            self.marks = marked(by, first)?;
            // What makes it immutable also keeps its time.
            if let Some((n, true)) = self.by_fd {
                let _ = crate::change::times::copy(n, n.saturating_add(K), OMIT, held);
            }
        }
        // A partner is open for writing already.
        let partner = matches!(self.by_fd, Some((_, true)));
        if matches!(self.call.kind, Kind::Truncate(_)) && !partner {
            self.open_other(cx)?;
        }
        Ok(())
    }
    /// Before the first leg's object is touched: do the two look alike? Both are locked, so a difference is
    /// one; only the number of names may be about to change.
    pub(super) fn hold_second(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        if cx.alone || self.root || self.second >= 0 {
            return Ok(());
        }
        let second = self.object(cx, cx.lead.other());
        let looks = match &second {
            Ok(o) => Ok(*o.stat()),
            Err(e) => Err(*e),
        };
        let first = self.before.ok_or(Errno::EIO)?;
        if cx.compare(&Ok(first), &looks).is_err() {
            cx.unequal = true;
            return Err(Errno::EEXIST);
        }
        self.other = second.ok();
        Ok(())
    }
    /// What a change of owner or size took away beside: set-id bits, capabilities.
    #[cold]
    pub(super) fn undo_privileges(&self, o: &Object, st: &Stat, _: &BothLocked) -> Sys<()> {
        if st.kind() != c::S_IFLNK && st.mode() & (c::S_ISUID | c::S_ISGID) != 0 {
            o.set_mode(st.mode() & 0o7777)?;
        }
        if let Some((value, n)) = &self.caps {
            o.set_xattr(&capability(), value.get(..*n).unwrap_or(&[]))?;
        }
        Ok(())
    }
    /// A file that has grown is again as it was.
    #[cold]
    pub(super) fn shrink(&self, o: &Object, st: &Stat, held: &BothLocked) -> Sys<()> {
        o.truncate(st.size())?;
        self.undo_privileges(o, st, held)?;
        o.set_times(OMIT, st.mtime()).map(|_| ())
    }
    /// truncate by name: a program may run from the other leg's file, or it may be immutable. Its locks
    /// are not the program's, so opening and closing it drops none. It must stand for the first leg's.
    pub(super) fn open_other(&mut self, cx: &mut Cx<'_>) -> Sys<()> {
        let flags = c::O_WRONLY | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
        let (dir, name) = (self.dir(cx, cx.lead.other()), self.name(cx));
        let before = self.before.ok_or(Errno::EIO)?;
        let refused = match spare(|| sys::openat(dir, &name, flags, 0)) {
            Ok(m) => match sys::fstat(m).and_then(|st| fits(cx, &before, &st)) {
                Ok(()) => {
                    self.second = m;
                    return Ok(());
                }
                Err(e) if cx.unequal => {
                    let _ = sys::close(m);
                    return Err(e);
                }
                Err(e) => {
                    let _ = sys::close(m);
                    e
                }
            },
            Err(e) => e,
        };
        let first = self.dir(cx, cx.lead);
        sys::faccessat(first, &name, c::W_OK)?;
        match refused {
            // Somebody touched one tree alone.
            Errno::ENOENT
            | Errno::EEXIST
            | Errno::ENOTDIR
            | Errno::ELOOP
            | Errno::EISDIR
            | Errno::ENXIO
            | Errno::ENODEV
            | Errno::EACCES => Ok(()),
            e => Err(e),
        }
    }
    pub(super) fn close_second(&mut self) {
        self.other = None;
        if self.second >= 0 {
            let _ = sys::close(self.second);
            self.second = -1;
        }
    }
}
