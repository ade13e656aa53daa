//! Leg b is not where it should be, or not the one that it was; mappings under the mark; a new leg b. What programs
//! see, what `status` says, and that both legs are equal in the end.
use mirror_tests::words::{of_boot, restart, restart_in_order};
use mirror_tests::{Fs, FsType, Kind, Level, Output, Pair, Told, Tree, need, need_system_view};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn pair(on_failure: &str) -> Pair {
    let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    p.init(&["--on-failure", on_failure]).ok();
    p
}

fn v(p: &Pair) -> &str {
    p.v().to_str().unwrap()
}

#[track_caller]
fn state(p: &Pair, word: &str) -> String {
    let o = p.mirror("status", &[v(p)]);
    let text = String::from_utf8_lossy(&o.out).into_owned();
    assert!(text.contains(&format!("state     {word}\n")), "{o:?}");
    text
}

fn online(p: &Pair) -> Output {
    p.mirror("leg", &["online", v(p), "b", "--yes"])
}

fn marked(p: &Pair) -> bool {
    p.a().join(".mirror/away").exists()
}

/// After a restart without leg b's disk: the first program goes on with leg a, and has said so on its disk, where
/// the policy is to go on; else it gets an error, and `status` says what is missing and what to type.
#[test]
fn after_a_restart_the_policy_decides() {
    need_system_view!();
    for (policy, empty) in [("degrade", false), ("degrade", true), ("fail", true)] {
        let p = pair(policy);
        p.run("echo 1 > $V/one").ok();
        restart_in_order(&p);
        let aside = p.b().with_extension("aside");
        fs::rename(p.b(), &aside).unwrap();
        if empty {
            fs::create_dir(p.b()).unwrap();
        }
        let before = Tree::read(&aside);
        state(&p, "LEG LOST");
        let code = p
            .mirror("run", &["--require", "in-sync", "--", "true"])
            .code;
        assert_eq!(code, 125);
        let o = p.run("echo 2 > $V/two");
        assert_eq!(o.code == 0, policy == "degrade", "{o:?}");
        assert_eq!(marked(&p), policy == "degrade");
        assert_eq!(p.a().join("two").exists(), policy == "degrade");
        if policy == "degrade" {
            let text = state(&p, "DEGRADED");
            assert!(text.contains("it was not there"), "{text}");
            p.run("echo 3 > $V/three; mkdir $V/d").ok();
        } else {
            let text = state(&p, "LEG LOST");
            assert!(text.contains("mirror leg replace"), "{text}");
        }
        if empty {
            fs::remove_dir(p.b()).unwrap(); // nothing was made in it
        }
        fs::rename(&aside, p.b()).unwrap();
        let d = before.differences(&Tree::read(p.b()), Level::Strict);
        assert!(d.0.is_empty(), "{d}");
        if policy == "degrade" {
            assert_eq!(online(&p).code, 0);
        }
        state(&p, "IN SYNC");
        p.assert_equal();
    }
}

/// Another leg, a damaged one, or one that this user may not look at is no reason: the pair is closed.
#[test]
fn what_is_not_proved_costs_no_leg() {
    need_system_view!();
    for breaks in [
        "mkdir x; mv $B/.mirror/leg x",
        "echo junk > $B/.mirror/leg",
        "sed -i s/^id=./id=/ $B/.mirror/leg",
    ] {
        let p = pair("degrade");
        p.run("echo 1 > $V/one").ok();
        restart(&p);
        assert_eq!(p.bypass(breaks).code, 0, "{breaks}");
        // `mirror run` may refuse by itself.
        let mut c = p.preloaded("bash");
        c.args(["-c", "echo 2 > $V/two"]);
        for o in [
            p.run("echo 2 > $V/two"),
            Output::from_std(c.output().unwrap()),
        ] {
            assert_ne!(o.code, 0, "{breaks}: {o:?}");
            assert!(!marked(&p) && !p.a().join("two").exists(), "{breaks}");
        }
    }
}

/// Programs that came after a restart, without leg b, share nothing by which they could be told that it is back: they
/// end first.
#[test]
fn who_came_after_a_restart_ends_first() {
    let p = pair("degrade");
    p.run("echo 1 > $V/one").ok();
    p.mirror("leg", &["offline", v(&p), "b"]).ok();
    restart(&p);
    let mut t = Told::shell(&p);
    t.does("exec 7>>\"$V/log\" && echo 2 >&7");
    let o = online(&p);
    let said = o.text().contains("1 program still at work on leg a alone");
    assert!(o.code == 1 && said, "{o:?}");
    state(&p, "DEGRADED");
    t.does("echo 3 >&7");
    t.end();
    assert_eq!(online(&p).code, 0);
    state(&p, "IN SYNC");
    p.assert_equal();
}

/// What is missing in a mount namespace of a program's own may be there for all others.
#[test]
fn a_view_of_ones_own_costs_no_leg() {
    need!(root);
    need!("unshare");
    let p = pair("degrade");
    p.run("echo 1 > $V/one").ok();
    restart_in_order(&p);
    let script = "mount -t tmpfs none $B/.. || exit 77
$D/mirror-run sh -c 'echo 2 > $V/two' 2>/dev/null && exit 1
exit 0";
    let Some(o) = p.in_namespace(script) else {
        return;
    };
    assert_eq!(o.code, 0, "{o:?}");
    assert!(!marked(&p) && !p.a().join("two").exists());
    state(&p, "IN SYNC");
}

/// A leg that was put back from a copy is not believed to be equal, before and after the next program.
#[test]
fn a_leg_from_an_old_copy_is_not_in_sync() {
    for leg in ["A", "B"] {
        let p = pair("fail");
        p.run("echo 1 > $V/one").ok();
        p.bypass(&format!("cp -a ${leg} ${leg}.old")).ok();
        p.run("echo 2 > $V/two").ok();
        p.bypass(&format!("rm -rf ${leg}; mv ${leg}.old ${leg}"))
            .ok();
        state(&p, "UNVERIFIED");
        p.run("echo 3 > $V/three").ok();
        state(&p, "UNVERIFIED");
    }
    let p = pair("fail");
    p.run("echo 1 > $V/one").ok();
    p.bypass("cp -a $B $B.old").ok();
    restart(&p);
    p.run("echo 2 > $V/two").ok();
    restart(&p);
    p.bypass("rm -rf $B; mv $B.old $B").ok();
    of_boot(&p.b().join(".mirror/owner"), 0x77);
    let text = state(&p, "UNVERIFIED");
    assert!(text.contains("put back from a copy"), "{text}");
    p.run("echo 3 > $V/three").ok();
    state(&p, "UNVERIFIED");
    assert_eq!(p.resync().code, 0);
    state(&p, "IN SYNC");
    p.assert_equal();
}

const MAPS: &str = r#"
import mmap, os, sys
v = os.environ['V']
def new(name):
    fd = os.open(v + '/' + name, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8192)
    return fd
a = new('before'); before = mmap.mmap(a, 8192); before[0:3] = b'one'
print('up', flush=True); sys.stdin.readline()
before[4:7] = b'two'; before.flush(); os.fsync(a)
b = new('under'); under = mmap.mmap(b, 8192); under[0:3] = b'new'; under.flush(); os.fsync(b)
pid = os.fork()
if pid == 0:
    under[8:11] = b'kid'
    os._exit(0)
os.waitpid(pid, 0)
print('stored', flush=True); sys.stdin.readline()
under[20:23] = b'end'
print('end', flush=True)
"#;

/// While leg b is away files are mapped as in a plain directory, and it is not back before they are let go.
#[test]
fn mappings_under_the_mark() {
    need!("python3");
    let p = pair("degrade");
    p.run("true").ok();
    let mut t = Told::python(&p, MAPS);
    assert_eq!(t.line(), "up");
    p.mirror("leg", &["offline", v(&p), "b"]).ok();
    t.tell("");
    assert_eq!(t.line(), "stored");
    let o = online(&p);
    let who = format!("[{}] still at work", t.pid());
    assert!(o.code == 1 && o.text().contains(&who), "{o:?}");
    state(&p, "DEGRADED");
    t.tell("");
    assert_eq!(t.line(), "end");
    t.end();
    assert_eq!(online(&p).code, 0);
    state(&p, "IN SYNC");
    p.assert_equal();
    let text = fs::read(p.b().join("under")).unwrap();
    let found = [&text[..3], &text[8..11], &text[20..23]];
    assert_eq!(found, [b"new", b"kid", b"end"]);
}

const INHERITS: &str = r#"
import mmap, os, sys
v = os.environ['V']
def new(name):
    fd = os.open(v + '/' + name, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8192)
    return mmap.mmap(fd, 8192)
before = new('before'); before[0:3] = b'one'
print('up', flush=True); sys.stdin.readline()
under = new('under'); under[0:3] = b'new'
pid = os.fork()
if pid: os._exit(0)
print(os.getpid(), flush=True); sys.stdin.readline()
under[8:11] = b'kid'; before[8:11] = b'kid'
print('stored', flush=True)
"#;

/// A child that outlives its parent has its mappings, and keeps the mark as that did.
#[test]
fn a_child_with_a_mapping_keeps_the_mark() {
    need!("python3");
    let p = pair("degrade");
    p.run("true").ok();
    let mut t = Told::python(&p, INHERITS);
    assert_eq!(t.line(), "up");
    p.mirror("leg", &["offline", v(&p), "b"]).ok();
    t.tell("");
    let child = t.line();
    assert_eq!(t.ended(), 0);
    let o = online(&p);
    let who = format!("[{child}] still at work");
    assert!(o.code == 1 && o.text().contains(&who), "{o:?}");
    t.tell("");
    // The end of its output is the child's.
    assert_eq!(t.drain(), ["stored"]);
    assert_eq!(online(&p).code, 0);
    state(&p, "IN SYNC");
    p.assert_equal();
    for (name, begins) in [("under", &b"new"[..]), ("before", &b"one"[..])] {
        let text = fs::read(p.b().join(name)).unwrap();
        assert_eq!((&text[..3], &text[8..11]), (begins, &b"kid"[..]), "{name}");
    }
}

/// SQLite's write-ahead log begins while leg b is away.
#[test]
fn a_new_database_under_the_mark() {
    need!("sqlite3");
    let p = pair("degrade");
    p.run("true").ok();
    p.mirror("leg", &["offline", v(&p), "b"]).ok();
    p.run("sqlite3 $V/db 'pragma journal_mode=wal; create table t(x); insert into t values(1);' && sqlite3 $V/db 'insert into t values(2);'")
        .ok();
    assert_eq!(online(&p).code, 0);
    p.assert_equal();
    let o = p.bypass("sqlite3 $B/db 'pragma integrity_check; select sum(x) from t;'");
    assert_eq!(o.text(), "ok\n3");
}

const FILLS: &str = r#"
import mmap, os, sys
fd = os.open(os.environ['V'] + '/m', os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 1 << 20)
m = mmap.mmap(fd, 1 << 20)
print('up', flush=True); sys.stdin.readline()
for i in range(0, 1 << 20, 4096): m[i:i+4] = b'data'
def tried(f):
    try:
        f()
        print('done', flush=True)
    except OSError as e:
        print(e.errno, flush=True)
tried(m.flush)
tried(lambda: os.fsync(fd))
"#;

/// Stores for which leg b has no room: what `on-full` says.
#[test]
fn stores_for_which_there_is_no_room() {
    need!(root);
    need!("python3");
    for (option, word, answer) in [("degrade", "DEGRADED", "done"), ("error", "", "28")] {
        let Some(p) = Pair::bare(Kind::InPlace, Fs::Loop(FsType::Ext4, FsType::Ext4)) else {
            return;
        };
        p.init(&["--on-full", option]).ok();
        let mut t = Told::python(&p, FILLS);
        assert_eq!(t.line(), "up");
        let m = p.b().parent().unwrap().display().to_string();
        let fill = format!(
            "dd if=/dev/zero of={m}/fill bs=1M 2>/dev/null; dd if=/dev/zero of={m}/fill2 bs=512 2>/dev/null; true"
        );
        let s = Command::new("sh").args(["-c", &fill]).status().unwrap();
        assert!(s.success());
        t.tell("");
        assert_eq!([t.line(), t.line()], [answer, answer], "{option}");
        t.end();
        if !word.is_empty() {
            state(&p, word);
        }
        fs::remove_file(format!("{m}/fill")).unwrap();
        fs::remove_file(format!("{m}/fill2")).unwrap();
        assert_eq!(p.resync().code, 0);
        state(&p, "IN SYNC");
        p.assert_equal();
    }
}

/// Leg b's mount goes away under programs that hold it, and under those that come.
#[test]
fn a_mount_that_vanishes_under_programs() {
    need!(root);
    need!("python3");
    let Some(p) = Pair::bare(Kind::InPlace, Fs::Loop(FsType::Xfs, FsType::Ext4)) else {
        return;
    };
    p.init(&["--on-failure", "degrade"]).ok();
    let own = fs::metadata("/proc/self/ns/mnt").map(|m| m.ino()).ok();
    if own != Some(0xefff_fff8) && fs::metadata("/proc/1/ns/mnt").is_err() {
        return mirror_tests::skip("whose mounts these are cannot be told here");
    }
    let text = "import os, sys\nfd = os.open(os.environ['V'] + '/log', os.O_CREAT | os.O_WRONLY | os.O_APPEND)\nfor i in range(3):\n  os.write(fd, b'%d\\n' % i); print(i, flush=True); sys.stdin.readline()";
    let mut t = Told::python(&p, text);
    assert_eq!(t.line(), "0");
    let m: PathBuf = p.b().parent().unwrap().into();
    let umount = Command::new("umount").arg("-l").arg(&m).status().unwrap();
    assert!(umount.success());
    t.tell("");
    assert_eq!(t.line(), "1");
    p.run("echo new > $V/new; mkdir $V/d").ok();
    assert_eq!(fs::read_dir(&m).unwrap().count(), 0);
    t.tell("");
    assert_eq!(t.line(), "2");
    t.end();
    state(&p, "DEGRADED");
    let mount = Command::new("mount")
        .args(["-o", "loop"])
        .arg(m.with_extension("img"))
        .arg(&m)
        .status()
        .unwrap();
    assert!(mount.success());
    assert_eq!(online(&p).code, 0);
    p.assert_equal();
    assert_eq!(fs::read_to_string(p.b().join("log")).unwrap(), "0\n1\n2\n");
}

fn replace(p: &Pair, new: &Path, more: &[&str]) -> Output {
    let mut args = vec!["replace", v(p), "b", new.to_str().unwrap()];
    args.extend(more);
    p.mirror("leg", &args)
}

#[track_caller]
fn equal(p: &Pair, b: &Path) {
    let d = Tree::read(p.a()).differences(&Tree::read(b), Level::Strict);
    assert!(d.0.is_empty(), "{d}");
}

/// A new leg b: what is refused, what a dry run says, the copy, and what becomes of the old one.
#[test]
fn a_leg_is_replaced() {
    let p = pair("fail");
    p.run("mkdir $V/d; echo 1 > $V/d/f; ln $V/d/f $V/hard; ln -s x $V/soft")
        .ok();
    let new = p.scratch().join("new");
    assert_eq!(replace(&p, &new, &["--yes"]).code, 1, "not there");
    fs::create_dir(&new).unwrap();
    let o = replace(&p, &new, &["--dry-run"]);
    assert!(o.code == 0 && o.text().contains("dry run"), "{o:?}");
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
    for wrong in [p.a(), p.b(), &p.a().join("d")] {
        assert_ne!(
            replace(&p, wrong, &["--yes"]).code,
            0,
            "{}",
            wrong.display()
        );
    }
    assert_eq!(replace(&p, &new, &[]).code, 64, "nobody can be asked");
    fs::write(new.join("x"), "x").unwrap();
    assert_eq!(replace(&p, &new, &["--yes"]).code, 64, "not empty");
    fs::remove_file(new.join("x")).unwrap();
    let mut t = Told::python(
        &p,
        "import os, sys\nopen(os.environ['V'] + '/d/g', 'w').close(); print('up', flush=True); sys.stdin.readline()",
    );
    assert_eq!(t.line(), "up");
    let o = replace(&p, &new, &["--yes"]);
    assert!(
        o.code == 64 && format!("{o:?}").contains("programs work with it"),
        "{o:?}"
    );
    t.tell("");
    t.end();
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
    assert!(!marked(&p));
    state(&p, "IN SYNC");
    let old = Tree::read(p.b());
    let o = replace(&p, &new, &["--yes"]);
    assert_eq!(o.code, 0, "{o:?}");
    state(&p, "IN SYNC");
    p.run("echo 2 > $V/two").ok();
    equal(&p, &new);
    let d = old.differences(&Tree::read(p.b()), Level::Strict);
    assert!(d.0.is_empty(), "{d}");
    // The old leg does not come back as one.
    assert_ne!(replace(&p, p.b(), &["--yes"]).code, 0);
    p.mirror("verify", &[v(&p)]).ok();
}

/// `leg replace`, killed at the nth of these calls; whether it was.
fn replace_killed_at(p: &Pair, new: &Path, call: &str, n: u32) -> bool {
    let c = p.mirror_command("leg");
    let o = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .args([&format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:signal=KILL:when={n}"))
        .arg(c.get_program())
        .args(["leg", "replace", v(p), "b", new.to_str().unwrap(), "--yes"])
        .envs(c.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .current_dir(p.scratch())
        .output()
        .unwrap();
    // 64: it was killed after the leg was back, and says so.
    let ended = matches!(o.status.code(), Some(0 | 64));
    assert!(ended || o.status.signal() == Some(libc::SIGKILL), "{o:?}");
    !ended
}

/// Killed at each of its durable steps, the pair serves programs, and the same command ends what has begun.
#[test]
fn a_replacement_is_killed_at_each_step() {
    need!("strace");
    // strace counts each call by its name.
    for call in ["renameat", "rename", "pwrite64", "fdatasync", "syncfs"] {
        let p = pair("degrade");
        p.run("echo 1 > $V/one; mkdir $V/d").ok();
        let new = p.scratch().join("new");
        fs::create_dir(&new).unwrap();
        let mut kills = 0;
        while replace_killed_at(&p, &new, call, kills + 1) {
            kills += 1;
            assert!(kills < 60, "{call}");
            p.run(&format!("echo {kills} > $V/n{kills}")).ok();
            assert!(p.a().join(format!("n{kills}")).exists());
        }
        assert!(kills > 0, "{call}");
        assert_eq!(p.resync().code, 0);
        state(&p, "IN SYNC");
        p.run("echo end > $V/end").ok();
        equal(&p, &new);
    }
}
