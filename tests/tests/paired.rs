//! What is paired is compared: somebody has changed one tree alone, and a mirrored program then changes the
//! object. After its call both legs are equal, or the pair says that they are not; and no version is lost
//! in silence. A difference in content alone, at the same size, may go unseen (LIMITS.md).
use mirror_tests::{Kind, Level, Output, Pair, Tree, compile, dist, each_kind, make, need};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The calls of paired.c.
const CHANGES: &[&str] = &[
    "open",
    "open read-write",
    "open append",
    "create",
    "create append",
    "create exclusively",
    "create or empty",
    "empty",
    "empty, reading",
    "inherited",
    "chmod",
    "chown",
    "shrink",
    "grow",
    "utimens",
    "setxattr",
    "fchmod, reading",
    "rename",
    "rename over",
    "exchange",
    "link",
    "unlink",
];

/// What the addressed leg has, and what the other one.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("longer there", "file:first", "file:the other version"),
    ("longer here", "file:the addressed version", "file:other"),
    ("more at the end here", "file:other, and more", "file:other"),
    ("empty here", "file:", "file:the other version"),
    ("only here", "file:first", ""),
    ("only there", "", "file:the other version"),
    ("more names here", "names:first", "file:first"),
    ("more names there", "file:first", "names:first"),
    ("a fifo there", "file:first", "fifo:"),
    ("a fifo here", "fifo:", "file:the other version"),
    ("a link there", "file:first", "link:nowhere"),
    ("a directory there", "file:first", "dir:the other version"),
    ("an empty directory there", "file:first", "dir:"),
];

fn put(root: &Path, name: &str, what: &str) {
    let path = root.join(name);
    let alone = what.replacen("names:", "file:", 1);
    make(&path, &alone);
    if alone != what {
        fs::hard_link(&path, root.join(format!("{name} too"))).unwrap();
    }
}

fn helper(pair: &Pair) -> Option<PathBuf> {
    compile(
        &pair.programs(),
        "paired",
        include_str!("../programs/paired.c"),
    )
}

/// Everything that is in a tree, control folder included, as text.
fn texts(root: &Path, all: &mut String) {
    for e in fs::read_dir(root).unwrap() {
        let e = e.unwrap();
        let path = e.path();
        match e.file_type().unwrap() {
            t if t.is_dir() => texts(&path, all),
            t if t.is_file() => all.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap())),
            _ => {}
        }
    }
}

/// One cell of the table: what is wrong, if anything is.
fn cell(
    pair: &Pair,
    program: &Path,
    change: &str,
    difference: usize,
    leg: usize,
) -> Option<String> {
    let (what, here, there) = DIFFERENCES[difference];
    let roots = [pair.a(), pair.b()];
    let (first, other) = (roots[leg], roots[leg ^ 1]);
    let regular = here.starts_with("file") || here.starts_with("names");
    if (change == "inherited" && !regular) || (change == "fchmod, reading" && here.is_empty()) {
        return None;
    }
    let name = format!("{change}, {what}");
    let new = format!("{name}, new");
    put(first, &name, here);
    put(other, &name, there);
    if matches!(change, "rename over" | "exchange") {
        for root in roots {
            fs::write(root.join(&new), "new").unwrap();
        }
        for root in roots {
            let o = std::process::Command::new("touch")
                .args(["-d", "@1000000000"])
                .arg(root.join(&new))
                .status();
            assert!(o.unwrap().success());
        }
    }
    let mut c = pair.preloaded(program);
    c.arg(change).arg(first.join(&name)).arg(first.join(&new));
    if change == "inherited" {
        let f = fs::File::options().append(true).open(first.join(&name));
        c.stdout(Stdio::from(f.unwrap()));
    }
    let o = Output::from_std(c.output().unwrap());
    let answer = String::from_utf8_lossy(&o.err).trim().to_owned();
    let d = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::Strict);
    let pending = !fs::read(pair.a().join(".mirror/pending"))
        .unwrap()
        .is_empty();
    let bad = if pending {
        let s = pair.status();
        let ok = s.code == 1 && s.text().contains("REPAIR PENDING");
        (!ok).then(|| format!("pending, and status says {}", s.text()))
    } else if !d.0.is_empty() {
        Some(format!("the legs differ, unsaid:\n{d}"))
    } else {
        let mut all = String::new();
        texts(pair.a(), &mut all);
        texts(pair.b(), &mut all);
        (there.contains("the other version") && !all.contains("the other version"))
            .then(|| "the other version is gone".to_owned())
    };
    if pending || bad.is_some() {
        for root in roots {
            for e in fs::read_dir(root).unwrap().flatten() {
                if e.file_name() != ".mirror" {
                    let _ = fs::remove_file(e.path());
                    let _ = fs::remove_dir_all(e.path());
                }
            }
        }
        pair.resync().ok();
    } else {
        // What was kept is found by its text: the next cell's is its own.
        let kept = other.join(".mirror/kept/programs");
        for e in fs::read_dir(kept).into_iter().flatten().flatten() {
            fs::remove_file(e.path()).unwrap();
        }
        for root in roots {
            for n in [&name, &new] {
                let _ = fs::remove_file(root.join(n));
            }
        }
    }
    bad.map(|b| {
        format!(
            "{change}, {what}, leg {}: answer {answer}: {b}",
            ['a', 'b'][leg]
        )
    })
}

fn table(leg: usize, differences: impl Fn(&str) -> bool) {
    let pair = Pair::striped(Kind::InPlace, None);
    let Some(program) = helper(&pair) else {
        return;
    };
    let mut bad = Vec::new();
    for change in CHANGES {
        for (difference, (what, ..)) in DIFFERENCES.iter().enumerate() {
            if !differences(what) {
                continue;
            }
            bad.extend(cell(&pair, &program, change, difference, leg));
        }
    }
    assert!(bad.is_empty(), "{} cells:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn every_change_of_what_differs_by_leg_a() {
    table(0, |_| true);
}

#[test]
fn every_change_of_what_differs_by_leg_b() {
    table(1, |what| {
        ["longer there", "only here", "only there", "a fifo there"].contains(&what)
    });
}

/// Runs a script without the mirror, in which `run` starts a mirrored command, and then asks for both legs
/// and the state.
#[track_caller]
fn by_hand(pair: &Pair, shell: &str, script: &str, expected: &str) {
    let mirror = dist().join("mirror");
    let whole = format!("run() {{ {} run -- \"$@\"; }}\n{script}", mirror.display());
    fs::write(pair.scratch().join("script"), whole).unwrap();
    pair.bypass(&format!("set -e; {shell} -e $S/script")).ok();
    for root in [pair.a(), pair.b()] {
        let text = fs::read_to_string(root.join("out")).unwrap();
        assert_eq!(text, expected, "{shell}: {script}: {}", root.display());
    }
    pair.assert_equal();
    let s = pair.status();
    assert!(
        s.code == 0 && s.text().contains("IN SYNC"),
        "{script}: {s:?}"
    );
}

each_kind! {
    fn the_outer_shell_redirects(pair) {
        let long = "a text that is longer than what follows\n".repeat(3);
        for shell in ["bash", "sh"] {
            for old in ["", "x\n", &long] {
                let before = |pair: &Pair| {
                    for root in [pair.a(), pair.b()] {
                        let _ = fs::remove_file(root.join("out"));
                    }
                    if !old.is_empty() {
                        fs::write(pair.scratch().join("old"), old).unwrap();
                        pair.run("cat $S/old > $V/out").ok();
                    }
                };
                for (script, expected) in [
                    ("run echo new > $V/out", "new\n".to_owned()),
                    ("run echo new >> $V/out", format!("{old}new\n")),
                    ("run sh -c 'echo new >&2' 2> $V/out", "new\n".to_owned()),
                    ("run true > $V/out", String::new()),
                    ("run sh -c 'echo one; echo two >> $V/out; echo three' >> $V/out", format!("{old}one\ntwo\nthree\n")),
                    ("echo new | run tee $V/out > /dev/null", "new\n".to_owned()),
                    ("run echo new | tee $S/copy | run tee -a $V/out > /dev/null", format!("{old}new\n")),
                    ("run sh -c 'exec 1<>$V/out; echo n'", format!("n\n{}", old.get(2..).unwrap_or(""))),
                    ("run sh -c 'echo n' 1<> $V/out", format!("n\n{}", old.get(2..).unwrap_or(""))),
                    ("for i in 1 2 3; do run echo $i; done > $V/out", "1\n2\n3\n".to_owned()),
                ] {
                    before(pair);
                    by_hand(pair, shell, script, &expected);
                }
            }
        }
    }

    fn a_writer_without_the_mirror_appends_between_two_appends(pair) {
        use std::io::{Read, Write};
        for (name, writes) in [("builtin", "echo $1 >&3"), ("child", "/bin/echo $1 >&3")] {
            let script = format!(
                "w() {{ {writes}; }}; exec 3>> $V/{name}; w one; w two; printf x; read l; w four; w five"
            );
            let mut c = pair.preloaded("bash");
            c.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = c.spawn().unwrap();
            child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
            let f = fs::File::options().append(true).open(pair.a().join(name));
            f.unwrap().write_all(b"three\n").unwrap();
            child.stdin.take().unwrap().write_all(b"x\n").unwrap();
            assert!(child.wait().unwrap().success());
            for root in [pair.a(), pair.b()] {
                let text = fs::read_to_string(root.join(name)).unwrap();
                assert_eq!(text, "one\ntwo\nthree\nfour\nfive\n", "{name}");
            }
            pair.assert_equal();
        }
    }

    fn a_directory_that_only_one_leg_has_is_not_said_to_be_equal(pair) {
        pair.bypass("mkdir $A/d $A/e; echo x > $A/d/f").ok();
        pair.run("echo y > $V/e/g").ok();

        assert_eq!(pair.status().code, 0, "{:?}", pair.status());
        pair.run("echo y > $V/d/g").ok();
        let s = pair.status();
        assert!(s.code == 1 && s.text().contains("REPAIR PENDING"), "{s:?}");
        pair.resync().ok();
        pair.assert_equal();
    }

    fn what_was_met_is_said(pair) {
        pair.run("echo one > $V/f").ok();
        pair.bypass("echo the other version > $B/f").ok();
        let o = pair.run("echo two >> $V/f").ok();
        let said = String::from_utf8_lossy(&o.err).into_owned();
        assert!(said.contains("f: changed on one leg alone") && said.contains(".mirror/kept/programs"), "{said}");
        assert!(pair.status().text().contains("f: changed on one leg alone"), "{:?}", pair.status());
        let kept: Vec<_> = fs::read_dir(pair.b().join(".mirror/kept/programs")).unwrap().flatten().collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read_to_string(kept[0].path()).unwrap(), "the other version\n");
        pair.assert_equal();
    }
}

/// The last 64 versions are kept.
#[test]
fn kept_versions_are_bounded() {
    Pair::with(Kind::InPlace, |pair| {
        let make = "for i in $(seq 70); do echo $i > $B/f$i; done";
        pair.bypass(make).ok();
        pair.run("cd $V; for i in $(seq 70); do echo new > f$i; done")
            .ok();
        let kept = fs::read_dir(pair.b().join(".mirror/kept/programs")).unwrap();
        assert_eq!(kept.count(), 64);
        pair.assert_equal();
    });
}

/// A difference that only a resync mends is written down once, not at each touch, and shuts nobody out.
#[test]
fn what_cannot_be_repaired_is_said_once() {
    Pair::with(Kind::InPlace, |pair| {
        pair.bypass("truncate -s 20M $A/big $B/big; echo more >> $A/big")
            .ok();
        pair.run(
            "for i in 1 2 3; do echo x >> $V/big; sh -c 'echo y >> $V/big'; chmod 600 $V/big; done",
        )
        .ok();
        for root in [pair.a(), pair.b()] {
            assert_eq!(
                fs::read_to_string(root.join(".mirror/pending")).unwrap(),
                "big\n"
            );
        }
        assert_eq!(pair.status().code, 1);
        pair.resync().ok();
        pair.assert_equal();
    });
}

/// What a descriptor may do is the kernel's word: this program has only inherited it.
#[test]
fn an_inherited_descriptor_is_mapped_for_stores() {
    Pair::with(Kind::InPlace, |pair| {
        let Some(program) = helper(pair) else {
            return;
        };
        pair.run("echo 0123456789 > $V/f").ok();
        let f = fs::File::options()
            .read(true)
            .write(true)
            .open(pair.v().join("f"))
            .unwrap();
        let mut c = pair.preloaded(&program);
        c.args(["map, then store", "x", "y"]).stdout(Stdio::from(f));
        let o = Output::from_std(c.output().unwrap());
        let answer = String::from_utf8_lossy(&o.err).trim().to_owned();
        assert_eq!(answer, "0", "{o:?}");
        assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"stored6789\n");
        pair.assert_equal();
    });
}

/// A time that the other leg's file owes is settled by every way in which a descriptor ends, also when a
/// child on the same memory has made the process forget what it knew. Somebody sets that time back between
/// the write and the end: clocks are too coarse to tell two writes apart.
#[test]
fn times_are_equal_however_a_descriptor_ends() {
    need!("python3");
    const ENDS: &[(&str, &str)] = &[
        ("close", "os.close(f)"),
        ("dup2", "os.dup2(0, f)"),
        ("fsync", "os.fsync(f); os.write(1, b'0'); os.read(0, 1)"),
        ("closerange", "os.closerange(f, f + 1)"),
        ("exit", "pass"),
        ("exec", "os.execv('/bin/true', ['true'])"),
        (
            "execkeep",
            "os.set_inheritable(f, True); os.execv('/bin/true', ['true'])",
        ),
        ("spawnclose", "spawn(); os.close(f)"),
        ("spawndup2", "spawn(); os.dup2(0, f)"),
        ("spawnfsync", "spawn(); os.fsync(f)"),
        ("spawnexit", "spawn()"),
    ];
    const SCRIPT: &str = "\
import os, subprocess, sys
f = os.open(os.environ['V'] + '/' + sys.argv[1], os.O_CREAT | eval(sys.argv[3]))
os.write(f, b'text')
os.write(1, b'x')
os.read(0, 1)
spawn = lambda: subprocess.run(['/bin/true'])
exec(sys.argv[2])
";
    Pair::with(Kind::InPlace, |pair| {
        use std::io::{Read, Write};
        for (name, end) in ENDS {
            for flags in ["os.O_WRONLY", "os.O_RDWR | os.O_TRUNC | os.O_APPEND"] {
                let mut c = pair.preloaded("/usr/bin/python3");
                c.args(["-B", "-c", SCRIPT, name, end, flags]);
                let mut child = c
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let (mut to, mut from) =
                    (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                from.read_exact(&mut [0]).unwrap();
                let back = std::process::Command::new("touch")
                    .args(["-d", "@1000000000"])
                    .arg(pair.b().join(name))
                    .status();
                assert!(back.unwrap().success());
                to.write_all(b"x").unwrap();
                if *name == "fsync" {
                    from.read_exact(&mut [0]).unwrap();
                    // It is open still: no sync has a time to write that nobody has asked for.
                    let set_back = fs::metadata(pair.b().join(name)).unwrap().mtime();
                    assert_eq!(set_back, 1_000_000_000);
                    to.write_all(b"x").unwrap();
                }
                assert!(child.wait().unwrap().success(), "{name}");
                pair.assert_equal();
            }
        }
    });
}

/// Where a leg has no hard links, files that have more names on the other one are no difference.
#[test]
fn names_count_only_where_both_legs_have_links() {
    need!("strace");
    Pair::with(Kind::InPlace, |pair| {
        pair.bypass("echo x > $A/f; ln $A/f $A/g; cp -p $A/f $B/f; cp -p $A/f $B/g")
            .ok();
        let touch = |inject: &[&str]| {
            // strace has no library: a debugger that has one is on record for the calls that it changes.
            let inner = pair.preloaded("chmod");
            let mut c = std::process::Command::new("strace");
            c.args(["-qq", "-o", "/dev/null", "-e", "trace=linkat"])
                .args(inject);
            c.arg(inner.get_program()).args(["chmod", "600"]);
            c.arg(pair.v().join("f"));
            c.envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
            assert!(c.status().unwrap().success());
        };
        touch(&["-e", "inject=linkat:error=EPERM"]);
        pair.assert_nothing_pending();
        assert_eq!(pair.status().code, 0);
        touch(&[]);
        assert_eq!(pair.status().code, 1);
        assert_eq!(
            fs::read_to_string(pair.b().join(".mirror/pending")).unwrap(),
            "f\n"
        );
    });
}
