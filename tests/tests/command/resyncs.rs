//! `resync` in both directions: looked at, asked for, one at a time, beside programs; what is kept.
use super::sources::{contents, has, kept};
use super::*;

#[test]
fn resync_goes_either_way() {
    let e = pair("either");
    e.write("a/f", "from a");
    e.write("b/f", "from leg b");
    e.write("b/extra", "of b");
    e.write("a/more", "of a");
    let o = e.expect(
        &["diff", "a"],
        1,
        &["f  different", "extra  only in b", "more  only in a"],
    );
    let line = o
        .out
        .lines()
        .find(|l| l.trim_start().starts_with("f "))
        .unwrap();
    assert!(line.contains("a 6 B") && line.contains("b 10 B"), "{line}");
    e.expect(
        &["diff", "a", "--json"],
        1,
        &["\"schema\":\"mirror.diff/1\"", "\"size\":10"],
    );
    // Looked at, asked for, and only then done.
    e.expect(
        &["resync", "--from", "b", "--dry-run"],
        0,
        &["extra  only in b", "3 repairs to make a like b"],
    );
    e.expect(
        &["resync", "--from", "b"],
        2,
        &["leg a of", "Nothing was done", "--yes"],
    );
    assert_eq!(fs::read_to_string(e.p("a/f")).unwrap(), "from a");
    e.expect(
        &["resync", "--from", "b", "--yes"],
        0,
        &["versions of a in", "IN SYNC"],
    );
    assert_eq!(fs::read_to_string(e.p("a/f")).unwrap(), "from leg b");
    assert_eq!(fs::read_to_string(e.p("a/extra")).unwrap(), "of b");
    assert!(!e.p("a/more").exists());
    let kept = kept(&e.p("a"));
    has(&kept, "f", "from a");
    has(&kept, "more", "of a");
    assert!(
        fs::read_dir(e.p("b/.mirror/kept"))
            .unwrap()
            .next()
            .is_none()
    );
    e.expect(&["verify"], 0, &["0 differences"]);
    e.expect(&["resync", "--from", "b"], 0, &["nothing to do"]);
}

#[test]
fn an_empty_leg_is_no_source_of_a_resync() {
    let e = Env::new("emptied");
    e.write("a/f", "precious");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    fs::remove_file(e.p("b/f")).unwrap();
    e.expect(
        &["resync", "--from", "b", "--yes"],
        2,
        &[
            "leg b is empty: everything in leg a would be removed",
            "--from a",
        ],
    );
    assert!(e.p("a/f").exists());
    e.expect(&["resync", "--from", "a", "--yes"], 0, &["IN SYNC"]);
    fs::remove_file(e.p("a/f")).unwrap();
    e.expect(&["resync", "--yes"], 2, &["leg a is empty", "--from b"]);
    assert!(e.p("b/f").exists());
    e.expect(&["resync", "--from", "b", "--yes"], 0, &["IN SYNC"]);
    // The words that are given for the other case do it.
    fs::remove_file(e.p("b/f")).unwrap();
    let o = e.expect(
        &["resync", "--from", "b", "--yes"],
        2,
        &["If all shall go: "],
    );
    let words = o.err.split_once("shall go: ").unwrap().1;
    let words = words
        .split_once(", then")
        .unwrap()
        .0
        .replace("mirror run", "run");
    let args: Vec<&str> = words.split(' ').collect();
    e.expect(&args, 0, &[]);
    e.expect(&["verify"], 0, &["0 differences"]);
    assert!(!e.p("a/f").exists());
}

#[test]
fn from_is_said_of_one_pair() {
    let e = pair("onepair");
    for d in ["c", "d"] {
        fs::create_dir(e.p(d)).unwrap();
    }
    e.expect(&["init", "c", "d"], 0, &[]);
    e.write("b/f", "x");
    e.expect(
        &["resync", "--from", "b", "--yes"],
        2,
        &["--from b needs a pair", e.p("c").to_str().unwrap()],
    );
    assert!(!e.p("a/f").exists());
    e.expect(&["resync", "a", "--from", "b", "--yes"], 0, &["IN SYNC"]);
    assert!(e.p("a/f").exists());
    e.expect(&["resync", "--yes"], 0, &["IN SYNC"]);
}

/// Killed at each of its renames or writes, a resync goes on by the same words, and nothing that the
/// losing leg had is gone.
fn killed_at_every(call: &str) {
    need!("strace");
    let resync = ["resync", "--from", "b", "--yes"];
    let mut ended = false;
    for n in 1..60 {
        let e = pair(&format!("killed-{call}-{n}"));
        super::sources::differing(&e);
        let (lost, won) = (contents(&e.p("a")), contents(&e.p("b")));
        let mut c = Command::new("strace");
        c.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=KILL:when={n}")])
            .arg(dist().join("mirror"))
            .args(resync)
            .current_dir(&e.dir)
            .env("MIRRORTAB", e.p("tab"));
        ended = finish(&mut c).code == 0;
        e.expect(&resync, 0, &["IN SYNC"]);
        assert_eq!(contents(&e.p("a")), won, "{call} {n}");
        assert_eq!(contents(&e.p("b")), won, "{call} {n}");
        let kept = kept(&e.p("a"));
        for (name, what) in &lost {
            if !won.contains(&(name.clone(), what.clone())) && what != "/" {
                has(&kept, name, what);
            }
        }
        assert!(fs::read_dir(e.p("a/.mirror/tmp")).unwrap().next().is_none());
        if ended {
            break;
        }
    }
    assert!(ended, "{call}: it was killed each time");
}

#[test]
fn killed_at_every_rename() {
    killed_at_every("renameat");
}

#[test]
fn killed_at_every_write() {
    killed_at_every("pwrite64");
}

#[test]
fn one_repair_at_a_time() {
    let e = pair("oneatatime");
    e.write("a/f", "x");
    // Another repair: its lock, and what it says of itself.
    let lock = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(e.p("a/.mirror/resync"))
        .unwrap();
    use std::io::Write;
    writeln!(&lock, "4711 b a").unwrap();
    lock.lock().unwrap();
    e.expect(
        &["resync", "--yes"],
        2,
        &[
            "from b to a (pid 4711)",
            "One repair at a time",
            "mirror wait",
        ],
    );
    assert!(!e.p("b/f").exists());
    e.expect(
        &["status"],
        1,
        &["RESYNCING", "b -> a (pid 4711)", "mirror wait"],
    );
    e.expect(&["resync", "--dry-run"], 0, &["f  only in a"]);
    drop(lock);
    e.expect(&["status"], 0, &["IN SYNC"]);
    e.expect(&["resync", "--yes"], 0, &["IN SYNC"]);
    assert!(e.p("b/f").exists());
}

#[test]
fn repairs_run_beside_programs() {
    let e = pair("beside");
    for i in 0..200 {
        e.write(&format!("b/f{i}"), "of b");
    }
    // A program that keeps changing the pair while a is made like b.
    let mut c = e
        .command(&[
            "run",
            "--",
            "sh",
            "-c",
            "echo up; i=0; while [ ! -e stop ]; do echo $i > a/w; mv a/w a/v; i=$((i+1)); done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0u8; 3];
    std::io::Read::read_exact(c.stdout.as_mut().unwrap(), &mut up).unwrap();
    let o = e.run(&["resync", "--from", "b", "--yes"]);
    e.write("stop", "");
    assert!(c.wait().unwrap().success());
    assert_eq!(o.code, 0, "{}{}", o.out, o.err);
    e.expect(&["verify"], 0, &["0 differences"]);
    assert_eq!(contents(&e.p("a")), contents(&e.p("b")));
    assert!(e.p("a/f199").exists());
}

#[test]
fn the_user_is_asked() {
    need!("script");
    let e = pair("asked");
    e.write("b/f", "of b");
    let on_terminal = |words: &str, answer: &str| {
        use std::io::Write;
        let mut c = Command::new("script");
        c.args([
            "-qec",
            &format!("{} {words}", dist().join("mirror").display()),
            "/dev/null",
        ])
        .current_dir(&e.dir)
        .env("MIRRORTAB", e.p("tab"))
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
        let mut c = c.spawn().unwrap();
        let mut input = c.stdin.take().unwrap();
        input.write_all(answer.as_bytes()).unwrap();
        // Kept open: the end of the input would end the terminal.
        let o = c.wait_with_output().unwrap();
        drop(input);
        (
            o.status.code(),
            String::from_utf8_lossy(&o.stdout).into_owned(),
        )
    };
    let (code, out) = on_terminal("resync --from b", "n\n");
    assert!(code == Some(2) && out.contains("Make a like b?"), "{out}");
    assert!(out.contains("is what programs see in"), "{out}");
    assert!(!e.p("a/f").exists());
    let (code, out) = on_terminal("resync --from b", "y\n");
    assert!(code == Some(0) && out.contains("IN SYNC"), "{out}");
    assert_eq!(fs::read_to_string(e.p("a/f")).unwrap(), "of b");
    e.expect(&["detach", "a"], 0, &[]);
    e.write("b/f", "newer of b");
    let (code, out) = on_terminal("init a b --source a", "\n");
    assert!(
        code == Some(1) && out.contains("Make b like a: 1 path"),
        "{out}"
    );
    assert!(!e.p("tab").exists() || !fs::read_to_string(e.p("tab")).unwrap().contains("/a "));
    assert_eq!(fs::read_to_string(e.p("b/f")).unwrap(), "newer of b");
    let (code, out) = on_terminal("init a b --source a", "y\n");
    assert!(code == Some(0) && out.contains("IN SYNC"), "{out}");
    assert_eq!(fs::read_to_string(e.p("b/f")).unwrap(), "of b");
}
