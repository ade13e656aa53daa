//! Whether a file in a sticky directory may be opened with O_CREAT.
use crate::change::target::Cx;
use crate::path::loc::Path;
use libc as c;
use mirror_core::path::split;
use mirror_sys as sys;
use mirror_sys::Stat;

#[cold]
pub fn may_create_over(cx: &Cx<'_>, st: &Stat) -> bool {
    let mut dir = Path::new();
    let (root, rel) = cx.spot(0, cx.lead);
    let parent = split(rel.as_bytes()).0;
    let _ = dir.set(if parent.is_empty() { b"." } else { parent });
    let dir = sys::glance(root, &dir, c::AT_SYMLINK_NOFOLLOW);
    dir.is_ok_and(|dir| crate::path::sticky::may_create_over(&dir, st))
}
