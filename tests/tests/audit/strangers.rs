//! Tiers T1 and T2, eBPF at functions and at tracepoints: every way to change a tree is seen, whoever goes it, and named; what is mirrored
//! is no finding.
use super::{Audit, Told};
use mirror_tests::{Kind, Pair, compile, compile_with, has_tier, need, skip};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Path in the changed directory, operation, and the new name or the range.
pub type Row = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("write", "write", "10+7"), ("pwrite", "write", "11+5"), ("writev", "write", "0+100"),
    ("pwritev2", "write", "12+100"), ("append", "write", "4096+3"), ("sendfile", "write", "0+50"),
    ("splice", "write", "0+60"), ("copy_file_range", "write", "0+70"), ("fallocate", "fallocate", "0+4096"),
    ("ftruncate", "truncate", ""), ("truncate", "truncate", ""), ("o_trunc", "truncate", ""),
    ("ficlone", "clone", ""), ("o_direct", "write", "0+4096"), ("mapped", "mapped write", ""),
    ("aio", "write", ""), ("ring", "write", ""), ("sqpoll", "write", ""),
    ("fchmod", "chmod", ""), ("chmod", "chmod", ""), ("fchown", "chown", ""), ("chown", "chown", ""),
    ("futimens", "utimens", ""), ("utimens", "utimens", ""), ("setxattr", "setxattr", ""),
    ("removexattr", "setxattr", ""), ("setflags", "chattr", ""),
    ("create", "create", ""), ("mkdir", "mkdir", ""), ("mknod", "mknod", ""), ("symlink", "symlink", ""),
    ("bind", "mknod", ""), ("d/link", "link", ""), ("tmpfile", "link", ""), ("unlink", "unlink", ""),
    ("rmdir", "rmdir", ""), ("rename", "rename", "d/renamed"), ("x1", "exchange", "x2"),
    ("below", "rename", "over"), ("leaves", "rename", ""), ("comes", "rename", ""),
    ("deep/f", "create", ""), ("d32", "change", ""),
];

/// An audit by one of them, or why there is none.
pub fn by(pair: &Pair, tier: &str) -> Option<Audit> {
    has_tier(pair, tier).then(|| Audit::of(pair, &["--tier", tier]))
}

fn text<'a>(f: &'a Value, key: &str) -> &'a str {
    f[key].as_str().unwrap_or_else(|| panic!("no {key} in {f}"))
}

fn strangers(pair: &Pair, args: &[&Path]) -> (u32, String) {
    let child = Command::new(pair.programs().join("strangers"))
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{out:?}");
    (pid, String::from_utf8(out.stdout).unwrap())
}

/// The program that changes things, if it can be compiled, and directories for it in both legs.
pub fn prepared(pair: &Pair) -> Option<()> {
    let source = include_str!("../../programs/strangers.c");
    if compile_with(&pair.programs(), "strangers", source, "c", &["-static"]).is_none() {
        skip("needs a static C library");
        return None;
    }
    for leg in [pair.a(), pair.b()] {
        fs::create_dir(leg.join("t")).unwrap();
    }
    Some(())
}

/// What is to be changed.
pub fn made(pair: &Pair, at: &Path) {
    strangers(pair, &[Path::new("make"), at]);
}

/// Changes it; who did, and what does not exist there.
pub fn change(pair: &Pair, at: &Path, elsewhere: &Path) -> (u32, String) {
    strangers(pair, &[Path::new("change"), at, elsewhere])
}

/// The finding of a row.
pub fn seen<'a>(told: &'a Told, (name, operation, _): &Row, leg: usize) -> Option<&'a Value> {
    let deep = format!("{}f", "deep/".repeat(40));
    let name = if *name == "deep/f" { &deep } else { *name };
    let path = format!("t/{name}");
    told.findings().find(|f| {
        text(f, "path") == path
            && text(f, "operation") == *operation
            && text(f, "leg") == ["a", "b"][leg]
    })
}

pub fn each_row(tier: &str, leg: usize) {
    need!(root);
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    if prepared(&pair).is_none() {
        return;
    }
    let at = |leg: usize| [pair.a(), pair.b()][leg].join("t");
    let elsewhere = pair.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for leg in [0, 1] {
        made(&pair, &at(leg));
    }
    let Some(audit) = by(&pair, tier) else { return };
    let (pid, lacks) = change(&pair, &at(leg), &elsewhere);
    let told = audit.end();
    println!("not here: {lacks}");
    assert_eq!(told.count("lost"), 0);
    for row in ROWS {
        let (name, _, more) = row;
        // 32-bit calls.
        if tier == "t1" && *name == "d32" {
            continue;
        }
        if lacks.lines().any(|l| l.starts_with(&format!("{name}:"))) {
            continue;
        }
        let Some(f) = seen(&told, row, leg) else {
            panic!("{row:?}: not seen; {:?}", told.places());
        };
        assert_eq!(f["pid"], pid, "{f}");
        match more.split_once('+') {
            Some((offset, length)) => {
                assert_eq!(f["offset"].to_string(), *offset, "{f}");
                assert_eq!(f["length"].to_string(), *length, "{f}");
            }
            None if more.is_empty() => {}
            None => assert_eq!(text(f, "to"), format!("t/{more}"), "{f}"),
        }
    }
    let other = ["b ", "a "][leg];
    assert!(
        !told.places().iter().any(|p| p.starts_with(other)),
        "{:?}",
        told.places()
    );
    assert_eq!(told.code, 3);
}

#[test]
fn every_way_on_leg_a() {
    each_row("t2", 0);
}

#[test]
fn every_way_on_leg_b() {
    each_row("t2", 1);
}

/// Programs at work, mirrored: nothing to tell.
const WORK: &str = "
    mkdir d; for i in 1 2 3 4 5; do echo $i >> log; cp log d/c$i; mv d/c$i d/m$i; done
    ln d/m1 l; ln -s log s; chmod 600 l; chmod 700 d; touch -d 2001-01-01 d; truncate -s 3 log
    tar cf t.tar d; mkdir x; tar xf t.tar -C x; cp -a x y; rm -r x d l s
    (for i in 1 2 3 4 5 6 7 8 9; do echo a >> shared; done) & (for i in 1 2 3 4 5 6 7 8 9; do echo b >> shared; done)
    wait; mkfifo pipe; (cat pipe > /dev/null & echo through > pipe; wait); mv y z; rm -r z; sh -c 'echo hi > h; exec cat h' > /dev/null
    if command -v git > /dev/null; then
        git init -q g; cp log g; git -C g add .
        git -C g -c user.name=n -c user.email=e commit -qm m; git -C g gc -q
    fi
    if command -v sqlite3 > /dev/null; then
        sqlite3 db 'create table t(a); insert into t values(1); insert into t select a+1 from t; vacuum'
    fi";

fn quiet(told: &Told) {
    let found: Vec<&Value> = told.findings().collect();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((told.code, told.count("lost")), (0, 0), "{}", told.err);
}

pub fn mirrored(tier: &str) {
    need!(root);
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let Some(audit) = by(&pair, tier) else { return };
    pair.run(&format!("cd $V; {WORK}")).ok();
    let told = audit.end();
    quiet(&told);
    assert!(told.count("mirrored") > 20);
    pair.assert_equal();
}

#[test]
fn mirrored_programs_are_no_findings() {
    mirrored("t2");
}

#[test]
fn a_resync_is_no_finding() {
    need!(root);
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    pair.bypass("mkdir $A/d; echo one > $A/d/f; echo other > $B/g")
        .ok();
    let Some(audit) = by(&pair, "t2") else { return };
    pair.mirror(
        "resync",
        &[pair.v().to_str().unwrap(), "--from", "a", "--yes"],
    )
    .ok();
    quiet(&audit.end());
    pair.assert_equal();
}

/// Programs that have ended long before anybody asks who they were.
#[test]
fn programs_that_have_ended_are_named() {
    need!(root);
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let source = include_str!("../../programs/audited.c");
    if compile_with(&pair.programs(), "fixed", source, "c", &["-static"]).is_none() {
        return skip("needs a static C library");
    }
    let Some(audit) = by(&pair, "t2") else { return };
    audit.signal(libc::SIGSTOP);
    pair.bypass(
        "cp /bin/cp $P/setid; chgrp 65534 $P/setid; chmod g+s $P/setid; cd $P; (echo x > $A/sub)
         sh -c 'echo x > $A/other'; ./fixed write $A/fixed < /dev/null > $S/out
         ./setid $S/out $B/setid; rm setid fixed",
    )
    .ok();
    audit.signal(libc::SIGCONT);
    let told = audit.end();
    let rows = [
        ("a", "sub", "not-preloaded"),
        ("a", "other", "not-preloaded"),
        ("a", "fixed", "static"),
        ("b", "setid", "set-id"),
    ];
    for (leg, path, why) in rows {
        let found = told.findings().find(|f| text(f, "path") == path);
        let f = found.unwrap_or_else(|| panic!("{path}: {:?}", told.places()));
        assert_eq!((text(f, "leg"), text(f, "why")), (leg, why), "{f}");
    }
}

/// Writes that the kernel matches by itself are nobody's secret: who holds the locks and goes on to write one
/// leg alone is found, also while it stands still with its locks.
pub fn matched(tier: &str) {
    need!(root);
    const SOURCE: &str = r#"
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/file.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            int fd[2];
            for (int i = 0; i < 2; i++) {
                if (flock(open(argv[i + 1], O_RDONLY), LOCK_EX)) return 1;
                fd[i] = open(argv[i + 3], O_WRONLY);
            }
            for (int n = 0; n < 50; n++)
                for (int i = 0; i < 2; i++)
                    if (pwrite(fd[i], "x", 1, n % 3) != 1) return 2;
            if (pwrite(fd[1], "y", 1, 9) != 1) return 3;
            puts("done");
            fflush(stdout);
            return getchar() == 'x';
        }"#;
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    if compile(&pair.programs(), "locker", SOURCE).is_none() {
        return;
    }
    pair.run("echo 1234567890 > $V/alone").ok();
    let Some(audit) = by(&pair, tier) else { return };
    let lock = |leg: &Path| leg.join(".mirror/locks/f00").display().to_string();
    let file = |leg: &Path| leg.join("alone").display().to_string();
    let args = [
        lock(pair.a()),
        lock(pair.b()),
        file(pair.a()),
        file(pair.b()),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut standing = super::done_by(&pair.programs().join("locker"), &args);
    let told = audit.end_with(&mut standing);
    assert_eq!(told.places(), ["b alone"], "{:#?}", told.events);
    // The pairs before it were matched where they happened.
    assert!(told.count("mirrored") >= 49, "{}", told.count("mirrored"));
}

#[test]
fn a_pair_that_was_matched_proves_nothing_of_the_next() {
    matched("t2");
}

/// Who takes the locks of both legs and changes one of them all the same is found.
#[test]
fn locks_alone_are_no_proof() {
    need!(root);
    const SOURCE: &str = r#"
        #include <fcntl.h>
        #include <sys/file.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            for (int i = 1; i < 3; i++)
                if (flock(open(argv[i], O_RDONLY), LOCK_EX)) return 1;
            int fd = open(argv[3], O_WRONLY | O_CREAT, 0644);
            return write(fd, "x", 1) != 1;
        }"#;
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    if compile(&pair.programs(), "locker", SOURCE).is_none() {
        return;
    }
    let Some(audit) = by(&pair, "t2") else { return };
    let lock = |leg: &Path| leg.join(".mirror/locks/f00");
    let status = Command::new(pair.programs().join("locker"))
        .args([lock(pair.a()), lock(pair.b()), pair.b().join("alone")])
        .status();
    assert!(status.unwrap().success());
    let told = audit.end();
    assert_eq!(told.places(), ["b alone"]);
    assert_eq!(told.code, 3);
}

/// Whose parent has the locks of the whole pair, or had them before it was killed or ran another program, has no
/// part in what they are for.
#[test]
fn the_locks_of_a_parent_prove_nothing() {
    need!(root);
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let source = include_str!("../../programs/owner.c");
    if compile_with(&pair.programs(), "owner", source, "c", &["-static"]).is_none() {
        return skip("needs a static C library");
    }
    let mut wrong = vec![];
    for how in ["held", "exec", "ended"] {
        pair.run(&format!(
            "mkdir $V/{how}; echo x > $V/{how}/same; chmod 644 $V/{how}/same"
        ))
        .ok();
        let Some(audit) = by(&pair, "t2") else { return };
        let lock = |leg: &Path| leg.join(".mirror/locks/whole");
        let status = Command::new(pair.programs().join("owner"))
            .arg(how)
            .args([lock(pair.a()), lock(pair.b()), pair.a().join(how)])
            .status();
        let told = audit.end();
        // Somebody else has the number by now.
        if how == "ended" && status.as_ref().is_ok_and(|s| s.code() == Some(77)) {
            println!("{how}: the number could not be had again");
            continue;
        }
        assert!(
            status.as_ref().is_ok_and(|s| s.success()),
            "{how}: {status:?}"
        );
        let mut wanted = vec![format!("a {how}/new")];
        // Where nobody has the locks it is no question of what is equal.
        if how != "held" {
            wanted.push(format!("a {how}/same"));
        }
        if told.places() != wanted {
            wrong.push((how, told.places()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
