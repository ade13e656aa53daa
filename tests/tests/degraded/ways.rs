//! Ways out that are typed while leg b is away: what is refused, what is said, and that the words do it.
use super::*;
use mirror_tests::{Talker, until};

/// What it has said, wherever.
fn all(o: &Output) -> String {
    [&o.out[..], &o.err[..]]
        .map(String::from_utf8_lossy)
        .concat()
}

/// "Leg b is not away" is leg a's to say, and of a pair whose legs are there.
#[test]
fn online_says_what_is_so() {
    let p = plain(Kind::InPlace);
    p.run("echo x > $V/f").ok();
    let o = online(&p);
    assert!(o.code == 0 && all(&o).contains("not away"), "{o:?}");
    for leg in [p.a(), p.b()] {
        let aside = leg.with_extension("aside");
        fs::rename(leg, &aside).unwrap();
        let o = online(&p);
        assert!(o.code == 2 && !all(&o).contains("not away"), "{o:?}");
        fs::rename(&aside, leg).unwrap();
        let record = leg.join(".mirror/leg");
        let text = fs::read(&record).unwrap();
        fs::write(&record, "?").unwrap();
        assert_eq!(online(&p).code, 2);
        fs::write(&record, text).unwrap();
    }
    // The same while leg b is away, and leg a cannot be asked.
    offline(&p);
    let aside = p.a().with_extension("aside");
    fs::rename(p.a(), &aside).unwrap();
    let o = online(&p);
    assert!(o.code == 2 && !all(&o).contains("not away"), "{o:?}");
    fs::rename(&aside, p.a()).unwrap();
    assert_eq!(online(&p).code, 0);
    state(&p, 0, "IN SYNC");
    // What was typed wrongly.
    let code = |args: &[&str]| p.mirror("leg", args).code;
    assert_eq!(code(&["online", v(&p), "a"]), 64);
    assert_eq!(code(&["offline", v(&p), "a"]), 64);
    assert_eq!(code(&["online", "/no/such/pair", "b"]), 64);
    assert_eq!(code(&["replace", v(&p), "b", v(&p), "--yes"]), 64);
}

/// Leg a was emptied while leg b was away: no word that is said empties leg b, and each of them leads on.
#[test]
fn an_emptied_leg_a_is_copied_over_nothing() {
    for (kind, mistake) in [
        (Kind::InPlace, true),
        (Kind::Link, true),
        (Kind::Link, false),
    ] {
        let p = plain(kind);
        p.run("mkdir $V/d; echo precious > $V/d/f").ok();
        offline(&p);
        let b = Tree::read(p.b());
        p.run("rm -r $V/d").ok();
        let s = p.mirror("status", &[v(&p)]);
        let o = online(&p);
        assert_eq!(o.code, 2, "{o:?}");
        for said in [&s, &o] {
            let text = all(said);
            assert!(text.contains("--source b"), "{said:?}");
            assert!(text.contains("mirror leg replace"), "{said:?}");
            for wrong in ["--from b", "-delete", "mirror leg online"] {
                assert!(!text.contains(wrong), "{wrong}: {said:?}");
            }
        }
        same(&b, p.b());
        if mistake {
            p.mirror("detach", &[v(&p)]).ok();
            p.init(&["--source", "b"]).ok();
            let f = fs::read_to_string(p.a().join("d/f"));
            assert_eq!(f.unwrap(), "precious\n");
            state(&p, 0, "IN SYNC");
            p.assert_equal();
        } else {
            let new = p.scratch().join("new");
            fs::create_dir(&new).unwrap();
            p.mirror(
                "leg",
                &["replace", v(&p), "b", new.to_str().unwrap(), "--yes"],
            )
            .ok();
            state(&p, 0, "IN SYNC");
            let names = fs::read_dir(&new).unwrap().count();
            assert_eq!(names, 1, "its control folder alone");
        }
        same(&b, p.b());
    }
}

/// An audit knows the old leg b. One of all pairs lets go; one of this pair is to be ended first.
#[test]
fn a_leg_is_replaced_beside_audits() {
    let p = plain(Kind::InPlace);
    p.run("echo x > $V/f").ok();
    let new = p.scratch().join("new");
    fs::create_dir(&new).unwrap();
    let replace =
        |more: &str| p.mirror("leg", &["replace", v(&p), "b", new.to_str().unwrap(), more]);
    let audit = |named: bool| {
        let mut c = p.mirror_command("audit");
        c.args(named.then(|| p.v()))
            .args(["--tier", "t4", "--json"]);
        let t = Talker::start(c.stderr(Stdio::null()));
        assert!(t.line().contains("\"start\""));
        t
    };
    let mut stays = audit(true);
    for more in ["--yes", "--yes"] {
        let o = replace(more);
        let text = all(&o);
        assert_eq!(o.code, 1, "{o:?}");
        assert!(
            text.contains("is audited") && text.contains("kill "),
            "{o:?}"
        );
        assert!(!text.contains("mirror ps"), "{o:?}");
    }
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
    state(&p, 0, "IN SYNC");
    stays.signal(libc::SIGTERM);
    assert_eq!(stays.end(), 0);
    let mut every = audit(false);
    let o = replace("--dry-run");
    assert!(o.code == 0 && all(&o).contains("an audit runs"), "{o:?}");
    let o = replace("--yes");
    assert!(o.code == 0 && all(&o).contains("IN SYNC"), "{o:?}");
    // It takes the pair up again, with its new leg.
    until("the audit watches the new leg", || {
        p.mirror("status", &[v(&p)]).text().contains("audit     on")
    });
    fs::write(new.join("alone"), "y").unwrap();
    while !every.line().contains("\"alone\"") {}
    every.signal(libc::SIGTERM);
    assert_eq!(every.end(), 3);
}
