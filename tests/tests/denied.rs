//! Filters that deny one form of a call that the library puts its questions by: a refusal is no answer. Both
//! legs are equal, or the pair says that they may not be.
use mirror_tests::{Fs, Kind, Level, Pair, Tree, compile};

/// Cases of denied.c that take nothing from the library: a plain directory's answers, and nothing pending.
const HARMLESS: usize = 5;
/// A filter that kills for what the library asks at its start kills the next program.
const KILLS: usize = 1;

fn denied(kind: Kind, inherited: &str) {
    let pair = Pair::new(kind, Fs::Plain).unwrap();
    let source = include_str!("../programs/denied.c");
    if compile(&pair.programs(), "denied", source).is_none() {
        return;
    }
    let mut wrong = Vec::new();
    for case in 0.. {
        if case == KILLS && !inherited.is_empty() {
            continue;
        }
        let script = format!("mkdir $V/d{case}; exec $P/denied $V/d{case} {case} {inherited}");
        let (plain, o) = (pair.plain(&script), pair.run(&script));
        if plain.code == 9 {
            assert!(case > HARMLESS, "{plain:?}");
            break;
        }
        assert_eq!(plain.code, 0, "{case}: {plain:?}");
        let d = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::NoTimes);
        let status = pair.mirror("status", &[pair.v().to_str().unwrap()]);
        if !d.0.is_empty() && status.code == 0 {
            wrong.push(format!("{case}: unsaid: {d}"));
        }
        if case < HARMLESS {
            if !d.0.is_empty() || status.code != 0 {
                wrong.push(format!("{case}: {d} {}", status.text()));
            }
            if (o.code, o.text()) != (0, plain.text()) {
                wrong.push(format!("{case}: {o:?}"));
            }
        }
        if status.code != 0 {
            pair.resync();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn by_a_filter_of_its_own() {
    denied(Kind::InPlace, "");
}

#[test]
fn by_a_filter_that_was_there() {
    denied(Kind::Link, "inherited");
}
