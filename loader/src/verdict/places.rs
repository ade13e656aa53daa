//! Where a system has its programs and libraries.
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const PLACES: [&str; 12] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
];
/// Deeper has no system its libraries.
const DEEP: usize = 24;

/// The folders that are there, each once.
pub fn folders() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = Vec::new();
    for p in PLACES {
        if let Ok(p) = Path::new(p).canonicalize()
            && !out.iter().any(|o| p.starts_with(o))
        {
            out.push(p);
        }
    }
    out
}

/// Calls `with` for each regular file below `dir` that may be a program or a library: each object once, no
/// symlink followed.
pub fn files(dir: &Path, seen: &mut BTreeSet<(u64, u64)>, with: &mut dyn FnMut(&Path)) {
    below(dir, 0, seen, with);
}

fn below(dir: &Path, depth: usize, seen: &mut BTreeSet<(u64, u64)>, with: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for e in entries.flatten() {
        let path = e.path();
        match e.file_type() {
            Ok(t) if t.is_dir() && depth < DEEP => below(&path, depth + 1, seen, with),
            Ok(t) if t.is_file() => {
                let Ok(m) = e.metadata() else { continue };
                let named = path.to_string_lossy().contains(".so");
                if (named || m.mode() & 0o111 != 0) && seen.insert((m.dev(), m.ino())) {
                    with(&path);
                }
            }
            _ => {}
        }
    }
}
