//! Hard-link groups that differ between the legs: resync makes the groups of the source, a kept version is no
//! file that lives on, and none that other names of the copy had is written over.
use super::sources::kept;
use super::*;
use std::collections::BTreeMap;

/// The names of a file, and its content.
type Files = &'static [(&'static [&'static str], &'static str)];

const CASES: &[(&str, Files, Files)] = &[
    (
        "split",
        &[(&["1"], "new"), (&["2"], "old")],
        &[(&["1", "2"], "old")],
    ),
    (
        "split-last",
        &[(&["1"], "old"), (&["2"], "new")],
        &[(&["1", "2"], "old")],
    ),
    (
        "split-alike",
        &[(&["1"], "old"), (&["2"], "old")],
        &[(&["1", "2"], "old")],
    ),
    (
        "split-both",
        &[(&["1"], "new"), (&["2"], "more")],
        &[(&["1", "2"], "old")],
    ),
    (
        "merged",
        &[(&["1", "2"], "new")],
        &[(&["1"], "old"), (&["2"], "older")],
    ),
    (
        "rewritten",
        &[(&["1", "2"], "new")],
        &[(&["1", "2"], "old")],
    ),
    ("one-less", &[(&["1"], "old")], &[(&["1", "2"], "old")]),
    (
        "one-less-first",
        &[(&["2"], "new")],
        &[(&["1", "2"], "old")],
    ),
    ("one-more", &[(&["1", "2"], "new")], &[(&["1"], "old")]),
    (
        "folder-less",
        &[(&["1"], "old")],
        &[(&["1", "d/2", "d/3"], "old")],
    ),
    (
        "folder-alone",
        &[(&["1"], "old")],
        &[(&["1"], "old"), (&["d/2", "d/3"], "older")],
    ),
    (
        "three",
        &[(&["1", "3"], "new"), (&["2"], "old")],
        &[(&["1", "2", "3"], "old")],
    ),
    (
        "exchanged",
        &[(&["1", "3"], "new"), (&["2", "4"], "more")],
        &[(&["1", "2"], "old"), (&["3", "4"], "older")],
    ),
];

fn make(leg: &Path, files: Files) {
    for (names, content) in files {
        for name in *names {
            fs::create_dir_all(leg.join(name).parent().unwrap()).unwrap();
            if *name == names[0] {
                fs::write(leg.join(name), content).unwrap();
            } else {
                fs::hard_link(leg.join(names[0]), leg.join(name)).unwrap();
            }
        }
    }
}

/// Each name's inode, links and content, and those of everything kept.
fn names(leg: &Path, below: &str) -> BTreeMap<String, (u64, u64, String)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![leg.join(below)];
    while let Some(dir) = todo.pop() {
        for f in fs::read_dir(&dir).unwrap().flatten() {
            let m = f.metadata().unwrap();
            if m.is_dir() && f.file_name() != ".mirror" {
                todo.push(f.path());
            } else if m.is_file() {
                let name = f.path().strip_prefix(leg).unwrap().display().to_string();
                all.insert(
                    name,
                    (m.ino(), m.nlink(), fs::read_to_string(f.path()).unwrap()),
                );
            }
        }
    }
    all
}

#[test]
fn groups_that_differ_are_made_and_kept() {
    for (case, a, b) in CASES {
        let e = pair(&format!("groups-{case}"));
        make(&e.p("a"), a);
        make(&e.p("b"), b);
        let alike = *case == "folder-alone";
        e.expect(&["resync", "--from", "a", "--yes"], 0, &["IN SYNC"]);
        e.expect(&["verify"], 0, &["0 differences"]);
        let live = names(&e.p("b"), "");
        for (files, content) in *a {
            let first = &live[files[0]];
            for name in *files {
                let (ino, links, text) = &live[*name];
                let want = (first.0, files.len() as u64, *content);
                assert_eq!(
                    (*ino, *links, text.as_str()),
                    want,
                    "{case}: {name} in {live:?}"
                );
            }
        }
        let versions = names(&e.p("b"), ".mirror/kept");
        for (name, (ino, _, _)) in &versions {
            assert!(
                live.values().all(|l| l.0 != *ino),
                "{case}: {name} lives on"
            );
        }
        let texts = kept(&e.p("b"));
        for (files, content) in *b {
            let lost = files
                .iter()
                .any(|f| live.get(*f).is_none_or(|l| l.2 != *content));
            let found = texts.iter().any(|(_, text)| text == content);
            assert!(!lost || found, "{case}: {content} is not in {texts:?}");
        }
        if *case == "split" || *case == "split-last" {
            // The version of the one that was changed, and nothing of the other.
            assert!(
                texts.iter().all(|(_, text)| text != "new"),
                "{case}: {texts:?}"
            );
        }
        if alike {
            let folder: Vec<u64> = versions.values().map(|v| v.1).collect();
            assert_eq!(folder, [2, 2], "what is kept whole stays as it was");
        }
    }
}

#[test]
fn names_outside_a_leg_are_counted() {
    let words = "further hard links outside the leg";
    let e = Env::new("names-outside");
    for name in ["one", "two", "own"] {
        e.write(&format!("a/{name}"), name);
    }
    fs::hard_link(e.p("a/own"), e.p("a/own2")).unwrap();
    fs::hard_link(e.p("a/one"), e.p("outer")).unwrap();
    e.expect(&["init", "a", "b", "--yes"], 0, &["1 file has", words]);
    e.expect(&["verify"], 0, &["1 file has", "0 differences"]);
    fs::hard_link(e.p("b/two"), e.p("outer2")).unwrap();
    e.expect(&["verify"], 0, &["2 files have", "0 differences"]);
    fs::remove_file(e.p("outer")).unwrap();
    fs::remove_file(e.p("outer2")).unwrap();
    let o = e.expect(&["verify"], 0, &["0 differences"]);
    assert!(!o.out.contains(words), "{}", o.out);
}
