//! What decides where a path leads is told something false: each call that looks for it fails as if nothing were
//! there, once and for good, in each way of naming a file of V. Then the change is made on both legs, or it is an
//! error and neither has changed, or it is on record: one call's "there is no such thing" is no proof that the
//! path leads elsewhere. `MIRROR_SOAK=1`: with every such error at every look.
#[path = "sweep/ground.rs"]
mod ground;
#[allow(dead_code)]
#[path = "sweep/judge.rs"]
mod judge;
#[allow(dead_code)]
#[path = "sweep/trace.rs"]
mod trace;

use judge::{Op, Recovery, States, Wrong};
use mirror_tests::{Kind, Pair, Tree, compile, dist, soak};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use trace::Strike;

/// Ways of naming a file, and the calls that may use each.
const BY_NAME: &[&str] = &["empty_at", "make", "chmod", "times", "unlink", "rename"];
const BY_PATH: &[&str] = &["empty", "make", "truncate", "chmod", "times", "setxattr"];
const BY_NUMBER: &[&str] = &["empty", "truncate", "chmod", "times", "setxattr"];
const WAYS: &[(&str, &[&str])] = &[
    ("absolute", BY_PATH),
    ("cwd", BY_NAME),
    ("directory", BY_NAME),
    ("dots", BY_PATH),
    ("link", BY_PATH),
    ("link_in_cwd", BY_PATH),
    ("link_of_directory", &["empty_at", "make", "chmod", "times"]),
    ("directory_link", BY_PATH),
    ("directory_link_in_cwd", BY_PATH),
    ("number", BY_NUMBER),
    ("number_of_thread", BY_NUMBER),
    ("number_in_dev", BY_NUMBER),
    ("number_written", BY_NUMBER),
    ("below_number", BY_PATH),
    ("below_cwd_in_proc", BY_PATH),
];

/// What says that there is nothing.
const ERRNOS: [i32; 4] = [
    libc::ENOENT,
    libc::ENOTDIR,
    libc::EACCES,
    libc::ENAMETOOLONG,
];

/// What was once believed: the way, the change, and the look that failed.
const PINS: &[(&str, &str, &str, i32)] = &[
    ("link", "empty", "statx", libc::ENOENT),
    ("link", "chmod", "statx", libc::ENOTDIR),
    ("link", "times", "statx", libc::EACCES),
    ("link", "make", "openat2", libc::ENOENT),
    ("link_in_cwd", "times", "statx", libc::ENOENT),
    ("link_of_directory", "make", "statx", libc::ENOENT),
    // The text of another call was taken for the link's.
    (
        "link_of_directory",
        "times",
        "readlinkat",
        libc::ENAMETOOLONG,
    ),
    ("directory_link", "times", "openat2", libc::ENOENT),
    ("directory_link_in_cwd", "truncate", "openat2", libc::ENOENT),
    ("number", "empty", "openat2", libc::ENOENT),
    ("number_written", "chmod", "openat2", libc::ENOENT),
    ("below_number", "setxattr", "openat2", libc::ENOENT),
    ("below_cwd_in_proc", "times", "openat2", libc::ENOENT),
];

/// What looks.
const LOOKS: [&str; 8] = [
    "openat2",
    "openat",
    "statx",
    "newfstatat",
    "fstat",
    "readlinkat",
    "readlink",
    "getcwd",
];

struct Doubts {
    pair: Pair,
    program: PathBuf,
    out: PathBuf,
    runs: usize,
    faults: Vec<String>,
}

impl Doubts {
    fn new() -> Option<Doubts> {
        let pair = Pair::striped(Kind::InPlace, Some(1));
        let source = include_str!("../programs/doubted.c");
        let program = compile(&pair.programs(), "doubted", source)?;
        let out = pair.native().join("out");
        std::fs::create_dir(&out).expect("a folder");
        Some(Doubts {
            pair,
            program,
            out,
            runs: 0,
            faults: Vec::new(),
        })
    }

    /// A furnished folder on both legs, and symlinks into it from outside.
    fn furnish(&mut self) -> String {
        self.runs += 1;
        let folder = format!("run{}", self.runs);
        for leg in [self.pair.a(), self.pair.b()] {
            ground::furnish(&leg.join(&folder));
        }
        let dir = self.pair.v().join(&folder);
        for (name, to) in [("f", dir.join("f")), ("new", dir.join("new")), ("dir", dir)] {
            let link = self.out.join(name);
            let _ = std::fs::remove_file(&link);
            symlink(to, link).expect("a symlink");
        }
        folder
    }

    fn command(&self, way: &str, call: &str, folder: &str) -> Command {
        let model = self.pair.preloaded(&self.program);
        let mut c = Command::new(&self.program);
        c.env_clear();
        c.envs(model.get_envs().filter_map(|(k, v)| Some((k, v?))));
        c.env("LD_PRELOAD", dist().join("libmirror.so"));
        c.args([way, call]).arg(self.pair.v().join(folder));
        c.arg(&self.out).stdin(Stdio::null());
        c
    }

    fn clear(&self, folder: &str) {
        for leg in [self.pair.a(), self.pair.b()] {
            std::fs::remove_dir_all(leg.join(folder)).expect("removing");
        }
    }

    /// One change in one way, with each look struck.
    fn doubt(&mut self, way: &str, call: &str) {
        let op = Op::parse(&format!("{way}_{call} d"));
        let folder = self.furnish();
        let (mut before, a) = (None, self.pair.a().join(&folder));
        let mut c = self.command(way, call, &folder);
        let whole = trace::run(&mut c, None, || before = Some(Tree::read(&a))).expect("tracing");
        let states = States {
            before: before.expect("the first mark"),
            after: Tree::read(&a),
            answer: op.answer(whole.end),
        };
        assert_eq!(states.answer, trace::End::Answer(0, 0), "{way} {call}");
        self.clear(&folder);
        for (n, look) in whole.calls.iter().enumerate() {
            if !LOOKS.contains(&look.name().as_str()) || !look.can_fail() {
                continue;
            }
            for (i, errno) in ERRNOS.into_iter().enumerate() {
                // Otherwise at some looks another one.
                let turn = (n * 7 + way.len() * 3 + call.len()) % 28;
                let pinned = PINS.contains(&(way, call, look.name().as_str(), errno));
                let more = i == 0 && turn.is_multiple_of(7);
                if !(soak() || turn == i || more || pinned) {
                    continue;
                }
                let strike = match (n + call.len() + i).is_multiple_of(4) {
                    true => Strike::Lasting(errno),
                    false => Strike::Error(errno),
                };
                self.strike(&op, (way, call), &states, (n, &look.name(), strike));
            }
        }
    }

    fn strike(
        &mut self,
        op: &Op,
        (way, call): (&str, &str),
        states: &States,
        (n, name, strike): (usize, &str, Strike),
    ) {
        let folder = self.furnish();
        let mut c = self.command(way, call, &folder);
        let traced = trace::run(&mut c, Some((n, strike)), || ()).expect("tracing");
        // What could not be put back is still announced.
        let recovery = self.pair.evidence().inside.then_some(Recovery::Resync);
        if let Some(r) = recovery {
            judge::recover(&self.pair, &mut Command::new("true"), r);
        }
        let v = judge::judge(&self.pair, op, &folder, states, strike, &traced, recovery);
        match v.what {
            // What was told something false may say that it does not know.
            Ok(_) | Err(Wrong::False) => {}
            Err(w) => self.faults.push(format!(
                "{w:?}: {way} {call}, {name} (call {n}) struck with {strike:?}: {}",
                v.detail
            )),
        }
        if v.what.is_err() {
            let _ = self.pair.resync();
        }
        self.clear(&folder);
    }
}

fn doubt(part: usize) {
    let Some(mut d) = Doubts::new() else {
        return;
    };
    trace::watch(30);
    trace::stay(part);
    for (i, (way, calls)) in WAYS.iter().enumerate() {
        if i % 2 == part {
            for call in *calls {
                d.doubt(way, call);
            }
        }
    }
    println!("{} runs", d.runs);
    assert!(
        d.faults.is_empty(),
        "{} faults:\n{}",
        d.faults.len(),
        d.faults.join("\n")
    );
}

#[test]
fn nothing_is_there_part_1() {
    doubt(0);
}

#[test]
fn nothing_is_there_part_2() {
    doubt(1);
}
