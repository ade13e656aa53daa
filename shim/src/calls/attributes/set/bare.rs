//! An attribute of a descriptor that has no partner: changed by a name, and only if the name still is its
//! object's.
use crate::calls::attributes::set::Attr;
use crate::change::border::{self, Border};
use crate::change::target::Cx;
use libc as c;
use mirror_core::{Errno, Prepared};
use mirror_sys as sys;
use mirror_sys::Stat;

impl Attr<'_> {
    /// Whether the name is that of `st`, which the descriptor is open on. If not, the request is resolved
    /// again, or has its answer.
    pub(super) fn still_named(&self, cx: &mut Cx<'_>, st: &Stat) -> Result<(), Prepared> {
        match cx.border_at(0) {
            Border::Within => {}
            Border::Kernel => return Err(Prepared::Forward),
            Border::Beyond => return Err(Prepared::Answer(Err(border::REFUSED))),
        }
        if self.root {
            return Ok(());
        }
        let (dir, name) = (self.dir(cx, cx.lead), self.name(cx));
        match sys::fstatat(dir, &name, c::AT_SYMLINK_NOFOLLOW) {
            Ok(s) if s.ino() == st.ino() && s.dev() == st.dev() => return Ok(()),
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            // That it is not there is not said by this.
            Err(e) => return Err(Prepared::Answer(Err(e))),
        }
        if !self.again {
            // Renamed meanwhile: it may be found under its new name.
            return Err(Prepared::Unresolved);
        }
        // Its name is gone. Another may live, and was not found: nothing is changed.
        if st.nlink() > 0 && st.kind() != c::S_IFDIR {
            return Err(Prepared::Answer(Err(Errno::EIO)));
        }
        Err(Prepared::Forward)
    }
}
