//! Directories that take each other's place on one leg: what lies below a name is another's then, though the name
//! and all that is said of the directory are the same on both legs.
use super::*;
use mirror_tests::{Fs, Level, Tree};
use std::path::PathBuf;

/// The same in both legs before. Files that are exchanged have the same size and time: only their bytes differ.
const BEFORE: &str = "mkdir -p d/sub/deep e/sub/deep p/d/sub q/d/sub empty; echo one > d/x; echo two > e/x; echo 1 > d/sub/deep/y
    echo 2 > e/sub/deep/y; echo three > p/d/sub/x; echo other > q/d/sub/x; echo only > e/only; echo file > f
    mkdir d/kept e/kept; ln -s x d/link; ln -s y e/link; find . -exec touch -hd @1000000000 {} +";

/// What is done in one leg (`X`: exchange two names, `R`: rename), and names of which one at least differs then.
const ROWS: &[(&str, &str, &[&str])] = &[
    (
        "two directories",
        "X d e",
        &["d/x", "e/x", "d/sub/deep/y", "d/only", "e/only", "d/link"],
    ),
    (
        "in two directories",
        "X p/d q/d",
        &["p/d/sub/x", "q/d/sub/x"],
    ),
    (
        "deep ones",
        "X d/sub e/sub",
        &["d/sub/deep/y", "e/sub/deep/y"],
    ),
    (
        "over an empty one",
        "R d empty",
        &["d", "empty/x", "empty/sub"],
    ),
    ("a file and a directory", "X f d", &["f", "d"]),
    ("a directory and a file", "X d f", &["f", "d"]),
    (
        "by a third name",
        "R d t; R e d; R t e",
        &["d/x", "e/x", "e/sub/deep/y"],
    ),
    ("round about", "X d e; X e p; X p d", &["e/x", "p/d"]),
    (
        "and back",
        "X d e; echo new > e/x; X d e; echo more > e/new",
        &["d/x", "e/new"],
    ),
    (
        "written to",
        "X d e; echo new > e/sub/deep/y; mkdir e/sub/more; echo z > e/sub/more/z; rm d/x",
        &["d/x", "e/sub/more", "e/sub/deep/y"],
    ),
    ("removed", "X d e; rm -r d", &["d", "e/x"]),
    (
        "with one from outside",
        "echo six > $O/x; touch -d @1000000000 $O/x; X d $O",
        &["d/x", "d/sub"],
    ),
    (
        "replaced from outside",
        "R d $O/o; mkdir $O/n; echo six > $O/n/x; touch -d @1000000000 $O/n/x; R $O/n d",
        &["d/x", "d/sub"],
    ),
    (
        "moved away and made anew",
        "R d t; mkdir d; echo six > d/x; touch -d @1000000000 d/x; R e d/sub",
        &["t", "d/x", "d/sub/only", "e"],
    ),
];

fn program(pair: &Pair) -> Option<PathBuf> {
    let source = include_str!("../../programs/audited.c");
    compile_with(&pair.programs(), "audited", source, "c", &["-static"])
}

/// Does a row in a leg.
fn act(pair: &Pair, program: &Path, leg: &str, script: &str) {
    let p = program.display();
    pair.in_legs(&format!(
        "X() {{ {p} exchange \"$@\" < /dev/null > /dev/null; }}; R() {{ {p} rename \"$@\" < /dev/null > /dev/null; }}; cd ${leg}; {script}"
    ));
}

fn can(pair: &Pair, tier: &str) -> bool {
    match tier {
        "t2" => has_tier(pair, "t2"),
        "t3" if !is_root() => {
            skip("needs root");
            false
        }
        _ => true,
    }
}

/// A pair in which each row has a directory of its own, and the program.
fn rows(tier: &str) -> Option<(Pair, PathBuf)> {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let program = program(&pair).filter(|_| can(&pair, tier))?;
    let (rows, all) = (ROWS.len(), BEFORE);
    pair.run(&format!(
        "set -e; for r in $(seq {rows}); do mkdir $V/$r; cd $V/$r; {all}; done"
    ))
    .ok();
    pair.resync().ok();
    Some((pair, program))
}

/// Does all rows in a leg.
fn act_all(pair: &Pair, program: &Path, leg: &str) {
    for (i, (_, script, _)) in ROWS.iter().enumerate() {
        let n = i + 1;
        act(
            pair,
            program,
            leg,
            &format!("O=$S/{n}; mkdir $O; cd {n}; {script}"),
        );
    }
}

fn found(tier: &str, leg: &str) {
    let Some((pair, program)) = rows(tier) else {
        return;
    };
    let audit = Audit::of(&pair, &["--tier", tier]);
    act_all(&pair, &program, leg);
    let told = audit.end();
    let places = told.places();
    let on = leg.to_lowercase();
    for (i, (name, _, differ)) in ROWS.iter().enumerate() {
        for path in *differ {
            let place = format!("{on} {}/{path}", i + 1);
            assert!(places.contains(&place), "{name}: {place}: {places:#?}");
        }
    }
    assert_eq!((told.code, told.count("lost")), (3, 0));
    assert!(!in_sync(&pair));
}

fn healed(tier: &str, leg: &str) {
    let Some((pair, program)) = rows(tier) else {
        return;
    };
    let before = Tree::read(pair.a());
    let audit = Audit::of(&pair, &["--tier", tier, "--heal", "--brake", "10000"]);
    act_all(&pair, &program, leg);
    let changed = Tree::read(pair.a());
    let told = audit.end();
    let left: Vec<&Value> = told
        .findings()
        .filter(|f| !["healed", "undone", "equal"].contains(&f["done"].as_str().unwrap()))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!((told.code, told.count("lost")), (3, 0));
    pair.assert_equal();
    // Nothing is carried to leg a.
    let own = Tree::read(pair.a()).differences(&changed, Level::Strict);
    assert!(own.0.is_empty(), "{own}");
    let same = before.differences(&changed, Level::Strict).0.is_empty();
    assert_eq!(same, leg == "B");
    assert!(in_sync(&pair));
}

macro_rules! tiers {
    ($($found:ident $healed:ident $tier:literal $leg:literal;)*) => {
        $(#[test]
        fn $found() {
            found($tier, $leg);
        }

        #[test]
        fn $healed() {
            healed($tier, $leg);
        })*
    };
}

tiers! {
    found_on_leg_a_t2 carried_t2 "t2" "A";
    found_on_leg_b_t2 undone_t2 "t2" "B";
    found_on_leg_a_t3 carried_t3 "t3" "A";
    found_on_leg_b_t3 undone_t3 "t3" "B";
    found_on_leg_a_t4 carried_t4 "t4" "A";
    found_on_leg_b_t4 undone_t4 "t4" "B";
}

/// So much goes away by it that somebody must decide: nothing goes before that, and what was held comes back.
fn held(tier: &str, leg: &str) {
    let pair = &Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let Some(program) = program(pair).filter(|_| can(pair, tier)) else {
        return;
    };
    pair.run("cd $V; mkdir d e; for i in $(seq 130); do echo $i > d/$i; done; echo x > e/x")
        .ok();
    let audit = Audit::of(pair, &["--tier", tier, "--heal"]);
    act(pair, &program, leg, "X d e");
    let told = audit.end();
    assert!(told.count("held") >= 130, "{:#?}", told.places());
    let there = if leg == "A" { pair.b() } else { pair.a() };
    for i in 1..=130 {
        assert!(exists(there.join(format!("d/{i}"))), "{i} was carried");
    }
    assert!(!in_sync(pair));
    let v = pair.v().to_str().unwrap();
    pair.mirror("audit", &[v, "--held", "restore", "--yes"])
        .ok();
    pair.assert_legs(Level::Strict);
    assert!(exists(pair.a().join("d/130")));
}

#[test]
fn a_mass_removal_by_exchange_is_held_t2() {
    held("t2", "A");
}

#[test]
fn a_mass_removal_by_exchange_is_held_t3() {
    held("t3", "B");
}

#[test]
fn a_mass_removal_by_exchange_is_held_t4() {
    held("t4", "A");
    held("t4", "B");
}

/// It is found while the audit runs, and what happens below the names afterwards as well: each is watched as what it
/// has become.
#[test]
fn the_exchanged_are_watched_on_t4() {
    Pair::with(Kind::InPlace, |pair| {
        let Some(program) = program(pair) else {
            return;
        };
        pair.run(&format!("cd $V; {BEFORE}")).ok();
        let mut audit = Audit::of(pair, &["--tier", "t4", "--heal"]);
        let wait = |audit: &mut Audit, path: &str| loop {
            let mut line = String::new();
            assert!(
                audit.out.read_line(&mut line).unwrap() > 0,
                "{path} is not told"
            );
            let f: Value = serde_json::from_str(&line).unwrap();
            if f["event"] == "finding" && f["path"] == path {
                return;
            }
        };
        act(pair, &program, "A", "X d e; R p/d empty");
        for path in ["d/sub/deep/y", "e/sub/deep/y", "empty/sub"] {
            wait(&mut audit, path);
        }
        for path in ["d/sub/deep/new", "e/sub/deep/new", "empty/sub/new"] {
            act(pair, &program, "A", &format!("echo x > {path}"));
            wait(&mut audit, path);
        }
        assert_eq!(audit.end().code, 3);
        pair.assert_equal();
    });
}

/// What was exchanged on both legs by a mirrored program is no finding.
#[test]
fn mirrored_exchanges_are_no_findings() {
    for tier in ["t2", "t3", "t4"] {
        let pair = &Pair::new(Kind::InPlace, Fs::Plain).unwrap();
        if !can(pair, tier) {
            continue;
        }
        let source = include_str!("../../programs/audited.c");
        let Some(program) = compile_with(&pair.programs(), "mirrored", source, "c", &[]) else {
            return;
        };
        pair.run(&format!("cd $V; {BEFORE}")).ok();
        let audit = Audit::of(pair, &["--tier", tier]);
        let p = program.display();
        pair.run(&format!(
                "set -e; cd $V; for i in 1 2 3; do {p} exchange d e < /dev/null; {p} rename d t < /dev/null; {p} exchange t e < /dev/null; mv t d; echo $i > d/x; {p} exchange f q < /dev/null; done"
            ))
            .ok();
        let told = audit.end();
        assert!(told.places().is_empty(), "{tier}: {:#?}", told.places());
        assert_eq!((told.code, told.count("lost")), (0, 0), "{tier}");
        pair.assert_equal();
    }
}

/// A file is changed, and then removed with its directory: what is put back for the file's sake is not all of it.
fn removed(tier: &str) {
    let pair = &Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if !can(pair, tier) {
        return;
    }
    pair.run("cd $V; for d in $(seq 8); do mkdir -p $d/e; for i in x y z; do echo $i > $d/$i; echo $i > $d/e/$i; done; done")
        .ok();
    let before = Tree::read(pair.a());
    let audit = Audit::of(pair, &["--tier", tier, "--heal", "--brake", "1000"]);
    // The file is judged before the directory's removal is; in the middle of that it may be back already.
    pair.in_legs("cd $B; for d in $(seq 8); do echo new > $d/x; sleep 0.05; rm -rf $d || :; done");
    let told = audit.end();
    pair.assert_legs(Level::Strict);
    let differ = before.differences(&Tree::read(pair.a()), Level::Strict);
    assert!(differ.0.is_empty(), "{differ}");
    assert_eq!((told.code, told.count("lost")), (3, 0));
}

#[test]
fn what_was_removed_with_its_directory_comes_back_t3() {
    removed("t3");
}

#[test]
fn what_was_removed_with_its_directory_comes_back_t4() {
    removed("t4");
}
