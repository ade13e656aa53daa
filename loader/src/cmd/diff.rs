//! `mirror diff`: lists differences with what each side has. Changes nothing but the record of what was
//! found.
use super::json;
use super::look;
use super::sub::{CommandLine, Sub};
use super::verify::{difference, trouble, words};
use crate::fail::{Context, Fail, Kind, Res};
use crate::output;
use crate::pair::domain::{self, Attached};
use crate::pair::legs::OpenLeg;
use crate::pair::state::State;
use crate::pair::tab;
use crate::sync::equal::{Seen, Work};
use crate::sync::session::{self, Difference, kind_word};
use crate::sync::walk::{Collect, Tally, walk};
use crate::text;
use crate::tree::beneath::open_leg;
use crate::tree::object::{Fidelity, Meta};
use crate::tree::probe;
use clap::Args;
use indicatif::ProgressBar;
use mirror_core::{Leg, PerLeg};
use std::path::{Path, PathBuf};

/// List the differences of a pair, or of two directories
#[derive(Args)]
#[command(after_help = "Exit codes: 0 equal, 1 different or not all compared, 2 trouble.")]
pub struct Diff {
    /// A pair, or a directory
    pub first: PathBuf,
    /// Another directory
    pub second: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Diff {
    const NAME: &'static str = "diff";
    fn exit(_: Kind) -> u8 {
        2
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// Runs it: 0 equal, 1 different.
pub fn run(a: &Diff) -> Res<u8> {
    crate::signal::stop_gently();
    let (dirs, attached) = match &a.second {
        Some(b) => ([a.first.clone(), b.clone()].into(), None),
        None => of_pair(&a.first)?,
    };
    let mut list = Vec::new();
    let mut found = 0u64;
    let mut show = |rel: &[u8], seen: &Seen| {
        if seen.what.equal() {
            return;
        }
        found += 1;
        let d = Difference {
            rel: rel.to_vec(),
            what: seen.what,
            kind: kind_word(seen),
        };
        if a.json {
            list.push(entry(&d, seen));
        } else {
            output::say!("{}", line(&d, seen));
        }
    };
    let t = match &attached {
        Some(p) => session::confirm(p, Leg::A, ProgressBar::hidden(), &mut show)?,
        // What the legs of a pair cannot hold is no difference of theirs.
        None => of_trees(&dirs, a.second.is_none(), &mut show)?,
    };
    if let Some(p) = attached.filter(|p| p.pair.incomplete().is_none()) {
        // That both are equal is for verify to record: it looks at everything under its rules.
        if found > 0 || !t.trouble.is_empty() {
            p.pair
                .set_verified(t.objects, found, t.trouble.len() as u64);
        }
    }
    let code = u8::from(found > 0 || !t.trouble.is_empty());
    if a.json {
        output::print(&json::Diff {
            schema: "mirror.diff/1",
            a: dirs.a.as_path().into(),
            b: dirs.b.as_path().into(),
            objects: t.objects,
            differences: list,
            trouble: trouble(&t.trouble),
        });
        return Ok(code);
    }
    for (rel, why) in &t.trouble {
        output::say!("  {}  cannot be compared: {why}", text::below(rel));
    }
    output::say!(
        "a {}    b {}    {}  {}",
        text::path(&dirs.a),
        text::path(&dirs.b),
        text::plural(t.objects, "object"),
        text::plural(found, "difference")
    );
    Ok(code)
}

/// Compares two trees that nobody keeps from changing. `able`: only in what both can hold.
fn of_trees(dirs: &PerLeg<PathBuf>, able: bool, show: &mut dyn FnMut(&[u8], &Seen)) -> Res<Tally> {
    let x = OpenLeg::bare(open_leg(&dirs.a)?, Leg::A);
    let y = OpenLeg::bare(open_leg(&dirs.b)?, Leg::B);
    let fidelity = match able {
        true => probe::fidelity([&x.root, &y.root].into()),
        false => Fidelity::full(),
    };
    let mut w = Work::new(&x, &y, fidelity, false, ProgressBar::hidden());
    walk(&mut w, &mut Collect(show)).about("comparing")
}

/// The legs of a pair, which is attached to if it can be: differences are then looked at again while no
/// program can change them.
fn of_pair(word: &Path) -> Res<(PerLeg<PathBuf>, Option<Attached>)> {
    let all = tab::load()?;
    let l = tab::find(&all, word)?;
    let mut k = look::look(l);
    match k.pair.take() {
        Some(pair) => {
            let dirs = pair.trees().map(|root| root.path.clone());
            Ok((dirs, domain::attach_to_read(pair).ok()))
        }
        // Another user's may be readable all the same.
        None if k.state == State::Unknown => Ok((l.legs.clone(), None)),
        None => Err(Fail::new(Kind::Leg, k.instead(k.sentence()))),
    }
}

/// What one side has.
fn side(letter: char, m: &Meta) -> String {
    let t = u64::try_from(m.st.st_mtime).unwrap_or(0);
    let size = if m.is_file() {
        format!(" {}", text::bytes(m.size()))
    } else if m.target.is_empty() {
        String::new()
    } else {
        format!(" -> {}", text::show(&m.target))
    };
    format!(
        "{letter}{size} {:04o} {}",
        m.mode(),
        text::iso(t).trim_end_matches('Z')
    )
}

fn line(d: &Difference, seen: &Seen) -> String {
    let slash = if d.kind == "directory" { "/" } else { "" };
    let mut out = format!(
        "  {}{slash}  {}",
        text::below(&d.rel),
        words(d.what, 'a', 'b')
    );
    for (letter, m) in [('a', &seen.source), ('b', &seen.copy)] {
        if let Some(m) = m {
            out += &format!("   {}", side(letter, m));
        }
    }
    out
}

fn entry(d: &Difference, seen: &Seen) -> json::Difference {
    let object = |m: &Meta| json::Object {
        size: m.size(),
        mode: m.mode(),
        mtime: text::iso(u64::try_from(m.st.st_mtime).unwrap_or(0)),
    };
    json::Difference {
        a: seen.source.as_ref().map(object),
        b: seen.copy.as_ref().map(object),
        ..difference(d, 'a', 'b')
    }
}
