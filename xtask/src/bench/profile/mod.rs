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
        return Err(format!("no profile of {unknown}; there are: {}", known.join(", ")));
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
        for _ in 0..7 {
            for column in &all {
                interrupt::check()?;
                let dirs = self.prepared(target, column, count)?;
                let seconds = self
                    .kit
                    .fsops(&self.ground, column, target.name, count, &dirs)?;
                let ns = seconds * 1e9 / f64::from(count);
                times.entry(column.key.into()).or_default().push(Some(ns));
            }
        }
        let mut calls = ByColumn::new();
        for column in &all {
            // What the start of the program costs is in both counts and falls out.
            let few = count / 4;
            let mut runs = Vec::new();
            for _ in 0..3 {
                let mut sums = Vec::new();
                for n in [few, count] {
                    interrupt::check()?;
                    let dirs = self.prepared(target, column, n)?;
                    sums.push(tracer.trace(self.kit, &self.ground, column, target.name, n, &dirs)?);
                }
                runs.push(trace::less(&sums[1], &sums[0]));
            }
            calls.insert(
                column.key.into(),
                calls_of(&runs, count - few, tracer.correction()),
            );
        }
        eprintln!("profile of {}", target.key);
        let total = |v: &Vec<Option<f64>>| Five::of(v.iter().copied()).map_or(f64::NAN, |f| f.median);
        Ok(Profile {
            key: target.key.into(),
            title: target.title.into(),
            method: tracer.method(),
            total_ns: times.iter().map(|(k, v)| (k.clone(), total(v))).collect(),
            calls,
        })
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

/// Calls of one operation out of several traced runs; `correction` is added to each call's time.
fn calls_of(runs: &[Sums], operations: u32, correction: Option<f64>) -> Vec<Call> {
    let mut all: Vec<Call> = Vec::new();
    for (number, (calls, _)) in runs.first().into_iter().flatten() {
        let per_operation = *calls / f64::from(operations);
        // A call now and then belongs to the program, not to the operation.
        if per_operation < 0.005 {
            continue;
        }
        let each = |r: &Sums| r.get(number).map(|(n, ns)| ns / n);
        let mean = Five::of(runs.iter().map(each)).map(|f| f.median);
        all.push(Call {
            name: names::of(*number),
            per_operation,
            ns: correction.and_then(|c| Some((mean? + c).max(0.0))),
        });
    }
    let cost = |c: &Call| c.per_operation * c.ns.unwrap_or(1.0);
    all.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_for_one_operation_and_corrected() {
        let run = |ns: f64| Sums::from([(1, (200.0, ns)), (39, (100.0, 5000.0)), (3, (0.1, 1.0))]);
        let calls = calls_of(&[run(60_000.0), run(40_000.0), run(40_000.0)], 100, Some(-50.0));
        // The close that came by is gone; the write has the median of its means, corrected.
        assert_eq!(
            calls,
            [
                Call { name: "write".into(), per_operation: 2.0, ns: Some(150.0) },
                Call { name: "getpid".into(), per_operation: 1.0, ns: Some(0.0) },
            ]
        );
        assert!(calls_of(&[run(1.0)], 100, None)[0].ns.is_none());
    }
}
