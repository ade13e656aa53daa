//! Descriptors of a pair that are sent over sockets: what a process without the library changes through one is
//! never IN SYNC, and one that has it is mirrored.
use mirror_tests::{Fs, Kind, Level, Output, Pair, compile};

fn pair() -> Option<Pair> {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    compile(&pair.programs(), "lent", include_str!("../programs/lent.c"))?;
    pair.init(&[]).ok();
    pair.run("mkdir $V/d; echo old > $V/f").ok();
    Some(pair)
}

fn status(pair: &Pair) -> Output {
    pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"])
}

/// How a descriptor is sent, of what, and the state after a process without the library has got it.
const WAYS: &[(&str, &str, &str)] = &[
    ("plain", "f", "repair-pending"),
    ("many", "f", "repair-pending"),
    ("behind", "f", "repair-pending"),
    ("mmsg", "f", "repair-pending"),
    ("later", "f", "repair-pending"),
    ("directory", "d", "unverified"),
    ("reading", "f", "in-sync"),
];

#[test]
fn a_receiver_without_the_library_is_recorded() {
    let Some(pair) = pair() else { return };
    for (way, file, state) in WAYS {
        // It goes on behind this shell, and ends when it has got one.
        pair.bypass("rm -f $S/s; $P/lent take $S/s < /dev/null > $S/log 2>&1")
            .ok();
        pair.run(&format!("$P/lent send $S/s {way} $V/{file}")).ok();
        let o = status(&pair);
        let want = format!("\"state\":\"{state}\"");
        assert!(o.text().contains(&want), "{way}: {o:?}");
        let whole = *state == "in-sync";
        assert_eq!(
            (o.code == 0, pair.verify().code == 0),
            (whole, whole),
            "{way}"
        );
        pair.bypass("rm -rf $A/d/made; cp $A/f $B/f; touch -r $A/f $B/f")
            .ok();
        pair.resync().ok();
        pair.verify().ok();
        assert_eq!(status(&pair).code, 0, "{way}");
    }
    pair.assert_legs(Level::Strict);
}

#[test]
fn a_receiver_with_it_is_mirrored() {
    let Some(pair) = pair() else { return };
    for (way, file, _) in WAYS {
        pair.run(&format!(
            "rm -rf $S/s $V/d/made; $P/lent take $S/s < /dev/null > $S/log 2>&1; $P/lent send $S/s {way} $V/{file}"
        ))
        .ok();
        let o = status(&pair);
        assert!(o.code == 0, "{way}: {o:?}");
        pair.assert_legs(Level::Strict);
    }
    assert!(pair.run("tail -1 $V/f").text().contains("taken"));
}

/// Who has the other end of a socketpair cannot be told.
#[test]
fn a_receiver_that_is_not_known_is_told() {
    let Some(pair) = pair() else { return };
    pair.run("$P/lent pair $S/outside").ok();
    assert_eq!(status(&pair).code, 0);
    pair.run("$P/lent pair $V/f").ok();
    let o = status(&pair);
    assert!(
        o.code == 1
            && o.text().contains("\"state\":\"unverified\"")
            && !o.text().contains("pending\":[\""),
        "{o:?}"
    );
    let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    let line = "1 program sent an open file or directory: lent (to a process that is not known to be mirrored, 1 time)";
    assert!(o.text().contains(line), "{o:?}");
    pair.verify().ok();
    assert_eq!(status(&pair).code, 0);
    pair.assert_legs(Level::Strict);
}
