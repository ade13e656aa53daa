//! Attaching before it becomes impossible: before a chroot, while the legs can be reached, and before the
//! process gives its rights up.
//!
//! Rules: as in `attach`. A process that cannot reach a pair by name any more, or whose new user could not
//! do without it what the pair's own can, gets nothing to keep (decision 0014).
use crate::attach::past::{DROPPED, remember_roots};
use crate::attach::session;
use crate::config::CONFIG;
use crate::events::refused;
use core::sync::atomic::Ordering;
use mirror_core::path::{PathText, Under, under};
use mirror_sys as sys;

/// Before a chroot to `root`, a text of the system's root: attaches to each pair that will be reached by
/// name below it, or that it lies in. TX is held. What fails is on record while the record can be reached.
#[cold]
#[inline(never)]
pub fn before_chroot(root: &[u8]) {
    if root == b"/" {
        return;
    }
    for (pair, conf) in CONFIG.get().pairs().iter().enumerate() {
        remember_roots(pair, conf);
        let texts = [conf.virt, conf.legs.a, conf.legs.b];
        let near = texts
            .iter()
            .any(|t| !matches!(under(t.to_bytes(), root), Under::Outside));
        // Who is not root may not change its root either.
        if near && !session::attached(pair) && sys::euid() == 0 {
            match session::join(pair, false) {
                Ok(_) => {}
                Err(r) => refused::record(pair, &r),
            }
        }
    }
    session::keep_proc();
}

/// Before the process becomes `uid`: attaches to the pairs whose control folders that user could replace
/// anyway, by the rights of the legs' roots: the keys give it nothing that it could not take.
/// TX is held. Whether the user becomes another, not root.
#[cold]
#[inline(never)]
pub fn before_drop(uid: u32) -> bool {
    if uid == u32::MAX || uid == 0 || uid == sys::euid() {
        return false;
    }
    let mut all = [0u32; 65];
    let n = sys::groups(&mut all);
    let groups = all.get(..n).unwrap_or(&[]);
    for (pair, conf) in CONFIG.get().pairs().iter().enumerate() {
        if !session::attached(pair) && conf.legs.iter().all(|l| may_replace(l, uid, groups)) {
            // A failure is told when the pair is touched.
            let _ = session::join(pair, false);
        }
    }
    DROPPED.store(true, Ordering::Relaxed);
    true
}

/// Whether this user may rename and replace what is in a leg's root.
fn may_replace(leg: &'static core::ffi::CStr, uid: u32, groups: &[u32]) -> bool {
    const STICKY: u32 = 0o1000;
    let Ok(st) = sys::stat_static(leg) else {
        return false;
    };
    if st.uid() == uid {
        return true;
    }
    let bits = if groups.contains(&st.gid()) {
        st.mode() >> 3
    } else {
        st.mode()
    };
    st.mode() & STICKY == 0 && bits & 0o3 == 0o3 && !has_list(leg)
}

/// With an access list the group's bits are a mask: only the owner is told by the mode then.
fn has_list(leg: &core::ffi::CStr) -> bool {
    let (path, name) = (
        PathText::<{ mirror_core::path::PATH_MAX }>::from_bytes(leg.to_bytes()),
        PathText::<32>::from_bytes(b"system.posix_acl_access"),
    );
    match (path, name) {
        (Ok(path), Ok(name)) => {
            let root = crate::process::limits::spare(|| sys::open_object(libc::AT_FDCWD, &path));
            let list = root
                .and_then(sys::Object::take)
                .and_then(|o| o.xattr(&name, &mut []));
            !matches!(list, Err(sys::Errno::ENODATA | sys::Errno::EOPNOTSUPP))
        }
        _ => true,
    }
}
