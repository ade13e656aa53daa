//! Leg b leaves, and comes back, in the midst of a change by number, at each of its calls, while another thread lets go of
//! what was held of it: the change is as on a plain directory, and both legs have it.
use mirror_tests::{Fs, Kind, Pair, Told, Traced, compile};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::io::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

/// More calls than any of these changes makes.
const ENDLESS: usize = 400;

fn pair() -> Option<Pair> {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    pair.init(&["--on-failure", "degrade"]).ok();
    compile(
        &pair.programs(),
        "turned",
        include_str!("../programs/turned.c"),
    )?;
    pair.run("echo before > $V/f").ok();
    Some(pair)
}

fn start(pair: &Pair, op: &str) -> Traced {
    let mut c = pair.preloaded(pair.programs().join("turned"));
    c.arg(op).arg(pair.v().join("f")).arg(pair.v().join("t"));
    if op == "adopt" {
        let mut o = fs::OpenOptions::new();
        let f = o
            .append(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(pair.a().join("f"));
        let f = f.unwrap();
        // SAFETY: dup2 is a system call; `f` lives in the closure.
        unsafe {
            c.pre_exec(move || match libc::dup2(f.as_raw_fd(), 20) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
    }
    Traced::start(c)
}

/// The second thread changes something, or waits for its turn to.
fn changes(t: &mut Traced) {
    t.tell();
    // It reads again when it has.
    let done = |t: &Traced| t.has_read() && t.second_sleeps(&[libc::SYS_read]);
    while !done(t) && !t.second_sleeps(&[libc::SYS_futex]) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn at_each_call(op: &str, comes_back: bool) {
    let Some(pair) = pair() else { return };
    let v = pair.v().to_str().unwrap().to_owned();
    for nth in 0..ENDLESS {
        let mut t = start(&pair, op);
        if !t.reach(nth) {
            assert!(nth > 2, "{op}: {nth} calls");
            return;
        }
        pair.mirror("leg", &["offline", &v, "b"]).ok();
        changes(&mut t);
        let mut online = pair.mirror_command("leg");
        online
            .args(["online", &v, "b", "--yes"])
            .stdout(Stdio::null());
        if comes_back {
            let mut online = online.spawn().unwrap();
            // Whoever is stopped inside holds it up.
            for _ in 0..40 {
                if online.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            changes(&mut t);
            assert!(t.goes_on(&[]), "{op}, before call {nth}");
            assert!(online.wait().unwrap().success(), "{op}, before call {nth}");
        } else {
            assert!(t.goes_on(&[]), "{op}, before call {nth}");
            assert!(
                online.status().unwrap().success(),
                "{op}, before call {nth}"
            );
        }
        assert_eq!(t.ends(), Some(0), "{op}, before call {nth}");
        pair.assert_equal();
    }
    panic!("{op}: it makes calls without an end");
}

#[test]
fn leg_b_leaves_in_the_midst() {
    for op in ["fchmod", "fsync", "write", "adopt"] {
        at_each_call(op, false);
    }
}

#[test]
fn leg_b_comes_back_in_the_midst_of_a_change() {
    for op in ["fchmod", "write"] {
        at_each_call(op, true);
    }
}

#[test]
fn leg_b_comes_back_in_the_midst_of_a_sync() {
    at_each_call("fsync", true);
}

/// A directory that goes while leg b is away, or is moved, is counted: what another process knows of its path ends.
#[test]
fn what_goes_while_leg_b_is_away_is_counted() {
    let Some(pair) = pair() else { return };
    let mut idle = Told::shell(&pair);
    idle.does("mkdir \"$V/d\" \"$V/d/x\"");
    pair.mirror("leg", &["offline", pair.v().to_str().unwrap(), "b"])
        .ok();
    for change in ["rmdir $V/d/x", "mkdir $V/d/x && mv $V/d/x $V/d/y"] {
        let before = pair.generation();
        pair.run(change).ok();
        assert!(pair.generation() > before, "{change}");
    }
    idle.end();
}
