//! `verify`, `resync`, and first copies that were interrupted.
use super::*;

#[test]
fn differences_are_listed_repaired_and_kept() {
    let e = Env::new("repair");
    fs::create_dir_all(e.p("a/d/e")).unwrap();
    e.write("a/d/f", "right");
    fs::hard_link(e.p("a/d/f"), e.p("a/g")).unwrap();
    symlink("g", e.p("a/l")).unwrap();
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    e.expect(&["verify"], 0, &["0 differences"]);
    let inode = fs::metadata(e.p("b/g")).unwrap().ino();
    e.write("b/d/f", "wrong!");
    e.write("b/extra", "mine");
    fs::remove_dir(e.p("b/d/e")).unwrap();
    fs::remove_file(e.p("b/l")).unwrap();
    fs::create_dir(e.p("b/l")).unwrap();
    e.expect(
        &["verify"],
        1,
        &[
            "extra  only in b",
            "d/e/  only in a",
            "g  different",
            "l  different  (type)",
            "mirror resync",
        ],
    );
    e.expect(&["resync", "--dry-run"], 0, &["only in b"]);
    e.expect(&["resync"], 2, &["--yes", "Nothing was done"]);
    assert!(e.p("b/extra").exists());
    e.expect(&["resync", "--yes"], 0, &["IN SYNC", "kept"]);
    e.expect(
        &["verify", "--json"],
        0,
        &["\"schema\":\"mirror.verify/1\"", "\"differences\":[]"],
    );
    let g = fs::metadata(e.p("b/g")).unwrap();
    assert_eq!(
        (g.ino(), g.nlink()),
        (inode, 2),
        "a differing file is rewritten in place"
    );
    assert_eq!(fs::read_to_string(e.p("b/d/f")).unwrap(), "right");
    let kept = fs::read_dir(e.p("b/.mirror/kept"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert_eq!(fs::read_to_string(kept.join("extra")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(kept.join("g")).unwrap(), "wrong!");
}

#[test]
fn a_missing_leg_deletes_nothing() {
    let e = Env::new("missing");
    e.write("a/f", "x");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    fs::rename(e.p("a"), e.p("gone")).unwrap();
    fs::create_dir(e.p("a")).unwrap();
    e.expect(&["status"], 2, &["LEG LOST", "not mounted"]);
    e.expect(&["resync", "--yes"], 2, &["not a leg"]);
    e.expect(&["run", "true"], 125, &["not a leg"]);
    assert!(e.p("b/f").exists());
    fs::remove_dir(e.p("a")).unwrap();
    fs::rename(e.p("gone"), e.p("a")).unwrap();
    e.expect(
        &["status", "--json"],
        0,
        &["\"schema\":\"mirror.status/1\"", "\"state\":\"in-sync\""],
    );
}

// ---- interrupted copies ----

#[test]
fn a_full_disk_stops_the_copy_and_the_same_command_goes_on() {
    need!(root);
    let e = Env::new("full");
    let Some(_m) = Mount::new(&e, "b", "size=4m") else {
        return;
    };
    fs::write(e.p("a/one"), vec![1u8; 1 << 20]).unwrap();
    fs::write(e.p("a/two"), vec![2u8; 6 << 20]).unwrap();
    // Too much from the start: refused, nothing left.
    e.refused_init(&["a", "b", "--yes"], &["leg b", "Make room"]);
    // A sparse file hides how much is needed: full in the middle.
    fs::remove_file(e.p("a/two")).unwrap();
    for i in 0..1200 {
        fs::write(e.p(&format!("a/s{i:04}")), b"x").unwrap();
    }
    e.expect(
        &["init", "a", "b", "--yes"],
        1,
        &["leg b", "is full", "To go on: mirror init a b --yes"],
    );
    e.expect(&["status"], 1, &["INCOMPLETE", "mirror resync"]);
    e.expect(&["run", "true"], 125, &["has not been copied completely"]);
    for i in 100..1200 {
        fs::remove_file(e.p(&format!("a/s{i:04}"))).unwrap();
    }
    e.expect(&["init", "a", "b", "--yes"], 0, &["IN SYNC"]);
    e.expect(&["verify"], 0, &["0 differences"]);
}

#[test]
fn an_interrupted_copy_goes_on() {
    let e = Env::new("interrupt");
    for i in 0..3000 {
        fs::write(e.p(&format!("a/f{i}")), vec![i as u8; 20_000]).unwrap();
    }
    let mut stopped = false;
    for wait in [15, 40, 5, 80] {
        let c = e
            .command(&["init", "a", "b", "--yes"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        Command::new("kill")
            .args(["-INT", &c.id().to_string()])
            .status()
            .unwrap();
        let o = c.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&o.stderr);
        match o.status.code() {
            Some(0) => break,
            Some(1) if e.p("tab").exists() => {
                assert!(err.contains("To go on: mirror init a b --yes"), "{err}");
                stopped = true;
                break;
            }
            // Before anything was made: nothing is left.
            _ => e.nothing_left(),
        }
    }
    if stopped {
        e.expect(&["status"], 1, &["INCOMPLETE"]);
    } else {
        skip("the copy was never caught in its middle");
    }
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    e.expect(&["verify"], 0, &["3,000 objects", "0 differences"]);
}
