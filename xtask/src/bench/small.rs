//! What the preload costs each program: its start, and its memory.
use super::columns::Column;
use super::ground::Ground;
use super::results::ByColumn;
use crate::Result;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Microseconds of starting /bin/true, natively and preloaded, one after the other.
pub fn starts(ground: &Ground, all: &[Column], n: usize) -> Result<ByColumn<Vec<Option<f64>>>> {
    let mut times = ByColumn::new();
    for _ in 0..n {
        super::interrupt::check()?;
        for column in all.iter().filter(|c| c.key != "hand") {
            let mut c = column.command(ground, Path::new("/bin/true"));
            c.stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            let status = c.status().map_err(|e| e.to_string())?;
            let us = start.elapsed().as_secs_f64() * 1e6;
            if !status.success() {
                return Err(format!("/bin/true: {status}"));
            }
            let list: &mut Vec<Option<f64>> = times.entry(column.key.into()).or_default();
            list.push(Some(us));
        }
    }
    Ok(times)
}

/// Private KiB of a sleeping process, natively and preloaded, while a second one runs: pages that all
/// programs share are not private.
pub fn memory(ground: &Ground, all: &[Column]) -> Result<ByColumn<u64>> {
    let mut kib = ByColumn::new();
    for column in all.iter().filter(|c| c.key != "hand") {
        let start = || {
            let mut c = column.command(ground, Path::new("sleep"));
            c.arg("5").spawn().map_err(|e| e.to_string())
        };
        let (mut child, mut second) = (start()?, start()?);
        std::thread::sleep(Duration::from_millis(300));
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", child.id()));
        for c in [&mut child, &mut second] {
            let _ = c.kill();
            let _ = c.wait();
        }
        kib.insert(
            column.key.into(),
            private_dirty(&rollup.unwrap_or_default()),
        );
    }
    Ok(kib)
}

fn private_dirty(rollup: &str) -> u64 {
    let lines = rollup.lines().filter(|l| l.starts_with("Private_Dirty:"));
    lines
        .filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_dirty_memory_is_found() {
        let text = "Rss:  900 kB\nPrivate_Clean:  4 kB\nPrivate_Dirty:   108 kB\n";
        assert_eq!(private_dirty(text), 108);
    }
}
