//! Programs that have files mapped on leg a alone (`mirror_pair::mapped::ALONE`): nobody carries over what they store, so
//! leg b is not on its way back while one of them lives.
use super::legs::Pair;
use super::who;
use mirror_core::WHOLE;
use mirror_pair::{locks, mapped};
use rustix::fs::fstat;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

fn object(p: &Pair) -> Option<OwnedFd> {
    let n = locks::open(p.legs.a.root.fd().as_raw_fd(), WHOLE, libc::O_RDWR).ok()?;
    // SAFETY: opened just now, nobody else's.
    Some(unsafe { OwnedFd::from_raw_fd(n) })
}

/// Whether there is one. What cannot be found out is so.
pub fn any(p: &Pair) -> bool {
    object(p).is_none_or(|n| mapped::is_held(n.as_raw_fd(), mapped::ALONE))
}

/// Those that this user may look at: pid and name.
pub fn who(p: &Pair) -> Vec<String> {
    let st = object(p).and_then(|n| fstat(&n).ok());
    st.map_or_else(Vec::new, |st| {
        who::with_byte((st.st_dev, st.st_ino), mapped::ALONE as u64)
    })
}
