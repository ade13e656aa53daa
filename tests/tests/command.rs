//! The `mirror` command: every bad input is refused with a way out, leaves nothing behind, and has its
//! exit code; interrupted work goes on.
//!
//! Runs the built files: `$MIRROR_DIST`, else `target/dist` of the workspace. Every test has its own
//! directory and mirrortab; what needs root is skipped with a line when this is not root.
use mirror_tests::{dist, is_root, need, skip};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

#[path = "command/attached.rs"]
mod attached;
#[path = "command/fidelity.rs"]
mod fidelity;
#[path = "command/groups.rs"]
mod groups;
#[path = "command/jobs.rs"]
mod jobs;
#[path = "command/repair.rs"]
mod repair;
#[path = "command/resyncs.rs"]
mod resyncs;
#[path = "command/run.rs"]
mod run;
#[path = "command/sources.rs"]
mod sources;
#[path = "command/tabs.rs"]
mod tabs;
#[path = "command/trial.rs"]
mod trial;
#[path = "command/unread.rs"]
mod unread;
#[path = "command/users.rs"]
mod users;

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
        mirror_tests::forget_pairs(&self.dir);
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

fn pair(name: &str) -> Env {
    let e = Env::new(name);
    e.expect(&["init", "a", "b"], 0, &[]);
    e
}

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
        skip("cannot mount a tmpfs here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
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
    e.expect(&["init", "up/x", "d", "--yes"], 0, &[]);
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
        skip("a directory without write permission");
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
    e.expect(&["status"], 2, &["LINK BROKEN", "is not there", "ln -sfn"]);
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
        skip("a mirrortab of another user (needs root)");
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
fn a_full_disk_under_stdout_is_told() {
    let e = pair("devfull");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let o = e
        .command(&["status"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let err = String::from_utf8_lossy(&o.stderr);
    assert!(
        err.starts_with("mirror: status: standard output") && o.status.code() == Some(3),
        "{err}"
    );
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
