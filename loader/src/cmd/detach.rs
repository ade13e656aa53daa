//! `mirror detach`: the pair is no pair any more; both trees stay as they are.
use super::json;
use super::sub::{CommandLine, Sub};
use crate::fail::{Context, Fail, Kind, Res};
use crate::launch::library;
use crate::pair::control::remove_control;
use crate::pair::legs::{OpenLeg, Pair, read_record};
use crate::pair::who::Census;
use crate::pair::{audited, domain, runtime_files, tab, tabwrite};
use crate::sync::own;
use crate::tree::beneath::Root;
use crate::{output, text};
use clap::Args;
use std::path::PathBuf;

/// Undo init: both trees stay as they are
#[derive(Args)]
pub struct Detach {
    /// The pair
    pub pair: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Detach {
    const NAME: &'static str = "detach";
    fn reports(&self) -> bool {
        self.json
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// Runs it.
pub fn run(a: &Detach) -> Res<u8> {
    let all = tab::load()?;
    let l = tab::find(&all, &a.pair)?;
    let Some(file) = &l.file else {
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "{} comes from the variable MIRROR. unset MIRROR",
                text::path(&l.virt)
            ),
        ));
    };
    let there = There::of(l)?;
    for leg in &there.legs {
        own(leg, file)?;
    }
    // An audit of all pairs goes on without this one.
    let _asked: Vec<_> = there
        .legs
        .iter()
        .filter(|leg| leg.record.leg == mirror_core::Leg::A)
        .filter_map(|leg| audited::ask(&leg.root))
        .collect();
    let _alone = there
        .roots()
        .map(|root| domain::alone(root, &l.virt))
        .collect::<Res<Vec<_>>>()
        .map_err(|f| named(f, l))?;
    tabwrite::Held::take(file)?.remove(&l.virt)?;
    own::carry(file);
    there.legs.iter().for_each(runtime_files::forget);
    there.roots().for_each(clean);
    output::put(&json::Detach {
        r#virtual: text::path(&l.virt),
    });
    output::say!(
        "detached  {}    {} and {} stay as they are",
        text::path(&l.virt),
        text::path(&l.legs.a),
        text::path(&l.legs.b)
    );
    if !l.in_place() && l.virt.is_symlink() {
        output::say!(
            "          {} still leads to {}",
            text::path(&l.virt),
            text::path(&l.legs.a)
        );
    }
    Ok(0)
}

/// What is left of a pair: one that is broken can be detached too.
#[derive(Default)]
struct There {
    /// Its legs, as far as they can be opened.
    legs: Vec<OpenLeg>,
    /// Legs whose record cannot be understood: it goes too, or no init could make a new one.
    damaged: Vec<Root>,
}

impl There {
    fn of(l: &tab::Line) -> Res<There> {
        let mut there = There::default();
        for path in &l.legs {
            match OpenLeg::open(path) {
                Ok(leg) => there.legs.push(leg),
                Err(e) if e.kind == Kind::Permission => return Err(e),
                Err(_) => {
                    let root = Root::open(path).ok();
                    let damaged = root.filter(|r| read_record(r).is_err());
                    there.damaged.extend(damaged);
                }
            }
        }
        if let [x, y] = there.legs.as_slice()
            && x.record.pair != y.record.pair
        {
            for leg in there.legs.drain(..) {
                output::say!(
                    "kept      {}/.mirror: the legs are not those of one pair. Remove it if no other pair needs it",
                    text::path(&leg.root.path)
                );
            }
        }
        Ok(there)
    }

    fn roots(&self) -> impl Iterator<Item = &Root> {
        self.legs.iter().map(|leg| &leg.root).chain(&self.damaged)
    }
}

/// Removes the control folder of what was a leg.
fn clean(root: &Root) {
    let shown = text::path(&root.path);
    match remove_control(root) {
        Ok(true) => {}
        Ok(false) => output::say!(
            "kept      {shown}/.mirror holds older versions; remove it when you do not need them"
        ),
        // The pair is none any more all the same.
        Err(e) => output::say!(
            "kept      {shown}/.mirror: {}. Remove it when that is mended",
            e.text
        ),
    }
}

/// Says who uses the pair, as far as that can be seen.
fn named(f: Fail, l: &tab::Line) -> Fail {
    let Some(pair) = (f.kind == Kind::Busy).then(|| Pair::open(l).ok()).flatten() else {
        return f;
    };
    let audit = audited::of(&pair.legs.a.root).filter(|(_, runs)| *runs);
    if let Some((audit, _)) = audit {
        return Fail::new(
            f.kind,
            format!(
                "{0} is audited (mirror audit, process {1}). End that first: kill {1}; mirror detach {2}",
                text::path(&l.virt),
                audit.pid,
                text::shell(&l.virt)
            ),
        );
    }
    let who = Census::take(library::current()).of(&pair);
    let names: Vec<String> = who
        .users
        .iter()
        .map(|u| format!("{} ({})", u.pid, u.command))
        .collect();
    if names.is_empty() {
        return f;
    }
    Fail::new(f.kind, format!("{}: {}", f.text, names.join("  ")))
}

/// A pair that several users share is ended by the one who made it, or by root.
fn own(leg: &OpenLeg, file: &std::path::Path) -> Res<()> {
    let (uid, _) = leg.owner().about(text::path(&leg.root.path))?;
    let me = rustix::process::geteuid();
    if me.is_root() || me.as_raw() == uid {
        return Ok(());
    }
    Err(Fail::new(
        Kind::Permission,
        format!(
            "{} belongs to user {uid}, who can detach it, as root can. To leave the pair, remove its line from {}",
            text::path(&leg.root.path),
            text::path(file)
        ),
    ))
}
