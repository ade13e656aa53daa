//! Files of a leg that have names outside it, too: what is changed by those names reaches that leg alone.
//!
//! Rules: nothing is asked while no leg has a list of such files (`mirror_core::outside`); then a file that has
//! more than one name, on a leg's device, is looked up in it.
use crate::attach::session;
use crate::config::CONFIG;
use crate::path::denied::{denies, twice};
pub use crate::path::listed::any;
use crate::path::outside::Outside;
use crate::path::roots::{self, Roots, differ};
use crate::process::limits::own_fd;
use libc as c;
use mirror_core::Errno;
use mirror_core::Leg;
use mirror_core::outside::{FILE, HEAD, files, has};
use mirror_core::path::{Path, PathText};
use mirror_pair::control;
use mirror_sys as sys;
use mirror_sys::{Identity, Stat, Sys};

/// Whether an object may be one, by what is known of it anyway.
pub fn may_be(id: &Identity) -> bool {
    any() && id.nlink > 1 && id.kind == c::S_IFREG && !roots::is_foreign(id.dev)
}

/// The same of what a path of the program's names. Nothing is asked while there is no list.
pub fn may_be_at(dir: i32, path: usize) -> bool {
    any()
        && match sys::identity_at_address(dir, path) {
            Ok(id) => may_be(&id),
            Err(e) => !denies(e) && !matches!(e, Errno::EFAULT | Errno::ELOOP),
        }
}

/// What the kernel's own walk will fail with.
fn is_nowhere(why: Errno) -> bool {
    use Errno as E;
    matches!(why, E::EFAULT | E::ELOOP | E::EPERM) || denies(why)
}

/// The pair of which an object that was met outside is a file.
#[inline(never)]
pub fn whose(st: &Stat) -> Option<usize> {
    if !any() || st.nlink() < 2 || st.kind() != c::S_IFREG {
        return None;
    }
    let roots = Roots::now();
    let mut on = roots.of_device(st.dev());
    on.find(|(pair, leg)| lists(*pair, *leg, st.ino()))
        .map(|(pair, _)| pair)
}

/// Whether a leg's list has an inode. What is damaged, or cannot be read for want of something, has any.
fn lists(pair: usize, leg: Leg, inode: u64) -> bool {
    match session::root_of(pair, leg) {
        Some(root) => look_up(root, inode),
        None => {
            let Some(conf) = CONFIG.get().pairs().get(pair) else {
                return false;
            };
            let mut path = Path::new();
            let text = conf.legs[leg].to_bytes();
            if text.is_empty() || path.set(text).is_err() {
                return false;
            }
            let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
            let root = match own_fd(|| sys::openat(c::AT_FDCWD, &path, flags, 0)) {
                Ok(root) => root,
                Err(e) => return !is_absent(c::AT_FDCWD, &path, e),
            };
            let found = look_up(root, inode);
            let _ = sys::close(root);
            found
        }
    }
}

/// There is no such list, or it is another user's: an open has said so, and another call does.
fn is_absent<const N: usize>(dir: i32, path: &PathText<N>, why: Errno) -> bool {
    let again = || sys::glance(dir, path, c::AT_SYMLINK_NOFOLLOW).map(drop);
    why == Errno::EPERM || twice(why, again) == Ok(true)
}

fn look_up(root: i32, inode: u64) -> bool {
    search(root, inode).unwrap_or_else(|e| !is_absent(root, &control::text(FILE), e))
}

fn search(root: i32, inode: u64) -> Sys<bool> {
    let n = own_fd(|| control::open(root, &control::text(FILE), c::O_RDONLY, 0))?;
    let mut head = [0u8; HEAD];
    let read = sys::fstat(n).and_then(|st| sys::pread(n, &mut head, 0).map(|_| st.size()));
    let found = read.map(|size| {
        let at = |place: u64| {
            let mut number = [0u8; 8];
            let read = sys::pread(n, &mut number, place);
            (read == Ok(number.len())).then(|| u64::from_le_bytes(number))
        };
        files(&head, size).and_then(|files| has(files, inode, at)) != Some(false)
    });
    let _ = sys::close(n);
    found
}

/// The one that a number of a program's is, if it was met outside. An error: that could not be found out.
pub fn by_number(n: i32) -> Sys<Option<usize>> {
    match sys::fstat(n) {
        Ok(st) => Ok(whose(&st)),
        Err(e) => Outside::no_descriptor(n, e).map(|_| None),
    }
}

/// The one that a path of a program's leads to, if it was met outside. An error: that could not be found out.
pub fn at<const N: usize>(dir: i32, path: &PathText<N>, follow: bool) -> Sys<Option<usize>> {
    if !any() {
        return Ok(None);
    }
    let flags = if follow { 0 } else { c::AT_SYMLINK_NOFOLLOW };
    // One call's error is not believed.
    let look = || sys::fstatat(dir, path, flags);
    match look().or_else(|_| look()) {
        Ok(st) => Ok(whose(&st)),
        Err(e) if is_nowhere(e) => Ok(None),
        // It starts at what is no descriptor.
        Err(e) => Outside::no_descriptor(dir, e).map(|_| None),
    }
}

// An object on a device of a leg's, by the roots.
impl Roots {
    fn of_device(&self, dev: u64) -> impl Iterator<Item = (usize, Leg)> + '_ {
        self.each()
            .filter(move |(_, _, ids)| ids.iter().any(|id| !differ(dev, *id)))
            .map(|(pair, leg, _)| (pair, leg))
    }
}
