//! `mirror audit`: what changes one tree alone is found and named, what is mirrored is not, `--heal` makes both
//! legs equal again, and what cannot be known is said. Everything that happened before the audit is asked to
//! end has been judged when it has ended.
use mirror_tests::{Kind, Pair, compile_with, has_tier, have, is_root, need, skip, still};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

#[path = "audit/edges.rs"]
mod edges;
#[path = "audit/ends.rs"]
mod ends;
#[path = "audit/functions.rs"]
mod functions;
#[path = "audit/heals.rs"]
mod heals;
#[path = "audit/mapped.rs"]
mod mapped;
#[path = "audit/places.rs"]
mod places;
#[path = "audit/roots.rs"]
mod roots;
#[path = "audit/strangers.rs"]
mod strangers;
#[path = "audit/swaps.rs"]
mod swaps;

/// An audit that has begun: what happens from here on is seen.
struct Audit {
    child: Child,
    out: BufReader<ChildStdout>,
}

/// What an audit said, and its exit code.
struct Told {
    code: i32,
    events: Vec<Value>,
    err: String,
}

impl Audit {
    fn of(pair: &Pair, args: &[&str]) -> Audit {
        let mut c = pair.mirror_command("audit");
        c.arg(pair.v()).arg("--json").args(args);
        Audit::begin(c)
    }

    fn begin(mut c: Command) -> Audit {
        let mut child = c
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mirror");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let mut audit = Audit { child, out };
        if !first.contains("\"event\":\"start\"") {
            let told = audit.told();
            panic!("no start: {first:?} {} {}", told.code, told.err);
        }
        audit
    }

    fn signal(&self, s: i32) {
        // SAFETY: a child of ours that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, s) }, 0);
    }

    /// Does something that comes to it all at once: what takes several calls is one finding, and what is removed
    /// is one removal, however slow the machine is.
    fn still<T>(&self, what: impl FnOnce() -> T) -> T {
        still(self.child.id() as i32, what)
    }

    /// All that has happened is judged.
    fn end(mut self) -> Told {
        self.signal(libc::SIGTERM);
        self.told()
    }

    /// Ends; who stands in the way of a comparison goes on when it has been told to.
    fn end_with(mut self, other: &mut Child) -> Told {
        self.signal(libc::SIGTERM);
        drop(other.stdin.take());
        let told = self.told();
        other.wait().unwrap();
        told
    }

    fn told(&mut self) -> Told {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        let mut err = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let parse = |l: &str| serde_json::from_str(l).unwrap_or_else(|_| panic!("{l}"));
        Told {
            code,
            events: text.lines().map(parse).collect(),
            err,
        }
    }
}

impl Told {
    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(|e| e["event"] == "finding")
    }

    /// Findings as `leg path`.
    fn places(&self) -> Vec<String> {
        let place = |f: &Value| {
            let leg = f["leg"].as_str().unwrap_or("?");
            format!("{leg} {}", f["path"].as_str().unwrap())
        };
        let mut all: Vec<String> = self.findings().map(place).collect();
        all.sort();
        all
    }

    fn count(&self, key: &str) -> u64 {
        let end = self.events.iter().find(|e| e["event"] == "end");
        end.and_then(|e| e[key].as_u64()).expect(key)
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Names, what is there before (both legs), and what is done in one leg.
const ROWS: &[(&str, &str, &str)] = &[
    ("write", "echo one > write", "echo two > write"),
    ("append", "echo one > append", "echo two >> append"),
    ("truncate", "echo one > truncate", "truncate -s 1 truncate"),
    ("create", "", "touch create"),
    ("mkdir", "", "mkdir mkdir"),
    ("rmdir", "mkdir rmdir", "rmdir rmdir"),
    ("symlink", "", "ln -s nowhere symlink"),
    ("link", "echo one > first", "ln first link"),
    ("fifo", "", "mkfifo fifo"),
    ("rename", "echo one > old", "mv old rename"),
    (
        "renamed-dir",
        "mkdir od; echo one > od/f",
        "mv od renamed-dir",
    ),
    ("unlink", "echo one > unlink", "rm unlink"),
    ("chmod", "echo one > chmod", "chmod 700 chmod"),
    ("touch", "echo one > touch", "touch -d 2001-01-01 touch"),
    ("deep/d/f", "mkdir -p deep/d", "echo x > deep/d/f"),
    ("new/d/f", "", "mkdir -p new/d; echo x > new/d/f"),
];

/// Both legs have what the rows need: `a` for leg a, `b` for leg b.
fn before(pair: &Pair) {
    for leg in ["a", "b"] {
        let mut script = format!("mkdir $V/{leg}; cd $V/{leg}\n");
        for (_, first, _) in ROWS {
            script += first;
            script += "\n";
        }
        pair.run(&script).ok();
    }
    pair.assert_equal();
}

/// Each row is done in both legs, by shells that know nothing of the mirror.
fn act(pair: &Pair) {
    for (leg, root) in [("a", pair.a()), ("b", pair.b())] {
        let mut script = format!("set -e; cd {}/{leg}\n", root.display());
        for (_, _, then) in ROWS {
            script += then;
            script += "\n";
        }
        pair.bypass(&script).ok();
    }
}

fn rows(pair: &Pair, tier: &str) {
    before(pair);
    let audit = Audit::of(pair, &["--tier", tier]);
    act(pair);
    let told = audit.end();
    assert_eq!(told.code, 3, "{}", told.err);
    let places = told.places();
    for leg in ["a", "b"] {
        for (name, _, _) in ROWS {
            let place = format!("{leg} {leg}/{name}");
            assert!(places.contains(&place), "{place} in {places:#?}");
        }
    }
    // Nothing else: what stands on the other leg is not accused, and each is on the leg where it was done.
    for p in &places {
        assert!(p.starts_with("a a/") || p.starts_with("b b/"), "{p}");
    }
    assert_eq!(told.count("lost"), 0);
    let status = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert_eq!(status.code, 1);
    assert!(status.text().contains("did not go through the mirror"));
}

#[test]
fn each_change_of_one_leg_is_found_t4() {
    Pair::with(Kind::Link, |pair| rows(pair, "t4"));
}

#[test]
fn each_change_of_one_leg_is_found_t3() {
    need!(root);
    Pair::with(Kind::Link, |pair| rows(pair, "t3"));
}

#[test]
fn each_change_of_one_leg_is_found_t2() {
    Pair::with(Kind::InPlace, |pair| {
        if has_tier(pair, "t2") {
            rows(pair, "t2");
        }
    });
}

/// Does one thing by a program that lives until it has been seen.
fn done_by(program: &Path, args: &[&str]) -> Child {
    let mut c = Command::new(program);
    c.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = c.spawn().expect("the program");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
    child
}

#[test]
fn who_did_it_and_why_t3() {
    need!(root);
    Pair::with(Kind::InPlace, |pair| {
        let dir = pair.programs();
        let source = include_str!("../programs/audited.c");
        let Some(fixed) = compile_with(&dir, "fixed", source, "c", &["-static"]) else {
            return;
        };
        let dynamic = compile_with(&dir, "dynamic", source, "c", &[]).unwrap();
        pair.run("cd $V; touch gone mode; echo one > old").ok();
        let at = |leg: &Path, name: &str| leg.join(name).to_str().unwrap().to_owned();
        let audit = Audit::of(pair, &["--tier", "t3"]);
        let children = [
            done_by(&fixed, &["write", &at(pair.a(), "w")]),
            done_by(&fixed, &["unlink", &at(pair.b(), "gone")]),
            done_by(&dynamic, &["chmod", &at(pair.a(), "mode")]),
            done_by(
                &dynamic,
                &["rename", &at(pair.b(), "old"), &at(pair.b(), "new")],
            ),
        ];
        let told = audit.end();
        let rows = [
            ("a", "w", "create", "fixed", "static", 0),
            ("b", "gone", "unlink", "fixed", "static", 1),
            ("a", "mode", "attributes", "dynamic", "not-preloaded", 2),
            ("b", "new", "rename", "dynamic", "not-preloaded", 3),
        ];
        for (leg, path, op, program, why, nth) in rows {
            let found = told.findings().find(|f| f["path"] == path);
            let f = found.unwrap_or_else(|| panic!("{path}: {:?}", told.events));
            assert_eq!(
                (&f["leg"], &f["operation"], &f["program"], &f["why"]),
                (&leg.into(), &op.into(), &program.into(), &why.into()),
                "{f}"
            );
            let child: &Child = &children[nth];
            assert_eq!(f["pid"], child.id(), "{f}");
            assert_eq!(f["uid"], 0, "{f}");
        }
        for mut c in children {
            drop(c.stdin.take());
            c.wait().unwrap();
        }
    });
}

/// Ordinary programs, mirrored, and the commands that repair and compare.
const MIRRORED: &str = "
cd $V && mkdir d && for i in 1 2 3 4 5 6 7 8; do echo $i > d/$i; done
mv d e && cp -a e f && rm -r e && chmod -R go-rwx f && ln f/1 f/one && ln -s 1 f/link
mv f/2 f/3 && truncate -s 100000 f/4 && dd if=/dev/zero of=f/5 bs=4k count=20 conv=notrunc 2>/dev/null
tar cf all.tar f && mkdir x && tar xf all.tar -C x && touch -d 2001-01-01 x/f/6
";

fn mirrored(pair: &Pair, tier: &str) {
    let audit = Audit::of(pair, &["--tier", tier]);
    pair.run(MIRRORED).ok();
    if have("git") {
        pair.run("cd $V && git init -q g && cd g && echo x > f && git add f && git commit -qm one && git gc -q")
            .ok();
    }
    if have("sqlite3") {
        pair.run("cd $V && sqlite3 db 'pragma journal_mode=truncate; create table t(a); insert into t values(1),(2); vacuum'")
            .ok();
    }
    if have("python3") {
        pair.run("cd $V && python3 -c \"import os,shutil; shutil.copytree('f','py'); os.rename('py/6','py/7'); shutil.rmtree('x')\"")
            .ok();
    }
    pair.verify().ok();
    pair.resync().ok();
    let told = audit.end();
    assert!(told.places().is_empty(), "{:#?}", told.places());
    assert_eq!((told.code, told.count("lost")), (0, 0), "{}", told.err);
    assert!(told.count("mirrored") > 50);
    pair.assert_equal();
}

#[test]
fn mirrored_changes_are_no_findings_t4() {
    Pair::with(Kind::Link, |pair| mirrored(pair, "t4"));
}

#[test]
fn mirrored_changes_are_no_findings_t3() {
    need!(root);
    Pair::with(Kind::InPlace, |pair| mirrored(pair, "t3"));
}

#[test]
fn mirrored_changes_are_no_findings_t2() {
    Pair::with(Kind::Link, |pair| {
        if has_tier(pair, "t2") {
            mirrored(pair, "t2");
        }
    });
}

#[test]
fn a_repair_of_one_leg_is_no_finding() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("cd $V; mkdir d; echo one > d/f; echo two > g")
            .ok();
        pair.bypass("cd $B; rm -r d; echo other > g; mkdir -m 700 more; echo x > more/x")
            .ok();
        let audit = Audit::of(pair, &["--tier", "t4"]);
        pair.resync().ok();
        let told = audit.end();
        assert!(told.places().is_empty(), "{:#?}", told.places());
        assert_eq!(told.code, 0);
        pair.assert_equal();
    });
}

/// In the legs of the pair, by a shell outside the mirror: `$A` and `$B`.
trait Legs {
    fn in_legs(&self, script: &str);
}

impl Legs for Pair {
    fn in_legs(&self, script: &str) {
        let (a, b) = (self.a().display(), self.b().display());
        self.bypass(&format!("set -e; A={a}; B={b}; {script}")).ok();
    }
}

fn in_sync(pair: &Pair) -> bool {
    pair.mirror("status", &[pair.v().to_str().unwrap()]).code == 0
}

fn exists(p: impl AsRef<Path>) -> bool {
    fs::symlink_metadata(p).is_ok()
}

/// Whether another user namespace can be had, for limits of one's own.
fn namespaces() -> bool {
    let tried = Command::new("unshare")
        .args([
            "-Ur",
            "sh",
            "-c",
            "echo 9 > /proc/sys/user/max_inotify_watches",
        ])
        .stderr(Stdio::null())
        .status();
    let can = tried.is_ok_and(|s| s.success());
    if !can {
        skip("no user namespace with limits of its own");
    }
    can
}

#[test]
fn what_this_user_may_use_is_said() {
    Pair::with(Kind::InPlace, |pair| {
        let o = pair.mirror("audit", &["--explain"]).ok();
        let text = o.text();
        assert!(text.contains("T4 inotify   can be used"), "{text}");
        if !is_root() {
            assert!(text.contains("T3 fanotify   cannot be used"), "{text}");
            let o = pair.mirror("audit", &[pair.v().to_str().unwrap(), "--tier", "t3"]);
            assert_eq!(o.code, 1, "{o:?}");
        }
        let doctor = pair.mirror("doctor", &[]);
        assert!(doctor.text().contains("T4 inotify"), "{doctor:?}");
    });
}
