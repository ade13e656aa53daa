//! `mirror audit --heal` at work: every kind of change, many at once, and what had to be found by comparing.
use mirror_tests::{
    Fs, Kind, Level, Pair, Talker, Tree, compile_with, has_tier, have, is_root, need, skip, soak,
};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// An audit with `--heal`, once everything is seen.
fn begin(pair: &Pair, args: &[&str]) -> Talker {
    let mut c = pair.mirror_command("audit");
    c.arg(pair.v()).args(["--json", "--heal"]).args(args);
    let t = Talker::start(c.stderr(Stdio::null()));
    assert!(t.line().contains("\"event\":\"start\""));
    t
}

/// Its exit code, and what it told.
fn end(mut t: Talker) -> (i32, Vec<Value>) {
    t.signal(libc::SIGTERM);
    let lines = t.drain();
    let parse = |l: &String| serde_json::from_str(l).unwrap_or_else(|_| panic!("{l}"));
    (t.end(), lines.iter().map(parse).collect())
}

fn count(events: &[Value], key: &str) -> u64 {
    let end = events.iter().find(|e| e["event"] == "end");
    end.and_then(|e| e[key].as_u64()).expect(key)
}

/// What was found and not made equal.
fn left(events: &[Value]) -> Vec<&Value> {
    let found = events.iter().filter(|e| e["event"] == "finding");
    let mended = |f: &&Value| !["healed", "undone", "equal"].contains(&f["done"].as_str().unwrap());
    found.filter(mended).collect()
}

fn every_way(leg: usize) {
    need!(root);
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source = include_str!("../programs/strangers.c");
    let programs = pair.programs();
    let static_one = compile_with(&programs, "strangers", source, "c", &["-static"]);
    let mirrored = compile_with(&programs, "maker", source, "c", &[]);
    let (Some(strangers), Some(maker)) = (static_one, mirrored) else {
        return skip("needs a static C library");
    };
    if !has_tier(&pair, "t2") {
        return;
    }
    let elsewhere = pair.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(pair.a().join("t")).unwrap();
    fs::create_dir(pair.b().join("t")).unwrap();
    pair.resync().ok();
    let made = pair
        .preloaded(&maker)
        .args(["make"])
        .arg(pair.v().join("t"))
        .status();
    assert!(made.unwrap().success());
    pair.assert_legs(Level::Strict);
    let before = Tree::read(pair.a());
    let t = begin(&pair, &["--tier", "t2", "--brake", "1000"]);
    let root = [pair.a(), pair.b()][leg];
    let changed = Command::new(&strangers)
        .arg("change")
        .arg(root.join("t"))
        .arg(&elsewhere)
        .stdout(Stdio::null())
        .status();
    assert!(changed.unwrap().success());
    let (code, events) = end(t);
    assert_eq!((code, count(&events, "lost")), (3, 0));
    let all = left(&events);
    assert!(all.is_empty(), "{all:#?}");
    pair.assert_legs(Level::Strict);
    let same = before.differences(&Tree::read(pair.a()), Level::Strict);
    assert_eq!(same.0.is_empty(), leg == 1, "{same}");
}

#[test]
fn every_way_on_leg_a_is_carried() {
    every_way(0);
}

#[test]
fn every_way_on_leg_b_is_undone() {
    every_way(1);
}

/// Four processes at once; a slice of it, unless the long variants are asked for.
fn storm(tier: &str, root: fn(&Pair) -> &std::path::Path) {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source = include_str!("../programs/storm.c");
    let Some(program) = compile_with(&pair.programs(), "storm", source, "c", &[]) else {
        return;
    };
    if tier == "t2" && !has_tier(&pair, "t2") {
        return;
    }
    let each = if soak() { 12_500 } else { 500 };
    let t = begin(&pair, &["--tier", tier, "--brake", "1000000"]);
    let all: Vec<_> = (0..4)
        .map(|i| {
            let dir = root(&pair).join(format!("s{}", i % 2));
            let mut c = Command::new(&program);
            c.arg(dir).args([i.to_string(), each.to_string()]);
            c.spawn().unwrap()
        })
        .collect();
    for mut c in all {
        assert!(c.wait().unwrap().success());
    }
    let (code, events) = end(t);
    assert!(code == 3 || code == 4, "{code}");
    let all = left(&events);
    assert!(all.is_empty(), "{} left: {:#?}", all.len(), all.first());
    pair.assert_legs(Level::Strict);
}

#[test]
fn a_storm_on_leg_a_ends_equal_t2() {
    need!(root);
    storm("t2", Pair::a);
}

#[test]
fn a_storm_on_leg_a_ends_equal_t4() {
    storm("t4", Pair::a);
}

#[test]
fn a_storm_on_leg_b_is_undone_t4() {
    storm("t4", Pair::b);
}

/// Directories that are moved with all that is in them, out of the leg and into it, exchanged, replaced, filled and
/// removed while they are carried. A pair is in sync only if its legs are equal.
fn moves(tier: &str, root: fn(&Pair) -> &Path) {
    let (storms, each) = if soak() { (30, 3000) } else { (2, 900) };
    for seed in 1..=storms {
        let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
        let source = include_str!("../programs/moves.c");
        let Some(program) = compile_with(&pair.programs(), "moves", source, "c", &[]) else {
            return;
        };
        if tier == "t2" && !has_tier(&pair, "t2") {
            return;
        }
        let t = begin(&pair, &["--tier", tier, "--brake", "1000000"]);
        let all: Vec<_> = (0..3)
            .map(|i| {
                let mut c = Command::new(&program);
                c.args([root(&pair), &pair.scratch()]);
                c.args([(seed * 10 + i).to_string(), each.to_string()]);
                c.spawn().unwrap()
            })
            .collect();
        for mut c in all {
            assert!(c.wait().unwrap().success());
        }
        let (code, events) = end(t);
        assert!(code == 3 || code == 4, "{tier} {seed}: {code}");
        let status = pair.mirror("status", &[pair.v().to_str().unwrap()]);
        let differ = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::Strict);
        let said = format!("{tier} {seed}: {status:?}\n{differ}");
        assert!(status.code != 0 || differ.0.is_empty(), "{said}");
        // Nothing was given up without a word.
        let words = ["lost", "open"].map(|k| count(&events, k));
        let gave_up = words.iter().sum::<u64>() + left(&events).len() as u64;
        assert!(gave_up > 0 || status.code == 0, "{said} {words:?}");
    }
}

#[test]
fn moves_on_leg_a_end_equal_or_are_told_t2() {
    need!(root);
    moves("t2", Pair::a);
}

#[test]
fn moves_on_leg_a_end_equal_or_are_told_t3() {
    need!(root);
    moves("t3", Pair::a);
}

#[test]
fn moves_on_leg_a_end_equal_or_are_told_t4() {
    moves("t4", Pair::a);
}

#[test]
fn moves_on_leg_b_are_undone_or_told() {
    moves("t4", Pair::b);
    if is_root() {
        moves("t3", Pair::b);
    }
}

/// What was missed because the kernel's queue was full is found by comparing, and healed.
#[test]
fn what_was_lost_is_looked_for() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u64 = limit.trim().parse().unwrap();
    if limit > 100_000 {
        return skip("the kernel's queue is too long to be filled");
    }
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source = include_str!("../programs/audited.c");
    let Some(program) = compile_with(&pair.programs(), "audited", source, "c", &[]) else {
        return;
    };
    pair.run("cd $V; mkdir d e; for i in $(seq 9); do echo $i > d/$i; echo $i > e/$i; done")
        .ok();
    let t = begin(&pair, &["--tier", "t4", "--brake", "5"]);
    t.signal(libc::SIGSTOP);
    let churn = |limit: u64| {
        let mut c = Command::new(&program);
        c.arg("churn").arg(pair.a().join("churn"));
        let c = c
            .arg(limit.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        assert!(c.status().unwrap().success());
    };
    churn(limit);
    // The queue is full: nothing of this is told.
    pair.bypass("cd $A; mkdir -p new/deep; echo x > new/deep/f; echo two > d/1; chmod 600 d/2; cd $B; rm d/3; echo b > d/4; echo only > d/only-b; rm -r e")
        .ok();
    t.signal(libc::SIGCONT);
    let (code, events) = end(t);
    assert_eq!(code, 4);
    assert!(count(&events, "lost") > 0);
    let all = left(&events);
    assert!(all.is_empty(), "{all:#?}");
    pair.assert_legs(Level::Strict);
    assert_eq!(fs::read(pair.b().join("d/1")).unwrap(), b"two\n");
    assert!(pair.b().join("e/9").exists() && !pair.b().join("d/only-b").exists());
    let kept = pair.bypass("cat $B/.mirror/kept/*/d/only-b");
    assert!(kept.text().contains("only"), "{kept:?}");
    // Until a comparison it is not known that nothing else is missing.
    pair.verify().ok();
    // What leg b alone has by then may have gone away on leg a: more than the brake allows is held.
    let t = begin(&pair, &["--tier", "t4", "--brake", "5"]);
    t.signal(libc::SIGSTOP);
    churn(limit);
    pair.bypass("rm -r $A/d").ok();
    t.signal(libc::SIGCONT);
    let (code, events) = end(t);
    assert_eq!(code, 4);
    assert!(left(&events).iter().all(|f| f["done"] == "held"));
    assert!(pair.b().join("d/9").exists());
    let v = pair.v().to_str().unwrap();
    pair.mirror("audit", &[v, "--held", "restore", "--yes"])
        .ok();
    assert!(pair.a().join("d/9").exists());
    pair.assert_legs(Level::Strict);
}

/// The brake as a share of what there is.
#[test]
fn a_brake_by_share() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("cd $V; for i in $(seq 40); do echo $i > $i; done")
            .ok();
        for (share, held) in [("30%", false), ("10%", true)] {
            let t = begin(pair, &["--tier", "t4", "--brake", share]);
            // A quarter.
            t.still(|| pair.bypass("cd $B; rm 1 2 3 4 5 6 7 8 9 10"))
                .ok();
            let (_, events) = end(t);
            assert_eq!(count(&events, "held") > 0, held, "{share}: {events:#?}");
            assert_eq!(pair.b().join("7").exists(), !held, "{share}");
            assert!(pair.a().join("7").exists());
        }
    });
}

/// A database that was started on one leg by mistake.
#[test]
fn a_database_without_the_mirror() {
    need!(root);
    if !have("mariadbd") || !have("mariadb-install-db") {
        return skip("needs MariaDB (mariadb-server)");
    }
    Pair::with(Kind::InPlace, |pair| {
        if !has_tier(pair, "t2") {
            return;
        }
        let t = begin(pair, &["--tier", "t2", "--brake", "100000"]);
        let o = pair.bypass(
            "set -e; cd $A; mkdir db; mariadb-install-db --no-defaults --user=root --datadir=$A/db --auth-root-authentication-method=normal --skip-test-db > $S/install 2>&1
            printf '%s\\n' 'create database t;' 'use t;' 'create table x(i int primary key, s text) engine=innodb;' \\
                'insert into x select seq, repeat(seq, 50) from seq_1_to_2000;' 'delete from x where i % 3 = 0;' \\
                'create table y (i int) engine=aria;' 'insert into y select seq from seq_1_to_500;' 'drop table y;' > $S/sql
            mariadbd --no-defaults --bootstrap --user=root --datadir=$A/db --innodb-buffer-pool-size=32M < $S/sql > $S/log 2>&1
            ls $A/db/t/x.ibd",
        );
        assert_eq!(o.code, 0, "{o:?}");
        let (code, events) = end(t);
        assert_eq!((code, count(&events, "lost")), (3, 0));
        let all = left(&events);
        assert!(all.is_empty(), "{all:#?}");
        pair.assert_legs(Level::Strict);
    });
}
