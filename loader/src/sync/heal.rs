//! Taking the pair's locks, and ending what a process left that died holding them.
use super::equal::Work;
use crate::fail::{Fail, Kind, Res};
use crate::pair::control::Leg;
use crate::pair::domain::Attached;
use crate::pair::lock::{Alone, Locks};
use crate::text;
use crate::tree::flags;
use crate::tree::object::Meta;
use crate::tree::probe;
use indicatif::ProgressBar;
use mirror_core::marks::Value;
use mirror_core::path::PATH_MAX;
use mirror_core::repair::{Act, Seen, decide};
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::word::StateWord;
use mirror_core::{BothLocked, LockMiss, alone};
use mirror_pair::pending;
use mirror_sys::{Object, end_marks, open_marked};
use rustix::fs::{AtFlags, RenameFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Runs `act` with the whole pair locked exclusively, and nothing half done: what dead
/// processes left is ended first. Waits for living ones to end their change.
pub fn locked<T>(p: &Attached, act: impl FnOnce(&BothLocked) -> T) -> Res<T> {
    let mut locks = p.locks.lock();
    let mut act = Some(act);
    let begun = Instant::now();
    let root_wait = u64::from(p.pair.line.root_wait);
    loop {
        if root_wait != 0
            && p.runtime.view().is_guarded()
            && begun.elapsed() >= Duration::from_secs(root_wait)
        {
            return Err(Fail::new(
                Kind::Busy,
                format!(
                    "{}: another user has held the pair's locks for {root_wait} s. mirror ps {} shows who",
                    text::path(&p.pair.line.virt),
                    text::shell(&p.pair.line.virt)
                ),
            ));
        }
        let mut port = port(p, &mut locks);
        let done = alone(&mut port, |_, held| act.take().map(|act| act(held)));
        match done {
            Ok(Some(r)) => return Ok(r),
            Ok(None) => return Err(Fail::failed("a change was asked for twice")),
            Err(LockMiss::Busy(_)) => std::thread::sleep(Duration::from_millis(1)),
            Err(LockMiss::Failed(e)) => {
                p.runtime.sound()?;
                let e = io::Error::from_raw_os_error(e.0);
                return Err(Fail::io("the pair's locks", e));
            }
        }
    }
}

/// Ends what crashed processes left, if there is anything and nobody is in the way. Returns whether there
/// was.
pub fn recover(p: &Attached) -> bool {
    let mut locks = p.locks.lock();
    locks.any_dead(p.runtime.view()) && alone(&mut port(p, &mut locks), |_, _| ()).is_ok()
}

fn port<'a>(
    p: &'a Attached,
    locks: &'a mut Locks,
) -> Alone<'a, impl FnMut(usize, &BothLocked) -> bool> {
    Alone {
        locks,
        runtime: &p.runtime,
        heal: |object, held: &BothLocked| heal(p, object, held),
    }
}

/// Ends the change in an object's record, or records its objects as pending.
fn heal(p: &Attached, object: usize, held: &BothLocked) -> bool {
    let (mut b1, mut b2) = (Box::new([0; PATH_MAX]), Box::new([0; PATH_MAX]));
    let rt = p.runtime.view();
    let intent = rt
        .intent(object, &mut b1, &mut b2)
        .map(|(i, a, b)| (i, a.to_vec(), b.to_vec()));
    let failed = match &intent {
        // Another user could have written it: a look at both trees, not his word, decides what is done
        // with this user's rights.
        Some((_, one, two)) if rt.is_guarded() => [one, two]
            .into_iter()
            .filter(|p| sane(p))
            .cloned()
            .collect(),
        None if rt.sound().is_err() => return false,
        Some((i, one, two)) => repair(p, i, one, two, held),
        // Unknown bytes: only a full comparison helps.
        None => vec![b".".to_vec()],
    };
    failed.is_empty() || append_pending(p, &failed, held)
}

/// Records paths as known to differ, on both legs.
pub fn append_pending(p: &Attached, paths: &[Vec<u8>], held: &BothLocked) -> bool {
    let roots = p.pair.legs.each_ref().map(|l| l.root.fd().as_raw_fd());
    let mut all = true;
    for path in paths {
        let set = || p.set_bits(StateWord::PENDING, held);
        all &= pending::mark(roots, path, mirror_sys::write, set);
    }
    all
}

/// A path of an intent, if it is a plain relative path outside the control folder.
fn sane(path: &[u8]) -> bool {
    !path.is_empty()
        && !path.contains(&0)
        && path
            .split(|&c| c == b'/')
            .all(|c| !c.is_empty() && c != b"." && c != b"..")
        && path
            .split(|&c| c == b'/')
            .next()
            .is_some_and(|c| c != b".mirror")
}

/// Makes the objects of an intent equal; returns the paths for which that failed.
fn repair(p: &Attached, i: &Intent, one: &[u8], two: &[u8], held: &BothLocked) -> Vec<Vec<u8>> {
    let paths: Vec<&[u8]> = [one, two].into_iter().filter(|p| !p.is_empty()).collect();
    if paths.is_empty() || paths.iter().any(|p| !sane(p)) {
        return vec![b".".to_vec()];
    }
    if i.kind == IntentKind::Deep {
        // The object stands somewhere below: only a comparison finds it.
        return paths.iter().map(|p| p.to_vec()).collect();
    }
    let act = seen(p, one).and_then(|one| Ok(decide(i, [one, seen(p, two)?])));
    let act = act.unwrap_or(Act::Unknown);
    let s = match act {
        // A repair has a direction: what it has half made is no source.
        _ if i.kind == IntentKind::Mend => usize::from(i.first & 1),
        // While the first copy is unfinished, one leg is right whatever was done on the other.
        _ if p.pair.incomplete().is_some() => p.source(),
        Act::Rename(leg) | Act::Exchange(leg) | Act::Link(leg) | Act::Unlink(leg) => 1 - (leg & 1),
        Act::Equal { from, .. } | Act::Marks { from } => from & 1,
        Act::Nothing | Act::Unknown => p.source(),
    };
    let fidelity = probe::fidelity([&p.pair.legs[0].root, &p.pair.legs[1].root]);
    let mut w = Work::new(
        &p.pair.legs[s],
        &p.pair.legs[1 - s],
        fidelity,
        true,
        ProgressBar::hidden(),
    );
    if let Act::Rename(leg) | Act::Exchange(leg) | Act::Link(leg) | Act::Unlink(leg) = act {
        // The same call keeps hard links and whole trees; what it does not settle, the copy does.
        let _ = replay(&p.pair.legs[leg & 1], act, (one, two), held);
    }
    let mut failed = Vec::new();
    if matches!(act, Act::Marks { .. }) && marks(&w, i, one, held).is_err() {
        failed.push(one.to_vec());
    }
    for path in &paths {
        // A directory that was made may lack all that is in it.
        let unseen =
            i.kind == IntentKind::Mend && w.source.root.names(path).is_ok_and(|n| !n.is_empty());
        if w.make_tree_equal(path, held).is_err() || unseen {
            failed.push(path.to_vec());
        }
    }
    // Only when all names are in place are the groups complete.
    for path in &paths {
        if !failed.iter().any(|f: &Vec<u8>| f == path)
            && !matches!(group_known(&w, i, act, path), Ok(true))
        {
            failed.push(path.to_vec());
        }
    }
    failed
}

fn at(leg: &Leg, rel: &[u8]) -> io::Result<Option<Meta>> {
    match leg.root.parent(rel) {
        Ok((dir, name)) => Meta::read(dir.as_fd(), &name),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a path is on each leg; an empty one is nothing.
fn seen(p: &Attached, rel: &[u8]) -> io::Result<[Option<Seen>; 2]> {
    let mut both = [None; 2];
    if !rel.is_empty() {
        for (b, leg) in both.iter_mut().zip(&p.pair.legs) {
            *b = at(leg, rel)?.map(|m| Seen {
                inode: m.st.st_ino,
                size: m.size(),
            });
        }
    }
    Ok(both)
}

/// Ends a change of names that one leg has, on the other.
fn replay(late: &Leg, act: Act, (one, two): (&[u8], &[u8]), _: &BothLocked) -> io::Result<()> {
    let (from_dir, from_name) = late.root.parent(one)?;
    let (to_dir, to_name) = late.root.parent(two)?;
    let (from, to) = ((&from_dir, &from_name), (&to_dir, &to_name));
    let rename = |flags| rustix::fs::renameat_with(from.0, from.1, to.0, to.1, flags);
    match act {
        Act::Rename(_) => rename(RenameFlags::empty())?,
        Act::Exchange(_) => rename(RenameFlags::EXCHANGE)?,
        Act::Link(_) => rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?,
        Act::Unlink(_) => rustix::fs::unlinkat(to.0, to.1, AtFlags::empty())?,
        Act::Nothing | Act::Equal { .. } | Act::Marks { .. } | Act::Unknown => {}
    }
    Ok(())
}

/// Changes the copy's flags and the like as the source's have been changed since the intent was written.
fn marks(w: &Work<'_>, i: &Intent, rel: &[u8], _: &BothLocked) -> io::Result<()> {
    let before = Value::announced(i).ok_or(io::ErrorKind::InvalidData)?;
    let (first, second) = (
        flags::open(&w.source.root, rel)?,
        flags::open(&w.copy.root, rel)?,
    );
    let end = || {
        let first = Object::of(first.as_raw_fd())?;
        let second = Object::of(second.as_raw_fd())?;
        end_marks(before, &first, &second, open_marked)
    };
    match end() {
        Ok(_) => Ok(()),
        Err(e) => Err(io::Error::from_raw_os_error(e.0)),
    }
}

/// Whether the copy's object has as many names as the source's: a hard link whose other name the
/// intent does not tell is left to a resync.
fn group_known(w: &Work<'_>, i: &Intent, act: Act, rel: &[u8]) -> io::Result<bool> {
    let names = matches!(
        i.kind,
        IntentKind::Link | IntentKind::Rename | IntentKind::Unlink
    );
    // What the change cannot have left may be anything.
    if !(names || act == Act::Unknown) || !w.fidelity.links {
        return Ok(true);
    }
    match (at(w.source, rel)?, at(w.copy, rel)?) {
        (Some(s), Some(d)) if !s.is_dir() => Ok(s.st.st_nlink == d.st.st_nlink),
        _ => Ok(true),
    }
}

#[cfg(test)]
#[path = "heal_tests.rs"]
mod tests;
