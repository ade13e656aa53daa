//! What `mirror audit` tells others: the summary, a command for each finding, Prometheus, the journal and syslog,
//! a service manager; and what is decided about what it held.
use mirror_tests::{Kind, Level, Output, Pair, Talker, send, until};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

/// An audit in lines, once everything is seen.
fn begin(pair: &Pair, args: &[&str], change: impl Fn(&mut Command)) -> Talker {
    let mut c = pair.mirror_command("audit");
    c.arg(pair.v()).args(["--tier", "t4"]).args(args);
    c.stderr(Stdio::null());
    change(&mut c);
    let t = Talker::start(&mut c);
    while !t.line().starts_with("watching") {}
    t
}

fn end(mut t: Talker) -> Vec<String> {
    t.signal(libc::SIGTERM);
    assert_eq!(t.end(), 3);
    t.drain()
}

fn hold(pair: &Pair, leg: &str) {
    pair.run("mkdir $V/d; cd $V/d; for i in $(seq 20); do echo $i > $i; done")
        .ok();
    let t = begin(pair, &["--heal", "--brake", "5"], |_| ());
    t.still(|| pair.bypass(&format!("rm -r ${leg}/d"))).ok();
    let lines = end(t);
    assert!(lines.iter().any(|l| l.contains("HELD")), "{lines:#?}");
}

fn held(pair: &Pair, what: &str, more: &[&str]) -> Output {
    let v = pair.v().to_str().unwrap();
    pair.mirror("audit", &[&[v, "--held", what], more].concat())
}

#[test]
fn what_is_held_is_listed_and_decided() {
    for (leg, choice, there) in [
        ("A", "restore", true),
        ("A", "carry", false),
        ("B", "restore", true),
        ("B", "carry", false),
    ] {
        let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
        hold(&pair, leg);
        let o = held(&pair, "list", &["--json"]).ok();
        let all: Value = serde_json::from_slice(&o.out).unwrap();
        assert_eq!(all["held"].as_array().unwrap().len(), 21, "{all}");
        assert_eq!(all["held"][0]["leg"], leg.to_lowercase(), "{all}");
        // Nobody can be asked here: nothing is done.
        let o = held(&pair, choice, &[]);
        assert_eq!(o.code, 1, "{o:?}");
        assert!(held(&pair, "list", &[]).text().contains("d/20"));
        let o = held(&pair, choice, &["--yes"]).ok();
        assert!(o.text().contains("mirror resync"), "{o:?}");
        for root in [pair.a(), pair.b()] {
            assert_eq!(root.join("d/20").exists(), there, "{leg} {choice}");
        }
        pair.assert_legs(Level::Strict);
        let other = if leg == "A" { pair.b() } else { pair.a() };
        let kept = pair.bypass(&format!("cat {}/.mirror/kept/*/d/20", other.display()));
        assert_eq!(kept.text().contains("20"), !there, "{kept:?}");
        assert!(held(&pair, "list", &[]).text().contains("nothing is held"));
        pair.resync().ok();
        let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
        assert_eq!(o.code, 0, "{o:?}");
    }
}

#[test]
fn a_repair_decides_what_is_held() {
    Pair::with(Kind::InPlace, |pair| {
        hold(pair, "B");
        // What somebody has made again is left as it is.
        pair.bypass("mkdir $B/d; echo other > $B/d/20").ok();
        pair.resync().ok();
        assert!(held(pair, "list", &[]).text().contains("nothing is held"));
        assert_eq!(fs::read(pair.b().join("d/20")).unwrap(), b"20\n");
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    Pair::with(Kind::Link, |pair| {
        pair.run("echo one > $V/f; mkdir $V/d; touch $V/d/1 $V/d/2 $V/d/3")
            .ok();
        let t = begin(pair, &["--heal", "--dry-run", "--brake", "2"], |_| ());
        t.still(|| pair.bypass("echo two > $A/f; echo b > $B/g; rm -r $B/d"))
            .ok();
        let lines = end(t).join("\n");
        for what in ["would be healed", "would be undone", "would be held"] {
            assert!(lines.contains(what), "{what}: {lines}");
        }
        assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"one\n");
        assert!(pair.b().join("g").exists() && !pair.b().join("d").exists());
        assert!(held(pair, "list", &[]).text().contains("nothing is held"));
        let v = pair.v().to_str().unwrap();
        assert_eq!(pair.mirror("audit", &[v, "--dry-run"]).code, 64);
    });
}

#[test]
fn a_summary_takes_the_place_of_lines() {
    Pair::with(Kind::InPlace, |pair| {
        let t = begin(pair, &["--summary"], |_| ());
        t.still(|| pair.bypass("mkdir $A/d; touch $A/d/1 $A/d/2; touch $B/only"))
            .ok();
        let lines = end(t);
        let table: Vec<&String> = lines.iter().filter(|l| !l.starts_with("ended")).collect();
        assert_eq!(table.len(), 3, "{lines:#?}");
        assert!(
            table[0].contains("CHANGES") && table[1].contains("a    d"),
            "{table:#?}"
        );
        assert!(table[2].contains("b    only"), "{table:#?}");
        // On SIGUSR1 too, and in JSON.
        let t = begin_json(pair, &["--summary"]);
        pair.bypass("touch $A/one").ok();
        wait_for_findings(pair, 1);
        t.signal(libc::SIGUSR1);
        let row: Value = serde_json::from_str(&t.line()).unwrap();
        assert_eq!(
            (&row["event"], &row["rows"][0]["below"]),
            (&"summary".into(), &"one".into()),
            "{row}"
        );
        end(t);
    });
}

fn begin_json(pair: &Pair, args: &[&str]) -> Talker {
    let mut c = pair.mirror_command("audit");
    c.arg(pair.v()).args(["--tier", "t4", "--json"]).args(args);
    let t = Talker::start(c.stderr(Stdio::null()));
    assert!(t.line().contains("\"event\":\"start\""));
    t
}

/// Waits until an audit has told `status` of so many.
fn wait_for_findings(pair: &Pair, n: u64) {
    until("findings", || {
        let o = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
        let all: Value = serde_json::from_slice(&o.out).unwrap();
        all["pairs"][0]["audit"]["findings"].as_u64() >= Some(n)
    });
}

#[test]
fn a_command_is_run_for_each_finding() {
    Pair::with(Kind::InPlace, |pair| {
        let out = pair.scratch().join("told");
        let name = "x'; touch injected; $(touch injected) \"`touch injected`\n*";
        let script = "printf '%s|%s|%s|%s|%s\\0' \"$MIRROR_EVENT\" \"$MIRROR_PAIR\" \"$MIRROR_LEG\" \"$MIRROR_OPERATION\" \"$MIRROR_PATH\" >> \"$OUT\"; echo to-stdout; env | grep ^NOTIFY >> \"$OUT\"";
        let t = begin(pair, &["--exec", script], |c| {
            _ = c.env("OUT", &out).env("NOTIFY_SOCKET", "/no/such")
        });
        t.still(|| {
            fs::write(pair.a().join(name), "x").unwrap();
            fs::write(pair.b().join("plain"), "x").unwrap();
        });
        let lines = end(t);
        // Standard output is the audit's alone.
        assert!(!lines.iter().any(|l| l == "to-stdout"), "{lines:?}");
        let told = String::from_utf8(fs::read(&out).unwrap()).unwrap();
        let v = pair.v().display();
        let mut rows: Vec<&str> = told.split_terminator('\0').collect();
        rows.sort_unstable();
        let want = [
            format!("finding|{v}|a|create|{name}"),
            format!("finding|{v}|b|create|plain"),
        ];
        assert_eq!(rows, want);
        assert!(!pair.scratch().join("injected").exists());
    });
}

#[test]
fn a_slow_command_is_not_piled_up() {
    Pair::with(Kind::InPlace, |pair| {
        let dir = pair.scratch();
        fs::write(dir.join("wait"), "").unwrap();
        let script =
            "echo start $MIRROR_SKIPPED >> $D/calls; while [ -e $D/wait ]; do sleep 0.05; done";
        let t = begin(pair, &["--exec", script], |c| _ = c.env("D", &dir));
        // More lines than wait for a command: names in directories of their own, one finding each.
        let calls = || fs::read_to_string(dir.join("calls")).unwrap_or_default();
        for i in 0..110 {
            fs::write(pair.a().join(format!("f{i}")), "").unwrap();
            if i % 5 == 4 {
                wait_for_findings(pair, i + 1);
            }
        }
        until("command", || !calls().is_empty());
        assert_eq!(calls().lines().count(), 1, "{}", calls());
        fs::remove_file(dir.join("wait")).unwrap();
        end(t);
        let calls = calls();
        assert!(
            calls.lines().count() <= 101 && calls.lines().count() > 1,
            "{calls}"
        );
        assert!(calls.lines().any(|l| l != "start 0"), "{calls}");
    });
}

fn get(address: &str, path: &str) -> String {
    let mut s = TcpStream::connect(address).unwrap();
    write!(s, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut all = String::new();
    s.read_to_string(&mut all).unwrap();
    all
}

/// What a reader of Prometheus's text format holds: each family has its HELP and TYPE before its samples, names
/// and labels are well formed, no series comes twice.
fn check_format(text: &str) {
    let mut types = std::collections::HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for l in text.lines() {
        if let Some(t) = l.strip_prefix("# TYPE ") {
            let (name, kind) = t.split_once(' ').unwrap();
            assert!(["gauge", "counter"].contains(&kind), "{l}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{l}");
            types.insert(name.to_owned(), kind.to_owned());
        } else if !l.starts_with("# HELP ") {
            let (series, value) = l.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap();
            assert!(types.contains_key(name), "{l}");
            assert!(
                labels.starts_with("pair=\"") && labels.ends_with("\"}"),
                "{l}"
            );
            value.parse::<f64>().unwrap();
            assert!(seen.insert(series.to_owned()), "twice: {l}");
        }
    }
    assert!(types.len() >= 10, "{text}");
}

#[test]
fn numbers_for_prometheus() {
    Pair::with(Kind::InPlace, |pair| {
        let file = pair.scratch().join("mirror.prom");
        let t = begin(pair, &["--metrics", file.to_str().unwrap()], |_| ());
        check_format(&fs::read_to_string(&file).unwrap());
        t.still(|| fs::write(pair.a().join("f"), "x")).unwrap();
        end(t);
        let text = fs::read_to_string(&file).unwrap();
        check_format(&text);
        let v = pair.v().display();
        let one =
            format!("mirror_audit_unmirrored_total{{pair=\"{v}\",leg=\"a\",why=\"unknown\"}} 1\n");
        assert!(text.contains(&one), "{text}");
        let left: Vec<_> = fs::read_dir(pair.scratch())
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert!(
            !left
                .iter()
                .any(|n| n.to_string_lossy().starts_with("mirror.prom.")),
            "{left:?}"
        );

        let mut c = pair.mirror_command("audit");
        c.arg(pair.v())
            .args(["--tier", "t4", "--metrics", "127.0.0.1:0"]);
        let err = pair.scratch().join("err");
        c.stderr(fs::File::create(&err).unwrap());
        let t = Talker::start(&mut c);
        while !t.line().starts_with("watching") {}
        let said = fs::read_to_string(&err).unwrap();
        let address = said
            .split("http://")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        t.still(|| fs::write(pair.b().join("g"), "x")).unwrap();
        wait_for_findings(pair, 1);
        let want =
            format!("mirror_audit_unmirrored_total{{pair=\"{v}\",leg=\"b\",why=\"unknown\"}} 1\n");
        until("number", || get(&address, "/metrics").contains(&want));
        let all = get(&address, "/metrics");
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"),
            "{head}"
        );
        check_format(body);
        assert!(get(&address, "/other").starts_with("HTTP/1.1 404"));
        // Who asks and says nothing keeps nobody out for long.
        let _silent = TcpStream::connect(&address).unwrap();
        assert!(get(&address, "/metrics").contains("200 OK"));
        end(t);
        let v = pair.v().to_str().unwrap();
        let o = pair.mirror("audit", &[v, "--metrics", "nonsense"]);
        assert_eq!(o.code, 64, "{o:?}");
    });
}

/// A journal's entry: fields by name.
fn fields(mut b: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    while let Some(end) = b.iter().position(|c| *c == b'\n') {
        let name = String::from_utf8(b[..end].to_vec()).unwrap();
        let len = u64::from_le_bytes(b[end + 1..end + 9].try_into().unwrap()) as usize;
        all.push((name, b[end + 9..end + 9 + len].to_vec()));
        b = &b[end + 10 + len..];
    }
    all
}

fn messages(socket: &UnixDatagram) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).unwrap();
    let mut all = vec![];
    let mut b = vec![0; 65536];
    while let Ok(n) = socket.recv(&mut b) {
        all.push(b[..n].to_vec());
    }
    all
}

fn socket(dir: &Path, name: &str) -> (UnixDatagram, String) {
    let path = dir.join(name);
    let s = UnixDatagram::bind(&path).unwrap();
    (s, path.to_str().unwrap().into())
}

#[test]
fn the_journal_gets_fields_and_syslog_lines() {
    Pair::with(Kind::InPlace, |pair| {
        let (journal, path) = socket(&pair.scratch(), "journal");
        let (syslog, line) = socket(&pair.scratch(), "syslog");
        let name = "a\nMIRROR_LEG=b";
        for to in [format!("journal:{path}"), format!("syslog:{line}")] {
            let mut c = pair.mirror_command("audit");
            c.arg(pair.v()).args(["--tier", "t4", "--log", &to]);
            let (ready, notify) = socket(&pair.scratch(), &to[..3]);
            let mut t = Talker::start(c.env("NOTIFY_SOCKET", &notify));
            let mut b = [0; 256];
            ready.recv(&mut b).unwrap();
            t.still(|| fs::write(pair.a().join(name), "x")).unwrap();
            t.signal(libc::SIGTERM);
            assert_eq!(t.end(), 3);
            // The log has the lines.
            assert!(t.drain().is_empty());
            fs::remove_file(pair.a().join(name)).unwrap();
        }
        let all: Vec<_> = messages(&journal).iter().map(|m| fields(m)).collect();
        let get = |e: &Vec<(String, Vec<u8>)>, k: &str| {
            let all: Vec<String> = e
                .iter()
                .filter(|(n, _)| n == k)
                .map(|(_, v)| String::from_utf8(v.clone()).unwrap())
                .collect();
            assert!(all.len() <= 1, "{k} twice");
            all.into_iter().next().unwrap_or_default()
        };
        let events: Vec<String> = all.iter().map(|e| get(e, "MIRROR_EVENT")).collect();
        assert_eq!(events, ["start", "finding", "end"]);
        let f = &all[1];
        let rows = [
            ("MIRROR_PAIR", pair.v().to_str().unwrap()),
            ("MIRROR_LEG", "a"),
            ("MIRROR_PATH", name),
            ("MIRROR_OPERATION", "create"),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "mirror"),
            ("MIRROR_CODE", "M-128"),
        ];
        for (k, v) in rows {
            assert_eq!(get(f, k), v, "{k}");
        }
        assert_eq!(get(f, "MESSAGE_ID").len(), 32);
        assert!(!get(f, "MESSAGE").contains('\n'));
        let lines: Vec<String> = messages(&syslog)
            .into_iter()
            .map(|m| String::from_utf8(m).unwrap())
            .collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[1].starts_with("<28>")
                && lines[1].contains(" mirror[")
                && lines[1].ends_with("(M-128)"),
            "{lines:?}"
        );
        assert!(!lines[1].contains('\n'));
        let v = pair.v().to_str().unwrap();
        let o = pair.mirror("audit", &[v, "--log", "journal:/no/such"]);
        assert!(
            o.code == 1 && String::from_utf8_lossy(&o.err).contains("no journal at"),
            "{o:?}"
        );
    });
}

#[test]
fn a_service_manager_is_told() {
    Pair::with(Kind::InPlace, |pair| {
        let (manager, path) = socket(&pair.scratch(), "notify");
        let mut c = pair.mirror_command("audit");
        c.arg(pair.v())
            .args(["--tier", "t4"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000");
        let mut t = Talker::start(&mut c);
        let mut b = [0; 4096];
        let next = |b: &mut [u8]| {
            let n = manager.recv(b).unwrap();
            String::from_utf8(b[..n].to_vec()).unwrap()
        };
        let first = next(&mut b);
        assert!(first.starts_with("READY=1\nSTATUS="), "{first}");
        // From then on all is seen.
        t.still(|| fs::write(pair.a().join("f"), "x")).unwrap();
        while next(&mut b) != "WATCHDOG=1" {}
        loop {
            let text = next(&mut b);
            if text.contains("1 change not mirrored") {
                break;
            }
        }
        send(t.pid(), libc::SIGTERM);
        while next(&mut b) != "STOPPING=1" {}
        assert_eq!(t.end(), 3);
    });
}
