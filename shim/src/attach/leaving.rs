//! Leaving leg b behind.
//!
//! Rules: an error alone costs no leg. It may be one object's, this process's, or a thing that could not be
//! found out: the leg must fail a probe as well, unless the kernel has lost what it had taken. First the mark
//! on leg a's disk, then the word, then the program's answer (`mirror_pair::away`).
use crate::attach::handle::Session;
use crate::config::CONFIG;
use crate::process::limits::{own_fd, own_file};
use crate::process::mounts;
use crate::process::sight::{Sight, sight};
use libc as c;
use mirror_core::away::{Away, Why};
use mirror_core::path::Path;
use mirror_core::policy::{Act, Missing, decide, missing};
use mirror_core::record::{CONTROL, LegRecord, OWNER_RECORD};
use mirror_core::{Errno, ErrorClass, Leg, StateWord};
use mirror_pair::away;
use mirror_pair::session::Doubt;
use mirror_sys as sys;

/// Where an error comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// From one of the legs, or from none of them.
    Anywhere,
    /// From what was tried on leg b.
    Second,
    /// From the kernel, about what leg b had taken already.
    Sync,
}

/// Whether leg b is away: it was, or `why` was reason enough. The change of `rel` may be leg a's alone then.
#[cold]
#[inline(never)]
pub fn leave(s: &Session, why: Errno, from: From, rel: &[u8]) -> bool {
    let Some(conf) = CONFIG.get().pairs().get(s.pair) else {
        return false;
    };
    let why = match decide(s.runtime().word(), Leg::B, why, &conf.options) {
        Act::Alone => return true,
        Act::Probe if from == From::Sync => why,
        Act::Probe => match probe(s.at(Leg::B)) {
            Some(e) => e,
            None => return false,
        },
        Act::Leave if from != From::Anywhere => why,
        Act::Leave | Act::Fail => return false,
    };
    let Ok(record) = mirror_pair::session::record(s.at(Leg::A)) else {
        return false;
    };
    let mark = mark(&record, why, rel);
    let word = || s.runtime().leave_behind();
    away::leave(s.at(Leg::A), mark, |f| own_file(f), word).is_ok() && s.runtime().word().alone()
}

/// Leg b is left behind again by a process that cannot open it any more: it has gone on without it, and there is no
/// other way for it to go on.
#[cold]
#[inline(never)]
pub fn unreachable(s: &Session, why: Errno) {
    let Ok(record) = mirror_pair::session::record(s.at(Leg::A)) else {
        return;
    };
    let mut mark = mark(&record, why, b"");
    mark.why = Why::Failed;
    let word = || s.runtime().leave_behind();
    let _ = away::leave(s.at(Leg::A), mark, |f| own_file(f), word);
}

/// Leg b is on its way back, and a program needs of it what cannot be had (`why`, for a change of `rel`): it is left
/// behind again, and with it nothing that leg a has not. Whether it is on its way back no more; one that is back by
/// now stays.
#[cold]
#[inline(never)]
pub fn give_up_return(s: &Session, why: Errno, rel: &[u8]) -> bool {
    if s.runtime().word().joining()
        && let Ok(record) = mirror_pair::session::record(s.at(Leg::A))
    {
        let mut mark = mark(&record, why, rel);
        mark.why = Why::Failed;
        let word = || {
            let joining = s.runtime().word().joining();
            if joining {
                s.runtime().leave_behind();
            }
            joining
        };
        let _ = away::leave_again(s.at(Leg::A), mark, |f| own_file(f), word);
    }
    !s.runtime().word().joining()
}

/// Says that the leg has answered `why`, to a change of `rel`.
fn mark(record: &LegRecord, why: Errno, rel: &[u8]) -> Away {
    let reason = match why.class() {
        ErrorClass::Leg => Why::Failed,
        _ => Why::Full,
    };
    let mut mark = Away::of(record.pair, record.peer, reason);
    mark.errno = why;
    mark.since = sys::realtime();
    mark.pid = sys::getpid() as u32;
    mark.name = sys::comm();
    mark.set_path(rel);
    mark
}

/// The same for who could not attach, with leg a's root and record.
#[cold]
#[inline(never)]
pub fn unattached(pair: usize, root: i32, record: &LegRecord) -> bool {
    let Some(conf) = CONFIG.get().pairs().get(pair) else {
        return false;
    };
    let leg = conf.legs[Leg::B].to_bytes();
    let Ok(path) = Path::from_bytes(leg) else {
        return false;
    };
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let found = match own_fd(|| sys::openat2(c::AT_FDCWD, &path, flags, 0, sys::NO_SYMLINKS)) {
        Ok(n) => {
            let found = match mirror_pair::session::record(n) {
                Ok(b) if record.pairs_with(&b) => Found::of(probe(n)),
                Ok(_) => Found::Nothing,
                Err(Doubt::Unread(Errno::ENOENT)) if is_bare(n) => Found::Bare,
                Err(Doubt::Unread(e)) => Found::Failing(e),
                Err(_) => Found::Nothing,
            };
            let _ = sys::close(n);
            found
        }
        Err(Errno::ENOENT | Errno::ENOTDIR) => Found::Bare,
        Err(e) => Found::Failing(e),
    };
    let left = |mark: Away| away::leave(root, mark, |f| own_file(f), || ()).is_ok();
    match found {
        Found::Failing(e) => {
            let act = decide(StateWord::FRESH, Leg::B, e, &conf.options);
            act == Act::Probe && left(mark(record, e, b""))
        }
        Found::Bare => {
            let act = missing(what_is_known(root), &conf.options);
            let mut mark = mark(record, Errno::ENOENT, b"");
            mark.why = Why::Missing;
            act == Act::Leave && left(mark)
        }
        Found::Nothing => false,
    }
}

/// What stands at leg b's place.
enum Found {
    /// No leg: nothing, or a directory without a control folder.
    Bare,
    /// Something that answers with an error.
    Failing(Errno),
    /// Nothing that says anything of the leg.
    Nothing,
}

impl Found {
    fn of(why: Option<Errno>) -> Found {
        why.map_or(Found::Nothing, Found::Failing)
    }
}

/// Whether a directory has no control folder. What cannot be asked is there.
fn is_bare(n: i32) -> bool {
    let name = mirror_pair::control::text(CONTROL);
    sys::fstatat(n, &name, c::AT_SYMLINK_NOFOLLOW).err() == Some(Errno::ENOENT)
}

/// Of a leg b of which nothing is there, with leg a's root.
fn what_is_known(root: i32) -> Missing {
    let sight = sight();
    Missing {
        bare: true,
        sees: sight == Sight::System,
        may_see: sight == Sight::Likely,
        unused: sight == Sight::Likely && is_unused(root),
    }
}

/// Whether nobody is attached to leg a. (Who comes meanwhile meets the mark, or what is missing.)
fn is_unused(root: i32) -> bool {
    let name = mirror_pair::control::text(OWNER_RECORD);
    let Ok(n) = own_fd(|| mirror_pair::control::open(root, &name, c::O_RDWR, 0)) else {
        return false;
    };
    let alone = sys::flock(n, c::LOCK_EX | c::LOCK_NB).is_ok();
    // With the description its lock goes.
    let _ = sys::close(n);
    alone
}

/// With what a leg fails, if it does for everybody.
fn probe(root: i32) -> Option<Errno> {
    match away::fails(root, |f| own_file(f)) {
        Some(Errno::EROFS) if !mounts::is_read_only(root) => None,
        r => r,
    }
}
