//! A first look at a tree before it becomes a leg.
use crate::fail::{Context, Res};
use crate::text;
use crate::tree::beneath::{Root, join, split};
use rustix::fs::{AtFlags, FileType};

/// What there is.
#[derive(Default)]
pub struct Scan {
    /// Bytes of regular files.
    pub bytes: u64,
    /// Everything but directories.
    pub files: u64,
    /// Entries at all.
    pub entries: u64,
    /// Symlinks whose text leads out of the tree.
    pub links_out: u64,
    /// Directories of other file systems.
    pub mounts: Vec<Vec<u8>>,
    /// A leg of another pair below.
    pub nested: Option<Vec<u8>>,
}

/// Walks the tree once, without looking into files.
pub fn scan(root: &Root) -> Res<Scan> {
    let mut s = Scan::default();
    let mut todo = vec![(Vec::new(), root.dev)];
    while let Some((dir, dev)) = todo.pop() {
        crate::tree::content::check_stop().about("stopped")?;
        let about = || text::show(&join(root.path.as_os_str().as_encoded_bytes(), &dir));
        let names = root.names(&dir).about(about())?;
        let fd = root.dir(&dir).about(about())?;
        for n in names {
            let Ok(st) = rustix::fs::statat(&fd, n.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let rel = join(&dir, &n);
            s.entries += 1;
            match FileType::from_raw_mode(st.st_mode) {
                FileType::Directory => {
                    if st.st_dev != dev {
                        s.mounts.push(rel.clone());
                    }
                    if n == b".mirror"
                        && root
                            .open_at(
                                &join(&rel, b"leg"),
                                rustix::fs::OFlags::PATH,
                                rustix::fs::Mode::empty(),
                            )
                            .is_ok()
                    {
                        s.nested = Some(dir.clone());
                    }
                    todo.push((rel, st.st_dev));
                    continue;
                }
                FileType::RegularFile => s.bytes += u64::try_from(st.st_size).unwrap_or(0),
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&fd, n.as_slice(), Vec::new())
                        .map(|t| t.into_bytes())
                        .unwrap_or_default();
                    s.links_out += u64::from(leads_out(
                        root.path.as_os_str().as_encoded_bytes(),
                        &rel,
                        &target,
                    ));
                }
                _ => {}
            }
            s.files += 1;
        }
    }
    Ok(s)
}

/// Unmirrored processes that have something open below the tree, as `name[pid]`. Those of other users
/// are seen by root only.
pub fn users(root: &Root) -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|pid| pid.parse::<u32>().is_ok() && *pid != own)
        .filter(|pid| {
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            let inside = |p: std::path::PathBuf| p != root.path && p.starts_with(&root.path);
            fds.filter_map(|f| std::fs::read_link(f.path()).ok())
                .any(inside)
        })
        .filter(|pid| {
            let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
            !maps.windows(13).any(|w| w == b"/libmirror.so")
        })
        .map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{}[{pid}]", text::show(name.trim_end().as_bytes()))
        })
        .collect()
}

/// Whether a symlink's text, taken literally, leads out of the tree.
fn leads_out(root: &[u8], rel: &[u8], target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return target
            .strip_prefix(root)
            .is_none_or(|r| !r.is_empty() && r[0] != b'/');
    }
    let (dir, _) = split(rel);
    let mut depth = dir.split(|&c| c == b'/').filter(|p| !p.is_empty()).count();
    for part in target.split(|&c| c == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::leads_out;

    #[test]
    fn texts_are_judged() {
        for (rel, target, out) in [
            (&b"a"[..], &b"b"[..], false),
            (b"a", b"../b", true),
            (b"d/a", b"../b", false),
            (b"d/a", b"../../b", true),
            (b"a", b"/leg/x", false),
            (b"a", b"/legs", true),
            (b"a", b"/etc", true),
        ] {
            assert_eq!(
                leads_out(b"/leg", rel, target),
                out,
                "{}",
                String::from_utf8_lossy(target)
            );
        }
    }
}
