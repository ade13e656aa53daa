//! Processes, and which of them work below a directory.
use crate::text;
use std::path::{Path, PathBuf};

/// Processes (as `name[pid]`) that work below a directory: an open file there, or their own directory.
pub fn working_in(dir: &Path) -> Vec<String> {
    let below = |p: PathBuf| std::fs::read_link(p).is_ok_and(|p| p.starts_with(dir));
    pids()
        .into_iter()
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd"));
            below(format!("/proc/{pid}/cwd").into())
                || fds.into_iter().flatten().flatten().any(|f| below(f.path()))
        })
        .map(|pid| {
            let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{}[{pid}]", text::show(name.trim_ascii_end()))
        })
        .collect()
}

/// All processes that /proc shows.
pub fn pids() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}
