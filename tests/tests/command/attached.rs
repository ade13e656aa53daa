//! `ps`, `wait`, and what `status` says of a pair at work.
use super::*;
use std::process::Child;

/// A mirrored program that has changed the pair and waits for its standard input to close.
struct Program(Child);

impl Program {
    fn start(e: &Env) -> Program {
        Program::with(&mut e.command(&["run", "--", "sh", "-c", "echo x > a/f; echo up; read x"]))
    }
    fn with(c: &mut Command) -> Program {
        let mut c = c
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0u8; 3];
        std::io::Read::read_exact(c.stdout.as_mut().unwrap(), &mut up).unwrap();
        Program(c)
    }
    fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn attached_programs_are_listed() {
    let e = pair("ps");
    e.expect(&["ps"], 0, &["0 programs attached"]);
    let p = Program::start(&e);
    let o = e.expect(
        &["ps", "a"],
        0,
        &[
            "1 program attached, all complete",
            "PID",
            "current",
            "sh -c echo x",
        ],
    );
    assert!(o.out.contains("mirror run"), "{}", o.out);
    let o = e.expect(
        &["ps", "--json"],
        0,
        &[
            "\"schema\":\"mirror.ps/1\"",
            "\"attached\":1",
            "\"changing\":0",
            "\"library\":\"current\"",
            "\"kind\":\"command\"",
        ],
    );
    assert!(
        o.out.contains(&format!("\"pid\":{}", p.0.id())),
        "{}",
        o.out
    );
    e.expect(&["status", "a"], 0, &["coverage  1 program attached"]);
    e.expect(&["detach", "a"], 1, &["is in use by 1 program"]);
    p.end();
    e.expect(&["ps"], 0, &["0 programs attached"]);
}

#[test]
fn a_holder_of_locks_is_in_mid_change() {
    let e = pair("changing");
    let p = Program::start(&e);
    // This test holds one of the pair's locks, as a program in the middle of a change does.
    let mut locks: Vec<PathBuf> = fs::read_dir(e.p("a/.mirror/locks"))
        .unwrap()
        .flatten()
        .map(|d| d.path())
        .filter(|p| p.is_file())
        .collect();
    locks.sort();
    let f = fs::File::options()
        .read(true)
        .write(true)
        .open(&locks[0])
        .unwrap();
    let owner = fs::File::open(e.p("a/.mirror/owner")).unwrap();
    owner.lock_shared().unwrap();
    f.lock().unwrap();
    e.expect(&["ps"], 0, &["1 in mid-change", "changing"]);
    e.expect(&["ps", "--json"], 0, &["\"changing\":1"]);
    drop(f);
    let o = e.run(&["ps"]);
    assert!(!o.out.contains("mid-change"), "{}", o.out);
    drop(owner);
    p.end();
}

#[test]
fn an_old_library_is_named() {
    let e = pair("oldlib");
    fs::copy(dist().join("libmirror.so"), e.p("libmirror.so")).unwrap();
    let p = Program::with(
        e.command(&["run", "--", "sh", "-c", "echo x > a/f; echo up; read x"])
            .env("MIRROR_LIB", e.p("libmirror.so")),
    );
    // The same bytes elsewhere are the same library.
    e.expect(&["ps"], 0, &["all complete"]);
    // Replaced by an update: the program goes on with the old one.
    fs::write(e.p("libmirror.so.new"), "newer").unwrap();
    fs::rename(e.p("libmirror.so.new"), e.p("libmirror.so")).unwrap();
    e.expect(
        &["ps"],
        0,
        &["1 with an old or another libmirror.so", " old ", "M-109"],
    );
    e.expect(
        &["ps", "--json"],
        0,
        &["\"library\":\"old\"", "\"stale\":1"],
    );
    p.end();
}

#[test]
fn wait_returns_when_in_sync() {
    let e = pair("wait");
    e.expect(&["wait", "a"], 0, &["IN SYNC"]);
    e.write("a/.mirror/pending", "f\n");
    e.expect(
        &["wait", "a", "--timeout", "0.3"],
        1,
        &["REPAIR PENDING", "mirror resync"],
    );
    e.expect(&["wait", "a", "--timeout", "-1"], 64, &[]);
    e.expect(&["wait", "/nosuch"], 64, &["no such pair"]);
    let mut c = e
        .command(&["wait", "a"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(c.try_wait().unwrap().is_none());
    e.expect(&["resync", "--yes"], 0, &["IN SYNC"]);
    assert_eq!(c.wait().unwrap().code(), Some(0));
}

#[test]
fn status_shows_options_age_and_what_to_type() {
    let e = Env::new("status");
    e.expect(
        &[
            "init",
            "a",
            "b",
            "--on-failure",
            "fail",
            "--on-full",
            "degrade",
        ],
        0,
        &[],
    );
    let o = e.expect(
        &["status"],
        0,
        &[
            "IN SYNC",
            "a+b",
            "0 pending",
            "never verified",
            "(mirror verify ",
            "on-failure=fail,on-full=degrade",
        ],
    );
    assert_eq!(o.out.lines().count(), 1, "{}", o.out);
    e.expect(&["verify"], 0, &[]);
    e.expect(&["status"], 0, &["verified ", " ago"]);
    e.expect(
        &["status", "a"],
        0,
        &[
            "on-failure=fail  on-full=degrade",
            "state     IN SYNC",
            "legs      a  ",
            "current  primary",
            "coverage  0 programs attached",
            "0 differences",
            " s ago",
        ],
    );
    e.write("a/.mirror/pending", "some/file\n");
    e.expect(
        &["status", "a"],
        1,
        &[
            "REPAIR PENDING",
            "some/file",
            "action    mirror resync",
            "see       mirror explain M-101",
        ],
    );
    e.expect(
        &["status", "--json"],
        1,
        &[
            "\"schema\":\"mirror.status/1\"",
            "\"state\":\"repair-pending\"",
            "\"options\":\"on-failure=fail,on-full=degrade,locks=",
            "\"attached\":0",
            "\"code\":\"M-101\"",
        ],
    );
}
