//! `mirror init --share`: whose pair it is, and whether the trees fit that.
use super::explain;
use super::finding::Finding;
use crate::fail::{Context, Fail, Kind, Res};
use crate::output;
use crate::pair::control::With;
use crate::pair::legs::{OpenLeg, Pair};
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::text;
use crate::tree::beneath::Root;
use clap::ValueEnum;
use mirror_core::record::{self, CONTROL};
use mirror_core::tab::{OnFailure, OnFull};
use mirror_core::{LockKind, PerLeg};
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::MetadataExt;

/// Who may use a pair.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Share {
    /// The user who makes it, and root
    Owner,
    /// The members of leg a's group as well
    Group,
    /// Everybody whom the trees' own rights let in
    All,
}

impl Share {
    /// With whom: the group is that of leg a's root. Refuses what needs users that trust each other.
    pub fn with(self, leg_a: &Root, line: &Line) -> Res<With> {
        fits(self, line)?;
        Ok(match self {
            Share::Owner => With::Nobody,
            Share::Group => {
                let st = rustix::fs::fstat(leg_a.fd()).about(text::path(&leg_a.path))?;
                With::Group(st.st_gid)
            }
            Share::All => With::All,
        })
    }
}

/// Whose both legs' control folders are, if they seem to be one user's.
pub fn owner(roots: &PerLeg<Root>) -> Res<Option<u32>> {
    let of = |r: &Root| -> Res<u32> {
        let fd = r
            .open_at(CONTROL, OFlags::PATH, Mode::empty())
            .about(text::path(&r.path))?;
        Ok(rustix::fs::fstat(&fd).about(text::path(&r.path))?.st_uid)
    };
    let (a, b) = (of(&roots.a)?, of(&roots.b)?);
    Ok((a == b).then_some(a))
}

/// A directory that others can write, and so who can put a `.mirror` of their own there.
pub struct Exposed {
    /// Who can do what.
    why: String,
    /// What to type: one of these.
    ways: [String; 2],
    /// Only members of the root's own group can: sharing the pair with them would do as well.
    shareable: bool,
}

/// Whoever may rename `.mirror`, or a directory above it, can put one of his own there: all but members
/// of the group that shares the pair.
pub fn exposed(r: &Root, with: With) -> Option<Exposed> {
    let group = with.group();
    r.path.ancestors().enumerate().find_map(|(n, dir)| {
        let m = dir.symlink_metadata().ok()?;
        if m.mode() & libc::S_ISVTX != 0 {
            return None;
        }
        let (shown, quoted) = (text::path(dir), text::shell(dir));
        let everybody = m.mode() & 0o002 != 0;
        let of_group =
            m.mode() & 0o020 != 0 && group != Some(m.gid()) && !private(m.uid(), m.gid());
        let who = match (everybody, of_group) {
            (true, _) => "everybody".to_string(),
            (_, true) => format!("group {}", m.gid()),
            _ => return None,
        };
        let what = if n == 0 {
            "could replace .mirror in it, and lead programs of others astray"
        } else {
            "could replace what is below it, and so the leg"
        };
        let mode = if of_group { "go-w" } else { "o-w" };
        Some(Exposed {
            why: format!("{shown}: {who} may write it and {what}"),
            ways: [
                format!("chmod {mode} {quoted}"),
                format!("chmod +t {quoted}"),
            ],
            shareable: n == 0 && with == With::Nobody && of_group && !everybody,
        })
    })
}

/// Refuses a leg whose control folder others can replace.
pub fn keeps_control(r: &Root, with: With) -> Res<()> {
    let me = rustix::process::geteuid().as_raw();
    let owner = r.path.symlink_metadata().map_or(me, |m| m.uid());
    if with == With::Nobody && !mapped(owner, me) {
        output::say!(
            "! {} belongs to {}, who could stop the pair. Better: run as {}, or --share group",
            text::path(&r.path),
            text::user(owner),
            text::user(owner)
        );
    }
    let Some(e) = exposed(r, with) else {
        return Ok(());
    };
    let mut way = e.ways.join(", or ");
    if e.shareable {
        let gid = r.path.symlink_metadata().map_or(0, |m| m.gid());
        way += &format!(", or share the pair with group {gid}: --share group");
    }
    Err(Fail::new(
        Kind::Permission,
        format!("{}: refused. {way}", e.why),
    ))
}

/// The legs of a pair in which others can put a control folder of their own.
pub fn findings(pair: &Pair) -> Vec<Finding> {
    let of = |leg: &OpenLeg| {
        let gid = leg.owner().map_or(u32::MAX, |o| o.1);
        let e = exposed(&leg.root, With::of(leg.record.share, gid))?;
        let [chmod, sticky] = e.ways;
        Some(
            Finding::new(State::Exposed, explain::EXPOSED, e.why)
                .act(chmod, "keeps them out; programs keep running")
                .act(sticky, "or lets them write and rename only what is theirs"),
        )
    };
    pair.legs.iter().filter_map(of).collect()
}

/// Whether a directory's owner is root or this user, or one whom this user namespace cannot name.
fn mapped(uid: u32, me: u32) -> bool {
    let number = |file: &str| {
        std::fs::read_to_string(file)
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let namespace = std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|m| m.split_whitespace().nth(2) != Some("4294967295"));
    uid == 0 || uid == me || (namespace && number("/proc/sys/kernel/overflowuid") == Some(uid))
}

/// Whether a group is its user's own: the same number, and nobody else in it.
fn private(uid: u32, gid: u32) -> bool {
    let lines = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let gid_text = gid.to_string();
    let name = text::user(uid);
    let others = lines("/etc/group").lines().any(|l| {
        let f: Vec<&str> = l.split(':').collect();
        f.get(2) == Some(&gid_text.as_str())
            && f.get(3)
                .is_some_and(|m| m.split(',').any(|u| !u.is_empty() && u != name))
    }) || lines("/etc/passwd").lines().any(|l| {
        let f: Vec<&str> = l.split(':').collect();
        f.get(3) == Some(&gid_text.as_str()) && f.get(2) != Some(&uid.to_string().as_str())
    });
    uid == gid && !others
}

/// What it means that a control folder could not be given to the group.
pub fn explain(e: Fail, with: With) -> Fail {
    match with {
        With::Group(g) if e.kind == Kind::Permission => Fail::new(
            Kind::Permission,
            format!(
                "{}. --share group shares with leg a's group ({g}): only its members, and root, can do that. chgrp the legs first",
                e.text
            ),
        ),
        _ => e,
    }
}

/// Says where the trees, or their file systems, do not fit the sharing.
pub fn warn(roots: &PerLeg<Root>, with: With) {
    if with == With::All {
        output::say!(
            "! shared with all: whoever may enter the trees, and any user of this machine once programs work, can make changes of the others fail, and say that what is there is not so: mirror verify tells. Their programs do not hang or end of it, and what one left half done is repaired by mirror resync alone."
        );
    }
    for (leg, r) in roots.each() {
        let (leg, path) = (leg.letter(), text::shell(&r.path));
        let Ok(st) = rustix::fs::fstat(r.fd()) else {
            continue;
        };
        match with {
            With::Group(g) if st.st_gid != g => output::say!(
                "! leg {leg} belongs to group {}, the pair to group {g}. chgrp -R {g} {path}",
                st.st_gid
            ),
            With::Group(g) if st.st_mode & 0o2070 != 0o2070 => output::say!(
                "! leg {leg}: what one member of group {g} makes here, others may not change. chmod g+rwxs {path}"
            ),
            With::Group(_) | With::All => {}
            With::Nobody => open_to_others(r, leg),
        }
    }
}

fn open_to_others(r: &Root, leg: char) {
    let mode = r
        .open_at(CONTROL, OFlags::PATH, Mode::empty())
        .and_then(|fd| Ok(rustix::fs::fstat(fd)?.st_mode));
    if mode.is_ok_and(|m| m & 0o077 != 0) {
        output::say!(
            "! leg {leg}: its file system does not keep others out of .mirror: they could stop the pair."
        );
    }
}

/// A pair that is there keeps the sharing that it was made with.
pub fn as_made(share: Share, made: record::Share, line: &Line) -> Res<()> {
    let who = match (share, made) {
        (Share::Group, record::Share::Owner) => "only its owner and root may use it",
        (Share::All, record::Share::Owner) => "only its owner and root may use it",
        (Share::All, record::Share::Group) => "only a group and root may use it",
        (Share::Group, record::Share::All) => "everybody may use it",
        _ => return Ok(()),
    };
    let v = text::shell(&line.virt);
    Err(Fail::failed(format!(
        "{} is already a pair, and {who}. To share it otherwise: mirror detach {v}, then this command again",
        text::path(&line.virt)
    )))
}

fn fits(share: Share, line: &Line) -> Res<()> {
    let what = match (line.on_failure, line.on_full, line.locks) {
        _ if share != Share::All => return Ok(()),
        (OnFailure::Degrade, _, _) => "--on-failure degrade",
        (_, OnFull::Degrade, _) => "--on-full degrade",
        (_, _, Some(LockKind::Memory)) => "--locks memory",
        _ => return Ok(()),
    };
    Err(Fail::new(
        Kind::Usage,
        format!("{what} and --share all do not go together: any user could make it so"),
    ))
}
