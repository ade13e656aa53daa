//! `--heal`: leg b becomes like leg a again, unless too much would go.
use super::*;

fn heals(pair: &Pair, tier: &str) {
    before(pair);
    let audit = Audit::of(pair, &["--tier", tier, "--heal"]);
    audit.still(|| act(pair));
    let told = audit.end();
    // What lies in a new directory went with it.
    let with_it = |f: &Value| {
        let path = f["path"].as_str().unwrap();
        f["done"] == "equal" && path.contains("/new/")
    };
    let wrong: Vec<&Value> = told
        .findings()
        .filter(|f| !with_it(f))
        .filter(|f| f["done"] != if f["leg"] == "a" { "healed" } else { "undone" })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let with_it = told.findings().filter(|f| with_it(f)).count() as u64;
    assert_eq!(told.count("unmirrored"), told.count("healed") + with_it);
    pair.assert_equal();
    // Leg a has what was done there, and nothing of what was done on leg b.
    for (name, there) in [("a/create", true), ("a/unlink", false), ("b/create", false)] {
        assert_eq!(exists(pair.a().join(name)), there, "{name}");
    }
    assert!(exists(pair.a().join("b/unlink")));
    assert_eq!(fs::read(pair.a().join("a/write")).unwrap(), b"two\n");
    assert_eq!(fs::read(pair.a().join("b/write")).unwrap(), b"one\n");
    // What b lost is kept aside.
    let kept = pair.bypass(&format!(
        "cat {}/.mirror/kept/*/b/write",
        pair.b().display()
    ));
    assert!(kept.text().contains("two"), "{kept:?}");
    assert!(in_sync(pair));
}

#[test]
fn one_leg_follows_the_other_t4() {
    Pair::with(Kind::Link, |pair| heals(pair, "t4"));
}

#[test]
fn one_leg_follows_the_other_t3() {
    need!(root);
    Pair::with(Kind::InPlace, |pair| heals(pair, "t3"));
}

#[test]
fn one_leg_follows_the_other_t2() {
    Pair::with(Kind::Link, |pair| {
        if has_tier(pair, "t2") {
            heals(pair, "t2");
        }
    });
}

/// 130 files, of which no more than 100 may go.
fn braked(pair: &Pair, leg: &str) {
    pair.run("mkdir $V/d; cd $V/d; for i in $(seq 130); do echo $i > $i; done; echo one > ../f")
        .ok();
    let audit = Audit::of(pair, &["--tier", "t4", "--heal"]);
    audit.still(|| pair.in_legs(&format!("rm -rf ${leg}/d; echo two > $A/f")));
    let told = audit.end();
    assert_eq!(told.code, 3);
    assert!(told.count("held") > 0);
    let (gone, there) = match leg {
        "A" => (pair.a(), pair.b()),
        _ => (pair.b(), pair.a()),
    };
    assert!(!exists(gone.join("d")), "restored");
    for i in 1..=130 {
        assert!(exists(there.join(format!("d/{i}"))), "{i} was carried");
    }
    // What is no removal is carried all the same.
    assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"two\n");
    assert!(!in_sync(pair));
    // It can be restored.
    let from = if leg == "A" { "b" } else { "a" };
    let v = pair.v().to_str().unwrap().to_owned();
    pair.mirror("resync", &[&v, "--yes", "--from", from]).ok();
    assert!(exists(gone.join("d/130")));
    pair.assert_equal();
}

#[test]
fn a_mass_removal_on_leg_a_is_held() {
    Pair::with(Kind::InPlace, |pair| braked(pair, "A"));
}

#[test]
fn a_mass_removal_on_leg_b_is_held() {
    Pair::with(Kind::Link, |pair| braked(pair, "B"));
}

#[test]
fn a_directory_moved_out_counts_with_all_in_it() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("mkdir $V/d; cd $V/d; for i in $(seq 20); do echo $i > $i; done")
            .ok();
        let audit = Audit::of(pair, &["--tier", "t4", "--heal", "--brake", "10"]);
        pair.in_legs("mv $A/d $S/");
        let told = audit.end();
        assert_eq!((told.code, told.count("healed")), (3, 0));
        assert!(exists(pair.b().join("d/20")));
    });
}

/// Something else in a directory's place takes as much away as its removal.
#[test]
fn a_replaced_directory_counts_with_all_in_it() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("for d in a b; do mkdir $V/$d; cd $V/$d; for i in $(seq 20); do echo $i > $i; done; done")
            .ok();
        for (leg, place) in [("a", "link"), ("b", "file")] {
            let audit = Audit::of(pair, &["--tier", "t4", "--heal", "--brake", "10"]);
            let make = match place {
                "link" => "ln -s /etc",
                _ => "touch",
            };
            let up = leg.to_uppercase();
            audit.still(|| pair.in_legs(&format!("mv ${up}/{leg} $S/; {make} ${up}/{leg}")));
            let told = audit.end();
            assert_eq!((told.code, told.count("healed")), (3, 0), "{leg}");
            assert!(told.count("held") > 0, "{leg}");
        }
        assert!(exists(pair.b().join("a/20")));
        assert!(fs::symlink_metadata(pair.b().join("b")).unwrap().is_file());
    });
}

/// What was done and undone again was not healed by anybody.
#[test]
fn what_is_equal_by_now_was_not_healed() {
    Pair::with(Kind::InPlace, |pair| {
        if !has_tier(pair, "t2") {
            return;
        }
        let audit = Audit::of(pair, &["--tier", "t2"]);
        audit.still(|| pair.in_legs("touch $A/f; rm $A/f"));
        let told = audit.end();
        let done: Vec<&Value> = told.findings().map(|f| &f["done"]).collect();
        assert_eq!(done, ["equal"]);
        assert_eq!((told.code, told.count("healed")), (3, 0));
        // And it is left to nobody.
        assert!(in_sync(pair));
    });
}

#[test]
fn what_both_legs_changed_is_left_alone() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("echo one > $V/f").ok();
        let audit = Audit::of(pair, &["--tier", "t4", "--heal"]);
        audit.still(|| pair.in_legs("echo aaa > $A/f; echo bbbb > $B/f"));
        let told = audit.end();
        let f = told.findings().next().expect("a finding");
        assert_eq!((&f["done"], &f["leg"]), (&"conflict".into(), &Value::Null));
        assert_eq!(fs::read(pair.a().join("f")).unwrap(), b"aaa\n");
        assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"bbbb\n");
        let status = pair.mirror("status", &[pair.v().to_str().unwrap()]);
        assert!(status.text().contains("REPAIR PENDING"), "{status:?}");
    });
}

#[test]
fn a_leg_that_goes_away_is_no_mass_removal() {
    Pair::with(Kind::InPlace, |pair| {
        pair.run("echo one > $V/f").ok();
        let mut audit = Audit::of(pair, &["--tier", "t4", "--heal"]);
        let away = pair.a().with_extension("away");
        fs::rename(pair.a(), &away).unwrap();
        // It ends by itself.
        let told = audit.told();
        fs::rename(&away, pair.a()).unwrap();
        assert_eq!(told.code, 1, "{}", told.err);
        assert!(told.err.contains("leg a"), "{}", told.err);
        assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"one\n");
    });
}

/// What is undone while its program goes on with it is undone again, until both are equal.
#[test]
fn a_program_at_work_on_leg_b() {
    need!(root);
    Pair::with(Kind::InPlace, |pair| {
        if !has_tier(pair, "t2") {
            return;
        }
        pair.run("mkdir $V/old; for i in $(seq 50); do echo $i > $V/old/$i; done")
            .ok();
        pair.bypass(
            "mkdir $S/t; for i in $(seq 400); do echo $i > $S/t/$i; done; tar cf $S/t.tar -C $S t",
        )
        .ok();
        let audit = Audit::of(pair, &["--tier", "t2", "--heal", "--brake", "10000"]);
        pair.in_legs("cd $B; tar xf $S/t.tar; for i in $(seq 50); do mv old/$i old/r$i; mv old/r$i old/$i; done");
        let told = audit.end();
        let failed: Vec<&Value> = told.findings().filter(|f| f["done"] == "failed").collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(!told.places().iter().any(|p| p.contains(".mirror")));
        assert!(!exists(pair.b().join("t")));
        assert!(in_sync(pair));
        pair.assert_equal();
    });
}
