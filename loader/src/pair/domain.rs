//! The domain: one runtime file per pair and kernel, named by both legs' `.mirror/owner`, on which
//! every attached process holds a shared lock. The order in which that
//! is joined or founded, and what is believed, stand in `mirror_pair::domain`, for the preloaded library too.
use super::control::random_id;
use super::legs::Pair;
use super::lock::Locks;
use super::runtime::{Runtime, SizeLimit};
use super::runtime_files::{self, place, read_owner};
use super::still::Still;
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::object::std;
use mirror_core::owner::{OWNER_SIZE, Owner};
use mirror_core::record::{Id, OWNER_RECORD};
use mirror_core::word::Past;
use mirror_core::{Errno, Leg, PerLeg};
use mirror_pair::{domain, locks, runtime};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

/// The kernel's boot id.
fn boot_id() -> Res<Id> {
    let name = "/proc/sys/kernel/random/boot_id";
    let s = std::fs::read_to_string(name).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Fail::failed(format!(
            "{name}: not there. The mirror needs /proc: mount -t proc proc /proc (or let the container or chroot have it). Below ProcSubset=pid somebody else must have used the pair before (systemd: ExecStartPre=+mirror run -- true)"
        )),
        _ => Fail::io(name, e),
    })?;
    let hex: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    Id::from_hex(&hex).ok_or_else(|| Fail::failed(format!("{name}: not a boot id")))
}

/// The boot of a pair's domain. A whole runtime file in memory that both legs name is of this boot, whatever
/// /proc says: ProcSubset=pid of a service hides the boot id, a container may show one of its own, and a
/// service in it with a /proc of its own the kernel's.
pub fn boot_of(p: &Pair) -> Res<Id> {
    let in_memory = || {
        // Without any /proc much else would fail.
        std::fs::symlink_metadata("/proc/self").ok()?;
        runtime(p).boot_in_memory(named(p))
    };
    in_memory().map_or_else(boot_id, Ok)
}

/// The domain that both legs name.
pub(super) fn named(p: &Pair) -> Option<Owner> {
    domain::named(p.legs.as_ref().map(read_owner))
}

/// Where a pair's runtime file is, and which one is believed.
pub(super) fn runtime(p: &Pair) -> runtime::Place<'_> {
    runtime::Place {
        record: &p.legs.a.record,
        roots: p.roots(),
        locks: p.line.locks,
    }
}

/// The live runtime file, if it is whole and only the pair's own can have made it. Never makes or
/// changes anything.
pub fn existing(p: &Pair, boot: Id) -> Option<Runtime> {
    runtime(p).seen(named(p), boot).map(Runtime::of)
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
        E::PermissionDenied if folder != dir => {
            ". All programs of a pair share the files in /dev/shm: let this one write there (TemporaryFileSystem= and containers: the host's /dev/shm)".into()
        }
        E::StorageFull => format!(". Make room in {}", folder.display()),
        _ => String::new(),
    };
    let f = Fail::io(text::path(at), e);
    Fail::new(f.kind, f.text + &hint)
}

/// The folder of runtime files: nobody else can remove or replace what is in it.
fn folder(p: &Pair) -> Res<()> {
    let dir = place(&p.legs.a).0;
    match std(runtime(p).folder()).map_err(|e| no_runtime(&dir, e))? {
        true => Ok(()),
        false => Err(Fail::failed(format!(
            "{}: others could remove or replace files in it: refused. It must be a directory with the sticky bit, or one that nobody else can write",
            text::path(&dir)
        ))),
    }
}

/// What went wrong when a runtime file was made.
fn not_made(e: Errno) -> io::Error {
    match e {
        Errno::EFBIG => io::Error::other(
            "the hard limit of file sizes (ulimit -Hf) is too low for the pair's runtime file of 1 MiB. Type once without that limit: mirror verify",
        ),
        // Nobody believes it, though it was made just now.
        Errno::EIO => io::ErrorKind::PermissionDenied.into(),
        e => io::Error::from_raw_os_error(e.0),
    }
}

/// An attached pair: nobody else can start a second domain while this exists.
pub struct Attached {
    /// The pair.
    pub pair: Pair,
    /// Its runtime file.
    pub runtime: Runtime,
    /// Its locks; taken through [`crate::sync::heal::locked`].
    pub locks: Mutex<Locks>,
    /// What others may have moved since this was asked last.
    pub still: Still,
    /// The descriptions that hold the shared locks on both owner records.
    pub(super) owners: PerLeg<OwnedFd>,
}

/// Attaches to the pair's domain, or starts a new one when nobody is attached.
pub fn attach(pair: Pair) -> Res<Attached> {
    join(
        pair,
        How {
            read: false,
            idle: false,
        },
    )
}

/// The same without saying that the pair is in use: for who changes nothing, or calls [`Attached::reopen`] first.
pub fn attach_idle(pair: Pair) -> Res<Attached> {
    join(
        pair,
        How {
            read: false,
            idle: true,
        },
    )
}

/// The same to compare only: the file systems of the legs may be read-only. A domain that cannot be
/// recorded is this process's alone, and keeps all others out.
pub fn attach_to_read(pair: Pair) -> Res<Attached> {
    join(
        pair,
        How {
            read: true,
            idle: true,
        },
    )
}

/// What for.
#[derive(Clone, Copy)]
struct How {
    /// The legs may be read-only.
    read: bool,
    /// The pair is not in use by this.
    idle: bool,
}

fn join(pair: Pair, how: How) -> Res<Attached> {
    let boot = boot_of(&pair)?;
    let open = |root: &Root| {
        let open = |how: OFlags| root.control(OWNER_RECORD, how, Mode::empty());
        let name = format!("{}/{}", text::path(&root.path), text::show(OWNER_RECORD));
        match open(OFlags::RDWR) {
            Err(e) if how.read && e.raw_os_error() == Some(libc::EROFS) => {
                open(OFlags::RDONLY).map(|fd| (fd, true)).about(name)
            }
            r => r.map(|fd| (fd, false)).about(name),
        }
    };
    let roots = pair.trees();
    let ((a, x), (b, y)) = (open(roots.a)?, open(roots.b)?);
    let (owners, fixed) = (PerLeg { a, b }, x || y);
    if super::away::is_away(&pair) {
        // Programs work on leg a alone: what they share is no matter of this one, which holds the locks of
        // both legs, and is seen on leg a's record.
        let pause = || std::thread::sleep(Duration::from_millis(1));
        let failed = |e: Errno| {
            let e = io::Error::from_raw_os_error(e.0);
            Fail::io(text::path(&pair.line.virt), e)
        };
        let a = owners.a.as_raw_fd();
        // What has ended keeps nobody out while this one is attached. With others in the way it is left to them.
        let live = |o| runtime(&pair).is_lone_live(o, Some(boot));
        let lifted = |f: &dyn Fn() -> mirror_sys::Sys<usize>| {
            let _lifted = SizeLimit::lift();
            f()
        };
        let _ = domain::clear_ended(a, live, lifted, pause);
        domain::share([a; 2].into(), pause).map_err(failed)?;
        if super::away::is_away(&pair) {
            // On its way back it gets every change again: who looks at it is one of them.
            if let Some(live) = lone(&pair, boot).filter(|rt| rt.word().joining()) {
                return finish(pair, live, owners);
            }
            let runtime = private(&pair, boot)?;
            runtime.view().leave_behind();
            return finish(pair, runtime, owners);
        }
    }
    let mut joining = Joining {
        pair: &pair,
        owners: &owners,
        boot,
        fixed,
        idle: how.idle,
        private: false,
    };
    match domain::join(&mut joining)? {
        Some(runtime) => finish(pair, runtime, owners),
        None => Err(Fail::new(
            Kind::Leg,
            format!(
                "{} is in use from another host or container, which does not share {} with this one. Stop the programs there, or share that folder",
                text::path(&pair.line.virt),
                text::path(&place(&pair.legs.a).0)
            ),
        )),
    }
}

/// What the protocol (`mirror_pair::domain`) asks.
struct Joining<'a> {
    pair: &'a Pair,
    owners: &'a PerLeg<OwnedFd>,
    boot: Id,
    /// A record cannot be written.
    fixed: bool,
    /// The pair is not in use by this process.
    idle: bool,
    /// The runtime file is this process's alone.
    private: bool,
}

impl Joining<'_> {
    fn records(&self) -> PerLeg<RawFd> {
        self.owners.as_ref().map(AsRawFd::as_raw_fd)
    }
    fn about(&self, e: Errno) -> Fail {
        let e = io::Error::from_raw_os_error(e.0);
        Fail::io(
            format!(
                "{}: the owner record's lock",
                text::path(&self.pair.line.virt)
            ),
            e,
        )
    }
}

impl domain::Founding for Joining<'_> {
    type Runtime = Runtime;
    type Error = Fail;
    fn folder(&mut self) -> Res<()> {
        folder(self.pair)
    }
    fn records(&self) -> PerLeg<Option<Owner>> {
        self.pair.legs.as_ref().map(read_owner)
    }
    fn remove(&mut self, _: &PerLeg<Option<Owner>>) {
        self.pair
            .legs
            .iter()
            .for_each(|leg| runtime_files::remove(self.pair, leg));
    }
    fn random(&mut self) -> Res<Id> {
        random_id()
    }
    fn write(&mut self, leg: Leg, record: &[u8; OWNER_SIZE]) -> Res<()> {
        let (fd, root) = (&self.owners[leg], &self.pair.legs[leg].root);
        let name = || format!("{}/{}", text::path(&root.path), text::show(OWNER_RECORD));
        if rustix::io::pwrite(fd, record, 0).about(name())? != record.len() {
            return Err(Fail::failed(format!("{}: cannot be written", name())));
        }
        rustix::fs::fdatasync(fd).about(name())
    }
    fn idle(&self) -> bool {
        self.idle
    }
    fn make(&mut self, id: Id, past: Past) -> Res<Option<Runtime>> {
        match runtime(self.pair).make(id, self.boot, past) {
            Ok(made) => Ok(Some(Runtime::of(made))),
            Err(Errno::EEXIST) => Ok(None),
            Err(e) => Err(no_runtime(&self.pair.legs.a.runtime_file(id), not_made(e))),
        }
    }
}

impl domain::Ground for Joining<'_> {
    type Runtime = Runtime;
    type Error = Fail;
    /// Without waiting: whoever owns the pair could hold them for ever.
    fn lock(&mut self, exclusive: bool) -> Res<bool> {
        domain::lock(self.records(), exclusive).map_err(|e| self.about(e))
    }
    fn unlock(&mut self) -> Res<()> {
        domain::unlock(self.records());
        Ok(())
    }
    fn live(&mut self) -> Option<Runtime> {
        let live = runtime(self.pair).live(named(self.pair), self.boot);
        live.map(Runtime::of)
    }
    fn as_others(&mut self) -> Option<Runtime> {
        existing(self.pair, self.boot)
    }
    fn turned(&mut self) -> Option<Runtime> {
        if self.fixed {
            return None;
        }
        let _lifted = SizeLimit::lift();
        let turned = runtime(self.pair).turned(named(self.pair), self.boot);
        turned.map(Runtime::of)
    }
    fn found(&mut self) -> Res<Runtime> {
        if self.fixed {
            self.private = true;
            return private(self.pair, self.boot);
        }
        let _lifted = SizeLimit::lift();
        let boot = self.boot;
        domain::found(self, boot)?.ok_or_else(|| {
            let (folder, _) = place(&self.pair.legs.a);
            Fail::failed(format!(
                "{}: others have every name for a runtime file",
                text::path(&folder)
            ))
        })
    }
    fn reopen(&mut self) -> Res<()> {
        if self.idle {
            return Ok(());
        }
        let _lifted = SizeLimit::lift();
        domain::reopen(self.records()).map_err(|e| self.about(e))
    }
    fn share(&mut self) -> Res<()> {
        // A domain of one's own keeps all others out.
        if self.private {
            return Ok(());
        }
        let pause = || std::thread::sleep(Duration::from_millis(1));
        domain::share(self.records(), pause).map_err(|e| self.about(e))
    }
    fn pause(&mut self) {
        // Two that began together must not go on in step.
        let own = u64::from(std::process::id() % 16) * 100;
        std::thread::sleep(Duration::from_micros(1000 + own));
    }
}

/// The runtime file that leg a's record names, whatever leg b's says.
pub fn lone(pair: &Pair, boot: Id) -> Option<Runtime> {
    let o = read_owner(&pair.legs.a)?;
    runtime(pair).lone_live(o, Some(boot)).map(Runtime::of)
}

/// A runtime file that nobody else has.
fn private(pair: &Pair, boot: Id) -> Res<Runtime> {
    let name = "a runtime file in memory";
    let id = random_id()?;
    std(runtime(pair).private(id, boot))
        .map(Runtime::of)
        .about(name)
}

fn finish(pair: Pair, runtime: Runtime, owners: PerLeg<OwnedFd>) -> Res<Attached> {
    let locks = Mutex::new(Locks::open(pair.trees())?);
    Ok(Attached {
        pair,
        runtime,
        locks,
        still: Still::default(),
        owners,
    })
}

impl Attached {
    /// Descriptions of both domain records.
    pub fn owners(&self) -> &PerLeg<OwnedFd> {
        &self.owners
    }
    /// Both records, by number.
    pub fn records(&self) -> PerLeg<RawFd> {
        self.owners.as_ref().map(AsRawFd::as_raw_fd)
    }
    /// From now on the pair is in use, by the records on both disks.
    pub fn reopen(&self) -> Res<()> {
        let _lifted = SizeLimit::lift();
        std(domain::reopen(self.records())).about(text::path(&self.pair.line.virt))
    }
    /// Another runtime file is the one that is shared.
    pub fn turn_to(&mut self, runtime: Runtime) -> Res<()> {
        self.locks = Mutex::new(Locks::open(self.pair.trees())?);
        self.runtime = runtime;
        Ok(())
    }
    /// The leg that answers.
    pub fn source(&self) -> Leg {
        self.pair
            .incomplete()
            .map_or_else(|| self.runtime.word().source(), Leg::other)
    }
    /// Sets bits of the state word. The pair's locks are held.
    pub fn set_bits(&self, bits: u64, _: &mirror_core::BothLocked) {
        self.runtime.view().set_bits(bits);
    }
    /// Clears bits of the state word. The pair's locks are held.
    pub fn clear_bits(&self, bits: u64, _: &mirror_core::BothLocked) {
        self.runtime.view().clear_bits(bits);
    }
}

/// Takes a leg's domain for itself alone: fails while anybody is attached. For `detach`. A record that
/// is not there, or is something else, nobody can join any more.
pub fn alone(root: &Root, virt: &Path) -> Res<Option<OwnedFd>> {
    let fd = match root.control(OWNER_RECORD, OFlags::RDONLY, Mode::empty()) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other) => {
            let users = super::working::working_in(&root.path.join(".mirror")).named;
            return match users.is_empty() {
                true => Ok(None),
                false => Err(Fail::new(
                    Kind::Busy,
                    format!(
                        "{} is in use by {}. Stop them first",
                        text::path(virt),
                        users.join(" ")
                    ),
                )),
            };
        }
        r => r.about(text::path(&root.path))?,
    };
    if locks::take(fd.as_raw_fd()).is_err() {
        let who = match super::attached::count(root) {
            None | Some(0) => super::working::UNNAMED.into(),
            Some(n) => text::plural(n, "program"),
        };
        return Err(Fail::new(
            Kind::Busy,
            format!("{} is in use by {who}. Stop them first", text::path(virt)),
        ));
    }
    Ok(Some(fd))
}
