//! The domain of a pair: which runtime file is shared, and by whom. The order in which
//! that is settled, and what is believed, stand in `mirror_pair::domain`.
//!
//! Rules: as in `attach`; a runtime file is only believed if it is whole, ours, and named by both legs.
use crate::attach::handle::Session;
use crate::events::refused::{Refused, unless_told};
use libc as c;
use mirror_core::facts::Facts;
use mirror_core::owner::{OWNER_SIZE, Owner};
use mirror_core::record::{self, CONTROL, Id, LegRecord};
use mirror_core::refusal::Refusal;
use mirror_core::runtime;
use mirror_core::runtime::FACTS_SIZE;
use mirror_core::trust::{self, Control};
use mirror_core::{Errno, StateWord};
use mirror_pair::control::text;
use mirror_pair::domain;
use mirror_sys as sys;
use mirror_sys::Sys;

/// The kernel's boot id, as 16 bytes.
fn boot_id() -> Sys<Id> {
    let n = sys::openat(
        c::AT_FDCWD,
        &text(b"/proc/sys/kernel/random/boot_id"),
        c::O_RDONLY | c::O_CLOEXEC,
        0,
    )?;
    let mut buf = [0u8; 40];
    let len = sys::pread(n, &mut buf, 0);
    let _ = sys::close(n);
    let mut hex = [0u8; 32];
    let digits = buf
        .get(..len?)
        .unwrap_or(&[])
        .iter()
        .filter(|b| b.is_ascii_hexdigit());
    for (d, s) in hex.iter_mut().zip(digits) {
        *d = *s;
    }
    Id::from_hex(&hex).ok_or(Errno::EIO)
}

/// The same, also where /proc shows processes only (ProcSubset=pid): a whole runtime file in memory that both
/// legs name is of this boot.
fn boot(d: &Domain<'_>) -> Sys<Id> {
    let e = match boot_id() {
        Err(e) => e,
        r => return r,
    };
    // Without any /proc much else would fail.
    sys::fstatat(c::AT_FDCWD, &text(b"/proc/self"), c::AT_SYMLINK_NOFOLLOW)?;
    // Somebody may just be founding it.
    for _ in 0..20 {
        if let Some(id) = d.boot_in_memory() {
            return Ok(id);
        }
        sys::sleep_us(1000);
    }
    Err(e)
}

/// What says which domain a pair has, and who may be in it.
pub struct Domain<'a> {
    /// Leg a's record.
    pub record: &'a LegRecord,
    /// The descriptors of both legs' `.mirror/owner`.
    pub owner: [i32; 2],
    /// The session that joins.
    pub session: &'a Session,
}

/// A runtime file that this process has mapped.
pub struct Joined {
    /// Where.
    pub at: usize,
    /// Its descriptor, if the mapping must not be looked at.
    pub guarded: Option<i32>,
}

/// The session joins the pair's domain, or founds it (`mirror_pair::domain`).
#[cold]
#[inline(never)]
pub fn join_domain(d: &Domain<'_>) -> Result<Joined, Refused> {
    let boot = boot(d).map_err(unless_told(Refusal::Proc))?;
    let joined = domain::join(&mut Joining { d, boot })?;
    joined.ok_or_else(|| Refused::new(d.taken(boot)))
}

/// What the protocol asks.
struct Joining<'a> {
    d: &'a Domain<'a>,
    boot: Id,
}

impl Joining<'_> {
    fn found(&mut self) -> Sys<Joined> {
        let boot = self.boot;
        domain::found(self, boot)?.ok_or(Errno::EEXIST)
    }
}

impl domain::Founding for Joining<'_> {
    type Runtime = Joined;
    type Error = Errno;
    fn folder(&mut self) -> Sys<()> {
        self.d.folder()
    }
    fn records(&self) -> [Option<Owner>; 2] {
        self.d.owner.map(read_owner)
    }
    fn remove(&mut self, before: &[Option<Owner>; 2]) {
        for o in before.iter().flatten() {
            self.d.remove(o);
        }
    }
    fn random(&mut self) -> Sys<Id> {
        let mut id = [0u8; 16];
        sys::random(&mut id)?;
        Ok(Id(id))
    }
    fn write(&mut self, leg: usize, record: &[u8; OWNER_SIZE]) -> Sys<()> {
        let n = self.d.owner.get(leg).copied().unwrap_or(-1);
        sys::pwrite(n, record, 0)?;
        sys::fdatasync(n).map(drop)
    }
    fn make(&mut self, id: Id, vanished: bool) -> Sys<Option<Joined>> {
        match self.d.make(id, self.boot, vanished) {
            Err(Errno::EEXIST) => Ok(None),
            r => r.map(Some),
        }
    }
}

impl domain::Ground for Joining<'_> {
    type Runtime = Joined;
    type Error = Refused;
    fn lock(&mut self, exclusive: bool) -> Result<bool, Refused> {
        let how = if exclusive { c::LOCK_EX } else { c::LOCK_SH };
        Ok(self.d.flock(how)?)
    }
    fn unlock(&mut self) -> Result<(), Refused> {
        for n in self.d.owner {
            let _ = sys::flock(n, c::LOCK_UN);
        }
        Ok(())
    }
    fn live(&mut self) -> Option<Joined> {
        self.d.live(self.boot)
    }
    fn found(&mut self) -> Result<Joined, Refused> {
        // The program's limit of file sizes is not for the runtime file.
        let found = crate::process::limits::own_file(|| self.found());
        found.map_err(unless_told(Refusal::Runtime))
    }
    fn share(&mut self) -> Result<(), Refused> {
        let _ = self.d.flock(c::LOCK_SH);
        Ok(())
    }
    fn pause(&mut self) {
        sys::sleep_us(1000);
    }
}

impl Domain<'_> {
    fn flock(&self, op: i32) -> Sys<bool> {
        for n in self.owner {
            match sys::flock(n, op | c::LOCK_NB) {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Why somebody else's hold on the records does not lead to their runtime file: they are another host, or
    /// a container that does not share the folder; or what stands there is not to be believed.
    fn taken(&self, boot: Id) -> Refusal {
        let there = |o: &Owner| {
            let path = self.record.runtime_file(o.runtime);
            o.boot == boot && sys::fstatat(c::AT_FDCWD, &path, c::AT_SYMLINK_NOFOLLOW).is_ok()
        };
        match self.owner.map(read_owner) {
            [Some(a), _] if there(&a) => Refusal::Runtime,
            _ => Refusal::Domain,
        }
    }

    /// What the runtime file with this id must say of itself.
    fn facts(&self, id: Id, boot: Id) -> Sys<Facts> {
        let mut legs = [(0, 0); 2];
        for (l, &root) in legs.iter_mut().zip(&self.session.root) {
            let st = sys::fstat(root)?;
            *l = (st.dev(), st.ino());
        }
        Ok(Facts {
            id,
            boot,
            pair: self.record.pair,
            stripes: u64::from(self.record.stripes),
            legs,
        })
    }

    fn boot_in_memory(&self) -> Option<Id> {
        let o = domain::named(self.owner.map(read_owner))?;
        let n = self.open(o.runtime).ok()?;
        let this = in_memory(n) && self.facts(o.runtime, o.boot).ok() == read_facts(n);
        let _ = sys::close(n);
        this.then_some(o.boot)
    }

    /// The runtime file that both legs name, if it is there, whole, and the pair's own.
    fn live(&self, boot: Id) -> Option<Joined> {
        let o = domain::named(self.owner.map(read_owner))?;
        let n = self.open(o.runtime).ok()?;
        let expected = self.facts(o.runtime, o.boot).ok();
        let this = domain::is_live(o, boot, in_memory(n), expected, read_facts(n));
        let joined = if this { self.map(n) } else { Err(Errno::EIO) };
        if joined.as_ref().map_or(true, |j| j.guarded.is_none()) {
            let _ = sys::close(n);
        }
        joined.ok()
    }

    fn open(&self, id: Id) -> Sys<i32> {
        // Not blocked by a fifo that somebody put there.
        let flags = c::O_RDWR | c::O_CLOEXEC | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY;
        sys::openat(c::AT_FDCWD, &self.record.runtime_file(id), flags, 0)
    }

    /// User and group of the pair: those of leg a's control folder.
    fn control(&self) -> Sys<(u32, u32)> {
        let st = sys::fstatat(self.session.root[0], &text(CONTROL), c::AT_SYMLINK_NOFOLLOW)?;
        Ok((st.uid(), st.gid()))
    }

    /// Maps a runtime file that has the right size and that only the pair's own can have made.
    fn map(&self, n: i32) -> Sys<Joined> {
        let st = sys::fstat(n)?;
        let file = domain::File {
            mode: st.mode(),
            owner: (st.uid(), st.gid()),
            size: st.size(),
        };
        let guarded = file.guarded(self.record.group, self.control()?, sys::user_ids());
        let guarded = guarded.ok_or(Errno::EIO)?;
        Ok(Joined {
            at: sys::map_shared(n, runtime::SIZE)?,
            guarded: guarded.then_some(n),
        })
    }

    /// Removes a runtime file that a record names, if it is this pair's own. (One that another member made
    /// may stay: nobody looks at it again.)
    fn remove(&self, o: &Owner) {
        let Ok(n) = self.open(o.runtime) else {
            return;
        };
        let ours = || {
            let (st, found) = (sys::fstat(n).ok()?, read_facts(n)?);
            let legs = self.facts(o.runtime, found.boot).ok()?.legs;
            let (pair, owner) = (self.record.pair, (st.uid(), st.gid()));
            let control = self.control().ok()?;
            Some(
                found.id == o.runtime
                    && trust::runtime_removable(
                        self.record.group,
                        owner,
                        control,
                        &found,
                        pair,
                        legs,
                    ),
            )
        };
        let ours = ours() == Some(true);
        let _ = sys::close(n);
        if ours {
            let _ = sys::unlinkat(c::AT_FDCWD, &self.record.runtime_file(o.runtime), 0);
        }
    }

    /// The folder of runtime files: nobody else can remove or replace what is in it.
    fn folder(&self) -> Sys<()> {
        let mut dir = self.record.runtime.clone();
        dir.pop();
        if dir.as_bytes() == b"/run/mirror" {
            match sys::mkdirat(c::AT_FDCWD, &dir, 0o711) {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        let st = sys::fstatat(c::AT_FDCWD, &dir, c::AT_SYMLINK_NOFOLLOW)?;
        let closed = st.mode() & 0o022 == 0 || st.mode() & c::S_ISVTX != 0;
        if st.kind() == c::S_IFDIR && closed {
            Ok(())
        } else {
            Err(Errno::EIO)
        }
    }

    /// Makes the runtime file.
    fn make(&self, id: Id, boot: Id, vanished: bool) -> Sys<Joined> {
        let path = self.record.runtime_file(id);
        let first = self.facts(id, boot)?.encode();
        let flags = c::O_RDWR | c::O_CREAT | c::O_EXCL | c::O_CLOEXEC | c::O_NOFOLLOW;
        let n = sys::openat(c::AT_FDCWD, &path, flags, 0o600)?;
        let word = StateWord::of_new(self.has_pending(), vanished);
        // Preallocated: a hole in it would be a SIGBUS in somebody else's program.
        let fill = || {
            sys::pwrite(n, &first, 0)?;
            sys::pwrite(n, &word.0.to_le_bytes(), FACTS_SIZE as u64)?;
            sys::fallocate(n, 0, 0, runtime::SIZE as u64)
        };
        let joined = fill()
            .and_then(|_| self.hand_over(n))
            .and_then(|()| self.map(n));
        if joined.as_ref().map_or(true, |j| j.guarded.is_none()) {
            let _ = sys::close(n);
        }
        if joined.is_err() {
            let _ = sys::unlinkat(c::AT_FDCWD, &path, 0);
        }
        joined
    }

    /// Gives a fresh runtime file to the pair's group, or (root does) to its user.
    fn hand_over(&self, n: i32) -> Sys<()> {
        const SAME: u32 = u32::MAX;
        let (st, (uid, gid)) = (sys::fstat(n)?, self.control()?);
        if self.record.group {
            if st.gid() != gid {
                sys::fchown(n, SAME, gid)?;
            }
            sys::fchmod(n, 0o660)?;
        } else if st.uid() != uid {
            // On a network leg it may only seem to be another's: `map` decides.
            let _ = sys::fchown(n, uid, SAME);
        }
        Ok(())
    }

    fn has_pending(&self) -> bool {
        self.session.root.iter().any(|&r| {
            sys::fstatat(r, &text(record::PENDING_LOG), c::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|st| st.size() > 0)
        })
    }
}

/// Whether a file lies in a tmpfs: then it is of this boot, whatever /proc says of that. (A container may show
/// a boot id of its own, and a service in it with a /proc of its own the kernel's.)
fn in_memory(n: i32) -> bool {
    sys::fs_magic(n) == Ok(c::TMPFS_MAGIC as u64)
}

fn read_owner(n: i32) -> Option<Owner> {
    let mut b = [0u8; OWNER_SIZE];
    let len = sys::pread(n, &mut b, 0).ok()?;
    Owner::parse(b.get(..len)?)
}

fn read_facts(n: i32) -> Option<Facts> {
    let mut b = [0u8; FACTS_SIZE];
    let len = sys::pread(n, &mut b, 0).ok()?;
    Facts::parse(b.get(..len)?)
}

/// Refuses a leg whose `.mirror` somebody else may have put there.
pub fn trust(root: i32, group: bool, pin: Option<u32>) -> Result<(), Refused> {
    let (r, m) = (
        sys::fstat(root)?,
        sys::fstatat(root, &text(CONTROL), c::AT_SYMLINK_NOFOLLOW)?,
    );
    let c = Control {
        owner: (m.uid(), m.gid()),
        mode: m.mode(),
        root: (r.uid(), r.gid()),
    };
    let [_, me, _] = sys::user_ids();
    trust::control_trusted(&c, group, pin, me).map_err(|_| Refused::new(Refusal::Distrust))
}
