//! Errors that say that a path leads to nothing.
//!
//! Rule: what decides that something is outside, the kernel must have said in two ways: one call's error alone
//! may be a filter's, or that of a file system that cannot be asked just now.
use mirror_core::Errno;

/// Whether an error says that there is no such path.
pub fn denies(why: Errno) -> bool {
    use Errno as E;
    matches!(why, E::ENOENT | E::ENOTDIR | E::EACCES | E::ENAMETOOLONG)
}

/// Whether a path that was denied is so by another call too. An error: neither that nor the opposite is sure.
pub fn twice(why: Errno, again: impl FnOnce() -> Result<(), Errno>) -> Result<bool, Errno> {
    if !denies(why) {
        return Err(why);
    }
    match again() {
        Err(e) if e == why => Ok(true),
        Err(e) if !denies(e) => Err(e),
        _ => Ok(false),
    }
}
