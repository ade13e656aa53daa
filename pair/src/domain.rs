//! The domain of a pair: which runtime file is shared, and by whom. Both legs' `.mirror/owner` name it, and
//! every attached process holds a shared lock on both (docs/FORMATS.md).
//!
//! Rules: a runtime file is joined only while both records are held; a new one is founded only while both
//! are held alone, which is when nobody is attached, and after one look more.

use libc as c;
use mirror_core::facts::Facts;
use mirror_core::owner::{Left, OWNER_IDS, OWNER_SIZE, Owner};
use mirror_core::record::{Id, Share};
use mirror_core::runtime::SIZE;
use mirror_core::trust::{runtime_guarded, runtime_trusted};
use mirror_core::word::Past;
use mirror_core::{Errno, Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The domain that both legs' records name: they must agree.
pub fn named(records: PerLeg<Option<Owner>>) -> Option<Owner> {
    records.a.filter(|a| records.b.is_some_and(|b| a.same(&b)))
}

/// What an open record says.
pub fn read(n: i32) -> Option<Owner> {
    let mut b = [0u8; OWNER_SIZE];
    let len = sys::pread(n, &mut b, 0).ok()?;
    Owner::parse(b.get(..len)?)
}

/// Locks both records, shared or alone, without waiting; `false`: somebody is in the way, and the first may
/// be held.
pub fn lock(records: PerLeg<i32>, exclusive: bool) -> Sys<bool> {
    let how = if exclusive { c::LOCK_EX } else { c::LOCK_SH };
    for n in records {
        match retried(|| sys::flock(n, how | c::LOCK_NB)) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// Both records shared again, after a look at a domain that was founded or not. Where that is not one step (a
/// network file system), somebody may hold one alone for a moment: they find the domain, and share it. Who went
/// on without the lock would be attached while others believe that nobody is.
pub fn share(records: PerLeg<i32>, mut pause: impl FnMut()) -> Sys<()> {
    for _ in 0..PATIENCE {
        if lock(records, false)? {
            return Ok(());
        }
        pause();
    }
    Err(Errno::EAGAIN)
}

/// With leg b away, before leg a's record is shared: whoever comes must share its locks with all who may be in
/// the middle of a change on both legs. The record names a runtime file that can be joined (`live`), or none; one
/// of a domain that has ended is emptied, while nobody is attached. `false`: somebody is attached to what cannot be
/// joined from here. `own` runs what writes a file of the library's own.
pub fn clear_ended(
    owner: i32,
    live: impl Fn(Owner) -> bool,
    own: impl Fn(&dyn Fn() -> Sys<usize>) -> Sys<usize>,
    mut pause: impl FnMut(),
) -> Sys<bool> {
    let joinable = || -> Sys<bool> {
        let mut b = [0u8; OWNER_SIZE];
        let len = sys::pread(owner, &mut b, 0)?;
        let bytes = b.get(..len).unwrap_or(&[]);
        Ok(bytes.iter().all(|x| *x == 0) || Owner::parse(bytes).is_some_and(&live))
    };
    let alone = PerLeg { a: owner, b: owner };
    for _ in 0..TRIES {
        if joinable()? {
            return Ok(true);
        }
        if lock(alone, true)? {
            let empty = || sys::pwrite(owner, &[0; OWNER_SIZE], 0);
            let r = match joinable() {
                Ok(false) => own(&empty).and_then(|_| sys::fdatasync(owner)).map(drop),
                r => r.map(drop),
            };
            unlock(alone);
            r?;
        } else {
            pause();
        }
    }
    joinable()
}

/// Who has joined may change the legs from now on: that both were flushed holds no more, on their disks too, before
/// the first change. Both records are held. What says "in use" is on the disk: it was never anything else there, or
/// has been waited for.
pub fn reopen(records: PerLeg<i32>) -> Sys<()> {
    for n in records {
        let o = read(n).ok_or(Errno::EIO)?;
        match o.left {
            Left::InUse => continue,
            Left::Flushing(_) => {}
            // Two who come at once both wait: what one has only written yet, the other may not rely on.
            Left::Clean(_) | Left::Reopened => {
                say(n, o, Left::Reopened)?;
                match sys::fdatasync(n) {
                    // A filter.
                    Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => synced(n, o)?,
                    r => {
                        r?;
                    }
                }
            }
        }
        say(n, o, Left::InUse)?;
    }
    Ok(())
}

/// Who may write nothing, or finds no room, cuts off what says that it is not in use.
fn say(n: i32, o: Owner, left: Left) -> Sys<usize> {
    match sys::pwrite(n, &Owner { left, ..o }.encode(), 0) {
        Err(Errno::EFBIG | Errno::ENOSPC | Errno::EDQUOT) => sys::ftruncate(n, OWNER_IDS),
        r => r,
    }
}

fn synced(n: i32, o: Owner) -> Sys<()> {
    let m = sys::open_again(n, c::O_WRONLY | c::O_DSYNC)?;
    let r = say(m, o, Left::Reopened);
    let _ = sys::close(m);
    r.map(drop)
}

/// Nobody but the caller is attached, and both records are held exclusively: a flush begins, or has ended without
/// error. Not on the disk yet: nobody may come meanwhile, so nothing is waited for. EIO: a record names nothing.
pub fn leave(records: PerLeg<i32>, left: Left) -> Sys<()> {
    for n in records {
        let o = read(n).ok_or(Errno::EIO)?;
        sys::pwrite(n, &Owner { left, ..o }.encode(), 0)?;
    }
    Ok(())
}

/// Whether a domain was left clean: both legs say so, of the same flush.
pub fn clean(records: PerLeg<Option<Owner>>) -> bool {
    let (Some(a), Some(b)) = (records.a, records.b) else {
        return false;
    };
    a == b && matches!(a.left, Left::Clean(_))
}

/// Gives both back.
pub fn unlock(records: PerLeg<i32>) {
    for n in records {
        let _ = retried(|| sys::flock(n, c::LOCK_UN));
    }
}

fn retried(call: impl Fn() -> Sys<usize>) -> Sys<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            r => return r,
        }
    }
}

/// Whether the runtime file that the records name is the one of this boot and of this pair. `found`: what
/// its first bytes say; `expected`: what they must say. A file in memory is of this boot, whatever /proc
/// says of that: a container may show a boot id of its own, and a service in it with a /proc of its own the
/// kernel's.
pub fn is_live(
    named: Owner,
    boot: Id,
    in_memory: bool,
    expected: Option<Facts>,
    found: Option<Facts>,
) -> bool {
    (named.boot == boot || in_memory) && found.is_some() && found == expected
}

/// What fstat says of a runtime file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Type and rights.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Bytes.
    pub size: u64,
}

impl File {
    /// `None`: it must not be mapped: it has another size, or somebody else than the pair's own can have
    /// made it. Otherwise whether the mapping must not be looked at. `control`: user and group of the
    /// control folder; `ids`: the process's real, effective and saved user.
    pub fn guarded(&self, share: Share, control: (u32, u32), ids: [u32; 3]) -> Option<bool> {
        let [_, me, _] = ids;
        let trusted = runtime_trusted(share, self.mode, self.owner, control, me);
        (trusted && self.size == SIZE as u64).then(|| runtime_guarded(share, self.owner, ids))
    }
}

/// What joining needs. The library and the command each have one.
pub trait Ground {
    /// A runtime file that was joined.
    type Runtime;
    /// What goes wrong.
    type Error;
    /// Takes both records, shared or exclusively, without waiting; `false`: somebody is in the way, and one
    /// of them may be held. A shared lock that is held becomes an exclusive one, and the other way round.
    fn lock(&mut self, exclusive: bool) -> Result<bool, Self::Error>;
    /// Gives both back.
    fn unlock(&mut self) -> Result<(), Self::Error>;
    /// The runtime file that both legs name, if it is there, whole, and the pair's own.
    fn live(&mut self) -> Option<Self::Runtime>;
    /// The live runtime file of a domain with other locks, as it is, where that may be joined. Others are attached.
    fn as_others(&mut self) -> Option<Self::Runtime> {
        None
    }
    /// The live runtime file of a domain with other locks, now with those that are asked for. Both records
    /// are held exclusively.
    fn turned(&mut self) -> Option<Self::Runtime> {
        None
    }
    /// Founds a new domain. Both records are held exclusively.
    fn found(&mut self) -> Result<Self::Runtime, Self::Error>;
    /// See [`reopen`]. Both records are held.
    fn reopen(&mut self) -> Result<(), Self::Error>;
    /// Founded, or not: both records shared again, as everybody attached holds them.
    fn share(&mut self) -> Result<(), Self::Error>;
    /// Waits about a millisecond.
    fn pause(&mut self);
}

/// Tries before a pair counts as taken by somebody whose runtime file cannot be seen from here.
pub const TRIES: u32 = 200;

/// The same where somebody holds a record alone: they found a domain, or end one, and wait for a disk.
pub const PATIENCE: u32 = 10_000;

/// Joins the domain, or founds it. `None`: others hold the records, and their runtime file is not there.
pub fn join<G: Ground>(g: &mut G) -> Result<Option<G::Runtime>, G::Error> {
    let mut unseen = 0u32;
    for _ in 0..PATIENCE {
        if g.lock(false)? {
            unseen = unseen.saturating_add(1);
            let mut found = g.live();
            if found.is_none() && unseen != 1 {
                found = g.as_others();
            }
            if found.is_some() {
                g.reopen()?;
                return Ok(found);
            }
            if g.lock(true)? {
                // Somebody may have founded it between the two locks.
                let runtime = match g.live().or_else(|| g.turned()) {
                    Some(found) => g.reopen().map(|()| found),
                    None => g.found(),
                };
                g.share()?;
                return runtime.map(Some);
            }
        }
        g.unlock()?;
        g.pause();
        if unseen == TRIES {
            break;
        }
    }
    Ok(None)
}

/// What founding needs. Both records are held exclusively.
pub trait Founding {
    /// A runtime file that was made.
    type Runtime;
    /// What goes wrong.
    type Error;
    /// Looks whether the folder of runtime files can be used; makes it if it is the system's own.
    fn folder(&mut self) -> Result<(), Self::Error>;
    /// What both records say now.
    fn records(&self) -> PerLeg<Option<Owner>>;
    /// Removes the runtime files of earlier domains, as far as they are this pair's own.
    fn remove(&mut self, before: &PerLeg<Option<Owner>>);
    /// A random id.
    fn random(&mut self) -> Result<Id, Self::Error>;
    /// Writes a leg's record, and waits until the disk has it.
    fn write(&mut self, leg: Leg, record: &[u8; OWNER_SIZE]) -> Result<(), Self::Error>;
    /// Whether the founder changes nothing, or calls [`reopen`] first: of a domain that was left clean the new one is.
    fn idle(&self) -> bool {
        false
    }
    /// Makes the runtime file. `past`: see [`found`]. `None`: somebody has that name.
    fn make(&mut self, id: Id, past: Past) -> Result<Option<Self::Runtime>, Self::Error>;
}

/// Names tried.
const NAMES: u32 = 4;

/// Founds a domain. The records name the file before it is there: whoever dies on the way leaves none that
/// nobody would know of. If no domain begins, they say again what they said before: not that one has
/// vanished. `None`: others had every name.
///
/// A record of this boot whose file is not there: somebody removed it (systemd does when a service with
/// RemoveIPC= ends), and what a killed program had announced went with it. Records that disagree: a leg was put
/// back from a copy, and lacks what was done since. A record of another boot: what was changed last may be on one
/// disk alone. The word of the new file says so. Of a domain that was left clean there is nothing to say.
pub fn found<F: Founding>(f: &mut F, boot: Id) -> Result<Option<F::Runtime>, F::Error> {
    f.folder()?;
    let before = f.records();
    f.remove(&before);
    let left = match before.a {
        Some(o) if f.idle() && clean(before) => o.left,
        _ => Left::InUse,
    };
    let made = begin(f, boot, past(before, boot), left);
    if !matches!(made, Ok(Some(_))) {
        for (leg, o) in before.each() {
            let _ = f.write(leg, &o.map_or([0; OWNER_SIZE], |o| o.encode()));
        }
    }
    made
}

/// Whether both legs' records speak of the same time. If not, a leg was put back from a copy.
pub fn agree(records: PerLeg<Option<Owner>>) -> bool {
    match (records.a, records.b) {
        (Some(a), Some(b)) => {
            let both = matches!((a.left, b.left), (Left::Clean(_), Left::Clean(_)));
            a.same(&b) && (!both || a.left == b.left)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// What the records of a domain that cannot be joined, with nobody in it, say against the legs.
pub fn past(records: PerLeg<Option<Owner>>, boot: Id) -> Past {
    let clean = clean(records);
    let any = |of: fn(Id, Id) -> bool| !clean && records.iter().flatten().any(|o| of(o.boot, boot));
    Past {
        vanished: !agree(records) || any(|a, b| a == b),
        restarted: any(|a, b| a != b),
    }
}

fn begin<F: Founding>(
    f: &mut F,
    boot: Id,
    past: Past,
    left: Left,
) -> Result<Option<F::Runtime>, F::Error> {
    for _ in 0..NAMES {
        let runtime = f.random()?;
        let record = Owner {
            left,
            ..Owner::new(runtime, boot)
        };
        let record = record.encode();
        for leg in Leg::BOTH {
            f.write(leg, &record)?;
        }
        if let Some(made) = f.make(runtime, past)? {
            return Ok(Some(made));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    /// Who has founded a domain holds both records from then on, or is not attached.
    #[test]
    fn a_founder_waits_for_its_shared_lock() {
        let dir = std::env::temp_dir();
        let path = dir.join(std::format!("mirror-share-{}", std::process::id()));
        File::create(&path).unwrap();
        let open = || File::open(&path).unwrap();
        let (mine, other) = (open(), open());
        let both = |f: &File| PerLeg::by(|_| f.as_raw_fd());
        let records = both(&mine);
        assert!(lock(both(&other), true).unwrap());
        let mut waited = 0;
        let r = share(records, || {
            waited += 1;
            if waited == 3 {
                unlock(both(&other));
            }
        });
        assert_eq!((r, waited), (Ok(()), 3));
        assert!(!lock(both(&other), true).unwrap());
        unlock(records);
        assert!(lock(both(&other), true).unwrap());
        assert_eq!(share(records, || {}), Err(Errno::EAGAIN));
        std::fs::remove_file(&path).unwrap();
    }
}
