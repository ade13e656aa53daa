//! A difference that is on record and cannot be repaired in a program takes the pair exclusively once, not at each
//! touch; every change is made all the same, and the pair goes on saying that it differs.
use mirror_tests::{Kind, Pair, compile};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The calls of known.c that can be made again and again.
const CHANGES: &[&str] = &[
    "write",
    "append",
    "empty",
    "many writes",
    "chmod",
    "truncate",
    "fchmod, reading",
];

/// What the addressed leg has, and what the other one.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("a full directory there", "file", "full"),
    ("further names, and only here", "names", ""),
    ("too long, and only here", "long", ""),
    ("too long there", "file", "long"),
    ("further names here", "names", "other"),
];

fn put(root: &Path, name: &str, what: &str) {
    let path = root.join(name);
    match what {
        "file" | "names" => fs::write(&path, "a text").unwrap(),
        "other" => fs::write(&path, "another text").unwrap(),
        "long" => fs::File::create(&path).unwrap().set_len(17 << 20).unwrap(),
        "full" => fs::create_dir_all(path.join("in it")).unwrap(),
        _ => {}
    }
    if what == "names" {
        fs::hard_link(&path, root.join(format!("{name} too"))).unwrap();
    }
}

/// How often somebody took the pair exclusively, or removed a directory.
fn generation(pair: &Pair) -> u64 {
    let f = fs::File::open(&pair.runtime_files()[0]).unwrap();
    let mut word = [0; 8];
    f.read_exact_at(&mut word, 136).unwrap();
    u64::from_le_bytes(word)
}

fn helper(pair: &Pair) -> Option<PathBuf> {
    compile(
        &pair.programs(),
        "known",
        include_str!("../programs/known.c"),
    )
}

#[test]
fn what_is_on_record_keeps_nobody_out_again() {
    let pair = Pair::striped(Kind::InPlace, None);
    let Some(program) = helper(&pair) else {
        return;
    };
    let mut bad = Vec::new();
    for change in CHANGES {
        for (what, here, there) in DIFFERENCES {
            let name = format!("{change}, {what}");
            put(pair.a(), &name, here);
            put(pair.b(), &name, there);
            let before = generation(&pair);
            let mut c = pair.preloaded(&program);
            let o = c.arg(change).arg(pair.v().join(&name)).output().unwrap();
            assert!(o.status.success(), "{name}: {o:?}");
            let times = generation(&pair) - before;
            // Met, and perhaps once more by a call of another kind.
            if times > 2 {
                bad.push(format!(
                    "{name}: the pair was taken exclusively {times} times"
                ));
            }
        }
        let s = pair.status();
        if s.code != 1 || !s.text().contains("REPAIR PENDING") {
            bad.push(format!("{change}: {s:?}"));
        }
        pair.resync().ok();
        pair.assert_equal();
        for root in [pair.a(), pair.b()] {
            for e in fs::read_dir(root).unwrap().flatten() {
                if e.file_name() != ".mirror" {
                    fs::remove_file(e.path()).unwrap();
                }
            }
            fs::remove_dir_all(root.join(".mirror/kept")).unwrap();
            fs::create_dir(root.join(".mirror/kept")).unwrap();
        }
    }
    assert!(bad.is_empty(), "{} cells:\n{}", bad.len(), bad.join("\n"));
}
