//! Random operations of a file system, seeded: one process answers as in a plain directory, several leave
//! equal legs, as a comparison from outside and `mirror verify` say. `MIRROR_SOAK=1` runs longer.
use mirror_tests::{Fs, FsType, Kind, Pair, compile, soak};

/// Programs by name and source.
const PROGRAMS: &[(&str, &str)] = &[
    ("stress", include_str!("../programs/stress.c")),
    ("fsx", include_str!("../programs/fsx.c")),
];

/// The operations of fsstress, but for those of AIO and io_uring, and which of stress.c they are in.
const FSSTRESS: &[(&str, &str)] = &[
    ("allocsp", "space"),
    ("attr_remove", "xattr"),
    ("attr_set", "xattr"),
    ("bulkstat", "bulkstat"),
    ("bulkstat1", "bulkstat"),
    ("chown", "chown"),
    ("clonerange", "clone"),
    ("collapse", "fallocate"),
    ("copyrange", "copy"),
    ("creat", "creat"),
    ("deduperange", "dedupe"),
    ("dread", "read"),
    ("dwrite", "dwrite"),
    ("exchangerange", "exchange"),
    ("fallocate", "fallocate"),
    ("fdatasync", "sync"),
    ("fiemap", "fiemap"),
    ("freesp", "space"),
    ("fsync", "sync"),
    ("getattr", "flags"),
    ("getdents", "readdir"),
    ("getfattr", "get_xattr"),
    ("insert", "fallocate"),
    ("link", "link"),
    ("listfattr", "get_xattr"),
    ("mkdir", "mkdir"),
    ("mknod", "mknod"),
    ("mread", "map"),
    ("mwrite", "map_write"),
    ("punch", "fallocate"),
    ("read", "read"),
    ("readlink", "stat"),
    ("readv", "read"),
    ("removefattr", "xattr"),
    ("rename", "rename"),
    ("resvsp", "space"),
    ("rexchange", "rename"),
    ("rmdir", "rmdir"),
    ("rnoreplace", "rename"),
    ("rwhiteout", "rename"),
    ("sendfile", "copy"),
    ("setattr", "flags"),
    ("setfattr", "xattr"),
    ("setxattr", "fsxattr"),
    ("splice", "splice"),
    ("stat", "stat"),
    ("symlink", "symlink"),
    ("sync", "sync"),
    ("truncate", "truncate"),
    ("unlink", "unlink"),
    ("unresvsp", "space"),
    ("write", "write"),
    ("writev", "write"),
    ("xchgrange", "exchange"),
    ("zero", "fallocate"),
];

/// Each was tried. What is different natively is left to several processes.
fn all_tried(output: &str) {
    for (theirs, ours) in FSSTRESS.iter().filter(|(_, ours)| *ours != "map_write") {
        let is = |l: &&str| {
            l.strip_prefix(ours)
                .is_some_and(|rest| rest.starts_with(' '))
        };
        let line = output.lines().rev().take(60).find(is);
        let line = line.unwrap_or_else(|| panic!("{theirs}: no operation {ours}"));
        assert!(!line.starts_with(&format!("{ours} 0 ")), "{theirs}: {line}");
    }
}

fn helpers(pair: &Pair) -> bool {
    PROGRAMS
        .iter()
        .all(|(name, source)| compile(&pair.programs(), name, source).is_some())
}

fn seeds(few: u64) -> std::ops::RangeInclusive<u64> {
    1..=if soak() { few * 30 } else { few }
}

/// Each seed in a folder of its own: the same answers as natively (where both legs' file systems can do
/// the same), equal legs.
fn one_process(pair: &Pair, few: u64) {
    if !helpers(pair) {
        return;
    }
    for seed in seeds(few) {
        println!("seed {seed}");
        let o = pair.both(&format!(
            "mkdir $V/{seed}; $P/stress $V/{seed} {seed} 1 1500"
        ));
        assert_eq!(o.code, 0, "{o:?}");
        assert!(o.text().lines().count() > 1000);
        all_tried(&o.text());
    }
}

fn several_processes(pair: &Pair, few: u64) {
    if !helpers(pair) {
        return;
    }
    for seed in seeds(few) {
        println!("seed {seed}");
        let sync = if soak() { "sync" } else { "" };
        pair.run(&format!(
            "mkdir $V/{seed}; $P/stress $V/{seed} {seed} 4 400 {sync}"
        ))
        .ok();
        pair.assert_sound();
    }
}

/// One file against what memory says it holds, through the page cache and past it.
fn exerciser(pair: &Pair) {
    if !helpers(pair) {
        return;
    }
    for seed in seeds(1) {
        println!("seed {seed}");
        let n = if soak() { 5000 } else { 1500 };
        pair.run(&format!("$P/fsx $V/x{seed} {seed} {n}")).ok();
        pair.run(&format!("$P/fsx $V/d{seed} {seed} {n} direct"))
            .ok();
        pair.assert_equal();
    }
}

/// Everything on one pair of loop-mounted file systems.
fn on_loops(kind: Kind, a: FsType, b: FsType) {
    let Some(pair) = Pair::new(kind, Fs::Loop(a, b)) else {
        return;
    };
    if a == b {
        one_process(&pair, 1);
    }
    several_processes(&pair, 1);
    exerciser(&pair);
}

#[test]
fn one_process_answers_as_in_a_plain_directory() {
    Pair::with(Kind::Link, |pair| one_process(pair, 2));
}

#[test]
fn several_processes_leave_equal_legs() {
    Pair::with(Kind::InPlace, |pair| several_processes(pair, 2));
}

#[test]
fn one_file_holds_what_was_written() {
    Pair::with(Kind::InPlace, exerciser);
}

#[test]
fn on_ext4() {
    on_loops(Kind::InPlace, FsType::Ext4, FsType::Ext4);
}

#[test]
fn on_xfs() {
    on_loops(Kind::Link, FsType::Xfs, FsType::Xfs);
}

#[test]
fn on_btrfs() {
    on_loops(Kind::InPlace, FsType::Btrfs, FsType::Btrfs);
}

#[test]
fn on_ext4_and_xfs() {
    on_loops(Kind::Link, FsType::Ext4, FsType::Xfs);
}

#[test]
fn on_xfs_and_ext4() {
    on_loops(Kind::InPlace, FsType::Xfs, FsType::Ext4);
}

#[test]
fn on_btrfs_and_ext4() {
    on_loops(Kind::InPlace, FsType::Btrfs, FsType::Ext4);
}
