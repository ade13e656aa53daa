//! Pairs whose legs are not the two that belong together: which leg is it, what stands at its place, and
//! the way out.
use super::explain;
use super::finding::Finding;
use crate::fail::{Fail, Kind};
use crate::pair::legs::{OpenLeg, Pair, read_record};
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::probe;
use mirror_core::{Leg, PerLeg};
use std::path::Path;

/// What stands at a leg's place.
enum Place {
    /// The leg, or one of another pair.
    Leg,
    /// Nothing that can be opened.
    Nothing,
    /// A directory without a record on the file system of its parent.
    Unmounted,
    /// Another file system is mounted there, without a record.
    OtherDisk,
    /// Its record cannot be understood.
    Damaged,
}

fn place(path: &Path) -> Place {
    let Ok(root) = Root::open(path) else {
        return Place::Nothing;
    };
    match read_record(&root) {
        Ok(Some(_)) => Place::Leg,
        Err(_) => Place::Damaged,
        Ok(None) if probe::mount_point(path) == path => Place::OtherDisk,
        Ok(None) => Place::Unmounted,
    }
}

/// The runtime file was removed while it was in use, or before what it announced was repaired.
pub fn runtime(v: &str) -> Finding {
    Finding::new(
        State::Unverified,
        explain::RUNTIME,
        "the pair's runtime file was removed, or a leg was put back from a copy: whether the legs are equal is not known",
    )
    .act(
        format!("mirror verify {v}"),
        "shows whether anything differs",
    )
}

/// The machine was restarted while the pair was in use, or before its last changes were flushed on both legs.
pub fn restarted(v: &str) -> Finding {
    Finding::new(
        State::Unverified,
        explain::RESTARTED,
        "the machine was restarted before the last changes were known to be on both disks",
    )
    .act(
        format!("mirror verify {v}"),
        "shows whether anything differs",
    )
}

/// Each leg names another domain as the last one that it was in.
pub fn copied(l: &Line, v: &str) -> Finding {
    let PerLeg { a, b } = l.legs.as_ref().map(|p| text::path(p));
    Finding::new(
        State::Unverified,
        explain::RUNTIME,
        format!(
            "{a} and {b} were not in use together last: one of them was put back from a copy, and lacks what was done since"
        ),
    )
    .act(format!("mirror diff {v}"), "look first (changes nothing)")
    .act(
        format!("mirror resync {v} --from a"),
        "if a is the newer one (--from b: if b is)",
    )
}

/// Why a pair could not be opened, as a state with its way out.
// long: what stands at the places, each with its way out
pub fn finding(l: &Line, e: Fail) -> Finding {
    let v = text::shell(&l.virt);
    if e.kind == Kind::Distrust {
        let PerLeg { a, b } = l.legs.as_ref().map(|p| text::shell(&p.join(".mirror")));
        return Finding::new(State::NotTrusted, explain::DISTRUST, e.text).act(
            format!("ls -ldn {a} {b}"),
            "whose they are; programs get an I/O error meanwhile",
        );
    }
    let places = l.legs.as_ref().map(|p| place(p));
    let bad = places.position(|p| !matches!(p, Place::Leg));
    let Some(bad) = bad else {
        if l.legs.iter().any(|p| OpenLeg::open(p).is_err()) {
            return Finding::new(State::LegLost, explain::LEG, e.text);
        }
        return Finding::new(State::NotAPair, explain::STRANGERS, e.text)
            .act(
                format!("mount the right disks, then mirror status {v}"),
                "nothing is written meanwhile",
            )
            .act(
                format!("mirror detach {v}"),
                "ends the pair; both directories stay as they are",
            );
    };
    let again = again(l, bad, matches!(places[bad], Place::Nothing));
    let anew = match (bad, &places[bad]) {
        (Leg::B, Place::OtherDisk) => {
            format!("mirror leg replace {v} b {}", text::shell(&l.legs[Leg::B]))
        }
        (Leg::B, _) => format!("mirror leg replace {v} b NEW"),
        _ => format!("mirror detach {v} && {again}"),
    };
    match places[bad] {
        Place::Damaged => Finding::new(State::Damaged, explain::RECORD, e.text).act(
            format!("mirror detach {v} && {again}"),
            "makes a new record; both trees are compared and nothing is overwritten",
        ),
        Place::OtherDisk => Finding::new(
            State::LegLost,
            explain::LEG,
            format!(
                "{}. Another file system is mounted there: a new disk?",
                e.text
            ),
        )
        .act(
            anew,
            format!(
                "if leg {} was replaced: copies the other leg to it",
                bad.letter()
            ),
        )
        .act(
            format!("mount the leg's disk, then mirror status {v}"),
            "if it was not",
        ),
        _ => Finding::new(State::LegLost, explain::LEG, e.text)
            .act(
                format!("mount the leg's disk, then mirror status {v}"),
                "nothing is written meanwhile",
            )
            .act(
                anew,
                format!(
                    "if leg {} is lost for good: copies the other leg to a new one",
                    bad.letter()
                ),
            ),
    }
}

/// The init that makes the pair again, with a new directory in place of leg `lost`, if that is gone.
pub(super) fn again(l: &Line, lost: Leg, gone: bool) -> String {
    let leg = |leg: Leg| {
        if gone && leg == lost {
            "NEW".to_string()
        } else {
            text::shell(&l.legs[leg])
        }
    };
    let at = if l.in_place() {
        String::new()
    } else {
        format!(" --at {}", text::shell(&l.virt))
    };
    format!("mirror init {} {}{at}", leg(Leg::A), leg(Leg::B))
}

/// The mirrortab names the legs in another order than their records.
pub fn swapped(pair: &Pair) -> Option<Finding> {
    let l = &pair.line;
    let PerLeg { a, b } = &pair.legs;
    if l.legs.a == a.root.path {
        return None;
    }
    let virt = if l.in_place() { &a.root.path } else { &l.virt };
    let field = |p: &Path| {
        String::from_utf8_lossy(&text::escape(p.as_os_str().as_encoded_bytes())).into_owned()
    };
    Some(
        Finding::new(
            State::Swapped,
            explain::SWAPPED,
            format!(
                "{} names the legs in the wrong order: leg a is {}. Programs cannot change the pair",
                l.place(),
                text::path(&a.root.path)
            ),
        )
        .act(
            format!(
                "write in {}: {} {} {} {}",
                l.place(),
                field(virt),
                field(&a.root.path),
                field(&b.root.path),
                l.all_options()
            ),
            "the order of the records",
        ),
    )
}
