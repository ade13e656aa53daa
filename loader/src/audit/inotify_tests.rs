//! The tree is further on than the queue: directories that have been moved, removed and made anew by the time their
//! events are read are watched as what they are.
use super::*;
use std::fs;
use std::path::PathBuf;

/// Two legs, and a place outside.
struct Trees(PathBuf);

impl Trees {
    fn new(name: &str) -> Trees {
        let dir =
            std::env::temp_dir().join(format!("mirror-inotify-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for d in ["a/d/s", "a/x/s", "a/e", "b", "o"] {
            fs::create_dir_all(dir.join(d)).unwrap();
        }
        Trees(dir)
    }
    fn source(&self) -> Inotify {
        let [a, b] = ["a", "b"].map(|leg| Root::open(&self.0.join(leg)).unwrap());
        let Ok(source) = Inotify::open(PerLeg { a: &a, b: &b }) else {
            panic!("no watches");
        };
        source
    }
    /// `mkdir X`, `rmdir X` or `mv X Y`.
    fn act(&self, what: &str) {
        let words: Vec<PathBuf> = what.split(' ').skip(1).map(|w| self.0.join(w)).collect();
        match (what.split(' ').next(), words.as_slice()) {
            (Some("mkdir"), [dir]) => fs::create_dir(dir),
            (Some("rmdir"), [dir]) => fs::remove_dir(dir),
            (Some("mv"), [from, to]) => fs::rename(from, to),
            _ => panic!("{what}"),
        }
        .unwrap();
    }
}

impl Drop for Trees {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn told(source: &mut Inotify) -> Vec<String> {
    let mut events = vec![];
    source.read(&mut events).unwrap();
    let rel = |e: Event| String::from_utf8(e.rel).unwrap();
    events.into_iter().map(rel).collect()
}

#[test]
fn what_was_moved_before_its_events_were_read_is_watched() {
    let rows: &[(&str, &[&str], &[&str])] = &[
        (
            "made anew",
            &["mv a/d o/d", "mkdir a/d", "mkdir a/d/s"],
            &["d", "d/s"],
        ),
        (
            "made anew below another one",
            &["mv a/d/s o/s", "mv a/d a/n", "mkdir a/d", "mkdir a/d/s"],
            &["d", "d/s", "n"],
        ),
        (
            "its name taken",
            &["mv a/e o/e", "mv a/d a/e"],
            &["e", "e/s"],
        ),
        (
            "made in what was moved",
            &["mkdir a/d/n", "mv a/d a/n"],
            &["n", "n/n", "n/s"],
        ),
        (
            "taken for what lies below another one",
            &["mkdir a/e/s", "mv a/e a/n", "mv a/x a/e"],
            &["n", "n/s", "e", "e/s"],
        ),
        (
            "come from outside into what was moved",
            &["mv a/x o/x", "mv o/x a/d/x", "mv a/d a/n"],
            &["n", "n/x", "n/x/s"],
        ),
        (
            "out and back",
            &["mv a/d o/d", "mkdir a/d", "rmdir a/d", "mv o/d a/d"],
            &["d", "d/s"],
        ),
    ];
    for (name, acts, watched) in rows {
        let trees = Trees::new("ahead");
        let mut source = trees.source();
        acts.iter().for_each(|a| trees.act(a));
        // What is found only now is watched when it is read again.
        told(&mut source);
        told(&mut source);
        for dir in *watched {
            let file = format!("{dir}/new");
            fs::write(trees.0.join("a").join(&file), "x").unwrap();
            let told = told(&mut source);
            assert!(told.contains(&file), "{name}: {file}: {told:?}");
        }
    }
}
