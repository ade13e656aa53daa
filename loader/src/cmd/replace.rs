//! `mirror leg replace`: the pair gets a new leg b, in an empty directory. What is copied to it, and when it is part
//! of the pair, is the return of a leg (`leg online`).
//!
//! Rules: first the mark, so that programs go on with leg a and look at no leg b; then the new leg's record,
//! incomplete; then the mirrortab; then leg a's record, which names its partner. Whoever stops on the way leaves
//! the mark, and the same command goes on. The old leg is not touched.
use super::scan::{Scan, scan};
use super::side::Side;
use super::{ask, can_ask, fit, places, sharing};
use crate::fail::{Context, Fail, Kind, Res};
use crate::output;
use crate::pair::control::{
    With, begin_making, discard_unfinished, made, make_control, random_id, remove_control,
};
use crate::pair::legs::{OpenLeg, read_record};
use crate::pair::tab::{self, Line};
use crate::pair::{attached, audited, away, tabwrite};
use crate::sync::own;
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::{locks, probe};
use clap::Args;
use mirror_core::record::{LegRecord, OWNER_RECORD};
use mirror_core::{Leg, PerLeg};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The new leg.
#[derive(Args)]
pub struct Replace {
    /// The pair
    pub pair: PathBuf,
    /// The leg (b)
    #[arg(value_enum)]
    pub leg: Side,
    /// The directory of the new leg: empty, and there
    pub new: PathBuf,
    /// Only say what would be done
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// Makes the new leg, up to the copy. `false`: a dry run has said what would be done.
pub fn prepare(r: &Replace) -> Res<bool> {
    let all = tab::load()?;
    let l = tab::find(&all, &r.pair)?;
    let shown = text::path(&l.virt);
    let Some(file) = &l.file else {
        return refuse(format!(
            "{shown} comes from the variable MIRROR: give it another leg b there"
        ));
    };
    let mut a = OpenLeg::open(&l.legs.a)?;
    a.trusted(l)?;
    if a.record.leg != Leg::A || !a.record.complete {
        return refuse(format!(
            "{shown}: leg a is not whole, or the mirrortab names the legs in the wrong order. mirror status {}",
            text::shell(&l.virt)
        ));
    }
    let new = places::leg(&r.new)?;
    let begun = is_new(&a, &new, l, &r.new)?;
    let _away = match r.dry_run {
        true => None,
        false => unaudited(&a, l)?,
    };
    let audit = audited::of(&a.root).is_some_and(|(_, runs)| r.dry_run && runs);
    // An audit that a dry run has not asked to let go holds what programs hold.
    if l.legs.b != new.path && !(audit && attached::count(&a.root) == Some(0)) {
        unused(&a, l)?;
    }
    if audit {
        output::say!("! an audit runs: it lets go of the pair first, or must be ended");
    }
    let line = Line {
        legs: PerLeg {
            a: l.legs.a.clone(),
            b: new.path.clone(),
        },
        ..l.clone()
    };
    let with = suits(&line, &all, &a, &new)?;
    let go = (|| -> Res<Option<Option<Scan>>> {
        if begun {
            return Ok(agreed(r, l, &new, None)?.then_some(None));
        }
        make_control(&new, with).map_err(|e| sharing::explain(e, with))?;
        let tree = room(&a, &new)?;
        Ok(agreed(r, l, &new, Some(&tree))?.then_some(Some(tree)))
    })();
    let tree = match go {
        Ok(Some(tree)) => tree,
        other => {
            if !begun {
                let _ = remove_control(&new);
            }
            return other.map(|_| false);
        }
    };
    away::leave(l)?;
    publish(&mut a, &new, line, file, tree.as_ref())?;
    output::say!(
        "{shown}    leg b is {} now; what was leg b is no part of the pair any more, and stays as it is",
        text::path(&new.path)
    );
    Ok(true)
}

/// No audit watches the pair, and none comes as long as what is returned lives: it would go on with the old leg b.
fn unaudited(a: &OpenLeg, l: &Line) -> Res<Option<OwnedFd>> {
    audited::keep_away(&a.root).map_err(|pid| {
        Fail::new(
            Kind::Busy,
            format!(
                "{} is audited (mirror audit, process {pid}), and the audit knows the old leg b only. End it first: kill {pid}; then type this again",
                text::path(&l.virt)
            ),
        )
    })
}

/// Nobody is attached to the pair: who is knows the old leg b by its path, would look for it there when the new one
/// comes, and leave the leg behind again. Who comes after this does no harm that way either.
fn unused(a: &OpenLeg, l: &Line) -> Res<()> {
    let at = || text::path(&a.root.path);
    let owner = match a.root.open_at(OWNER_RECORD, OFlags::RDONLY, Mode::empty()) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        r => r.about(at())?,
    };
    match flock(&owner, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => refuse(format!(
            "{}: programs work with it, and know the old leg b only (mirror ps {}). Stop them, type this again, and start them as soon as the copy begins",
            text::path(&l.virt),
            text::shell(&l.virt)
        )),
        Err(e) => Err(Fail::io(at(), e)),
    }
}

/// Says what would be done, and asks. `false`: it is not to be done.
fn agreed(r: &Replace, l: &Line, new: &Root, tree: Option<&Scan>) -> Res<bool> {
    let shown = text::path(&l.virt);
    let what = match tree {
        Some(t) => format!(
            "{} in {} copied from a to {}",
            text::bytes(t.bytes),
            text::plural(t.files, "file"),
            text::path(&new.path)
        ),
        None => format!("the copy to {} goes on", text::path(&new.path)),
    };
    if r.dry_run {
        output::say!(
            "{shown}    would get a new leg b: {what}; {} stays as it is",
            text::path(&l.legs.b)
        );
        output::say!("dry run: nothing was done");
        return Ok(false);
    }
    if !r.yes && !can_ask() {
        return refuse(format!(
            "{shown}: {what}, and nobody can be asked here. Nothing was done. To do it: add --yes"
        ));
    }
    if !r.yes
        && !ask(&format!(
            "Give {shown} a new leg b: {what}? Programs go on with leg a alone meanwhile."
        ))
    {
        return refuse("nothing was done".into());
    }
    Ok(true)
}

fn refuse<T>(why: String) -> Res<T> {
    Err(Fail::new(Kind::Usage, why))
}

/// Whether the new directory is what an interrupted replacement has begun with. It must be empty otherwise.
fn is_new(a: &OpenLeg, new: &Root, l: &Line, word: &Path) -> Res<bool> {
    discard_unfinished(new)?;
    let at = text::path(word);
    let v = text::shell(&l.virt);
    let ours = |b: &LegRecord| b.leg == Leg::B && a.record.pair == b.pair;
    match read_record(new)? {
        // Copied, and not part of the pair yet.
        Some(b) if ours(&b) && a.record.peer == b.id && away::mark(&a.root).stands() => {
            return Ok(true);
        }
        Some(b) if a.record.pair == b.pair && a.record.peer == b.id && b.complete => {
            refuse(format!(
                "{at} is leg b already. To make it like a: mirror leg online {v} b (or mirror resync {v})"
            ))
        }
        Some(b) if ours(&b) && !b.complete => return Ok(true),
        Some(_) => refuse(format!(
            "{at} is, or was, a leg of a pair. If it is not needed any more, remove what is in it, {}/.mirror as well",
            text::path(&new.path)
        )),
        None => Ok(()),
    }?;
    match new.names(b"").about(&at)?.is_empty() {
        true => Ok(false),
        false => refuse(format!(
            "{at} is not empty: nothing is overwritten. Choose an empty directory"
        )),
    }
}

/// Whether the directory can be a leg of this pair, for the user who makes it. Who may use the pair.
fn suits(line: &Line, all: &[Line], a: &OpenLeg, new: &Root) -> Res<With> {
    places::apart(&a.root, new)?;
    if !line.in_place() {
        places::outside_legs(&line.virt, &line.legs)?;
    }
    let others: Vec<Line> = all
        .iter()
        .filter(|o| o.virt != line.virt)
        .cloned()
        .collect();
    places::free(line, &others)?;
    places::no_leg_above(&new.path)?;
    tabwrite::can_be_said(line)?;
    let (owner, gid) = a.owner().about(text::path(&a.root.path))?;
    if rustix::process::geteuid().as_raw() != owner {
        return Err(Fail::new(
            Kind::Permission,
            format!(
                "{} belongs to {1}. Run as {1}",
                text::path(&line.virt),
                text::user(owner)
            ),
        ));
    }
    let with = With::of(a.record.share, gid);
    sharing::keeps_control(new, with)?;
    Ok(with)
}

/// Whether what leg a holds fits into the new leg, which has its control folder.
fn room(a: &OpenLeg, new: &Root) -> Res<Scan> {
    if let Err(why) = locks::exclude(new) {
        return refuse(format!(
            "{}: {why}. Mirrored programs could not keep out of each other's way",
            text::path(&new.path)
        ));
    }
    let tree = scan(&a.root, new)?;
    let space = probe::space(new);
    if space.known && tree.bytes > space.free {
        return Err(Fail::failed(format!(
            "{} has {} free, {} are needed. Make room, or choose another directory",
            text::path(&new.path),
            text::bytes(space.free),
            text::bytes(tree.bytes)
        )));
    }
    let able = |root: &Root| probe::abilities(root).about(text::path(&root.path));
    let v = fit::judge(
        (Leg::A, &able(&a.root)?),
        (Leg::B, &able(new)?),
        &tree.needs,
    );
    if !v.refused.is_empty() {
        return Err(Fail::failed(v.refused.join("\n  ")));
    }
    for line in v.lost.iter().chain(&v.later) {
        output::say!("! {line}");
    }
    Ok(tree)
}

/// The new leg's record, the line, leg a's record. The mark stands.
fn publish(a: &mut OpenLeg, new: &Root, line: Line, file: &Path, tree: Option<&Scan>) -> Res<()> {
    let id = match read_record(new)? {
        Some(b) => b.id,
        None => {
            let _alone = begin_making(new)?;
            let record = LegRecord {
                leg: Leg::B,
                id: random_id()?,
                peer: a.record.id,
                complete: false,
                ..a.record.clone()
            };
            new.replace(b".mirror/leg", record.encode().as_bytes())
                .about(text::path(&new.path))?;
            made(new)?;
            record.id
        }
    };
    if let Some(t) = tree {
        crate::tree::outer::list(&a.root, &t.outside);
    }
    let again = |root: &Root| Root::open(&root.path).about(text::path(&root.path));
    let roots = PerLeg {
        a: again(&a.root)?,
        b: again(new)?,
    };
    let line = Line {
        uid: sharing::owner(&roots)?,
        ..line
    };
    tabwrite::Held::take(file)?.exchange(&line)?;
    own::carry(file);
    if a.record.peer != id {
        a.record.peer = id;
        a.root
            .replace(b".mirror/leg", a.record.encode().as_bytes())
            .about(text::path(&a.root.path))?;
    }
    Ok(())
}
