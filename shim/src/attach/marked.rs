//! Whether leg b of a pair is or was away, for who may not be attached to it.
use crate::attach::session;
use crate::config::CONFIG;
use crate::process::limits::own_fd;
use libc as c;
use mirror_core::Errno;
use mirror_core::away::Mark;
use mirror_core::path::Path;
use mirror_pair::away;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Whether a partner that this process has inherited, not attached to the pair yet, may be of a leg as it was
/// before it was away.
#[cold]
#[inline(never)]
pub fn is_stale(pair: usize) -> bool {
    !session::attached(pair) && mark_of(pair) != Mark::None
}

/// Whether leg b of a pair is away, for who is not attached.
#[cold]
#[inline(never)]
pub fn is_away(pair: usize) -> bool {
    match session::attached(pair) {
        true => session::is_alone(pair),
        false => mark_of(pair).stands(),
    }
}

/// The mark of a pair, found by leg a's text. What cannot be read says nothing here: who attaches asks again.
fn mark_of(pair: usize) -> Mark {
    let look = || -> Sys<Mark> {
        let conf = CONFIG.get().pairs().get(pair).ok_or(Errno::EIO)?;
        let path = conf.legs[mirror_core::Leg::A].to_bytes();
        let path = Path::from_bytes(path).map_err(|_| Errno::EIO)?;
        let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
        let root = own_fd(|| sys::openat2(c::AT_FDCWD, &path, flags, 0, sys::NO_SYMLINKS))?;
        let mark = away::read(root);
        let _ = sys::close(root);
        mark
    };
    look().unwrap_or(Mark::None)
}
