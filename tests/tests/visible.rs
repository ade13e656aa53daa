//! What a mirrored program can see of the mirror: the list in LIMITS.md, and nothing else.
use mirror_tests::{Kind, Pair, each_kind, need};

fn prepared(pair: &Pair) -> String {
    let file = pair.programs().join("seen.py");
    std::fs::write(&file, include_str!("../programs/seen.py")).unwrap();
    "ulimit -Sn 5000 || exit 9; python3 -B $P/seen.py".to_owned()
}

each_kind! {
    fn all_else_is_as_natively(pair) {
        need!("python3");
        let script = prepared(pair);
        let o = pair.both(&format!("{script} same"));
        assert!(o.code == 0 && o.text().lines().count() > 14, "{o:?}");
    }
}

#[test]
fn what_is_in_the_list() {
    need!("python3");
    let pair = Pair::striped(Kind::InPlace, None);
    let script = prepared(&pair);
    let lines = |o: mirror_tests::Output| o.ok().text();
    let native = lines(pair.plain(&format!("{script} other")));
    let mirrored = lines(pair.run(&format!("{script} other")));
    assert_eq!(
        native,
        "library False\nimage False\nsoft limit 5000\nnames of V 1\nlibrary's numbers False"
    );
    assert_eq!(
        mirrored,
        "library True\nimage True\nsoft limit 4032\nnames of V 2\nlibrary's numbers True"
    );
}
