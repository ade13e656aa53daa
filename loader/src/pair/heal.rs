//! Taking the pair's locks, and ending what a process left that died holding them.
use super::domain::Attached;
use crate::fail::Res;
use crate::sync::equal::Work;
use crate::text;
use crate::tree::object::Meta;
use crate::tree::probe;
use indicatif::ProgressBar;
use mirror_core::BothLocked;
use mirror_core::path::PATH_MAX;
use mirror_core::record::PENDING_LOG;
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::word::StateWord;
use rustix::fs::RenameFlags;
use std::io;
use std::os::fd::AsFd;

/// Runs `act` with both locks held. If the last holder died in mid-change, that change is ended first.
pub fn locked<T>(p: &Attached, act: impl FnOnce(&BothLocked) -> T) -> Res<T> {
    let mut locks = p.locks.lock();
    let held = locks.wait()?;
    if p.runtime.view().stripes[0].announced() {
        heal(p, &held);
    }
    let r = act(&held);
    locks.release(held);
    Ok(r)
}

/// Ends what a dead process left, if there is anything and nobody holds the locks. Returns whether
/// there was.
pub fn heal_orphan(p: &Attached) -> bool {
    if !p.runtime.view().stripes[0].announced() {
        return false;
    }
    let mut locks = p.locks.lock();
    let Some(held) = locks.attempt() else {
        return false;
    };
    let found = p.runtime.view().stripes[0].announced();
    if found {
        heal(p, &held);
    }
    locks.release(held);
    found
}

fn heal(p: &Attached, held: &BothLocked) {
    let stripe = &p.runtime.view().stripes[0];
    let (mut b1, mut b2) = (Box::new([0; PATH_MAX]), Box::new([0; PATH_MAX]));
    let intent = stripe
        .intent(&mut b1, &mut b2)
        .map(|(i, a, b)| (i, a.to_vec(), b.to_vec()));
    let failed = match &intent {
        Some((i, one, two)) => repair(p, i, one, two, held),
        // Unknown bytes: only a full comparison helps.
        None => vec![b".".to_vec()],
    };
    if !failed.is_empty() && !append_pending(p, &failed, held) {
        // It could not be recorded: it stays announced, and the next holder tries again.
        return;
    }
    stripe.retract();
}

/// Records paths as known to differ, on both legs.
pub fn append_pending(p: &Attached, paths: &[Vec<u8>], held: &BothLocked) -> bool {
    let mut lines = Vec::new();
    for path in paths {
        lines.extend_from_slice(&text::escape(path));
        lines.push(b'\n');
    }
    p.set_bits(StateWord::PENDING, held);
    let mut any = false;
    for l in &p.pair.legs {
        any |= l.root.append(PENDING_LOG, &lines).is_ok();
    }
    any
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
            .is_some_and(|c| !crate::tree::beneath::outside(c))
}

/// Makes the objects of an intent equal; returns the paths for which that failed.
fn repair(p: &Attached, i: &Intent, one: &[u8], two: &[u8], held: &BothLocked) -> Vec<Vec<u8>> {
    let paths: Vec<&[u8]> = [one, two].into_iter().filter(|p| !p.is_empty()).collect();
    if paths.is_empty() || paths.iter().any(|p| !sane(p)) {
        return vec![b".".to_vec()];
    }
    let s = p.source();
    let fidelity = probe::fidelity([&p.pair.legs[0].root, &p.pair.legs[1].root]);
    let mut w = Work::new(
        &p.pair.legs[s],
        &p.pair.legs[1 - s],
        fidelity,
        true,
        ProgressBar::hidden(),
    );
    if matches!(i.kind, IntentKind::Rename | IntentKind::Exchange) {
        // The same rename keeps hard links and whole trees; what it does not settle, the copy does.
        let _ = replay_rename(&w, i, one, two);
    }
    let mut failed = Vec::new();
    for path in &paths {
        if w.make_tree_equal(path, held).is_err() {
            failed.push(path.to_vec());
        }
    }
    // Only when all names are in place are the groups complete.
    for path in &paths {
        if !failed.iter().any(|f: &Vec<u8>| f == path)
            && !matches!(group_known(&w, i, path), Ok(true))
        {
            failed.push(path.to_vec());
        }
    }
    failed
}

fn at(leg: &crate::pair::control::Leg, rel: &[u8]) -> io::Result<Option<Meta>> {
    match leg.root.parent(rel) {
        Ok((dir, name)) => Meta::read(dir.as_fd(), &name),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Brings the copy's names to where the source's are, when the object is recognised by its inode.
fn replay_rename(w: &Work<'_>, i: &Intent, one: &[u8], two: &[u8]) -> io::Result<()> {
    if two.is_empty() {
        return Ok(());
    }
    let (si, di) = (
        usize::from(w.source.record.leg),
        usize::from(w.copy.record.leg),
    );
    let (s_ino, d_ino) = (i.inode[si], i.inode[di]);
    if s_ino == 0 || d_ino == 0 {
        return Ok(());
    }
    let is = |leg, rel: &[u8], ino: u64| -> io::Result<bool> {
        Ok(at(leg, rel)?.is_some_and(|m| m.st.st_ino == ino))
    };
    let source_moved = !is(w.source, one, s_ino)? && is(w.source, two, s_ino)?;
    let copy_moved = !is(w.copy, one, d_ino)? && is(w.copy, two, d_ino)?;
    if source_moved == copy_moved {
        return Ok(());
    }
    let (from, to) = if source_moved { (one, two) } else { (two, one) };
    let (from_dir, from_name) = w.copy.root.parent(from)?;
    let (to_dir, to_name) = w.copy.root.parent(to)?;
    let flags = if i.kind == IntentKind::Exchange {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::empty()
    };
    Ok(rustix::fs::renameat_with(
        &from_dir, &from_name, &to_dir, &to_name, flags,
    )?)
}

/// Whether the copy's object has as many names as the source's: a hard link whose other name the
/// intent does not tell is left to a resync.
fn group_known(w: &Work<'_>, i: &Intent, rel: &[u8]) -> io::Result<bool> {
    if !matches!(
        i.kind,
        IntentKind::Link | IntentKind::Rename | IntentKind::Unlink
    ) || !w.fidelity.links
    {
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
