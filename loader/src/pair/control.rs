//! The control folders of a pair's legs: who each leg is, what is pending, when it was last verified.
use super::tab::Line;
use crate::fail::{Context, Fail, Kind, Res, reason};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::OBJECTS;
use mirror_core::path::PathText;
use mirror_core::record::{Id, LegRecord, OWNER_RECORD, PENDING_LOG, RecordFault, lock_name};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Path of the record of the last comparison.
pub const VERIFIED: &[u8] = b".mirror/verified";

/// Stands in a sink that had contents of its own: the first copy keeps aside what it overwrites.
pub const KEEP: &[u8] = b".mirror/keep";

/// Stands in a leg while `init` writes the records, under its flock: one that is found free is what a
/// killed init left.
const INIT: &[u8] = b".mirror/init";

/// Marks a directory as one that is just made a leg; taken back by [`made`].
pub fn begin_making(root: &Root) -> Res<OwnedFd> {
    let about = || text::path(&root.path);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    let fd = root
        .open_at(INIT, flags, Mode::RUSR | Mode::WUSR)
        .about(about())?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Fail::new(
            Kind::Busy,
            format!("{}: another mirror init is at it", about()),
        )),
        r => r.map(|()| fd).about(about()),
    }
}

/// Both records are written.
pub fn made(root: &Root) -> Res<()> {
    root.remove(INIT).about(text::path(&root.path))
}

/// Takes away a record that a killed init left half of: no pair has ever had it.
pub fn discard_unfinished(root: &Root) -> Res<()> {
    if root.open_at(INIT, OFlags::PATH, Mode::empty()).is_err() {
        return Ok(());
    }
    let _alone = begin_making(root)?;
    root.remove(b".mirror/leg").about(text::path(&root.path))?;
    made(root)
}

/// One leg: its root and its record.
pub struct Leg {
    /// The held root.
    pub root: Root,
    /// Who it is.
    pub record: LegRecord,
}

impl Leg {
    /// Opens the leg at `path`.
    pub fn open(path: &Path) -> Res<Leg> {
        let bad = |why: String| Fail::new(Kind::Leg, format!("{}: {why}", text::path(path)));
        let root = Root::open(path).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => Leg::not_yours(path),
            io::ErrorKind::NotFound => bad("not there. Is its disk mounted?".into()),
            _ => bad(reason(&e)),
        })?;
        let record = match read_record(&root) {
            Ok(Some(r)) => r,
            Ok(None) => {
                return Err(bad(
                    "has no .mirror/leg: not a leg of a pair, or its disk is not mounted".into(),
                ));
            }
            Err(e) if e.kind == Kind::Permission => {
                return Err(Leg::not_yours(path));
            }
            Err(e) => return Err(e),
        };
        let leg = Leg { root, record };
        // The record lies in a tree that others may own: it cannot name any file it likes.
        // (A network leg may show root's files as another user's: then this user's place counts.)
        let owner = leg.owner().about(text::path(path))?;
        let euid = rustix::process::geteuid().as_raw();
        let fits =
            |uid| leg.record.runtime.as_bytes() == runtime_path(leg.record.pair, uid).as_bytes();
        if !fits(owner) && !fits(euid) {
            return Err(bad(format!(
                ".mirror/leg names {} as its runtime file, which is not the place for a pair of user {owner}",
                text::show(leg.record.runtime.as_bytes())
            )));
        }
        Ok(leg)
    }

    /// This user may not look at the leg.
    fn not_yours(path: &Path) -> Fail {
        let shown = text::path(path);
        let owner = std::fs::metadata(path.join(".mirror")).or_else(|_| std::fs::metadata(path));
        Fail::new(
            Kind::Permission,
            match owner {
                Ok(m) if m.uid() == rustix::process::geteuid().as_raw() => {
                    return Fail::new(
                        Kind::Leg,
                        format!(
                            "{shown}: permission denied, although it is this user's. chmod u+rwx {shown}"
                        ),
                    );
                }
                Ok(m) => {
                    let who = text::user(m.uid());
                    format!(
                        "{shown}: the pair belongs to {who}, and this user may not use it. Run as {who}"
                    )
                }
                Err(_) => format!(
                    "{shown}: permission denied: the pair belongs to another user. Run as its owner"
                ),
            },
        )
    }

    /// The user to whom the control folder belongs.
    pub fn owner(&self) -> io::Result<u32> {
        let fd = self
            .root
            .open_at(b".mirror", rustix::fs::OFlags::PATH, Mode::empty())?;
        Ok(rustix::fs::fstat(&fd)?.st_uid)
    }

    /// Its runtime file.
    pub fn runtime_file(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsStr::from_bytes(self.record.runtime.as_bytes()))
    }

    /// A directory that is no leg (yet), to compare it with another.
    pub fn bare(root: Root, leg: u8) -> Leg {
        let none = Id([0; 16]);
        Leg {
            root,
            record: LegRecord {
                pair: none,
                leg,
                id: none,
                peer: none,
                complete: true,
                stripes: 1,
                group: false,
                runtime: PathText::new(),
            },
        }
    }

    /// `a` or `b`.
    pub fn letter(&self) -> char {
        letter(usize::from(self.record.leg))
    }

    /// Whether the leg is still the one that was opened: its path leads to it and its record is the same.
    pub fn unchanged(&self) -> bool {
        self.root.in_place()
            && matches!(read_record(&self.root), Ok(Some(r)) if r.id == self.record.id)
    }

    /// Replaces the record with one of this completeness.
    pub fn set_complete(&mut self, complete: bool) -> Res<()> {
        self.record.complete = complete;
        self.root
            .replace(b".mirror/leg", self.record.encode().as_bytes())
            .about(text::path(&self.root.path))
    }

    /// The pending objects, in the order in which they were found.
    pub fn pending(&self) -> Vec<Vec<u8>> {
        let log = self.root.read(PENDING_LOG).unwrap_or_default();
        log.split(|&b| b == b'\n')
            .filter(|l| !l.is_empty())
            .map(text::unescape)
            .collect()
    }
}

/// The letter of leg 0 or 1.
pub fn letter(leg: usize) -> char {
    if leg == 0 { 'a' } else { 'b' }
}

/// The record at a root; `None` if there is none.
pub fn read_record(root: &Root) -> Res<Option<LegRecord>> {
    let name = || format!("{}/.mirror/leg", text::path(&root.path));
    match root.read(b".mirror/leg") {
        Ok(b) => LegRecord::parse(&b).map(Some).map_err(|f| {
            let why = match f {
                RecordFault::Version => "of another version, or not a leg record",
                RecordFault::Malformed => "malformed",
                RecordFault::Checksum => "damaged (checksum)",
            };
            Fail::new(Kind::Leg, format!("{}: {why}. The other leg is not touched; mirror detach and init make a new record", name()))
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) => Ok(None),
        Err(e) => Err(Fail::io(name(), e)),
    }
}

/// Makes the control folder at a root.
pub fn make_control(root: &Root) -> Res<()> {
    let dirs: [&[u8]; 4] = [
        b".mirror",
        b".mirror/locks",
        b".mirror/tmp",
        b".mirror/kept",
    ];
    for d in dirs {
        root.mkdir(d, Mode::RWXU)
            .about(format!("{}/{}", text::path(&root.path), text::show(d)))?;
    }
    let locks = (0..OBJECTS).filter_map(lock_name);
    for f in locks.chain([PathText::from_bytes(OWNER_RECORD).unwrap_or_default()]) {
        let f = f.as_bytes();
        root.append(f, b"")
            .about(format!("{}/{}", text::path(&root.path), text::show(f)))?;
    }
    Ok(())
}

/// Removes the control folder, as far as it holds nothing of the user's (kept versions stay).
/// Returns whether it is gone.
pub fn remove_control(root: &Root) -> Res<bool> {
    let about = || text::path(&root.path);
    if let Ok(names) = root.names(b".mirror/tmp") {
        for n in names {
            root.remove(&[b".mirror/tmp/", n.as_slice()].concat())
                .about(about())?;
        }
    }
    for f in [
        &b".mirror/leg"[..],
        OWNER_RECORD,
        PENDING_LOG,
        VERIFIED,
        KEEP,
        INIT,
        crate::sync::turn::FILE,
    ] {
        root.remove(f).about(about())?;
    }
    for f in (0..OBJECTS).filter_map(lock_name) {
        root.remove(f.as_bytes()).about(about())?;
    }
    for d in [
        &b".mirror/locks"[..],
        b".mirror/tmp",
        b".mirror/kept",
        b".mirror",
    ] {
        if let Ok((dir, name)) = root.parent(d) {
            let _ = rustix::fs::unlinkat(&dir, &name, rustix::fs::AtFlags::REMOVEDIR);
        }
    }
    Ok(root
        .open_at(b".mirror", rustix::fs::OFlags::PATH, Mode::empty())
        .is_err())
}

/// A pair whose legs are at hand, in the order of their letters (which is the order of the locks).
pub struct Pair {
    /// Its line.
    pub line: Line,
    /// Leg a and leg b.
    pub legs: [Leg; 2],
}

impl Pair {
    /// Opens both legs and checks that they belong together.
    pub fn open(line: &Line) -> Res<Pair> {
        let one = Leg::open(&line.legs[0])?;
        let two = Leg::open(&line.legs[1])?;
        let (a, b) = (&one.record, &two.record);
        if a.pair != b.pair
            || a.peer != b.id
            || b.peer != a.id
            || a.leg == b.leg
            || a.runtime.as_bytes() != b.runtime.as_bytes()
        {
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "{} and {} are not the legs of one pair (another disk mounted there?)",
                    text::path(&line.legs[0]),
                    text::path(&line.legs[1])
                ),
            ));
        }
        let legs = if a.leg == 0 { [one, two] } else { [two, one] };
        Ok(Pair {
            line: line.clone(),
            legs,
        })
    }

    /// The pair's id.
    pub fn pair_id(&self) -> Id {
        self.legs[0].record.pair
    }

    /// The first eight digits of the id, for display.
    pub fn short_id(&self) -> String {
        String::from_utf8_lossy(&self.pair_id().hex()[..8]).into_owned()
    }

    /// The leg whose first copy has not finished.
    pub fn incomplete(&self) -> Option<usize> {
        self.legs.iter().position(|l| !l.record.complete)
    }

    /// Pending paths of both legs, each once.
    pub fn pending(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = self.legs.iter().flat_map(Leg::pending).collect();
        all.sort();
        all.dedup();
        all
    }

    /// When and with what result the pair was last compared in full: seconds, objects, differences.
    pub fn verified(&self) -> Option<(u64, u64, u64)> {
        let text = String::from_utf8(self.legs[0].root.read(VERIFIED).ok()?).ok()?;
        let mut f = text.split_whitespace();
        Some((
            text::from_iso(f.next()?)?,
            f.next()?.parse().ok()?,
            f.next()?.parse().ok()?,
        ))
    }

    /// Records a full comparison on both legs.
    pub fn set_verified(&self, objects: u64, differences: u64) {
        let line = format!("{} {objects} {differences}\n", text::iso(text::now()));
        for l in &self.legs {
            // A report's date is not worth failing for: status then shows the older one.
            let _ = l.root.replace(VERIFIED, line.as_bytes());
        }
    }
}

/// A fresh random id.
pub fn random_id() -> Res<Id> {
    let mut b = [0u8; 16];
    let mut n = 0;
    while n < b.len() {
        n += rustix::rand::getrandom(&mut b[n..], rustix::rand::GetRandomFlags::empty())
            .about("getrandom")?;
    }
    Ok(Id(b))
}

/// Where the runtime file of a pair of this user is.
pub fn runtime_path(pair: Id, uid: u32) -> PathText<256> {
    let hex = pair.hex();
    let hex = String::from_utf8_lossy(&hex);
    let p = if uid == 0 {
        format!("/run/mirror/{hex}")
    } else {
        format!("/dev/shm/mirror-{uid}/{hex}")
    };
    PathText::from_bytes(p.as_bytes()).unwrap_or_default()
}
