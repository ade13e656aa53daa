//! What the command prints can be used: every suggested command can be typed as it stands, every `--json`
//! is JSON, and every option is explained in the manual.
use mirror_tests::{dist, have, need, skip};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Env(PathBuf);

impl Env {
    fn new(name: &str) -> Env {
        let dir = std::env::temp_dir().join(format!("mirror-words-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Env(fs::canonicalize(dir).unwrap())
    }
    fn p(&self, rel: impl AsRef<Path>) -> PathBuf {
        self.0.join(rel)
    }
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut c = Command::new(program);
        c.current_dir(&self.0)
            .env("MIRRORTAB", self.p("tab"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("MIRROR")
            .env_remove("MIRROR_LIB")
            .stdin(Stdio::null());
        c
    }
    fn mirror<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let mut c = self.command(dist().join("mirror"));
        c.args(args).output().unwrap()
    }
    /// A suggested command, typed into a shell.
    fn typed(&self, line: &[u8]) -> Output {
        let path = format!("{}:{}", dist().display(), std::env::var("PATH").unwrap());
        let mut c = self.command("sh");
        c.env("PATH", path).arg("-c").arg(OsStr::from_bytes(line));
        c.output().unwrap()
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        // V's name may be an odd one: leg a's is found in the tab's own words.
        let tab = fs::read(self.p("tab")).unwrap_or_default();
        for line in tab.split(|&b| b == b'\n').filter(|l| !l.starts_with(b"#")) {
            let v = line.split(|&b| b == b' ').next().unwrap_or(b"");
            if !v.is_empty() {
                let _ = self.mirror(&[OsStr::new("detach"), OsStr::from_bytes(v)]);
            }
        }
        mirror_tests::forget_pairs(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(o: &Output) -> Vec<u8> {
    [&o.stdout[..], &o.stderr[..]].concat()
}

/// From `start` to the next run of two blanks, a newline, or (in brackets) the bracket's end.
fn suggested(o: &Output, start: &str) -> Vec<u8> {
    let all = said(o);
    let at = all
        .windows(start.len())
        .position(|w| w == start.as_bytes())
        .unwrap_or_else(|| panic!("{start:?} is not in {}", String::from_utf8_lossy(&all)));
    let rest = &all[at..];
    let bracket = at > 0 && all[at - 1] == b'(';
    let end = (0..rest.len()).find(|&i| {
        rest[i] == b'\n'
            || rest[i..].starts_with(b"  ")
            || (bracket && rest[i] == b')' && matches!(rest.get(i + 1), None | Some(b'\n' | b' ')))
    });
    rest[..end.unwrap_or(rest.len())].to_vec()
}

const NAMES: [&[u8]; 11] = [
    b"a blank",
    b"it's",
    b"new\nline",
    b"newline at its end\n",
    b"a\ttab",
    b"back\\slash\\012",
    b"$HOME `id` \"q\"",
    b"per%cent%s\x01",
    b"not\xff\xfeutf",
    b"-dash",
    b"*;&|<>#!",
];

#[test]
fn suggested_commands_can_be_typed() {
    for name in NAMES {
        let e = Env::new("typed");
        let shown = String::from_utf8_lossy(name).into_owned();
        let (a, b) = (e.p(OsStr::from_bytes(name)), e.p("b"));
        let ok = |o: &Output, code: i32| {
            let all = said(o);
            assert_eq!(
                o.status.code(),
                Some(code),
                "{shown:?}: {}",
                String::from_utf8_lossy(&all)
            );
        };
        // A leg that is not there.
        let mut relative = OsString::from("./");
        relative.push(OsStr::from_bytes(name));
        let o = e.mirror(&[OsStr::new("init"), &relative, b.as_os_str()]);
        ok(&o, 1);
        ok(&e.typed(&suggested(&o, "mkdir ")), 0);
        assert!(a.is_dir(), "{shown:?}: mkdir made another");
        fs::create_dir(&b).unwrap();
        ok(
            &e.mirror(&[OsStr::new("init"), a.as_os_str(), b.as_os_str()]),
            0,
        );
        let status = e.mirror(&["status"]);
        ok(&status, 0);
        ok(&e.typed(&suggested(&status, "mirror verify ")), 0);
        ok(
            &e.typed(&suggested(&e.mirror(&["doctor"]), "mirror status ")),
            0,
        );
        fs::write(a.join("f"), "only in a").unwrap();
        let verify = e.mirror(&["verify"]);
        ok(&verify, 1);
        ok(&e.typed(&suggested(&verify, "mirror diff ")), 1);
        let mut resync = suggested(&verify, "mirror resync ");
        resync.extend_from_slice(b" --yes");
        ok(&e.typed(&resync), 0);
        assert_eq!(fs::read(b.join("f")).unwrap(), b"only in a");
        // The form that messages show is taken as well.
        let v = fs::read(e.p("tab")).unwrap();
        let v = v.split(|&c| c == b'\n').nth(1).unwrap();
        let v = v.split(|&c| c == b' ').next().unwrap();
        ok(&e.mirror(&[OsStr::new("verify"), OsStr::from_bytes(v)]), 0);
        let clash = e.mirror(&[OsStr::new("init"), b.as_os_str(), a.as_os_str()]);
        ok(&clash, 1);
        ok(&e.typed(&suggested(&clash, "mirror detach ")), 0);
        assert!(!a.join(".mirror").exists(), "{shown:?} is still a leg");
    }
}

/// `--json` in every command that has it: one line of JSON with a schema; a failure's exit is its code.
#[test]
fn json_is_json() {
    need!("python3");
    let e = Env::new("json");
    let odd = OsString::from_vec(b"odd\n\xff".to_vec());
    for d in [
        OsStr::new("a"),
        OsStr::new("b"),
        OsStr::new("c"),
        OsStr::new("d"),
        &odd,
    ] {
        fs::create_dir(e.p(d)).unwrap();
    }
    let run = |args: &[&OsStr], schema: &str, code: i32| {
        let o = e.mirror(args);
        let all = String::from_utf8_lossy(&said(&o)).into_owned();
        assert_eq!(o.status.code(), Some(code), "{args:?}: {all}");
        let mut py = e.command("python3");
        let read = "import json,sys; d = json.load(sys.stdin); print(d['schema'], d.get('exit', ''), d.get('message', ''))";
        let mut child = py
            .args(["-c", read])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::Write;
        child.stdin.take().unwrap().write_all(&o.stdout).unwrap();
        let p = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&p.stdout).into_owned();
        assert!(p.status.success(), "{args:?}: not JSON: {all}");
        let mut words = text.split(' ');
        let got = words.next().unwrap();
        // A command that goes on to the other pairs reports the lost one.
        assert!(schema.split('|').any(|s| s == got), "{args:?}: {all}");
        let exit = words.next().unwrap();
        assert!(
            exit.is_empty() || exit == code.to_string(),
            "{args:?}: {text}"
        );
        if schema == "mirror.error/1" {
            assert_eq!(exit, code.to_string(), "{args:?}: {text}");
            assert!(
                words.next().is_some_and(|w| !w.trim().is_empty()),
                "{args:?}: {text}"
            );
        }
    };
    let go = |line: &str, schema: &str, code: i32| {
        let words: Vec<&OsStr> = line.split(' ').map(OsStr::new).collect();
        run(&words, schema, code);
    };
    let error = "mirror.error/1";
    // Nothing is configured yet.
    for (command, code) in [
        ("status", 3),
        ("verify", 2),
        ("diff a", 2),
        ("ps", 64),
        ("resync", 2),
        ("wait a", 64),
        ("detach a", 64),
    ] {
        go(&format!("{command} --json"), error, code);
    }
    go("config check --json", "mirror.config-check/1", 0);
    // Usage.
    for (command, code) in [
        ("status", 3),
        ("verify", 2),
        ("diff a", 2),
        ("ps", 64),
        ("resync", 2),
        ("wait a", 64),
        ("detach a", 64),
        ("init a b", 64),
        ("doctor", 64),
        ("config check", 64),
    ] {
        go(&format!("{command} --json --nosuch"), error, code);
    }
    go("init a nosuch --json", error, 1);
    go("init a b --json -n", "mirror.init/1", 0);
    go("init a b --json --yes", "mirror.init/1", 0);
    go("init a b --json", "mirror.init/1", 0);
    go("init b c --json", error, 1);
    run(
        &["init", "c", "odd", "--json"].map(|w| if w == "odd" { &*odd } else { OsStr::new(w) }),
        "mirror.init/1",
        0,
    );
    for command in [
        "status",
        "verify",
        "ps",
        "resync --yes",
        "doctor",
        "config check",
        "wait a",
        "diff a",
    ] {
        let name = command
            .split(" -")
            .next()
            .unwrap()
            .trim_end_matches(" a")
            .replace(' ', "-");
        go(&format!("{command} --json"), &format!("mirror.{name}/1"), 0);
    }
    // A difference, and no time.
    fs::write(e.p("a/x"), "1").unwrap();
    go("verify --json", "mirror.verify/1", 1);
    go("diff a --json", "mirror.diff/1", 1);
    go("resync a --json", error, 2);
    go("resync a --json --yes", "mirror.resync/1", 0);
    go("status nosuch --json", error, 3);
    go("doctor nosuchprogram --json", "mirror.doctor/1", 1);
    // A lost leg.
    fs::rename(e.p("d"), e.p("d2")).unwrap();
    fs::rename(e.p("b"), e.p("gone")).unwrap();
    go("status --json", "mirror.status/1", 2);
    go("wait a --timeout 0 --json", "mirror.wait/1", 1);
    go("resync a --yes --json", "mirror.error/1|mirror.resync/1", 2);
    fs::rename(e.p("gone"), e.p("b")).unwrap();
    // A broken tab.
    let good = fs::read(e.p("tab")).unwrap();
    fs::write(e.p("tab"), "junk\n").unwrap();
    for (command, code) in [
        ("status", 3),
        ("verify", 2),
        ("diff a", 2),
        ("ps", 78),
        ("resync", 2),
        ("wait a", 78),
        ("detach a", 78),
        ("init a b", 78),
        ("config check", 78),
    ] {
        go(&format!("{command} --json"), error, code);
    }
    go("doctor --json", "mirror.doctor/1", 1);
    fs::write(e.p("tab"), good).unwrap();
    go("detach a --json", "mirror.detach/1", 0);
}

/// The text of a page without its macros.
fn page(name: &str) -> String {
    let text =
        fs::read_to_string(dist().join("man").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    text.replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fR", "")
        .replace("\\fI", "")
}

#[test]
fn the_manual_explains_every_option() {
    let commands = [
        "init",
        "run",
        "status",
        "verify",
        "resync",
        "diff",
        "ps",
        "wait",
        "try",
        "detach",
        "doctor",
        "config check",
        "explain",
        "completions",
    ];
    for command in commands {
        let file = match command {
            // mirror-run(1) is the script's.
            "run" => "man1/mirror-run-command.1".to_owned(),
            c => format!("man1/mirror-{}.1", c.replace(' ', "-")),
        };
        let text = page(&file);
        for section in [
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH DESCRIPTION",
            ".SH \"EXIT STATUS\"",
            ".SH EXAMPLES",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(text.contains(section), "{file}: no {section}");
        }
        assert!(!text.contains(".SH EXTRA"), "{file}");
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let e = Env::new("man");
        let help = String::from_utf8(e.mirror(&words).stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for option in help.split([' ', ',', '\n', '[', ']']).filter(|w| {
            w.starts_with("--")
                && w.len() > 3
                && w[2..].bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        }) {
            let at = lines.iter().enumerate().position(|(i, l)| {
                i > 0 && lines[i - 1] == ".TP" && l.split([',', ' ', '=']).any(|w| w == option)
            });
            let at = at.unwrap_or_else(|| panic!("{file}: {option} is not there"));
            let what = lines.get(at + 1).copied().unwrap_or("");
            assert!(
                !what.is_empty() && !what.starts_with('.'),
                "{file}: {option} has no text"
            );
        }
    }
    let script = page("man1/mirror-run.1");
    for word in ["MIRROR_LIB", "125", "EXAMPLES", "mirror-run-command"] {
        assert!(script.contains(word), "mirror-run.1: {word}");
    }
    assert!(page("man7/mirror.7").contains("MIRROR_OPTIONAL"));
    if !have("man") {
        skip("needs the program man");
        return;
    }
    for section in ["man1", "man5", "man7"] {
        for f in fs::read_dir(dist().join("man").join(section))
            .unwrap()
            .flatten()
        {
            let mut c = Command::new("man");
            c.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
                .arg(f.path());
            let o = c.env("MANROFFSEQ", "").output().unwrap();
            let err = String::from_utf8_lossy(&o.stderr).into_owned();
            assert!(
                o.status.success() && err.is_empty(),
                "{}: {err}",
                f.path().display()
            );
        }
    }
}
