//! Named ways to change a file (`tests/programs/ways/`), each in a directory of its own, natively and in V,
//! with and without the net under system call instructions. What a way did is judged from outside, by the
//! trees: *covered* (both legs have it, as the plain directory has), *refused* (an error, and nothing is
//! changed on either leg), *recorded* (the legs differ, and the command says so). What is none of these went
//! past in silence, and fails. docs/COVERAGE.md is what a run of this suite found; it is checked.
use mirror_tests::{Fs, Kind, Pair, compile_with, skip};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[path = "ways/document.rs"]
mod document;
#[path = "ways/known.rs"]
mod known;
#[path = "ways/run.rs"]
mod run;

/// One way, as the program lists it.
#[derive(Clone)]
pub struct Way {
    name: String,
    family: String,
    /// A program without the mirror does something first.
    outer: bool,
    /// What this machine lacks for it; empty if nothing.
    lacks: String,
}

/// What became of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Both legs have it, and are as the plain directory.
    Covered,
    /// An error; nothing is changed.
    Refused(String),
    /// The legs differ and the command says so, with this word.
    Recorded(String),
    /// One leg is changed and nobody says so.
    Silent,
    /// Neither the plain directory's outcome nor a refusal without effects.
    Wrong(String),
    /// Not possible here, also in a plain directory.
    NotHere(String),
}

/// The two columns of the table, and how `MIRROR_NET` says them.
pub const MODES: [&str; 2] = ["never", "always"];

/// The programs of this suite, compiled into the pair's folder.
pub struct Programs {
    folder: PathBuf,
    ways: PathBuf,
}

impl Programs {
    /// `None` (and a SKIP line) without a compiler. What only one way wants may be missing.
    fn new(folder: PathBuf) -> Option<Programs> {
        let source = concat!(
            include_str!("../programs/ways/base.c"),
            include_str!("../programs/ways/libc.c"),
            include_str!("../programs/ways/calls.c"),
            include_str!("../programs/ways/odd.c"),
            include_str!("../programs/ways/later.c"),
            include_str!("../programs/ways/more.c"),
            include_str!("../programs/ways/main.c"),
        );
        let ways = compile_with(&folder, "ways", source, "c", &["-pthread", "-ldl"])?;
        let library = include_str!("../programs/ways_lib.c");
        compile_with(&folder, "libways.so", library, "c", &["-shared", "-fPIC"])?;
        let small = include_str!("../programs/ways_child.c");
        compile_with(&folder, "ways-static", small, "c", &["-static"])?;
        compile_with(&folder, "ways-setid", small, "c", &[])?;
        let bare = include_str!("../programs/nolibc.c");
        let flags = ["-nostdlib", "-nostartfiles", "-fPIE", "-pie"];
        compile_with(&folder, "ways-nolibc", bare, "c", &flags)?;
        let rustix = env!("CARGO_BIN_EXE_ways-rustix");
        std::fs::copy(rustix, folder.join("ways-rustix")).expect("copying a program");
        run::optional(&folder);
        Some(Programs { folder, ways })
    }

    fn list(&self) -> Vec<Way> {
        let o = std::process::Command::new(&self.ways)
            .arg("list")
            .env("P", &self.folder)
            .output()
            .expect("running ways");
        assert!(o.status.success(), "{o:?}");
        let text = String::from_utf8(o.stdout).expect("names of ASCII");
        let way = |line: &str| {
            let f: Vec<&str> = line.split('\t').collect();
            Way {
                name: f[0].into(),
                family: f[1].into(),
                outer: f[2] == "outer",
                lacks: f[3].into(),
            }
        };
        text.lines().map(way).collect()
    }
}

#[test]
fn no_way_to_change_a_file_goes_past_in_silence() {
    let home = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders can always be made");
    let Some(programs) = Programs::new(home.programs()) else {
        return;
    };
    let mut ways = programs.list();
    assert!(ways.len() >= 150, "{} ways", ways.len());
    // Some of them by name: `MIRROR_WAYS=open_creat,write cargo xtask test ways`.
    let some = std::env::var("MIRROR_WAYS").ok();
    if let Some(some) = &some {
        ways.retain(|w| some.split(',').any(|s| w.name.starts_with(s)));
    }
    let missing: Vec<&str> = ways
        .iter()
        .filter(|w| !w.lacks.is_empty())
        .map(|w| w.name.as_str())
        .collect();
    if !missing.is_empty() {
        println!("not possible here: {}", missing.join(" "));
    }
    let found = MODES.map(|mode| run::run(&programs, mode, &ways));
    let mut problems = Vec::new();
    for (mode, verdicts) in MODES.iter().zip(&found) {
        for way in &ways {
            let verdict = &verdicts[&way.name];
            let known = known::silent(way, mode);
            match (verdict, known) {
                (Verdict::Silent, Some(_)) => {}
                (Verdict::Silent | Verdict::Wrong(_), _) => {
                    problems.push(format!("{mode}: {}: {verdict:?}", way.name))
                }
                (Verdict::NotHere(_), _) | (_, None | Some(known::FOREIGN)) => {}
                (_, Some(_)) => println!(
                    "{mode}: {} is {verdict:?}: no longer to be listed",
                    way.name
                ),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    if some.is_some() {
        return skip("some ways only: the document is not checked");
    }
    document::check(&ways, &found);
}

/// Verdicts by name.
pub type Verdicts = BTreeMap<String, Verdict>;
