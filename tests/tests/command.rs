//! The `mirror` command: every bad input is refused with a way out, leaves nothing behind, and has its
//! exit code; interrupted work goes on.
//!
//! Runs the built files: `$MIRROR_DIST`, else `target/dist` of the workspace. Every test has its own
//! directory and mirrortab; what needs root is skipped with a line when this is not root.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn dist() -> PathBuf {
    std::env::var_os("MIRROR_DIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist"),
        PathBuf::from,
    )
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A directory of its own with two empty legs; pairs are detached and everything removed at the end.
struct Env {
    dir: PathBuf,
}

struct Out {
    code: i32,
    out: String,
    err: String,
}

impl Env {
    fn new(name: &str) -> Env {
        let dir =
            std::env::temp_dir().join(format!("mirror-command-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for leg in ["a", "b"] {
            fs::create_dir_all(dir.join(leg)).unwrap();
        }
        Env {
            dir: fs::canonicalize(dir).unwrap(),
        }
    }
    fn p(&self, rel: &str) -> PathBuf {
        self.dir.join(rel)
    }
    fn write(&self, rel: &str, data: &str) {
        fs::write(self.p(rel), data).unwrap();
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(dist().join("mirror"));
        c.args(args)
            .current_dir(&self.dir)
            .env("MIRRORTAB", self.p("tab"))
            .env_remove("MIRROR")
            .env_remove("MIRROR_LIB")
            .stdin(Stdio::null());
        c
    }
    fn run(&self, args: &[&str]) -> Out {
        finish(&mut self.command(args))
    }
    /// Runs, expects the code, and every text in stdout + stderr.
    fn expect(&self, args: &[&str], code: i32, texts: &[&str]) -> Out {
        check(self.run(args), args, code, texts)
    }
    /// No leg has been touched and no pair configured.
    fn nothing_left(&self) {
        for leg in ["a", "b"] {
            assert!(
                !self.p(leg).join(".mirror").exists(),
                "{leg}/.mirror was left"
            );
        }
        assert!(!self.p("tab").exists(), "a mirrortab was left");
    }
    fn refused_init(&self, args: &[&str], texts: &[&str]) {
        let all: Vec<&str> = ["init"].iter().chain(args).copied().collect();
        let o = self.expect(&all, 1, texts);
        assert!(o.err.starts_with("mirror: init: "), "{}", o.err);
        self.nothing_left();
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        let tab = fs::read_to_string(self.p("tab")).unwrap_or_default();
        let _ = fs::set_permissions(self.p("tab"), fs::Permissions::from_mode(0o600));
        for v in tab
            .lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(|l| l.split(' ').next())
        {
            let _ = self.run(&["detach", v]);
        }
        let _ = Command::new("chmod")
            .args(["-R", "u+rwX"])
            .arg(&self.dir)
            .output();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn finish(c: &mut Command) -> Out {
    let o = c.output().unwrap_or_else(|e| panic!("{c:?}: {e}"));
    let code = o
        .status
        .code()
        .unwrap_or_else(|| 1000 + o.status.signal().unwrap_or(0));
    Out {
        code,
        out: String::from_utf8_lossy(&o.stdout).into(),
        err: String::from_utf8_lossy(&o.stderr).into(),
    }
}

fn check(o: Out, args: &[&str], code: i32, texts: &[&str]) -> Out {
    let all = format!("{}{}", o.out, o.err);
    assert_eq!(o.code, code, "mirror {args:?}\n{all}");
    assert!(
        !all.contains("panicked") && !all.contains("os error"),
        "{all}"
    );
    for t in texts {
        assert!(all.contains(t), "mirror {args:?}: {t:?} is not in\n{all}");
    }
    o
}

// ---- legs ----

#[test]
fn legs_must_exist_and_be_directories() {
    let e = Env::new("legs");
    e.write("file", "");
    e.refused_init(
        &["a", "nosuch", "--yes"],
        &["nosuch: no such directory", "mkdir nosuch"],
    );
    e.refused_init(&["nosuch", "b", "--yes"], &["no such directory"]);
    e.refused_init(&["a", "file", "--yes"], &["file: not a directory"]);
}

#[test]
fn legs_must_be_two() {
    let e = Env::new("two");
    symlink("a", e.p("link")).unwrap();
    fs::create_dir(e.p("a/inner")).unwrap();
    e.refused_init(&["a", "a", "--yes"], &["the same directory"]);
    e.refused_init(&["a", "link", "--yes"], &["the same directory"]);
    e.refused_init(&["a", "a/inner", "--yes"], &["is inside"]);
    e.refused_init(&["a/inner", "a", "--yes"], &["is inside"]);
}

#[test]
fn pairs_never_overlap() {
    let e = Env::new("overlap");
    for d in ["c", "d", "a/sub", "up", "up/x"] {
        fs::create_dir_all(e.p(d)).unwrap();
    }
    e.expect(&["init", "a", "b", "--yes"], 0, &["IN SYNC"]);
    e.expect(&["init", "a", "c", "--yes"], 1, &["overlaps the pair"]);
    e.expect(&["init", "a/sub", "c", "--yes"], 1, &["overlaps the pair"]);
    e.expect(
        &["init", "c", "d", "--at", "a/v", "--yes"],
        1,
        &["overlaps the pair"],
    );
    // The pair of another mirrortab is seen by its control folder.
    let other = |args: &[&str]| {
        check(
            finish(e.command(args).env("MIRRORTAB", e.p("tab2"))),
            args,
            1,
            &[],
        )
    };
    assert!(
        other(&["init", "b", "c", "--yes"])
            .err
            .contains("already a leg of another pair")
    );
    assert!(
        other(&["init", "c", "a/sub", "--yes"])
            .err
            .contains("a leg of another pair")
    );
    assert!(!e.p("c/.mirror").exists() && !e.p("a/sub/.mirror").exists() && !e.p("tab2").exists());
    // …also from above.
    fs::create_dir_all(e.p("up/x/y")).unwrap();
    e.expect(&["init", "up/x", "d"], 0, &[]);
    let above = other(&["init", "up", "c", "--yes"]);
    assert!(
        above.err.contains("contains a leg of another pair"),
        "{}",
        above.err
    );
}

#[test]
fn a_leg_must_be_writable() {
    let e = Env::new("writable");
    if is_root() {
        let Some(m) = Mount::new(&e, "b", "size=1m,ro") else {
            return;
        };
        e.refused_init(&["a", "b", "--yes"], &["read-only", "Remount it"]);
        drop(m);
        eprintln!("skipped as root: a directory without write permission");
        return;
    }
    fs::set_permissions(e.p("b"), fs::Permissions::from_mode(0o555)).unwrap();
    e.expect(&["init", "a", "b", "--yes"], 77, &["not writable"]);
    e.nothing_left();
}

#[test]
fn differing_trees_are_refused_with_counts() {
    let e = Env::new("differ");
    for (f, d) in [
        ("a/1", "1"),
        ("a/2", "2"),
        ("a/same", "s"),
        ("b/same", "s"),
        ("b/3", "3"),
        ("a/x", "one"),
        ("b/x", "two"),
    ] {
        e.write(f, d);
    }
    Command::new("touch")
        .args(["-d", "@1000000000"])
        .args([e.p("a/same"), e.p("b/same")])
        .status()
        .unwrap();
    e.refused_init(
        &["a", "b", "--yes"],
        &["2 files only in a, 1 only in b, 1 different", "mirror diff"],
    );
    assert_eq!(fs::read_to_string(e.p("b/x")).unwrap(), "two");
    let o = e.expect(
        &["diff", "a", "b"],
        1,
        &["1  only in a", "3  only in b", "x  different  (content"],
    );
    assert!(!o.out.contains("same"), "{}", o.out);
}

#[test]
fn equal_trees_and_empty_trees_need_no_answer() {
    let e = Env::new("equal");
    e.write("a/f", "x");
    Command::new("cp")
        .args(["-a"])
        .args([e.p("a/f"), e.p("b/f")])
        .status()
        .unwrap();
    e.expect(&["init", "a", "b"], 0, &["IN SYNC"]);
    e.expect(&["init", "a", "b"], 0, &["already a pair"]);
    e.expect(&["status"], 0, &["IN SYNC", "never verified"]);
}

#[test]
fn without_a_terminal_nothing_is_copied_unasked() {
    let e = Env::new("unasked");
    e.write("a/f", "x");
    e.refused_init(&["a", "b"], &["--yes", "Nothing was done"]);
    assert!(!e.p("b/f").exists());
    e.expect(&["init", "a", "b", "--yes"], 0, &["IN SYNC"]);
    assert_eq!(fs::read_to_string(e.p("b/f")).unwrap(), "x");
}

// ---- V ----

#[test]
fn v_must_be_free_and_have_a_parent() {
    let e = Env::new("virt");
    fs::create_dir(e.p("full")).unwrap();
    e.write("full/f", "");
    e.write("file", "");
    symlink("elsewhere", e.p("link")).unwrap();
    e.refused_init(&["a", "b", "--at", "full"], &["not an empty directory"]);
    e.refused_init(&["a", "b", "--at", "file"], &["not an empty directory"]);
    e.refused_init(&["a", "b", "--at", "link"], &["a symlink to elsewhere"]);
    e.refused_init(
        &["a", "b", "--at", "no/v"],
        &["no: no such directory", "mkdir -p"],
    );
    e.refused_init(&["a", "b", "--at", "a/v"], &["overlaps a leg"]);
    assert!(e.p("full/f").exists() && e.p("file").exists());
}

#[test]
fn an_empty_directory_becomes_the_link() {
    let e = Env::new("link");
    fs::create_dir(e.p("v")).unwrap();
    e.expect(&["init", "a", "b", "--at", "v"], 0, &["IN SYNC"]);
    assert_eq!(fs::read_link(e.p("v")).unwrap(), e.p("a"));
    e.expect(&["init", "a", "b", "--at", "v"], 0, &["already a pair"]);
    fs::remove_file(e.p("v")).unwrap();
    e.expect(&["status"], 1, &["does not lead to leg a", "ln -sfn"]);
}

// ---- mirrortab ----

#[test]
fn a_broken_mirrortab_is_named_with_its_line() {
    let e = Env::new("tab");
    let bad = |text: &str, texts: &[&str]| {
        e.write("tab", text);
        for (args, code) in [
            (&["run", "true"][..], 125),
            (&["status"], 3),
            (&["config", "check"], 78),
            (&["verify"], 2),
        ] {
            e.expect(args, code, texts);
        }
    };
    bad(
        "# x\n\n/v /a /b on-fail=x\n",
        &["tab:3: option 'on-fail' unknown (did you mean on-failure?)"],
    );
    bad("/v /a\n", &["tab:1: needs three fields"]);
    bad("/v /a /b/\n", &["tab:1: has a path with"]);
    bad(
        "/v /a /b\n/w /c /b/d\n",
        &["tab:1 (/v)", "tab:2 (/w)", "overlap"],
    );
    fs::remove_file(e.p("tab")).unwrap();
}

#[test]
fn an_untrusted_mirrortab_does_not_count() {
    let e = Env::new("trust");
    e.write("tab", "/v /a /b\n");
    fs::set_permissions(e.p("tab"), fs::Permissions::from_mode(0o666)).unwrap();
    e.expect(
        &["run", "true"],
        125,
        &["others can write it", "chmod go-w"],
    );
    e.expect(&["config", "check"], 78, &["others can write it"]);
    fs::set_permissions(e.p("tab"), fs::Permissions::from_mode(0o644)).unwrap();
    if !is_root() {
        eprintln!("skipped: a mirrortab of another user (needs root)");
    } else {
        std::os::unix::fs::chown(e.p("tab"), Some(4711), None).unwrap();
        e.expect(&["run", "true"], 125, &["belongs to user 4711"]);
        e.expect(&["status"], 3, &["belongs to user 4711"]);
    }
    fs::remove_file(e.p("tab")).unwrap();
}

#[test]
fn no_such_pair_and_no_pair_at_all() {
    let e = Env::new("none");
    for (args, code) in [
        (&["run", "true"][..], 125),
        (&["status"], 3),
        (&["verify"], 2),
        (&["resync"], 2),
    ] {
        e.expect(
            args,
            code,
            &["no pairs configured", "mirror init LEG_A LEG_B"],
        );
    }
    e.expect(&["init", "a", "b"], 0, &[]);
    for (args, code) in [
        (&["run", "--pair", "/nosuch", "true"][..], 125),
        (&["status", "/nosuch"], 3),
        (&["verify", "/nosuch"], 2),
        (&["resync", "/nosuch"], 2),
        (&["detach", "/nosuch"], 64),
    ] {
        e.expect(
            args,
            code,
            &["no such pair: /nosuch", e.p("a").to_str().unwrap()],
        );
    }
    e.expect(&["explain", "M-999"], 64, &["no such code"]);
    e.expect(&["nosuch"], 64, &[]);
    e.expect(&["run"], 125, &[]);
}

#[test]
fn comments_of_the_mirrortab_stay() {
    let e = Env::new("comments");
    e.write("tab", "# mine\n\n# more\n");
    e.expect(&["init", "a", "b"], 0, &[]);
    e.expect(&["detach", "a"], 0, &["stay as they are"]);
    assert_eq!(
        fs::read_to_string(e.p("tab")).unwrap(),
        "# mine\n\n# more\n"
    );
    assert!(!e.p("a/.mirror").exists() && !e.p("b/.mirror").exists());
}

// ---- run ----

fn pair(name: &str) -> Env {
    let e = Env::new(name);
    e.expect(&["init", "a", "b"], 0, &[]);
    e
}

fn script(e: &Env, rel: &str, text: &[u8]) {
    fs::write(e.p(rel), text).unwrap();
    fs::set_permissions(e.p(rel), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn commands_that_are_not_there_or_cannot_run() {
    let e = pair("found");
    e.write("plain", "text");
    script(&e, "lost", b"#!/no/such/interpreter\n");
    script(&e, "junk", b"\x01\x00\x02\x00 not a program");
    e.expect(
        &["run", "frobnicate"],
        127,
        &["mirror: run: frobnicate: command not found"],
    );
    e.expect(&["run", "./frobnicate"], 127, &["no such file"]);
    e.expect(&["run", "./plain"], 126, &["Permission denied"]);
    e.expect(&["run", "."], 126, &["is a directory"]);
    e.expect(
        &["run", "./lost"],
        126,
        &["/no/such/interpreter is not there"],
    );
    e.expect(&["run", "./junk"], 126, &["exec format error"]);
}

/// The smallest ELF file with these program headers: (type, contents).
fn elf(machine: u16, parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut f = vec![0u8; 64 + 56 * parts.len()];
    f[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    f[16..20].copy_from_slice(&[3, 0, machine as u8, (machine >> 8) as u8]);
    f[20] = 1;
    f[32] = 64;
    f[52] = 64;
    f[54] = 56;
    f[56] = parts.len() as u8;
    f[58] = 64;
    for (i, (kind, data)) in parts.iter().enumerate() {
        let (at, h) = (f.len() as u64, 64 + 56 * i);
        f[h..h + 4].copy_from_slice(&kind.to_le_bytes());
        f[h + 8..h + 16].copy_from_slice(&at.to_le_bytes());
        f[h + 32..h + 40].copy_from_slice(&(data.len() as u64).to_le_bytes());
        f.extend_from_slice(data);
    }
    f
}

#[cfg(target_arch = "x86_64")]
const HERE: (u16, u16) = (62, 183);
#[cfg(target_arch = "aarch64")]
const HERE: (u16, u16) = (183, 62);

#[test]
fn programs_that_cannot_be_mirrored_are_refused() {
    let e = pair("refused");
    let interp: (u32, &[u8]) = (3, b"/lib64/ld-linux-x86-64.so.2\0");
    script(&e, "static", &elf(HERE.0, &[(1, b"")]));
    script(&e, "static-pie", &elf(HERE.0, &[(2, b"")]));
    script(
        &e,
        "go",
        &elf(
            HERE.0,
            &[interp, (4, b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0abcd")],
        ),
    );
    script(&e, "foreign", &elf(HERE.1, &[interp]));
    script(
        &e,
        "musl",
        &elf(HERE.0, &[(3, b"/lib/ld-musl-x86_64.so.1\0")]),
    );
    script(
        &e,
        "wrapped",
        format!("#!{}\n", e.p("static").display()).as_bytes(),
    );
    e.expect(&["run", "./static"], 125, &["static is statically linked: its writes would reach leg a only. Refused; --allow-unmirrored static"]);
    e.expect(&["run", "./static-pie"], 125, &["statically linked"]);
    e.expect(
        &["run", "./go"],
        125,
        &["go is a Go program and bypasses libc"],
    );
    e.expect(
        &["run", "./foreign"],
        125,
        &["libmirror.so cannot be loaded into it"],
    );
    e.expect(&["run", "./musl"], 125, &["musl"]);
    e.expect(
        &["run", "./wrapped"],
        125,
        &["wrapped: static is statically linked"],
    );
    e.expect(&["doctor", "./go"], 1, &["Go program"]);
    e.expect(&["status"], 0, &["IN SYNC"]);
}

#[test]
fn a_setuid_program_is_refused() {
    let e = pair("setuid");
    let name = if is_root() {
        fs::copy("/bin/true", e.p("suid")).unwrap();
        std::os::unix::fs::chown(e.p("suid"), Some(4711), None).unwrap();
        fs::set_permissions(e.p("suid"), fs::Permissions::from_mode(0o4755)).unwrap();
        "./suid"
    } else if fs::metadata("/usr/bin/passwd").is_ok_and(|m| m.mode() & 0o4000 != 0) {
        "/usr/bin/passwd"
    } else {
        eprintln!("skipped: no setuid program of another user here");
        return;
    };
    e.expect(&["run", name], 125, &["is setuid", "--allow-unmirrored"]);
}

#[test]
fn a_library_that_cannot_be_loaded_stops_the_command() {
    let e = pair("library");
    e.write("empty.so", "");
    e.write("text.so", "this is no library\n");
    let with = |lib: &str, texts: &[&str]| {
        let args = ["run", "sh", "-c", "echo ran; sleep 9"];
        let o = check(
            finish(e.command(&args).env("MIRROR_LIB", e.p(lib))),
            &args,
            125,
            texts,
        );
        assert!(
            !o.out.contains("ran") || texts == ["did not attach"],
            "{}",
            o.out
        );
    };
    with("nosuch.so", &["nosuch.so: No such file"]);
    with("empty.so", &["empty"]);
    let begun = Instant::now();
    with("text.so", &["did not attach"]);
    assert!(begun.elapsed() < Duration::from_secs(6));
    e.expect(&["status"], 0, &["IN SYNC"]);
}

#[test]
fn the_commands_end_is_ours() {
    let e = pair("end");
    e.expect(&["run", "--", "sh", "-c", "exit 7"], 7, &[]);
    e.expect(&["run", "--", "sh", "-c", "kill -TERM $$"], 1015, &[]);
    e.expect(&["run", "--", "sh", "-c", "kill -KILL $$"], 1009, &[]);
    e.expect(
        &["run", "--exec", "--", "sh", "-c", "echo in; exit 5"],
        5,
        &["in"],
    );
    let mut c = e
        .command(&[
            "run",
            "--",
            "sh",
            "-c",
            "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    Command::new("kill")
        .arg(c.id().to_string())
        .status()
        .unwrap();
    assert_eq!(c.wait().unwrap().code(), Some(9));
}

#[test]
fn the_command_itself_stays_outside() {
    let e = pair("outside");
    let args = ["status"];
    check(
        finish(
            e.command(&args)
                .env("LD_PRELOAD", dist().join("libmirror.so")),
        ),
        &args,
        0,
        &["IN SYNC"],
    );
}

// ---- resync, verify ----

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
    assert_eq!(fs::read_to_string(kept.join("d/f")).unwrap(), "wrong!");
}

#[test]
fn a_missing_leg_deletes_nothing() {
    let e = Env::new("missing");
    e.write("a/f", "x");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    fs::rename(e.p("a"), e.p("gone")).unwrap();
    fs::create_dir(e.p("a")).unwrap();
    e.expect(&["status"], 2, &["NO USABLE PAIR", "not mounted"]);
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

struct Mount(PathBuf);

impl Mount {
    fn new(e: &Env, rel: &str, options: &str) -> Option<Mount> {
        let p = e.p(rel);
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "mirror-test"])
            .arg(&p)
            .output();
        if done.is_ok_and(|o| o.status.success()) {
            return Some(Mount(p));
        }
        eprintln!("skipped: cannot mount a tmpfs here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_stops_the_copy_and_the_same_command_goes_on() {
    if !is_root() {
        eprintln!("skipped: needs root for a small tmpfs");
        return;
    }
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
        eprintln!("skipped: the copy was never caught in its middle");
    }
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    e.expect(&["verify"], 0, &["3,000 objects", "0 differences"]);
}
