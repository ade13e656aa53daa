//! `mirror audit --held`: what the brake of `--heal` held, and the decision about it.
use super::args::Audit;
use crate::audit::held::{self, Choice, Decided};
use crate::cmd::json::{At, Virtual};
use crate::cmd::{Found, ask, can_ask, each};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::domain;
use crate::pair::held::{Held, shown};
use crate::pair::legs::Pair;
use crate::sync::one;
use crate::text;
use serde::Serialize;

/// `mirror.audit-held/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    virt: Virtual,
    held: Vec<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
}

/// A name that is held.
#[derive(Serialize)]
struct Name {
    leg: char,
    time: String,
    #[serde(flatten)]
    path: At,
    by: String,
}

fn report(p: &Pair, all: &[Held], d: Option<Decided>) -> Report {
    let name = |h: &Held| Name {
        leg: h.leg.letter(),
        time: text::iso(h.time),
        path: At::of(&h.rel),
        by: text::show(&h.by),
    };
    Report {
        schema: "mirror.audit-held/1",
        virt: p.line.virt.as_path().into(),
        held: all.iter().map(name).collect(),
        done: d.map(|d| d.done),
        left: d.map(|d| d.left),
    }
}

/// Runs it.
pub fn run(a: &Audit, what: &str) -> Res<u8> {
    let choice = match what {
        "restore" => Some(Choice::Restore),
        "carry" => Some(Choice::Carry),
        _ => None,
    };
    let mut pairs = vec![];
    for f in each(a.pair.as_slice(), true)? {
        match f {
            Found::Pair(p) => pairs.push(*p),
            Found::Lost(k) => return Err(Fail::new(Kind::Leg, k.instead(k.sentence()))),
        }
    }
    if choice.is_some() && a.pair.is_none() && pairs.len() > 1 {
        return Err(Fail::new(
            Kind::Usage,
            format!("--held {what} needs a pair. Name one"),
        ));
    }
    let mut code = 0;
    for p in pairs {
        let all = held::of(&p);
        match choice.filter(|_| !all.is_empty()) {
            Some(choice) => code = code.max(decided(a, p, choice, &all)?),
            None if a.json => output::print(&report(&p, &all, None)),
            None => listed(&p, &all),
        }
    }
    Ok(code)
}

fn listed(p: &Pair, all: &[Held]) {
    let v = text::path(&p.line.virt);
    if all.is_empty() {
        return output::say!("{v}: nothing is held");
    }
    let names = text::plural(all.len() as u64, "name");
    output::say!("{v}: {names} held since they went away on one leg, past the mirror");
    for h in all {
        output::say!("{}", shown(h, ""));
    }
    let v = text::shell(&p.line.virt);
    output::say!(
        "put them back: mirror audit {v} --held restore    remove them on the other leg too: mirror audit {v} --held carry"
    );
}

fn decided(a: &Audit, p: Pair, choice: Choice, all: &[Held]) -> Res<u8> {
    let v = text::path(&p.line.virt);
    let names = text::plural(all.len() as u64, "name");
    let question = match choice {
        Choice::Restore => format!("{v}: put {names} back from the leg that still has them?"),
        Choice::Carry => {
            format!("{v}: remove {names} from the leg that still has them (they are kept aside)?")
        }
    };
    let agreed = a.yes || can_ask() && ask(&question);
    if !agreed {
        if !a.json {
            listed(&p, all);
        }
        return Err(Fail::failed(match can_ask() {
            true => "nothing was done".into(),
            false => format!("{question} No terminal to ask on: --yes"),
        }));
    }
    let p = domain::attach(p)?;
    let d = held::decide(&p, one::fidelity(&p), choice)?;
    match a.json {
        true => output::print(&report(&p.pair, &held::of(&p.pair), Some(d))),
        false => output::say!("{v}: {}", sentence(&p.pair, choice, d)),
    }
    Ok(u8::from(d.left > 0))
}

/// What came of a decision, and what to type then.
pub fn sentence(p: &Pair, choice: Choice, d: Decided) -> String {
    let word = match choice {
        Choice::Restore => "put back",
        Choice::Carry => "removed on the other leg, kept aside there in .mirror/kept",
    };
    let mut s = format!("{} {word}", text::plural(d.done, "name"));
    if d.moot > 0 {
        s += &format!(", {} more need nothing any more", text::count(d.moot));
    }
    if d.left > 0 {
        s += &format!(", {} could not be", text::count(d.left));
    }
    s + &format!("    then: mirror resync {}", text::shell(&p.line.virt))
}
