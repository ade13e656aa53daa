//! What the kernel finds out before it looks at the second of two names.
use crate::calls::names::two::Two;
use crate::change::target::Cx;
use libc as c;
use mirror_core::runtime::IntentKind;
use mirror_core::{Errno, Prepared};
use mirror_sys as sys;

impl Two {
    /// rename looks whether the old name's directory may be searched before it looks at the new name, and
    /// link looks its file up: `found` is what the new name said.
    #[cold]
    pub(super) fn sooner(&self, cx: &mut Cx<'_>, found: Prepared) -> Prepared {
        if matches!(self.kind, IntentKind::Rename | IntentKind::Exchange)
            && matches!(found, Prepared::Answer(_))
        {
            return self.searched(cx, found);
        }
        if self.kind != IntentKind::Link || !matches!(found, Prepared::Answer(_)) {
            return found;
        }
        let (from, rel) = cx.spot(0, cx.lead);
        let mut old = rel.clone();
        if cx.name(0).name.as_bytes().last() == Some(&b'/') {
            let _ = old.append(b"/");
        }
        match sys::glance(from, &old, c::AT_SYMLINK_NOFOLLOW) {
            Err(e) => Prepared::Answer(Err(e)),
            Ok(st) if self.follow && st.kind() == c::S_IFLNK => Prepared::Unresolved,
            Ok(_) => found,
        }
    }
}

impl Two {
    /// `found`, or that the old name's directory may not be searched.
    #[cold]
    fn searched(&self, cx: &Cx<'_>, found: Prepared) -> Prepared {
        let (root, rel) = cx.spot(0, cx.lead);
        let mut dir = rel.clone();
        dir.pop();
        if dir.is_empty() || dir.append(b"/.").is_err() {
            return found;
        }
        match sys::glance(root, &dir, c::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::EACCES) => Prepared::Answer(Err(Errno::EACCES)),
            _ => found,
        }
    }
}
