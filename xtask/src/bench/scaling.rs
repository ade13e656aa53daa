//! Several processes at once against one, by benches/scale.c: speed-ups of each column, and what the
//! mirror's is of that of two writes by hand, which have no lock.
use super::columns::Column;
use super::ground::Ground;
use super::results::{ByColumn, Scaling};
use super::watch;
use super::workloads::Kit;
use crate::Result;

/// How many processes work side by side.
pub const PROCESSES: u32 = 4;
/// At or above this, the mirror's locks cost nothing that counts.
pub const BAR: f64 = 0.9;

const WORKS: &[(&str, &str, &str)] = &[
    ("s1", "create", "create files, a directory each"),
    (
        "s2",
        "directories",
        "random 4 KiB writes, a directory and a file each",
    ),
    (
        "s3",
        "one-directory",
        "random 4 KiB writes, a file each in one directory",
    ),
];

/// Empty rows of what is wanted.
pub fn rows(wants: &dyn Fn(&str) -> bool) -> Vec<Scaling> {
    let wanted = WORKS
        .iter()
        .filter(|(key, ..)| wants(key) || wants("scaling"));
    wanted
        .map(|(key, _, title)| Scaling {
            key: (*key).into(),
            title: (*title).into(),
            processes: PROCESSES,
            one: ByColumn::new(),
            all: ByColumn::new(),
            errors: ByColumn::new(),
            speed_up: ByColumn::new(),
            against_hand: None,
        })
        .collect()
}

/// One sample of a row in each column: one process and all of them, right after each other.
pub fn sample(
    kit: &Kit,
    ground: &Ground,
    all: &[Column],
    row: &mut Scaling,
    round: usize,
    ms: u32,
) {
    let work = WORKS.iter().find(|w| w.0 == row.key).map_or("", |w| w.1);
    for k in 0..all.len() {
        let column = &all[(k + round) % all.len()];
        let mut run = |processes: u32| {
            let r = throughput(kit, ground, column, work, processes, ms);
            r.map_err(|e| row.errors.insert(column.key.into(), e)).ok()
        };
        let (one, several) = if round.is_multiple_of(2) {
            let one = run(1);
            (one, run(PROCESSES))
        } else {
            let several = run(PROCESSES);
            (run(1), several)
        };
        row.one.entry(column.key.into()).or_default().push(one);
        row.all.entry(column.key.into()).or_default().push(several);
    }
}

/// Operations a second of so many processes together, in directories of their own.
fn throughput(
    kit: &Kit,
    ground: &Ground,
    column: &Column,
    work: &str,
    processes: u32,
    ms: u32,
) -> Result<f64> {
    let dirs: Vec<_> = column
        .dirs
        .iter()
        .map(|d| d.join(format!("{work}{processes}")))
        .collect();
    let mut c = column.command(ground, "mkdir".as_ref());
    watch::run(c.args(&dirs), column.limit())?;
    let mut c = column.command(ground, &kit.scale);
    c.arg(work)
        .args([processes.to_string(), ms.to_string()])
        .args(&dirs);
    let (text, _) = watch::run(&mut c, column.limit())?;
    per_second(&text).ok_or_else(|| format!("scale: {text}"))
}

fn per_second(text: &str) -> Option<f64> {
    let (operations, seconds) = text.trim().split_once(' ')?;
    let r = operations.parse::<f64>().ok()? / seconds.parse::<f64>().ok()?;
    (r.is_finite() && r > 0.0).then_some(r)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_operations_over_seconds() {
        assert_eq!(per_second("500 0.250\n"), Some(2000.0));
        // Nothing done in the interval is no figure.
        assert_eq!(per_second("0 0.250\n"), None);
        assert_eq!(per_second(""), None);
    }
}
