//! Flags that hold an object of the copy as it is (chattr +i, +a): lifted for a repair, and put back on every
//! way out of it.
use crate::pair::legs::OpenLeg;
use crate::text;
use crate::tree::beneath::{Root, join};
use crate::tree::flags::{self, HELD};
use rustix::fs::IFlags;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

/// An object whose flags are lifted, until this goes away.
pub struct Lifted {
    object: OwnedFd,
    flags: IFlags,
    back: bool,
}

impl Lifted {
    /// Lifts those of the file or directory at `rel`. `None`: nothing holds it. An error: they cannot be lifted.
    pub fn at(root: &Root, rel: &[u8]) -> io::Result<Option<Lifted>> {
        // What cannot be opened, or has no flags, is not known to be held.
        let Ok(object) = flags::open(root, rel) else {
            return Ok(None);
        };
        let Ok(now) = rustix::fs::ioctl_getflags(&object) else {
            return Ok(None);
        };
        let flags = now & IFlags::from_bits_retain(HELD);
        if flags.is_empty() {
            return Ok(None);
        }
        rustix::fs::ioctl_setflags(&object, now - flags)?;
        let back = true;
        Ok(Some(Lifted {
            object,
            flags,
            back,
        }))
    }

    /// They stay lifted: the object gets other ones, or is gone.
    pub fn stay(mut self) {
        self.back = false;
    }
}

impl Drop for Lifted {
    fn drop(&mut self) {
        if self.back
            && let Ok(now) = rustix::fs::ioctl_getflags(&self.object)
        {
            let _ = rustix::fs::ioctl_setflags(&self.object, now | self.flags);
        }
    }
}

/// What has been tried to lift: the object, its directory.
pub type Tried<'a> = [(&'a [u8], &'a io::Result<Option<Lifted>>); 2];

/// An error that flags which could not be lifted explain: what holds the object, and what to do.
pub fn explain(e: io::Error, leg: &OpenLeg, tried: Tried<'_>) -> io::Error {
    let denied = [Errno::PERM, Errno::ACCESS].map(|d| Some(d.raw_os_error()));
    if !denied.contains(&e.raw_os_error()) {
        return e;
    }
    match tried.into_iter().find(|(_, lifted)| lifted.is_err()) {
        Some((rel, _)) => said(leg, rel),
        None => e,
    }
}

fn said(leg: &OpenLeg, rel: &[u8]) -> io::Error {
    let root = leg.root.path.as_os_str().as_encoded_bytes();
    let full = match rel {
        b"" => root.to_vec(),
        rel => join(root, rel),
    };
    io::Error::other(format!(
        "on leg {} {} is immutable or append-only (lsattr), and this user may not change that. As root: the same command again",
        leg.letter(),
        text::show(&full)
    ))
}
