//! Processes, and which of them work below a directory.
use crate::text;
use std::io;
use std::path::{Path, PathBuf};

/// Who works somewhere, as far as that can be found out.
pub struct Working {
    /// Processes, as `name[pid]`.
    pub named: Vec<String>,
    /// Which others there may be: none of them is said not to be there.
    pub unseen: Option<&'static str>,
}

/// What stands for programs that are there, and that nobody can name.
pub const UNNAMED: &str = "programs that cannot be named from here";

/// Processes that work below a directory: an open file there, or their own directory.
pub fn working_in(dir: &Path) -> Working {
    let below = |p: PathBuf| std::fs::read_link(p).is_ok_and(|p| p.starts_with(dir));
    let mut w = Working {
        named: vec![],
        unseen: outside(std::fs::read_link("/proc/self/ns/pid").ok().as_deref()),
    };
    for pid in pids().into_iter().filter(|p| *p != std::process::id()) {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd"));
        if fds
            .as_ref()
            .is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied)
        {
            w.unseen = w.unseen.or(Some("processes of other users"));
        }
        let works = below(format!("/proc/{pid}/cwd").into())
            || fds.into_iter().flatten().flatten().any(|f| below(f.path()));
        if works {
            let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
            w.named
                .push(format!("{}[{pid}]", text::show(name.trim_ascii_end())));
        }
    }
    w
}

/// Whether there are processes that this /proc does not show: this is not the first process namespace, whose number
/// never changes, or nobody knows.
fn outside(namespace: Option<&Path>) -> Option<&'static str> {
    let first = namespace.is_some_and(|n| n.as_os_str() == "pid:[4026531836]");
    (!first).then_some("processes outside this container")
}

/// All processes that /proc shows.
pub fn pids() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_shown_is_not_said_to_be_nobody() {
        assert_eq!(outside(Some(Path::new("pid:[4026531836]"))), None);
        for other in [Some(Path::new("pid:[4026532210]")), None] {
            assert_eq!(outside(other), Some("processes outside this container"));
        }
    }

    #[test]
    fn who_works_in_a_directory_is_named() {
        let dir = std::env::temp_dir().join(format!("mirror-working-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let dir = dir.canonicalize().unwrap();
        assert!(working_in(&dir).named.is_empty());
        let mut child = std::process::Command::new("cat")
            .current_dir(&dir)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let named = working_in(&dir).named;
        drop(child.stdin.take());
        child.wait().unwrap();
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!(named, [format!("cat[{}]", child.id())]);
    }
}
