//! What each call does to one tree.
use crate::op::{How, Op, Range};
use crate::tree::{Body, Ino, Meta, Tree};
use mirror_core::Errno;
use std::collections::BTreeMap;

/// Where a call acts: the directories of its names, as they were resolved, and the inode behind its
/// descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct At {
    /// Directories, by name.
    pub dirs: [Option<Ino>; 2],
    /// Behind the descriptor.
    pub object: Option<Ino>,
}

impl At {
    /// Resolves a call's names in one go.
    pub fn find(t: &Tree, op: &Op, object: Option<Ino>) -> Result<At, Errno> {
        let mut at = At {
            object,
            ..At::default()
        };
        for (d, p) in at.dirs.iter_mut().zip(op.paths()) {
            *d = Some(t.parent(p)?.0);
        }
        Ok(at)
    }
    /// Directory and last component of the n-th name.
    pub fn name<'p>(&self, op: &'p Op, n: usize) -> Result<(Ino, &'p str), Errno> {
        let paths = op.paths();
        match (self.dirs.get(n).copied().flatten(), paths.get(n)) {
            (Some(d), Some(p)) => Ok((d, last(p))),
            _ => Err(Errno::ENOENT),
        }
    }
}

/// The last component of a path.
pub fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, n)| n)
}

/// What a call did.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Its answer.
    pub value: u64,
    /// The inode it opened or made.
    pub ino: Option<Ino>,
}

/// What must be locked for a change of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// A directory's entries or attributes.
    Dir(Ino),
    /// A file's data or attributes.
    File(Ino),
    /// A directory moves, or a repair: everybody else is out.
    Alone,
}

/// What a call needs to have locked on a tree.
pub fn needs(t: &Tree, op: &Op, at: &At) -> Vec<Need> {
    let mut out = Vec::new();
    let found = |n: usize| at.name(op, n).and_then(|(d, name)| t.entry(d, name)).ok();
    let kind = |i: Ino| {
        if t.is_dir(i) {
            Need::Dir(i)
        } else {
            Need::File(i)
        }
    };
    let dirs = at.dirs.iter().flatten().map(|&d| Need::Dir(d));
    match op {
        Op::Rename { how, .. } => {
            let moved = [found(0), found(1).filter(|_| *how == How::Exchange)];
            if moved.iter().flatten().any(|&i| t.is_dir(i)) {
                out.push(Need::Alone);
            }
            out.extend(dirs);
        }
        Op::Rmdir { .. } => {
            out.extend(dirs);
            out.extend(found(0).filter(|&i| t.is_dir(i)).map(Need::Dir));
        }
        Op::Open { trunc, .. } => {
            out.extend(dirs);
            out.extend(found(0).filter(|&i| *trunc && !t.is_dir(i)).map(Need::File));
        }
        Op::Truncate { .. } => {
            out.extend(dirs);
            out.extend(found(0).filter(|&i| !t.is_dir(i)).map(Need::File));
        }
        _ if op.attributes() => match found(0) {
            Some(i) if t.is_dir(i) => out.push(Need::Dir(i)),
            i => {
                out.extend(dirs);
                out.extend(i.map(kind));
            }
        },
        _ => {
            out.extend(dirs);
            out.extend(at.object.map(Need::File));
        }
    }
    out
}

/// Whether a directory moves.
pub fn moves_directory(t: &Tree, op: &Op, at: &At) -> bool {
    needs(t, op, at).contains(&Need::Alone)
}

/// Whether `t` as it stands loses something by the call, so that it cannot be undone.
pub fn destroys(t: &Tree, op: &Op, at: &At) -> bool {
    let found = |n: usize| at.name(op, n).and_then(|(d, name)| t.entry(d, name));
    match op {
        Op::Rename {
            how: How::Plain, ..
        } => {
            matches!((found(0), found(1)), (Ok(a), Ok(b)) if a != b)
        }
        Op::Open { trunc: true, .. } => found(0)
            .and_then(|i| t.bytes(i))
            .is_ok_and(|b| !b.is_empty()),
        Op::Truncate { len, .. } => found(0)
            .and_then(|i| t.bytes(i))
            .is_ok_and(|b| *len < b.len()),
        Op::FTruncate { len, .. } => at
            .object
            .and_then(|i| t.bytes(i).ok())
            .is_some_and(|b| *len < b.len()),
        _ => op.removes(),
    }
}

fn range(b: &mut Vec<u8>, how: Range, at: usize, len: usize) -> Result<(), Errno> {
    let end = at + len;
    match how {
        Range::Reserve => b.resize(b.len().max(end), 0),
        Range::Clear => {
            let last = end.min(b.len());
            b[at.min(last)..last].fill(0);
        }
        // At the end of the file that would be a truncation.
        Range::Collapse if end >= b.len() => return Err(Errno::EINVAL),
        Range::Collapse => drop(b.drain(at..end)),
        Range::Insert if at >= b.len() => return Err(Errno::EINVAL),
        Range::Insert => drop(b.splice(at..at, vec![0; len])),
    }
    Ok(())
}

fn make(t: &mut Tree, (d, n): (Ino, &str), body: Body, mode: u32) -> Result<Done, Errno> {
    t.linked(d)?;
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

fn rename(t: &mut Tree, op: &Op, at: &At, how: How) -> Result<(), Errno> {
    let ((pf, nf), (pt, nt)) = (at.name(op, 0)?, at.name(op, 1)?);
    let s = t.entry(pf, nf)?;
    t.linked(pt)?;
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

fn owner(t: &mut Tree, i: Ino, uid: u32) {
    let dir = t.is_dir(i);
    let m = &mut t.node_mut(i).meta;
    m.uid = uid;
    if !dir {
        m.strip();
    }
}

/// Does the call on `t`.
// long: one arm for each kind of operation
pub fn effect(t: &mut Tree, op: &Op, at: &At) -> Result<Done, Errno> {
    let named = |t: &Tree| at.name(op, 0).and_then(|(d, n)| t.entry(d, n));
    let object = at.object.ok_or(Errno::EBADF);
    match op {
        Op::Open {
            slot,
            create,
            excl,
            trunc,
            mode,
            ..
        } => {
            let ino = match named(t) {
                Ok(_) if *create && *excl => return Err(Errno::EEXIST),
                Ok(i) => {
                    let b = t.bytes_mut(i)?;
                    if *trunc {
                        b.clear();
                        t.node_mut(i).meta.strip();
                    }
                    Some(i)
                }
                Err(Errno::ENOENT) if *create => {
                    make(t, at.name(op, 0)?, Body::File(Vec::new()), *mode)?.ino
                }
                Err(e) => return Err(e),
            };
            return Ok(Done {
                value: *slot as u64,
                ino,
            });
        }
        Op::Truncate { len, .. } => {
            let i = named(t)?;
            t.bytes_mut(i)?.resize(*len, 0);
            t.node_mut(i).meta.strip();
        }
        Op::FTruncate { len, .. } => {
            t.bytes_mut(object?)?.resize(*len, 0);
            t.node_mut(object?).meta.strip();
        }
        Op::Allocate { how, at, len, .. } => {
            range(t.bytes_mut(object?)?, *how, *at, *len)?;
            t.node_mut(object?).meta.strip();
        }
        Op::FChown { uid, .. } => owner(t, object?, *uid),
        Op::FSetXattr { name, value, .. } => {
            let x = &mut t.node_mut(object?).meta.xattrs;
            x.insert(name.clone(), value.clone());
        }
        Op::FUtimens { mtime, .. } => t.node_mut(object?).meta.mtime = *mtime,
        Op::FChmod { mode, .. } => t.node_mut(object?).meta.mode = *mode,
        Op::Rename { how, .. } => rename(t, op, at, *how)?,
        Op::Unlink { .. } => {
            if t.is_dir(named(t)?) {
                return Err(Errno::EISDIR);
            }
            let (d, n) = at.name(op, 0)?;
            t.set(d, n, None);
        }
        Op::Rmdir { .. } => {
            if !t.dir(named(t)?)?.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
            let (d, n) = at.name(op, 0)?;
            t.set(d, n, None);
        }
        Op::Mkdir { mode, .. } => {
            return make(t, at.name(op, 0)?, Body::Dir(BTreeMap::new()), *mode);
        }
        Op::Symlink { text, .. } => {
            return make(t, at.name(op, 0)?, Body::Symlink(text.clone()), 0o777);
        }
        Op::Link { .. } => {
            let i = named(t)?;
            if t.is_dir(i) {
                return Err(Errno::EPERM);
            }
            let (d, n) = at.name(op, 1)?;
            t.linked(d)?;
            if t.dir(d)?.contains_key(n) {
                return Err(Errno::EEXIST);
            }
            t.set(d, n, Some(i));
        }
        Op::Chmod { mode, .. } => {
            let i = named(t)?;
            t.node_mut(i).meta.mode = *mode;
        }
        Op::Chown { uid, .. } => {
            let i = named(t)?;
            owner(t, i, *uid);
        }
        Op::RemoveXattr { name, .. } => {
            let i = named(t)?;
            let gone = t.node_mut(i).meta.xattrs.remove(name);
            gone.ok_or(Errno::ENODATA)?;
        }
        Op::Mknod { mode, .. } => {
            return make(t, at.name(op, 0)?, Body::File(Vec::new()), *mode);
        }
        Op::SetXattr { name, value, .. } => {
            let i = named(t)?;
            let x = &mut t.node_mut(i).meta.xattrs;
            x.insert(name.clone(), value.clone());
        }
        Op::Utimens { mtime, .. } => {
            let i = named(t)?;
            t.node_mut(i).meta.mtime = *mtime;
        }
        Op::Nop | Op::Exit => {}
        Op::Close { .. } | Op::Read { .. } | Op::Fsync { .. } => {}
        Op::Write { .. } | Op::PWrite { .. } => {}
    }
    Ok(Done {
        value: 0,
        ino: None,
    })
}
