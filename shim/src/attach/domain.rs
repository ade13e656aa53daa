//! The domain of a pair: which runtime file is shared, and by whom. The order in which
//! that is settled, and what is believed, stand in `mirror_pair::domain`.
//!
//! Rules: as in `attach`; a runtime file is only believed if it is whole, ours, and named by both legs.
use crate::events::refused::{Refused, unless_told};
use libc as c;
use mirror_core::Errno;
use mirror_core::owner::{OWNER_SIZE, Owner};
use mirror_core::record::Id;
use mirror_core::refusal::Refusal;
use mirror_core::runtime::SIZE;
use mirror_core::word::Past;
use mirror_core::{Leg, PerLeg};
use mirror_pair::control::text;
use mirror_pair::domain;
use mirror_pair::runtime::{Joined, Place};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The kernel's boot id, as 16 bytes.
pub fn boot_id() -> Sys<Id> {
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
        if let Some(id) = d.place.boot_in_memory(d.named()) {
            return Ok(id);
        }
        sys::sleep_us(1000);
    }
    Err(e)
}

/// What says which domain a pair has, and who may be in it.
pub struct Domain<'a> {
    /// Where its runtime file is.
    pub place: Place<'a>,
    /// The descriptors of both legs' `.mirror/owner`.
    pub owner: PerLeg<i32>,
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
        match self.d.place.folder()? {
            true => Ok(()),
            false => Err(Errno::EIO),
        }
    }
    fn records(&self) -> PerLeg<Option<Owner>> {
        self.d.owner.map(domain::read)
    }
    fn remove(&mut self, before: &PerLeg<Option<Owner>>) {
        for o in before.iter().flatten() {
            self.d.place.remove(o.runtime);
        }
    }
    fn random(&mut self) -> Sys<Id> {
        let mut id = [0u8; 16];
        sys::random(&mut id)?;
        Ok(Id(id))
    }
    fn write(&mut self, leg: Leg, record: &[u8; OWNER_SIZE]) -> Sys<()> {
        let n = self.d.owner[leg];
        sys::pwrite(n, record, 0)?;
        sys::fdatasync(n).map(drop)
    }
    fn make(&mut self, id: Id, past: Past) -> Sys<Option<Joined>> {
        match self.d.place.make(id, self.boot, past) {
            Err(Errno::EEXIST) => Ok(None),
            r => r.map(Some),
        }
    }
}

/// Whether this process may map a runtime file.
fn room() -> Sys<()> {
    let at = sys::map_anonymous(SIZE)?;
    // SAFETY: mapped just now, and nobody else knows of it.
    unsafe { sys::unmap(at, SIZE) };
    Ok(())
}

impl domain::Ground for Joining<'_> {
    type Runtime = Joined;
    type Error = Refused;
    fn lock(&mut self, exclusive: bool) -> Result<bool, Refused> {
        // No live runtime file, or no room to map it: who cannot map one may not found another domain either.
        if exclusive {
            room()?;
        }
        Ok(domain::lock(self.d.owner, exclusive)?)
    }
    fn unlock(&mut self) -> Result<(), Refused> {
        domain::unlock(self.d.owner);
        Ok(())
    }
    fn live(&mut self) -> Option<Joined> {
        self.d.place.live(self.d.named(), self.boot)
    }
    fn as_others(&mut self) -> Option<Joined> {
        self.d.place.as_others(self.d.named(), self.boot)
    }
    fn turned(&mut self) -> Option<Joined> {
        self.d.place.turned(self.d.named(), self.boot)
    }
    fn found(&mut self) -> Result<Joined, Refused> {
        // The program's limit of file sizes is not for the runtime file.
        let found = crate::process::limits::own_file(|| self.found());
        found.map_err(unless_told(Refusal::Runtime))
    }
    fn reopen(&mut self) -> Result<(), Refused> {
        Ok(crate::process::limits::own_file(|| {
            domain::reopen(self.d.owner)
        })?)
    }
    fn share(&mut self) -> Result<(), Refused> {
        Ok(domain::share(self.d.owner, || sys::sleep_us(1000))?)
    }
    fn pause(&mut self) {
        sys::sleep_us(1000);
    }
}

impl Domain<'_> {
    fn named(&self) -> Option<Owner> {
        domain::named(self.owner.map(domain::read))
    }

    /// Why somebody else's hold on the records does not lead to their runtime file: they are another host, or
    /// a container that does not share the folder; or what stands there is not to be believed.
    fn taken(&self, boot: Id) -> Refusal {
        let there = |o: &Owner| {
            let path = self.place.record.runtime_file(o.runtime);
            o.boot == boot && sys::fstatat(c::AT_FDCWD, &path, c::AT_SYMLINK_NOFOLLOW).is_ok()
        };
        match self.owner.map(domain::read) {
            PerLeg { a: Some(a), .. } if there(&a) => Refusal::Runtime,
            _ => Refusal::Domain,
        }
    }
}
