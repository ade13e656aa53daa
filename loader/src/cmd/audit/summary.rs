//! `--summary`: findings by program, reason and leg, in place of a line for each.
use crate::audit::finding::Finding;
use crate::text;
use mirror_core::Leg;
use serde::Serialize;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Rows that are kept apart; what comes after them goes into one.
const ROWS: usize = 1000;

/// Who, why and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    program: String,
    why: &'static str,
    leg: Option<Leg>,
}

/// What they did.
struct Sum {
    changes: u64,
    healed: u64,
    processes: Vec<u32>,
    /// What their paths begin with.
    below: PathBuf,
    /// The only one.
    one: bool,
    last: u64,
}

/// All of a pair.
#[derive(Default)]
pub struct Summary(HashMap<Key, Sum>);

/// A row in JSON.
#[derive(Serialize)]
pub struct Row {
    program: String,
    why: &'static str,
    leg: Option<char>,
    changes: u64,
    healed: u64,
    processes: usize,
    below: String,
    last: String,
}

/// Processes that are told apart in a row.
const PROCESSES: usize = 1000;

impl Summary {
    /// Takes findings in.
    pub fn add(&mut self, found: &[Finding]) {
        for f in found {
            let mut key = Key {
                program: f.by.as_ref().map_or("?".into(), |b| b.name.clone()),
                why: f.why.word(),
                leg: f.leg,
            };
            if self.0.len() >= ROWS && !self.0.contains_key(&key) {
                key.program = "(others)".into();
                key.why = "-";
            }
            let path = Path::new(std::ffi::OsStr::from_bytes(&f.rel));
            let sum = self.0.entry(key).or_insert_with(|| Sum {
                changes: 0,
                healed: 0,
                processes: vec![],
                below: path.into(),
                one: true,
                last: 0,
            });
            sum.changes += f.count.max(1);
            sum.healed += u64::from(f.done.healed());
            sum.last = sum.last.max(f.time);
            let pid = f.by.as_ref().map_or(0, |b| b.pid);
            if pid != 0 && sum.processes.len() < PROCESSES && !sum.processes.contains(&pid) {
                sum.processes.push(pid);
            }
            if sum.one && path != sum.below {
                sum.one = false;
            }
            while !path.starts_with(&sum.below) && sum.below.pop() {}
        }
    }

    /// The rows, the busiest first.
    pub fn rows(&self) -> Vec<Row> {
        let mut all: Vec<Row> = self
            .0
            .iter()
            .map(|(k, s)| Row {
                program: k.program.clone(),
                why: k.why,
                leg: k.leg.map(Leg::letter),
                changes: s.changes,
                healed: s.healed,
                processes: s.processes.len(),
                below: match (s.one, s.below.as_os_str().is_empty()) {
                    (true, true) => ".".into(),
                    (true, false) => text::path(&s.below),
                    (false, true) => "…".into(),
                    (false, false) => format!("{}/…", text::path(&s.below)),
                },
                last: text::iso(s.last / 1_000_000_000),
            })
            .collect();
        all.sort_by(|x, y| {
            let by = |r: &Row| (u64::MAX - r.changes, r.program.clone(), r.why, r.leg);
            by(x).cmp(&by(y))
        });
        all
    }

    /// The rows as a table.
    pub fn lines(&self) -> Vec<String> {
        let rows = self.rows();
        if rows.is_empty() {
            return vec![];
        }
        let wide = |f: &dyn Fn(&Row) -> usize| rows.iter().map(f).max().unwrap_or(0);
        let program = wide(&|r| r.program.chars().count()).max(7);
        let why = wide(&|r| r.why.chars().count()).max(3);
        let line = |c: [&str; 7]| {
            format!(
                "{:>9}  {:>7}  {:program$}  {:>9}  {:why$}  {:3}  {}",
                c[0], c[1], c[2], c[3], c[4], c[5], c[6]
            )
        };
        let titles = [
            "CHANGES",
            "HEALED",
            "PROGRAM",
            "PROCESSES",
            "WHY",
            "LEG",
            "PATH",
        ];
        let mut all = vec![line(titles)];
        all.extend(rows.iter().map(|r| {
            line([
                &text::count(r.changes),
                &text::count(r.healed),
                &r.program,
                &text::count(r.processes as u64),
                r.why,
                &r.leg.unwrap_or('?').to_string(),
                &r.below,
            ])
        }));
        all
    }
}
