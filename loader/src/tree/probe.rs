//! What a leg's file system can do, found by trying in `.mirror/tmp`, and how much room it has.
use super::beneath::{Root, temp_name};
use super::object::Fidelity;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use std::io;
use std::path::Path;

/// Abilities of one leg.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// user.* attributes can be set.
    pub xattrs: bool,
    /// Hard links can be made.
    pub links: bool,
    /// Symlinks can be made.
    pub symlinks: bool,
    /// Permission bits stay as set.
    pub modes: bool,
    /// Time resolution in nanoseconds.
    pub grain: i128,
}

/// Tries the leg. `.mirror/tmp` must exist; nothing is left behind.
pub fn abilities(root: &Root) -> io::Result<Abilities> {
    let dir = root.dir(b".mirror/tmp")?;
    let (name, other) = (temp_name(), temp_name());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&dir, &name, flags, Mode::from_raw_mode(0o600))?;
    let xattrs =
        rustix::fs::fsetxattr(&fd, "user.mirror", b"1", rustix::fs::XattrFlags::empty()).is_ok();
    let modes = rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o641)).is_ok()
        && rustix::fs::fstat(&fd).is_ok_and(|st| st.st_mode & 0o777 == 0o641);
    let time = Timespec {
        tv_sec: 1_000_000_001,
        tv_nsec: 123_456_789,
    };
    let grain = match rustix::fs::futimens(
        &fd,
        &Timestamps {
            last_access: time,
            last_modification: time,
        },
    ) {
        Ok(()) => {
            let st = rustix::fs::fstat(&fd)?;
            let got = i128::from(st.st_mtime) * 1_000_000_000 + i128::from(st.st_mtime_nsec);
            grain_of(1_000_000_001_123_456_789 - got)
        }
        Err(_) => i128::MAX,
    };
    let links = rustix::fs::linkat(&dir, &name, &dir, &other, AtFlags::empty()).is_ok();
    let _ = rustix::fs::unlinkat(&dir, &other, AtFlags::empty());
    let symlinks = rustix::fs::symlinkat("x", &dir, &other).is_ok();
    let _ = rustix::fs::unlinkat(&dir, &other, AtFlags::empty());
    rustix::fs::unlinkat(&dir, &name, AtFlags::empty())?;
    Ok(Abilities {
        xattrs,
        links,
        symlinks,
        modes,
        grain,
    })
}

fn grain_of(lost: i128) -> i128 {
    [1, 100, 1000, 1_000_000, 1_000_000_000, 2_000_000_000]
        .into_iter()
        .find(|g| (0..*g).contains(&lost))
        .unwrap_or(i128::MAX)
}

/// What a copy between two legs can carry.
pub fn fidelity(legs: [&Root; 2]) -> Fidelity {
    let mut f = Fidelity::full();
    for r in legs {
        // A leg that cannot even be tried (read-only, full) is compared in full.
        if let Ok(a) = abilities(r) {
            f.xattrs &= a.xattrs;
            f.modes &= a.modes;
            f.links &= a.links;
            f.grain = f.grain.max(a.grain);
        }
    }
    f
}

/// Space of a file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that this user may still write.
    pub free: u64,
}

/// Space of the file system that holds `root`.
pub fn space(root: &Root) -> Space {
    rustix::fs::fstatvfs(root.fd()).map_or(Space::default(), |s| Space {
        used: s.f_blocks.saturating_sub(s.f_bfree) * s.f_frsize,
        free: s.f_bavail * s.f_frsize,
    })
}

/// Whether the file system is mounted read-only.
pub fn read_only(root: &Root) -> bool {
    rustix::fs::fstatvfs(root.fd())
        .is_ok_and(|s| s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// The type of the file system at `path` as /proc/self/mountinfo calls it.
pub fn kind(path: &Path) -> String {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let info = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut best: Option<(usize, String)> = None;
    for line in info.split(|&b| b == b'\n') {
        let mut halves = line.splitn(2, |&b| b == b'-').collect::<Vec<_>>();
        if let Some(i) = line.windows(3).position(|w| w == b" - ") {
            halves = vec![&line[..i], &line[i + 3..]];
        }
        let [left, right] = halves.as_slice() else {
            continue;
        };
        let Some(point) = left.split(|&b| b == b' ').nth(4) else {
            continue;
        };
        let point =
            std::path::PathBuf::from(std::ffi::OsString::from_vec(crate::text::unescape(point)));
        let len = point.as_os_str().as_bytes().len();
        if path.starts_with(&point) && best.as_ref().is_none_or(|(l, _)| len >= *l) {
            let kind = right.split(|&b| b == b' ').next().unwrap_or(b"?");
            best = Some((len, crate::text::show(kind)));
        }
    }
    best.map_or_else(|| "?".into(), |(_, k)| k)
}
