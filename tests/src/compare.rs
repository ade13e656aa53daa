//! Two trees compared by our own reading of them: names, types, contents, modes, owners, sizes,
//! symlink targets, hard-link groups, xattrs, device numbers and nanosecond mtimes. `.mirror` of
//! the root is not part of a tree, nor a file system's `lost+found`.
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How strictly two trees are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Everything: two legs of a pair.
    Strict,
    /// Of modification times only those that somebody has set: long past.
    GivenTimes,
    /// Without modification times: a leg and a plain directory in which the same was done.
    NoTimes,
}

/// One object of a tree.
#[derive(Clone, PartialEq, Eq)]
struct Object {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    device: u64,
    mtime: (i64, i64),
    content: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A tree as it was read.
pub struct Tree {
    root: PathBuf,
    objects: BTreeMap<Vec<u8>, Object>,
    links: Vec<Vec<Vec<u8>>>,
}

/// What differs; empty when the trees are equal.
pub struct Differences(pub Vec<String>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.iter().take(20) {
            writeln!(f, "  {line}")?;
        }
        match self.0.len() {
            n @ 21.. => writeln!(f, "  … and {} more", n - 20),
            _ => Ok(()),
        }
    }
}

/// Content of files up to this size is kept and compared byte by byte; of larger ones a hash is.
const KEEP: u64 = 1 << 16;

impl Tree {
    /// Reads a tree. Panics when something cannot be read: a test has the rights it needs.
    pub fn read(root: &Path) -> Tree {
        let mut groups: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
        let mut objects = BTreeMap::new();
        let mut todo = vec![PathBuf::new()];
        let mut opened = Vec::new();
        while let Some(dir) = todo.pop() {
            let full = root.join(&dir);
            opened.extend(open(&full));
            let mut names: Vec<_> = fs::read_dir(&full)
                .unwrap_or_else(|e| panic!("{}: {e}", full.display()))
                .map(|e| e.expect("a directory entry").file_name())
                .collect();
            names.sort();
            for name in names {
                let at_root = dir.as_os_str().is_empty();
                if at_root && (name == ".mirror" || name == "lost+found") {
                    continue;
                }
                let rel = if at_root {
                    PathBuf::from(&name)
                } else {
                    dir.join(&name)
                };
                let (object, inode) = read_object(&root.join(&rel));
                let key = rel.as_os_str().as_bytes().to_vec();
                if object.kind == "directory" {
                    todo.push(rel);
                } else if let Some(inode) = inode {
                    groups.entry(inode).or_default().push(key.clone());
                }
                objects.insert(key, object);
            }
        }
        for (path, mode) in opened.into_iter().rev() {
            fs::set_permissions(&path, mode).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        let mut links: Vec<_> = groups.into_values().filter(|g| g.len() > 1).collect();
        links.iter_mut().for_each(|g| g.sort());
        links.sort();
        // The root itself: mode, owner and xattrs count, its name does not.
        objects.insert(b".".to_vec(), read_object(root).0);
        Tree {
            root: root.to_owned(),
            objects,
            links,
        }
    }

    /// How many objects the tree has, without its root.
    pub fn len(&self) -> usize {
        self.objects.len() - 1
    }

    /// Whether the tree has no object but its root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces paths by names in symlink targets and in the content of files that were kept, so that
    /// trees whose files name their own place can be compared.
    #[must_use]
    pub fn normalised(mut self, names: &[(PathBuf, &str)]) -> Tree {
        for object in self
            .objects
            .values_mut()
            .filter(|o| o.kind == "symlink" || o.size <= KEEP)
        {
            for (path, name) in names {
                object.content = crate::output::replace(
                    &object.content,
                    path.as_os_str().as_bytes(),
                    name.as_bytes(),
                );
            }
        }
        self
    }

    /// All differences to another tree.
    pub fn differences(&self, other: &Tree, level: Level) -> Differences {
        let mut found = Vec::new();
        let show = |k: &[u8]| k.escape_ascii().to_string();
        for (key, mine) in &self.objects {
            match other.objects.get(key) {
                None => found.push(format!("{}: only in {}", show(key), self.root.display())),
                Some(theirs) => compare_object(&show(key), mine, theirs, level, &mut found),
            }
        }
        for key in other
            .objects
            .keys()
            .filter(|k| !self.objects.contains_key(*k))
        {
            found.push(format!("{}: only in {}", show(key), other.root.display()));
        }
        for (one, two) in [(self, other), (other, self)] {
            for group in one.links.iter().filter(|g| !two.links.contains(g)) {
                let names: Vec<String> = group.iter().map(|k| show(k)).collect();
                found.push(format!(
                    "hard links {} only in {}",
                    names.join(" = "),
                    one.root.display()
                ));
            }
        }
        Differences(found)
    }
}

fn compare_object(key: &str, a: &Object, b: &Object, level: Level, found: &mut Vec<String>) {
    if a.kind != b.kind {
        found.push(format!("{key}: {} against {}", a.kind, b.kind));
        return;
    }
    if a.mode != b.mode {
        found.push(format!("{key}: mode {:o} against {:o}", a.mode, b.mode));
    }
    if a.owner != b.owner {
        found.push(format!("{key}: owner {:?} against {:?}", a.owner, b.owner));
    }
    if a.size != b.size {
        found.push(format!("{key}: size {} against {}", a.size, b.size));
    } else if a.content != b.content {
        let at = a
            .content
            .iter()
            .zip(&b.content)
            .position(|(x, y)| x != y)
            .unwrap_or(0);
        let place = if a.size <= KEEP {
            format!(" at byte {at}")
        } else {
            String::new()
        };
        found.push(format!("{key}: content differs{place} ({} bytes)", a.size));
    }
    if a.device != b.device {
        found.push(format!(
            "{key}: device {:x} against {:x}",
            a.device, b.device
        ));
    }
    if a.xattrs != b.xattrs {
        let list = |o: &Object| {
            let show =
                |(k, v): (&Vec<u8>, &Vec<u8>)| format!("{}={}", k.escape_ascii(), v.escape_ascii());
            o.xattrs.iter().map(show).collect::<Vec<_>>().join(" ")
        };
        found.push(format!("{key}: xattrs [{}] against [{}]", list(a), list(b)));
    }
    let given = a.mtime.0.min(b.mtime.0) < 1_500_000_000;
    let timed = level == Level::Strict || level == Level::GivenTimes && given;
    if timed && a.kind == "file" && a.mtime != b.mtime {
        let show = |t: (i64, i64)| format!("{}.{:09}", t.0, t.1);
        found.push(format!(
            "{key}: mtime {} against {}",
            show(a.mtime),
            show(b.mtime)
        ));
    }
}

fn read_object(path: &Path) -> (Object, Option<(u64, u64)>) {
    let meta = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let t = meta.file_type();
    let kind = match () {
        () if t.is_dir() => "directory",
        () if t.is_file() => "file",
        () if t.is_symlink() => "symlink",
        () if t.is_fifo() => "fifo",
        () if t.is_socket() => "socket",
        () if t.is_block_device() => "block device",
        () => "character device",
    };
    let content = match kind {
        "file" => readable(path, &meta, || {
            if meta.len() > KEEP {
                hash_of(path)
            } else {
                fs::read(path)
            }
        })
        .unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        "symlink" => fs::read_link(path)
            .expect("a readable link")
            .into_os_string()
            .into_vec(),
        _ => Vec::new(),
    };
    let object = Object {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        size: if kind == "file" { meta.len() } else { 0 },
        device: meta.rdev(),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        content,
        xattrs: xattrs(path),
    };
    let inode = (kind != "directory" && meta.nlink() > 1).then(|| (meta.dev(), meta.ino()));
    (object, inode)
}

/// Makes an ordinary user's own directory searchable whose mode forbids it; what is to be put back.
fn open(path: &Path) -> Option<(PathBuf, fs::Permissions)> {
    let mode = fs::symlink_metadata(path).ok()?.permissions();
    if mode.mode() & 0o500 == 0o500 || crate::is_root() {
        return None;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).ok()?;
    Some((path.to_owned(), mode))
}

/// Reads an ordinary user's own file whose mode forbids it; the mode is put back.
fn readable<T>(
    path: &Path,
    meta: &fs::Metadata,
    read: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    match read() {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o400))?;
            let result = read();
            fs::set_permissions(path, meta.permissions())?;
            result
        }
        result => result,
    }
}

/// FNV-1a in two halves: good enough to tell two copies apart, no dependency.
fn hash_of(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0u8; 1 << 18];
    let (mut h, mut g) = (0xcbf2_9ce4_8422_2325u64, 0x6c62_272e_07bb_0142u64);
    loop {
        let n = file
            .read(&mut buffer)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if n == 0 {
            break;
        }
        for &b in &buffer[..n] {
            h = (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
            g = g.rotate_left(5).wrapping_add(h);
        }
    }
    Ok([h.to_le_bytes(), g.to_le_bytes()].concat())
}

/// The xattrs that belong to a copy: `user.`, ACLs, capabilities; not what a kernel adds by itself.
fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut out = BTreeMap::new();
    let c = CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path");
    let mut names = vec![0u8; 1 << 16];
    // SAFETY: the path is NUL-terminated and the buffer has the length that is given.
    let n = unsafe { libc::llistxattr(c.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    let n = match usize::try_from(n) {
        Ok(n) => n,
        Err(_) => match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::EOPNOTSUPP) => 0,
            e => panic!("{}: {e}", path.display()),
        },
    };
    for name in names[..n].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if name == b"security.selinux" || name.starts_with(b"trusted.") {
            continue;
        }
        let cname = CString::new(name).expect("no NUL in a name");
        let mut value = vec![0u8; 1 << 16];
        // SAFETY: both texts are NUL-terminated and the buffer has the length that is given.
        let n = unsafe {
            libc::lgetxattr(
                c.as_ptr(),
                cname.as_ptr(),
                value.as_mut_ptr().cast(),
                value.len(),
            )
        };
        let n = usize::try_from(n).unwrap_or_else(|_| {
            let e = io::Error::last_os_error();
            panic!("{}: {cname:?}: {e}", path.display())
        });
        value.truncate(n);
        out.insert(name.to_vec(), value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Two equal trees with one of everything, then `breakage` done to the second.
    fn after(breakage: &str, level: Level) -> Vec<String> {
        let dir = crate::base_dir();
        let make = "umask 022; mkdir -p d/e; echo text > f; echo deep > d/e/g; ln -s f s; ln f h; ln d/e/g d/k; \
                    mkfifo p; head -c 100000 /dev/zero > big; : > \"$(printf 'bad\\377name')\"; mkdir .mirror; \
                    find . -exec touch -h -d @1700000000.123456789 {} +";
        for t in ["a", "b"] {
            let script = if t == "b" {
                format!("{make}; {breakage}")
            } else {
                format!("{make}; date > .mirror/x")
            };
            fs::create_dir(dir.join(t)).unwrap();
            let s = Command::new("sh")
                .arg("-ec")
                .arg(script)
                .current_dir(dir.join(t))
                .status()
                .unwrap();
            assert!(s.success());
        }
        let d = Tree::read(&dir.join("a")).differences(&Tree::read(&dir.join("b")), level);
        fs::remove_dir_all(&dir).unwrap();
        d.0
    }

    #[track_caller]
    fn finds(breakage: &str, wanted: &str) {
        let d = after(breakage, Level::Strict);
        assert!(d.iter().any(|l| l.contains(wanted)), "{breakage}: {d:?}");
    }

    #[test]
    fn equal_trees_are_equal() {
        assert_eq!(after(":", Level::Strict), Vec::<String>::new());
        assert_eq!(after("touch f", Level::NoTimes), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        finds(
            "echo tex2 > t; cat t > f; rm t",
            "f: content differs at byte 3",
        );
        finds(
            "printf x | dd of=big bs=1 seek=70000 conv=notrunc 2>/dev/null",
            "big: content differs",
        );
        finds("echo more >> f", "f: size 5 against 10");
        finds("rm d/e/g", "d/e/g: only in");
        finds("echo n > d/new", "d/new: only in");
        finds("chmod 600 f", "f: mode 644 against 600");
        finds("chmod 1755 d", "d: mode 755 against 1755");
        finds("chmod 700 .", ".: mode 755 against 700");
        finds("ln -sf g s", "s: content differs");
        finds("rm p; : > p", "p: fifo against file");
        finds("rm h; cp -p f h", "hard links f = h only in");
        finds(
            "touch -d @1700000000.123456788 f",
            "f: mtime 1700000000.123456789 against 1700000000.123456788",
        );
    }

    #[test]
    fn owners_and_xattrs_count() {
        if crate::is_root() {
            finds("chown 1:2 f", "f: owner (0, 0) against (1, 2)");
        }
        let probe = after(
            "setfattr -n user.k -v v f 2>/dev/null || touch unsupported",
            Level::Strict,
        );
        assert!(probe.iter().any(|l| l.contains("f: xattrs [] against [user.k=v]") || l.contains("unsupported")), "{probe:?}");
    }
}
