//! What a leg's file system can do, found by trying in `.mirror/tmp`, and how much room it has.
use super::beneath::{Root, temp_name};
use super::object::Fidelity;
use mirror_core::PerLeg;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Abilities of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// user.* attributes can be set.
    pub xattrs: bool,
    /// Hard links can be made.
    pub links: bool,
    /// Symlinks can be made.
    pub symlinks: bool,
    /// Fifos and sockets can be made.
    pub special: bool,
    /// Device nodes can be made (by this user).
    pub devices: bool,
    /// Permission bits stay as set.
    pub modes: bool,
    /// Files can be given to other users (by this user; only root can anywhere).
    pub owners: bool,
    /// Flags (chattr) that this user can set.
    pub flags: u32,
    /// `A` and `a` are two names.
    pub case: bool,
    /// Longest name in bytes.
    pub name_max: usize,
    /// Time resolution in nanoseconds.
    pub grain: i128,
}

impl Abilities {
    /// Everything that Linux knows, for root.
    pub const FULL: Abilities = Abilities {
        xattrs: true,
        links: true,
        symlinks: true,
        special: true,
        devices: true,
        modes: true,
        owners: true,
        flags: super::flags::ALL,
        case: true,
        name_max: 255,
        grain: 1,
    };
}

/// Tries the leg. `.mirror/tmp` must exist; nothing is left behind.
pub fn abilities(root: &Root) -> io::Result<Abilities> {
    let dir = root.dir(b".mirror/tmp")?;
    let name = temp_name();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&dir, &name, flags, Mode::from_raw_mode(0o600))?;
    let r = with_file(&dir, &name, &fd);
    rustix::fs::unlinkat(&dir, &name, AtFlags::empty())?;
    let name_max = rustix::fs::fstatvfs(&dir)?.f_namemax;
    Ok(Abilities {
        case: case(&dir)?,
        name_max: usize::try_from(name_max).unwrap_or(255).min(255),
        ..r?
    })
}

fn with_file(dir: &OwnedFd, name: &str, fd: &OwnedFd) -> io::Result<Abilities> {
    let root = rustix::process::geteuid().is_root();
    let set = |st: Stat, mode: u32| st.st_mode & 0o777 == mode;
    let xattrs =
        rustix::fs::fsetxattr(fd, "user.mirror", b"1", rustix::fs::XattrFlags::empty()).is_ok();
    let modes = rustix::fs::fchmod(fd, Mode::from_raw_mode(0o641)).is_ok()
        && rustix::fs::fstat(fd).is_ok_and(|st| set(st, 0o641));
    let (uid, gid) = (Uid::from_raw(4711), Gid::from_raw(4712));
    let owners = root
        && rustix::fs::fchown(fd, Some(uid), Some(gid)).is_ok()
        && rustix::fs::fstat(fd).is_ok_and(|st| (st.st_uid, st.st_gid) == (4711, 4712));
    let time = Timespec {
        tv_sec: 1_000_000_001,
        tv_nsec: 123_456_789,
    };
    let both = Timestamps {
        last_access: time,
        last_modification: time,
    };
    let grain = match rustix::fs::futimens(fd, &both) {
        Ok(()) => {
            let st = rustix::fs::fstat(fd)?;
            let got = i128::from(st.st_mtime) * 1_000_000_000 + i128::from(st.st_mtime_nsec);
            grain_of(1_000_000_001_123_456_789 - got)
        }
        Err(_) => i128::MAX,
    };
    let other = temp_name();
    let made = |r: rustix::io::Result<()>| {
        let _ = rustix::fs::unlinkat(dir, &other, AtFlags::empty());
        r.is_ok()
    };
    let node = |kind, dev| rustix::fs::mknodat(dir, &other, kind, Mode::RUSR, dev);
    Ok(Abilities {
        links: made(rustix::fs::linkat(dir, name, dir, &other, AtFlags::empty())),
        symlinks: made(rustix::fs::symlinkat("x", dir, &other)),
        special: made(node(FileType::Fifo, 0)),
        devices: root && made(node(FileType::CharacterDevice, libc::makedev(1, 3))),
        xattrs,
        modes,
        owners,
        flags: super::flags::possible(fd),
        grain,
        ..Abilities::FULL
    })
}

/// Whether names that differ in case alone are two.
fn case(dir: &OwnedFd) -> io::Result<bool> {
    let small = format!("case-{}", temp_name());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    drop(rustix::fs::openat(
        dir,
        &small,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?);
    let large = small.to_uppercase();
    let blind = rustix::fs::statat(dir, &large, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    rustix::fs::unlinkat(dir, &small, AtFlags::empty())?;
    Ok(!blind)
}

fn grain_of(lost: i128) -> i128 {
    [1, 100, 1000, 1_000_000, 1_000_000_000, 2_000_000_000]
        .into_iter()
        .find(|g| (0..*g).contains(&lost))
        .unwrap_or(i128::MAX)
}

/// What a copy between two legs can carry.
pub fn fidelity(legs: PerLeg<&Root>) -> Fidelity {
    let mut f = Fidelity::full();
    for r in legs {
        // A leg that cannot even be tried (read-only, full) is compared in full.
        if let Ok(a) = abilities(r) {
            f.xattrs &= a.xattrs;
            f.modes &= a.modes;
            f.links &= a.links;
            f.owner &= a.owners;
            f.flags &= a.flags;
            f.grain = f.grain.max(a.grain);
        }
    }
    f
}

/// Space of a file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space {
    /// Whether the file system says anything (one in memory without a limit does not).
    pub known: bool,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that this user may still write.
    pub free: u64,
}

/// Space of the file system that holds `root`.
pub fn space(root: &Root) -> Space {
    rustix::fs::fstatvfs(root.fd()).map_or(Space::default(), |s| Space {
        known: s.f_blocks > 0,
        used: s.f_blocks.saturating_sub(s.f_bfree) * s.f_frsize,
        free: s.f_bavail * s.f_frsize,
    })
}

/// Whether the file system is mounted read-only.
pub fn read_only(root: &Root) -> bool {
    rustix::fs::fstatvfs(root.fd())
        .is_ok_and(|s| s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// What a file system has none left of for this user: room, or inodes.
pub fn full(root: &Root) -> Option<&'static str> {
    let s = rustix::fs::fstatvfs(root.fd()).ok()?;
    let (room, inodes) = if rustix::process::geteuid().is_root() {
        (s.f_bfree, s.f_ffree)
    } else {
        (s.f_bavail, s.f_favail)
    };
    if s.f_blocks > 0 && room == 0 {
        Some("room")
    } else if s.f_files > 0 && inodes == 0 {
        Some("inodes")
    } else {
        None
    }
}

/// Where the file system that holds `path` is mounted: the highest directory above it on the same device.
pub fn mount_point(path: &Path) -> std::path::PathBuf {
    let device = |p: &Path| rustix::fs::stat(p).ok().map(|s| s.st_dev);
    let own = device(path);
    let same = |p: &&Path| device(p) == own;
    path.ancestors()
        .take_while(same)
        .last()
        .unwrap_or(path)
        .to_path_buf()
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
