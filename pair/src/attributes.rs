//! What an object has beside its data: in which order it is put on another one.
use libc as c;
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Stat, Sys, Time};

/// What an object is to get.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Type and rights.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Time of the last change of its data.
    pub mtime: Time,
}

impl Want {
    /// All that `st` says.
    pub fn of(st: &Stat) -> Want {
        Want {
            mode: st.mode(),
            owner: (st.uid(), st.gid()),
            mtime: st.mtime(),
        }
    }
}

/// What both legs and this process can carry.
#[derive(Clone, Copy, Debug)]
pub struct Carries {
    /// Owners. Otherwise the group alone, where it may be given.
    pub owner: bool,
    /// Owners and rights at all.
    pub modes: bool,
    /// The time.
    pub mtime: bool,
}

/// Everything.
pub const ALL: Carries = Carries {
    owner: true,
    modes: true,
    mtime: true,
};

/// Puts them on `o`; `xattrs` puts the extended ones. The order: chown takes set-id bits away, and a list of
/// access rights is in the mode, so that comes after both; the time is last. What is equal is left alone: on
/// another user's object that may not be set at all.
pub fn put(
    o: &Object,
    want: &Want,
    carries: Carries,
    xattrs: impl FnOnce() -> Sys<()>,
    _: &BothLocked,
) -> Sys<()> {
    let (uid, gid) = want.owner;
    let has = (o.stat().uid(), o.stat().gid());
    if carries.modes && carries.owner && has != want.owner {
        o.set_owner(uid, gid)?;
    } else if carries.modes && has.1 != gid {
        // Who is not root may give an own file to an own group, and nothing else.
        let _ = o.set_owner(u32::MAX, gid);
    }
    xattrs()?;
    let now = sys::fstat(o.fd())?;
    let is_link = now.kind() == c::S_IFLNK;
    if carries.modes && !is_link && now.mode() & 0o7777 != want.mode & 0o7777 {
        o.set_mode(want.mode & 0o7777)?;
    }
    if carries.mtime && now.mtime() != want.mtime {
        o.set_times(OMIT, want.mtime)?;
    }
    Ok(())
}

/// Takes a leg's lack of extended attributes for none.
pub fn listed(r: Sys<usize>) -> Sys<usize> {
    match r {
        Err(Errno::EOPNOTSUPP) => Ok(0),
        r => r,
    }
}
