//! `cargo xtask bench [--quick]`: the same work natively, by hand (each change made twice) and through
//! the mirror, interleaved in one run; what counts are ratios, since machines and disks are noisy.
use crate::{Result, build, target};
use mirror_tests::{Fs, Kind, Pair, compile};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Where a workload runs.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Native,
    Hand,
    Mirror,
}
const TARGETS: [Target; 3] = [Target::Native, Target::Hand, Target::Mirror];

/// How a workload is measured.
enum Work {
    /// A loop of fsops.c: its own clock.
    Loop(&'static str, u32),
    /// A loop in a directory outside V; only the preload differs.
    Outside(&'static str, u32),
    /// A shell script in directory `$1`: wall clock; by hand it runs for one directory, then the other.
    Script(&'static str, u32),
    /// Like [`Work::Loop`], for loops that only read.
    Reading(&'static str, u32),
}

/// Workloads in the order in which they must run (some use what an earlier one made). Counts are
/// those of a full run; a quick one does an eighth.
const WORKLOADS: &[(&str, Work)] = &[
    ("w1 sequential MiB writes", Work::Loop("sequential", 256)),
    ("w2 random 4 KiB writes", Work::Loop("random", 80_000)),
    ("w3 small files", Work::Loop("small", 8_000)),
    ("w6 rename, unlink", Work::Loop("rename", 8_000)),
    (
        "w4 unpack a tar",
        Work::Script("mkdir $1/t; tar xf $DATA/src.tar -C $1/t", 1),
    ),
    ("w5 stat and read a tree", Work::Reading("walk", 8)),
    (
        "w7 sqlite, delete journal",
        Work::Script("python3 -c \"$SQL\" $1 delete $2; rm -f $1/sq*", 2_000),
    ),
    (
        "w7 sqlite, memory journal",
        Work::Script("python3 -c \"$SQL\" $1 memory $2; rm -f $1/sq*", 4_000),
    ),
    (
        "w8 git clone and status",
        Work::Script(
            "git clone -q --no-local $DATA/repo $1/c; git -C $1/c status --porcelain; rm -rf $1/c",
            1,
        ),
    ),
    (
        "w9 small programs",
        Work::Script(
            "i=0; while [ $i -lt $2 ]; do i=$((i+4)); /bin/true; touch $1/p; cat $1/p; ls $1 >/dev/null; done",
            400,
        ),
    ),
    ("appends of 100 bytes", Work::Loop("append", 100_000)),
    ("reading: stat in V", Work::Reading("stat", 400_000)),
    ("reading: pread in V", Work::Reading("read", 400_000)),
    ("reading: open, close in V", Work::Reading("open", 200_000)),
    (
        "outside V: create, write, unlink",
        Work::Outside("cycle", 40_000),
    ),
];

const SQL: &str = "
import sqlite3, sys
c = sqlite3.connect(sys.argv[1] + '/sq.db', isolation_level=None)
c.execute('pragma synchronous=off'); c.execute('pragma journal_mode=' + sys.argv[2]); c.execute('create table t(v)')
for i in range(int(sys.argv[3])): c.execute('insert into t values (?)', (i,))
assert c.execute('pragma integrity_check').fetchone()[0] == 'ok'";

/// One workload's seconds per round, by target.
struct Times {
    name: &'static str,
    rounds: Vec<[f64; 3]>,
    error: Option<String>,
}

/// Everything a round needs.
struct Bench {
    pair: Pair,
    fsops: PathBuf,
    data: PathBuf,
    hand: [PathBuf; 2],
    outside: PathBuf,
    divisor: u32,
}

/// Runs the benchmark and prints its table; `Ok(false)` when a workload failed.
pub fn bench(quick: bool) -> Result<bool> {
    build::build()?;
    let bench = Bench::new(quick)?;
    let rounds = if quick { 3 } else { 9 };
    let mut all: Vec<Times> = WORKLOADS
        .iter()
        .map(|(name, _)| Times {
            name,
            rounds: Vec::new(),
            error: None,
        })
        .collect();
    for round in 0..rounds {
        for (times, (_, work)) in all.iter_mut().zip(WORKLOADS) {
            let mut row = [f64::NAN; 3];
            // The order turns, so that a slow moment of the machine does not always hit the same target.
            for k in 0..TARGETS.len() {
                let at = (k + round) % TARGETS.len();
                match bench.run(work, TARGETS[at]) {
                    Ok(seconds) => row[at] = seconds,
                    Err(e) => times.error = Some(e),
                }
            }
            times.rounds.push(row);
        }
        bench.clear();
        eprintln!("round {} of {rounds}", round + 1);
    }
    let spawn = bench.spawn(if quick { 100 } else { 500 })?;
    let memory = bench.memory()?;
    let json = report(&all, spawn, memory, quick);
    let file = target().join("bench.json");
    fs::write(&file, json).map_err(|e| format!("{}: {e}", file.display()))?;
    println!("\n{}", file.display());
    bench.pair.assert_equal();
    Ok(all.iter().all(|t| t.error.is_none()))
}

impl Bench {
    fn new(quick: bool) -> Result<Bench> {
        crate::use_dist();
        let pair = Pair::new(Kind::Link, Fs::Plain).ok_or("no pair")?;
        let base = pair.programs();
        let fsops =
            compile(&base, "fsops", include_str!("../../benches/fsops.c")).ok_or("needs cc")?;
        let dir = |name: &str| -> Result<PathBuf> {
            let d = base.join(name);
            fs::create_dir(&d).map_err(|e| e.to_string())?;
            Ok(d)
        };
        let (hand, data, outside) = (
            [dir("hand1")?, dir("hand2")?],
            dir("data")?,
            dir("outside")?,
        );
        let make = "cd $1; mkdir -p src; for i in $(seq 40); do mkdir src/d$i; for k in $(seq 20); do seq $i $((i*k+300)) > src/d$i/f$k; done; done; \
                    tar cf src.tar src; git init -q -b main repo; mv src repo; git -C repo add .; git -C repo commit -qm data";
        let mut c = pair.native_command("sh");
        build::run(c.args(["-euc", make, "sh"]).arg(&data))?;
        // The first mirrored command prepares the image of libc.
        pair.run("true").ok();
        Ok(Bench {
            pair,
            fsops,
            data,
            hand,
            outside,
            divisor: if quick { 8 } else { 1 },
        })
    }

    /// A command of a target: the preload is all that differs.
    fn command(&self, program: &Path, target: Target) -> Command {
        let mut c = self.pair.native_command(program);
        c.env("DATA", &self.data)
            .env("SQL", SQL)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if target == Target::Mirror {
            c.env("LD_PRELOAD", crate::dist().join("libmirror.so"));
        }
        c
    }

    /// Seconds of one workload on one target.
    fn run(&self, work: &Work, target: Target) -> Result<f64> {
        let scaled = |n: u32| (n / self.divisor).max(1).to_string();
        let native = self.pair.native();
        let dirs: Vec<&Path> = match target {
            Target::Native => vec![&native],
            Target::Hand => self.hand.iter().map(PathBuf::as_path).collect(),
            Target::Mirror => vec![self.pair.v()],
        };
        match *work {
            Work::Loop(name, n) => self.fsops(name, &scaled(n), &dirs, target),
            // Leg a itself: a link pair's V is a symlink, which costs a step on the way natively too.
            Work::Reading(name, n) if matches!(target, Target::Mirror) => {
                self.fsops(name, &scaled(n), &[self.pair.a()], target)
            }
            Work::Reading(name, n) => self.fsops(name, &scaled(n), &dirs[..1], target),
            Work::Outside(name, n) => self.fsops(name, &scaled(n), &[&self.outside], target),
            Work::Script(script, n) => {
                let mut seconds = 0.0;
                for dir in dirs {
                    let mut c = self.command(Path::new("sh"), target);
                    c.args(["-euc", script, "sh"]).arg(dir).arg(scaled(n));
                    let start = Instant::now();
                    finished(&mut c)?;
                    seconds += start.elapsed().as_secs_f64();
                }
                Ok(seconds)
            }
        }
    }

    fn fsops(&self, name: &str, n: &str, dirs: &[&Path], target: Target) -> Result<f64> {
        let mut c = self.command(&self.fsops, target);
        let text = finished(c.arg(name).arg(n).args(dirs))?;
        text.trim()
            .parse()
            .map_err(|e| format!("fsops {name}: {e}"))
    }

    /// Empties all directories between rounds.
    fn clear(&self) {
        // Writing back what one round left must not be paid by the next one.
        let wipe = "rm -rf \"$V\"/*";
        self.pair.run(wipe);
        self.pair.plain(wipe);
        for dir in &self.hand {
            let _ = self
                .pair
                .native_command("sh")
                .args(["-c", "rm -rf \"$1\"/*", "sh"])
                .arg(dir)
                .status();
        }
        let _ = Command::new("sync").status();
    }

    /// Median microseconds of starting /bin/true, natively and preloaded, one after the other.
    fn spawn(&self, n: usize) -> Result<[f64; 2]> {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..n {
            for (list, target) in times.iter_mut().zip([Target::Native, Target::Mirror]) {
                let mut c = self.command(Path::new("/bin/true"), target);
                let start = Instant::now();
                let status = c
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .map_err(|e| e.to_string())?;
                list.push(start.elapsed().as_secs_f64() * 1e6);
                if !status.success() {
                    return Err(format!("/bin/true: {status}"));
                }
            }
        }
        Ok(times.map(|mut t| median(&mut t)))
    }

    /// Private KiB of a sleeping process, natively and preloaded, while a second one runs: pages that
    /// all programs share are not private.
    fn memory(&self) -> Result<[u64; 2]> {
        let mut out = [0; 2];
        for (kib, target) in out.iter_mut().zip([Target::Native, Target::Mirror]) {
            let start = || {
                let mut c = self.command(Path::new("sleep"), target);
                c.arg("5").spawn().map_err(|e| e.to_string())
            };
            let (mut child, mut second) = (start()?, start()?);
            std::thread::sleep(std::time::Duration::from_millis(300));
            let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", child.id()))
                .unwrap_or_default();
            let field = |l: &str| {
                l.split_whitespace()
                    .nth(1)
                    .and_then(|n| n.parse::<u64>().ok())
                    .unwrap_or(0)
            };
            *kib = text
                .lines()
                .filter(|l| l.starts_with("Private_Dirty"))
                .map(field)
                .sum();
            for c in [&mut child, &mut second] {
                let _ = c.kill();
                let _ = c.wait();
            }
        }
        Ok(out)
    }
}

/// Standard output of a command that must succeed.
fn finished(c: &mut Command) -> Result<String> {
    let o = c.output().map_err(|e| format!("{c:?}: {e}"))?;
    if !o.status.success() {
        return Err(format!(
            "{}: {}",
            o.status,
            String::from_utf8_lossy(&o.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&o.stdout).into_owned())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Median, least and greatest of the per-round ratios to native, and the ratio of minima.
fn ratios(t: &Times, column: usize) -> [f64; 4] {
    let mut r: Vec<f64> = t
        .rounds
        .iter()
        .map(|x| x[column] / x[0])
        .filter(|x| x.is_finite())
        .collect();
    let least = |c: usize| t.rounds.iter().map(|x| x[c]).fold(f64::INFINITY, f64::min);
    let m = median(&mut r);
    let end = |v: Option<&f64>| v.copied().unwrap_or(f64::NAN);
    [m, end(r.first()), end(r.last()), least(column) / least(0)]
}

fn report(all: &[Times], spawn: [f64; 2], memory: [u64; 2], quick: bool) -> String {
    let number = |x: f64| {
        if x.is_finite() {
            format!("{x:.3}")
        } else {
            "null".into()
        }
    };
    let mut json =
        format!("{{\n \"schema\": \"mirror.bench/1\", \"quick\": {quick},\n \"workloads\": [\n");
    println!(
        "\n{:34} {:>9}  {:>28}  {:>28}",
        "", "native", "by hand: median (spread) best", "mirror: median (spread) best"
    );
    for (i, t) in all.iter().enumerate() {
        let (hand, mirror) = (ratios(t, 1), ratios(t, 2));
        let show = |r: [f64; 4]| format!("{:.2} ({:.2}-{:.2}) {:.2}", r[0], r[1], r[2], r[3]);
        let mut native: Vec<f64> = t.rounds.iter().map(|r| r[0]).collect();
        println!(
            "{:34} {:>8.3}s  {:>29}  {:>28}",
            t.name,
            median(&mut native),
            show(hand),
            show(mirror)
        );
        if let Some(e) = &t.error {
            println!("    FAILED: {e}");
        }
        let list = |r: [f64; 4]| r.map(number).join(", ");
        let rounds: Vec<String> = t
            .rounds
            .iter()
            .map(|r| format!("[{}]", r.map(number).join(", ")))
            .collect();
        let _ = writeln!(
            json,
            "  {{\"name\": \"{}\", \"by_hand\": [{}], \"mirror\": [{}], \"rounds\": [{}], \"failed\": {}}}{}",
            t.name,
            list(hand),
            list(mirror),
            rounds.join(", "),
            t.error.is_some(),
            if i + 1 < all.len() { "," } else { "" }
        );
    }
    println!(
        "{:34} {:>7.0} us  {:>29}  {:>27.2}",
        "start of /bin/true",
        spawn[0],
        "",
        spawn[1] / spawn[0]
    );
    println!(
        "{:34} {:>6} KiB  {:>29}  {:>23} KiB",
        "private dirty memory of sleep", memory[0], "", memory[1]
    );
    let _ = write!(
        json,
        " ],\n \"spawn_us\": [{:.1}, {:.1}], \"private_kib\": [{}, {}]\n}}\n",
        spawn[0], spawn[1], memory[0], memory[1]
    );
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_per_round_and_of_minima() {
        let t = Times {
            name: "x",
            rounds: vec![[1.0, 2.0, 3.0], [2.0, 4.0, 4.0], [4.0, 8.0, 8.0]],
            error: None,
        };
        assert_eq!(ratios(&t, 1), [2.0, 2.0, 2.0, 2.0]);
        assert_eq!(ratios(&t, 2), [2.0, 2.0, 3.0, 3.0]);
    }
}
