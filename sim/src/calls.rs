//! The system calls of which the library makes one change: in this order, on these legs. Each may fail,
//! and each may be the last of its process.
//!
//! To compare: `shim/src/calls/open/change.rs` and `reopen.rs`, `names/one.rs` and `two.rs`,
//! `attributes/set.rs` with `set/`, `data/resize.rs`, `alloc.rs` and `write.rs`, `repair/unwrite.rs`.
//! Left out: closes, and what is asked of the first leg before anything is decided (`prepare`).
use crate::op::{How, Op, Range};
use crate::proc::Call;
use mirror_core::Step::{self, First, Second};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Looks (stat, getxattr, an open with O_PATH): nothing changes.
    Look,
    /// Gives a descriptor its number.
    Dup,
    /// The program's own call.
    Own,
    /// Opens a file that is there.
    Open,
    /// ftruncate to 0 of what was opened.
    Empty,
    /// The other leg's time.
    Times,
    /// The size of the other leg's file, if it is another one.
    Level,
    /// Removes what the call has made there.
    Unmake,
    /// The rename or the exchange the other way round.
    Unmove,
    /// Mode, owner, time, set-id bits with capabilities: as they were before.
    Mode,
    /// See [`Does::Mode`].
    Owner,
    /// See [`Does::Mode`].
    Time,
    /// See [`Does::Mode`]. One call for the set-id bits.
    SetId,
    /// See [`Does::Mode`]. One for the capabilities.
    Capability,
    /// The extended attribute that the other leg has.
    Value,
    /// The file is again as long as it was.
    Cut,
    /// Bytes that the other leg has, where zeros were made or something was cut out.
    Bytes,
    /// The shift the other way round.
    Unshift,
}

/// What its failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Else {
    /// Refused: nothing has changed there, or has not by this.
    Whole,
    /// Refused: a part was done.
    Part,
    /// No matter.
    Skip,
    /// "It is not there": the legs do not look alike. Anything else is met again.
    Compare,
    /// "It is not there", "may not": asked again after the first leg's own call.
    Later,
    /// Done all the same, and recorded.
    Record,
    /// The same, after a second try.
    Again,
}

/// A call on the leg that is changed first, or on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(pub Step, pub Does, pub Else);

const OWN: &[Row] = &[Row(First, Does::Own, Else::Whole)];
const OWN_AGAIN: &[Row] = &[Row(Second, Does::Own, Else::Whole)];

/// What a step of the change is made of.
// long: one arm for each kind of operation
pub fn rows(c: &Call, step: Step) -> &'static [Row] {
    let made = c.before[0].is_none();
    match (&*c.op, step) {
        // The stat is for the partner's number: without it there is none.
        (Op::Open { .. }, First) if made => &[
            Row(First, Does::Own, Else::Whole),
            Row(First, Does::Look, Else::Skip),
        ],
        (Op::Open { .. }, Second) if made => &[
            Row(Second, Does::Own, Else::Whole),
            Row(Second, Does::Look, Else::Part),
            Row(Second, Does::Dup, Else::Part),
        ],
        // Before O_TRUNC empties the first leg's file, the second leg's is open.
        (Op::Open { trunc: true, .. }, First) => &[
            Row(First, Does::Look, Else::Whole),
            Row(Second, Does::Open, Else::Later),
            Row(Second, Does::Look, Else::Later),
            Row(Second, Does::Dup, Else::Whole),
            Row(First, Does::Own, Else::Whole),
        ],
        (Op::Open { trunc: true, .. }, Second) if c.later => reopened(c),
        (Op::Open { trunc: true, .. }, Second) => &[Row(Second, Does::Empty, Else::Whole)],
        (Op::Open { .. }, First) => &[
            Row(First, Does::Own, Else::Whole),
            Row(First, Does::Look, Else::Skip),
        ],
        (Op::Open { .. }, Second) => &[
            Row(Second, Does::Open, Else::Whole),
            Row(Second, Does::Look, Else::Whole),
            Row(Second, Does::Dup, Else::Whole),
        ],
        // Another thread may have changed the umask in between: both are looked at.
        (Op::Mkdir { .. }, Second) => &[
            Row(Second, Does::Own, Else::Whole),
            Row(First, Does::Look, Else::Part),
            Row(Second, Does::Look, Else::Part),
        ],
        (Op::Mknod { bind: false, .. }, Second) => &[
            Row(Second, Does::Own, Else::Whole),
            Row(First, Does::Look, Else::Part),
            Row(Second, Does::Look, Else::Part),
            Row(Second, Does::Times, Else::Part),
        ],
        (Op::Mknod { bind: true, .. }, Second) => &[
            Row(First, Does::Look, Else::Whole),
            Row(Second, Does::Own, Else::Whole),
            Row(Second, Does::Look, Else::Part),
            Row(Second, Does::Times, Else::Part),
        ],
        (Op::Truncate { .. }, First) => &[
            Row(First, Does::Look, Else::Whole),
            Row(First, Does::Look, Else::Skip),
            Row(Second, Does::Open, Else::Later),
            Row(Second, Does::Look, Else::Compare),
            Row(First, Does::Own, Else::Whole),
        ],
        // What has been cut off on both legs is no refusal any more.
        (Op::Truncate { .. }, Second) if c.destroys => &[
            Row(Second, Does::Look, Else::Whole),
            Row(Second, Does::Own, Else::Whole),
            Row(Second, Does::Times, Else::Skip),
        ],
        (Op::Truncate { .. }, Second) => &[
            Row(Second, Does::Look, Else::Whole),
            Row(Second, Does::Own, Else::Whole),
            Row(Second, Does::Times, Else::Part),
        ],
        (op, First) if op.attributes() => &[
            Row(First, Does::Look, Else::Whole),
            Row(First, Does::Look, Else::Skip),
            Row(Second, Does::Look, Else::Compare),
            Row(First, Does::Own, Else::Whole),
        ],
        (op, Second) if op.attributes() => &[
            Row(Second, Does::Look, Else::Whole),
            Row(Second, Does::Own, Else::Whole),
        ],
        // A shift may have begun where it fails; afterwards the sizes are compared.
        (Op::Allocate { how, .. }, Second) => match how {
            Range::Collapse | Range::Insert => &[
                Row(Second, Does::Own, Else::Part),
                Row(Second, Does::Level, Else::Again),
            ],
            _ => &[
                Row(Second, Does::Own, Else::Whole),
                Row(Second, Does::Level, Else::Again),
            ],
        },
        (_, First) => OWN,
        (_, Second) => OWN_AGAIN,
    }
}

/// How the second leg's file is opened after it was made by a repair.
pub fn reopened(c: &Call) -> &'static [Row] {
    const OPEN: [Row; 5] = [
        Row(Second, Does::Open, Else::Whole),
        Row(Second, Does::Look, Else::Whole),
        Row(Second, Does::Dup, Else::Whole),
        Row(First, Does::Empty, Else::Whole),
        Row(Second, Does::Empty, Else::Whole),
    ];
    if c.later { &OPEN } else { &OPEN[..3] }
}

const SHRINK: [Row; 4] = [
    Row(First, Does::Cut, Else::Whole),
    Row(First, Does::SetId, Else::Whole),
    Row(First, Does::Capability, Else::Whole),
    Row(First, Does::Time, Else::Whole),
];

/// What takes the change back, after the second leg's refusal.
// long: one arm for each kind of operation
pub fn undo(c: &Call) -> &'static [Row] {
    match &*c.op {
        // An empty file was emptied.
        Op::Open { trunc: true, .. } if c.before[0].is_some() => &[
            Row(First, Does::SetId, Else::Record),
            Row(First, Does::Capability, Else::Record),
            Row(First, Does::Time, Else::Skip),
        ],
        Op::Open { .. } | Op::Mkdir { .. } | Op::Mknod { .. } | Op::Symlink { .. } => &[
            Row(Second, Does::Unmake, Else::Whole),
            Row(First, Does::Unmake, Else::Whole),
        ],
        Op::Link { .. } => &[Row(First, Does::Unmake, Else::Whole)],
        Op::Rename { .. } => &[Row(First, Does::Unmove, Else::Whole)],
        Op::Chmod { .. } | Op::FChmod { .. } => &[
            Row(First, Does::Look, Else::Whole),
            Row(First, Does::Mode, Else::Whole),
        ],
        Op::Chown { .. } | Op::FChown { .. } => &[
            Row(First, Does::Look, Else::Whole),
            Row(First, Does::Owner, Else::Whole),
            Row(First, Does::SetId, Else::Whole),
            Row(First, Does::Capability, Else::Whole),
        ],
        Op::SetXattr { .. } | Op::RemoveXattr { .. } | Op::FSetXattr { .. } => &[
            Row(First, Does::Look, Else::Whole),
            Row(Second, Does::Look, Else::Whole),
            Row(First, Does::Value, Else::Whole),
        ],
        Op::Utimens { .. } | Op::FUtimens { .. } => &[
            Row(First, Does::Look, Else::Whole),
            Row(First, Does::Time, Else::Whole),
        ],
        Op::Truncate { .. } => {
            const BOTH: [Row; 9] = [
                Row(First, Does::Look, Else::Whole),
                Row(Second, Does::Cut, Else::Whole),
                Row(Second, Does::SetId, Else::Whole),
                Row(Second, Does::Capability, Else::Whole),
                Row(Second, Does::Time, Else::Whole),
                SHRINK[0],
                SHRINK[1],
                SHRINK[2],
                SHRINK[3],
            ];
            &BOTH
        }
        Op::FTruncate { .. }
        | Op::Allocate {
            how: Range::Reserve,
            ..
        } => &[
            Row(Second, Does::Cut, Else::Whole),
            Row(First, Does::Cut, Else::Whole),
            Row(First, Does::SetId, Else::Record),
            Row(First, Does::Capability, Else::Record),
            Row(First, Does::Time, Else::Skip),
        ],
        Op::Allocate {
            how: Range::Clear, ..
        } => &[
            Row(First, Does::Bytes, Else::Whole),
            Row(First, Does::SetId, Else::Record),
            Row(First, Does::Capability, Else::Record),
            Row(First, Does::Time, Else::Skip),
        ],
        Op::Allocate { .. } => &[
            Row(First, Does::Unshift, Else::Whole),
            Row(First, Does::Bytes, Else::Whole),
            Row(First, Does::SetId, Else::Record),
            Row(First, Does::Capability, Else::Record),
            Row(First, Does::Time, Else::Skip),
        ],
        _ => &[],
    }
}

/// Whether the second leg's refusal leaves nothing to go back to on the first.
pub fn needs_source(op: &Op) -> bool {
    matches!(
        op,
        Op::SetXattr { .. } | Op::RemoveXattr { .. } | Op::FSetXattr { .. }
    ) || op.shifts()
        || matches!(
            op,
            Op::Allocate {
                how: Range::Clear,
                ..
            }
        )
}

/// Whether `op` can be done the other way round.
pub fn turns(op: &Op) -> Option<Op> {
    match op {
        Op::Rename { from, to, how } => Some(Op::Rename {
            from: to.clone(),
            to: from.clone(),
            how: match how {
                How::Exchange => How::Exchange,
                _ => How::NoReplace,
            },
        }),
        _ => None,
    }
}
