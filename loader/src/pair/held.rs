//! What an audit holds for a decision: names that went away on one leg, `.mirror/held` of leg a
//! (`mirror_audit::Held` has its text).
use crate::text;
use crate::tree::beneath::{Root, like_folder};
pub use mirror_audit::Held;
use mirror_core::BothLocked;
use rustix::fs::{Mode, OFlags};
use std::io;

/// The file.
pub const FILE: &[u8] = b".mirror/held";

/// A line of a list.
pub fn shown(h: &Held, before: &str) -> String {
    format!(
        "{}  gone on leg {}: {before}{}   by {}",
        text::iso(h.time),
        h.leg.letter(),
        text::below(&h.rel),
        text::show(&h.by)
    )
}

/// All of them, a path once.
pub fn read(root: &Root) -> Vec<Held> {
    Held::list(&root.read(FILE).unwrap_or_default())
}

/// Adds one.
pub fn add(root: &Root, h: &Held, _: &BothLocked) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let fd = root.control(FILE, flags, Mode::RUSR | Mode::WUSR)?;
    if rustix::fs::fstat(&fd)?.st_size == 0 {
        like_folder(&root.dir(b".mirror")?, &fd);
    }
    let line = h.line();
    match rustix::io::write(&fd, &line)? {
        n if n == line.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Writes what is left of them.
pub fn write(root: &Root, all: &[Held], _: &BothLocked) -> io::Result<()> {
    let lines: Vec<u8> = all.iter().flat_map(Held::line).collect();
    root.replace(FILE, &lines)
}

/// Nothing is held any more.
pub fn clear(root: &Root, held: &BothLocked) {
    if !read(root).is_empty() {
        let _ = write(root, &[], held);
    }
}
