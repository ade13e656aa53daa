//! Core files that the kernel has written on one leg alone: it is looked for them in the directories that the
//! library has listed (`mirror_core::cores`), and where the kernel's pattern itself leads into a leg.
use super::legs::Pair;
use crate::text;
use crate::tree::beneath::{Root, join};
use mirror_core::cores::{FILE, HEAD, PATTERN, is_core, lines, place};
use mirror_core::{Leg, PerLeg};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Directories below a listed one that are looked into, where the pattern puts a varying one between.
const BELOW: usize = 1024;

/// A core file: the leg that has it, or has another one there; its path.
pub type Found = (Leg, Vec<u8>);

/// All of them. An error: the list of where they may be cannot be read.
pub fn found(pair: &Pair) -> io::Result<Vec<Found>> {
    let pattern = std::fs::read(OsStr::from_bytes(PATTERN)).unwrap_or_default();
    let place = place(&pattern);
    let mut dirs: BTreeSet<Vec<u8>> = listed(pair)?.into_iter().collect();
    let fixed = place.filter(|p| p.dir.first() == Some(&b'/'));
    dirs.extend(fixed.and_then(|p| in_a_leg(pair, p.dir)));
    if place.is_some_and(|p| p.deeper) {
        let below: Vec<Vec<u8>> = dirs.iter().flat_map(|d| directories(pair, d)).collect();
        dirs.extend(below.into_iter().take(BELOW));
    }
    let both = dirs.iter().filter(|d| !is_left_out(pair, d));
    Ok(both.flat_map(|d| of_directory(pair, d)).collect())
}

/// Whether a directory is on a mount that one leg alone has.
fn is_left_out(pair: &Pair, dir: &[u8]) -> bool {
    let below = |m: &Vec<u8>| {
        let rest = dir.strip_prefix(m.as_slice());
        rest.is_some_and(|r| r.is_empty() || r.starts_with(b"/"))
    };
    let mut legs = pair.legs.iter();
    legs.any(|l| l.root.left_mounts().iter().any(below))
}

/// What is said of them.
pub fn words(found: &[Found]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let some: Vec<String> = found
        .iter()
        .take(3)
        .map(|(leg, path)| format!("{} (leg {})", text::show(path), leg.letter()))
        .collect();
    let more = if found.len() > 3 { " …" } else { "" };
    Some(format!(
        "{} written by the kernel on one leg alone: {}{more}",
        text::plural(found.len() as u64, "core file"),
        some.join("  ")
    ))
}

/// The list; the root is the empty path.
fn listed(pair: &Pair) -> io::Result<Vec<Vec<u8>>> {
    let list = match pair.legs.a.root.read(FILE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => vec![],
        r => r?,
    };
    Ok(lines(&list).map(text::unescape).collect())
}

/// Where in a leg an absolute path leads.
fn in_a_leg(pair: &Pair, dir: &[u8]) -> Option<Vec<u8>> {
    let real = std::fs::canonicalize(Path::new(OsStr::from_bytes(dir))).ok()?;
    pair.legs.iter().find_map(|leg| {
        let root = std::fs::canonicalize(&leg.root.path).ok()?;
        let rel = real.strip_prefix(root).ok()?;
        Some(rel.as_os_str().as_bytes().to_vec())
    })
}

fn names(root: &Root, dir: &[u8]) -> Vec<Vec<u8>> {
    root.names(dir).unwrap_or_default()
}

/// The names that a directory has on either leg.
fn both(pair: &Pair, dir: &[u8]) -> BTreeSet<Vec<u8>> {
    let legs = pair.legs.iter();
    legs.flat_map(|l| names(&l.root, dir)).collect()
}

fn look(root: &Root, path: &[u8]) -> Option<Stat> {
    let (dir, name) = root.parent(path).ok()?;
    rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW).ok()
}

fn kind(st: &Stat) -> FileType {
    FileType::from_raw_mode(st.st_mode)
}

fn directories(pair: &Pair, dir: &[u8]) -> Vec<Vec<u8>> {
    let paths = both(pair, dir).into_iter().map(|name| join(dir, &name));
    let is = |path: &Vec<u8>| {
        let mut legs = pair.legs.iter();
        legs.any(|l| look(&l.root, path).is_some_and(|st| kind(&st) == FileType::Directory))
    };
    paths.filter(is).take(BELOW).collect()
}

/// What is compared of two core files of one size. The registers and numbers of the process stand at the beginning.
const COMPARED: usize = 64 * 1024;

/// The core files of a directory that differ.
fn of_directory(pair: &Pair, dir: &[u8]) -> Vec<Found> {
    let what = |st: &Stat| (st.st_size, st.st_mtime, st.st_mtime_nsec);
    let one = |name: Vec<u8>| {
        let path = join(dir, &name);
        let regular = |st: &Stat| kind(st) == FileType::RegularFile;
        let files = pair.trees().map(|root| look(root, &path).filter(regular));
        if files.a.as_ref().map(what) == files.b.as_ref().map(what) {
            return None;
        }
        let heads = PerLeg::by(|leg| files[leg].and_then(|_| head(pair.trees()[leg], &path)));
        let begins = |head: &Option<Vec<u8>>| {
            let head = head.as_ref().and_then(|h| h.first_chunk::<HEAD>());
            head.is_some_and(is_core)
        };
        let leg = heads.position(begins)?;
        // A leg may be unable to hold the other one's time.
        let size = |leg: Leg| files[leg].map(|st| st.st_size);
        let same = size(Leg::A) == size(Leg::B) && heads.a == heads.b;
        (!same).then_some((leg, path))
    };
    both(pair, dir).into_iter().filter_map(one).collect()
}

fn head(root: &Root, path: &[u8]) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let fd = root.open_at(path, flags, Mode::empty()).ok()?;
    let mut head = Vec::new();
    File::from(fd)
        .take(COMPARED as u64)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}
