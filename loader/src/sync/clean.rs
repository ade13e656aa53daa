//! That both legs' disks have all that programs were told, and nobody has been attached since: noted in both domain
//! records. After a restart of the machine such a pair needs no comparison.
//!
//! Rules: nobody is kept waiting while disks write: what keeps others out lasts for two small writes into memory, and
//! a file system that takes none just now is waited for before. A flush has a number, which who comes meanwhile takes
//! out of the records (`mirror_pair::domain::reopen`); only one whose number still stands there, with nobody attached,
//! is noted. What is known against the pair is not lost with the runtime file: such a pair is not clean. A flush that
//! fails is told once by the kernel, so that is put on record before anything else.
use super::{heal, mapped};
use crate::fail::{Context, Fail, Kind, Res};
use crate::output;
use crate::pair::domain::Attached;
use crate::pair::legs::{OpenLeg, Pair};
use crate::pair::runtime::SizeLimit;
use crate::pair::{alone, away};
use crate::text;
use crate::tree::mounts;
use crate::tree::object::std;
use mirror_core::owner::{Left, Owner};
use mirror_core::record::{OWNER_RECORD, PENDING_LOG};
use mirror_core::word::StateWord;
use mirror_core::{Leg, PerLeg};
use mirror_pair::{domain as protocol, pending};
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Both disks have everything, and that is noted.
    Clean,
    /// Somebody is attached, or came.
    InUse,
    /// Something is known against the pair: that must not be forgotten.
    Doubtful,
    /// What is on a disk is not this kernel's to say (FUSE), or which file systems there are.
    Unknown,
}

/// Whether a pair is clean already.
pub fn of(p: &Pair) -> bool {
    let read = |leg: &OpenLeg| Owner::parse(&leg.root.read(OWNER_RECORD).ok()?);
    protocol::clean(p.legs.as_ref().map(read))
}

/// The right to flush a pair, as long as it is open: whoever waits for it is not attached meanwhile, and so in nobody's
/// way. `None`: somebody else has it.
pub fn turn(p: &Pair) -> Res<Option<OwnedFd>> {
    let root = &p.legs.a.root;
    let list = root.control(PENDING_LOG, OFlags::RDWR, Mode::empty());
    let list = list.about(text::path(&root.path))?;
    match rustix::fs::flock(&list, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(list)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(Fail::io(text::path(&root.path), e)),
    }
}

/// Flushes both legs of a pair, if nobody else is attached. The caller has the [`turn`], and has attached without
/// saying that the pair is in use.
pub fn flush(p: &Attached) -> Res<Flushed> {
    if of(&p.pair) {
        return Ok(Flushed::Clean);
    }
    let mut number = [0u8; 8];
    std(mirror_sys::random(&mut number)).about("a random number")?;
    let number = u64::from_le_bytes(number);
    let Some(places) = places(p) else {
        return Ok(Flushed::Unknown);
    };
    let before = alone_do(p, |records| {
        let found = fit(p);
        if found == Flushed::Clean {
            std(protocol::leave(records, Left::Flushing(number))).about(shown(p))?;
        }
        Ok(found)
    })?;
    if before != Flushed::Clean {
        return Ok(before);
    }
    for place in &places {
        if let Err(e) = rustix::fs::syncfs(place) {
            failed(p)?;
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "{}: a leg could not be flushed ({}): what it lacks is not known. mirror resync {}",
                    shown(p),
                    crate::fail::reason(&e.into()),
                    text::shell(&p.pair.line.virt)
                ),
            ));
        }
    }
    let after = alone_do(p, |records| {
        let stands = records.map(protocol::read);
        let ours = |o: &Option<Owner>| o.is_some_and(|o| o.left == Left::Flushing(number));
        if !stands.iter().all(ours) {
            return Ok(Flushed::InUse);
        }
        let found = fit(p);
        if found == Flushed::Clean {
            std(protocol::leave(records, Left::Clean(number))).about(shown(p))?;
        }
        Ok(found)
    })?;
    if after == Flushed::Clean {
        for n in p.records() {
            std(mirror_sys::fdatasync(n)).about(shown(p))?;
        }
    }
    Ok(after)
}

/// At the end of a command that found both legs equal: if the machine is restarted before a program comes, they need
/// not be compared again. What comes of it is no matter of that command; a flush that fails is told, and on record.
pub fn at_end(p: &Attached) {
    if let Ok(Some(_turn)) = turn(&p.pair)
        && let Err(e) = flush(p)
    {
        output::note!("mirror: {}", e.text);
    }
}

fn shown(p: &Attached) -> String {
    text::path(&p.pair.line.virt)
}

/// With nobody else attached, and nobody who could come. Nothing in it waits for a disk.
fn alone_do(p: &Attached, act: impl FnOnce(PerLeg<RawFd>) -> Res<Flushed>) -> Res<Flushed> {
    let records = p.records();
    let _lifted = SizeLimit::lift();
    for leg in &p.pair.legs {
        // A file system that is frozen, or stalls, is waited for here.
        let list = leg.root.control(PENDING_LOG, OFlags::RDWR, Mode::empty());
        list.and_then(|n| Ok(rustix::fs::futimens(&n, &NOW)?))
            .about(text::path(&leg.root.path))?;
    }
    let named = || protocol::named(records.map(protocol::read)).map(|o| o.runtime);
    let before = named();
    let r = match std(protocol::lock(records, true)).about(shown(p))? {
        false => Ok(Flushed::InUse),
        // The lock was given up for an instant: somebody may have begun another domain.
        true if before.is_none() || named() != before => Ok(Flushed::InUse),
        true => act(records),
    };
    // Of a lock that could not be made exclusive nothing is left (flock(2)).
    let pause = || std::thread::sleep(Duration::from_millis(1));
    std(protocol::share(records, pause)).about(shown(p))?;
    r
}

/// Whether all that is known of the pair may be forgotten: nothing is.
fn fit(p: &Attached) -> Flushed {
    let mapped = mapped::count(&p.runtime, &p.pair);
    let dead = p.locks.lock().any_dead(&p.runtime);
    if alone::any(&p.pair) || mapped.live != 0 {
        return Flushed::InUse;
    }
    let doubtful = dead || mapped.dead != 0 || !p.runtime.word().in_order();
    if doubtful || away::is_away(&p.pair) || p.pair.incomplete().is_some() {
        return Flushed::Doubtful;
    }
    Flushed::Clean
}

/// A directory of each file system on which the pair has something: those of the legs, and what is mounted inside.
fn places(p: &Attached) -> Option<Vec<File>> {
    let mut all = vec![];
    for leg in Leg::BOTH {
        let root = &p.pair.legs[leg].root;
        all.push(File::from(root.fd().try_clone_to_owned().ok()?));
        for point in mounts::below_leg(&root.path)? {
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            all.push(
                File::options()
                    .read(true)
                    .custom_flags(flags)
                    .open(point)
                    .ok()?,
            );
        }
    }
    let fuse = |f: &File| {
        rustix::fs::fstatfs(f.as_fd()).map_or(true, |s| s.f_type as u64 == FUSE_SUPER_MAGIC)
    };
    (!all.iter().any(fuse)).then_some(all)
}

/// Both times, now: whoever may write a file may set these.
const NOW: Timestamps = {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW as _,
    };
    Timestamps {
        last_access: now,
        last_modification: now,
    }
};

/// linux/magic.h.
const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;

/// What a leg lacks is not known: all is to be compared, whatever happens to this process or the machine.
fn failed(p: &Attached) -> Res<()> {
    let write = |n, line: &[u8]| {
        let _lifted = SizeLimit::lift();
        mirror_sys::write(n, line)
    };
    heal::locked(p, |held| {
        pending::mark(p.pair.roots(), b".", write, || {
            p.set_bits(StateWord::PENDING, held);
        });
    })
}
