//! An attribute call that the second leg refused is taken back on the first.
use crate::calls::attributes::marks;
use crate::calls::attributes::set::{Attr, Kind};
use crate::change::target::Cx;
use libc as c;
use mirror_core::{BothLocked, Errno, ErrorClass, K, Untouched};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Sys};

impl Attr<'_> {
    /// Takes the first leg's change back.
    pub(super) fn take_back(
        &self,
        cx: &Cx<'_>,
        held: &BothLocked,
        source: Option<&Untouched<'_>>,
    ) -> Sys<()> {
        // What was before is still on the second leg; mode, owner and times are at hand.
        let st = self.before.ok_or(Errno::EIO)?;
        let o = match self.by_fd {
            Some((n, _)) => Object::of(n),
            None => self.object(cx, cx.lead),
        }?;
        if (o.stat().dev(), o.stat().ino()) != (st.dev(), st.ino()) {
            return Err(Errno::ESTALE);
        }
        match self.call.kind {
            Kind::Mode(_) => o.set_mode(st.mode() & 0o7777),
            Kind::Owner(..) => {
                o.set_owner(st.uid(), st.gid())?;
                cx.half.set(true);
                return self.undo_privileges(&o, &st, held);
            }
            Kind::Times => o.set_times(st.atime(), st.mtime()),
            Kind::SetXattr | Kind::RemoveXattr => {
                // Only the second leg's copy is a source.
                return self.undo_xattr(cx, &o, source.ok_or(Errno::EIO)?);
            }
            Kind::Truncate(size) if size >= st.size() => {
                match self.other(cx) {
                    // Its time has perhaps been changed, and nothing else.
                    Ok(second) if second.stat().size() == st.size() => {
                        second.set_times(OMIT, st.mtime())?;
                    }
                    Ok(second) if second.stat().size() > st.size() => {
                        self.shrink(&second, &st, held)?
                    }
                    Ok(_) => {}
                    // What cannot stand for the first leg's has not been changed.
                    Err(e) if e.class() == ErrorClass::Semantic => {}
                    Err(e) => return Err(e),
                }
                o.truncate(st.size())?;
                cx.half.set(true);
                return self.shrink(&o, &st, held);
            }
            Kind::Marks(by) => marks::set(by, &o, self.marks.ok_or(Errno::EIO)?, held),
            Kind::Truncate(_) | Kind::Unknown => Err(Errno::EIO),
        }
        .map(|_| ())
    }
    /// The second leg's object.
    pub(super) fn other(&self, cx: &Cx<'_>) -> Sys<Object> {
        match self.by_fd {
            Some((n, true)) => Object::of(n.saturating_add(K)),
            _ => self.second_object(cx, cx.lead.other()),
        }
    }
    /// Sets the attribute back to what the second leg has.
    fn undo_xattr(&self, cx: &Cx<'_>, first: &Object, _: &Untouched<'_>) -> Sys<()> {
        let second = self.other(cx)?;
        let (p, q) = (second.text(), first.text());
        let (from, to) = (p.as_ptr() as usize, q.as_ptr() as usize);
        let name = self.xattr_name();
        let mut value = [0u8; 4096];
        let (buf, len) = (value.as_mut_ptr() as usize, value.len());
        // SAFETY: our own path and buffer; the program's name has been accepted by the first call.
        let old = sys::ret(unsafe { sys::syscall4(c::SYS_getxattr, from, name, buf, len) });
        match old {
            Ok(n) => {
                // SAFETY: as above.
                sys::ret(unsafe { sys::syscall5(c::SYS_setxattr, to, name, buf, n, 0) })
            }
            Err(Errno::ENODATA) => {
                // SAFETY: as above.
                sys::ret(unsafe { sys::syscall2(c::SYS_removexattr, to, name) })
            }
            Err(e) => Err(e),
        }
        .map(|_| ())
    }
}
