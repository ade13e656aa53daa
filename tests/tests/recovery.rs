//! Who ends what a killed program left is struck itself: each of its system calls fails, or is its last.
//! Whoever comes next must find either the change ended, or what is left of it, or its record; never a
//! difference that nobody knows of.
//!
//! A run strikes a sample of the calls; `cargo xtask sweep` every one, with every error.
#[path = "../torn/ground.rs"]
mod ground;
#[path = "../torn/states.rs"]
mod states;
#[path = "sweep/trace.rs"]
#[allow(dead_code, reason = "the suite `sweep` uses more of it")]
mod trace;

use mirror_tests::{Kind, Pair, compile, dist};
use states::Torn;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use trace::{End, Strike};

const ERRNOS: [i32; 8] = [
    libc::EIO,
    libc::ENOSPC,
    libc::EPERM,
    libc::EMFILE,
    libc::ENOMEM,
    libc::EINTR,
    libc::ENOENT,
    libc::EROFS,
];

struct Ground {
    pair: Pair,
    program: PathBuf,
    whole: bool,
    runs: usize,
    recorded: usize,
    faults: Vec<String>,
}

impl Ground {
    /// One process with the library, without a launcher.
    fn comes_by(&self) -> Command {
        let model = self.pair.preloaded(&self.program);
        let mut c = Command::new(&self.program);
        c.env_clear();
        c.envs(model.get_envs().filter_map(|(k, v)| Some((k, v?))));
        c.env("LD_PRELOAD", dist().join("libmirror.so"));
        c.arg(self.pair.v().join("come-by")).stdin(Stdio::null());
        c
    }

    /// Lets somebody be struck at his `n`-th call while he ends this state, and somebody else come after him.
    fn run(&mut self, t: &Torn, strike: Option<(usize, Strike)>) -> trace::Traced {
        self.runs += 1;
        let folder = format!("t{}", self.runs);
        let change = ground::put(&self.pair, &folder, t, 1);
        self.pair.announce(&[change]);
        let traced = trace::run(&mut self.comes_by(), strike, || ()).expect("tracing");
        let killed = matches!(strike, Some((_, Strike::Kill)));
        let ended = match traced.end {
            End::Signal(libc::SIGKILL) => killed,
            End::Answer(..) => !killed && traced.exit.is_some_and(|s| s.success()),
            _ => false,
        };
        let mut wrong = Vec::new();
        if !ended {
            wrong.push(format!("it ended with {:?}, {:?}", traced.end, traced.exit));
        }
        if self.pair.evidence().inside {
            // Nobody stops this one.
            let next = trace::run(&mut self.comes_by(), None, || ()).expect("tracing");
            if !matches!(next.end, End::Answer(0, _)) {
                wrong.push(format!("the next one got {:?}", next.end));
            }
        }
        wrong.extend(self.judge(&folder, t, strike));
        if !wrong.is_empty() {
            let call = strike
                .and_then(|(n, _)| traced.calls.get(n))
                .map(|c| c.name());
            self.faults.push(format!(
                "{strike:?} ({call:?}): {}: {t:?}",
                wrong.join("; ")
            ));
        }
        self.clear(&folder);
        traced
    }

    fn looks(&self, folder: &str) -> [states::Look; 2] {
        [self.pair.a(), self.pair.b()].map(|leg| ground::look(&leg.join(folder)))
    }

    fn judge(&mut self, folder: &str, t: &Torn, strike: Option<(usize, Strike)>) -> Option<String> {
        let evidence = self.pair.evidence();
        if evidence.inside {
            return Some("nobody has ended it".into());
        }
        let end = t.end.clone().expect("a state that can be ended");
        let now = self.looks(folder);
        if !evidence.pending {
            return (now != [end.clone(), end]).then(|| format!("in silence: {now:?}"));
        }
        self.recorded += 1;
        let list = ground::recorded(&self.pair);
        if !list.contains(folder) && !list.contains(".") {
            return Some(format!("recorded is {list:?}"));
        }
        if !matches!(strike, Some((_, Strike::Error(_)))) {
            return Some("recorded, and no call has failed".into());
        }
        None
    }

    fn clear(&self, folder: &str) {
        if self.pair.evidence().pending {
            self.pair.resync().ok();
        }
        for leg in [self.pair.a(), self.pair.b()] {
            remove(&leg.join(folder));
        }
    }

    fn strikes(&self, calls: &[trace::Call], n: usize) -> Vec<Strike> {
        let fails = calls[n].can_fail();
        // Who is told that a name is not there, and it is, cannot know better.
        let lie = |e: i32| e == libc::ENOENT && calls[n].name() == "newfstatat";
        let errors = ERRNOS.iter().filter(|e| fails && !lie(**e));
        let errors = errors.map(|e| Strike::Error(*e));
        if self.whole {
            return errors.chain([Strike::Kill]).collect();
        }
        match n % 4 {
            0 => errors.skip(n / 4 % ERRNOS.len()).take(1).collect(),
            2 => vec![Strike::Kill],
            _ => Vec::new(),
        }
    }
}

fn remove(dir: &Path) {
    fs::remove_dir_all(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
}

/// A state of each kind, on one of whose legs something is missing.
fn some() -> Vec<Torn> {
    let torn = (0..2000).map(states::state);
    let mut some: Vec<Torn> = Vec::new();
    for t in torn {
        let differ = t.legs[0].look() != t.legs[1].look();
        if differ && t.end.is_some() && some.iter().all(|s| s.kind != t.kind) {
            some.push(t);
        }
    }
    some
}

#[test]
fn whoever_recovers_is_struck() {
    let pair = Pair::striped(Kind::InPlace, Some(1));
    let source = include_str!("../programs/comes_by.c");
    let Some(program) = compile(&pair.programs(), "comes_by", source) else {
        return;
    };
    trace::watch(30);
    trace::stay(0);
    pair.run("touch $V/come-by").ok();
    let mut g = Ground {
        pair,
        program,
        whole: std::env::var("MIRROR_SWEEP").is_ok(),
        runs: 0,
        recorded: 0,
        faults: Vec::new(),
    };
    let states = some();
    assert_eq!(states.len(), 8, "a state of each kind");
    for t in &states {
        let calls = g.run(t, None).calls;
        for n in 0..calls.len() {
            for strike in g.strikes(&calls, n) {
                g.run(t, Some((n, strike)));
            }
        }
    }
    println!("{} runs, {} recorded", g.runs, g.recorded);
    let faults = &g.faults;
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    g.pair.assert_sound();
}
