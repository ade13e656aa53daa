//! From the records of one thread to changes: which call it was, and what it was done to.
use crate::raw::{Raw, bits, is_name, nr};
use crate::{Op, Range};
use alloc::vec::Vec;
use mirror_core::Leg;

/// A change on one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which leg.
    pub leg: Leg,
    /// What was done.
    pub op: Op,
    /// The object, or its old name.
    pub rel: Vec<u8>,
    /// The new one.
    pub to: Option<Vec<u8>>,
    /// The bytes.
    pub range: Option<Range>,
    /// More than one name leads to the object, or none: `rel` is one of them, or was.
    pub loose: bool,
    /// Other names that may have been meant: of a rename it is known which directories were touched, and not
    /// which of them is whose.
    pub also: Vec<Vec<u8>>,
    /// Only the lower end of the path is known.
    pub cut: bool,
}

/// Calls of x86_64, as far as they are told apart here.
mod call {
    pub const FTRUNCATE: i32 = 77;
    pub const TRUNCATE: i32 = 76;
    pub const FALLOCATE: i32 = 285;
    pub const IOCTL: i32 = 16;
    pub const BIND: i32 = 49;
}

/// The change of a call on a descriptor.
pub fn of_descriptor(r: &Raw) -> Option<Change> {
    let range = |at, len| Some(Range { at, len });
    let (op, range) = match r.nr {
        1 | 18 | 20 | 40 | 275 | 296 | 326 | 328 => {
            let len = u64::try_from(r.result).ok().filter(|n| *n > 0)?;
            (Op::Write, range(r.offset, len))
        }
        call::FTRUNCATE => (Op::Resize, range(r.args[1], 0)),
        call::FALLOCATE => (Op::Allocate, range(r.args[2], r.args[3])),
        91 => (Op::Mode, None),
        93 => (Op::Owner, None),
        190 | 199 => (Op::Xattr, None),
        2 | 85 | 257 | 304 | 437 if r.flags & bits::CREATED != 0 => (Op::Create, None),
        2 | 85 | 257 | 304 | 437 => (Op::Resize, range(0, 0)),
        call::IOCTL => match r.args[1] as u32 {
            0x4008_6602 | 0x401c_5820 | 0x4008_7602 | 0x4008_6604 => (Op::Flags, None),
            // RESVSP and its like: where they begin and end stands in the program's memory.
            0x4030_5828..=0x4030_582b | 0x4030_5839 => (Op::Allocate, None),
            _ => (Op::Clone, None),
        },
        _ => return None,
    };
    // A file without a name (O_TMPFILE) is made when it gets one.
    if op == Op::Create && r.links == 0 {
        return None;
    }
    Some(Change {
        leg: r.leg,
        op,
        rel: r.rel.clone(),
        to: None,
        range,
        loose: r.links != 1 && !r.is_dir(),
        also: Vec::new(),
        cut: r.flags & bits::CUT != 0,
    })
}

/// The change of a call that takes paths: `touched` is what happened in the meantime, on either leg.
pub fn of_names(r: &Raw, touched: &[Raw]) -> Vec<Change> {
    let mut changes: Vec<Change> = Leg::BOTH
        .into_iter()
        .filter_map(|leg| {
            let of_leg: Vec<&Raw> = touched.iter().filter(|t| t.leg == leg).collect();
            let mut change = (!of_leg.is_empty()).then(|| on_leg(r, leg, &of_leg))??;
            change.cut = of_leg.iter().any(|t| t.flags & bits::CUT != 0);
            Some(change)
        })
        .collect();
    // A rename from one leg into the other is told twice, each by what became of that leg.
    if let [a, b] = changes.as_mut_slice() {
        (a.to, b.to) = (None, None);
    }
    changes
}

fn on_leg(r: &Raw, leg: Leg, touched: &[&Raw]) -> Option<Change> {
    let first = last_name(&r.names[0]);
    let second = last_name(&r.names[1]);
    let (op, name) = match r.nr {
        82 | 264 => (Op::Rename, first),
        316 if r.args[4] & 2 != 0 => (Op::Exchange, first),
        316 => (Op::Rename, first),
        83 | 258 => (Op::Mkdir, first),
        133 | 259 => (Op::Mknod, first),
        call::BIND => (Op::Mknod, first),
        88 | 266 => (Op::Symlink, first),
        86 | 265 => (Op::Link, second),
        84 => (Op::Rmdir, first),
        263 if r.args[2] & 0x200 != 0 => (Op::Rmdir, first),
        87 | 263 => (Op::Unlink, first),
        _ => return attributes(r, leg, touched),
    };
    let dirs: Vec<&Raw> = touched.iter().copied().filter(|t| t.is_dir()).collect();
    let said = !matches!(op, Op::Rename | Op::Exchange) || is_name(second);
    if !is_name(name) || !said {
        // The program has overwritten its path meanwhile.
        let dir = dirs.iter().min_by_key(|d| d.rel.len())?;
        return Some(named(leg, Op::Change, dir.rel.clone(), None));
    }
    match op {
        Op::Rename | Op::Exchange => {
            let mut change = moved(op, leg, touched, &dirs, first, second)?;
            if r.flags & bits::OUTSIDE != 0 {
                change.to = None;
            }
            change.also = others(&change, &dirs, [first, second]);
            Some(change)
        }
        _ => {
            // Of a directory that is removed, its parent: the shorter path.
            let dir = dirs.iter().min_by_key(|d| d.rel.len())?;
            Some(named(leg, op, joined(&dir.rel, name), None))
        }
    }
}

/// The names that a rename may have been about besides.
fn others(change: &Change, dirs: &[&Raw], names: [&[u8]; 2]) -> Vec<Vec<u8>> {
    let all = dirs.iter().flat_map(|d| names.map(|n| joined(&d.rel, n)));
    let mut all: Vec<Vec<u8>> = all
        .filter(|rel| *rel != change.rel && Some(rel) != change.to.as_ref())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A rename: the directories whose times changed are its two, or one; what was moved still had its old name.
fn moved(
    op: Op,
    leg: Leg,
    touched: &[&Raw],
    dirs: &[&Raw],
    first: &[u8],
    second: &[u8],
) -> Option<Change> {
    let old = touched.iter().find(|t| {
        let (dir, name) = split(&t.rel);
        name == first && dirs.iter().any(|d| d.inode != t.inode && d.rel == dir)
    });
    let parents: Vec<&&Raw> = dirs
        .iter()
        .filter(|d| old.is_none_or(|o| o.inode != d.inode))
        .filter(|d| {
            // What the new name stood for before has lost it: no directory of the two. (Nothing but a directory
            // takes a directory's place, unless the two are exchanged.)
            let (dir, name) = split(&d.rel);
            !(name == second
                && dirs.iter().any(|p| p.rel == dir && p.inode != d.inode)
                && (dirs.len() > 2 || op == Op::Exchange))
        })
        .collect();
    match old {
        Some(old) => {
            let (dir, _) = split(&old.rel);
            let other = parents.iter().find(|p| p.rel != dir);
            let to = other.map_or(dir, |p| &p.rel);
            Some(named(leg, op, old.rel.clone(), Some(joined(to, second))))
        }
        // Some file systems (XFS) set no times of files that are exchanged within a directory.
        None if op == Op::Exchange && parents.len() == 1 => {
            let dir = parents.first()?;
            let (one, other) = (joined(&dir.rel, first), joined(&dir.rel, second));
            Some(named(leg, op, one, Some(other)))
        }
        // It came from elsewhere.
        None => {
            let dir = parents.first()?;
            Some(named(leg, op, joined(&dir.rel, second), None))
        }
    }
}

fn attributes(r: &Raw, leg: Leg, touched: &[&Raw]) -> Option<Change> {
    // A symlink on the way may have been touched by being read.
    let link = |t: &&&Raw| t.mode & 0o170_000 == 0o120_000;
    let t = touched.iter().find(|t| !link(t)).or(touched.first())?;
    let (op, range) = match r.nr {
        call::TRUNCATE => (
            Op::Resize,
            Some(Range {
                at: r.args[1],
                len: 0,
            }),
        ),
        90 | 268 | 452 => (Op::Mode, None),
        92 | 94 | 260 => (Op::Owner, None),
        132 | 235 | 261 | 280 => (Op::Times, None),
        188 | 189 | 197 | 198 | 463 | 466 => (Op::Xattr, None),
        469 => (Op::Flags, None),
        _ => (Op::Change, None),
    };
    Some(Change {
        leg,
        op,
        rel: t.rel.clone(),
        to: None,
        range,
        loose: t.links != 1 && !t.is_dir(),
        also: Vec::new(),
        cut: false,
    })
}

/// The change of a touch that no call's end explains.
pub fn of_touch(t: &Raw) -> Change {
    let op = match t.nr {
        nr::FAULT => Op::Map,
        // The kernel stores for a program into its memory: what read, recv or process_vm_readv have given.
        0 | 17 | 19 | 45 | 47 | 295 | 310 | 327 if !t.is_dir() => Op::Map,
        call::IOCTL => Op::Attributes,
        // Bytes come to a file by a ring or a thread of the kernel; a directory changes by names.
        _ if t.is_dir() => Op::Change,
        nr::KERNEL | nr::RING | 209 | 426 => Op::Write,
        _ => Op::Change,
    };
    Change {
        leg: t.leg,
        op,
        rel: t.rel.clone(),
        to: None,
        range: None,
        loose: t.links != 1 && !t.is_dir(),
        also: Vec::new(),
        cut: t.flags & bits::CUT != 0,
    }
}

fn named(leg: Leg, op: Op, rel: Vec<u8>, to: Option<Vec<u8>>) -> Change {
    Change {
        leg,
        op,
        rel,
        to,
        range: None,
        loose: false,
        also: Vec::new(),
        cut: false,
    }
}

fn last_name(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|c| *c != b'/').map_or(0, |i| i + 1);
    split(path.get(..end).unwrap_or_default()).1
}

fn split(rel: &[u8]) -> (&[u8], &[u8]) {
    match rel.iter().rposition(|c| *c == b'/') {
        Some(i) => (&rel[..i], &rel[i + 1..]),
        None => (b"", rel),
    }
}

fn joined(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut v = dir.to_vec();
    if !v.is_empty() && !name.is_empty() {
        v.push(b'/');
    }
    v.extend_from_slice(name);
    v
}
