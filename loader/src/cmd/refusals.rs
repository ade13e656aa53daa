//! What programs were refused in a pair: the records of `core::refusal`, other users' among them for root.
//! A ring is its user's to write: nothing in it is believed beyond its form, and texts are shown escaped.
use super::json::Refused;
use super::rings;
use crate::output;
use crate::pair::tab::Line;
use crate::text;
use mirror_core::refusal::{self, Record, Refusal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How long a record is shown, in seconds.
const SHOWN: u64 = 24 * 3600;

/// The reason in words.
pub fn words(why: Refusal) -> &'static str {
    match why {
        Refusal::Other => "the pair could not be opened",
        Refusal::Leg => "a leg's directory could not be opened",
        Refusal::Record => "a leg's .mirror is missing, damaged, or of another version",
        Refusal::Swapped => "the legs stand in the mirrortab in the wrong order",
        Refusal::Incomplete => "the first copy of a leg has not finished",
        Refusal::Strangers => "the legs belong to different pairs",
        Refusal::Permission => "this user may not use the pair",
        Refusal::Domain => "programs of another host or container use the pair",
        Refusal::Runtime => "the runtime file is damaged, is not the pair's own, or cannot be made",
        Refusal::Descriptors => {
            "not enough descriptors: the hard limit (ulimit -Hn) is too low, or none was free"
        }
        Refusal::Numbers => "the program had descriptors on the numbers that the library needs",
        Refusal::Chroot => "the program changed its root before, and the legs are outside it",
        Refusal::Dropped => {
            "the program gave its rights up before, and its new user may not use the pair"
        }
        Refusal::Filter => "a filter (seccomp) refuses system calls that the library needs",
        Refusal::Proc => "/proc could not be read",
        Refusal::ReadOnly => "a leg is mounted read-only",
        Refusal::Full => "no room for the runtime file",
        Refusal::Mounted => {
            "what was to be changed is on a file system that is mounted inside one leg, and no part of the pair"
        }
        Refusal::Elsewhere => {
            "a leg was reached by a path that is not its own, and what it leads to could not be told"
        }
        Refusal::Memory => "no memory for the runtime file (ulimit -v)",
        Refusal::Link => "V is not the link to leg a",
        Refusal::Wait => "another user held a lock of the pair for longer than root-wait allows",
        Refusal::Distrust => "somebody else may have put a leg's .mirror there",
        Refusal::Mended => "somebody had changed one leg alone; the legs were made equal",
        Refusal::Differ => "somebody has changed one leg alone; the legs differ",
    }
}

/// The records of a ring, if it can only have been written by its user.
fn ring(path: &Path, uid: u32) -> Vec<Record> {
    let bytes = rings::read(path, uid, refusal::FILE).unwrap_or_default();
    bytes
        .chunks_exact(refusal::SIZE)
        .filter_map(Record::parse)
        .filter(|r| r.uid == uid)
        .collect()
}

/// The rings that this user may read: its own, and root everybody's.
fn paths() -> Vec<(PathBuf, u32)> {
    let path = |uid: u32| PathBuf::from(std::ffi::OsStr::from_bytes(refusal::ring(uid).as_bytes()));
    rings::paths(path, refusal::OTHERS)
}

/// The refusals of a pair since `since` (seconds since 1970) and within a day, oldest first.
pub fn of(line: &Line, since: u64) -> Vec<Record> {
    let all = records(line, since);
    all.into_iter().filter(|r| !r.why.is_difference()).collect()
}

/// All records of a pair since `since` and within a day, oldest first.
pub fn records(line: &Line, since: u64) -> Vec<Record> {
    let now = text::now();
    let fresh = |r: &Record| {
        r.time >= since && r.time <= now.saturating_add(60) && r.time.saturating_add(SHOWN) >= now
    };
    let mut found: Vec<Record> = paths()
        .iter()
        .flat_map(|(path, uid)| ring(path, *uid))
        .filter(|r| fresh(r) && r.is_about(line.tagged()))
        .collect();
    found.sort_by_key(|r| r.time);
    found
}

/// The program's name, escaped.
pub fn name(r: &Record) -> String {
    text::show(r.comm.split(|b| *b == 0).next().unwrap_or(&[]))
}

/// The system call that failed, if it is known.
fn call(r: &Record) -> Option<&'static str> {
    mirror_core::calls::name(u32::from(r.call()?))
}

/// The lines for a person: how many, then the last three.
pub fn lines(all: &[Record]) -> Vec<String> {
    let Some(last) = all.last() else {
        return vec![];
    };
    let mut out = vec![format!(
        "{} in the last day; the last: {}    (mirror explain {})",
        text::plural(all.len() as u64, "program"),
        words(last.why),
        super::explain::REFUSED
    )];
    out.extend(all.iter().rev().take(3).map(|r| {
        let e = std::io::Error::from_raw_os_error(i32::from(r.errno));
        format!(
            "{}  {}[{}] of user {}: {} ({}{})",
            text::iso(r.time),
            name(r),
            r.pid,
            r.uid,
            words(r.why),
            crate::fail::reason(&e),
            call(r).map_or(String::new(), |name| format!(", from {name}"))
        )
    }));
    out
}

/// The records for a program.
pub fn json(all: &[Record]) -> Vec<Refused> {
    let one = |r: &Record| Refused {
        time: text::iso(r.time),
        reason: r.why as u16,
        why: words(r.why),
        errno: r.errno,
        call: call(r),
        pid: r.pid,
        uid: r.uid,
        program: name(r),
    };
    all.iter().map(one).collect()
}

/// `mirror run` says at its end what was refused meanwhile.
pub fn after_run(line: &Line, since: u64) {
    let (all, v) = (of(line, since), &line.virt);
    if let Some(last) = all.last() {
        output::note!(
            "mirror: {}: {} refused a change here: {}[{}]: {}. mirror status {}",
            text::path(v),
            text::plural(all.len() as u64, "program"),
            name(last),
            last.pid,
            words(last.why),
            text::shell(v)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::Errno;

    #[test]
    fn a_ring_is_believed_by_its_form_alone() {
        let me = rustix::process::geteuid().as_raw();
        let dir = std::env::temp_dir().join(format!("mirror-ring-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("ring");
        let record = |uid| {
            Record::new(
                Refusal::Leg,
                Errno::EIO,
                (1, uid),
                text::now(),
                *b"\x1b[31mevil\0\0\0\0\0\0\0",
                (b"/v", 0),
            )
        };
        let mut bytes = vec![0u8; refusal::FILE];
        bytes[..refusal::SIZE].copy_from_slice(&record(me).encode());
        bytes[refusal::SIZE..2 * refusal::SIZE]
            .copy_from_slice(&record(me.wrapping_add(1)).encode());
        let write = |bytes: &[u8], mode: u32| {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))
                .unwrap();
        };
        write(&bytes, 0o600);
        // Another user's record in it is not that user's.
        let found = ring(&path, me);
        assert_eq!(found.len(), 1);
        assert!(!lines(&found).concat().contains('\x1b'));
        assert!(ring(&path, me.wrapping_add(1)).is_empty());
        write(&bytes, 0o644);
        assert!(ring(&path, me).is_empty());
        write(&bytes[1..], 0o600);
        assert!(ring(&path, me).is_empty());
        write(&bytes, 0o600);
        std::fs::hard_link(&path, dir.join("second")).unwrap();
        assert!(ring(&path, me).is_empty());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("second", &path).unwrap();
        assert!(ring(&path, me).is_empty());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
