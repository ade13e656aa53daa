//! A resync that is stopped or killed keeps its direction.
use super::expect;
use mirror_tests::{Fs, Kind, Level, Output, Pair, Tree, need};
use std::fs;
use std::process::Command;

/// `mirror resync V --from b --yes` under strace.
fn traced(p: &Pair, calls: &str, inject: &str) -> Output {
    let plain = p.mirror_command("resync");
    let mut c = Command::new("strace");
    for (k, x) in plain.get_envs() {
        c.env(k, x.unwrap_or_default());
    }
    c.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")])
        .args(["-e", inject])
        .arg(plain.get_program())
        .args(["resync".as_ref(), p.v(), "--from".as_ref(), "b".as_ref()])
        .arg("--yes");
    Output::from_std(c.output().unwrap())
}

/// A resync that is killed at any of its steps: never IN SYNC before both legs are equal, and never
/// turned round by a plain resync.
fn killed_at(call: &str) {
    let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    p.init(&[]).ok();
    let v = p.v().to_str().unwrap();
    let mut ended = 0;
    for n in 1..200 {
        for i in 0..4 {
            fs::write(p.a().join(format!("f{i}")), format!("bad {n}")).unwrap();
            fs::write(p.b().join(format!("f{i}")), format!("right {n}")).unwrap();
        }
        let (bad, right) = (Tree::read(p.a()), Tree::read(p.b()));
        expect("verify", &p.verify(), 1, &["DIFFERENT"]);
        let inject = format!("inject={call}:signal=KILL:when={n}");
        let code = traced(&p, call, &inject).code;
        let equal = |x: &Tree, y: &Tree| x.differences(y, Level::NoTimes).0.is_empty();
        let now = Tree::read(p.a());
        assert!(
            equal(&Tree::read(p.b()), &right),
            "{call} {n}: leg b changed"
        );
        let status = p.mirror("status", &[v]);
        if !equal(&now, &right) {
            expect(&format!("{call} {n}"), &status, 1, &["action"]);
        }
        if !equal(&now, &bad) && !equal(&now, &right) {
            expect(
                &format!("{call} {n}"),
                &status,
                1,
                &["UNFINISHED", "--from b"],
            );
            expect(
                &format!("{call} {n}: plain"),
                &p.resync(),
                2,
                &["has begun and not finished", "--from b", "--from a"],
            );
            let all = p.mirror("run", &["--require", "in-sync", "--", "true"]);
            expect(&format!("{call} {n}: require"), &all, 125, &["UNFINISHED"]);
            assert!(
                equal(&Tree::read(p.b()), &right),
                "{call} {n}: the wrong way"
            );
        }
        let again = p.mirror("resync", &[v, "--from", "b", "--yes"]);
        expect(&format!("{call} {n}: again"), &again, 0, &["IN SYNC"]);
        assert!(
            equal(&Tree::read(p.a()), &right),
            "{call} {n}: not as leg b"
        );
        expect("status", &p.mirror("status", &[v]), 0, &["IN SYNC"]);
        if code == 0 {
            ended += 1;
        }
        if ended == 2 {
            return;
        }
    }
    panic!("{call}: never ran to its end");
}

#[test]
fn killed_at_each_overwriting() {
    need!("strace");
    killed_at("pwrite64");
}

#[test]
fn killed_at_each_sync() {
    need!("strace");
    killed_at("fdatasync,fsync");
}

#[test]
fn killed_at_each_rename() {
    need!("strace");
    killed_at("renameat,renameat2");
}

/// Stopped by a signal it says where it stands and what goes on; the count goes on too. Turned round only
/// in so many words.
#[test]
fn stopped_in_the_middle() {
    need!("strace");
    for signal in ["INT", "TERM", "KILL"] {
        let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
        p.init(&[]).ok();
        let v = p.v().to_str().unwrap();
        let all = 100;
        for i in 0..all {
            fs::write(p.a().join(format!("f{i}")), "bad").unwrap();
            fs::write(p.b().join(format!("f{i}")), "right").unwrap();
        }
        let right = || {
            let names = 0..all;
            names
                .filter(|i| fs::read(p.a().join(format!("f{i}"))).unwrap() == b"right")
                .count()
        };
        let inject = format!("inject=pwrite64:signal={signal}:when=40");
        let o = traced(&p, "pwrite64", &inject);
        let n = right();
        assert!(n > 0 && n < all, "{signal}: {n}: {o:?}");
        if signal != "KILL" {
            expect(
                signal,
                &o,
                3,
                &["stopped", "b -> a", "The same command goes on", "--from b"],
            );
        }
        expect(
            signal,
            &p.mirror("status", &[v]),
            1,
            &["UNFINISHED", "b -> a", "M-121"],
        );
        expect(signal, &p.resync(), 2, &["--from b", "--from a"]);
        assert_eq!(right(), n, "{signal}: changed by a refused resync");
        let o = p.mirror("resync", &[v, "--from", "b", "--yes"]);
        // Each file takes four of these calls: what is kept, its new content, and the count on each leg. Killed
        // between the second and the last, a repair that was made is in no count, or in one leg's: it has one less
        // then. Which of the four the fortieth is depends on how many others went before.
        let missed = signal == "KILL" && o.text().contains("99 paths");
        let count = if missed { "99 paths" } else { "100 paths" };
        expect(signal, &o, 0, &["IN SYNC", count]);
        assert_eq!(right(), all);
        expect(signal, &p.mirror("status", &[v]), 0, &["IN SYNC"]);
        p.assert_legs(Level::NoTimes);
    }
}
