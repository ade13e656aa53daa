//! Rings of records that programs write (`core::refusal`, `core::unmirrored`): one for each user, in a place
//! where everybody may make files. A ring is its user's to write: nothing in it is believed beyond its form.
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A ring's bytes, if it can only have been written by its user.
pub fn read(path: &Path, uid: u32, size: usize) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let f = File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .ok()?;
    let whole = |m: std::fs::Metadata| {
        m.is_file()
            && m.uid() == uid
            && m.mode() & 0o7777 == 0o600
            && m.nlink() == 1
            && m.len() == size as u64
    };
    if !f.metadata().is_ok_and(whole) {
        return None;
    }
    let mut bytes = Vec::new();
    f.take(size as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The rings that this user may read, and whose they are: its own, and for root everybody's. `others`: what
/// their names begin with.
pub fn paths(own: impl Fn(u32) -> PathBuf, others: &[u8]) -> Vec<(PathBuf, u32)> {
    let me = rustix::process::geteuid().as_raw();
    let mut all = vec![(own(me), me)];
    if me != 0 {
        return all;
    }
    let after = others.iter().rposition(|c| *c == b'/').map_or(0, |i| i + 1);
    let (folder, prefix) = others.split_at(after);
    let names = std::fs::read_dir(OsStr::from_bytes(folder))
        .into_iter()
        .flatten()
        .flatten();
    for name in names.map(|e| e.file_name()) {
        let number = name
            .as_bytes()
            .strip_prefix(prefix)
            .and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
        match number {
            // Root's, of programs for which /run/mirror is read-only.
            Some(0) => all.push((Path::new(OsStr::from_bytes(folder)).join(&name), 0)),
            Some(uid) => all.push((own(uid), uid)),
            None => {}
        }
    }
    all
}
