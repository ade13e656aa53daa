//! The domain: one runtime file per pair and kernel, named by both legs' `.mirror/owner`, on which
//! every attached process holds a shared lock. The preloaded library follows the same protocol.
use super::control::{Leg, Pair, random_id};
use super::lock::Locks;
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::owner::Owner;
use mirror_core::record::{Id, OWNER_RECORD, PENDING_LOG, runtime_trusted};
use mirror_core::runtime::{RuntimeFile, SIZE};
use mirror_core::word::StateWord;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A shared mapping of a runtime file.
pub struct Runtime {
    at: std::ptr::NonNull<RuntimeFile>,
}

impl Runtime {
    fn map(fd: &OwnedFd) -> io::Result<Runtime> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; SIZE bytes exist in the file
        // (checked or allocated by the callers), and every field of RuntimeFile is an atomic.
        let p =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), SIZE, prot, MapFlags::SHARED, fd, 0) }?;
        Ok(Runtime {
            at: std::ptr::NonNull::new(p.cast()).ok_or(io::ErrorKind::InvalidData)?,
        })
    }
    /// The file's records.
    pub fn view(&self) -> &RuntimeFile {
        // SAFETY: mapped for as long as self lives, page-aligned, all fields atomic.
        unsafe { self.at.as_ref() }
    }
    /// The state word.
    pub fn word(&self) -> StateWord {
        StateWord(self.view().header.word.load(Ordering::Acquire))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: our own mapping of exactly this size; no reference outlives self.
        let _ = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), SIZE) };
    }
}

/// The kernel's boot id.
pub fn boot_id() -> Res<Id> {
    let name = "/proc/sys/kernel/random/boot_id";
    let s = std::fs::read_to_string(name).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Fail::failed(format!(
            "{name}: not there. The mirror needs /proc: mount -t proc proc /proc (or let the container or chroot have it)"
        )),
        _ => Fail::io(name, e),
    })?;
    let hex: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    Id::from_hex(&hex).ok_or_else(|| Fail::failed(format!("{name}: not a boot id")))
}

/// The domain that both legs name, if it is of this boot.
fn named(p: &Pair, boot: Id) -> Option<Id> {
    let [a, b] = &p.legs;
    let o = read_owner(a)?;
    (o.boot == boot && read_owner(b)? == o).then_some(o.runtime)
}

fn read_owner(leg: &Leg) -> Option<Owner> {
    Owner::parse(&leg.root.read(OWNER_RECORD).ok()?)
}

/// The live runtime file, if it is whole and only the pair's own can have made it. Never makes or
/// changes anything.
pub fn existing(p: &Pair, boot: Id) -> Option<Runtime> {
    let id = named(p, boot)?;
    let flags =
        OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::open(p.legs[0].runtime_file(id), flags, Mode::empty()).ok()?;
    let rt = trusted(p, &fd).ok()?;
    let h = &rt.view().header;
    let stripes = h.stripes.load(Ordering::Relaxed) == u64::from(p.legs[0].record.stripes);
    (stripes && h.verify() == Some((id, p.pair_id()))).then_some(rt)
}

/// Maps a runtime file that has the right size and that only the pair's own can have made.
fn trusted(p: &Pair, fd: &OwnedFd) -> io::Result<Runtime> {
    let st = rustix::fs::fstat(fd)?;
    let ours = runtime_trusted(
        p.legs[0].record.group,
        st.st_mode,
        (st.st_uid, st.st_gid),
        p.legs[0].owner()?,
        rustix::process::geteuid().as_raw(),
    );
    if !ours || usize::try_from(st.st_size) != Ok(SIZE) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Runtime::map(fd)
}

/// A runtime file could not be made: what a sandbox or a container must allow.
fn no_runtime(at: &Path, e: io::Error) -> Fail {
    use io::ErrorKind as E;
    let dir = Path::new("/run/mirror");
    let folder = if at.starts_with(dir) {
        dir
    } else {
        Path::new("/dev/shm")
    };
    let hint = match e.kind() {
        E::ReadOnlyFilesystem | E::NotFound => format!(
            ". All programs of a pair share the files in {0}: let this one write there (systemd: ReadWritePaths={0}; a container: the host's {0})",
            folder.display()
        ),
        E::StorageFull => format!(". Make room in {}", folder.display()),
        _ => String::new(),
    };
    let f = Fail::io(text::path(at), e);
    Fail::new(f.kind, f.text + &hint)
}

/// The folder of runtime files: nobody else can remove or replace what is in it.
fn folder(file: &Path) -> Res<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    let name = || text::path(dir);
    if dir == Path::new("/run/mirror") {
        match std::fs::DirBuilder::new().mode(0o755).create(dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(no_runtime(dir, e)),
            _ => {}
        }
    }
    let m = std::fs::symlink_metadata(dir).map_err(|e| no_runtime(dir, e))?;
    if !m.is_dir() || (m.mode() & 0o022 != 0 && m.mode() & libc::S_ISVTX == 0) {
        return Err(Fail::failed(format!(
            "{}: others could remove or replace files in it: refused. It must be a directory with the sticky bit, or one that nobody else can write",
            name()
        )));
    }
    Ok(())
}

/// While this lives, the limit of file sizes is lifted as far as may be: it is for the user's files.
/// SIGXFSZ is ignored (see `signal`).
struct SizeLimit(Rlimit);

impl SizeLimit {
    fn lift() -> SizeLimit {
        let old = getrlimit(Resource::Fsize);
        let to = |l: Option<u64>| {
            let new = Rlimit {
                current: l,
                maximum: l,
            };
            setrlimit(Resource::Fsize, new)
        };
        if old.current.is_some() && to(None).is_err() {
            let _ = to(old.maximum);
        }
        SizeLimit(old)
    }
}

impl Drop for SizeLimit {
    fn drop(&mut self) {
        if self.0.current.is_some() {
            let _ = setrlimit(Resource::Fsize, self.0);
        }
    }
}

fn too_large(e: rustix::io::Errno) -> io::Error {
    match e {
        rustix::io::Errno::FBIG => io::Error::other(
            "the hard limit of file sizes (ulimit -Hf) is too low for the pair's runtime file of 1 MiB. Type once without that limit: mirror verify",
        ),
        e => e.into(),
    }
}

fn make_runtime(p: &Pair, id: Id, boot: Id) -> io::Result<Runtime> {
    let file = p.legs[0].runtime_file(id);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&file, flags, Mode::RUSR | Mode::WUSR)?;
    let fill = || -> io::Result<Runtime> {
        // Preallocated: a hole in it would be a SIGBUS in a program.
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, SIZE as u64).map_err(too_large)?;
        let (st, (uid, gid)) = (rustix::fs::fstat(&fd)?, p.legs[0].owner()?);
        if p.legs[0].record.group {
            if st.st_gid != gid {
                rustix::fs::fchown(&fd, None, Some(Gid::from_raw(gid)))?;
            }
            rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o660))?;
        } else if st.st_uid != uid {
            // On a network leg it may only seem to be another's: `trusted` decides.
            let _ = rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), None);
        }
        let rt = trusted(p, &fd)?;
        let stripes = usize::from(p.legs[0].record.stripes);
        rt.view().header.init(id, boot, p.pair_id(), stripes);
        Ok(rt)
    };
    fill().inspect_err(|_| {
        let _ = std::fs::remove_file(&file);
    })
}

/// An attached pair: nobody else can start a second domain while this exists.
pub struct Attached {
    /// The pair.
    pub pair: Pair,
    /// Its runtime file.
    pub runtime: Runtime,
    /// Its locks; taken through [`super::heal::locked`].
    pub locks: Mutex<Locks>,
    /// The descriptions that hold the shared locks on both owner records.
    _owners: [OwnedFd; 2],
}

fn lock(fd: &OwnedFd, how: FlockOperation) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::flock(fd, how) {
            Err(rustix::io::Errno::INTR) => {}
            r => return r,
        }
    }
}

/// Attaches to the pair's domain, or starts a new one when nobody is attached.
pub fn attach(pair: Pair) -> Res<Attached> {
    join(pair, false)
}

/// The same to compare only: the file systems of the legs may be read-only. A domain that cannot be
/// recorded is this process's alone, and keeps all others out.
pub fn attach_to_read(pair: Pair) -> Res<Attached> {
    join(pair, true)
}

fn join(pair: Pair, read: bool) -> Res<Attached> {
    let boot = boot_id()?;
    let open = |i: usize| {
        let root = &pair.legs[i].root;
        let open = |how: OFlags| root.control(OWNER_RECORD, how, Mode::empty());
        let name = format!("{}/{}", text::path(&root.path), text::show(OWNER_RECORD));
        match open(OFlags::RDWR) {
            Err(e) if read && e.raw_os_error() == Some(libc::EROFS) => {
                open(OFlags::RDONLY).map(|fd| (fd, true)).about(name)
            }
            r => r.map(|fd| (fd, false)).about(name),
        }
    };
    let [(a, x), (b, y)] = [open(0)?, open(1)?];
    let (owners, fixed) = ([a, b], x || y);
    let about = |e: rustix::io::Errno| {
        Fail::io(
            format!("{}: the owner record's lock", text::path(&pair.line.virt)),
            e,
        )
    };
    for _ in 0..200 {
        for fd in &owners {
            lock(fd, FlockOperation::LockShared).map_err(about)?;
        }
        if let Some(runtime) = existing(&pair, boot) {
            return finish(pair, runtime, owners);
        }
        let busy = owners
            .iter()
            .any(|fd| lock(fd, FlockOperation::NonBlockingLockExclusive).is_err());
        if !busy {
            // Somebody may have founded it between the two locks.
            let runtime = match existing(&pair, boot) {
                Some(rt) => rt,
                None if fixed => {
                    return private(&pair, boot).and_then(|rt| finish(pair, rt, owners));
                }
                None => begin(&pair, &owners, boot)?,
            };
            for fd in &owners {
                lock(fd, FlockOperation::LockShared).map_err(about)?;
            }
            return finish(pair, runtime, owners);
        }
        for fd in &owners {
            lock(fd, FlockOperation::Unlock).map_err(about)?;
        }
        // Two that began together must not go on in step.
        std::thread::sleep(Duration::from_micros(
            1000 + u64::from(std::process::id() % 16) * 100,
        ));
    }
    Err(Fail::new(
        Kind::Leg,
        format!(
            "{} is in use from another host or container, which does not share {} with this one. Stop the programs there, or share that folder",
            text::path(&pair.line.virt),
            text::path(place(&pair).parent().unwrap_or(Path::new("/")))
        ),
    ))
}

/// A new domain; both owner records are locked exclusively. They name the file before it is there:
/// whoever dies on the way leaves none that nobody would know of.
fn begin(pair: &Pair, owners: &[OwnedFd; 2], boot: Id) -> Res<Runtime> {
    folder(&place(pair))?;
    let _lifted = SizeLimit::lift();
    pair.legs.iter().for_each(forget);
    let mut tries = 4;
    let runtime = loop {
        let id = random_id()?;
        name(pair, owners, Owner { runtime: id, boot })?;
        match make_runtime(pair, id, boot) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries > 0 => tries -= 1,
            r => break r.map_err(|e| no_runtime(&pair.legs[0].runtime_file(id), e))?,
        }
    };
    if pair
        .legs
        .iter()
        .any(|l| l.root.read(PENDING_LOG).is_ok_and(|b| !b.is_empty()))
    {
        runtime
            .view()
            .header
            .word
            .fetch_or(StateWord::PENDING, Ordering::AcqRel);
    }
    Ok(runtime)
}

/// A runtime file that nobody else has.
fn private(pair: &Pair, boot: Id) -> Res<Runtime> {
    let name = "a runtime file in memory";
    let fd = rustix::fs::memfd_create("mirror", rustix::fs::MemfdFlags::CLOEXEC).about(name)?;
    rustix::fs::ftruncate(&fd, SIZE as u64).about(name)?;
    let rt = Runtime::map(&fd).about(name)?;
    let stripes = usize::from(pair.legs[0].record.stripes);
    rt.view()
        .header
        .init(random_id()?, boot, pair.pair_id(), stripes);
    Ok(rt)
}

fn place(pair: &Pair) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(pair.legs[0].record.runtime.as_bytes()))
}

/// Writes the domain's record on both legs.
fn name(pair: &Pair, owners: &[OwnedFd; 2], owner: Owner) -> Res<()> {
    let record = owner.encode();
    for (fd, leg) in owners.iter().zip(&pair.legs) {
        let name = || {
            format!(
                "{}/{}",
                text::path(&leg.root.path),
                text::show(OWNER_RECORD)
            )
        };
        let n = rustix::io::pwrite(fd, &record, 0).about(name())?;
        if n != record.len() {
            return Err(Fail::failed(format!("{}: cannot be written", name())));
        }
        rustix::fs::fdatasync(fd).about(name())?;
    }
    Ok(())
}

fn finish(pair: Pair, runtime: Runtime, owners: [OwnedFd; 2]) -> Res<Attached> {
    let locks = Mutex::new(Locks::open([&pair.legs[0].root, &pair.legs[1].root])?);
    Ok(Attached {
        pair,
        runtime,
        locks,
        _owners: owners,
    })
}

impl Attached {
    /// The leg that answers.
    pub fn source(&self) -> usize {
        self.pair
            .incomplete()
            .map_or_else(|| self.runtime.word().source(), |sink| 1 - sink)
    }
    /// Sets bits of the state word. The pair's locks are held.
    pub fn set_bits(&self, bits: u64, _: &mirror_core::BothLocked) {
        self.runtime
            .view()
            .header
            .word
            .fetch_or(bits, Ordering::AcqRel);
    }
    /// Clears bits of the state word. The pair's locks are held.
    pub fn clear_bits(&self, bits: u64, _: &mirror_core::BothLocked) {
        self.runtime
            .view()
            .header
            .word
            .fetch_and(!bits, Ordering::AcqRel);
    }
}

/// How many processes other than commands of this program hold a shared lock on a leg's owner record.
/// `None`: it cannot be known here.
pub fn holders(root: &Root) -> Option<u64> {
    let fd = root
        .open_at(OWNER_RECORD, OFlags::PATH, Mode::empty())
        .ok()?;
    let st = rustix::fs::fstat(fd.as_fd()).ok()?;
    let want = format!(
        "{:02x}:{:02x}:{}",
        libc::major(st.st_dev),
        libc::minor(st.st_dev),
        st.st_ino
    );
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let own = std::fs::read_link("/proc/self/exe").ok();
    let n = locks
        .lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().filter(|w| *w != "->").collect();
            (f.get(1) == Some(&"FLOCK")
                && f.get(3) == Some(&"READ")
                && f.get(5) == Some(&want.as_str()))
            .then(|| f.get(4).copied().unwrap_or(""))
        })
        .filter(|pid| own.is_none() || std::fs::read_link(format!("/proc/{pid}/exe")).ok() != own)
        .count();
    u64::try_from(n).ok()
}

/// Removes the runtime file that a leg names. Nobody is attached: its owner record is locked exclusively.
pub fn forget(leg: &Leg) {
    if let Some(o) = read_owner(leg) {
        // Another member's file may stay: nobody looks at it again.
        let _ = std::fs::remove_file(leg.runtime_file(o.runtime));
    }
}

/// Takes a leg's domain for itself alone: fails while anybody is attached. For `detach`. A record that
/// is not there, or is something else, nobody can join any more.
pub fn alone(root: &Root, virt: &Path) -> Res<Option<OwnedFd>> {
    let fd = match root.control(OWNER_RECORD, OFlags::RDONLY, Mode::empty()) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other) => {
            let users = super::who::working_in(&root.path.join(".mirror"));
            return match users.is_empty() {
                true => Ok(None),
                false => Err(Fail::failed(format!(
                    "{} is in use by {}. Stop them first",
                    text::path(virt),
                    users.join(" ")
                ))),
            };
        }
        r => r.about(text::path(&root.path))?,
    };
    if lock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
        let n = holders(root).unwrap_or(0).max(1);
        return Err(Fail::new(
            Kind::Busy,
            format!(
                "{} is in use by {}. Stop them first",
                text::path(virt),
                text::plural(n, "program")
            ),
        ));
    }
    Ok(Some(fd))
}
