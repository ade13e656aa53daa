//! A restart of the machine: what was changed last may be on one disk and not on the other. Whose pair was left clean
//! is in sync; of all others nobody says so before a comparison.
use mirror_tests::FsType::{Ext4, Xfs};
use mirror_tests::words::{Words, restart};
use mirror_tests::{Fs, Kind, Pair, need, need_system_view};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

#[path = "restarts/one_leg.rs"]
mod one_leg;

fn pair() -> Pair {
    let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    p.init(&["--on-failure", "degrade"]).ok();
    p
}

fn v(p: &Pair) -> &str {
    p.v().to_str().unwrap()
}

#[track_caller]
fn state(p: &Pair, word: &str) -> String {
    let o = p.mirror("status", &[v(p)]);
    let text = String::from_utf8_lossy(&o.out).into_owned();
    assert!(text.contains(&format!("state     {word}\n")), "{o:?}");
    text
}

/// A program with the library alone: nobody looks after its end.
#[track_caller]
fn program(p: &Pair, script: &str) {
    let o = p.preloaded("bash").args(["-c", script]).output().unwrap();
    assert!(o.status.success(), "{o:?}");
}

#[track_caller]
fn clean(p: &Pair) {
    let o = p.mirror("wait", &[v(p), "--clean", "--timeout", "20"]);
    assert_eq!(o.code, 0, "{o:?}");
}

/// Until somebody has compared, before and after the next program.
#[test]
fn a_pair_that_was_in_use_is_not_in_sync() {
    for ends in ["verify", "resync"] {
        let p = pair();
        program(&p, "echo 1 > $V/one");
        restart(&p);
        let text = state(&p, "UNVERIFIED");
        assert!(
            text.contains("M-132") && text.contains("mirror verify"),
            "{text}"
        );
        let o = p.mirror("run", &["--require", "in-sync", "--", "true"]);
        assert_eq!(o.code, 125, "{o:?}");
        program(&p, "echo 2 > $V/two");
        state(&p, "UNVERIFIED");
        assert_eq!(p.mirror("wait", &[v(&p), "--timeout", "0"]).code, 1);
        p.mirror(ends, &[v(&p)]).ok();
        state(&p, "IN SYNC");
        program(&p, "echo 3 > $V/three");
        state(&p, "IN SYNC");
        // And again: nobody has flushed anything.
        restart(&p);
        state(&p, "UNVERIFIED");
        p.assert_equal();
    }
}

/// A comparison that finds a difference ends no doubt.
#[test]
fn a_difference_is_still_one() {
    let p = pair();
    program(&p, "echo 1 > $V/one; echo 2 > $V/two");
    restart(&p);
    p.bypass("printf 3 > $B/two").ok();
    assert_eq!(p.mirror("verify", &[v(&p)]).code, 1);
    let o = p.mirror("status", &[v(&p)]);
    assert_eq!(o.code, 1, "{o:?}");
    p.mirror("resync", &[v(&p), "--yes"]).ok();
    state(&p, "IN SYNC");
    p.assert_equal();
}

/// `wait --clean`, and the end of a `mirror run` that took a while, flush both legs and note that.
#[test]
fn a_pair_that_was_left_clean_is_in_sync() {
    let long = |p: &Pair| drop(p.run("echo 2 > $V/two; sleep 1.1").ok());
    for leave in [&clean as &dyn Fn(&Pair), &long] {
        let p = pair();
        program(&p, "echo 1 > $V/one");
        leave(&p);
        state(&p, "IN SYNC");
        restart(&p);
        state(&p, "IN SYNC");
        // Who compares only leaves it so.
        p.mirror("verify", &[v(&p)]).ok();
        // The next program is one more.
        program(&p, "echo 3 > $V/three");
        state(&p, "IN SYNC");
        restart(&p);
        state(&p, "UNVERIFIED");
        p.assert_equal();
    }
}

/// With nobody attached, and nothing announced, nothing is lost with the runtime file.
#[test]
fn a_clean_pair_does_not_need_its_runtime_file() {
    let p = pair();
    program(&p, "echo 1 > $V/one");
    clean(&p);
    p.runtime_files()
        .iter()
        .for_each(|f| fs::remove_file(f).unwrap());
    state(&p, "IN SYNC");
    program(&p, "echo 2 > $V/two");
    state(&p, "IN SYNC");
    p.runtime_files()
        .iter()
        .for_each(|f| fs::remove_file(f).unwrap());
    state(&p, "UNVERIFIED");
    p.assert_equal();
}

const HOLDS: &str = "import os, sys\nf = open(os.environ['V'] + '/held', 'w')\nf.write('1'); f.flush()\nprint('up', flush=True)\nsys.stdin.readline()\nf.write('2'); f.flush()\nprint('wrote', flush=True)\nsys.stdin.readline()";

/// A program that holds a file of the pair until it is told.
struct Holder(std::process::Child, BufReader<std::process::ChildStdout>);

impl Holder {
    fn start(p: &Pair) -> Holder {
        let mut c = p.preloaded("python3");
        c.args(["-c", HOLDS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = c.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut h = Holder(child, out);
        h.hears("up");
        h
    }
    #[track_caller]
    fn hears(&mut self, word: &str) {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word);
    }
    fn writes(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.hears("wrote");
    }
    fn ends(mut self) {
        self.0.stdin.take();
        assert!(self.0.wait().unwrap().success());
    }
}

/// While somebody is attached, or something is known, a pair is not clean, whoever asks.
#[test]
fn what_is_known_is_not_forgotten() {
    need!("python3");
    let asks = |p: &Pair| {
        let o = p.mirror("wait", &[v(p), "--clean", "--timeout", "0.3"]);
        (o.code, String::from_utf8_lossy(&o.err).into_owned())
    };
    let p = pair();
    let h = Holder::start(&p);
    let (code, said) = asks(&p);
    assert!(code == 1 && said.contains("in use"), "{said}");
    p.run("sleep 1.1").ok();
    restart_under(&p, h);
    state(&p, "UNVERIFIED");
    p.mirror("verify", &[v(&p)]).ok();
    // Killed in mid-change, and nobody has come since: a runtime file that announces it, with nobody alive.
    let p = pair();
    program(&p, "echo 1 > $V/one");
    p.bypass("echo ./one >> $A/.mirror/pending; cp $A/.mirror/pending $B/.mirror/pending")
        .ok();
    assert_eq!(asks(&p).0, 1);
    p.run("echo 2 > $V/two; sleep 1.1").ok();
    restart(&p);
    state(&p, "REPAIR PENDING");
    p.mirror("resync", &[v(&p), "--yes"]).ok();
    // A program that could not be mirrored: that stands in the runtime file alone.
    let p = pair();
    program(&p, "echo 1 > $V/one");
    Words::of(&p).set(1 << 7);
    state(&p, "UNVERIFIED");
    assert_eq!(asks(&p).0, 1);
    p.run("echo 2 > $V/two; sleep 1.1").ok();
    restart(&p);
    state(&p, "UNVERIFIED");
}

/// The power fails under a program.
fn restart_under(p: &Pair, mut h: Holder) {
    h.0.kill().unwrap();
    h.0.wait().unwrap();
    restart(p);
}

/// Who works on leg a alone makes nothing unclean; when leg b is back under it, it is not clean.
#[test]
fn a_return_makes_it_unclean() {
    need!("python3");
    need_system_view!();
    let p = pair();
    program(&p, "echo 1 > $V/one");
    clean(&p);
    let aside = p.b().with_extension("aside");
    fs::rename(p.b(), &aside).unwrap();
    let mut h = Holder::start(&p);
    state(&p, "DEGRADED");
    fs::rename(&aside, p.b()).unwrap();
    let o = p.mirror("leg", &["online", v(&p), "b", "--yes"]);
    assert_eq!(o.code, 0, "{o:?}");
    state(&p, "IN SYNC");
    h.writes();
    h.ends();
    restart(&p);
    state(&p, "UNVERIFIED");
    p.assert_equal();
}

fn sh(script: &str) {
    let s = Command::new("sh").arg("-c").arg(script).status().unwrap();
    assert!(s.success(), "{script}");
}

/// Power loss: neither disk has what was not flushed, and the machine is started again.
fn power_loss(p: &Pair) {
    for leg in [p.a(), p.b()] {
        crash(leg);
    }
    restart(p);
}

/// A leg's disk loses what was not flushed, and comes back as the same device. As long as somebody has it in a mount
/// namespace of his own, it is not gone.
fn crash(leg: &Path) {
    let m = leg.parent().unwrap().display();
    let gone = "for i in $(seq 600); do grep -qs \" $d \" /proc/[0-9]*/mountinfo || break; sleep 0.05; done";
    sh(&format!(
        "d=$(findmnt -no SOURCE {m}) && xfs_io -x -c shutdown {m} && exec 9< $d && umount {m} && {gone}; mount $d {m}"
    ));
}

/// That a pair is in use is on both disks before its first change, whoever makes it.
#[test]
fn after_a_power_loss_nobody_believes_that_it_was_clean() {
    need!(root);
    need!("xfs_io");
    let Some(p) = Pair::bare(Kind::Link, Fs::Loop(Ext4, Xfs)) else {
        return;
    };
    p.init(&[]).ok();
    program(&p, "seq 20000 > $V/data");
    clean(&p);
    power_loss(&p);
    state(&p, "IN SYNC");
    p.assert_equal();
    let by_run = |p: &Pair| drop(p.run("echo 1 >> $V/data").ok());
    let by_program = |p: &Pair| program(p, "echo 2 >> $V/data");
    let one_leg = |p: &Pair| {
        program(p, "echo 3 >> $V/data");
        p.bypass("sync -f $B").ok();
    };
    for change in [&by_run as &dyn Fn(&Pair), &by_program, &one_leg] {
        clean(&p);
        change(&p);
        power_loss(&p);
        state(&p, "UNVERIFIED");
        p.mirror("resync", &[v(&p), "--yes"]).ok();
        state(&p, "IN SYNC");
        p.assert_equal();
    }
}

/// What changes nothing leaves a pair clean: the first copy, a look, a comparison, a command elsewhere, a second wait.
#[test]
fn who_changes_nothing_leaves_it_clean() {
    let p = pair();
    restart(&p);
    state(&p, "IN SYNC");
    for _ in 0..2 {
        p.mirror("verify", &[v(&p)]).ok();
        p.run("true; cat $V/nothing 2> $S/err; echo > $S/elsewhere");
        p.mirror("wait", &[v(&p), "--clean", "--timeout", "0"]).ok();
        restart(&p);
        state(&p, "IN SYNC");
    }
    // After a comparison that found both equal there is nothing to be compared again.
    program(&p, "echo 1 > $V/one");
    restart(&p);
    p.mirror("verify", &[v(&p)]).ok();
    restart(&p);
    state(&p, "IN SYNC");
    p.assert_equal();
}

/// Two legs that were left clean at different times: one was put back from a copy.
#[test]
fn an_older_clean_leg_is_not_in_sync() {
    for leg in ["A", "B"] {
        let p = pair();
        program(&p, "echo 1 > $V/one");
        clean(&p);
        p.bypass(&format!("cp -a ${leg} ${leg}.old")).ok();
        program(&p, "echo 2 > $V/two");
        clean(&p);
        p.bypass(&format!("cp -a ${leg}.old/. ${leg}/; rm ${leg}/two"))
            .ok();
        restart(&p);
        let text = state(&p, "UNVERIFIED");
        assert!(text.contains("put back from a copy"), "{text}");
    }
}

/// Nobody's program waits for a flush, or fails because of one, at any of its steps; two flushes do not undo each other.
#[test]
fn a_slow_flush_is_in_nobodys_way() {
    need!("strace");
    let p = pair();
    let slow = |call: &str| {
        let mut c = p.native_command("strace");
        let tell = format!("inject={call}:delay_enter=700000");
        c.args(["-f", "-qq", "-o", "/dev/null", "-e", &tell]);
        c.arg(mirror_tests::dist().join("mirror"));
        c.args(["wait", "--clean", "--timeout", "20", v(&p)]);
        c.env("MIRRORTAB", p.tab()).stdout(Stdio::null());
        c.spawn().unwrap()
    };
    for call in ["syncfs", "fdatasync"] {
        program(&p, "echo 1 > $V/one");
        let mut flush = slow(call);
        for n in 0..8 {
            program(&p, &format!("echo {n} > $V/f{n}"));
        }
        assert!(flush.wait().unwrap().success());
        state(&p, "IN SYNC");
        program(&p, "rm $V/f*");
        let mut two = [slow(call), slow(call)];
        for flush in &mut two {
            assert!(flush.wait().unwrap().success());
        }
    }
    restart(&p);
    state(&p, "IN SYNC");
    p.assert_equal();
}

/// The kernel tells once that a flush has failed: it is not forgotten.
#[test]
fn a_flush_that_fails_is_on_record() {
    need!("strace");
    for nth in [1, 2] {
        let p = pair();
        program(&p, "echo 1 > $V/one");
        let mut c = p.native_command("strace");
        let tell = format!("inject=syncfs:error=EIO:when={nth}");
        c.args(["-f", "-qq", "-o", "/dev/null", "-e", &tell]);
        c.arg(mirror_tests::dist().join("mirror"));
        c.args(["wait", "--clean", "--timeout", "20", v(&p)]);
        c.env("MIRRORTAB", p.tab());
        assert!(!c.output().unwrap().status.success());
        state(&p, "REPAIR PENDING");
        assert_eq!(p.mirror("wait", &[v(&p), "--clean"]).code, 1);
        restart(&p);
        state(&p, "REPAIR PENDING");
        p.mirror("resync", &[v(&p), "--yes"]).ok();
        state(&p, "IN SYNC");
    }
}

/// A program that may write nothing takes it back all the same.
#[test]
fn a_limit_of_file_sizes_is_in_nobodys_way() {
    let p = pair();
    program(&p, "echo 1 > $V/one");
    clean(&p);
    program(&p, "ulimit -f 0; rm $V/one; mkdir $V/d");
    restart(&p);
    state(&p, "UNVERIFIED");
    p.mirror("verify", &[v(&p)]).ok();
    p.assert_equal();
}

/// What is mounted inside both legs is flushed too.
#[test]
fn mounts_inside_both_legs_are_flushed() {
    need!(root);
    need!("xfs_io");
    let Some(p) = Pair::bare(Kind::Link, Fs::Loop(Ext4, Xfs)) else {
        return;
    };
    let both = |script: &str| {
        for leg in [p.a(), p.b()] {
            let (s, img) = (leg.join("sub"), leg.with_extension("sub.img"));
            let (s, img) = (s.display(), img.display());
            sh(&script
                .replace("$M", &s.to_string())
                .replace("$I", &img.to_string()));
        }
    };
    both("mkdir $M; truncate -s 32M $I; mkfs.ext4 -q $I; mount -o loop $I $M");
    p.init(&[]).ok();
    program(&p, "seq 9999 > $V/sub/data");
    clean(&p);
    both("xfs_io -x -c shutdown $M; umount $M; mount -o loop $I $M");
    let same = p.bypass("cmp $A/sub/data $B/sub/data && seq 9999 | cmp - $A/sub/data");
    both("umount $M; rm $I");
    assert_eq!(same.code, 0, "{same:?}");
}
