//! Programs below seccomp filters of their own, or of those who started them: the plain directory's answers, no
//! end that the program did not ask for, and a change of one leg alone is never a secret.
use mirror_tests::{Fs, Kind, Level, Output, Pair, Tree, compile, compile_with, need};
use std::fs;

fn helpers(pair: &Pair) -> bool {
    let dir = pair.programs();
    compile(&dir, "filters", include_str!("../programs/filters.c")).is_some()
        && compile_with(
            &dir,
            "net",
            include_str!("../programs/net.c"),
            "c",
            &["-pthread", "-ldl"],
        )
        .is_some()
}

fn status(pair: &Pair) -> (i32, String) {
    let o = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
    (o.code, o.text())
}

/// What the program of a filter's case may do by calls of its own is seen in a process with the net alone.
const OWN: [usize; 2] = [1, 7];

/// Every case of filters.c: same output, the addressed leg as the plain directory; both legs equal, or the pair
/// says that they are not, and why.
fn all(pair: &Pair, net: &str) {
    if !helpers(pair) {
        return;
    }
    let mut ended = 0;
    for way in 0..11 {
        if net == "never" && OWN.contains(&way) {
            continue;
        }
        let script = format!("export MIRROR_NET={net}; $P/filters $V {way}");
        let (plain, o) = (pair.plain(&script), pair.run(&script));
        assert_eq!(plain.text(), o.text(), "{way}: {o:?}");
        let by_a = Tree::read(&pair.native()).differences(&Tree::read(pair.a()), Level::NoTimes);
        assert!(by_a.0.is_empty(), "{way}: {by_a}");
        let d = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::NoTimes);
        let (code, text) = status(pair);
        if d.0.is_empty() {
            continue;
        }
        ended += 1;
        assert_eq!(code, 1, "{way}: {text}");
        assert!(text.contains("ran unmirrored"), "{way}: {text}");
        pair.resync().ok();
        pair.assert_legs(Level::Strict);
    }
    // Mirroring is not given up lightly.
    assert!(ended <= 7, "{ended}");
    for way in [4, 9, 10] {
        assert!(pair.b().join(format!("new{way}")).exists(), "{way}");
    }
}

#[test]
fn every_filter_of_its_own() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    all(&pair, "never");
}

#[test]
fn every_filter_of_its_own_with_the_net() {
    let pair = Pair::new(Kind::Link, Fs::Plain).unwrap();
    all(&pair, "always");
}

/// The net is needed and forbidden: that is written down, and V is to be compared if it is near.
#[test]
fn who_may_not_have_the_net_is_recorded() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if !helpers(&pair) {
        return;
    }
    pair.run("cd /; $P/net inherited $V").ok();
    let (code, text) = status(&pair);
    assert!(
        code == 0 && text.contains("system calls of its own"),
        "{text}"
    );
    let o = pair.run("cd $V; $P/net inherited $V").ok();
    assert!(o.text().contains("lives 1"), "{o:?}");
    let (code, text) = status(&pair);
    assert!(code == 1 && text.contains("unverified"), "{text}");
    pair.verify().ok();
    assert_eq!(status(&pair).0, 0);
}

/// A child that shares its parent's memory puts itself under a filter: it counts as one that is not mirrored where
/// the filter stands in the library's way.
#[test]
fn a_filter_of_a_childs_in_its_parents_memory() {
    for how in ["harmless", "kills", "strict"] {
        let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
        if !helpers(&pair) {
            return;
        }
        pair.run(&format!("cd $V; $P/filters lent {how}")).ok();
        let (code, text) = status(&pair);
        let counted = text.contains("its own filter");
        let wanted = how != "harmless";
        assert_eq!(
            (code, counted),
            (i32::from(wanted), wanted),
            "{how}: {text}"
        );
    }
}

/// Such a child whose filter kills for a call of the library's lives as natively, and who has lent it its memory is
/// mirrored again afterwards.
#[test]
fn a_child_in_its_parents_memory_goes_on_below_its_filter() {
    for call in ["flock", "openat2", "control", "stat"] {
        let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
        if !helpers(&pair) {
            return;
        }
        let script = format!("$P/filters goes $V {call}");
        let (plain, o) = (pair.plain(&script), pair.run(&script));
        assert_eq!(
            (plain.text(), plain.code),
            (o.text(), o.code),
            "{call}: {o:?}"
        );
        let by_a = Tree::read(&pair.native()).differences(&Tree::read(pair.a()), Level::NoTimes);
        assert!(by_a.0.is_empty(), "{call}: {by_a}");
        assert_eq!(
            fs::read(pair.b().join("mine")).unwrap(),
            b"mine\n",
            "{call}"
        );
        let (code, text) = status(&pair);
        assert!(
            code == 1 && text.contains("its own filter"),
            "{call}: {text}"
        );
    }
}

/// A second pair in the tab of the first.
fn two(first: &[&str], second: &[&str]) -> Option<(Pair, Pair)> {
    let pair = |more: &[&str]| {
        let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
        pair.init(more).ok();
        pair
    };
    let (one, other) = (pair(first), pair(second));
    let tab = fs::read_to_string(one.tab()).unwrap() + &fs::read_to_string(other.tab()).unwrap();
    fs::write(one.tab(), tab).unwrap();
    (helpers(&one)).then_some((one, other))
}

/// What ends with an error is said in the words of the shell.
fn denied(o: &Output) -> bool {
    String::from_utf8_lossy(&o.err).contains("Permission denied")
}

#[test]
fn a_policy_is_its_pairs_own() {
    need!("sh");
    let Some((one, other)) = two(&["--unmirrorable", "refuse"], &[]) else {
        return;
    };
    let still = "int main(void) { return 0; }";
    if compile_with(&one.programs(), "still", still, "c", &["-static"]).is_none() {
        return;
    }
    let (v, w) = (one.v().display(), other.v().display());
    let run = |script: String| one.run(&script);
    // Near the one that refuses, near both, near none, and near the other alone.
    assert!(denied(&run(format!("cd {v}; $P/still"))));
    assert!(denied(&run(format!("cd {w}; $P/still {v}/x"))));
    assert!(denied(&run("cd /; $P/still".to_owned())));
    run(format!("cd {w}; $P/still")).ok();
    // The same of a program that would need the net.
    let o = run(format!("cd {v}; $P/net inherited $V"));
    assert_eq!(o.code, 78, "{o:?}");
    run(format!("cd {w}; $P/net inherited {w}")).ok();
    let json = one.mirror("status", &["--json"]).text();
    assert!(
        json.contains("\"refused\":true") && json.contains("\"program\":\"still\""),
        "{json}"
    );
    other.verify();
}
