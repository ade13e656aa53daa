//! The file whose flock says who repairs the pair, and whose text says how far that is (`sync/turn.rs`).
use crate::tree::beneath::{Root, like_folder};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;

/// The lock file, in each leg.
pub const FILE: &[u8] = b".mirror/resync";

/// Length of the text: written by one call, over the old one, so that a full leg has room for it.
pub const LEN: usize = 128;

/// Opens it; makes it where it is not there.
pub fn file(root: &Root) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE;
    let fd = root.control(FILE, flags, Mode::RUSR | Mode::WUSR)?;
    if rustix::fs::fstat(&fd)?.st_size == 0 {
        like_folder(&root.dir(b".mirror")?, &fd);
    }
    Ok(fd)
}

/// Makes the file with room for its text, if it is not there.
pub fn prepare(root: &Root) -> io::Result<()> {
    let fd = file(root)?;
    if rustix::fs::fstat(&fd)?.st_size == 0 {
        let mut blank = vec![b' '; LEN - 1];
        blank.push(b'\n');
        rustix::io::pwrite(&fd, &blank, 0)?;
    }
    Ok(())
}
