//! Setting up: how many pairs there can be, what `init` refuses, how the library is found again, and
//! what is said when a program does not start.
//!
//! Every test has its own directory and mirrortab.
use mirror_tests::{FsType, LoopFs, dist, need, skip};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[path = "setup/starting.rs"]
mod starting;

struct Env(PathBuf);

impl Env {
    fn new(name: &str) -> Env {
        let dir = std::env::temp_dir().join(format!("mirror-setup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for d in ["a", "b", "c", "d"] {
            fs::create_dir_all(dir.join(d)).unwrap();
        }
        Env(fs::canonicalize(dir).unwrap())
    }
    fn p(&self, rel: &str) -> PathBuf {
        self.0.join(rel)
    }
    /// A program in the test's folder, with its tab.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut c = Command::new(program);
        c.current_dir(&self.0)
            .env("MIRRORTAB", self.p("tab"))
            .env_remove("MIRROR")
            .env_remove("MIRROR_LIB")
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::null());
        c
    }
    fn mirror(&self, args: &[&str]) -> Output {
        let mut c = self.command(dist().join("mirror"));
        c.args(args).output().unwrap()
    }
    /// Runs `mirror`, expects a code, and the texts in what it says.
    #[track_caller]
    fn expect(&self, args: &[&str], code: i32, texts: &[&str]) {
        let o = self.mirror(args);
        let all = said(&o);
        assert_eq!(o.status.code(), Some(code), "mirror {args:?}\n{all}");
        for t in texts {
            assert!(all.contains(t), "mirror {args:?}: {t:?} is not in\n{all}");
        }
    }
    /// A preloaded program.
    fn preloaded(&self, program: &str) -> Command {
        let mut c = self.command(program);
        c.env("LD_PRELOAD", dist().join("libmirror.so"));
        c
    }
    fn tab(&self) -> String {
        fs::read_to_string(self.p("tab")).unwrap_or_default()
    }
    /// Everything below, with what it is.
    fn listing(&self) -> Vec<(PathBuf, u32, u64)> {
        let mut all = Vec::new();
        let mut todo = vec![self.0.clone()];
        while let Some(dir) = todo.pop() {
            for e in fs::read_dir(dir).unwrap().flatten() {
                let m = e.path().symlink_metadata().unwrap();
                if m.is_dir() {
                    todo.push(e.path());
                }
                all.push((e.path(), m.mode(), m.uid().into()));
            }
        }
        all.sort();
        all
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        for line in self.tab().lines().filter(|l| !l.starts_with('#')) {
            let v = line.split(' ').next().unwrap_or("");
            if Path::new(v).exists() {
                let _ = self.mirror(&["detach", v]);
            }
        }
        mirror_tests::forget_pairs(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&[&o.stdout[..], &o.stderr[..]].concat()).into_owned()
}

/// Makes a pair `aN`, `bN` for each number.
fn pairs(e: &Env, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        for d in [&a, &b] {
            fs::create_dir(e.p(d)).unwrap();
        }
        e.expect(&["init", &a, &b, "--yes"], 0, &["ready"]);
    }
}

#[test]
fn sixty_four_pairs_and_no_more() {
    let e = Env::new("many");
    // Three that are there, at both ends and in the middle; the others are lines alone.
    let others = |numbers: std::ops::Range<usize>| {
        let line = |n| format!("/nonexistent/a{n} /nonexistent/a{n} /nonexistent/b{n} defaults\n");
        let tab = e.tab() + &numbers.map(line).collect::<String>();
        fs::write(e.p("tab"), tab).unwrap();
    };
    pairs(&e, 0..1);
    others(1..31);
    pairs(&e, 31..32);
    others(32..63);
    pairs(&e, 63..64);
    e.expect(&["config", "check"], 0, &["64 pairs"]);
    // Programs change any of them, and several, also in children.
    let script = "for n in 0 31 63; do echo $n > a$n/f; (echo child > a$n/g); mv a$n/g a$n/h; done; cat a63/h";
    let o = e.preloaded("sh").args(["-c", script]).output().unwrap();
    assert_eq!((o.status.code(), said(&o).as_str()), (Some(0), "child\n"));
    for n in [0, 31, 63] {
        for f in ["f", "h"] {
            let read = |leg: &str| fs::read(e.p(&format!("{leg}{n}/{f}"))).unwrap();
            assert_eq!(read("a"), read("b"), "{f} of pair {n}");
        }
    }
    let before = e.listing();
    e.expect(
        &["init", "a", "b", "--yes"],
        1,
        &["64 pairs are configured", "mirror detach"],
    );
    assert_eq!(e.listing(), before, "refused, and something was left");
    // A line written by hand.
    let mut tab = e.tab();
    tab += &format!("{0}/a {0}/a {0}/b defaults\n", e.0.display());
    fs::write(e.p("tab"), &tab).unwrap();
    e.expect(&["config", "check"], 78, &["65 pairs", "64 at most"]);
    e.expect(&["doctor"], 1, &["65 pairs"]);
    e.expect(&["run", "--", "true"], 125, &["65 pairs"]);
    let o = e.preloaded("true").output().unwrap();
    assert_eq!(o.status.code(), Some(78));
    assert!(said(&o).contains("more than 64 pairs"), "{}", said(&o));
    // The way out works.
    e.expect(&["detach", "a0"], 0, &["detached"]);
    e.expect(&["config", "check"], 0, &["64 pairs"]);
    let o = e.preloaded("true").output().unwrap();
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
}

/// Nothing is known of a leg that is not there; what has no name, or lies elsewhere, is changed all the same.
#[test]
fn what_is_outside_is_changed_while_a_leg_is_lost() {
    need!("python3");
    let e = Env::new("lost-leg");
    pairs(&e, 0..1);
    let line = "/nonexistent/v /nonexistent/v /nonexistent/b defaults\n";
    fs::write(e.p("tab"), e.tab() + line).unwrap();
    let script = r#"
import os, socket, sys, tempfile, pty
def put(what, n):
    try: assert os.write(n, b"x") == 1
    except OSError as e: print(what, e)
r, w = os.pipe(); put("pipe", w)
a, b = socket.socketpair(); put("socket", a.fileno())
put("null", os.open("/dev/null", os.O_WRONLY))
put("memory", os.memfd_create("m")); os.ftruncate(os.memfd_create("m"), 10)
put("terminal", pty.openpty()[0])
d = tempfile.mkdtemp()
f = os.open(d + "/gone", os.O_CREAT | os.O_WRONLY); os.unlink(d + "/gone"); put("gone", f)
put("nameless", os.open(d, os.O_TMPFILE | os.O_WRONLY))
put("file", os.open(d + "/f", os.O_CREAT | os.O_WRONLY))
os.mkfifo(d + "/p"); put("fifo", os.open(d + "/p", os.O_RDWR))
os.rename(d + "/f", d + "/g"); os.chmod(d + "/g", 0o600); os.truncate(d + "/g", 0)
for n in ["g", "p"]: os.unlink(d + "/" + n)
os.rmdir(d)
put("pair", os.open("a0/f", os.O_CREAT | os.O_WRONLY))
"#;
    let mut c = e.preloaded("/usr/bin/python3");
    let o = c.args(["-B", "-c", script]).output().unwrap();
    assert_eq!((o.status.code(), said(&o).as_str()), (Some(0), ""));
    assert_eq!(fs::read(e.p("b0/f")).unwrap(), b"x");
}

#[test]
fn the_limit_of_descriptors_grows_with_the_pairs_in_use() {
    need!("setpriv", "prlimit");
    let e = Env::new("room");
    pairs(&e, 0..3);
    let drop = "setpriv --bounding-set=-all --inh-caps=-all";
    let limited = |hard: u32, script: &str| {
        let mut c = e.command("sh");
        let lib = dist().join("libmirror.so");
        let run = format!(
            "prlimit --nofile=1024:{hard} {drop} env LD_PRELOAD={} sh -c '{script}'",
            lib.display()
        );
        c.args(["-c", &run]).output().unwrap()
    };
    // One pair, wherever it stands in the tab.
    for n in 0..3 {
        let o = limited(8458, &format!("echo x > a{n}/f"));
        assert_eq!(o.status.code(), Some(0), "pair {n}: {}", said(&o));
        assert_eq!(fs::read(e.p(&format!("b{n}/f"))).unwrap(), b"x\n");
    }
    // Two need a second block, and none is written on one leg.
    let o = limited(8458, "echo x > a0/two; echo x > a1/two");
    assert!(said(&o).contains("Too many open files"), "{}", said(&o));
    assert!(!e.p("a1/two").exists() && !e.p("b1/two").exists());
    let o = limited(8458 + 266, "echo x > a0/two && echo x > a1/two");
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    // Said before a program finds out.
    for (args, code) in [("doctor", 1), ("run -- touch a0/l", 125)] {
        let mut c = e.command("sh");
        let run = format!(
            "prlimit --nofile=1024:8457 {drop} {} {args}",
            dist().join("mirror").display()
        );
        let o = c.args(["-c", &run]).output().unwrap();
        assert_eq!(o.status.code(), Some(code), "{args}: {}", said(&o));
        assert!(said(&o).contains("8458"), "{args}: {}", said(&o));
    }
    assert!(!e.p("a0/l").exists());
}

#[test]
fn init_refuses_what_would_break_the_tab() {
    let e = Env::new("refused");
    for d in ["p/a", "p/b", "e", "in"] {
        fs::create_dir_all(e.p(d)).unwrap();
    }
    symlink("e", e.p("to-e")).unwrap();
    e.expect(&["init", "p/a", "p/b", "--at", "p/v", "--yes"], 0, &[]);
    let inside = |d: &str| format!("{} overlaps the pair", e.p(d).display());
    let (pa, pb, pv) = (inside("p/a"), inside("p/b"), inside("p/v"));
    let above = inside("p");
    let before = e.listing();
    let tab = e.tab();
    for (args, texts) in [
        (&["a", "b", "--at", "b"][..], &["is leg b itself"][..]),
        (&["a", "b", "--at", "a/v"], &["inside leg a"]),
        (&["a", "b", "--at", "b/v"], &["inside leg b"]),
        (&["a", "b", "--at", "."], &["is inside it"]),
        (&["a", "b", "--at", "to-e"], &["a symlink to"]),
        (&["a", "b", "--at", "p/a"], &[&pa, "leg a"]),
        (&["a", "b", "--at", "p/b"], &[&pb, "leg b"]),
        (&["a", "b", "--at", "p/v"], &[&pv, "virtual directory"]),
        (&["p/a", "a"], &[&pa]),
        (&["a", "p/b"], &[&pb]),
        (&["a", "p"], &[&above]),
        (&["p", "a"], &[&above]),
        (&["a", "/"], &["/ cannot be a leg"]),
        (&["a", "/proc"], &["/proc cannot be mirrored"]),
        (&["/sys", "a"], &["/sys cannot be mirrored"]),
        (&["a", "/sys/kernel"], &["/sys/kernel cannot be mirrored"]),
        (&["a", "/dev"], &["/dev cannot be mirrored"]),
        (&["a", "/proc/self"], &["cannot be mirrored"]),
        (&["a", "b", "--at", "/proc/v"], &["cannot be mirrored"]),
        (&["a", "b", "--at", "/sys/v"], &["cannot be mirrored"]),
        (&["a", "b", "--at", "/dev/v"], &["cannot be mirrored"]),
        (
            &["p/a", "p/b", "--at", "p/v", "--stripes", "3"],
            &["already a pair, with --stripes 64"],
        ),
    ] {
        for yes in [true, false] {
            let mut all = vec!["init"];
            all.extend(args);
            if yes {
                all.push("--yes");
            }
            e.expect(&all, 1, texts);
            assert_eq!(e.listing(), before, "{args:?} left something");
            assert_eq!(e.tab(), tab, "{args:?}");
        }
    }
    // A name that the tab cannot say.
    let odd = e.p("carriage\rreturn");
    fs::create_dir(&odd).unwrap();
    let before = e.listing();
    e.expect(
        &["init", "a", odd.to_str().unwrap(), "--yes"],
        1,
        &["carriage return"],
    );
    assert_eq!(e.listing(), before);
    // What is right is not refused.
    e.expect(
        &["init", "p/a", "p/b", "--at", "p/v", "--stripes", "64"],
        0,
        &["already a pair"],
    );
    e.expect(&["init", "a", "b", "--at", "a", "--yes"], 0, &["ready"]);
    e.expect(&["config", "check"], 0, &["2 pairs"]);
}

/// Everything in a file system but what mkfs made.
#[test]
fn lost_and_found_is_left_out_whole_or_mirrored_whole() {
    need!(root);
    let e = Env::new("lost");
    fs::remove_dir(e.p("b")).unwrap();
    let ext = match LoopFs::new(FsType::Ext4, &e.p("b"), 64) {
        Ok(m) => m,
        Err(why) => return skip(why),
    };
    // An ordinary directory of that name is part of the tree.
    for d in ["c", "d"] {
        fs::create_dir(e.p(d).join("lost+found")).unwrap();
    }
    fs::write(e.p("c/lost+found/f"), "data").unwrap();
    e.expect(&["init", "c", "d", "--source", "a", "--yes"], 0, &[]);
    assert_eq!(fs::read(e.p("d/lost+found/f")).unwrap(), b"data");
    let o = e
        .preloaded("sh")
        .args(["-c", "echo more > c/lost+found/g"])
        .output()
        .unwrap();
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    assert_eq!(fs::read(e.p("d/lost+found/g")).unwrap(), b"more\n");
    fs::write(e.p("c/lost+found/only"), "").unwrap();
    e.expect(&["verify", "c"], 1, &["lost+found/only  only in a"]);
    e.expect(&["resync", "c", "--yes"], 0, &[]);
    assert!(e.p("d/lost+found/only").exists());
    // The file system's own is left out, on both legs, and that is said.
    fs::create_dir(e.p("a/lost+found")).unwrap();
    fs::write(e.p("a/f"), "1").unwrap();
    fs::write(e.p("a/lost+found/x"), "1").unwrap();
    e.expect(&["init", "a", "b", "--yes"], 0, &["lost+found", "left out"]);
    e.expect(&["verify", "a"], 0, &["EQUAL", "lost+found, 1 directory"]);
    assert!(!e.p("b/lost+found/x").exists() && e.p("b/lost+found").exists());
    e.expect(&["resync", "a", "--from", "b", "--yes"], 0, &[]);
    assert!(e.p("a/lost+found/x").exists());
    // Other rights, and it is an ordinary one.
    fs::set_permissions(e.p("b/lost+found"), fs::Permissions::from_mode(0o755)).unwrap();
    e.expect(&["verify", "a"], 1, &["lost+found"]);
    e.expect(&["detach", "a"], 0, &[]);
    drop(ext);
}

/// A sandbox without the folder of runtime files says what to allow.
#[test]
fn a_sandbox_that_lacks_the_folder_is_told_so() {
    need!(root);
    need!("unshare");
    let e = Env::new("sandbox");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    let mirror = dist().join("mirror");
    for (prepare, text) in [
        (
            "mount -t tmpfs -o ro none /run",
            "ReadWritePaths=/run/mirror",
        ),
        ("mount -t tmpfs none /proc", "mount -t proc proc /proc"),
    ] {
        let mut c = e.command("unshare");
        let script = format!("{prepare} || exit 99; exec {} verify a", mirror.display());
        let o = c.args(["-m", "sh", "-c", &script]).output().unwrap();
        if o.status.code() == Some(99) {
            return skip("no mount namespaces here");
        }
        assert_eq!(o.status.code(), Some(2), "{prepare}: {}", said(&o));
        assert!(said(&o).contains(text), "{prepare}: {}", said(&o));
    }
}

#[test]
fn detach_names_who_is_in_the_way() {
    let e = Env::new("busy");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    let mut c = e.preloaded("sh");
    let script = "echo x > a/f; echo ready; read word";
    let mut child = c
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    assert_eq!(line, "ready\n");
    e.expect(
        &["detach", "a"],
        1,
        &["in use by 1 program", &format!("{} (sh", child.id())],
    );
    drop(child.stdin.take());
    child.wait().unwrap();
    e.expect(&["detach", "a"], 0, &["detached"]);
}
