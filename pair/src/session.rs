//! What is believed of a pair's legs before a process attaches: that each has a record of its own, which
//! nobody else can have put there, and that they are the two legs of one pair.
//!
//! Rules: it is asked with the roots held, before anything is mapped or locked. A doubt is told, never
//! resolved here: the library refuses the pair with it, the command says what to do.
use crate::control::{own, text};
use crate::idmap::shown_as;
use libc as c;
use mirror_core::idmap::NOBODY;
use mirror_core::record::{CONTROL, Id, LEG_RECORD, LegRecord, RECORD_MAX, RecordFault};
use mirror_core::trust::{Control, Distrust, control_trusted};
use mirror_core::{Errno, Leg};
use mirror_sys as sys;
use mirror_sys::Sys;

/// What the mirrortab says of a pair, where its line pins it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pinned {
    /// The pair's id (`id=`).
    pub id: Option<Id>,
    /// The owner of its control folders (`uid=`).
    pub uid: Option<u32>,
}

/// Why a leg is not taken for one of the pair's.
#[derive(Clone, Copy, Debug)]
pub enum Doubt {
    /// Its record cannot be read, or is not there.
    Unread(Errno),
    /// Something else stands in the record's place.
    Alien,
    /// Its record cannot be understood.
    Damaged(RecordFault),
    /// The record is that of another pair than the mirrortab names.
    OtherPair,
    /// Whose the control folder is could not be asked.
    Unasked(Errno),
    /// Somebody else may have put the control folder there.
    Folder(Distrust, Control),
    /// It has the other letter than its place in the mirrortab: a copied or swapped leg is not ours to guess.
    Swapped,
    /// Its first copy has not finished.
    Incomplete,
    /// The two are not the legs of one pair.
    Strangers,
}

/// The record of the leg at a root.
pub fn record(root: i32) -> Result<LegRecord, Doubt> {
    let opened = own(root, &text(LEG_RECORD), c::O_RDONLY, 0).map_err(Doubt::Unread)?;
    let n = opened.ok_or(Doubt::Alien)?;
    let mut bytes = [0u8; RECORD_MAX];
    let len = sys::pread(n, &mut bytes, 0);
    let _ = sys::close(n);
    let bytes = bytes.get(..len.map_err(Doubt::Unread)?).unwrap_or(&[]);
    LegRecord::parse(bytes).map_err(Doubt::Damaged)
}

/// Whether the leg with this root and record is the one that the mirrortab means, and its control folder the
/// pair's own.
pub fn believe(root: i32, record: &LegRecord, pinned: &Pinned) -> Result<(), Doubt> {
    if pinned.id.is_some_and(|id| id != record.pair) {
        return Err(Doubt::OtherPair);
    }
    let folder = folder(root).map_err(Doubt::Unasked)?;
    let [_, me, _] = sys::user_ids();
    let trusted = |pin| control_trusted(&folder, record.share, pin, me);
    // In a user namespace that user has another number. (Nobody's proves nothing.)
    let found = match (trusted(pinned.uid), pinned.uid) {
        (Err(Distrust::Pinned), Some(uid)) => {
            trusted(shown_as(uid).filter(|n| *n != NOBODY).or(pinned.uid))
        }
        (r, _) => r,
    };
    found.map_err(|why| Doubt::Folder(why, folder))
}

fn folder(root: i32) -> Sys<Control> {
    let (r, m) = (
        sys::fstat(root)?,
        sys::fstatat(root, &text(CONTROL), c::AT_SYMLINK_NOFOLLOW)?,
    );
    Ok(Control {
        owner: (m.uid(), m.gid()),
        mode: m.mode(),
        root: (r.uid(), r.gid()),
    })
}

/// Whether a leg can be used as this one of its pair.
pub fn usable(record: &LegRecord, leg: Leg) -> Result<(), Doubt> {
    if record.leg != leg {
        return Err(Doubt::Swapped);
    }
    match record.complete {
        true => Ok(()),
        false => Err(Doubt::Incomplete),
    }
}

/// Whether two legs belong together.
pub fn partners(one: &LegRecord, two: &LegRecord) -> Result<(), Doubt> {
    match one.pairs_with(two) {
        true => Ok(()),
        false => Err(Doubt::Strangers),
    }
}
