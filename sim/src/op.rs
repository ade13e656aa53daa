//! The calls of the simulated programs, and what each does to one plain tree.
use crate::rng::Rng;
use crate::tree::{Body, Ino, Meta, Tree};
use mirror_core::{Action, Errno, Undo, Where};
use std::collections::BTreeMap;

/// The kinds of rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Replaces.
    Plain,
    /// RENAME_NOREPLACE.
    NoReplace,
    /// RENAME_EXCHANGE.
    Exchange,
}

/// One call. `slot` is a descriptor of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Nop,
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

/// What a call did.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Its answer.
    pub value: u64,
    /// The inode it opened or made.
    pub ino: Option<Ino>,
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
    /// Whether `tree` as it stands loses something by the call, so that it cannot be undone.
    pub fn destroys(&self, tree: &Tree) -> bool {
        match self {
            Op::Rename {
                from,
                to,
                how: How::Plain,
            } => {
                matches!((tree.lookup(from), tree.lookup(to)), (Ok(a), Ok(b)) if a != b)
            }
            Op::Open {
                path, trunc: true, ..
            } => tree
                .lookup(path)
                .and_then(|i| tree.bytes(i))
                .is_ok_and(|b| !b.is_empty()),
            _ => self.removes(),
        }
    }
}

fn make(t: &mut Tree, path: &str, body: Body, mode: u32) -> Result<Done, Errno> {
    let (d, n) = t.parent(path)?;
    if t.dir(d)?.contains_key(n) {
        return Err(Errno::EEXIST);
    }
    let i = t.add(
        body,
        Meta {
            mode,
            ..Meta::default()
        },
    );
    t.set(d, n, Some(i));
    Ok(Done {
        value: 0,
        ino: Some(i),
    })
}

fn rename(t: &mut Tree, from: &str, to: &str, how: How) -> Result<(), Errno> {
    let ((pf, nf), (pt, nt)) = (t.parent(from)?, t.parent(to)?);
    let s = *t.dir(pf)?.get(nf).ok_or(Errno::ENOENT)?;
    let over = t.dir(pt)?.get(nt).copied();
    if t.below(pt, s) || (how == How::Exchange && over.is_some_and(|o| t.below(pf, o))) {
        return Err(Errno::EINVAL);
    }
    match (how, over) {
        (How::NoReplace, Some(_)) => return Err(Errno::EEXIST),
        (How::Exchange, None) => return Err(Errno::ENOENT),
        (How::Exchange, Some(o)) => {
            t.set(pf, nf, Some(o));
            t.set(pt, nt, Some(s));
            return Ok(());
        }
        (_, Some(o)) if o == s => return Ok(()),
        (_, Some(o)) => match (t.is_dir(s), t.is_dir(o)) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if !t.dir(o)?.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        },
        (_, None) => {}
    }
    t.set(pf, nf, None);
    t.set(pt, nt, Some(s));
    Ok(())
}

/// Does the call on `t`; `object` is the inode behind its descriptor.
pub fn effect(t: &mut Tree, op: &Op, object: Option<Ino>) -> Result<Done, Errno> {
    let named = |t: &Tree, p: &str| t.lookup(p);
    match op {
        Op::Open {
            slot,
            path,
            create,
            excl,
            trunc,
            mode,
            ..
        } => {
            let ino = match named(t, path) {
                Ok(_) if *create && *excl => return Err(Errno::EEXIST),
                Ok(i) => {
                    let b = t.bytes_mut(i)?;
                    if *trunc {
                        b.clear();
                    }
                    Some(i)
                }
                Err(Errno::ENOENT) if *create => make(t, path, Body::File(Vec::new()), *mode)?.ino,
                Err(e) => return Err(e),
            };
            return Ok(Done {
                value: *slot as u64,
                ino,
            });
        }
        Op::Truncate { path, len } => {
            let i = named(t, path)?;
            t.bytes_mut(i)?.resize(*len, 0);
        }
        Op::FTruncate { len, .. } => t.bytes_mut(object.ok_or(Errno::EBADF)?)?.resize(*len, 0),
        Op::FChmod { mode, .. } => t.node_mut(object.ok_or(Errno::EBADF)?).meta.mode = *mode,
        Op::Rename { from, to, how } => rename(t, from, to, *how)?,
        Op::Unlink { path } => {
            let i = named(t, path)?;
            if t.is_dir(i) {
                return Err(Errno::EISDIR);
            }
            let (d, n) = t.parent(path)?;
            t.set(d, n, None);
        }
        Op::Rmdir { path } => {
            if !t.dir(named(t, path)?)?.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
            let (d, n) = t.parent(path)?;
            t.set(d, n, None);
        }
        Op::Mkdir { path, mode } => return make(t, path, Body::Dir(BTreeMap::new()), *mode),
        Op::Symlink { path, text } => return make(t, path, Body::Symlink(text.clone()), 0o777),
        Op::Link { from, to } => {
            let i = named(t, from)?;
            if t.is_dir(i) {
                return Err(Errno::EPERM);
            }
            let (d, n) = t.parent(to)?;
            if t.dir(d)?.contains_key(n) {
                return Err(Errno::EEXIST);
            }
            t.set(d, n, Some(i));
        }
        Op::Chmod { path, mode } => {
            let i = named(t, path)?;
            t.node_mut(i).meta.mode = *mode;
        }
        Op::Chown { path, uid } => {
            let i = named(t, path)?;
            t.node_mut(i).meta.uid = *uid;
        }
        Op::SetXattr { path, name, value } => {
            let i = named(t, path)?;
            t.node_mut(i)
                .meta
                .xattrs
                .insert(name.clone(), value.clone());
        }
        Op::Utimens { path, mtime } => {
            let i = named(t, path)?;
            t.node_mut(i).meta.mtime = *mtime;
        }
        Op::Nop | Op::Close { .. } | Op::Read { .. } | Op::Write { .. } | Op::PWrite { .. } => {}
    }
    Ok(Done {
        value: 0,
        ino: None,
    })
}

const NAMES: &[&str] = &[
    "a", "b", "c", "d", "e", "d/a", "d/b", "d/e", "e/a", "e/d", "d/e/a", "e/d/b",
];

/// A random call. Slots 0 and 1 are shared by all processes (position and append), 2 and 3 are their
/// own.
pub fn random(r: &mut Rng) -> Op {
    let path = r.pick(NAMES).to_owned();
    let to = r.pick(NAMES).to_owned();
    let mode = r.pick(&[&0o600, &0o644, &0o755]).to_owned();
    let own = 2 + r.below(2);
    let slot = if r.one_in(3) { r.below(2) } else { own };
    let fill = b'a' + r.below(26) as u8;
    let data = vec![fill; r.below(12)];
    match r.below(25) {
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
        _ => Op::Close { slot: own },
    }
}
