//! `cargo xtask profile`: where each microsecond of a loop goes, call by call, natively, by hand and
//! through the mirror. Counts and times come from the kernel's own tracepoints where bpftrace can be
//! used, otherwise the counts alone from strace; docs/PERFORMANCE.md describes the method.
mod names;
mod trace;

use super::columns::{self, Column};
use super::ground::{Floor, Ground};
use super::options::Options;
use super::results::{ByColumn, Call, Profile};
use super::stats::Five;
use super::workloads::Kit;
use super::{interrupt, watch};
use crate::Result;
use std::cell::Cell;
use std::path::PathBuf;
use trace::Sums;

/// A loop that can be profiled.
struct Target {
    key: &'static str,
    title: &'static str,
    /// The loop of benches/fsops.c.
    name: &'static str,
    /// How often it turns.
    count: u32,
    /// The loop that makes what it needs, and how often that turns.
    before: Option<(&'static str, Option<u32>)>,
}

const TARGETS: &[Target] = &[
    Target {
        key: "w2",
        title: "one random 4 KiB write",
        name: "random",
        count: 40_000,
        before: Some(("sequential", Some(32))),
    },
    Target {
        key: "w3",
        title: "create, write 4 KiB, close",
        name: "small",
        count: 4_000,
        before: None,
    },
    Target {
        key: "w6",
        title: "rename and unlink",
        name: "rename",
        count: 4_000,
        before: Some(("small", None)),
    },
    Target {
        key: "append",
        title: "one append of 100 bytes",
        name: "append",
        count: 40_000,
        before: None,
    },
    Target {
        key: "dirrename",
        title: "one rename of a directory",
        name: "directory",
        count: 10_000,
        before: None,
    },
];
/// What is profiled when nothing is named.
const USUAL: &[&str] = &["w2", "w3", "append"];

/// Profiles what was asked for.
pub fn all(kit: &Kit, floor: &Floor, options: &Options) -> Result<Vec<Profile>> {
    if let Some(unknown) = options
        .only
        .iter()
        .find(|o| !TARGETS.iter().any(|t| t.key == **o))
    {
        let known: Vec<&str> = TARGETS.iter().map(|t| t.key).collect();
        return Err(format!(
            "no profile of {unknown}; there are: {}",
            known.join(", ")
        ));
    }
    let wanted = |t: &&Target| {
        if options.only.is_empty() {
            USUAL.contains(&t.key)
        } else {
            options.only.iter().any(|o| o == t.key)
        }
    };
    let run = Run {
        kit,
        ground: Ground::new(floor)?,
        divisor: if options.quick { 4 } else { 1 },
        fresh: Cell::new(0),
    };
    let tracer = trace::Tracer::choose(kit, &run.ground);
    TARGETS
        .iter()
        .filter(wanted)
        .map(|t| run.profile(t, &tracer))
        .collect()
}

struct Run<'a> {
    kit: &'a Kit,
    ground: Ground,
    divisor: u32,
    fresh: Cell<u32>,
}

impl Run<'_> {
    fn profile(&self, target: &Target, tracer: &trace::Tracer) -> Result<Profile> {
        let all = columns::own(&self.ground);
        let count = target.count / self.divisor;
        let mut times: ByColumn<Vec<Option<f64>>> = ByColumn::new();
        let mut traced: ByColumn<Vec<[Sums; 2]>> = ByColumn::new();
        // What the start of the program does is in both counts and falls out.
        let few = count / 4;
        for round in 0..9_u32 {
            for column in &all {
                interrupt::check()?;
                let dirs = self.prepared(target, column, count)?;
                let took = self
                    .kit
                    .fsops(&self.ground, column, target.name, count, &dirs)?;
                let ns = took.core * 1e9 / f64::from(count);
                times.entry(column.key.into()).or_default().push(Some(ns));
                if round.is_multiple_of(3) {
                    let sums = [
                        self.traced(target, column, few, tracer)?,
                        self.traced(target, column, count, tracer)?,
                    ];
                    traced.entry(column.key.into()).or_default().push(sums);
                }
            }
        }
        eprintln!("profile of {}", target.key);
        let least = |v: &Vec<Option<f64>>| Five::of(v.iter().copied()).map_or(f64::NAN, |f| f.min);
        let operations = f64::from(count - few);
        let calls = |(k, runs): (&String, &Vec<_>)| {
            (k.clone(), calls_of(runs, operations, tracer.correction()))
        };
        Ok(Profile {
            key: target.key.into(),
            title: target.title.into(),
            method: tracer.method(),
            total_ns: times.iter().map(|(k, v)| (k.clone(), least(v))).collect(),
            calls: traced.iter().map(calls).collect(),
        })
    }

    fn traced(
        &self,
        target: &Target,
        column: &Column,
        count: u32,
        tracer: &trace::Tracer,
    ) -> Result<Sums> {
        let dirs = self.prepared(target, column, count)?;
        tracer.trace(self.kit, &self.ground, column, target.name, count, &dirs)
    }

    /// New directories of a column with what the loop needs in them.
    fn prepared(&self, target: &Target, column: &Column, count: u32) -> Result<Vec<PathBuf>> {
        self.fresh.set(self.fresh.get() + 1);
        let name = format!("profile{}", self.fresh.get());
        let dirs: Vec<PathBuf> = column.dirs.iter().map(|d| d.join(&name)).collect();
        let mut c = column.command(&self.ground, "mkdir".as_ref());
        watch::run(c.args(&dirs), column.limit())?;
        if let Some((before, n)) = target.before {
            let n = n.unwrap_or(count);
            self.kit.fsops(&self.ground, column, before, n, &dirs)?;
        }
        Ok(dirs)
    }
}

/// Calls of one operation out of several pairs of traced runs, a short and a long one: how often by
/// their difference, how dear by the least disturbed long one. `correction` is added to each call's time.
fn calls_of(runs: &[[Sums; 2]], operations: f64, correction: Option<f64>) -> Vec<Call> {
    let mut all: Vec<Call> = Vec::new();
    for (number, sum) in runs.first().map(|r| &r[1]).into_iter().flatten() {
        let start = runs[0][0].get(number).map_or(0.0, |s| s.calls);
        let per_operation = (sum.calls - start) / operations;
        // A call now and then belongs to the program, not to the operation.
        if per_operation < 0.005 {
            continue;
        }
        let means = runs.iter().map(|r| r[1].get(number)?.mean());
        let least = Five::of(means).map(|f| f.min);
        all.push(Call {
            name: names::of(*number),
            per_operation,
            ns: correction.and_then(|c| Some((least? + c).max(0.0))),
        });
    }
    let cost = |c: &Call| c.per_operation * c.ns.unwrap_or(1.0);
    all.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::Sum;

    #[test]
    fn calls_are_counted_for_one_operation_and_corrected() {
        let sum = |calls, timed, ns| Sum { calls, timed, ns };
        let short = Sums::from([(1, sum(50.0, 50.0, 1.0)), (3, sum(7.0, 7.0, 1.0))]);
        let long = |ns| {
            let close = sum(7.1, 7.0, 1.0);
            Sums::from([
                (1, sum(250.0, 200.0, ns)),
                (39, sum(100.0, 100.0, 4000.0)),
                (3, close),
            ])
        };
        let runs = [
            [short.clone(), long(60_000.0)],
            [short.clone(), long(40_000.0)],
        ];
        // The close of the start is gone; the write has the least of its means, corrected.
        let call = |name: &str, per_operation, ns| Call {
            name: name.into(),
            per_operation,
            ns: Some(ns),
        };
        assert_eq!(
            calls_of(&runs, 100.0, Some(-50.0)),
            [call("write", 2.0, 150.0), call("getpid", 1.0, 0.0)]
        );
        assert!(calls_of(&runs, 100.0, None)[0].ns.is_none());
    }
}
