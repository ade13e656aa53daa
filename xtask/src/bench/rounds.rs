//! The rounds: in each one every workload runs in every column, one after the other, so that what
//! disturbs the machine for a while disturbs all columns; ratios are taken round by round.
use super::columns::Column;
use super::ground::{Floor, Ground};
use super::peers;
use super::results::{ByColumn, LeftOut, Part, Row};
use super::scaling;
use super::watch;
use super::workloads::{Kit, Workload, selected};
use super::{interrupt, results::Scaling};
use crate::Result;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// How a table is measured.
pub struct Plan<'a> {
    /// "main", "net" or "peers".
    pub name: &'static str,
    /// The workloads.
    pub rows: &'static [Workload],
    /// Our own columns.
    pub own: fn(&Ground) -> Vec<Column>,
    /// How often.
    pub rounds: usize,
    /// Counts are divided by this.
    pub divisor: u32,
    /// The peers that are mounted beside our own columns.
    pub peers: Vec<&'static peers::Peer>,
    /// Milliseconds of a scaling sample, if it is measured.
    pub scaling: Option<u32>,
    /// Which workloads.
    pub wants: &'a dyn Fn(&str) -> bool,
}

/// Everything a table gives.
pub struct Measured {
    /// The table.
    pub part: Part,
    /// Several processes against one.
    pub scaling: Vec<Scaling>,
    /// Peers that did not come up.
    pub left_out: Vec<LeftOut>,
}

/// Measures one table.
pub fn measure(kit: &Kit, floor: &Floor, plan: &Plan) -> Result<Measured> {
    let work = selected(plan.rows, plan.wants);
    let mut rows: Vec<Row> = work
        .iter()
        .map(|(w, _)| Row {
            key: w.key.into(),
            title: w.title.into(),
            count: (w.count / plan.divisor).max(1),
            samples: ByColumn::new(),
            errors: ByColumn::new(),
            ratios: ByColumn::new(),
        })
        .collect();
    let mut scaling = scaling::rows(plan.wants);
    let mut left_out: Vec<LeftOut> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    // Peers that hung once: they would again, and each time costs the whole limit.
    let mut hung: BTreeSet<&str> = BTreeSet::new();
    for round in 0..plan.rounds {
        interrupt::check()?;
        let ground = Ground::new(floor)?;
        let mut all = (plan.own)(&ground);
        let mounted = mount(plan, &ground, &mut all, &mut left_out);
        columns = all.iter().map(|c| c.key.to_owned()).collect();
        // Creating first: on fresh file systems no file has been removed yet.
        if let Some(ms) = plan.scaling {
            for s in &mut scaling {
                scaling::sample(kit, &ground, &all, s, round, ms);
                interrupt::check()?;
            }
            // What they made stays: removing it would spoil the file systems for what follows.
            ground.settle()?;
        }
        for ((w, _), row) in work.iter().zip(&mut rows) {
            // The order turns, so that a slow moment of the machine does not always hit the same one.
            for k in 0..all.len() {
                let column = &all[(k + round) % all.len()];
                let failed = column.peer && row.errors.contains_key(column.key);
                if !w.work.is_for(column) || failed {
                    continue;
                }
                let sample = if hung.contains(column.key) {
                    Err("hung before".into())
                } else {
                    kit.run(&ground, column, w.work, row.count)
                };
                interrupt::check()?;
                let too_long = |e: &String| e.starts_with(watch::TOO_LONG);
                if column.peer && sample.as_ref().is_err_and(too_long) {
                    hung.insert(column.key);
                }
                row.add(column.key, sample);
            }
            // Writing back what one left must not be paid by the next.
            ground.settle()?;
        }
        drop(mounted);
        equal(&ground)?;
        eprintln!("{}: round {} of {}", plan.name, round + 1, plan.rounds);
    }
    rows.iter_mut().for_each(Row::finish);
    scaling.iter_mut().for_each(Scaling::finish);
    let mut wanted = work.iter().map(|(_, w)| *w);
    rows.retain(|_| wanted.next().unwrap_or(false));
    if plan.scaling.is_none() {
        scaling.clear();
    }
    let part = Part {
        name: plan.name.into(),
        rounds: plan.rounds,
        columns,
        rows,
    };
    Ok(Measured {
        part,
        scaling,
        left_out,
    })
}

/// A fast mirror whose copies differ is none: names and contents, by a program that is not ours.
fn equal(ground: &Ground) -> Result<()> {
    let mut c = Command::new("sh");
    let script = "diff -rq --no-dereference --exclude=.mirror \"$1\" \"$2\" >&2";
    c.args(["-c", script, "sh"])
        .args([ground.pair().a(), ground.pair().b()]);
    let r = watch::run(&mut c, Duration::from_secs(300));
    r.map(drop).map_err(|e| format!("the copies differ: {e}"))
}

/// Mounts the peers of a plan; one that does not come up is left out, with the reason.
fn mount(
    plan: &Plan,
    ground: &Ground,
    all: &mut Vec<Column>,
    left_out: &mut Vec<LeftOut>,
) -> Vec<peers::Mounted> {
    let mut mounted = Vec::new();
    for peer in &plan.peers {
        if left_out.iter().any(|l| l.key == peer.key) {
            continue;
        }
        match peers::mount(peer, &ground.base()) {
            Ok(m) => {
                all.push(m.column(peer));
                mounted.push(m);
            }
            Err(reason) => left_out.push(LeftOut {
                key: peer.key.into(),
                reason,
            }),
        }
    }
    mounted
}
