//! What a directory is, told so that no other one is taken for it.
use crate::calls::{Sys, call, fd, fstatat};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PathText;

/// Identity of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// The mount that it is seen on, or 0 where the kernel does not tell.
    pub mount: u64,
    /// Whether it is the root of that mount; `None` where the kernel does not tell.
    pub top: Option<bool>,
    /// When it was made (seconds, nanoseconds): an inode number is used again.
    pub born: Option<(u64, u64)>,
    /// Number of names.
    pub nlink: u32,
    /// Type bits (S_IFMT).
    pub kind: u32,
}

impl Identity {
    /// Whether both are one object.
    pub fn same(&self, o: &Identity) -> bool {
        (self.dev, self.ino) == (o.dev, o.ino)
    }
}

/// STATX_TYPE, NLINK, INO, BTIME, MNT_ID. No other times: see [`crate::glance`].
const WANTED: usize = 0x001 | 0x004 | 0x100 | 0x800 | 0x1000;

/// STATX_ATTR_MOUNT_ROOT, since Linux 5.8.
const MOUNT_ROOT: u64 = 0x2000;

/// What a path leads to, a symlink itself included; with an empty path what the descriptor is open on.
pub fn identity<const N: usize>(dir: i32, path: &PathText<N>) -> Sys<Identity> {
    let flags = c::AT_SYMLINK_NOFOLLOW | c::AT_EMPTY_PATH;
    let mut x = [0u64; WORDS];
    let to = x.as_mut_ptr() as usize;
    match statx(dir, path.as_ptr() as usize, flags, to) {
        // Sandboxes that do not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) if statx_is_refused() => {
            let st = fstatat(dir, path, flags)?;
            Ok(Identity {
                dev: st.dev(),
                ino: st.ino(),
                mount: 0,
                top: None,
                born: None,
                nlink: st.nlink() as u32,
                kind: st.kind(),
            })
        }
        r => r.map(|_| parse(&x)),
    }
}

/// Words of struct statx.
const WORDS: usize = 32;

fn statx(dir: i32, path: usize, flags: i32, to: usize) -> Sys<usize> {
    call!(
        syscall5,
        c::SYS_statx,
        fd(dir),
        path,
        flags as usize,
        WANTED,
        to
    )
}

/// Whether the kernel has no answer to statx but a refusal, whatever is asked: no file says EPERM.
fn statx_is_refused() -> bool {
    // SAFETY: there is no path, and nothing is stored.
    let r =
        unsafe { crate::raw::syscall5(c::SYS_statx, c::AT_FDCWD as isize as usize, 0, 0, 0, 0) };
    matches!(crate::raw::ret(r), Err(Errno::ENOSYS | Errno::EPERM))
}

/// What a short path leads to, through symlinks too. For small stacks: path and answer share the room. `None`:
/// it is too long.
pub fn identity_through(dir: i32, path: &[u8]) -> Option<Sys<Identity>> {
    short(dir, path, 0)
}

/// The same, but a symlink at the end is not followed.
pub fn identity_at(dir: i32, path: &[u8]) -> Option<Sys<Identity>> {
    short(dir, path, c::AT_SYMLINK_NOFOLLOW)
}

fn short(dir: i32, path: &[u8], flags: i32) -> Option<Sys<Identity>> {
    let mut x = [0u64; WORDS];
    if path.is_empty() || path.contains(&0) || path.len() >= WORDS * 8 {
        return None;
    }
    for (word, bytes) in x.iter_mut().zip(path.chunks(8)) {
        let all = bytes.iter().zip((0..64).step_by(8));
        *word = all.fold(0, |w, (b, shift)| w | u64::from(*b) << shift);
    }
    // The kernel copies the path before it stores anything.
    let at = x.as_mut_ptr() as usize;
    Some(statx(dir, at, flags, at).map(|_| parse(&x)))
}

/// What a path of the program's names, a symlink itself included. The kernel checks the address.
pub fn identity_at_address(dir: i32, path: usize) -> Sys<Identity> {
    let mut x = [0u64; WORDS];
    let to = x.as_mut_ptr() as usize;
    statx(dir, path, c::AT_SYMLINK_NOFOLLOW, to).map(|_| parse(&x))
}

fn parse(x: &[u64; WORDS]) -> Identity {
    let halves = |i: usize| {
        let w = x.get(i).copied().unwrap_or(0);
        (w as u32, (w >> 32) as u32)
    };
    let word = |i: usize| x.get(i).copied().unwrap_or(0);
    let (mask, _) = halves(0);
    let (major, minor) = halves(17);
    Identity {
        dev: c::makedev(major, minor),
        ino: word(4),
        mount: if mask & 0x1000 == 0 { 0 } else { word(18) },
        top: (word(7) & MOUNT_ROOT != 0).then_some(word(1) & MOUNT_ROOT != 0),
        born: (mask & 0x800 != 0).then(|| (word(10), u64::from(halves(11).0))),
        nlink: halves(2).0,
        kind: halves(3).1 & c::S_IFMT,
    }
}

/// The same of a descriptor.
pub fn identity_of(n: i32) -> Sys<Identity> {
    identity(n, &PathText::<1>::new())
}
