//! How many are attached to a leg.
use crate::tree::beneath::Root;
use mirror_core::record::OWNER_RECORD;
use rustix::fs::{Mode, OFlags};
use std::os::fd::AsFd;

/// How many processes other than commands of this program hold a shared lock on a leg's owner record.
/// `None`: it cannot be known here.
pub fn count(root: &Root) -> Option<u64> {
    let fd = root
        .open_at(OWNER_RECORD, OFlags::PATH, Mode::empty())
        .ok()?;
    let st = rustix::fs::fstat(fd.as_fd()).ok()?;
    let want = format!(
        "{:02x}:{:02x}:{}",
        libc::major(st.st_dev),
        libc::minor(st.st_dev),
        st.st_ino
    );
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let own = std::fs::read_link("/proc/self/exe").ok();
    let n = locks
        .lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().filter(|w| *w != "->").collect();
            (f.get(1) == Some(&"FLOCK")
                && f.get(3) == Some(&"READ")
                && f.get(5) == Some(&want.as_str()))
            .then(|| f.get(4).copied().unwrap_or(""))
        })
        .filter(|pid| own.is_none() || std::fs::read_link(format!("/proc/{pid}/exe")).ok() != own)
        .count();
    u64::try_from(n).ok()
}
