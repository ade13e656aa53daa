//! The control folder of a leg: what is in it, how it is made, made whole again, and removed.
use super::legs::OpenLeg;
use super::repairing;
use super::verified::VERIFIED;
use crate::fail::{Context, Fail, Kind, Res, blind, reason};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::OBJECTS;
use mirror_core::path::PathText;
use mirror_core::record::{
    CONTROL, Id, OWNER_RECORD, PENDING_LOG, Share, lock_name, runtime_place,
};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;

/// Stands in a sink that had contents of its own: the first copy keeps aside what it overwrites.
pub const KEEP: &[u8] = b".mirror/keep";

/// Stands in a leg while `init` writes the records, under its flock: one that is found free is what a
/// killed init left.
const INIT: &[u8] = b".mirror/init";

/// Marks a directory as one that is just made a leg; taken back by [`made`].
pub fn begin_making(root: &Root) -> Res<OwnedFd> {
    let about = || text::path(&root.path);
    let flags = OFlags::RDWR | OFlags::CREATE;
    let fd = root
        .control(INIT, flags, Mode::RUSR | Mode::WUSR)
        .about(about())?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Fail::new(
            Kind::Busy,
            format!("{}: another mirror init is running", about()),
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

/// Who may use a pair besides its owner and root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Nobody.
    Nobody,
    /// The members of this group.
    Group(u32),
    /// Everybody whom the trees let in.
    All,
}

impl With {
    /// As a pair's record says; `gid`: the group of its control folder.
    pub fn of(share: Share, gid: u32) -> With {
        match share {
            Share::Owner => With::Nobody,
            Share::Group => With::Group(gid),
            Share::All => With::All,
        }
    }
    /// As a pair's record says it.
    pub fn share(self) -> Share {
        match self {
            With::Nobody => Share::Owner,
            With::Group(_) => Share::Group,
            With::All => Share::All,
        }
    }
    /// The group.
    pub fn group(self) -> Option<u32> {
        match self {
            With::Group(g) => Some(g),
            With::Nobody | With::All => None,
        }
    }
}

/// Makes the control folder at a root: for this user alone, for a group, or for all.
pub fn make_control(root: &Root, with: With) -> Res<()> {
    let about = |d: &[u8]| format!("{}/{}", text::path(&root.path), text::show(d));
    let me = rustix::process::geteuid().as_raw();
    if let Ok(there) = root.open_at(CONTROL, rustix::fs::OFlags::PATH, Mode::empty())
        && let st = rustix::fs::fstat(&there).about(about(CONTROL))?
        && st.st_uid != me
    {
        return Err(Fail::new(
            Kind::Permission,
            format!(
                "{} is there and belongs to user {}. Remove it first",
                about(CONTROL),
                st.st_uid
            ),
        ));
    }
    make_parts(root, with)?;
    let probe = about(OWNER_RECORD);
    let st = rustix::fs::fstat(
        &root
            .open_at(OWNER_RECORD, rustix::fs::OFlags::PATH, Mode::empty())
            .about(&probe)?,
    )
    .about(&probe)?;
    let (kept, option) = match with {
        With::Nobody => return Ok(()),
        With::Group(g) => (st.st_gid == g && st.st_mode & 0o777 == 0o660, "group"),
        With::All => (st.st_mode & 0o777 == 0o666, "all"),
    };
    match kept {
        true => Ok(()),
        false => Err(Fail::failed(format!(
            "{}: its file system does not keep groups and modes. --share {option} needs them",
            text::path(&root.path)
        ))),
    }
}

// What is made in a folder with the set-group-id bit has its group. Not so in tmp: what is made there
// becomes part of the tree.
const FOLDERS: [(&[u8], u32); 4] = [
    (CONTROL, 0o2770),
    (b".mirror/locks", 0o2770),
    (b".mirror/tmp", 0o770),
    (b".mirror/kept", 0o2770),
];

/// In a pair of all: what everybody enters. Nobody but its owner makes or replaces anything there. (The sticky bit
/// says whose pair it is: `mirror_pair::control`.)
const ENTERED: [&[u8]; 2] = [CONTROL, b".mirror/locks"];
/// There, what everybody writes: the files that are always there, and these.
const WRITTEN: [&[u8]; 1] = [mirror_core::cores::FILE];

/// The files that are always there. (The list of repairs too, so that a full leg can have its line.)
fn files() -> impl Iterator<Item = PathText<64>> {
    let named = [OWNER_RECORD, PENDING_LOG].map(|n| PathText::from_bytes(n).unwrap_or_default());
    let locks = (0..OBJECTS).filter_map(lock_name);
    locks
        .map(|n| PathText::from_bytes(n.as_bytes()).unwrap_or_default())
        .chain(named)
}

/// Makes the folders and files of a control folder that are missing.
fn make_parts(root: &Root, with: With) -> Res<()> {
    let about = |d: &[u8]| format!("{}/{}", text::path(&root.path), text::show(d));
    for (d, shared) in FOLDERS {
        root.mkdir(d, Mode::RWXU).about(about(d))?;
        share(root, d, with, shared).about(about(d))?;
    }
    for f in files() {
        root.touch(f.as_bytes()).about(about(f.as_bytes()))?;
    }
    if with == With::All {
        let always: Vec<PathText<64>> = files().collect();
        for f in always.iter().map(PathText::as_bytes).chain(WRITTEN) {
            root.touch(f).about(about(f))?;
            let flags = OFlags::RDWR;
            let fd = root.control(f, flags, Mode::empty()).about(about(f))?;
            rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o666)).about(about(f))?;
        }
    }
    for d in [&b".mirror/locks"[..], CONTROL] {
        root.sync_dir(d).about(about(d))?;
    }
    repairing::prepare(root).about(about(repairing::FILE))
}

/// What is wrong in a leg's control folder.
#[derive(Default)]
pub struct Faults {
    /// Folders and files that are not there.
    pub missing: Vec<String>,
    /// What stands there is something else.
    pub wrong: Vec<String>,
    /// The first that could not be looked at, and why: nothing is known of it.
    pub unseen: Option<String>,
    /// Programs cannot work without one of these.
    pub fatal: bool,
}

impl Faults {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        !(self.missing.is_empty() && self.wrong.is_empty())
    }

    /// Looks at the control folder of a leg. Changes nothing.
    pub fn of(root: &Root) -> Faults {
        let mut f = Faults::default();
        let folders = FOLDERS.iter().map(|(d, _)| (d.to_vec(), true));
        let files = files().map(|n| (n.as_bytes().to_vec(), false));
        let later = [VERIFIED, repairing::FILE];
        let rest = later.map(|n| (n.to_vec(), false));
        for (rel, folder) in folders.chain(files).chain(rest) {
            let right = root
                .open_at(&rel, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
                .and_then(|fd| {
                    let st = rustix::fs::fstat(&fd)?;
                    let kind = rustix::fs::FileType::from_raw_mode(st.st_mode);
                    match folder {
                        true => Ok(kind == rustix::fs::FileType::Directory),
                        false => root.trusts(&st),
                    }
                });
            let list = match right {
                Ok(true) => continue,
                // Made when there is something to write.
                Err(e) if e.kind() == io::ErrorKind::NotFound && later.contains(&&rel[..]) => {
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => &mut f.missing,
                Err(e) if blind(&e) => {
                    let why = || format!("{}: {}", text::show(&rel), reason(&e));
                    f.unseen.get_or_insert_with(why);
                    continue;
                }
                _ => &mut f.wrong,
            };
            // Files of a folder that is not there go without saying.
            let parent = crate::tree::beneath::split(&rel).0;
            if !list.iter().any(|n: &String| n.as_bytes() == parent) {
                list.push(text::show(&rel));
            }
            f.fatal |= rel == OWNER_RECORD || rel.starts_with(b".mirror/locks");
        }
        f
    }
}

/// Makes what is missing in a leg's control folder again, with the rights that the pair has.
pub fn mend(leg: &OpenLeg) -> Res<()> {
    let (_, gid) = leg.owner().about(text::path(&leg.root.path))?;
    make_parts(&leg.root, With::of(leg.record.share, gid))
}

/// Gives a folder of the control folder to the group, or takes it from everybody else.
fn share(root: &Root, dir: &[u8], with: With, shared: u32) -> io::Result<()> {
    let fd = root.dir(dir)?;
    let st = rustix::fs::fstat(&fd)?;
    let g = match with {
        With::Group(g) => g,
        With::All if ENTERED.contains(&dir) => {
            return Ok(rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o1755))?);
        }
        With::Nobody | With::All => {
            // An older pair's, with kept versions. (A file system without modes keeps its own.)
            if st.st_mode & 0o077 != 0 {
                let _ = rustix::fs::fchmod(&fd, Mode::RWXU);
            }
            return Ok(());
        }
    };
    if st.st_gid != g {
        rustix::fs::fchown(&fd, None, Some(rustix::fs::Gid::from_raw(g)))?;
    }
    Ok(rustix::fs::fchmod(&fd, Mode::from_raw_mode(shared))?)
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
        mirror_core::names::FILE,
        mirror_core::outside::FILE,
        mirror_core::cores::FILE,
        mirror_core::away::AWAY_MARK,
        mirror_core::away::PROBE,
        VERIFIED,
        super::audited::FILE,
        super::held::FILE,
        KEEP,
        INIT,
        repairing::FILE,
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

/// What the runtime files' names of a pair of this user begin with.
pub fn runtime_path(uid: u32, with: With) -> PathText<256> {
    runtime_place(uid == 0 && with == With::Nobody)
}
