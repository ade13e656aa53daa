//! The calls of the simulated programs.
use crate::rng::Rng;
use crate::tree::CAPABILITY;
use mirror_core::{Action, Undo, Where};

/// The kinds of rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Replaces.
    Plain,
    /// RENAME_NOREPLACE.
    NoReplace,
    /// RENAME_EXCHANGE.
    Exchange,
}

/// What fallocate(2) does with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// Makes the file at least so long.
    Reserve,
    /// Zeros what stands there (PUNCH_HOLE, ZERO_RANGE with KEEP_SIZE).
    Clear,
    /// Cuts it out.
    Collapse,
    /// Makes room.
    Insert,
}

/// One call. `slot` is a descriptor of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Op {
    Nop,
    /// The program ends, and with it all other processes: they are its threads.
    Exit,
    Fsync {
        slot: usize,
    },
    Open {
        slot: usize,
        path: String,
        create: bool,
        excl: bool,
        trunc: bool,
        append: bool,
        mode: u32,
    },
    Close {
        slot: usize,
    },
    Read {
        slot: usize,
        len: u64,
    },
    Write {
        slot: usize,
        data: Vec<u8>,
    },
    PWrite {
        slot: usize,
        at: u64,
        data: Vec<u8>,
    },
    FTruncate {
        slot: usize,
        len: usize,
    },
    FChmod {
        slot: usize,
        mode: u32,
    },
    FChown {
        slot: usize,
        uid: u32,
    },
    FSetXattr {
        slot: usize,
        name: String,
        value: Vec<u8>,
    },
    FUtimens {
        slot: usize,
        mtime: u64,
    },
    Allocate {
        slot: usize,
        how: Range,
        at: usize,
        len: usize,
    },
    Truncate {
        path: String,
        len: usize,
    },
    Rename {
        from: String,
        to: String,
        how: How,
    },
    Unlink {
        path: String,
    },
    Rmdir {
        path: String,
    },
    Mkdir {
        path: String,
        mode: u32,
    },
    Link {
        from: String,
        to: String,
    },
    Symlink {
        path: String,
        text: String,
    },
    Chmod {
        path: String,
        mode: u32,
    },
    Chown {
        path: String,
        uid: u32,
    },
    SetXattr {
        path: String,
        name: String,
        value: Vec<u8>,
    },
    RemoveXattr {
        path: String,
        name: String,
    },
    Utimens {
        path: String,
        mtime: u64,
    },
    /// A file by mknod (it has a time that readers compare), or a socket by bind.
    Mknod {
        path: String,
        mode: u32,
        bind: bool,
    },
}

impl Op {
    /// The names that the call is about.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Op::Rename { from, to, .. } | Op::Link { from, to } => vec![from, to],
            Op::Open { path, .. }
            | Op::Truncate { path, .. }
            | Op::Unlink { path }
            | Op::Rmdir { path }
            | Op::Mkdir { path, .. }
            | Op::Symlink { path, .. }
            | Op::Chmod { path, .. }
            | Op::Chown { path, .. }
            | Op::SetXattr { path, .. }
            | Op::RemoveXattr { path, .. }
            | Op::Mknod { path, .. }
            | Op::Utimens { path, .. } => vec![path],
            _ => vec![],
        }
    }
    /// The descriptor that the call needs.
    pub fn slot(&self) -> Option<usize> {
        match *self {
            Op::Write { slot, .. }
            | Op::PWrite { slot, .. }
            | Op::FTruncate { slot, .. }
            | Op::FChmod { slot, .. }
            | Op::FChown { slot, .. }
            | Op::FSetXattr { slot, .. }
            | Op::FUtimens { slot, .. }
            | Op::Allocate { slot, .. }
            | Op::Close { slot }
            | Op::Fsync { slot }
            | Op::Read { slot, .. } => Some(slot),
            _ => None,
        }
    }
    /// The bytes of a write.
    pub fn data(&self) -> Option<&[u8]> {
        match self {
            Op::Write { data, .. } | Op::PWrite { data, .. } => Some(data),
            _ => None,
        }
    }
    /// Whether the call removes a name.
    pub fn removes(&self) -> bool {
        matches!(self, Op::Unlink { .. } | Op::Rmdir { .. })
    }
    /// Whether the call may lose what cannot be brought back.
    pub fn may_destroy(&self) -> bool {
        self.removes()
            || self.shifts()
            || matches!(
                self,
                Op::Truncate { .. }
                    | Op::FTruncate { .. }
                    | Op::Open { trunc: true, .. }
                    | Op::Rename {
                        how: How::Plain,
                        ..
                    }
            )
    }
    /// Whether the call moves what lies behind a place of a file.
    pub fn shifts(&self) -> bool {
        matches!(
            self,
            Op::Allocate {
                how: Range::Collapse | Range::Insert,
                ..
            }
        )
    }
    /// What the engine must know of it.
    pub fn action(&self, append: bool) -> Action {
        match *self {
            Op::Write { .. } if append => Action::Write(Where::End { moves: true }),
            Op::PWrite { .. } if append => Action::Write(Where::End { moves: false }),
            Op::Write { .. } => Action::Write(Where::Position),
            Op::PWrite { at, .. } => Action::Write(Where::At(at)),
            _ => Action::Call {
                undo: if self.removes() {
                    Undo::Never
                } else {
                    Undo::Possible
                },
            },
        }
    }
    /// Whether the call is about attributes of a name.
    pub fn attributes(&self) -> bool {
        matches!(
            self,
            Op::Chmod { .. }
                | Op::Chown { .. }
                | Op::SetXattr { .. }
                | Op::RemoveXattr { .. }
                | Op::Utimens { .. }
        )
    }
}

const NAMES: &[&str] = &[
    "a", "b", "c", "d", "e", "d/a", "d/b", "d/e", "e/a", "e/d", "d/e/a", "e/d/b",
];

/// A random call. Slots 0 and 1 are shared by all processes (position and append), 2 and 3 are their
/// own.
// long: one arm for each kind of operation
pub fn random(r: &mut Rng) -> Op {
    let path = r.pick(NAMES).to_owned();
    let to = r.pick(NAMES).to_owned();
    let mode = r.pick(&[&0o600, &0o644, &0o755, &0o4711]).to_owned();
    let own = 2 + r.below(2);
    let slot = if r.one_in(3) { r.below(2) } else { own };
    let fill = b'a' + r.below(26) as u8;
    let data = vec![fill; r.below(12)];
    let value = data.clone();
    match r.below(30) {
        0..=4 => Op::Open {
            slot: own,
            path,
            create: !r.one_in(4),
            excl: r.one_in(5),
            trunc: r.one_in(4),
            append: r.one_in(3),
            mode,
        },
        5..=8 => Op::Write { slot, data },
        9..=10 => Op::PWrite {
            slot,
            at: r.below(20) as u64,
            data,
        },
        11 => Op::Read {
            slot,
            len: r.below(9) as u64,
        },
        12 => Op::FTruncate {
            slot,
            len: r.below(20),
        },
        13 => Op::Truncate {
            path,
            len: r.below(20),
        },
        14 => Op::FChmod { slot, mode },
        15 | 16 => Op::Rename {
            from: path,
            to,
            how: How::Plain,
        },
        17 => Op::Rename {
            from: path,
            to,
            how: if r.one_in(3) {
                How::NoReplace
            } else {
                How::Exchange
            },
        },
        18 => Op::Unlink { path },
        19 => Op::Rmdir { path },
        20 => Op::Mkdir { path, mode },
        21 => Op::Link { from: path, to },
        22 => Op::Symlink { path, text: to },
        23 => match r.below(4) {
            0 => Op::Chmod { path, mode },
            1 => Op::Chown {
                path,
                uid: r.below(3) as u32,
            },
            2 => Op::SetXattr {
                path,
                name: r.pick(&["user.x", CAPABILITY]).to_owned(),
                value: data,
            },
            _ => Op::Utimens {
                path,
                mtime: r.draw() % 1000,
            },
        },
        24 => Op::Fsync { slot },
        25 => match r.below(3) {
            0 => Op::FChown {
                slot,
                uid: r.below(3) as u32,
            },
            1 => Op::FSetXattr {
                slot,
                name: r.pick(&["user.x", CAPABILITY]).to_owned(),
                value,
            },
            _ => Op::FUtimens {
                slot,
                mtime: r.draw() % 1000,
            },
        },
        26 => Op::Allocate {
            slot,
            how: *r.pick(&[
                &Range::Reserve,
                &Range::Clear,
                &Range::Collapse,
                &Range::Insert,
            ]),
            at: r.below(12),
            len: 1 + r.below(8),
        },
        27 => Op::RemoveXattr {
            path,
            name: r.pick(&["user.x", CAPABILITY]).to_owned(),
        },
        28 => Op::Mknod {
            path,
            mode,
            bind: r.one_in(3),
        },
        _ => Op::Close { slot: own },
    }
}
