//! `mirror try`, and what is printed rather than done: explain, completions, the manual.
use super::*;

/// `mirror try` in a temporary directory of its own, with no configuration.
fn try_in(e: &Env, args: &[&str]) -> Command {
    let mut c = e.command(&["try"]);
    fs::create_dir_all(e.p("tmp")).unwrap();
    c.args(args).env("TMPDIR", e.p("tmp"));
    c
}

fn left(e: &Env) -> Vec<PathBuf> {
    fs::read_dir(e.p("tmp"))
        .unwrap()
        .flatten()
        .map(|d| d.path())
        .collect()
}

#[test]
fn a_pair_to_throw_away() {
    let e = pair("try");
    let tab = fs::read(e.p("tab")).unwrap();
    // Both trees have it; mirror works as typed, and sees only this pair; the code is the command's.
    let script = "echo hi > f && cat ../disk1/f ../disk2/f && mirror status && exit 7";
    let o = check(
        finish(&mut try_in(&e, &["--", "sh", "-c", script])),
        &["try"],
        7,
        &["hi\nhi\n", "/data    IN SYNC", "disk1 and disk2: IN SYNC"],
    );
    assert!(!o.out.contains(e.p("a").to_str().unwrap()), "{}", o.out);
    assert!(left(&e).is_empty(), "{:?}", left(&e));
    assert_eq!(fs::read(e.p("tab")).unwrap(), tab);
    check(
        finish(&mut try_in(&e, &["--", "sh", "-c", "kill -TERM $$"])),
        &["try"],
        1015,
        &[],
    );
    check(
        finish(&mut try_in(&e, &["frobnicate"])),
        &["try"],
        127,
        &["mirror: try: frobnicate: command not found"],
    );
    assert!(left(&e).is_empty(), "{:?}", left(&e));
    e.expect(&["status"], 0, &["IN SYNC"]);
}

#[test]
fn a_signal_ends_it_and_nothing_is_left() {
    let e = Env::new("trysignal");
    let mut c = try_in(
        &e,
        &["--", "sh", "-c", "echo x > f; echo up; exec sleep 50"],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut up = [0u8; 3];
    std::io::Read::read_exact(c.stdout.as_mut().unwrap(), &mut up).unwrap();
    let killed = Command::new("kill")
        .arg(c.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(c.wait().unwrap().signal(), Some(libc::SIGTERM));
    assert!(left(&e).is_empty(), "{:?}", left(&e));
}

#[test]
fn a_shell_with_a_hint() {
    let e = Env::new("tryshell");
    let mut c = try_in(&e, &[])
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write;
    c.stdin
        .take()
        .unwrap()
        .write_all(b"echo typed > f; cat ../disk2/f; exit 3\n")
        .unwrap();
    let o = c.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&o.stdout);
    assert_eq!(o.status.code(), Some(3), "{out}");
    assert!(
        out.contains("Try:") && out.contains("mirror status") && out.contains("\ntyped\n"),
        "{out}"
    );
    assert!(left(&e).is_empty(), "{:?}", left(&e));
}

#[test]
fn what_is_kept_can_be_used_again() {
    let e = Env::new("trykeep");
    let o = check(
        finish(&mut try_in(&e, &["--keep", "--", "sh", "-c", "echo x > f"])),
        &["try"],
        0,
        &["kept ", "remove it:"],
    );
    let dir = left(&e).pop().unwrap_or_else(|| panic!("{}", o.out));
    let tab = dir.join("mirrortab");
    let with = |args: &[&str], text: &str| {
        check(
            finish(e.command(args).env("MIRRORTAB", &tab)),
            args,
            0,
            &[text],
        )
    };
    with(&["verify"], "0 differences");
    assert_eq!(fs::read_to_string(dir.join("disk2/f")).unwrap(), "x\n");
    with(&["detach", dir.join("data").to_str().unwrap()], "detached");
}

#[test]
fn what_still_runs_is_not_pulled_away() {
    let e = Env::new("trybusy");
    // A program of the background, which ends when somebody has written to the fifo.
    let fifo = e.p("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    // (It keeps none of our pipes open.)
    let script = format!("(read x < {}) >/dev/null 2>&1 & true", fifo.display());
    let o = check(
        finish(&mut try_in(&e, &["--", "sh", "-c", &script])),
        &["try"],
        0,
        &["still in use by sh[", "stays"],
    );
    let err = o.err;
    let dir = left(&e).pop().unwrap();
    fs::write(&fifo, "x\n").unwrap();
    // When it has ended, the words that were printed remove everything.
    let words = err.split_once("have ended: ").unwrap().1.trim();
    let mut clock = mirror_tests::Clock::start();
    loop {
        let o = Command::new("sh")
            .args(["-c", words])
            .env("PATH", format!("{}:/usr/bin:/bin", dist().display()))
            .output()
            .unwrap();
        if o.status.success() {
            break;
        }
        assert!(clock.spent() < mirror_tests::PATIENCE, "{o:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!dir.exists());
}

#[test]
fn every_code_is_explained() {
    let e = Env::new("explain");
    let o = e.expect(&["explain"], 0, &["M-101", "M-201", "M-204"]);
    for line in o.out.lines() {
        let code = line.split_whitespace().next().unwrap();
        let one = e.expect(&["explain", code], 0, &[code]);
        assert!(one.out.lines().count() >= 4, "{}", one.out);
        e.expect(&["explain", &code.to_lowercase()], 0, &[code]);
    }
    e.expect(&["explain", "M-999"], 64, &["no such code"]);
}

fn completions(shells: &[&str]) {
    let e = Env::new(&format!("completions-{}", shells[0]));
    for shell in shells.iter().copied() {
        let o = e.expect(&["completions", shell], 0, &["resync", "wait"]);
        assert!(!o.out.contains("probe-lock"), "{shell}");
        e.write("script", &o.out);
        if !mirror_tests::have(shell) {
            skip(format!("needs the program {shell} to check its script"));
            continue;
        }
        let checked = Command::new(shell)
            .arg("-n")
            .arg(e.p("script"))
            .output()
            .unwrap();
        assert!(
            checked.status.success() && checked.stderr.is_empty(),
            "{checked:?}"
        );
    }
    e.expect(&["completions", "nosuch"], 64, &[]);
}

#[test]
fn completions_are_shell_scripts() {
    completions(&["bash"]);
}

#[test]
fn completions_of_other_shells() {
    completions(&["zsh", "fish"]);
}

#[test]
fn the_manual_has_a_page_for_everything() {
    let e = Env::new("manual");
    e.expect(&["man", "--out", "man"], 0, &["manual pages"]);
    let help = e.expect(&["--help"], 0, &["resync", "completions"]);
    let mut pages = 0;
    for line in help.out.lines().skip_while(|l| *l != "Commands:").skip(1) {
        let Some(name) = line.strip_prefix("  ").and_then(|l| l.split(' ').next()) else {
            break;
        };
        if name == "help" || name.is_empty() {
            continue;
        }
        let page = fs::read_to_string(e.p(&format!("man/man1/mirror-{name}.1")))
            .unwrap_or_else(|x| panic!("mirror-{name}.1: {x}"));
        assert!(
            page.contains(".SH NAME") && page.contains("SEE ALSO"),
            "{page}"
        );
        pages += 1;
    }
    assert!(pages >= 14, "{pages} pages");
    for page in ["man1/mirror.1", "man5/mirrortab.5", "man7/mirror.7"] {
        assert!(e.p("man").join(page).exists(), "{page}");
    }
    if !mirror_tests::have("groff") {
        return skip("needs the program groff to check the pages");
    }
    for dir in ["man1", "man5", "man7"] {
        for page in fs::read_dir(e.p("man").join(dir)).unwrap().flatten() {
            let o = Command::new("groff")
                .args(["-man", "-Tutf8", "-ww", "-z"])
                .arg(page.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&o.stderr);
            assert!(
                o.status.success() && said.is_empty(),
                "{}: {said}",
                page.path().display()
            );
        }
    }
}
