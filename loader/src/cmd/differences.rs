//! Differences that programs met and what became of them: records beside those of refusals.
use super::json::Met;
use super::refusals;
use crate::output;
use crate::pair::tab::Line;
use crate::text;
use mirror_core::refusal::{Record, Refusal};

/// Where the other version lies, below its leg.
const KEPT: &str = ".mirror/kept/programs";

/// The differences of a pair since `since` (seconds since 1970) and within a day, oldest first.
pub fn of(line: &Line, since: u64) -> Vec<Record> {
    let all = refusals::records(line, since);
    all.into_iter().filter(|r| r.why.is_difference()).collect()
}

fn what(r: &Record) -> String {
    match r.why {
        Refusal::Mended => {
            format!("made equal; a version that was replaced is in {KEPT} of its leg")
        }
        _ => "left as it is".to_string(),
    }
}

fn line(r: &Record) -> String {
    format!(
        "{}: changed on one leg alone, met by {}[{}]: {}",
        text::show(r.object()),
        refusals::name(r),
        r.pid,
        what(r)
    )
}

/// The lines for a person: the last three.
pub fn lines(all: &[Record]) -> Vec<String> {
    let last = all.iter().rev().take(3);
    last.map(|r| format!("{}  {}", text::iso(r.time), line(r)))
        .collect()
}

/// The records for a program.
pub fn json(all: &[Record]) -> Vec<Met> {
    let one = |r: &Record| Met {
        time: text::iso(r.time),
        object: text::show(r.object()),
        equal: r.why == Refusal::Mended,
        pid: r.pid,
        uid: r.uid,
        program: refusals::name(r),
    };
    all.iter().map(one).collect()
}

/// `mirror run` says at its end what was met meanwhile.
pub fn after_run(pair: &Line, since: u64) {
    let all = of(pair, since);
    if let Some(last) = all.last() {
        output::note!("mirror: {}: {}", text::path(&pair.virt), line(last));
    }
}
