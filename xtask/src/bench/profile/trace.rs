//! Counting and timing the system calls of one run of a loop.
use crate::Result;
use crate::bench::columns::Column;
use crate::bench::ground::Ground;
use crate::bench::watch;
use crate::bench::workloads::Kit;
use mirror_tests::tool;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was seen, by number of the call.
pub type Sums = BTreeMap<i64, Sum>;

/// What was seen of one call.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Sum {
    /// How often it was made.
    pub calls: f64,
    /// How many of these were timed: not those in whose middle another program had the core.
    pub timed: f64,
    /// Nanoseconds of the timed ones together.
    pub ns: f64,
}

impl Sum {
    /// Nanoseconds of one call.
    pub fn mean(&self) -> Option<f64> {
        (self.timed > 0.0).then(|| self.ns / self.timed)
    }
}

/// Only the loop's own process is looked at; its name is enough to know it. A call of more than 100 us
/// was interrupted by another program: it is counted and not timed.
const SCRIPT: &str = "
tracepoint:raw_syscalls:sys_enter /comm == \"fsops\"/ { @s[tid] = nsecs; }
tracepoint:raw_syscalls:sys_exit /@s[tid]/ {
  $d = nsecs - @s[tid];
  @n[args->id] = count();
  if ($d < 100000) { @m[args->id] = count(); @t[args->id] = sum($d); }
  delete(@s[tid]);
}
END { clear(@s); }";

/// How calls are counted here.
pub enum Tracer {
    /// bpftrace; what must be added to each call's time.
    Bpf {
        /// Cost of the cheapest call without tracing, less its time while it is traced.
        correction: f64,
    },
    /// strace: counts only, and why.
    Strace(String),
}

impl Tracer {
    /// The best one that works, calibrated with the cheapest call that there is.
    pub fn choose(kit: &Kit, ground: &Ground) -> Tracer {
        let all = super::columns::own(ground);
        let native = &all[0];
        let (name, n) = ("nothing", 1_000_000);
        let calibrate = || -> Result<f64> {
            let core = watch::least(9, || {
                Ok(kit.fsops(ground, native, name, n, &native.dirs)?.core)
            })?;
            let cheap = core * 1e9 / f64::from(n);
            let traced = watch::least(5, || {
                let sums = bpf(kit, ground, native, name, n, &native.dirs)?;
                let sum = sums.get(&libc::SYS_getppid).ok_or("no call was seen")?;
                sum.mean().ok_or_else(|| "no call was timed".into())
            })?;
            Ok(cheap - traced)
        };
        match calibrate() {
            Ok(correction) => Tracer::Bpf { correction },
            Err(e) => Tracer::Strace(e),
        }
    }

    /// In words.
    pub fn method(&self) -> String {
        match self {
            Tracer::Bpf { correction } => format!(
                "bpftrace on raw_syscalls; {correction:+.0} ns to each call, so that getppid costs what it costs untraced"
            ),
            Tracer::Strace(why) => format!("counts by strace, no times (bpftrace: {why})"),
        }
    }

    /// What is added to each call's time; `None` when there are no times.
    pub fn correction(&self) -> Option<f64> {
        match self {
            Tracer::Bpf { correction } => Some(*correction),
            Tracer::Strace(_) => None,
        }
    }

    /// Sums of one run.
    pub fn trace(
        &self,
        kit: &Kit,
        ground: &Ground,
        column: &Column,
        name: &str,
        count: u32,
        dirs: &[PathBuf],
    ) -> Result<Sums> {
        match self {
            Tracer::Bpf { .. } => bpf(kit, ground, column, name, count, dirs),
            Tracer::Strace(_) => strace(kit, ground, column, name, count, dirs),
        }
    }
}

fn bpf(
    kit: &Kit,
    ground: &Ground,
    column: &Column,
    name: &str,
    count: u32,
    dirs: &[PathBuf],
) -> Result<Sums> {
    let program = tool("bpftrace").ok_or("not installed")?;
    // bpftrace itself is not preloaded: env is, after it has set the variable.
    let mut words = vec!["/usr/bin/env".to_owned()];
    if column.preload {
        words.push(format!("LD_PRELOAD={}", library().display()));
    }
    words.push(kit.fsops.display().to_string());
    words.extend([name.to_owned(), count.to_string()]);
    words.extend(dirs.iter().map(|d| d.display().to_string()));
    if let Some(w) = words.iter().find(|w| w.contains([' ', '\'', '"'])) {
        return Err(format!("bpftrace cannot take the word {w}"));
    }
    let mut c = ground.pair().native_command(program);
    c.args(["-q", "-e", SCRIPT, "-c", &words.join(" ")]);
    let (text, _) = watch::run(&mut c, column.limit())?;
    let sums = of_bpf(&text);
    if sums.is_empty() {
        let last = text.trim().lines().next_back().unwrap_or("no output");
        return Err(format!("bpftrace: {last}"));
    }
    Ok(sums)
}

fn library() -> PathBuf {
    crate::dist().join("libmirror.so")
}

/// Reads `@n[NUMBER]: CALLS`, `@m[NUMBER]: TIMED CALLS` and `@t[NUMBER]: NANOSECONDS`.
fn of_bpf(text: &str) -> Sums {
    let mut sums = Sums::new();
    for line in text.lines() {
        let Some((map, rest)) = line.strip_prefix('@').and_then(|l| l.split_once('[')) else {
            continue;
        };
        let Some((number, value)) = rest.split_once("]: ") else {
            continue;
        };
        let (Ok(number), Ok(value)) = (number.parse(), value.trim().parse()) else {
            continue;
        };
        let sum: &mut Sum = sums.entry(number).or_default();
        match map {
            "n" => sum.calls = value,
            "m" => sum.timed = value,
            "t" => sum.ns = value,
            _ => {}
        }
    }
    sums
}

fn strace(
    kit: &Kit,
    ground: &Ground,
    column: &Column,
    name: &str,
    count: u32,
    dirs: &[PathBuf],
) -> Result<Sums> {
    let program = tool("strace").ok_or("needs bpftrace or strace")?;
    let log = ground.base().join("p/strace.log");
    let mut c: Command = ground.pair().native_command(program);
    c.args(["-f", "-c", "-U", "name,calls", "-o"]).arg(&log);
    if column.preload {
        c.arg("-E")
            .arg(format!("LD_PRELOAD={}", library().display()));
    }
    c.arg(&kit.fsops)
        .arg(name)
        .arg(count.to_string())
        .args(dirs);
    watch::run(&mut c, column.limit())?;
    read(&log)
}

fn read(log: &Path) -> Result<Sums> {
    let text = std::fs::read_to_string(log).map_err(|e| format!("{}: {e}", log.display()))?;
    Ok(of_strace(&text))
}

/// Reads lines of a name and a count.
fn of_strace(text: &str) -> Sums {
    let mut sums = Sums::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(Ok(calls))) = (words.next(), words.next().map(str::parse)) else {
            continue;
        };
        if let Some(number) = super::names::number(name) {
            let none = Sum::default();
            sums.insert(number, Sum { calls, ..none });
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_bpftrace_is_read() {
        let text =
            "0.123\n\n@n[18]: 20000\n@n[73]: 40010\n@m[18]: 19999\n@t[18]: 9000000\n@s[12]: 5\n";
        let sums = of_bpf(text);
        let (calls, timed, ns) = (20000.0, 19999.0, 9_000_000.0);
        assert_eq!(sums[&18], Sum { calls, timed, ns });
        assert_eq!(sums[&18].mean(), Some(ns / timed));
        assert_eq!((sums[&73].calls, sums[&73].mean()), (40010.0, None));
    }

    #[test]
    fn output_of_strace_is_read() {
        let text =
            "syscall  calls\n----- -----\nflock  40010\npwrite64  20000\n----\ntotal 60010\n";
        let sums = of_strace(text);
        assert_eq!(sums[&libc::SYS_flock].calls, 40010.0);
        assert_eq!((sums.len(), sums[&libc::SYS_flock].mean()), (2, None));
    }
}
