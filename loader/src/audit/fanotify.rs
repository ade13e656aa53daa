//! T3: fanotify. Needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH; tells the path and the thread. The whole file
//! systems of both legs are marked, and what lies outside the legs is sorted out here.
use super::records::{self, Info, Record};
use super::source::Source;
use crate::fail::{Context, Fail, Res};
use crate::text;
use crate::tree::beneath::{DEEPEST, Root, join};
use mirror_audit::{Event, Judged, Op, Tier, Who};
use mirror_core::{Leg, PerLeg};
use rustix::fs::{Mode, OFlags};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

const WANTED: u64 = libc::FAN_MODIFY
    | libc::FAN_ATTRIB
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_MOVED_FROM
    | libc::FAN_MOVED_TO
    | libc::FAN_ONDIR;
/// Directories whose places are remembered.
const KNOWN: usize = 50_000;

/// Marks on the file systems of both legs.
pub struct Fanotify {
    fd: OwnedFd,
    legs: PerLeg<Root>,
    /// The file systems that they lie in.
    systems: PerLeg<[u8; 8]>,
    /// Where handles of directories led, as of the last rename of a directory.
    known: HashMap<Vec<u8>, Vec<(Leg, Vec<u8>)>>,
    lost: u64,
}

impl Fanotify {
    /// Marks the file systems of both legs.
    pub fn open(legs: PerLeg<&Root>) -> Res<Fanotify> {
        let flags = libc::FAN_CLASS_NOTIF
            | libc::FAN_CLOEXEC
            | libc::FAN_NONBLOCK
            | libc::FAN_REPORT_DFID_NAME
            | libc::FAN_REPORT_TID;
        // SAFETY: a call with integers; the answer is checked.
        let fd = unsafe { libc::fanotify_init(flags, libc::O_RDONLY as u32) };
        if fd < 0 {
            let e = io::Error::last_os_error();
            return Err(Fail::failed(match e.raw_os_error() {
                Some(libc::EPERM) => {
                    "fanotify: needs CAP_SYS_ADMIN. Run as root: sudo mirror audit".into()
                }
                Some(libc::EINVAL | libc::ENOSYS) => {
                    "fanotify: this kernel does not tell names (Linux 5.9 does)".into()
                }
                _ => format!("fanotify: {}", crate::fail::reason(&e)),
            }));
        }
        // SAFETY: a descriptor that was opened just now and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let system = |root: &Root| records::system_of(root.fd()).about(text::path(&root.path));
        let source = Fanotify {
            fd,
            legs: PerLeg {
                a: legs.a.again()?,
                b: legs.b.again()?,
            },
            systems: PerLeg {
                a: system(legs.a)?,
                b: system(legs.b)?,
            },
            known: HashMap::new(),
            lost: 0,
        };
        source.legs.a.agree(&source.legs.b);
        for root in &source.legs {
            source.mark(root)?;
            // What cannot be found again by its handle would be lost.
            let own = records::handle_of(root.fd());
            if let Err(e) = own.and_then(|h| records::open_handle(root.fd(), &h)) {
                return Err(Fail::failed(format!(
                    "fanotify: {}: {}",
                    text::path(&root.path),
                    match e.raw_os_error() {
                        Some(libc::EPERM) => "needs CAP_DAC_READ_SEARCH".into(),
                        Some(libc::EOPNOTSUPP) => "its file system knows no handles".into(),
                        _ => crate::fail::reason(&e),
                    }
                )));
            }
        }
        Ok(source)
    }

    fn mark(&self, root: &Root) -> Res<()> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        // SAFETY: our own descriptors, and a text that ends with a zero byte.
        let done = unsafe {
            libc::fanotify_mark(
                self.fd.as_raw_fd(),
                flags,
                WANTED,
                root.fd().as_raw_fd(),
                c".".as_ptr(),
            )
        };
        if done == 0 {
            return Ok(());
        }
        let e = io::Error::last_os_error();
        let why = match e.raw_os_error() {
            Some(libc::ENODEV | libc::EOPNOTSUPP | libc::EXDEV) => {
                "its file system cannot be watched as a whole".into()
            }
            Some(libc::EPERM) => "needs CAP_SYS_ADMIN in the first user namespace".into(),
            _ => crate::fail::reason(&e),
        };
        Err(Fail::failed(format!(
            "fanotify: {}: {why}",
            text::path(&root.path)
        )))
    }

    /// The places of a directory: below which leg, and where. None: outside both.
    fn places(&mut self, system: &[u8], handle: &[u8]) -> Vec<(Leg, Vec<u8>)> {
        let key = [system, handle].concat();
        if let Some(p) = self.known.get(&key) {
            return p.clone();
        }
        let mut found = vec![];
        for (leg, root) in self.legs.each() {
            if self.systems[leg] != system {
                continue;
            }
            let dir = match held(root, handle) {
                Ok(dir) => dir,
                // It has been removed, and that is told too.
                Err(e) if e.raw_os_error() == Some(libc::ESTALE) => continue,
                Err(_) => {
                    self.lost += 1;
                    continue;
                }
            };
            match below(root, &dir) {
                Ok(rel) => found.extend(rel.map(|rel| (leg, rel))),
                // A path that is too long, say: nobody knows what was changed.
                Err(_) => self.lost += 1,
            }
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(key, found.clone());
        found
    }

    fn take(&mut self, r: &Record<'_>, events: &mut Vec<Event>) {
        if r.mask & libc::FAN_Q_OVERFLOW != 0 {
            self.lost += 1;
            self.known.clear();
            return;
        }
        let is_dir = r.mask & libc::FAN_ONDIR != 0;
        let moved = libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO;
        if is_dir && r.mask & (moved | libc::FAN_DELETE) != 0 {
            self.known.clear();
        }
        let who = Who {
            tid: u32::try_from(r.pid).unwrap_or(0),
            ..Who::default()
        };
        for info in records::infos(r.rest) {
            let Info::Named {
                system,
                handle,
                name,
            } = info
            else {
                continue;
            };
            for (leg, dir) in self.places(system, handle) {
                let Some(rel) = self.rel(leg, &dir, name) else {
                    continue;
                };
                // Of a root itself its attributes are the pair's, no more.
                let all = ops(r.mask, is_dir).into_iter();
                for op in all.filter(|op| !rel.is_empty() || *op == Op::Attributes) {
                    events.push(Event {
                        time: super::source::now(),
                        leg,
                        rel: rel.clone(),
                        to: None,
                        op,
                        range: None,
                        object: None,
                        result: None,
                        who: Some(who.clone()),
                        tier: Tier::T3,
                        judged: Judged::Open,
                    });
                }
            }
        }
    }

    /// The path below a leg, if it is part of the tree. A directory names itself `.`.
    fn rel(&self, leg: Leg, dir: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        let root = &self.legs[leg];
        let rel = match name {
            b"" | b"." => dir.to_vec(),
            n => join(dir, n),
        };
        let first = rel.split(|&c| c == b'/').next().unwrap_or_default();
        let outside = first == b".mirror"
            || (first == b"lost+found" && root.leaves_lost_found())
            || root.left_mounts().contains(&rel);
        (!outside).then_some(rel)
    }
}

/// How often a directory is looked for by its handle, when the kernel has no room for it at this moment.
const ATTEMPTS: usize = 10;

/// The directory with this handle.
fn held(root: &Root, handle: &[u8]) -> io::Result<OwnedFd> {
    let busy = |e: &io::Error| matches!(e.raw_os_error(), Some(libc::ENOMEM | libc::EINTR));
    for _ in 1..ATTEMPTS {
        match records::open_handle(root.fd(), handle) {
            Err(e) if busy(&e) => {}
            r => return r,
        }
    }
    records::open_handle(root.fd(), handle)
}

/// Whether a directory for which the kernel has no text lies below a root: by the way up.
fn climbs_to(root: &Root, dir: &OwnedFd) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    let mut last = None;
    for _ in 0..DEEPEST {
        let st = rustix::fs::fstat(&at)?;
        let here = (st.st_dev, st.st_ino);
        if here == (root.dev, root.ino) {
            return Ok(true);
        }
        if last == Some(here) {
            return Ok(false);
        }
        last = Some(here);
        at = rustix::fs::openat(&at, "..", flags, Mode::empty())?;
    }
    Err(rustix::io::Errno::NAMETOOLONG.into())
}

/// The path of a held directory below a held root, as the kernel names both; None: it is not below, or removed.
fn below(root: &Root, dir: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let name = |fd: BorrowedFd<'_>| -> io::Result<Vec<u8>> {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        Ok(std::fs::read_link(path)?.into_os_string().into_vec())
    };
    if rustix::fs::fstat(dir)?.st_nlink == 0 {
        return Ok(None);
    }
    let path = match name(dir.as_fd()) {
        Err(e) if e.raw_os_error() == Some(libc::ENAMETOOLONG) && !climbs_to(root, dir)? => {
            return Ok(None);
        }
        r => r?,
    };
    let top = name(root.fd())?;
    let rest = match top.as_slice() {
        b"/" => path.strip_prefix(b"/"),
        top => path.strip_prefix(top).and_then(|rest| match rest {
            b"" => Some(rest),
            rest => rest.strip_prefix(b"/"),
        }),
    };
    Ok(rest.map(<[u8]>::to_vec))
}

/// The changes of a record: the kernel merges those of one name by one thread.
fn ops(mask: u64, is_dir: bool) -> Vec<Op> {
    let table = [
        (
            libc::FAN_CREATE,
            if is_dir { Op::Mkdir } else { Op::Create },
        ),
        (libc::FAN_MODIFY, Op::Write),
        (libc::FAN_ATTRIB, Op::Attributes),
        (libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO, Op::Rename),
        (
            libc::FAN_DELETE,
            if is_dir { Op::Rmdir } else { Op::Unlink },
        ),
    ];
    let mut all: Vec<Op> = table
        .into_iter()
        .filter(|(bits, _)| mask & bits != 0)
        .map(|(_, op)| op)
        .collect();
    if all.is_empty() && mask & libc::FAN_CLOSE_WRITE != 0 {
        all.push(Op::Close);
    }
    all
}

impl Source for Fanotify {
    fn tier(&self) -> Tier {
        Tier::T3
    }

    fn blind(&self) -> Vec<String> {
        vec![
            "which bytes".to_owned(),
            "stores through a mapping before the file is closed".into(),
            "changes through a name outside the legs".into(),
            "flags (chattr)".into(),
            "programs that have ended when their event is read (the process id alone)".into(),
        ]
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn scope(&self) -> String {
        let systems: HashSet<u64> = self.legs.iter().map(|r| r.dev).collect();
        match systems.len() {
            1 => "the file system of both legs".into(),
            _ => "the file systems of both legs".into(),
        }
    }

    fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut buf = vec![0u8; 64 << 10];
        loop {
            let n = match rustix::io::read(&self.fd, &mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            let mut rest = buf.get(..n).unwrap_or_default();
            while let Some(r) = records::next(&mut rest) {
                self.take(&r, events);
            }
        }
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}
