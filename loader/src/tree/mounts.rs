//! File systems that are mounted inside a leg. What only one leg has mounted is no part of the pair: the
//! other leg has a plain directory there.
use crate::text;
use mirror_core::PerLeg;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A mount point below a leg: what is shown there.
#[derive(Clone, PartialEq, Eq)]
struct Mount {
    device: Vec<u8>,
    root: Vec<u8>,
    point: Vec<u8>,
}

/// The lines of mountinfo: device, root and mount point.
fn all() -> Vec<Mount> {
    parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
}

fn parse(info: &[u8]) -> Vec<Mount> {
    let line = |l: &[u8]| {
        let f: Vec<&[u8]> = l.split(|&b| b == b' ').take(5).collect();
        let [_, _, device, root, point] = f[..] else {
            return None;
        };
        Some(Mount {
            device: device.to_vec(),
            root: text::unescape(root),
            point: text::unescape(point),
        })
    };
    info.split(|&b| b == b'\n').filter_map(line).collect()
}

/// What of `whole` is below `part`, without the slash.
fn below<'a>(whole: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    let part = part.strip_suffix(b"/").unwrap_or(part);
    match whole.strip_prefix(part)? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The highest mount points below `leg` that show something else than the leg's own directories.
fn inside(mounts: &[Mount], leg: &[u8]) -> Vec<Vec<u8>> {
    // The last mount that covers the leg's path is the one that is seen there.
    let base = mounts
        .iter()
        .rev()
        .filter(|m| below(leg, &m.point).is_some())
        .max_by_key(|m| m.point.len());
    // Of several on one place, the last.
    let mut points = BTreeMap::new();
    for m in mounts {
        if let Some(rel) = below(&m.point, leg).filter(|r| !r.is_empty()) {
            points.insert(rel.to_vec(), m);
        }
    }
    let itself = |m: &Mount| {
        base.is_some_and(|b| {
            m.device == b.device && below(&m.root, &b.root) == below(&m.point, &b.point)
        })
    };
    let mut found: Vec<Vec<u8>> = vec![];
    for (rel, m) in points {
        let covered = found.iter().any(|f| below(&rel, f).is_some());
        let control = below(&rel, b".mirror").is_some();
        if !covered && !control && !itself(m) {
            found.push(rel);
        }
    }
    found
}

/// Every mount point below a leg. `None`: that cannot be known.
pub fn below_leg(leg: &Path) -> Option<Vec<PathBuf>> {
    let mounts = parse(&std::fs::read("/proc/self/mountinfo").ok()?);
    let leg = std::fs::canonicalize(leg).ok()?;
    let leg = leg.as_os_str().as_encoded_bytes();
    let inside = |m: &&Mount| below(&m.point, leg).is_some_and(|rel| !rel.is_empty());
    let point = |m: &Mount| PathBuf::from(OsStr::from_bytes(&m.point));
    Some(mounts.iter().filter(inside).map(point).collect())
}

/// The mount points of two legs, given by their paths, that only one of them has.
pub fn of_one_leg(legs: PerLeg<&Path>) -> Vec<Vec<u8>> {
    let mounts = all();
    let of = |leg: &Path| {
        let path = std::fs::canonicalize(leg).unwrap_or_else(|_| leg.to_path_buf());
        inside(&mounts, path.as_os_str().as_encoded_bytes())
    };
    let PerLeg { a, b } = legs.map(of);
    let alone = |x: &[Vec<u8>], y: &[Vec<u8>]| -> Vec<Vec<u8>> {
        x.iter().filter(|m| !y.contains(m)).cloned().collect()
    };
    let mut found = alone(&a, &b);
    found.extend(alone(&b, &a));
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &[u8] = b"20 1 8:1 / / rw - ext4 /dev/a rw\n\
        21 20 8:2 / /leg rw - ext4 /dev/b rw\n\
        22 21 0:5 / /leg/tmp rw - tmpfs none rw\n\
        23 22 0:6 / /leg/tmp/deeper rw - tmpfs none rw\n\
        24 21 8:2 /self /leg/self rw - ext4 /dev/b rw\n\
        25 21 8:2 /other /leg/bound\\040here rw - ext4 /dev/b rw\n\
        26 20 0:7 / /legs rw - tmpfs none rw\n";

    #[test]
    fn the_highest_foreign_ones_are_found() {
        let found = inside(&parse(INFO), b"/leg");
        assert_eq!(found, [b"bound here".to_vec(), b"tmp".to_vec()]);
        assert_eq!(inside(&parse(INFO), b"/leg/self"), Vec::<Vec<u8>>::new());
        assert_eq!(inside(&parse(INFO), b"/nowhere"), Vec::<Vec<u8>>::new());
    }
}
