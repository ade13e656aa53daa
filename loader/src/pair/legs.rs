//! The legs of a pair, opened: who each one is, whether it is believed, what is pending, when both were last
//! compared.
use super::pending::Pending;
use super::tab::Line;
use super::verified::{VERIFIED, Verified};
use crate::fail::{Context, Fail, Kind, Res, blind, reason};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::path::PathText;
use mirror_core::record::{CONTROL, Id, LegRecord, RecordFault, Share};
use mirror_core::trust::Distrust;
use mirror_core::{Errno, Leg, PerLeg};
use mirror_pair::session::{self, Doubt, Pinned};
use rustix::fs::Mode;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A leg that is open: its root and its record.
pub struct OpenLeg {
    /// The held root.
    pub root: Root,
    /// Who it is.
    pub record: LegRecord,
}

impl OpenLeg {
    /// Opens the leg at `path`.
    pub fn open(path: &Path) -> Res<OpenLeg> {
        let bad = |why: String| Fail::new(Kind::Leg, format!("{}: {why}", text::path(path)));
        let root = Root::open(path).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => OpenLeg::not_yours(path),
            _ if blind(&e) => Fail::io(text::path(path), e),
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
                return Err(Fail::new(
                    Kind::Permission,
                    format!("{}: {}", text::path(path), locked_out(path)),
                ));
            }
            Err(e) => return Err(e),
        };
        Ok(OpenLeg { root, record })
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
                            "{shown}: permission denied, although it is this user's. chmod u+rwx {}",
                            text::shell(path)
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

    /// User and group of the control folder: those of the pair.
    pub fn owner(&self) -> io::Result<(u32, u32)> {
        let fd = self
            .root
            .open_at(CONTROL, rustix::fs::OFlags::PATH, Mode::empty())?;
        let st = rustix::fs::fstat(&fd)?;
        Ok((st.st_uid, st.st_gid))
    }

    /// The runtime file with this id.
    pub fn runtime_file(&self, id: Id) -> PathBuf {
        PathBuf::from(std::ffi::OsStr::from_bytes(
            self.record.runtime_file(id).as_bytes(),
        ))
    }

    /// A directory that is no leg (yet), to compare it with another.
    pub fn bare(root: Root, leg: Leg) -> OpenLeg {
        let none = Id([0; 16]);
        OpenLeg {
            root,
            record: LegRecord {
                pair: none,
                leg,
                id: none,
                peer: none,
                complete: true,
                stripes: 1,
                share: Share::Owner,
                runtime: PathText::new(),
            },
        }
    }

    /// `a` or `b`.
    pub fn letter(&self) -> char {
        self.record.leg.letter()
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

    /// Refuses a leg whose `.mirror` somebody else may have put there, or that is not the pair of this
    /// line.
    pub fn trusted(&self, line: &Line) -> Res<()> {
        let shown = text::path(&self.root.path);
        let refuse = |why: String| Err(Fail::new(Kind::Distrust, format!("{shown}: {why}")));
        let pinned = Pinned {
            id: line.id,
            uid: line.uid,
        };
        let doubt = session::believe(self.root.fd().as_raw_fd(), &self.record, &pinned);
        let (why, folder) = match doubt {
            Err(Doubt::Folder(why, folder)) => (why, folder),
            Err(Doubt::Unasked(e)) => {
                return Err(Fail::io(&shown, io::Error::from_raw_os_error(e.0)));
            }
            Err(_) => {
                return refuse(format!(
                    "its .mirror is that of another pair than {} names (id=). If somebody replaced it, put the old one back; if this pair is the right one: mirror detach, then mirror init",
                    line.place()
                ));
            }
            Ok(()) => return Ok(()),
        };
        let owner = text::user(folder.owner.0);
        match why {
            Distrust::Open => refuse(
                "everybody can write its .mirror. chmod o-w it, if nothing in it was changed"
                    .into(),
            ),
            Distrust::Pinned => refuse(format!(
                "its .mirror belongs to {owner}, not to {}, as {} says (uid=). Somebody may have replaced it: look at it, and put the old one back",
                line.uid.map(text::user).unwrap_or_default(),
                line.place()
            )),
            Distrust::Stranger => refuse(format!(
                "its .mirror belongs to {owner}, the directory to {}. Somebody may have put it there. If it is the right one, say so in {}: uid={}",
                text::user(folder.root.0),
                line.place(),
                folder.owner.0
            )),
        }
    }
}

/// Why this user may not use the pair at `path`, and what to do.
fn locked_out(path: &Path) -> String {
    let Ok(m) = std::fs::metadata(path.join(".mirror")) else {
        return "this user may not use the pair".into();
    };
    if rustix::process::geteuid().is_root() {
        return format!(
            "its file system does not let root in (NFS with root_squash?). Run as user {}",
            m.uid()
        );
    }
    if m.mode() & 0o070 == 0o070 {
        return format!(
            "the pair belongs to group {0}, and this user is not in it. Add the user to group {0}, log in again",
            m.gid()
        );
    }
    let who = text::user(m.uid());
    format!(
        "the pair belongs to {who}, and this user may not use it. Run as {who} (or make the pair with --share group)"
    )
}

/// The record at a root; `None` if there is none.
pub fn read_record(root: &Root) -> Res<Option<LegRecord>> {
    let name = || format!("{}/.mirror/leg", text::path(&root.path));
    let why = match session::record(root.fd().as_raw_fd()) {
        Ok(record) => return Ok(Some(record)),
        Err(Doubt::Unread(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)) => return Ok(None),
        Err(Doubt::Unread(e)) => return Err(Fail::io(name(), io::Error::from_raw_os_error(e.0))),
        Err(Doubt::Damaged(RecordFault::Version)) => "of another version, or not a leg record",
        Err(Doubt::Damaged(RecordFault::Checksum)) => "damaged (checksum)",
        Err(Doubt::Damaged(RecordFault::Malformed)) => "malformed",
        Err(_) => {
            let planted = "not a regular file of the pair's own. Move it away";
            return Err(Fail::io(name(), io::Error::other(planted)));
        }
    };
    Err(Fail::new(
        Kind::Leg,
        format!(
            "{}: {why}. The other leg is not touched; mirror detach and init make a new record",
            name()
        ),
    ))
}

/// A pair whose legs are at hand, in the order of their letters (which is the order of the locks).
pub struct Pair {
    /// Its line.
    pub line: Line,
    /// Leg a and leg b.
    pub legs: PerLeg<OpenLeg>,
}

impl Pair {
    /// Opens both legs and checks that they belong together.
    pub fn open(line: &Line) -> Res<Pair> {
        let one = OpenLeg::open(&line.legs.a)?;
        let two = OpenLeg::open(&line.legs.b)?;
        if session::partners(&one.record, &two.record).is_err() {
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "{} and {} are not the legs of one pair (another disk mounted there?)",
                    text::path(&line.legs.a),
                    text::path(&line.legs.b)
                ),
            ));
        }
        one.root.agree(&two.root);
        for leg in [&one, &two] {
            leg.trusted(line)?;
        }
        let (a, b) = match one.record.leg {
            Leg::A => (one, two),
            Leg::B => (two, one),
        };
        Ok(Pair {
            line: line.clone(),
            legs: PerLeg { a, b },
        })
    }

    /// The descriptors of the legs' roots.
    pub fn roots(&self) -> PerLeg<RawFd> {
        self.trees().map(|root| root.fd().as_raw_fd())
    }

    /// The legs' roots.
    pub fn trees(&self) -> PerLeg<&Root> {
        self.legs.as_ref().map(|l| &l.root)
    }

    /// The pair's id.
    pub fn pair_id(&self) -> Id {
        self.legs.a.record.pair
    }

    /// The first eight digits of the id, for display.
    pub fn short_id(&self) -> String {
        String::from_utf8_lossy(&self.pair_id().hex()[..8]).into_owned()
    }

    /// The leg whose first copy has not finished.
    pub fn incomplete(&self) -> Option<Leg> {
        self.legs.position(|l| !l.record.complete)
    }

    /// The paths known to differ, as far as both lists can be read.
    pub fn pending(&self) -> Pending {
        super::pending::of(self.trees())
    }

    /// The last whole comparison: the newest record of both legs, of two equally old ones the worse.
    pub fn verified(&self) -> Option<Verified> {
        let records = self
            .legs
            .iter()
            .filter_map(|l| Verified::read(&l.root).ok()?);
        records.max_by_key(|v| (v.time, v.differences.saturating_add(v.uncompared)))
    }

    /// Whether a leg has a record of the last comparison that cannot be understood.
    pub fn verified_damaged(&self) -> bool {
        self.legs.iter().any(|l| Verified::read(&l.root).is_err())
    }

    /// Records a full comparison on both legs. Those that could not be written: they
    /// keep the older record.
    pub fn set_verified(&self, objects: u64, differences: u64, uncompared: u64) -> Vec<Leg> {
        let now = text::iso(text::now());
        let line = format!("{now} {objects} {differences} {uncompared}\n");
        let failed = |leg: &Leg| {
            let root = &self.legs[*leg].root;
            root.replace(VERIFIED, line.as_bytes()).is_err()
        };
        Leg::BOTH.into_iter().filter(failed).collect()
    }
}
