//! A program that is killed while it makes two objects alike that differed: the pair is as it was, or equal,
//! or says that it is not; and no version is gone.
use mirror_tests::{Kind, Level, Output, Pair, Tree, make, need};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the addressed leg has, and what the other one.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("only here", "file:first", ""),
    ("a directory only here", "dir:", ""),
    ("a full directory only here", "dir:first", ""),
    ("longer there", "file:first", "file:the other version"),
    ("longer here", "file:the addressed version", "file:other"),
    (
        "another text, and a name outside",
        "outside:the addressed one",
        "file:the other version",
    ),
    ("a fifo here", "fifo:", "file:the other version"),
    ("a longer link there", "link:here", "link:the other version"),
    ("a link there", "file:first", "link:the other version"),
];

/// Calls at which a kill can fall.
const CALLS: &str = "mknodat,mkdirat,symlinkat,unlinkat,renameat2,pwrite64,ftruncate,fchownat,fchmod,fchmodat,utimensat,fdatasync";

fn put(pair: &Pair, root: &Path, what: &str) {
    let path = root.join("it");
    let inside = what.replacen("outside:", "file:", 1);
    make(&path, &inside);
    if inside.starts_with("file:") {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    if inside != what {
        fs::hard_link(&path, pair.native().join("outside")).unwrap();
    }
}

fn clear(pair: &Pair) {
    for root in [pair.a(), pair.b()] {
        let path = root.join("it");
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        let kept = fs::read_dir(root.join(".mirror/kept/programs"));
        for e in kept.into_iter().flatten().flatten() {
            fs::remove_file(e.path()).unwrap();
        }
    }
    let _ = fs::remove_file(pair.native().join("outside"));
}

/// Whether a text is somewhere in a tree.
fn holds(root: &Path, text: &str) -> bool {
    fs::read_dir(root).unwrap().any(|e| {
        let e = e.unwrap();
        let path = e.path();
        match e.file_type().unwrap() {
            t if t.is_dir() => holds(&path, text),
            t if t.is_symlink() => fs::read_link(path).unwrap().to_string_lossy() == text,
            t => t.is_file() && String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text),
        }
    })
}

/// One run under strace; `strike`: a call and which of its name, at which it is killed.
fn run(pair: &Pair, path: &Path, strike: Option<&(String, u32)>) -> Output {
    let mut c = pair.preloaded("strace");
    c.args(["-f", "-qq", "-o"])
        .arg(pair.programs().join("trace"));
    match strike {
        None => c.args(["-e", &format!("trace={CALLS}")]),
        Some((call, n)) => c
            .args(["-e", &format!("trace={call}"), "-e"])
            .arg(format!("inject={call}:signal=KILL:when={n}")),
    };
    c.args(["touch", "-c", "-h", "-d", "@1000000000"]).arg(path);
    Output::from_std(c.output().expect("running strace"))
}

fn calls(trace: &str) -> Vec<(String, u32)> {
    let mut seen = HashMap::<(&str, &str), u32>::new();
    let mut all = Vec::new();
    for l in trace.lines() {
        let mut words = l.split_whitespace();
        let (Some(pid), Some((name, _))) =
            (words.next(), words.next().and_then(|w| w.split_once('(')))
        else {
            continue;
        };
        let n = seen.entry((pid, name)).or_default();
        *n += 1;
        all.push((name.to_owned(), *n));
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn killed_at_every_call_of_a_repair() {
    need!("strace", "touch");
    let mut bad = Vec::new();
    let mut kills = 0;
    for lead in [0, 1] {
        let pair = Pair::striped(Kind::InPlace, None);
        let roots = [pair.a(), pair.b()];
        for (what, here, there) in DIFFERENCES {
            // The other way is the same code.
            if lead == 1 && *what != "only here" {
                continue;
            }
            let begin = || {
                clear(&pair);
                put(&pair, roots[lead], here);
                put(&pair, roots[lead ^ 1], there);
                roots.map(Tree::read)
            };
            begin();
            run(&pair, &roots[lead].join("it"), None).ok();
            let trace = fs::read_to_string(pair.programs().join("trace")).unwrap();
            for strike in calls(&trace) {
                let name = format!("{what}, leg {lead}, killed at {strike:?}");
                let before = begin();
                let o = run(&pair, &roots[lead].join("it"), Some(&strike));
                kills += u32::from(o.code == 137);
                // Whoever comes by ends it.
                pair.run("echo next >> $V/next").ok();
                let now = roots.map(Tree::read);
                let unchanged = before.iter().zip(&now).all(|(b, n)| {
                    let d = b.differences(n, Level::NoTimes);
                    d.0.iter().all(|l| l.contains("next"))
                });
                let d = now[0].differences(&now[1], Level::NoTimes);
                let told = pair.status().code == 1;
                if !unchanged && !d.0.is_empty() && !told {
                    bad.push(format!("{name}: the legs differ, unsaid:\n{d}"));
                }
                for version in [
                    "first",
                    "the addressed version",
                    "the addressed one",
                    "the other version",
                ] {
                    let was = |w: &&str| w.ends_with(version);
                    if [here, there].into_iter().any(was)
                        && !roots.iter().any(|r| holds(r, version))
                    {
                        bad.push(format!("{name}: {version} is gone"));
                    }
                }
                if told || !d.0.is_empty() {
                    pair.resync().ok();
                }
            }
            clear(&pair);
        }
    }
    assert!(
        bad.is_empty(),
        "{} of {kills} kills:\n{}",
        bad.len(),
        bad.join("\n")
    );
    assert!(kills > 50, "{kills} kills");
}
