//! Pairs whose leg b was left behind: since when, why, and the way back.
use super::explain;
use super::finding::Finding;
use super::signs::{emptied, emptied_alone, read_only, resyncing};
use crate::pair::away;
use crate::pair::legs::{OpenLeg, Pair};
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::sync::turn;
use crate::text;
use mirror_core::tab::OnFailure;
use mirror_core::{Leg, PerLeg};

/// The pair, if its leg b was left behind, or if each leg says so of the other.
pub fn look(l: &Line) -> Option<(Option<Pair>, Finding)> {
    let v = text::shell(&l.virt);
    let (_, mark) = match away::standing(l) {
        Some(found) => found,
        None => {
            let pair = Pair::open(l).ok()?;
            let f = split(&pair)?;
            return Some((Some(pair), f));
        }
    };
    let pair = Pair::open(l).ok();
    if let Some(f) = pair.as_ref().and_then(split) {
        return Some((pair, f));
    }
    let mut found = Finding::new(State::Degraded, explain::DEGRADED, away::sentence(&mark));
    let emptied = |p: &Pair| emptied(p, Leg::A).unwrap_or(false);
    found = match &pair {
        Some(p) if emptied(p) => {
            found.why += ". Leg a is empty now, and leg b is not: nothing is copied over leg b";
            let both = emptied_alone(l).into_iter();
            both.fold(found, |f, (what, when)| f.act(what, when))
        }
        Some(p) if !read_only(&p.legs.b.root) => found
            .act(
                format!("mirror leg online {v} b"),
                "makes b like a, beside programs that run on",
            )
            .act(format!("mirror diff {v}"), "shows what b lacks"),
        Some(p) => found.act(
            format!("look at leg b's disk (dmesg), then mirror leg online {v} b"),
            format!("{} is read-only", text::path(&p.legs.b.root.path)),
        ),
        None => {
            let why = OpenLeg::open(&l.legs.b)
                .err()
                .map_or_else(|| "another pair's leg is there".into(), |e| e.text);
            found
                .act(
                    format!("mount the leg's disk, then mirror leg online {v} b"),
                    why,
                )
                .act(
                    format!("mirror leg replace {v} b NEW"),
                    "if it is lost for good: copies a to NEW, an empty directory",
                )
        }
    };
    let repair = pair.as_ref().and_then(turn::running);
    if let Some(r) = &repair {
        let f = resyncing(r, &v);
        found.why += &format!("; {}", f.why);
        found.actions = f.actions;
    }
    Some((pair, found))
}

/// Leg b says that it went on without leg a, which leg a alone can have done.
pub fn split(pair: &Pair) -> Option<Finding> {
    let leg = &pair.legs.b;
    if !away::mark(&leg.root).stands() {
        return None;
    }
    let v = text::shell(&pair.line.virt);
    let PerLeg { a, b } = pair.trees().map(|root| text::path(&root.path));
    let f = Finding::new(
        State::SplitBrain,
        explain::SPLIT,
        format!(
            "{b} has a mark that it went on without {a}: which of the two is right is not known"
        ),
    )
    .act(format!("mirror diff {v}"), "look first (changes nothing)")
    .act(
        format!("rm {}", text::shell(&leg.root.path.join(".mirror/away"))),
        format!("if leg a is right; then mirror resync {v}"),
    );
    Some(f)
}

/// What it means that a leg is read-only.
pub fn of_read_only(leg: Leg, line: &Line) -> &'static str {
    match (leg, line.on_failure) {
        (Leg::B, OnFailure::Degrade) => "the first change leaves it behind",
        _ => "programs can read, and change nothing",
    }
}
