//! A first look at a tree before it becomes a leg.
use crate::fail::{Context, Fail, Res};
use crate::text;
use crate::tree::beneath::{Root, join};
use crate::tree::symlink::leads_out;
use rustix::fs::{AtFlags, FileType, Stat};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

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
    /// Files with names outside it.
    pub names_out: u64,
    /// Their inode numbers.
    pub outside: Vec<u64>,
    /// Directories of other file systems.
    pub mounts: Vec<Vec<u8>>,
    /// A leg of another pair below.
    pub nested: Option<Vec<u8>>,
    /// Which abilities of the leg its contents need.
    pub needs: Needs,
}

/// How many objects need what a file system may lack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Carry extended attributes that are copied.
    pub xattrs: u64,
    /// Have more than one name.
    pub links: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Fifos and sockets.
    pub special: u64,
    /// Device nodes.
    pub devices: u64,
    /// Have permission bits (all but symlinks).
    pub modes: u64,
    /// Belong to somebody other than this user.
    pub owners: u64,
    /// The last digit of their mtime that counts, by grain (as in [`GRAINS`]).
    pub finer: [u64; GRAINS.len()],
    /// Bytes of the longest names: count by length.
    pub names: BTreeMap<usize, u64>,
}

/// Resolutions of time stamps in nanoseconds, of which file systems have one.
pub const GRAINS: [i128; 5] = [100, 1000, 1_000_000, 1_000_000_000, 2_000_000_000];

impl Needs {
    /// Notes one object.
    fn add(&mut self, dir: BorrowedFd<'_>, name: &[u8], st: &Stat) {
        let kind = FileType::from_raw_mode(st.st_mode);
        match kind {
            FileType::Symlink => self.symlinks += 1,
            FileType::Fifo | FileType::Socket => self.special += 1,
            FileType::BlockDevice | FileType::CharacterDevice => self.devices += 1,
            _ => {}
        }
        self.links += u64::from(kind != FileType::Directory && st.st_nlink > 1);
        self.modes += u64::from(kind != FileType::Symlink);
        let own = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        self.owners += u64::from((st.st_uid, st.st_gid) != own);
        if kind == FileType::RegularFile {
            let t = i128::from(st.st_mtime) * 1_000_000_000 + i128::from(st.st_mtime_nsec);
            for (n, g) in self.finer.iter_mut().zip(GRAINS) {
                *n += u64::from(t.rem_euclid(g) != 0);
            }
        }
        if name.len() > 8 {
            *self.names.entry(name.len()).or_default() += 1;
        }
        self.xattrs += u64::from(crate::tree::object::has_xattrs(dir, name));
    }

    /// Names longer than `max` bytes.
    pub fn longer(&self, max: usize) -> u64 {
        self.names.range(max + 1..).map(|(_, n)| n).sum()
    }

    /// Files whose times are finer than `grain`.
    pub fn finer_than(&self, grain: i128) -> u64 {
        let at = GRAINS.iter().position(|g| *g >= grain);
        at.and_then(|i| self.finer.get(i)).copied().unwrap_or(0)
    }
}

/// Walks the tree once, without looking into files. `other` is the root that must not be met in it.
pub fn scan(root: &Root, other: &Root) -> Res<Scan> {
    root.agree(other);
    let mut s = Scan::default();
    let mut outer = crate::tree::outer::Names::default();
    let mut todo = vec![(Vec::new(), root.dev)];
    while let Some((dir, dev)) = todo.pop() {
        crate::tree::content::check_stop().about("stopped")?;
        let about = || text::below(&join(root.path.as_os_str().as_encoded_bytes(), &dir));
        outer.enter(root, &dir);
        let names = root.names(&dir).about(about())?;
        let fd = root.dir(&dir).about(about())?;
        for n in names {
            let Ok(st) = rustix::fs::statat(&fd, n.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let rel = join(&dir, &n);
            s.entries += 1;
            s.needs.add(fd.as_fd(), &n, &st);
            match FileType::from_raw_mode(st.st_mode) {
                FileType::Directory => {
                    if (st.st_dev, st.st_ino) == (other.dev, other.ino) {
                        return Err(Fail::failed(format!(
                            "{} is inside {} (as {}): a leg cannot contain the other. Choose a directory outside it",
                            text::path(&other.path),
                            text::path(&root.path),
                            text::below(&rel)
                        )));
                    }
                    if st.st_dev != dev {
                        s.mounts.push(rel.clone());
                    }
                    let record = |e: &Vec<u8>| {
                        let flags = rustix::fs::OFlags::PATH;
                        match root.open_at(&join(e, b"leg"), flags, rustix::fs::Mode::empty()) {
                            Ok(_) => true,
                            // What may not be looked at is another user's.
                            Err(e) => e.kind() == std::io::ErrorKind::PermissionDenied,
                        }
                    };
                    if n == b".mirror" && record(&rel) {
                        s.nested = Some(dir.clone());
                        return Ok(s);
                    }
                    todo.push((rel, st.st_dev));
                    continue;
                }
                FileType::RegularFile => {
                    s.bytes += u64::try_from(st.st_size).unwrap_or(0);
                    outer.meet((st.st_dev, st.st_ino), st.st_nlink);
                }
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
    s.outside = outer.outside_of(root);
    s.names_out = s.outside.len() as u64;
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
