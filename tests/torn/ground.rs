//! Torn states on a real pair.
use crate::states::{self, File, Look, NAMES, Torn};
use mirror_tests::{Announced, Pair};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Lays one leg of a state out; the inode of what `one` was before the change.
fn lay(dir: &Path, leg: &states::Leg, before: Option<usize>) -> u64 {
    fs::create_dir(dir).expect("a folder");
    let mut inode = 0;
    for (i, file) in leg.files.iter().enumerate() {
        let names: Vec<PathBuf> = leg
            .names
            .iter()
            .filter(|n| *n.1 == i)
            .map(|n| dir.join(n.0))
            .collect();
        // A file that has no name any more is one all the same: its inode is nobody else's.
        let at = names.first().cloned().unwrap_or_else(|| dir.join("gone"));
        fs::write(&at, &file.data).expect("a file");
        fs::set_permissions(&at, fs::Permissions::from_mode(file.mode)).expect("its mode");
        let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let open = fs::File::open(&at);
        // Root opens what nobody may read; an ordinary user's file keeps its time.
        drop(open.and_then(|f| f.set_modified(past)));
        for other in names.iter().skip(1) {
            fs::hard_link(&at, other).expect("another name");
        }
        if before == Some(i) {
            inode = fs::metadata(&at).expect("a file").ino();
        }
    }
    inode
}

/// What a leg shows.
pub fn look(dir: &Path) -> Look {
    let meta = |n: &str| fs::symlink_metadata(dir.join(n)).ok();
    let there: Vec<(&str, fs::Metadata)> =
        NAMES.iter().filter_map(|n| Some((*n, meta(n)?))).collect();
    let show = |(name, m): &(&str, fs::Metadata)| {
        let group = there
            .iter()
            .filter(|o| o.1.ino() == m.ino())
            .map(|o| o.0.to_owned());
        let mut group: Vec<String> = group.collect();
        group.sort();
        let data = fs::read(dir.join(name)).expect("a file");
        let mode = m.mode() & 0o7777;
        ((*name).to_owned(), (File { data, mode }, group))
    };
    there.iter().map(show).collect()
}

/// Folders that the list of pending objects names.
pub fn recorded(pair: &Pair) -> BTreeSet<String> {
    let list = fs::read_to_string(pair.a().join(".mirror/pending")).unwrap();
    let folder = |l: &str| l.split('/').next().unwrap_or_default().to_owned();
    list.lines().map(folder).collect()
}

/// Lays a state out on both legs; what its process had announced.
pub fn put(pair: &Pair, folder: &str, t: &Torn, object: usize) -> Announced {
    let legs = [pair.a(), pair.b()];
    let inode = [0, 1].map(|leg| {
        let dir = legs[leg].join(folder);
        let inode = lay(&dir, &t.legs[leg], t.before);
        let _ = fs::remove_file(dir.join("gone"));
        inode
    });
    let two = matches!(t.kind, states::LINK | states::RENAME | states::EXCHANGE);
    let second = if two { "two" } else { "" };
    let path = |n: &str| match n {
        "" => String::new(),
        n => format!("{folder}/{n}"),
    };
    Announced {
        object,
        kind: t.kind,
        first: t.first as u8,
        inode,
        offset: t.offset,
        length: t.length,
        paths: [path("one"), path(second)],
    }
}
