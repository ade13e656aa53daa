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

/// What a path leads to, a symlink itself included; with an empty path what the descriptor is open on.
pub fn identity<const N: usize>(dir: i32, path: &PathText<N>) -> Sys<Identity> {
    let flags = c::AT_SYMLINK_NOFOLLOW | c::AT_EMPTY_PATH;
    // struct statx, in words of 8 bytes.
    let mut x = [0u64; 32];
    let r = call!(
        syscall5,
        c::SYS_statx,
        fd(dir),
        path.as_ptr() as usize,
        flags as usize,
        WANTED,
        x.as_mut_ptr() as usize
    );
    match r {
        // Sandboxes that do not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let st = fstatat(dir, path, flags)?;
            return Ok(Identity {
                dev: st.dev(),
                ino: st.ino(),
                mount: 0,
                born: None,
                nlink: st.nlink() as u32,
                kind: st.kind(),
            });
        }
        r => r?,
    };
    let halves = |i: usize| {
        let w = x.get(i).copied().unwrap_or(0);
        (w as u32, (w >> 32) as u32)
    };
    let word = |i: usize| x.get(i).copied().unwrap_or(0);
    let (mask, _) = halves(0);
    let (major, minor) = halves(17);
    Ok(Identity {
        dev: c::makedev(major, minor),
        ino: word(4),
        mount: if mask & 0x1000 == 0 { 0 } else { word(18) },
        born: (mask & 0x800 != 0).then(|| (word(10), u64::from(halves(11).0))),
        nlink: halves(2).0,
        kind: halves(3).1 & c::S_IFMT,
    })
}

/// The same of a descriptor.
pub fn identity_of(n: i32) -> Sys<Identity> {
    identity(n, &PathText::<1>::new())
}
