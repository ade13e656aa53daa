//! The table of a process with the net (system call user dispatch): what each call costs in it, in V and
//! outside, beside one without the net and one without the library.
use super::columns::{Column, own};
use super::ground::Ground;
use super::results::Meaning;
use super::workloads::{Work, Workload, row};

/// Its column.
pub const KEY: &str = "net";

/// The rows. Those outside lie on leg a's own file system.
pub const ROWS: &[Workload] = &[
    row(
        "net-write",
        "sequential 1 MiB writes in V",
        Work::Loop("sequential"),
        64,
        None,
    ),
    row(
        "net-stat",
        "stat in V",
        Work::Reading("stat", ""),
        400_000,
        Some("net-write"),
    ),
    row(
        "net-pread",
        "pread 4 KiB in V",
        Work::Reading("read", ""),
        400_000,
        Some("net-write"),
    ),
    row(
        "net-pwrite",
        "pwrite 4 KiB in V",
        Work::Loop("random"),
        60_000,
        Some("net-write"),
    ),
    row(
        "net-getppid",
        "getppid",
        Work::Beside("nothing"),
        2_000_000,
        None,
    ),
    row(
        "net-file",
        "sequential 1 MiB writes outside V",
        Work::Beside("sequential"),
        64,
        None,
    ),
    row(
        "net-out-stat",
        "stat outside V",
        Work::Beside("stat"),
        400_000,
        Some("net-file"),
    ),
    row(
        "net-out-pread",
        "pread 4 KiB outside V",
        Work::Beside("read"),
        400_000,
        Some("net-file"),
    ),
    row(
        "net-out-pwrite",
        "pwrite 4 KiB outside V",
        Work::Beside("random"),
        120_000,
        Some("net-file"),
    ),
    row(
        "net-out-open",
        "open for reading, close outside V",
        Work::Beside("open"),
        200_000,
        Some("net-file"),
    ),
    row(
        "net-out-change",
        "open for change, close outside V",
        Work::Beside("reopen"),
        200_000,
        Some("net-file"),
    ),
    row(
        "net-out-cycle",
        "create, write, unlink outside V",
        Work::Beside("cycle"),
        40_000,
        None,
    ),
];

/// A plain directory, the library as it decides by itself, and with the net in any case.
pub fn columns(ground: &Ground) -> Vec<Column> {
    let mut all = own(ground);
    all.retain(|c| c.key != "hand");
    let mirror = all.iter().find(|c| c.key == "mirror");
    let net = mirror.map(|c| Column {
        key: KEY,
        dirs: c.dirs.clone(),
        reading: c.reading.clone(),
        net: true,
        ..*c
    });
    all.extend(net);
    all
}

/// What the column means.
pub fn meaning() -> Meaning {
    Meaning {
        key: KEY.into(),
        label: "mirror with the net".into(),
        meaning: "the same with MIRROR_NET=always: system calls that are not libc's are seen too; every call pays for that".into(),
    }
}
