//! `mirror init`: makes two directories the legs of a pair. Refused, it leaves nothing; interrupted,
//! the same command goes on.
use super::places::{self, There};
use super::scan::{Scan, scan};
use super::{ask, can_ask, sharing};
use crate::cli::{self, Init};
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::control::{
    Leg, Pair, make_control, random_id, read_record, remove_control, runtime_path,
};
use crate::pair::tab::{self, Line};
use crate::pair::{domain, tabwrite};
use crate::sync::equal::Work;
use crate::sync::session;
use crate::sync::walk::{Collect, Tally, walk};
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::object::Fidelity;
use crate::tree::probe;
use mirror_core::record::LegRecord;
use mirror_core::tab::{OnFailure, OnFull, overlap};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

struct Plan {
    line: Line,
    tab: PathBuf,
    roots: [Root; 2],
    scans: [Scan; 2],
    /// The leg that is filled, if one is.
    sink: Option<usize>,
    /// Stripes of each lock table.
    stripes: u8,
    /// The group whose members may use the pair.
    group: Option<u32>,
}

/// Runs it.
pub fn run(a: &Init) -> Res<u8> {
    let (line, tab, roots) = place(a)?;
    let known = tab::load()?;
    if let Some(old) = known
        .iter()
        .find(|l| l.virt == line.virt && l.legs == line.legs)
    {
        return again(old, a);
    }
    places::free(&line, &known)?;
    if let Some(code) = adopt(&line, &tab, &roots, a)? {
        return Ok(code);
    }
    for r in &roots {
        if read_record(r)?.is_some() {
            return Err(Fail::failed(format!(
                "{} is already a leg of another pair. mirror detach that pair first (or, if it is gone for good, remove {}/.mirror)",
                text::path(&r.path),
                text::path(&r.path)
            )));
        }
        places::no_leg_above(&r.path)?;
    }
    if !line.in_place() {
        places::look(&line.virt, &line.legs[0])?;
    }
    crate::signal::stop_gently();
    let scans = [scan(&roots[0])?, scan(&roots[1])?];
    for (r, s) in roots.iter().zip(&scans) {
        if let Some(n) = &s.nested {
            return Err(Fail::failed(format!(
                "{} contains a leg of another pair: {}. Pairs cannot share directories",
                text::path(&r.path),
                text::show(n)
            )));
        }
    }
    let (roots, sink) = judge(roots, &scans)?;
    let group = sharing::group(a.share, &roots[0])?;
    execute(
        Plan {
            line,
            tab,
            roots,
            scans,
            sink,
            stripes: a.stripes,
            group,
        },
        a,
    )
}

fn place(a: &Init) -> Res<(Line, PathBuf, [Root; 2])> {
    if let Some(t) = &a.tab {
        // SAFETY: no other thread exists yet.
        unsafe { std::env::set_var("MIRRORTAB", std::path::absolute(t).about(text::path(t))?) };
    }
    let tab = tab::own_tab()?;
    let roots = [places::leg(&a.leg_a)?, places::leg(&a.leg_b)?];
    places::apart(&roots[0], &roots[1])?;
    let wanted = match (&a.at, &a.name) {
        (Some(v), _) => Some(v.clone()),
        (None, Some(n)) if n.as_bytes().contains(&b'/') || n.is_empty() => {
            return Err(Fail::new(
                Kind::Usage,
                format!(
                    "--name {}: a name without '/'. For another place: --at",
                    text::show(n.as_bytes())
                ),
            ));
        }
        (None, Some(n)) => roots[0].path.parent().map(|p| p.join(n)),
        (None, None) => None,
    };
    let virt = match wanted {
        Some(v) => places::virt(&v)?,
        None => roots[0].path.clone(),
    };
    let line = Line {
        virt,
        legs: [roots[0].path.clone(), roots[1].path.clone()],
        on_failure: match a.on_failure {
            cli::OnFailure::Degrade => OnFailure::Degrade,
            cli::OnFailure::Fail => OnFailure::Fail,
        },
        on_full: match a.on_full {
            cli::OnFull::Error => OnFull::Error,
            cli::OnFull::Degrade => OnFull::Degrade,
        },
        file: Some(tab.clone()),
        number: 0,
    };
    if !line.in_place()
        && line
            .legs
            .iter()
            .any(|l| overlap(l.as_os_str().as_bytes(), line.virt.as_os_str().as_bytes()))
    {
        return Err(Fail::failed(format!(
            "{} overlaps a leg. Choose a path outside both legs, or leave --at out",
            text::path(&line.virt)
        )));
    }
    Ok((line, tab, roots))
}

/// Which leg must be filled. Two trees that differ are refused.
fn judge(roots: [Root; 2], scans: &[Scan; 2]) -> Res<([Root; 2], Option<usize>)> {
    match (scans[0].entries, scans[1].entries) {
        (0, 0) => return Ok((roots, None)),
        (_, 0) => return Ok((roots, Some(1))),
        (0, _) => return Ok((roots, Some(0))),
        _ => {}
    }
    let [a, b] = roots;
    let (a, b) = (Leg::bare(a, 0), Leg::bare(b, 1));
    let bar = session::bar(scans[0].bytes, "compared");
    let mut w = Work::new(&a, &b, Fidelity::full(), false, bar.clone());
    let r = walk(&mut w, &mut Collect(|_: &[u8], _: &_| {}));
    bar.finish_and_clear();
    let t: Tally = r.about("comparing")?;
    if t.differences() > 0 || !t.trouble.is_empty() {
        let (pa, pb) = (&a.root.path, &b.root.path);
        return Err(Fail::failed(format!(
            "{} and {} differ ({} only in a, {} only in b, {} different).\n  look: mirror diff {} {}    then make one of them empty, or equal to the other, and type this again",
            text::path(pa),
            text::path(pb),
            text::plural(t.missing, "file"),
            text::count(t.extra),
            text::count(t.different + t.trouble.len() as u64),
            text::shell(pa),
            text::shell(pb)
        )));
    }
    Ok(([a.root, b.root], None))
}

fn describe(i: usize, r: &Root, s: &Scan) -> String {
    let what = if s.entries == 0 {
        format!("empty, {} free", text::bytes(probe::space(r).free))
    } else {
        format!(
            "{} in {}",
            text::bytes(s.bytes),
            text::plural(s.files, "file")
        )
    };
    format!(
        "leg {}  {}   {}  {what}",
        crate::pair::control::letter(i),
        text::path(&r.path),
        probe::kind(&r.path)
    )
}

fn warn(p: &Plan) {
    let src = p.sink.map_or(0, |s| 1 - s);
    let s = &p.scans[src];
    if let Ok(a) = probe::abilities(&p.roots[1 - src]) {
        let lost: Vec<&str> = [
            (a.xattrs, "extended attributes"),
            (a.links, "hard links"),
            (a.symlinks, "symlinks"),
            (a.modes, "permission bits"),
        ]
        .into_iter()
        .filter_map(|(can, what)| (!can).then_some(what))
        .collect();
        if !lost.is_empty() {
            crate::say!(
                "! leg {} has no {}: what uses them exists on leg {} only.",
                crate::pair::control::letter(1 - src),
                lost.join(", no "),
                crate::pair::control::letter(src)
            );
        }
    }
    if s.links_out > 0 {
        crate::say!(
            "! {} out of the tree: what is there is not mirrored.",
            if s.links_out == 1 {
                "1 symlink leads".into()
            } else {
                format!("{} symlinks lead", text::count(s.links_out))
            }
        );
    }
    for m in &s.mounts {
        crate::say!(
            "! {} is another file system inside the leg: its contents are mirrored while it is mounted.",
            text::show(m)
        );
    }
    let mut users: Vec<String> = p.roots.iter().flat_map(super::scan::users).collect();
    users.dedup();
    if !users.is_empty() {
        let (have, them) = if users.len() == 1 {
            ("has files open here and is", "it")
        } else {
            ("have files open here and are", "them")
        };
        crate::say!(
            "! {} {have} not mirrored: {}. Restart {them} under mirror run.",
            text::plural(users.len() as u64, "program"),
            users.join(" ")
        );
    }
    sharing::warn(&p.roots, p.group);
    if p.line.in_place() {
        crate::say!(
            "! in place: a program started without the mirror writes leg a only. `mirror verify` shows what differs."
        );
    }
}

fn execute(p: Plan, a: &Init) -> Res<u8> {
    let copied = p.sink.map(|s| p.scans[1 - s].bytes);
    if let (Some(bytes), Some(sink)) = (copied, p.sink)
        && !a.yes
        && !can_ask()
    {
        return Err(Fail::failed(format!(
            "{} would be copied from {} to {}, and nobody can be asked here. Nothing was done. To do it: add --yes",
            text::bytes(bytes),
            text::path(&p.roots[1 - sink].path),
            text::path(&p.roots[sink].path)
        )));
    }
    let ready = prepare(&p, a);
    match ready {
        Ok(true) => {}
        r => {
            for root in &p.roots {
                let _ = remove_control(root);
            }
            return r.map(|_| 1);
        }
    }
    let undo_link = !p.line.in_place()
        && places::look(&p.line.virt, &p.line.legs[0]).is_ok_and(|t| t != There::Link);
    let made = publish(&p);
    if let Err(e) = made {
        for root in &p.roots {
            let _ = remove_control(root);
        }
        if undo_link && places::look(&p.line.virt, &p.line.legs[0]).is_ok_and(|t| t == There::Link)
        {
            let _ = std::fs::remove_file(&p.line.virt);
        }
        return Err(e);
    }
    complete(&p.line, a)
}

/// Makes the control folders, says what will be, asks. `false`: the answer was no.
fn prepare(p: &Plan, a: &Init) -> Res<bool> {
    for r in &p.roots {
        make_control(r, p.group).map_err(|e| sharing::explain(e, p.group))?;
    }
    for i in 0..2 {
        crate::say!("{}", describe(i, &p.roots[i], &p.scans[i]));
    }
    warn(p);
    let Some(sink) = p.sink else { return Ok(true) };
    let bytes = p.scans[1 - sink].bytes;
    let free = probe::space(&p.roots[sink]).free;
    if bytes > free {
        return Err(Fail::failed(format!(
            "leg {} ({}) has {} free, {} are needed. Make room, or choose another directory",
            crate::pair::control::letter(sink),
            text::path(&p.roots[sink].path),
            text::bytes(free),
            text::bytes(bytes)
        )));
    }
    let (from, to) = (
        crate::pair::control::letter(1 - sink),
        crate::pair::control::letter(sink),
    );
    let q = format!(
        "Copy {} from {from} to {to} (can be stopped and continued)?",
        text::bytes(bytes)
    );
    let go = a.yes || ask(&q);
    if !go {
        crate::note!("Nothing was done.");
    }
    Ok(go)
}

/// Records, V, the mirrortab: from here on the pair exists.
fn publish(p: &Plan) -> Res<()> {
    let (pair, ids) = (random_id()?, [random_id()?, random_id()?]);
    // The sink's record first: a leg that is not complete must never be taken for one that is.
    let order = if p.sink == Some(0) { [0, 1] } else { [1, 0] };
    for i in order {
        let record = LegRecord {
            pair,
            leg: u8::from(i == 1),
            id: ids[i],
            peer: ids[1 - i],
            complete: p.sink != Some(i),
            stripes: p.stripes,
            group: p.group.is_some(),
            runtime: runtime_path(pair, rustix::process::geteuid().as_raw(), p.group.is_some()),
        };
        p.roots[i]
            .replace(b".mirror/leg", record.encode().as_bytes())
            .about(text::path(&p.roots[i].path))?;
    }
    if !p.line.in_place() {
        places::make_link(&p.line.virt, &p.line.legs[0])?;
    }
    let mut held = tabwrite::Held::take(&p.tab)?;
    places::free(&p.line, &tab::load()?)?;
    held.add(&p.line)
}

/// The records of an interrupted or forgotten init of exactly these legs: the pair is taken up again.
fn adopt(line: &Line, tab: &std::path::Path, roots: &[Root; 2], a: &Init) -> Res<Option<u8>> {
    let (Ok(Some(x)), Ok(Some(y))) = (read_record(&roots[0]), read_record(&roots[1])) else {
        return Ok(None);
    };
    if x.pair != y.pair || x.peer != y.id || y.peer != x.id || (x.leg, y.leg) != (0, 1) {
        return Ok(None);
    }
    sharing::as_made(a.share, x.group, line)?;
    if !line.in_place() {
        places::make_link(&line.virt, &line.legs[0])?;
    }
    tabwrite::Held::take(tab)?.add(line)?;
    complete(line, a).map(Some)
}

/// The pair is configured: goes on where the first copy stopped, if it did.
fn again(line: &Line, a: &Init) -> Res<u8> {
    if !line.in_place() {
        places::make_link(&line.virt, &line.legs[0])?;
    }
    let p = Pair::open(line)?;
    sharing::as_made(a.share, p.legs[0].record.group, line)?;
    if let Some(sink) = p.incomplete() {
        if !a.yes && !can_ask() {
            return Err(Fail::failed(format!(
                "the first copy of {} to leg {} has not finished, and nobody can be asked here. Nothing was done. To go on: add --yes",
                text::path(&line.virt),
                p.legs[sink].letter()
            )));
        }
        drop(p);
        return complete(line, a);
    }
    crate::say!(
        "ready     {}  already a pair ({})",
        text::path(&line.virt),
        line.place()
    );
    crate::say!("next      mirror status {}", text::shell(&line.virt));
    Ok(0)
}

/// Copies what is missing and declares the pair complete.
fn complete(line: &Line, a: &Init) -> Res<u8> {
    crate::signal::stop_gently();
    let pair = Pair::open(line)?;
    let mut p = domain::attach(pair)?;
    if p.pair.incomplete().is_some() {
        fill(&mut p).map_err(|f| go_on(f, a, line))?;
    }
    crate::say!("ready     {}  IN SYNC", text::path(&line.virt));
    // A plain preload ends with 78 without it.
    if let Err(e) = crate::launch::library::prepare() {
        crate::say!("! programs cannot be mirrored yet: {e}");
    }
    crate::say!("next      mirror run -- COMMAND");
    Ok(0)
}

/// Finishes the first copy of an attached pair. Also what `resync` does with an incomplete leg.
pub fn fill(p: &mut domain::Attached) -> Res<()> {
    let Some(sink) = p.pair.incomplete() else {
        return Ok(());
    };
    let bar = session::bar(
        session::total(p),
        "  ^C continues later with the same command",
    );
    let r = session::repair(p, false, bar)?;
    if let Some((rel, why)) = r.tally.trouble.first() {
        return Err(Fail::failed(format!(
            "{} could not be copied, first: {} ({why}). Mend that, then",
            text::plural(r.tally.trouble.len() as u64, "path"),
            text::show(rel)
        )));
    }
    p.pair.legs[sink].set_complete(true)
}

fn go_on(f: Fail, a: &Init, line: &Line) -> Fail {
    let mut words = vec![
        "mirror init".to_string(),
        text::shell(&a.leg_a),
        text::shell(&a.leg_b),
    ];
    if let Some(v) = &a.at {
        words.push(format!("--at {}", text::shell(v)));
    }
    if let Some(n) = &a.name {
        words.push(format!("--name {}", text::shell(n.as_ref())));
    }
    if a.share == cli::Share::Group {
        words.push("--share group".into());
    }
    if a.yes {
        words.push("--yes".into());
    }
    Fail::new(
        f.kind,
        format!(
            "{}\n  the copy is not finished; what is there stays. To go on: {}    to give up: mirror detach {}",
            f.text,
            words.join(" "),
            text::shell(&line.virt)
        ),
    )
}
