//! `mirror verify`: compares both legs completely, while programs run.
use super::Found;
use super::look::Look;
use super::signs::read_only;
use super::sub::{CommandLine, Sub};
use crate::cmd::{explain, json, left_out};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::domain::{self, Attached};
use crate::pair::state::State;
use crate::sync::clean;
use crate::sync::ledger::Doubts;
use crate::sync::mapped;
use crate::sync::session::{self, Difference};
use crate::sync::turn::{self, Open};
use crate::sync::walk::Tally;
use crate::text;
use crate::tree::differs::Presence;
use crate::tree::outer;
use clap::Args;
use mirror_core::Leg;
use std::path::PathBuf;
use std::time::Instant;

/// Compare both legs completely
#[derive(Args)]
#[command(after_help = "Exit codes: 0 equal, 1 different or not all compared, 2 trouble.")]
pub struct Verify {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Verify {
    const NAME: &'static str = "verify";
    fn exit(_: Kind) -> u8 {
        2
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// How a difference reads.
pub fn words(what: Presence, source: char, copy: char) -> String {
    match what {
        Presence::OnlySource => format!("only in {source}"),
        Presence::OnlyCopy => format!("only in {copy}"),
        Presence::Both(d) => format!("different  ({})", d.words().join(", ")),
        // It went away meanwhile.
        Presence::Neither => "different  ()".into(),
    }
}

/// One line of a list of differences.
pub fn line(d: &Difference, source: char, copy: char) -> String {
    let slash = if d.kind == "directory" { "/" } else { "" };
    format!(
        "  {}{slash}  {}",
        text::below(&d.rel),
        words(d.what, source, copy)
    )
}

/// A comparison of a pair, and where it could be recorded.
pub struct Compared {
    /// The walk.
    pub tally: Tally,
    /// What differs.
    pub found: Vec<Difference>,
    /// Legs that did not take the record.
    pub unrecorded: Vec<Leg>,
}

impl Compared {
    /// The state that it means.
    pub fn state(&self) -> State {
        match (self.found.is_empty(), self.tally.trouble.is_empty()) {
            (true, true) => State::InSync,
            (true, false) => State::NotCompared,
            (false, _) => State::Different,
        }
    }
}

/// Compares an attached pair and records the result.
pub fn compare(p: &Attached) -> Res<Compared> {
    let doubts = Doubts::begin(p)?;
    let bar = session::bar(session::total(p, p.source()), "compared");
    let (tally, found) = session::compare(p, p.source(), bar)?;
    let equal = found.is_empty() && tally.trouble.is_empty();
    if equal {
        doubts.end(p)?;
    }
    let n = |n: usize| n as u64;
    let unrecorded = p
        .pair
        .set_verified(tally.objects, n(found.len()), n(tally.trouble.len()));
    if equal && unrecorded.is_empty() {
        turn::none_needed(&p.pair, p.source());
    }
    Ok(Compared {
        tally,
        found,
        unrecorded,
    })
}

/// Runs it.
pub fn run(a: &Verify) -> Res<u8> {
    crate::signal::stop_gently();
    let mut code = 0;
    let mut pairs = Vec::new();
    for found in super::each(a.pair.as_slice(), true)? {
        let pair = match found {
            Found::Pair(p) => *p,
            Found::Lost(k) => {
                code = 2;
                match a.json {
                    true => pairs.push(json::Verifying::Lost(lost(&k))),
                    false => output::say!("{}", k.sentence()),
                }
                continue;
            }
        };
        let l = &pair.line.clone();
        if let Some(sink) = pair.incomplete() {
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "leg {} of {} has not been copied completely. mirror resync {}",
                    sink.letter(),
                    text::path(&l.virt),
                    text::shell(&l.virt)
                ),
            ));
        }
        let p = domain::attach_to_read(pair)
            .map_err(|e| Fail::new(e.kind, super::look::look(l).instead(e.text)))?;
        let begun = Instant::now();
        let c = compare(&p)?;
        let fixed = p.pair.legs.iter().any(|leg| read_only(&leg.root));
        if c.state() == State::InSync && !fixed {
            clean::at_end(&p);
        }
        code = code.max(u8::from(c.state() != State::InSync));
        if a.json {
            pairs.push(json::Verifying::Compared(entry(&p, &c)));
        } else {
            report(&p, &c, begun.elapsed().as_secs_f64());
        }
    }
    if a.json {
        output::print(&json::Verify {
            schema: "mirror.verify/1",
            pairs,
        });
    }
    Ok(code)
}

/// Letters of the leg that answers and of the other.
fn letters(p: &Attached) -> (char, char) {
    let s = p.source();
    (s.letter(), s.other().letter())
}

fn report(p: &Attached, r: &Compared, secs: f64) {
    let (s, c) = letters(p);
    let v = text::shell(&p.pair.line.virt);
    let head = format!(
        "{}    {}  in {secs:.1} s",
        text::path(&p.pair.line.virt),
        text::plural(r.tally.objects, "object")
    );
    left_out::say(&p.pair.legs.a.root, r.tally.links_out);
    if let Some(words) = outer::words(r.tally.names_out) {
        output::say!("{words}");
    }
    let differences = text::plural(r.found.len() as u64, "difference");
    let trouble = r.tally.trouble.len() as u64;
    match r.state() {
        State::InSync => output::say!("{head}  EQUAL  0 differences"),
        state if trouble > 0 => output::say!(
            "{head}  {}  {differences}, {} could not be compared",
            state.word(),
            text::plural(trouble, "object")
        ),
        state => output::say!("{head}  {}  {differences}", state.word()),
    }
    if let Some(s) = mapped::sentence(mapped::count(&p.runtime, &p.pair).live) {
        output::say!("  {s}");
    }
    for d in &r.found {
        output::say!("{}", line(d, s, c));
    }
    for (rel, why) in &r.tally.trouble {
        output::say!("  {}  cannot be compared: {why}", text::below(rel));
    }
    if !r.found.is_empty() {
        let from = match turn::unfinished(&p.pair) {
            Open::Unfinished(u) => format!(" --from {}", u.way().0),
            _ => String::new(),
        };
        let (s, c) = if from.ends_with(c) { (c, s) } else { (s, c) };
        output::say!(
            "look      mirror diff {v}    shows both sides\naction    mirror resync {v}{from}    makes {c} like {s}; what {c} loses is kept aside (--from {c}: the other way)\nsee       mirror explain {}",
            explain::DIFFERENT
        );
    } else if trouble > 0 {
        output::say!(
            "action    fix these, then: mirror verify {v}\nsee       mirror explain {}",
            explain::NOT_COMPARED
        );
    }
    unrecorded(p, &r.unrecorded);
}

/// Says which legs did not take the record of a comparison.
pub fn unrecorded(p: &Attached, legs: &[Leg]) {
    let v = text::shell(&p.pair.line.virt);
    for leg in legs {
        output::say!(
            "! this could not be recorded on leg {}: {}. mirror status {v} says what was recorded last",
            leg.letter(),
            match super::signs::read_only(&p.pair.legs[*leg].root) {
                true => "it is read-only",
                false => "no room, or no permission",
            }
        );
    }
}

/// A pair that is lost, for JSON.
fn lost(k: &Look) -> json::Lost {
    json::Lost {
        virt: k.line.virt.as_path().into(),
        state: k.state.key(),
        why: k.why.clone(),
        action: k.actions.iter().map(|a| a.0.clone()).collect(),
        code: k.code,
    }
}

fn entry(p: &Attached, r: &Compared) -> json::Compared {
    let (s, c) = letters(p);
    json::Compared {
        virt: p.pair.line.virt.as_path().into(),
        state: r.state().key(),
        objects: r.tally.objects,
        time: text::iso(text::now()),
        differences: r.found.iter().map(|d| difference(d, s, c)).collect(),
        trouble: trouble(&r.tally.trouble),
        symlinks_out: r.tally.links_out,
        left_out: left_out::json(&p.pair.legs.a.root),
        unrecorded: r.unrecorded.iter().map(|leg| leg.letter()).collect(),
    }
}

/// What could not be compared, for JSON.
pub fn trouble(all: &[(Vec<u8>, String)]) -> Vec<json::LeftOut> {
    all.iter()
        .map(|(rel, why)| json::LeftOut {
            path: json::At::of(rel),
            why: why.clone(),
        })
        .collect()
}

/// One difference for JSON.
pub fn difference(d: &Difference, s: char, c: char) -> json::Difference {
    json::Difference {
        path: json::At::of(&d.rel),
        r#type: d.kind,
        what: match d.what {
            Presence::OnlySource => vec![format!("only-in-{s}")],
            Presence::OnlyCopy => vec![format!("only-in-{c}")],
            Presence::Both(what) => what.words(),
            Presence::Neither => vec![],
        },
        a: None,
        b: None,
    }
}
