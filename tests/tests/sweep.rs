//! Every kind of operation, struck at every system call that the library makes in it: the call fails with
//! each errno, is cut short, or is the process's last. What is right then: success, and both trees have
//! it; an error, and both are as before; or the pair knows that they differ, and a resync makes them one
//! of the two. Never a difference in silence, a change despite an error, or a claim without a difference.
//!
//! `cargo xtask test sweep` strikes a fixed sample, and all that was once wrong (`PINS`). `cargo xtask
//! sweep` strikes everywhere and prints tables; `cargo xtask sweep OPERATION [CALL [ERRNO]]` a part.
#[path = "sweep/ground.rs"]
mod ground;
#[path = "sweep/judge.rs"]
mod judge;
#[path = "sweep/pins.rs"]
mod pins;
#[path = "sweep/trace.rs"]
mod trace;

use judge::{Op, Recovery, States, Verdict};
use mirror_tests::{Fs, FsType, Kind, Pair, Tree, compile, dist, is_root};
use pins::PINS;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use trace::{Call, Strike};

/// What can be refused, by name.
const ERRNOS: [(&str, i32); 9] = [
    ("EIO", libc::EIO),
    ("ENOSPC", libc::ENOSPC),
    ("EDQUOT", libc::EDQUOT),
    ("EPERM", libc::EPERM),
    ("EMFILE", libc::EMFILE),
    ("ENOMEM", libc::ENOMEM),
    ("EINTR", libc::EINTR),
    ("ENOENT", libc::ENOENT),
    ("EROFS", libc::EROFS),
];

/// What a leg may go on refusing.
const LASTING: [(&str, i32); 2] = [("EIO+", libc::EIO), ("EPERM+", libc::EPERM)];

/// How a strike is named in tables and in `PINS`.
fn strike_name(s: Strike) -> &'static str {
    let lasting = |e| LASTING.iter().find(|x| x.1 == e).map_or("?", |x| x.0);
    match s {
        Strike::Lasting(e) => lasting(e),
        Strike::Error(e) => ERRNOS.iter().find(|x| x.1 == e).map_or("?", |x| x.0),
        Strike::Short => "SHORT",
        Strike::Kill => "KILL",
        Strike::KillAfter => "AFTER",
    }
}

/// How much is struck: `MIRROR_SWEEP`, set by `cargo xtask sweep`.
enum Extent {
    Sample,
    /// Operations, one of their calls, and what happens to it (empty: all of them); on leg B.
    Part(Vec<String>, Option<usize>, Vec<String>, bool),
}

/// `MIRROR_SWEEP`: three words, each a list with commas between or `all`, and `b` if the operations shall
/// address leg B; the last ones may be missing.
fn extent() -> Extent {
    let Ok(text) = std::env::var("MIRROR_SWEEP") else {
        return Extent::Sample;
    };
    let mut words = text.split_whitespace();
    let mut list = || {
        let word = words.next().filter(|w| *w != "all").unwrap_or("");
        let items = word.split(',').filter(|w| !w.is_empty());
        items.map(str::to_owned).collect::<Vec<_>>()
    };
    let (ops, calls, strikes) = (list(), list(), list());
    let call = calls
        .first()
        .map(|c| c.parse().expect("the number of a call"));
    Extent::Part(ops, call, strikes, !list().is_empty())
}

struct Sweep {
    pair: Pair,
    program: PathBuf,
    runs: usize,
    /// Strikes at calls that the operation did not make this time.
    unreached: usize,
    extent: Extent,
    counts: BTreeMap<String, BTreeMap<String, usize>>,
    faults: Vec<String>,
    /// The operation addresses leg B.
    by_b: bool,
}

impl Sweep {
    /// swept.c with the library, without a launcher: each run is one process.
    fn mirrored(&self, op: &str, folder: &str) -> Command {
        let model = self.pair.preloaded(&self.program);
        let mut c = Command::new(&self.program);
        c.env_clear();
        c.envs(model.get_envs().filter_map(|(k, v)| Some((k, v?))));
        c.env("LD_PRELOAD", dist().join("libmirror.so"));
        let at = if self.by_b {
            self.pair.b()
        } else {
            self.pair.v()
        };
        c.arg(op).arg(at.join(folder));
        c.stdin(std::process::Stdio::null());
        c
    }

    fn furnish(&mut self) -> String {
        self.runs += 1;
        let folder = format!("run{}", self.runs);
        for leg in [self.pair.a(), self.pair.b()] {
            ground::furnish(&leg.join(&folder));
        }
        folder
    }

    fn clear(&self, folder: &str) {
        for dir in [self.pair.a(), self.pair.b()].map(|leg| leg.join(folder)) {
            std::fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        }
    }

    /// The operation as it is, natively and mirrored: its calls, and the states before and after.
    fn whole(&mut self, op: &Op) -> (States, Vec<Call>) {
        let native = self.pair.native().join("run");
        ground::furnish(&native);
        let mut c = Command::new(&self.program);
        c.arg(&op.name).arg(&native);
        let plain = trace::run(&mut c, None, || ()).expect("tracing");
        let folder = self.furnish();
        let (mut before, a) = (None, self.pair.a().join(&folder));
        let mut c = self.mirrored(&op.name, &folder);
        let traced = trace::run(&mut c, None, || before = Some(Tree::read(&a))).expect("tracing");
        let (plain, answer) = (op.answer(plain.end), op.answer(traced.end));
        let mut found = judge::undisturbed(&self.pair, &folder, &native);
        if plain != answer && !op.is_refused() {
            found.push(format!("{answer:?} in place of {plain:?}"));
        }
        if !found.is_empty() {
            let line = format!("{}, struck nowhere: {}", op.name, found.join("; "));
            self.faults.push(line);
        }
        let before = before.expect("the first mark");
        let after = Tree::read(&a);
        std::fs::remove_dir_all(&native).expect("removing");
        self.clear(&folder);
        let states = States {
            before,
            after,
            answer,
        };
        (states, traced.calls)
    }

    /// What the n-th call of an operation is struck with.
    fn strikes(&self, op: &Op, calls: &[Call], n: usize) -> Vec<Strike> {
        let call = &calls[n];
        let mut all: Vec<Strike> = Vec::new();
        if call.can_fail() {
            all.extend(ERRNOS.iter().map(|(_, e)| Strike::Error(*e)));
            all.extend(LASTING.iter().map(|(_, e)| Strike::Lasting(*e)));
        }
        if call.can_be_short() {
            all.push(Strike::Short);
        }
        let errors = all.len();
        all.push(Strike::Kill);
        if n + 1 == calls.len() {
            all.push(Strike::KillAfter);
        }
        let name = call.name();
        let pinned = |s: &Strike| PINS.contains(&(&op.name, &name, strike_name(*s)));
        match &self.extent {
            Extent::Part(ops, call, what, _) => {
                let named =
                    |s: &Strike| what.is_empty() || what.iter().any(|w| w == strike_name(*s));
                let here = call.is_none_or(|c| c == n);
                let cheap = !op.only_pinned() || ops.len() == 1;
                all.retain(|s| here && named(s) && (cheap || pinned(s)));
                all
            }
            Extent::Sample => {
                // Another errno for each call of each operation, and a kill at some.
                let turn = turn(&op.name) + n * 5;
                let mut some = Vec::new();
                if errors > 0 && turn.is_multiple_of(2) {
                    some.push(all[turn / 2 % errors]);
                }
                if turn.is_multiple_of(7) {
                    some.push(Strike::Kill);
                }
                if op.only_pinned() {
                    some.clear();
                }
                some.extend(all.into_iter().filter(pinned));
                some
            }
        }
    }

    fn strike(&mut self, op: &Op, states: &States, calls: &[Call], n: usize, strike: Strike) {
        let folder = self.furnish();
        let mut c = self.mirrored(&op.name, &folder);
        let traced = trace::run(&mut c, Some((n, strike)), || ()).expect("tracing");
        if !traced.struck {
            // Two times that fall into one tick of the clock spare the call that makes them equal: an
            // operation may make fewer calls than before. It is judged as one that was not struck.
            self.unreached += 1;
            println!("{} at call {n}: struck nothing", op.name);
        }
        let killed = matches!(strike, Strike::Kill | Strike::KillAfter);
        let recovery = match self.runs % 2 {
            _ if !killed && !self.pair.evidence().inside => None,
            0 => Some(Recovery::Program),
            _ => Some(Recovery::Resync),
        };
        if let Some(r) = recovery {
            let mut next = self.mirrored("nothing", &folder);
            judge::recover(&self.pair, &mut next, r);
        }
        let v = judge::judge(&self.pair, op, &folder, states, strike, &traced, recovery);
        self.note(op, calls, n, strike, recovery, &v);
        if v.what.is_err() {
            // The next one begins in order.
            let _ = self.pair.resync();
        }
        self.clear(&folder);
    }

    fn note(
        &mut self,
        op: &Op,
        calls: &[Call],
        n: usize,
        strike: Strike,
        recovery: Option<Recovery>,
        v: &Verdict,
    ) {
        let name = calls[n].name();
        let nth = calls[..n]
            .iter()
            .filter(|c| c.number == calls[n].number)
            .count();
        let column = match v.what {
            Ok(r) => format!("{r:?}"),
            Err(w) => {
                let line = format!(
                    "{w:?}: {} at call {n}, {name} {nth}: {}{}: {}\n    cargo xtask sweep {} {n} {}{}",
                    op.name,
                    strike_name(strike),
                    recovery.map_or(String::new(), |r| format!(", then {r:?}")),
                    v.detail,
                    op.name,
                    strike_name(strike),
                    if self.by_b { " b" } else { "" }
                );
                println!("{line}");
                self.faults.push(line);
                format!("{w:?}!")
            }
        };
        let row = self.counts.entry(op.name.clone()).or_default();
        *row.entry(column).or_default() += 1;
    }

    fn table(&self) {
        for (op, row) in &self.counts {
            let cells: Vec<String> = row.iter().map(|(k, n)| format!("{k} {n}")).collect();
            println!("{op:20} {}", cells.join(", "));
        }
    }
}

/// A number of an operation's own.
fn turn(name: &str) -> usize {
    name.bytes().map(usize::from).sum()
}

/// Strikes the operations of one part.
fn sweep(part: usize, parts: usize) {
    let pair = Pair::striped(Kind::InPlace, Some(1));
    sweep_on(pair, part, |i, _| i % parts == part);
}

/// Strikes what shares blocks where blocks can be shared.
fn sweep_clones(fs: FsType, part: usize) {
    if let Some(pair) = Pair::new(Kind::InPlace, Fs::Loop(fs, fs)) {
        sweep_on(pair, part, |_, op| op.shares_blocks());
    }
}

fn sweep_on(pair: Pair, part: usize, is_in: impl Fn(usize, &Op) -> bool) {
    let source = include_str!("../programs/swept.c");
    let Some(program) = compile(&pair.programs(), "swept", source) else {
        return;
    };
    trace::watch(30);
    trace::stay(part);
    let list = Command::new(&program).arg("--list").output();
    let list = String::from_utf8(list.expect("running swept").stdout).expect("text");
    let mut s = Sweep {
        pair,
        program,
        runs: 0,
        unreached: 0,
        extent: extent(),
        counts: BTreeMap::new(),
        faults: Vec::new(),
        by_b: false,
    };
    let ops = list.lines().map(Op::parse).enumerate();
    let mut ran = 0;
    for (_, op) in ops.filter(|(i, op)| is_in(*i, op)) {
        if let Extent::Part(names, ..) = &s.extent
            && !names.is_empty()
            && !names.contains(&op.name)
        {
            continue;
        }
        if op.wants_root() && !is_root() {
            continue;
        }
        ran += 1;
        s.by_b = match &s.extent {
            Extent::Part(.., b) => *b,
            Extent::Sample => {
                turn(&op.name).is_multiple_of(3) && PINS.iter().all(|p| p.0 != op.name)
            }
        };
        let (states, calls) = s.whole(&op);
        if let Extent::Part(names, ..) = &s.extent
            && names.len() == 1
        {
            for (i, c) in calls.iter().enumerate() {
                println!("{i:3} {}", c.name());
            }
        }
        // Where locks are words there are no flocks.
        let words = mirror_tests::words::asked();
        let known =
            |name: &str| (words && name == "flock") || calls.iter().any(|c| c.name() == name);
        let lost = |p: &&(&str, &str, &str)| p.0 == op.name && !known(p.1);
        if let Some(p) = PINS.iter().find(lost) {
            s.faults.push(format!(
                "{p:?} strikes nothing any more: another call may do its work"
            ));
        }
        for n in 0..calls.len() {
            for strike in s.strikes(&op, &calls, n) {
                s.strike(&op, &states, &calls, n, strike);
            }
        }
    }
    s.table();
    println!(
        "{} runs of {ran} operations, {} struck nothing",
        s.runs, s.unreached
    );
    if s.unreached > 3 + s.runs / 100 {
        let n = s.unreached;
        s.faults.push(format!("{n} strikes were not reached"));
    }
    assert!(
        s.faults.is_empty(),
        "{} faults:\n{}",
        s.faults.len(),
        s.faults.join("\n")
    );
}

#[test]
fn part_clones_on_xfs() {
    sweep_clones(FsType::Xfs, 0);
}
#[test]
fn part_clones_on_btrfs() {
    sweep_clones(FsType::Btrfs, 1);
}
#[test]
fn part_1_of_4() {
    sweep(0, 4);
}
#[test]
fn part_2_of_4() {
    sweep(1, 4);
}
#[test]
fn part_3_of_4() {
    sweep(2, 4);
}
#[test]
fn part_4_of_4() {
    sweep(3, 4);
}
