//! `mirror audit` of pairs that come and go, of one whose leg b is away for a time, its sudden end, and what
//! cannot be asked of it.
use mirror_tests::{Fs, Kind, Pair, Talker, Told, Tree, has_tier, is_root, need, until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An audit that tells in JSON lines.
struct Audit(Talker);

impl Audit {
    fn begin(mut c: Command) -> Audit {
        Audit(Talker::start(c.arg("--json").stderr(Stdio::null())))
    }

    fn all(pair: &Pair, more: &[&str]) -> Audit {
        let mut c = pair.mirror_command("audit");
        c.args(["--tier", "t4"]).args(more);
        Audit::begin(c)
    }

    fn of(pair: &Pair, more: &[&str]) -> Audit {
        let mut c = pair.mirror_command("audit");
        c.arg(pair.v()).args(more);
        Audit::begin(c)
    }

    /// Reads until an event of a pair comes; findings on the way are none of the test's.
    #[track_caller]
    fn tells(&self, event: &str, v: &Path) -> Value {
        loop {
            let line = self.0.line();
            let e: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if e["event"] == event && e["virtual"] == v.to_str().unwrap() {
                return e;
            }
            assert_ne!(e["event"], "lost", "{line}");
        }
    }

    /// Its end, and what it still told.
    fn end(mut self) -> (i32, Vec<Value>) {
        self.0.signal(libc::SIGTERM);
        let code = self.0.end();
        let lines = self.0.drain();
        let parse = |l: &String| serde_json::from_str(l).unwrap_or_else(|_| panic!("{l}"));
        (code, lines.iter().map(parse).collect())
    }
}

fn findings(events: &[Value]) -> Vec<String> {
    let all = events.iter().filter(|e| e["event"] == "finding");
    all.map(|f| format!("{} {}", f["leg"], f["path"]).replace('"', ""))
        .collect()
}

/// One more pair in the same mirrortab, in place.
struct Second<'a> {
    pair: &'a Pair,
    legs: [PathBuf; 2],
}

impl Second<'_> {
    fn new(pair: &Pair) -> Second<'_> {
        let legs = ["second-a", "second-b"].map(|n| pair.scratch().join(n));
        for l in &legs {
            fs::create_dir(l).unwrap();
        }
        let s = Second { pair, legs };
        s.init();
        s
    }
    fn v(&self) -> &Path {
        &self.legs[0]
    }
    fn init(&self) {
        let [a, b] = self.legs.each_ref().map(|l| l.to_str().unwrap());
        self.pair.mirror("init", &[a, b, "--yes"]).ok();
    }
    fn detach(&self) -> mirror_tests::Output {
        self.pair.mirror("detach", &[self.v().to_str().unwrap()])
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        let _ = self.detach();
    }
}

fn status(pair: &Pair) -> String {
    pair.mirror("status", &[pair.v().to_str().unwrap()]).text()
}

#[test]
fn pairs_come_and_go() {
    Pair::with(Kind::InPlace, |pair| {
        let audit = Audit::all(pair, &[]);
        audit.tells("start", pair.v());
        let second = Second::new(pair);
        audit.tells("start", second.v());
        let f = second.legs[1].join("f");
        audit.0.still(|| fs::write(&f, "x")).unwrap();
        let found = audit.tells("finding", second.v());
        assert_eq!((&found["leg"], &found["path"]), (&"b".into(), &"f".into()));
        // Who watches all pairs lets go of one.
        second.detach().ok();
        let left = audit.tells("left", second.v());
        assert!(
            left["reason"].as_str().unwrap().contains("detached"),
            "{left}"
        );
        assert_eq!(audit.tells("end", second.v())["unmirrored"], 1);
        fs::remove_file(&f).unwrap();
        second.init();
        audit.tells("start", second.v());
        let g = pair.a().join("g");
        audit.0.still(|| fs::write(&g, "x")).unwrap();
        let (code, events) = audit.end();
        assert_eq!((code, findings(&events)), (3, vec!["a g".to_owned()]));
    });
}

#[test]
fn a_pair_that_is_lost_leaves_the_others_watched() {
    Pair::with(Kind::Link, |pair| {
        let second = Second::new(pair);
        let audit = Audit::all(pair, &["--heal"]);
        audit.tells("start", pair.v());
        audit.tells("start", second.v());
        let away = pair.scratch().join("moved");
        fs::rename(&second.legs[1], &away).unwrap();
        let left = audit.tells("left", second.v());
        assert!(left["reason"].as_str().unwrap().contains("leg b"), "{left}");
        let f = pair.a().join("f");
        audit.0.still(|| fs::write(&f, "x")).unwrap();
        assert_eq!(audit.tells("finding", pair.v())["done"], "healed");
        fs::rename(&away, &second.legs[1]).unwrap();
        audit.tells("start", second.v());
        let (code, events) = audit.end();
        assert_eq!((code, findings(&events)), (3, vec![]));
    });
}

/// A mirrored program that runs on in V, and has a file of it open.
fn program(pair: &Pair) -> Told {
    let mut t = Told::shell(pair);
    t.does("cd $V && exec 7>>log && echo before >&7");
    t
}

/// Nobody watches any more. That an audit has let go is told before it is so.
#[track_caller]
fn is_off(pair: &Pair) {
    until("end of the audit", || {
        status(pair).contains("audit     off")
    });
}

/// Leg b is left behind and comes back under an audit and a program: what mirrored programs do on leg a alone is no finding,
/// nothing is written to the leg that is away, and the audit does not keep it away.
fn degraded(tier: &str, more: &[&str]) {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    pair.init(&[&["--on-failure", "degrade"], more].concat())
        .ok();
    pair.run("cd $V; mkdir d; for i in 1 2 3; do echo $i > d/$i; done")
        .ok();
    let v = pair.v().to_str().unwrap();
    let mut program = program(&pair);
    let audit = Audit::of(&pair, &["--tier", tier, "--heal"]);
    audit.tells("start", pair.v());
    pair.run("echo before > $V/d/1").ok();
    pair.mirror("leg", &["offline", v, "b"]).ok();
    let b = Tree::read(pair.b());
    pair.run("cd $V; echo alone > d/2; mv d/3 d/4; rm d/1; mkdir e; echo x > e/f")
        .ok();
    program.does("echo alone >&7 && echo p > e/p");
    let left = audit.tells("left", pair.v());
    assert!(
        left["reason"].as_str().unwrap().contains("left behind"),
        "{left}"
    );
    assert_eq!(audit.tells("end", pair.v())["unmirrored"], 0);
    is_off(&pair);
    // Nor does one that begins now.
    let said = pair.scratch().join("said");
    let mut c = pair.mirror_command("audit");
    c.arg(v).args(["--json", "--tier", tier, "--heal"]);
    c.stderr(fs::File::create(&said).unwrap());
    let other = Audit(Talker::start(&mut c));
    until("audit that waits for leg b", || {
        fs::read_to_string(&said).unwrap().contains("left behind")
    });
    pair.run("echo more > $V/e/g").ok();
    let same = b.differences(&Tree::read(pair.b()), mirror_tests::Level::Strict);
    assert!(same.0.is_empty(), "{same}");
    pair.mirror("leg", &["online", v, "b", "--yes"]).ok();
    for a in [&audit, &other] {
        a.tells("start", pair.v());
    }
    pair.run("cd $V; echo both >> d/2; mv e g; rm d/4").ok();
    program.does("echo both >&7 && mv g/p g/q");
    program.end();
    for a in [audit, other] {
        let (code, events) = a.end();
        assert!(findings(&events).is_empty(), "{events:#?}");
        assert_eq!(code, 0);
    }
    pair.assert_equal();
    let o = pair.mirror("status", &[v]);
    assert_eq!(o.code, 0, "{o:?}");
}

#[test]
fn a_leg_that_is_away_is_no_finding_t4() {
    degraded("t4", &[]);
}

/// An audit that comes round only when the leg is back already tells nothing of what was done meanwhile.
fn in_between(tier: &str) {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    pair.init(&["--on-failure", "degrade"]).ok();
    let v = pair.v().to_str().unwrap();
    let mut program = program(&pair);
    let audit = Audit::of(&pair, &["--tier", tier, "--heal"]);
    audit.tells("start", pair.v());
    audit.0.signal(libc::SIGSTOP);
    pair.mirror("leg", &["offline", v, "b"]).ok();
    program.does("echo alone >&7 && mkdir d && echo x > d/f && mv log l");
    pair.mirror("leg", &["online", v, "b", "--yes"]).ok();
    program.does("echo both >&7 && mv d/f g");
    audit.0.signal(libc::SIGCONT);
    audit.tells("left", pair.v());
    assert_eq!(audit.tells("end", pair.v())["unmirrored"], 0);
    audit.tells("start", pair.v());
    let stray = pair.b().join("stray");
    audit.0.still(|| fs::write(&stray, "x")).unwrap();
    assert_eq!(audit.tells("finding", pair.v())["path"], "stray");
    let (code, events) = audit.end();
    assert_eq!((code, findings(&events)), (3, vec![]));
    program.end();
    pair.assert_equal();
}

#[test]
fn a_leg_that_is_back_already_is_no_finding_t4() {
    in_between("t4");
}

#[test]
fn a_leg_that_is_back_already_is_no_finding_t2() {
    need!(root);
    if has_t2() {
        in_between("t2");
    }
}

#[test]
fn a_leg_that_is_away_is_no_finding_t2() {
    need!(root);
    if has_t2() {
        degraded("t2", &[]);
        degraded("t2", &["--locks", "memory"]);
    }
}

fn has_t2() -> bool {
    has_tier(&Pair::new(Kind::InPlace, Fs::Plain).unwrap(), "t2")
}

/// A command is not run unseen.
#[test]
fn a_command_is_not_audited_without_a_second_leg() {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    pair.init(&["--on-failure", "degrade"]).ok();
    let v = pair.v().to_str().unwrap();
    pair.mirror("leg", &["offline", v, "b"]).ok();
    let o = pair.mirror("audit", &[v, "--", "touch", &format!("{v}/ran")]);
    let err = String::from_utf8_lossy(&o.err).into_owned();
    assert_eq!(o.code, 1, "{o:?}");
    assert!(err.contains("left behind"), "{err}");
    assert!(!pair.a().join("ran").exists());
}

#[test]
fn one_that_is_killed_is_not_said_to_run() {
    Pair::with(Kind::InPlace, |pair| {
        let mut audit = Audit::of(pair, &["--tier", "t4", "--exec", "sleep 60"]);
        audit.tells("start", pair.v());
        let f = pair.a().join("f");
        audit.0.still(|| fs::write(&f, "x")).unwrap();
        audit.tells("finding", pair.v());
        assert!(status(pair).contains("audit     on: T4"));
        audit.0.signal(libc::SIGKILL);
        audit.0.end();
        // Its command has its descriptors until it is another program.
        is_off(pair);
        let text = status(pair);
        assert!(text.contains("1 change not mirrored"), "{text}");
        // And nobody keeps the pair.
        let v = pair.v().to_str().unwrap();
        until("detach", || pair.mirror("detach", &[v]).code == 0);
    });
}

/// What cannot be done is said in one line, with an exit code of the table.
#[test]
fn what_is_wrong_is_one_line() {
    Pair::with(Kind::InPlace, |pair| {
        let v = pair.v().to_str().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let rows: &[(&[&str], i32, &str)] = &[
            (&["/no/such"], 64, "no such pair: /no/such"),
            (&[v, "--tier", "t9"], 64, "t9"),
            (&[v, "--no-such-option"], 64, "--no-such-option"),
            (&[v, "--log", "nowhere"], 64, "--log nowhere"),
            (&[v, "--log", "journal:/no/such"], 1, "/no/such"),
            (&[v, "--metrics", &port], 1, &port),
            (&[v, "--metrics", "/no/such/file"], 1, "/no/such/file"),
            (&[v, "--metrics", "nonsense"], 64, "nonsense"),
            (&[v, "--brake", "half"], 64, "half"),
            (&[v, "--brake", "200%"], 64, "200%"),
            (&[v, "--", "/no/such/program"], 127, "/no/such/program"),
        ];
        for (args, code, what) in rows {
            let o = pair.mirror("audit", args);
            let err = String::from_utf8_lossy(&o.err).into_owned();
            assert_eq!(o.code, *code, "{args:?}: {o:?}");
            assert!(err.contains(what), "{args:?}: {err}");
            if *code == 1 {
                assert_eq!(err.lines().count(), 1, "{err}");
                assert!(err.starts_with("mirror: audit: "), "{err}");
            }
        }
        if !is_root() {
            for (tier, needs) in [("t2", "CAP_BPF"), ("t3", "CAP_SYS_ADMIN")] {
                let o = pair.mirror("audit", &[v, "--tier", tier]);
                let err = String::from_utf8_lossy(&o.err).into_owned();
                assert_eq!(o.code, 1, "{o:?}");
                assert!(err.contains(needs) && err.contains("root"), "{err}");
            }
        }
    });
}

/// A leg that is not there: what is wrong with it, and nothing else.
#[test]
fn a_leg_that_is_not_there() {
    Pair::with(Kind::Link, |pair| {
        let away = pair.b().with_extension("away");
        fs::rename(pair.b(), &away).unwrap();
        let o = pair.mirror("audit", &[pair.v().to_str().unwrap()]);
        fs::rename(&away, pair.b()).unwrap();
        let err = String::from_utf8_lossy(&o.err).into_owned();
        assert_eq!((o.code, err.lines().count()), (1, 1), "{err}");
        assert!(err.contains("LEG LOST") || err.contains("leg b"), "{err}");
    });
}
