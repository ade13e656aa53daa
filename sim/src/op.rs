//! The calls of the simulated programs.
use crate::rng::Rng;
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
    Utimens {
        path: String,
        mtime: u64,
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
    /// Whether the call removes a name or data for good.
    pub fn removes(&self) -> bool {
        matches!(
            self,
            Op::Unlink { .. } | Op::Rmdir { .. } | Op::Truncate { .. } | Op::FTruncate { .. }
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
            Op::Chmod { .. } | Op::Chown { .. } | Op::SetXattr { .. } | Op::Utimens { .. }
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
    let mode = r.pick(&[&0o600, &0o644, &0o755]).to_owned();
    let own = 2 + r.below(2);
    let slot = if r.one_in(3) { r.below(2) } else { own };
    let fill = b'a' + r.below(26) as u8;
    let data = vec![fill; r.below(12)];
    match r.below(26) {
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
                name: "user.x".into(),
                value: data,
            },
            _ => Op::Utimens {
                path,
                mtime: r.draw() % 1000,
            },
        },
        24 => Op::Fsync { slot },
        _ => Op::Close { slot: own },
    }
}
