//! Times that killed writers have owed: between a write and the end of its descriptor the second leg's mtime lags
//! behind, and who is killed then ends nothing.
//!
//! Rules: a post says who may owe a time to the last file that was changed by a descriptor under its object; which
//! file, its record says. A pid is a hint and no more: a time that is set for a living writer is right as well, and
//! owed again with its next write; one that is left is what `mirror verify` tells. Equal times must not hide unequal
//! bytes from who compares by them: none is set while anything is known to differ, or a file is mapped for writing.
use crate::both::{Both, Open};
use crate::carry_out::is_name;
use libc as c;
use mirror_core::path::{PATH_MAX, PathText};
use mirror_core::runtime::Intent;
use mirror_core::{BothLocked, Errno, OBJECTS, PerLeg, View, WHOLE};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Sys};

/// Whether a time may be owed to any file, and may be set now.
pub fn any(rt: View<'_>) -> bool {
    may_settle(rt) && (WHOLE..OBJECTS).any(|object| owed_by(rt, object).0 != 0)
}

/// The same of a process that is not there any more.
#[inline(never)]
pub fn by_the_dead(rt: View<'_>) -> bool {
    let dead = |object| {
        let (by, _) = owed_by(rt, object);
        by != 0 && !is_there(by)
    };
    may_settle(rt) && (WHOLE..OBJECTS).any(dead)
}

/// Memory that is not trusted is not asked.
fn owed_by(rt: View<'_>, object: usize) -> (u32, PerLeg<u64>) {
    rt.own()
        .map_or((0, PerLeg::default()), |f| f.owed_by(object))
}

fn may_settle(rt: View<'_>) -> bool {
    rt.word().in_order() && !rt.any_mapped()
}

/// Where /proc does not say it, nobody is.
fn is_there(pid: u32) -> bool {
    let mut name = PathText::<24>::new();
    let _ = name.set(b"/proc/");
    sys::append_number(pid, &mut name);
    let there = sys::fstatat(c::AT_FDCWD, &name, c::AT_SYMLINK_NOFOLLOW);
    !matches!(there, Err(Errno::ENOENT))
}

/// Gives each file that is owed one the mtime that it has on the leg that was changed first.
#[inline(never)]
pub fn settle(roots: PerLeg<i32>, rt: View<'_>, open: Open<'_>, held: &BothLocked) {
    let (mut b1, mut b2) = ([0u8; PATH_MAX], [0u8; PATH_MAX]);
    if !may_settle(rt) {
        return;
    }
    for object in WHOLE..OBJECTS {
        let (by, inode) = owed_by(rt, object);
        if by == 0 {
            continue;
        }
        if let Some((mut i, rel, _)) = rt.intent(object, &mut b1, &mut b2)
            && is_name(rel)
        {
            i.inode = inode;
            // A time that this user may not set stays: verify says so.
            let _ = equal_times(roots, &i, rel, open, held);
        }
        if let Some(f) = rt.own() {
            f.settled(object, by, None);
        }
    }
}

fn equal_times(
    roots: PerLeg<i32>,
    i: &Intent,
    rel: &[u8],
    open: Open<'_>,
    _: &BothLocked,
) -> Sys<()> {
    let b = Both::open(roots, rel, open)?;
    let (from, to) = (i.first, i.first.other());
    let (Some(f), Some(t)) = (b.stat(from), b.stat(to)) else {
        return Ok(());
    };
    // Another file has the name by now, or more than the time differs.
    // Not every record knows the partner's inode. Where it does not, a file that has another name may be foreign.
    let partner = i.inode[to] == t.ino() || i.inode[to] == 0 && t.nlink() == 1;
    let the_file = f.ino() == i.inode[from] && partner;
    let files = f.kind() == c::S_IFREG && t.kind() == c::S_IFREG && f.size() == t.size();
    if !the_file || !files || f.mtime() == t.mtime() {
        return Ok(());
    }
    let flags = c::O_PATH | c::O_NOFOLLOW | c::O_CLOEXEC;
    let copy = Object::take(sys::openat(b.at(to), &b.name, flags, 0)?)?;
    if (copy.stat().dev(), copy.stat().ino()) != (t.dev(), t.ino()) {
        return Err(Errno::ESTALE);
    }
    copy.set_times(OMIT, f.mtime()).map(drop)
}
