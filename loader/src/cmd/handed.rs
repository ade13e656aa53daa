//! The descriptors that `mirror run` is given: the shell that opened them is no mirrored program. What it
//! emptied or made (`mirror run -- CMD > V/file`) is emptied or made on the other leg too, before the command
//! starts, whether that writes or not.
use crate::output;
use crate::pair::domain::Attached;
use crate::pair::tab::Line;
use crate::sync::equal::Work;
use crate::sync::heal;
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::object::Meta;
use crate::tree::probe;
use indicatif::ProgressBar;
use mirror_core::{BothLocked, Leg};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Larger files are left to a resync: others wait meanwhile.
const REPAIR_MAX: i64 = 16 << 20;

/// What descriptor `n` is open on, as the kernel names it.
fn path_of(n: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{n}")).ok()
}

/// From now on nothing is said on a stderr that is a file of a leg: it would reach that leg alone.
pub fn keep_still(lines: &[Line]) {
    let regular = std::fs::metadata("/proc/self/fd/2").is_ok_and(|m| m.is_file());
    let Some(path) = path_of(2).filter(|_| regular) else {
        return;
    };
    let below = |leg: &PathBuf| leg.canonicalize().is_ok_and(|leg| path.starts_with(leg));
    if lines.iter().flat_map(|l| &l.legs).any(below) {
        output::keep_still();
    }
}

/// The paths of files that are open for writing, each once.
fn writable() -> Vec<PathBuf> {
    let numbers = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let mut all: Vec<PathBuf> = numbers
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|&n: &i32| {
            // SAFETY: fcntl with integers.
            let flags = unsafe { libc::fcntl(n, libc::F_GETFL) };
            flags >= 0 && flags & libc::O_ACCMODE != libc::O_RDONLY && flags & libc::O_PATH == 0
        })
        .filter_map(path_of)
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Makes them equal on both legs.
pub fn carry(pairs: &[Attached]) {
    for path in writable() {
        for p in pairs {
            for leg in Leg::BOTH {
                let root = p.pair.legs[leg].root.path.canonicalize();
                if let Ok(rel) = path.strip_prefix(root.unwrap_or_default()) {
                    carry_one(p, leg, rel);
                }
            }
        }
    }
}

fn look(root: &Root, rel: &[u8]) -> io::Result<Option<Meta>> {
    let (dir, name) = root.parent(rel)?;
    Meta::read(dir.as_fd(), &name)
}

/// Both objects, if they do not look alike.
fn unequal(p: &Attached, leg: Leg, rel: &[u8]) -> Option<(Meta, Option<Meta>)> {
    let first = look(&p.pair.legs[leg].root, rel).ok()??;
    let second = look(&p.pair.legs[leg.other()].root, rel).ok().flatten();
    let alike = |s: &Meta| (s.kind, s.size()) == (first.kind, first.size());
    (first.is_file() && !second.as_ref().is_some_and(alike)).then_some((first, second))
}

fn carry_one(p: &Attached, leg: Leg, rel: &Path) {
    let name = rel.as_os_str().as_bytes();
    if name.is_empty() || rel.starts_with(".mirror") || unequal(p, leg, name).is_none() {
        return;
    }
    let _ = heal::locked(p, |held| {
        let Some((first, second)) = unequal(p, leg, name) else {
            return;
        };
        if make_equal(p, leg, name, (&first, second.as_ref()), held).is_err() {
            heal::append_pending(p, &[name.to_vec()], held);
        }
    });
}

fn make_equal(
    p: &Attached,
    leg: Leg,
    name: &[u8],
    (first, second): (&Meta, Option<&Meta>),
    held: &BothLocked,
) -> io::Result<()> {
    let size = second.map_or(0, |s| s.st.st_size).max(first.st.st_size);
    let names = second.map_or(1, |s| s.st.st_nlink);
    if p.runtime.view().is_guarded() || size > REPAIR_MAX || names != first.st.st_nlink {
        return Err(io::Error::other("left to a resync"));
    }
    let legs = &p.pair.legs;
    let fidelity = probe::fidelity(p.pair.trees());
    // Who empties a file wants its contents gone, on both legs.
    let keep = first.size() > 0;
    let bar = ProgressBar::hidden();
    let mut w = Work::new(&legs[leg], &legs[leg.other()], fidelity, keep, bar);
    w.make_equal(name, held)?;
    if let Some(folder) = w.keeper.folder() {
        output::note!(
            "mirror: {}: {} was changed on one leg alone; made equal, the other version is in {} of its leg",
            text::path(&p.pair.line.virt),
            text::show(name),
            text::show(folder)
        );
    }
    Ok(())
}
