//! What programs met, what was refused and what ran unmirrored is recorded of a pair, not of a place: a later pair
//! on the same path begins without it.
use mirror_tests::{Fs, Kind, Pair, compile_with};
use std::fs;

/// What `status` says of its V, and the parts of the JSON that are lists of records.
fn told(pair: &Pair) -> (String, String) {
    let v = pair.v().to_str().unwrap();
    let json = pair.mirror("status", &[v, "--json"]).text();
    (pair.mirror("status", &[v]).text(), json)
}

#[test]
fn a_new_pair_on_the_same_path_has_none() {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    let nothing = "int main(void) { return 0; }";
    if compile_with(&pair.programs(), "still", nothing, "c", &["-static"]).is_none() {
        return;
    }
    pair.init(&[]).ok();
    pair.run("echo 1 > $V/f; cd $V; $P/still").ok();
    // A program meets what another one has changed on one leg, and is refused what lies behind a leg's loss.
    fs::write(pair.b().join("f"), "longer than it was").unwrap();
    pair.run("echo 2 >> $V/f").ok();
    let away = pair.b().with_extension("away");
    fs::rename(pair.b(), &away).unwrap();
    let o = pair.preloaded("bash").args(["-c", "echo > $V/g"]).output();
    assert!(!o.unwrap().status.success());
    fs::rename(&away, pair.b()).unwrap();
    let (text, json) = told(&pair);
    for part in ["met ", "refused ", "still (static"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    for part in ["\"object\":\"f\"", "\"reason\":1", "\"program\":\"still\""] {
        assert!(json.contains(part), "no {part}: {json}");
    }

    pair.mirror("detach", &[pair.v().to_str().unwrap()]).ok();
    let _ = fs::remove_dir_all(pair.a().join(".mirror"));
    fs::remove_dir_all(pair.b()).unwrap();
    fs::create_dir(pair.b()).unwrap();
    pair.init(&[]).ok();
    let (text, json) = told(&pair);
    for part in ["met ", "refused ", "still"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    for part in ["\"object\"", "\"reason\"", "\"program\""] {
        assert!(!json.contains(part), "{part}: {json}");
    }
    // Its own records are there.
    pair.run("cd $V; $P/still").ok();
    assert!(told(&pair).0.contains("still (static"));
}
