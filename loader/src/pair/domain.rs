//! The domain: one runtime file per pair and kernel, named by both legs' `.mirror/owner`, on which
//! every attached process holds a shared lock. The preloaded library follows the same protocol.
use super::control::{Leg, Pair, random_id};
use super::lock::Locks;
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use mirror_core::owner::{OWNER_SIZE, Owner};
use mirror_core::record::{Id, OWNER_RECORD, PENDING_LOG};
use mirror_core::runtime::{RuntimeFile, SIZE};
use mirror_core::word::StateWord;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
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
    let s = std::fs::read_to_string(name).about(name)?;
    let hex: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    Id::from_hex(&hex).ok_or_else(|| Fail::failed(format!("{name}: not a boot id")))
}

fn runtime_file(p: &Pair) -> PathBuf {
    p.legs[0].runtime_file()
}

/// The user to whom the pair's control folders and runtime file belong.
fn pair_owner(p: &Pair) -> io::Result<u32> {
    p.legs[0].owner()
}

/// The runtime file, if it is sane, of this boot and this pair, and belongs to the pair's user.
/// Never makes or changes anything.
pub fn existing(p: &Pair, boot: Id) -> Option<(Runtime, Id)> {
    let file = runtime_file(p);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(&file, flags, Mode::empty()).ok()?;
    let st = rustix::fs::fstat(&fd).ok()?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG
        || st.st_mode & 0o077 != 0
        || st.st_uid != pair_owner(p).ok()?
        || usize::try_from(st.st_size).ok()? != SIZE
    {
        return None;
    }
    let rt = Runtime::map(&fd).ok()?;
    let h = &rt.view().header;
    let (id, pair) = h.verify()?;
    if h.stripes.load(Ordering::Relaxed) != u64::from(p.legs[0].record.stripes) {
        return None;
    }
    let mut have = [0u8; 16];
    for (d, w) in have.chunks_exact_mut(8).zip(&h.boot) {
        d.copy_from_slice(&w.load(Ordering::Relaxed).to_le_bytes());
    }
    (pair == p.pair_id() && have == boot.0).then_some((rt, id))
}

fn make_folder(file: &Path, owner: u32) -> Res<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    let name = || text::path(dir);
    let mode = if owner == 0 { 0o755 } else { 0o700 };
    match std::fs::DirBuilder::new().mode(mode).create(dir) {
        Ok(()) if rustix::process::geteuid().as_raw() != owner => {
            std::os::unix::fs::chown(dir, Some(owner), None).about(name())?;
        }
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Fail::io(name(), e)),
    }
    let m = std::fs::symlink_metadata(dir).about(name())?;
    if !m.is_dir() || m.uid() != owner || m.mode() & 0o022 != 0 {
        return Err(Fail::failed(format!(
            "{}: not a directory of user {owner} that only it can write: refused. Remove it",
            name()
        )));
    }
    Ok(())
}

fn make_runtime(p: &Pair, id: Id, boot: Id) -> Res<Runtime> {
    let file = runtime_file(p);
    let owner = pair_owner(p).about(text::path(&p.legs[0].root.path))?;
    make_folder(&file, owner)?;
    let name = || text::path(&file);
    let mut tmp = file.clone().into_os_string();
    tmp.push(format!(".{}", String::from_utf8_lossy(&id.hex())));
    let make = || -> io::Result<Runtime> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&tmp, flags, Mode::RUSR | Mode::WUSR)?;
        if rustix::process::geteuid().as_raw() != owner {
            rustix::fs::fchown(&fd, Some(rustix::fs::Uid::from_raw(owner)), None)?;
        }
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, SIZE as u64)?;
        let rt = Runtime::map(&fd)?;
        rt.view()
            .header
            .init(id, boot, p.pair_id(), usize::from(p.legs[0].record.stripes));
        std::fs::rename(&tmp, &file)?;
        Ok(rt)
    };
    make().map_err(|e| {
        let _ = std::fs::remove_file(&tmp);
        Fail::io(name(), e)
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

fn read_owner(fd: &OwnedFd) -> Option<Owner> {
    let mut b = [0u8; OWNER_SIZE];
    let n = rustix::io::pread(fd, &mut b, 0).ok()?;
    Owner::parse(b.get(..n)?)
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
    let boot = boot_id()?;
    let open = |i: usize| {
        let r = &pair.legs[i].root;
        r.open_at(OWNER_RECORD, OFlags::RDWR | OFlags::NOFOLLOW, Mode::empty())
            .about(format!(
                "{}/{}",
                text::path(&r.path),
                text::show(OWNER_RECORD)
            ))
    };
    let owners = [open(0)?, open(1)?];
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
        let ids = [read_owner(&owners[0]), read_owner(&owners[1])];
        if let (Some(a), Some(b), Some((runtime, id))) = (ids[0], ids[1], existing(&pair, boot))
            && a.runtime == id
            && b.runtime == id
        {
            return finish(pair, runtime, owners);
        }
        let busy = owners
            .iter()
            .any(|fd| lock(fd, FlockOperation::NonBlockingLockExclusive).is_err());
        if !busy {
            let runtime = begin(&pair, &owners, boot)?;
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
            text::path(
                runtime_file(&pair)
                    .parent()
                    .unwrap_or(Path::new("/run/mirror"))
            )
        ),
    ))
}

/// A new domain; both owner records are locked exclusively.
fn begin(pair: &Pair, owners: &[OwnedFd; 2], boot: Id) -> Res<Runtime> {
    let id = random_id()?;
    let runtime = make_runtime(pair, id, boot)?;
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
    let record = Owner { runtime: id, boot }.encode();
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
    Ok(runtime)
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
pub fn holders(leg: &Leg) -> Option<u64> {
    let fd = leg
        .root
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

/// Removes a leg's runtime file (the pair is being detached; nobody is attached).
pub fn forget(leg: &Leg) {
    // A left-over file is harmless: its random id stands in no leg any more.
    let _ = std::fs::remove_file(leg.runtime_file());
}

/// Takes a leg's domain for itself alone: fails while anybody is attached. For `detach`.
pub fn alone(leg: &Leg, virt: &Path) -> Res<OwnedFd> {
    let fd = leg
        .root
        .open_at(OWNER_RECORD, OFlags::RDWR | OFlags::NOFOLLOW, Mode::empty())
        .about(text::path(&leg.root.path))?;
    if lock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
        let n = holders(leg).unwrap_or(0).max(1);
        return Err(Fail::failed(format!(
            "{} is in use by {}. Stop them first",
            text::path(virt),
            text::plural(n, "program")
        )));
    }
    Ok(fd)
}
