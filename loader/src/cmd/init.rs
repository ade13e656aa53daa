//! `mirror init`: makes two directories the legs of a pair. Refused, it leaves nothing; interrupted,
//! the same command goes on.
use super::fill::{adopt, again, complete};
use super::init_args::{self, Init, Wanted};
use super::judge::{Fill, judge};
use super::places::{self, There};
use super::scan::{Needs, Scan, scan};
use super::sub::{CommandLine, Sub};
use super::{ask, can_ask, explain, fit, json, sharing};
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::control::{
    KEEP, With, begin_making, discard_unfinished, made, make_control, random_id, remove_control,
    runtime_path,
};
use crate::pair::legs::read_record;
use crate::pair::tab::{self, Line};
use crate::pair::{room, tabwrite};
use crate::tree::beneath::Root;
use crate::tree::{locks, probe};
use crate::{output, text};
use mirror_core::record::LegRecord;
use mirror_core::tab::{OnFailure, OnFull, ROOT_WAIT, Unmirrorable};
use mirror_core::{Leg, PerLeg, STRIPES_DEFAULT};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

impl Sub for Init {
    const NAME: &'static str = "init";
    fn reports(&self) -> bool {
        self.json
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

struct Plan {
    line: Line,
    tab: PathBuf,
    roots: PerLeg<Root>,
    scans: PerLeg<Scan>,
    /// The leg that is filled, if one is.
    fill: Option<Fill>,
    /// Stripes of each lock table.
    stripes: u8,
    /// Who may use the pair.
    with: With,
}

/// What the preparations came to.
enum Ready {
    Go,
    No,
    Dry,
}

/// Runs it.
pub fn run(a: &Init) -> Res<u8> {
    let (line, tab, roots) = place(a)?;
    output::put(&json::Init {
        r#virtual: text::path(&line.virt),
        legs: line.legs.iter().map(|l| text::path(l)).collect(),
        dry_run: a.dry_run,
    });
    let known = tab::load()?;
    if let Some(old) = known
        .iter()
        .find(|l| l.virt == line.virt && l.legs == line.legs)
    {
        return again(old, a);
    }
    room::for_one_more(&line, &known)?;
    tabwrite::can_be_said(&line)?;
    places::free(&line, &known)?;
    if let Some(code) = adopt(&line, &tab, &roots, a)? {
        return Ok(code);
    }
    for r in &roots {
        discard_unfinished(r)?;
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
        places::look(&line.virt, &line.legs.a)?;
    }
    crate::signal::stop_gently();
    let scans = PerLeg {
        a: scan(&roots.a, &roots.b)?,
        b: scan(&roots.b, &roots.a)?,
    };
    for (r, s) in roots.as_ref().zip(scans.as_ref()) {
        if let Some(n) = &s.nested {
            return Err(Fail::failed(format!(
                "{} contains a leg of another pair: {}. Pairs cannot share directories",
                text::path(&r.path),
                text::show(n)
            )));
        }
    }
    let (roots, fill) = judge(roots, &scans, a)?;
    let with = a.share.with(&roots.a, &line)?;
    for r in &roots {
        sharing::keeps_control(r, with)?;
    }
    execute(
        Plan {
            line,
            tab,
            roots,
            scans,
            fill,
            stripes: a.stripes.unwrap_or(STRIPES_DEFAULT as u8),
            with,
        },
        a,
    )
}

fn place(a: &Init) -> Res<(Line, PathBuf, PerLeg<Root>)> {
    if let Some(t) = &a.tab {
        // SAFETY: no other thread exists yet.
        unsafe { std::env::set_var("MIRRORTAB", std::path::absolute(t).about(text::path(t))?) };
    }
    let tab = tab::own_tab()?;
    let roots = PerLeg {
        a: places::leg(&a.leg_a)?,
        b: places::leg(&a.leg_b)?,
    };
    places::apart(&roots.a, &roots.b)?;
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
        (None, Some(n)) => roots.a.path.parent().map(|p| p.join(n)),
        (None, None) => None,
    };
    let virt = match wanted {
        Some(v) => places::virt(&v)?,
        None => roots.a.path.clone(),
    };
    let line = Line {
        virt,
        legs: roots.as_ref().map(|root| root.path.clone()),
        on_failure: match a.on_failure {
            init_args::OnFailure::Degrade => OnFailure::Degrade,
            init_args::OnFailure::Fail => OnFailure::Fail,
        },
        on_full: match a.on_full {
            init_args::OnFull::Error => OnFull::Error,
            init_args::OnFull::Degrade => OnFull::Degrade,
        },
        id: None,
        uid: None,
        root_wait: ROOT_WAIT,
        unmirrorable: match a.unmirrorable {
            init_args::Unmirrorable::Warn => Unmirrorable::Warn,
            init_args::Unmirrorable::Refuse => Unmirrorable::Refuse,
            init_args::Unmirrorable::Quiet => Unmirrorable::Quiet,
        },
        locks: Some(a.locks()),
        file: Some(tab.clone()),
        number: 0,
    };
    if !line.in_place() {
        places::outside_legs(&line.virt, &line.legs)?;
    }
    Ok((line, tab, roots))
}

fn describe(leg: Leg, r: &Root, s: &Scan) -> String {
    let what = if s.entries == 0 {
        match probe::space(r) {
            s if s.known => format!("empty, {} free", text::bytes(s.free)),
            _ => "empty".into(),
        }
    } else {
        format!(
            "{} in {}",
            text::bytes(s.bytes),
            text::plural(s.files, "file")
        )
    };
    format!(
        "leg {}  {}   {}  {what}",
        leg.letter(),
        text::path(&r.path),
        probe::kind(&r.path)
    )
}

/// Tries both legs, and says what they cannot do together. What cannot work is refused.
fn try_legs(p: &Plan, a: &Init) -> Res<()> {
    let able = |leg: Leg| {
        let r = &p.roots[leg];
        if let Err(why) = locks::exclude(r) {
            return Err(Fail::failed(format!(
                "leg {} ({}): {why}. Mirrored programs would change the same file at the same time: choose another file system ({})",
                leg.letter(),
                text::path(&r.path),
                explain::UNFIT
            )));
        }
        probe::abilities(r).about(text::path(&r.path))
    };
    let able = PerLeg {
        a: able(Leg::A)?,
        b: able(Leg::B)?,
    };
    for (leg, able) in able.each() {
        output::say!("{}", describe(leg, &p.roots[leg], &p.scans[leg]));
        output::say!("       {}", fit::checks(able));
    }
    let sink = p.fill.as_ref().map_or(Leg::B, |f| f.sink);
    let (s, c) = (sink.other(), sink);
    let mut v = fit::judge((s, &able[s]), (c, &able[c]), &p.scans[s].needs);
    // What the source lacks concerns what programs will make.
    let back = fit::judge((c, &able[c]), (s, &able[s]), &Needs::default());
    v.lost.extend(back.lost);
    if p.fill.is_some() && !rustix::process::geteuid().is_root() {
        v.lost.extend(fit::given_away(&p.scans[s].needs, c));
    }
    v.later.extend(back.later);
    v.later.extend(fit::powers(p.roots.as_ref()));
    if !v.refused.is_empty() {
        return Err(Fail::failed(v.refused.join("\n  ")));
    }
    if a.fidelity == Wanted::Full && !(v.lost.is_empty() && v.later.is_empty()) {
        let all: Vec<String> = v.lost.into_iter().chain(v.later).collect();
        return Err(Fail::failed(format!(
            "--fidelity full: {}\n  Choose another file system, or leave --fidelity full out ({})",
            all.join("\n  "),
            explain::LOSS
        )));
    }
    for line in v.lost.iter().chain(&v.later) {
        output::say!("! {line}");
    }
    if !v.lost.is_empty() {
        output::say!(
            "  (verify knows; refuse instead with --fidelity full; mirror explain {})",
            explain::LOSS
        );
    }
    Ok(())
}

fn warn(p: &Plan) {
    let src = p.fill.as_ref().map_or(Leg::A, |f| f.sink.other());
    let s = &p.scans[src];
    if p.roots.a.leaves_lost_found() {
        output::say!(
            "! lost+found at a leg's root is the file system's own: it is left out on both legs."
        );
    }
    if s.links_out > 0 {
        output::say!(
            "! {} out of the tree: what is there is not mirrored.",
            if s.links_out == 1 {
                "1 symlink leads".into()
            } else {
                format!("{} symlinks lead", text::count(s.links_out))
            }
        );
    }
    // Of the leg that is filled, names go away.
    let outer = [s, &p.scans[src.other()]].map(|s| s.names_out);
    let there = if p.fill.is_some() {
        outer[0]
    } else {
        outer[0] + outer[1]
    };
    if let Some(words) = crate::tree::outer::words(there) {
        output::say!("{words}");
    }
    for m in p.roots.a.left_mounts() {
        output::say!(
            "! {} is another file system inside one leg: it is left out, and changes in it are refused.",
            text::show(&m)
        );
    }
    for m in &s.mounts {
        output::say!(
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
        output::say!(
            "! {} {have} not mirrored: {}. Restart {them} under mirror run.",
            text::plural(users.len() as u64, "program"),
            users.join(" ")
        );
    }
    sharing::warn(&p.roots, p.with);
    if p.line.in_place() {
        output::say!(
            "! in place: a program started without the mirror writes leg a only. `mirror verify` shows what differs."
        );
    }
}

fn execute(p: Plan, a: &Init) -> Res<u8> {
    if let Some(f) = &p.fill
        && !a.yes
        && !a.dry_run
        && !can_ask()
    {
        let what = match f.loses {
            Some((extra, different)) => format!(
                "{} in {} would be overwritten and {} taken out of it (their versions kept aside)",
                text::plural(different, "path"),
                text::path(&p.roots[f.sink].path),
                text::count(extra)
            ),
            None => format!(
                "{} would be copied from {} to {}",
                text::bytes(f.bytes),
                text::path(&p.roots[f.sink.other()].path),
                text::path(&p.roots[f.sink].path)
            ),
        };
        return Err(Fail::failed(format!(
            "{what}, and nobody can be asked here. Nothing was done. To do it: add --yes"
        )));
    }
    let ready = prepare(&p, a);
    let undone = match ready {
        Ok(Ready::Go) => None,
        Ok(Ready::No) => Some(Ok(1)),
        Ok(Ready::Dry) => Some(Ok(0)),
        Err(e) => Some(Err(e)),
    };
    if let Some(r) = undone {
        // A record that is there now is that of another init.
        for root in &p.roots {
            if matches!(read_record(root), Ok(None)) {
                let _ = remove_control(root);
            }
        }
        return r;
    }
    let before = match p.line.in_place() {
        true => There::Link,
        false => places::look(&p.line.virt, &p.line.legs.a).unwrap_or(There::Link),
    };
    let emptied = std::fs::symlink_metadata(&p.line.virt);
    let made = publish(&p);
    if let Err(e) = made {
        if e.kind == Kind::Busy {
            // What stands there is another one's.
            return Err(e);
        }
        for root in &p.roots {
            let _ = remove_control(root);
        }
        if before != There::Link
            && places::look(&p.line.virt, &p.line.legs.a).is_ok_and(|t| t == There::Link)
        {
            let _ = std::fs::remove_file(&p.line.virt);
            if let (There::EmptyDir, Ok(m)) = (before, emptied) {
                places::make_empty(&p.line.virt, &m);
            }
        }
        return Err(e);
    }
    complete(&p.line, a)
}

/// Makes the control folders, says what will be, asks.
fn prepare(p: &Plan, a: &Init) -> Res<Ready> {
    for r in &p.roots {
        make_control(r, p.with).map_err(|e| sharing::explain(e, p.with))?;
    }
    try_legs(p, a)?;
    warn(p);
    let dry = || {
        output::say!("dry run: nothing was done");
        Ok(Ready::Dry)
    };
    let Some(f) = &p.fill else {
        if a.dry_run {
            output::say!(
                "would make {} a pair; nothing to copy",
                text::path(&p.line.virt)
            );
            return dry();
        }
        return Ok(Ready::Go);
    };
    let space = probe::space(&p.roots[f.sink]);
    let free = space.free;
    let (from, to) = f.letters();
    if space.known && f.bytes > free {
        return Err(Fail::failed(format!(
            "leg {to} ({}) has {} free, {} are needed. Make room, or choose another directory",
            text::path(&p.roots[f.sink].path),
            text::bytes(free),
            text::bytes(f.bytes)
        )));
    }
    let what = match f.loses {
        Some((extra, different)) => format!(
            "ake {to} like {from}: {} overwritten, {} taken out of {to}, {} copied; what {to} had is kept in {}/.mirror/kept",
            text::plural(different, "path"),
            text::count(extra),
            text::bytes(f.bytes),
            text::path(&p.roots[f.sink].path)
        ),
        None => format!("opy {} from {from} to {to}", text::bytes(f.bytes)),
    };
    let head = if f.loses.is_some() { 'm' } else { 'c' };
    if a.dry_run {
        output::say!("would {head}{what}");
        return dry();
    }
    let head = head.to_ascii_uppercase();
    let go = a.yes || ask(&format!("{head}{what} (can be stopped and continued)?"));
    if go {
        return Ok(Ready::Go);
    }
    output::note!("Nothing was done.");
    Ok(Ready::No)
}

/// Records, V, the mirrortab: from here on the pair exists.
fn publish(p: &Plan) -> Res<()> {
    let pair = random_id()?;
    let ids = PerLeg {
        a: random_id()?,
        b: random_id()?,
    };
    // The sink's record first: a leg that is not complete must never be taken for one that is.
    let sink = p.fill.as_ref().map(|f| f.sink);
    if let Some(f) = p.fill.as_ref().filter(|f| f.loses.is_some()) {
        let root = &p.roots[f.sink];
        root.append(KEEP, b"").about(text::path(&root.path))?;
    }
    let _alone = [begin_making(&p.roots.a)?, begin_making(&p.roots.b)?];
    for r in &p.roots {
        if read_record(r)?.is_some() {
            return Err(Fail::new(
                Kind::Busy,
                format!("{}: another mirror init was faster", text::path(&r.path)),
            ));
        }
    }
    let first = sink.unwrap_or(Leg::B);
    for leg in [first, first.other()] {
        let record = LegRecord {
            pair,
            leg,
            id: ids[leg],
            peer: ids[leg.other()],
            complete: sink != Some(leg),
            stripes: p.stripes,
            share: p.with.share(),
            runtime: runtime_path(rustix::process::geteuid().as_raw(), p.with),
        };
        p.roots[leg]
            .replace(b".mirror/leg", record.encode().as_bytes())
            .about(text::path(&p.roots[leg].path))?;
    }
    for (r, s) in p.roots.as_ref().zip(p.scans.as_ref()) {
        made(r)?;
        crate::tree::outer::list(r, &s.outside);
    }
    if !p.line.in_place() {
        places::make_link(&p.line.virt, &p.line.legs.a)?;
    }
    let mut held = tabwrite::Held::take(&p.tab)?;
    let known = tab::load()?;
    places::free(&p.line, &known)?;
    room::for_one_more(&p.line, &known)?;
    let line = Line {
        id: Some(pair),
        uid: sharing::owner(&p.roots)?,
        ..p.line.clone()
    };
    held.add(&line)
}
