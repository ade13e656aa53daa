//! One change, as a source tells it.
use crate::{Op, Tier};
use alloc::vec::Vec;
use mirror_core::Leg;

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub at: u64,
    /// How long it is.
    pub len: u64,
}

/// Who made a change, as far as the source itself knows: /proc tells the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The process, 0 if only the thread is known.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The user.
    pub uid: Option<u32>,
    /// The kernel's name of the thread.
    pub comm: Vec<u8>,
    /// The id of its cgroup, 0 if not known.
    pub cgroup: u64,
    /// What its program was started with, if the source saw that.
    pub began: Option<Began>,
}

/// What a program was started with, as far as it was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Began {
    /// The program's file; of a script its interpreter's.
    pub file: Vec<u8>,
    /// Its arguments, the first one its name.
    pub args: Vec<Vec<u8>>,
    /// LD_PRELOAD.
    pub preload: Vec<u8>,
    /// Whether it is static.
    pub fixed: bool,
    /// Whether it got rights by its file: set-id or capabilities.
    pub secure: bool,
}

/// What the source itself could find out about a change's match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Nothing: both legs are looked at.
    Open,
    /// It was carried out on both legs; counted, no more.
    Mirrored,
    /// It had no match: a finding, whatever the legs look like by now.
    Unmirrored,
}

/// A change on one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of CLOCK_REALTIME.
    pub time: u64,
    /// Which leg.
    pub leg: Leg,
    /// The path below the leg, without a leading slash; empty: the root.
    pub rel: Vec<u8>,
    /// The new name of a rename, the other one of a link or an exchange, if it lies in the same leg.
    pub to: Option<Vec<u8>>,
    /// What was done.
    pub op: Op,
    /// The bytes, where they are known.
    pub range: Option<Range>,
    /// Device and inode, where they are known.
    pub object: Option<(u64, u64)>,
    /// What the call returned, where it is known.
    pub result: Option<i64>,
    /// Who did it, where it is known.
    pub who: Option<Who>,
    /// Which source tells it.
    pub tier: Tier,
    /// Whether it has a match on the other leg.
    pub judged: Judged,
}

impl Event {
    /// A change of which the source knows no more than this.
    pub fn seen(tier: Tier, time: u64, leg: Leg, rel: Vec<u8>, op: Op) -> Event {
        Event {
            time,
            leg,
            rel,
            to: None,
            op,
            range: None,
            object: None,
            result: None,
            who: None,
            tier,
            judged: Judged::Open,
        }
    }
}
