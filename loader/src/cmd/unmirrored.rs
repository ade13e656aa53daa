//! Which programs mirrored ones started that could not be mirrored: the records of `core::unmirrored`, other
//! users' among them for root. Texts are shown escaped.
use super::json::Unmirrored;
use super::rings;
use crate::launch::program::Unmirrorable as Why;
use crate::output;
use crate::pair::domain::Attached;
use crate::pair::tab::Line;
use crate::text;
use mirror_core::tab::Unmirrorable;
use mirror_core::unmirrored::{self, Kind, Marks, Record, touch};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

/// How long a program that had nothing to do with the pair is shown, in seconds.
const SHOWN: u64 = 24 * 3600;
/// Programs named in a line.
const NAMED: usize = 4;

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Static => "static",
        Kind::NoLibc => "no libc",
        Kind::Go => "Go",
        Kind::SetId => "set-id",
        Kind::Capabilities => "file capabilities",
        Kind::Foreign => "another architecture",
        Kind::Unreadable => "not readable",
        Kind::OwnCalls => "system calls of its own",
        Kind::Filter => "its own filter",
        Kind::Traced => "by ptrace",
        Kind::Beside => "by a name outside the leg",
        Kind::Core => "its core file",
        Kind::Taker => "by pidfd_getfd",
        Kind::Unsure => "what is written for it could not be told",
        Kind::Sender => "to a process that is not known to be mirrored",
    }
}

fn path(uid: u32) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(unmirrored::ring(uid).as_bytes()))
}

/// All records that this user may read.
fn all() -> Vec<Record> {
    let mut found = vec![];
    for (path, uid) in rings::paths(path, unmirrored::OTHERS) {
        let bytes = rings::read(&path, uid, unmirrored::FILE).unwrap_or_default();
        let records = bytes.chunks_exact(unmirrored::SIZE);
        found.extend(records.filter_map(Record::parse).filter(|r| r.uid == uid));
    }
    found.sort_by_key(|r| r.times.1);
    found
}

/// What is shown of a pair: what had to do with it since `verified` (seconds since 1970), and what had not,
/// of the last day; oldest first. Nothing where the pair's policy is to be quiet.
pub fn of(line: &Line, verified: u64) -> Vec<Record> {
    if line.unmirrorable == Unmirrorable::Quiet {
        return vec![];
    }
    counted(line, verified)
}

/// The same whatever the policy is.
pub fn counted(line: &Line, verified: u64) -> Vec<Record> {
    let now = text::now();
    let fresh = |r: &Record| {
        let (_, last) = r.times;
        let known = last <= now.saturating_add(60);
        known && last > verified && (r.touched != 0 && !r.refused || last + SHOWN >= now)
    };
    let mut found = all();
    found.retain(|r| fresh(r) && r.is_about(line.tagged()));
    found
}

/// Whether the pair is to be compared because of one of them, and the runtime file does not say so.
pub fn unmarked(records: &[Record]) -> bool {
    let mut all = records.iter();
    all.any(|r| r.touched & touch::UNMARKED != 0 && !r.refused)
}

/// `2 programs ran unmirrored: hugo (static, 3 times), sudo (set-id, 1 time)`; nothing if there are none.
pub fn sentence(records: &[Record]) -> Option<String> {
    let one = |fits: fn(&Record) -> bool, what: &str| {
        let mut programs: Vec<(&[u8], Kind, u64)> = vec![];
        for r in records.iter().rev().filter(|r| fits(r)) {
            match programs
                .iter_mut()
                .find(|p| (p.0, p.1) == (r.name(), r.kind))
            {
                Some(p) => p.2 += u64::from(r.count),
                None => programs.push((r.name(), r.kind, u64::from(r.count))),
            }
        }
        if programs.is_empty() {
            return None;
        }
        let mut named: Vec<String> = programs
            .iter()
            .take(NAMED)
            .map(|(name, kind, n)| {
                format!(
                    "{} ({}, {})",
                    text::show(name),
                    words(*kind),
                    text::plural(*n, "time")
                )
            })
            .collect();
        if programs.len() > NAMED {
            named.push("…".into());
        }
        let count = text::plural(programs.len() as u64, "program");
        Some(format!("{count} {what}: {}", named.join(", ")))
    };
    let parts = [
        one(|r| !r.refused && ran(r), "ran unmirrored"),
        one(|r| r.kind == Kind::Beside, "changed a file of a leg"),
        one(|r| r.kind == Kind::Traced, "changed another process"),
        one(|r| r.kind == Kind::Core, "dumped core"),
        one(|r| r.kind == Kind::Unsure, "may have changed one leg alone"),
        one(
            |r| r.kind == Kind::Taker,
            "took an open file or directory of another",
        ),
        one(
            |r| !r.refused && r.kind == Kind::Sender,
            "sent an open file or directory",
        ),
        one(|r| r.refused, "not started (unmirrorable=refuse)"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Whether the program itself was not mirrored.
fn ran(r: &Record) -> bool {
    !matches!(
        r.kind,
        Kind::Sender | Kind::Beside | Kind::Traced | Kind::Core | Kind::Taker | Kind::Unsure
    )
}

/// The records for a program.
pub fn json(records: &[Record]) -> Vec<Unmirrored> {
    const TOUCHED: [(u8, &str); 5] = [
        (touch::CWD, "cwd"),
        (touch::ARGUMENT, "argument"),
        (touch::DESCRIPTOR, "descriptor"),
        (touch::UNSURE, "unsure"),
        (touch::UNMARKED, "unmarked"),
    ];
    let one = |r: &Record| Unmirrored {
        program: text::show(r.name()),
        why: words(r.kind),
        times: r.count,
        first: text::iso(r.times.0),
        last: text::iso(r.times.1),
        pid: r.pid,
        uid: r.uid,
        refused: r.refused,
        touched: TOUCHED
            .iter()
            .filter(|(bit, _)| r.touched & bit != 0)
            .map(|(_, word)| *word)
            .collect(),
    };
    records.iter().map(one).collect()
}

/// What was counted before a command began.
pub struct Before(Vec<Record>);

impl Before {
    /// Remembers it.
    pub fn now() -> Before {
        Before(all())
    }

    /// What was counted since.
    fn since(&self) -> Vec<Record> {
        let mut new = all();
        for r in &mut new {
            // A count that is lower is a new record in an old one's place.
            if let Some(old) = self
                .0
                .iter()
                .find(|old| old.same(r) && old.count <= r.count)
            {
                r.count -= old.count;
            }
        }
        new.retain(|r| r.count > 0);
        new
    }

    /// The one line that `mirror run` prints at its end.
    pub fn tell(&self, pairs: &[Attached]) {
        let loud = |r: &Record| {
            let about = |p: &&Attached| r.is_about(p.pair.line.tagged());
            let quiet = |p: &Attached| p.pair.line.unmirrorable == Unmirrorable::Quiet;
            let mut about = pairs.iter().filter(about).peekable();
            about.peek().is_some() && !about.all(quiet)
        };
        let mut new = self.since();
        new.retain(loud);
        let Some(sentence) = sentence(&new) else {
            return;
        };
        let ran = |p: &&Attached| {
            let v = p.pair.line.tagged();
            let here = |r: &Record| r.touched != 0 && !r.refused && r.is_about(v);
            new.iter().any(here) && p.pair.line.unmirrorable != Unmirrorable::Quiet
        };
        let verify: Vec<String> = pairs
            .iter()
            .filter(ran)
            .map(|p| format!("mirror verify {}", text::shell(&p.pair.line.virt)))
            .collect();
        match verify.is_empty() {
            true => output::note!("mirror: {sentence}"),
            false => output::note!("mirror: {sentence}. {}", verify.join("    ")),
        }
    }
}

/// Counts a program that this command starts itself, as the library would.
pub fn count(why: &Why, name: &str, lines: &[&Line]) {
    let kind = match why {
        Why::Static => Kind::Static,
        Why::NoLibc | Why::Musl | Why::AddressSanitizer => Kind::NoLibc,
        Why::Go => Kind::Go,
        Why::Privileged(w) if w.contains("capabilities") => Kind::Capabilities,
        Why::Privileged(_) => Kind::SetId,
        Why::Foreign(_) => Kind::Foreign,
    };
    for l in lines {
        // What it will touch is not asked: its pairs are to be compared in any case.
        enter(kind, touch::UNSURE, name, l);
    }
}

/// Counts that the kernel has written the core file of a command, in a directory that is not known any more.
/// `marked`: the pair is to be compared.
pub fn count_core(name: &str, line: &Line, marked: bool) {
    let unmarked = if marked { 0 } else { touch::UNMARKED };
    enter(Kind::Core, touch::UNSURE | unmarked, name, line);
}

fn enter(kind: Kind, touched: u8, name: &str, line: &Line) {
    let who = (std::process::id(), rustix::process::geteuid().as_raw());
    let r = Record::new(
        (kind, touched, false),
        who,
        text::now(),
        name.as_bytes(),
        line.tagged(),
        Marks::default(),
    );
    let _ = put(&r, who.1);
}

fn put(r: &Record, uid: u32) -> std::io::Result<()> {
    let path = path(uid);
    if uid == 0
        && let Some(dir) = path.parent()
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        if std::fs::create_dir(dir).is_ok() {
            std::fs::set_permissions(dir, mode)?;
        }
    }
    let f = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(&path)?;
    if f.metadata()?.len() == 0 {
        f.set_len(unmirrored::FILE as u64)?;
    }
    let bytes = rings::read(&path, uid, unmirrored::FILE)
        .ok_or_else(|| std::io::Error::from_raw_os_error(libc::EACCES))?;
    let _turn = f.lock();
    let slots: Vec<Option<Record>> = bytes
        .chunks_exact(unmirrored::SIZE)
        .map(Record::parse)
        .collect();
    let same = slots.iter().position(|s| s.is_some_and(|s| s.same(r)));
    let oldest = || {
        let all = slots.iter().enumerate();
        all.min_by_key(|(_, s)| s.map_or(0, |s| s.times.1))
            .map(|(i, _)| i)
    };
    let Some(at) = same.or_else(oldest) else {
        return Ok(());
    };
    let old = slots[at].filter(|s| s.same(r));
    let whole = old.map_or(*r, |old| r.after(&old));
    f.write_all_at(&whole.encode(), (at * unmirrored::SIZE) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &[u8], kind: Kind, touched: u8, count: u32) -> Record {
        let what = (kind, touched, false);
        let mut r = Record::new(what, (1, 2), 3, name, (b"/v", 0), Marks::default());
        r.count = count;
        r
    }

    #[test]
    fn the_sentence_names_programs_once() {
        assert_eq!(sentence(&[]), None);
        let hugo = |touched, n| record(b"hugo", Kind::Static, touched, n);
        let both = [hugo(1, 1), hugo(0, 2)];
        assert_eq!(
            sentence(&both).unwrap(),
            "1 program ran unmirrored: hugo (static, 3 times)"
        );
        let mut refused = record(b"su\x1bdo", Kind::SetId, 1, 1);
        refused.refused = true;
        let all = sentence(&[hugo(1, 1), refused]).unwrap();
        assert!(
            all.starts_with(
                "1 program ran unmirrored: hugo (static, 1 time); 1 program not started"
            )
        );
        assert!(!all.contains('\x1b') && all.contains("set-id"));
        let many: Vec<Record> = (b'a'..=b'f')
            .map(|c| record(&[c], Kind::Go, 0, 1))
            .collect();
        let text = sentence(&many).unwrap();
        assert!(
            text.starts_with("6 programs") && text.ends_with(", …"),
            "{text}"
        );
    }
}
