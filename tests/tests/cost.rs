//! Work outside V on a leg's own device: how many system calls it makes beside its own, and that nothing which
//! was remembered for it outlives what it was about.
use mirror_tests::{Fs, Kind, Level, Pair, compile};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

fn costs(kind: Kind) -> Option<Pair> {
    let pair = Pair::new(kind, Fs::Plain).unwrap();
    let source = include_str!("../programs/costs.c");
    compile(&pair.programs(), "costs", source)?;
    Some(pair)
}

const ROUNDS: u32 = 300;

/// Further calls of each round.
const CASES: [(&str, u32); 24] = [
    ("stat-relative", 0),
    ("stat-deep", 0),
    ("stat-absolute", 0),
    ("create-relative", 0),
    ("create-deep", 0),
    ("create-dots", 0),
    ("create-absolute", 0),
    ("create-dirfd", 0),
    ("create-relative-thread", 0),
    ("mkdir-relative", 0),
    ("mkdir-dirfd", 0),
    ("mkdir-relative-thread", 0),
    ("symlink-relative", 0),
    ("rename-relative", 0),
    ("rename-dirfd", 0),
    ("pipe-relative", 1),
    // One look at the parent for each name, if the machine is slow; two calls.
    ("mkdir-deep", 2),
    ("mkdir-dots", 2),
    ("mkdir-absolute", 2),
    ("unlink-absolute", 1),
    // Whether the name is a symlink.
    ("chmod-relative", 1),
    ("truncate-relative", 1),
    ("utimens-dirfd", 1),
    // What the descriptor is, its text, the directory.
    ("fchmod-relative", 3),
];

/// The calls of a case's round, natively or with the library, in a directory of its own. What is remembered is
/// looked at again after some time, and all the more often on a busy machine: the round of nine tenths counts.
fn counted(pair: &Pair, case: &str, native: bool, place: &Path) -> u32 {
    fs::create_dir_all(place).unwrap();
    let script = format!(
        "cd {} && exec $P/costs count {case} {ROUNDS}",
        place.display()
    );
    let o = if native {
        pair.plain(&script)
    } else {
        pair.run(&script)
    };
    assert_eq!(o.code, 0, "{case}: {o:?}");
    o.text().trim().parse().unwrap()
}

fn cases(pair: &Pair, below: &Path) {
    let mut dear = Vec::new();
    for (case, more) in CASES {
        let native = counted(pair, case, true, &pair.scratch().join("n").join(case));
        let mirrored = counted(pair, case, false, &below.join(case));
        println!("{case} {native} {mirrored}");
        if mirrored > native + more {
            dear.push(format!("{case}: {mirrored}, natively {native}"));
        }
    }
    assert!(dear.is_empty(), "{dear:#?}");
}

#[test]
fn outside_costs_no_calls() {
    let Some(pair) = costs(Kind::InPlace) else {
        return;
    };
    cases(&pair, &pair.scratch().join("m"));
    pair.assert_equal();
}

/// The cwd is a directory above both legs.
#[test]
fn a_directory_above_the_legs_costs_no_calls() {
    let Some(pair) = costs(Kind::InPlace) else {
        return;
    };
    let above = pair.a().parent().unwrap().parent().unwrap().to_path_buf();
    for case in ["mkdir-relative", "unlink-relative", "create-relative"] {
        let native = counted(&pair, case, true, &pair.scratch().join(case));
        let mirrored = counted(&pair, case, false, &above);
        println!("{case} {native} {mirrored}");
        assert!(mirrored <= native, "{case}: {mirrored}");
    }
    pair.assert_equal();
}

/// What a process does itself is known to it at once: what was outside leads into V now.
fn turns(kind: Kind) {
    let Some(pair) = costs(kind) else { return };
    let whats = [
        "replaced",
        "replaced-absolute",
        "removed",
        "exchanged",
        "chdir",
        "threads",
        "dup",
        "dirfd",
        "child",
    ];
    for what in whats {
        let script = format!(
            "mkdir $V/{what} && mkdir {what} && cd {what} && exec $P/costs turn {what} $V/{what}"
        );
        let o = pair.run(&script);
        assert_eq!((o.code, o.text().trim()), (0, "ok"), "{what}: {o:?}");
        assert!(
            fs::read_dir(pair.a().join(what)).unwrap().next().is_some(),
            "{what}: nothing was made in V"
        );
        pair.assert_legs(Level::Strict);
    }
    pair.assert_nothing_pending();
}

#[test]
fn turns_in_place() {
    turns(Kind::InPlace);
}

#[test]
fn turns_link() {
    turns(Kind::Link);
}

/// What an unmirrored program does is noticed a second later at the latest. What the program is told, and whether
/// both legs have what it made.
fn by_others(what: &str, act: fn(&Path, &Path)) -> (Pair, String, [PathBuf; 2]) {
    let pair = costs(Kind::InPlace).expect("a compiler");
    let place = pair.scratch().join("place");
    fs::create_dir_all(&place).unwrap();
    pair.run("mkdir $V/there").ok();
    let mut program = pair
        .preloaded(pair.programs().join("costs"))
        .args(["turn", what])
        .arg(pair.v())
        .current_dir(&place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    act(&place, pair.a());
    // How long a place is remembered.
    std::thread::sleep(Duration::from_secs(1));
    program.stdin.take().unwrap().write_all(b"\n").unwrap();
    line.clear();
    out.read_line(&mut line).unwrap();
    assert!(program.wait().unwrap().success());
    let made = [pair.a(), pair.b()].map(|leg| leg.to_path_buf());
    (pair, line.trim().to_owned(), made)
}

#[test]
fn a_symlink_that_others_put_on_the_way_is_seen() {
    let (pair, answer, legs) = by_others("link", |place, a| {
        fs::rename(place.join("way"), place.join("old")).unwrap();
        std::os::unix::fs::symlink(a.join("there"), place.join("way")).unwrap();
    });
    assert_eq!(answer, "made");
    assert!(legs.iter().all(|l| l.join("there/x").is_dir()));
    pair.assert_equal();
}

/// A directory that an unmirrored program moves into leg A is not there on leg B. What is changed by way of it is
/// refused, made on both, or known to differ.
fn moved_in(what: &str) {
    let (pair, answer, legs) = by_others(what, |place, a| {
        fs::rename(place.join("way"), a.join("moved")).unwrap();
    });
    let [a, b] = legs.map(|l| l.join("moved/x").exists());
    let pending = fs::metadata(pair.a().join(".mirror/pending")).is_ok_and(|m| m.len() > 0);
    assert_eq!(a, answer == "made");
    assert!(a == b || pending, "{answer}, and nothing is known");
}

#[test]
fn a_cwd_that_others_move_into_a_leg_is_seen() {
    moved_in("cwd");
}

#[test]
fn a_held_directory_that_others_move_into_a_leg_is_seen() {
    moved_in("held");
}
