//! What may go wrong in a run, and how the oracles are tested themselves.
use mirror_core::Errno;

/// The kind of call that an error strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Whatever changes a leg, or reads the size of a file there.
    Effect,
    /// A step of a path's resolution, under the locks.
    Look,
    /// Taking a lock.
    Lock,
}

/// An error of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorAt {
    /// On the leg that is changed second (else on the first).
    pub second: bool,
    /// Of which calls.
    pub place: Place,
    /// The call (counted per leg and kind from 0) that fails first.
    pub nth: u32,
    /// How many of them fail.
    pub times: u32,
    /// With what.
    pub errno: Errno,
}

/// Which legs a crash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The leg that is changed first.
    First,
    /// The other one.
    Second,
    /// The whole machine: every process dies too.
    Both,
}

/// The crash of a leg: what was not synced is lost, and for the rest of the run the leg is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crash {
    /// Which leg.
    pub which: Which,
    /// At this step of the run.
    pub at: u32,
    /// Names, sizes and attributes are kept in order, but bytes may be older than they.
    pub lag: bool,
    /// The gone leg's locks cannot be taken either.
    pub locks: bool,
}

/// The faults of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// (process, its n-th yield point): killed there.
    pub kills: Vec<(usize, u32)>,
    /// (process, its n-th yield point): stopped there, until nobody else can go on.
    pub stops: Vec<(usize, u32)>,
    /// Errors of the legs.
    pub errors: Vec<ErrorAt>,
    /// Writes take fewer bytes than asked for, now and then.
    pub short: bool,
    /// The crash of a leg.
    pub crash: Option<Crash>,
    /// `on-failure=degrade`: leg b is left behind when it fails. The first leg is leg a then.
    pub degrade: bool,
}

impl Faults {
    /// Nothing goes wrong on a leg, and nobody dies.
    pub fn none(&self) -> bool {
        self.kills.is_empty() && self.errors.is_empty() && !self.short && self.crash.is_none()
    }
}

/// A deliberate defect: each one must be seen by an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sabotage {
    /// The lock of leg 1 is said to be held without being taken.
    SecondLock,
    /// A busy lock is said to be taken.
    Exclusion,
    /// Posts of crashed processes are not seen.
    Crashed,
    /// Undo does nothing and says it did.
    Undo,
    /// Unwrite does nothing and says it did.
    Unwrite,
    /// Heal does nothing and says it did.
    Heal,
    /// The pending record is not kept.
    Pending,
    /// Writes of the second leg land one byte late.
    Offset,
    /// Positions are not set.
    Position,
    /// What a process remembers of paths is believed whatever the generation.
    Generation,
    /// The EXCLUSIVE bit is not looked at.
    Bit,
    /// Leg b is left behind without a mark.
    Mark,
    /// Nobody is waited for after the EXCLUSIVE bit is set.
    Quiesce,
    /// Directories are renamed under their parents' locks (F19).
    Rename,
    /// The plan is not proved again under the locks.
    Plan,
    /// The file behind a name is not locked (F20).
    Late,
    /// Whether a call loses something is looked at before the file behind the name is locked.
    Early,
    /// Names are locked by (parent, name) (F9).
    Names,
    /// The key is the inode on the leg that the call addresses (F20).
    Keys,
    /// The second leg's offset is derived from the position after the first write (F1).
    Derived,
    /// Files are opened, and paired, without a lock (F2).
    Open,
    /// An intent knows a path in place of inodes (F15).
    Intent,
    /// The locks of the dead are held on, as by a forked child (F16).
    Leak,
    /// exit does not wait for the other threads' changes (F17).
    Gate,
    /// Who waits for a lock holds others (F27).
    Hold,
    /// fsync syncs the first leg only.
    Sync,
    /// The removal of a directory is not counted: what is remembered of it goes on being believed.
    Count,
    /// A half-done second leg is said to be what it was.
    Part,
    /// What is pending already is taken for a source.
    Source,
    /// A change of owner is taken back without the set-id bits and capabilities that went with it.
    Chown,
    /// The growth of a truncation is not taken back.
    Growth,
    /// What a failed call has made on the second leg is left there.
    Made,
    /// A refused write does not give back what it took beside.
    Beside,
    /// A change that is taken back in part is told as done.
    Told,
    /// A rename that replaced nothing is not taken back.
    Unmoved,
    /// What a call that failed on the first leg has taken beside is not taken on the second.
    After,
    /// A short count of the second leg is taken for all.
    Short,
    /// A repair makes the file as long first, and copies no more than so much of it.
    Zeros,
    /// A repair sets capabilities before it writes the bytes, also those that are equal.
    Capabilities,
    /// A repair does not remove what the right leg has not.
    Stale,
    /// What is equal is recorded.
    False,
    /// A repair looks at the first leg alone.
    OneLeg,
    /// "It is not there" is believed of the second leg without a look.
    Believed,
    /// The two are taken for equal since both legs have the names.
    Alike,
    /// The intent is published when the first leg has the change.
    Publish,
    /// The posts are freed when the first leg has the change.
    Freed,
    /// The posts are freed after the locks.
    Unlock,
    /// The intent stands until its post is freed, after the others.
    Announced,
    /// The intent is published under another object than the posts say.
    Lead,
    /// The second leg's lock is taken first.
    LegOrder,
    /// The second leg's refusal is told as success.
    Swallowed,
    /// A repair ends at its first error, and nothing is recorded.
    Unsaid,
}
