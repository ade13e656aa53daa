//! Who is attached to a pair: the processes that hold the shared lock on a leg's owner record, found
//! by their open files, and by the kernel's list of locks where their files cannot be looked at.
use super::holders::{Bytes, Words};
use super::legs::Pair;
use super::working::pids;
use crate::text;
use crate::tree::beneath::join;
use mirror_core::record::OWNER_RECORD;
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which libmirror.so a process runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// The one that `mirror run` would load now.
    Current,
    /// A file that has been replaced or removed since.
    Old,
    /// Another file.
    Other(PathBuf),
    /// None: a `mirror` command, or a program that inherited the lock.
    None,
    /// It cannot be looked at.
    Unknown,
}

impl Library {
    /// The word for reports.
    pub fn word(&self) -> &'static str {
        match self {
            Library::Current => "current",
            Library::Old => "old",
            Library::Other(_) => "other",
            Library::None => "none",
            Library::Unknown => "unknown",
        }
    }
}

/// One attached process.
#[derive(Clone, Debug)]
pub struct User {
    /// Its pid.
    pub pid: u32,
    /// Its user.
    pub uid: Option<u32>,
    /// Its command line, one line of text.
    pub command: String,
    /// When it started (seconds since 1970).
    pub started: Option<u64>,
    /// Its library.
    pub library: Library,
    /// Whether it holds locks of the pair: it is in the middle of a change.
    pub changing: bool,
    /// Whether it is a `mirror` command, not a program.
    pub tool: bool,
}

/// All that is known.
#[derive(Default)]
pub struct Attendance {
    /// Attached processes that could be found, by pid.
    pub users: Vec<User>,
    /// Locks whose process is not to be seen from here (another container).
    pub unseen: u64,
}

impl Attendance {
    /// Attached programs, commands of ours left out.
    pub fn programs(&self) -> impl Iterator<Item = &User> {
        self.users.iter().filter(|u| !u.tool)
    }
    /// How many processes are in the middle of a change.
    pub fn changing(&self) -> u64 {
        self.users.iter().filter(|u| u.changing).count() as u64
    }
    /// Programs with a library that is not the current one.
    pub fn stale(&self) -> u64 {
        let not = |u: &&User| matches!(u.library, Library::Old | Library::Other(_));
        self.programs().filter(not).count() as u64
    }
}

/// The pair's files on which locks tell something.
struct Objects {
    owners: BTreeSet<(u64, u64)>,
    locks: BTreeSet<(u64, u64)>,
}

impl Objects {
    fn of(p: &Pair) -> Objects {
        let mut o = Objects {
            owners: BTreeSet::new(),
            locks: BTreeSet::new(),
        };
        for leg in &p.legs {
            let id = |rel: &[u8]| {
                let fd = leg.root.open_at(rel, OFlags::PATH, Mode::empty()).ok()?;
                let st = rustix::fs::fstat(&fd).ok()?;
                Some((st.st_dev, st.st_ino))
            };
            o.owners.extend(id(OWNER_RECORD));
            let mut todo = vec![b".mirror/locks".to_vec()];
            while let Some(rel) = todo.pop() {
                match leg.root.names(&rel) {
                    Ok(names) => todo.extend(names.iter().map(|n| join(&rel, n))),
                    Err(_) => o.locks.extend(id(&rel)),
                }
            }
        }
        o
    }
}

/// A descriptor below some control folder, or of a runtime file, in some process, with the locks on it.
struct Descriptor {
    pid: u32,
    id: (u64, u64),
    /// Whether exclusive, and the pid that the kernel names as the taker (a parent's, after a fork).
    locks: Vec<(bool, Option<u32>)>,
    /// Bytes that its description has locked.
    bytes: Vec<Bytes>,
}

/// One look at all processes, for any number of pairs.
pub struct Census {
    open: Vec<Descriptor>,
    /// The libmirror.so that `mirror run` would load now.
    current: Option<PathBuf>,
}

impl Census {
    /// Looks. `current`: the libmirror.so that `mirror run` would load now.
    pub fn take(current: Option<PathBuf>) -> Census {
        Census {
            current,
            open: pids().into_iter().flat_map(descriptors).collect(),
        }
    }

    /// Who is attached to a pair.
    pub fn of(&self, p: &Pair) -> Attendance {
        let objects = Objects::of(p);
        let words = Words::of(p);
        let own = std::process::id();
        let mut a = Attendance::default();
        let mut takers: BTreeSet<u32> = BTreeSet::new();
        // By pid: attached, and in the middle of a change.
        let mut found: BTreeMap<u32, (bool, bool)> = BTreeMap::new();
        for d in &self.open {
            let (owner, lock) = (
                objects.owners.contains(&d.id),
                objects.locks.contains(&d.id),
            );
            if !owner && !lock {
                continue;
            }
            let f = found.entry(d.pid).or_default();
            for (write, taker) in &d.locks {
                f.0 |= owner;
                f.1 |= lock && *write;
                takers.extend(taker);
            }
        }
        if let Some(words) = &words {
            let of_it = self.open.iter().filter(|d| d.id == words.file);
            let all: Vec<_> = of_it.map(|d| (d.pid, &d.bytes[..])).collect();
            for (pid, bytes) in &all {
                if let Some(f) = found.get_mut(pid) {
                    f.1 |= words.are(*pid, bytes, &all);
                }
            }
        }
        for (pid, (attached, changing)) in found {
            if attached && pid != own {
                a.users.push(user(pid, changing, self.current.as_deref()));
            }
        }
        // What the kernel lists beyond these belongs to processes whose files are not shown to this user.
        let mut others: BTreeMap<u32, bool> = BTreeMap::new();
        for l in kernel_locks(&objects) {
            if !takers.contains(&l.pid) && l.pid != own {
                *others.entry(l.pid).or_default() |= l.changing;
            }
        }
        for (pid, changing) in others {
            if pid != 0 && Path::new(&format!("/proc/{pid}")).exists() {
                a.users.push(user(pid, changing, self.current.as_deref()));
            } else {
                a.unseen += 1;
            }
        }
        a.users.sort_by_key(|u| u.pid);
        a
    }
}

/// A process's descriptors below control folders, and of runtime files. Their names sort out nearly all others without a
/// further look.
fn descriptors(pid: u32) -> Vec<Descriptor> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let below = |p: &Path| {
        let name = std::fs::read_link(p).unwrap_or_default();
        let name = name.as_os_str().as_bytes();
        name.windows(9).any(|w| w == b"/.mirror/") || name.windows(7).any(|w| w == b"/mirror")
    };
    fds.into_iter()
        .flatten()
        .flatten()
        .filter(|fd| below(&fd.path()))
        .filter_map(|fd| {
            let m = std::fs::metadata(fd.path()).ok()?;
            let info = format!("/proc/{pid}/fdinfo/{}", fd.file_name().to_string_lossy());
            let info = std::fs::read_to_string(info).unwrap_or_default();
            Some(Descriptor {
                pid,
                id: (m.dev(), m.ino()),
                locks: flocks(&info),
                bytes: bytes(&info),
            })
        })
        .collect()
}

/// The processes that have a byte of a file locked, by name and pid.
pub fn with_byte(id: (u64, u64), byte: u64) -> Vec<String> {
    let has = |d: &Descriptor| d.id == id && d.bytes.iter().any(|r| r.contains(&byte));
    let of = |pid: u32| descriptors(pid).iter().any(has);
    let name = |pid: u32| {
        let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{}[{pid}]", text::show(comm.trim_ascii_end()))
    };
    pids().into_iter().filter(|p| of(*p)).map(name).collect()
}

/// The flocks of one descriptor, from its fdinfo: whether exclusive, and the pid that took it.
fn flocks(info: &str) -> Vec<(bool, Option<u32>)> {
    info.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.strip_prefix("lock:")?.split_whitespace().collect();
            (f.get(1) == Some(&"FLOCK")).then(|| {
                (
                    f.get(3) == Some(&"WRITE"),
                    f.get(4).and_then(|p| p.parse().ok()),
                )
            })
        })
        .collect()
}

/// The bytes that one description has locked, from its fdinfo: `… OFDLCK ADVISORY WRITE -1 00:1a:4711 FROM TO`.
fn bytes(info: &str) -> Vec<Bytes> {
    info.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.strip_prefix("lock:")?.split_whitespace().collect();
            let at = |i: usize| f.get(i)?.parse().ok();
            (f.get(1) == Some(&"OFDLCK")).then(|| Some(at(6)?..=at(7)?))?
        })
        .collect()
}

struct KernelLock {
    pid: u32,
    changing: bool,
}

/// Granted locks on the pair's files. (On file systems whose numbers of devices are not those of the
/// kernel's list – btrfs, overlay – nothing is found here.)
fn kernel_locks(objects: &Objects) -> Vec<KernelLock> {
    let list = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    list.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect();
            let at = f.get(5)?;
            let (major, rest) = at.split_once(':')?;
            let (minor, ino) = rest.split_once(':')?;
            let hex = |s| u32::from_str_radix(s, 16).ok();
            let id = (libc::makedev(hex(major)?, hex(minor)?), ino.parse().ok()?);
            let changing = objects.locks.contains(&id) && f.get(3) == Some(&"WRITE");
            // A `->` in the second place marks a waiter.
            (f.get(1) == Some(&"FLOCK") && (changing || objects.owners.contains(&id))).then(|| {
                KernelLock {
                    pid: f.get(4).and_then(|p| p.parse().ok()).unwrap_or(0),
                    changing,
                }
            })
        })
        .collect()
}

fn user(pid: u32, changing: bool, current: Option<&Path>) -> User {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let comm = std::fs::read(folder.join("comm")).unwrap_or_default();
    let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|&b| b == 0)
        .filter(|w| !w.is_empty())
        .map(text::show)
        .collect();
    let library = library(pid, current);
    User {
        pid,
        uid: std::fs::metadata(&folder).ok().map(|m| m.uid()),
        tool: comm == b"mirror\n" && matches!(library, Library::None | Library::Unknown),
        command: if words.is_empty() {
            text::show(comm.trim_ascii_end())
        } else {
            words.join(" ")
        },
        started: started(pid),
        library,
        changing,
    }
}

fn library(pid: u32, current: Option<&Path>) -> Library {
    let Ok(maps) = std::fs::read(format!("/proc/{pid}/maps")) else {
        return Library::Unknown;
    };
    if maps.is_empty() {
        return Library::Unknown;
    }
    let Some(name) = maps
        .split(|&b| b == b'\n')
        .filter_map(|l| mirror_core::maps::parse(l).map(|m| m.path))
        .find(|n| n.windows(13).any(|w| w == b"/libmirror.so"))
    else {
        return Library::None;
    };
    if name.ends_with(b" (deleted)") {
        return Library::Old;
    }
    let file = PathBuf::from(std::ffi::OsStr::from_bytes(name));
    match current {
        Some(c) if c == file || same(c, pid, &file) => Library::Current,
        Some(_) => Library::Other(file),
        None => Library::Unknown,
    }
}

/// Whether a process's file holds the same bytes as ours.
fn same(ours: &Path, pid: u32, theirs: &Path) -> bool {
    let seen =
        Path::new(&format!("/proc/{pid}/root")).join(theirs.strip_prefix("/").unwrap_or(theirs));
    let size = |p: &Path| std::fs::metadata(p).map(|m| m.len()).ok();
    size(ours).is_some()
        && size(ours) == size(&seen)
        && std::fs::read(ours).ok() == std::fs::read(seen).ok()
}

/// When a process started.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    let all = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = all
        .lines()
        .find_map(|l| l.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Some(boot + ticks / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_a_descriptor_are_read() {
        let info = "pos:\t0\nflags:\t02100002\nlock:\t1: FLOCK  ADVISORY  READ 4711 fe:00:12 0 EOF\n\
                    lock:\t1: POSIX  ADVISORY  WRITE 4712 fe:00:12 0 EOF\n\
                    lock:\t1: FLOCK  ADVISORY  WRITE 4713 fe:00:12 0 EOF\n";
        assert_eq!(flocks(info), [(false, Some(4711)), (true, Some(4713))]);
    }

    #[test]
    fn this_process_has_started() {
        let t = started(std::process::id()).unwrap();
        assert!(t <= text::now() + 1 && t + 3600 > text::now(), "{t}");
    }
}
