//! The end of `mirror run`: pairs that nobody uses any more are left clean, so that they are in sync after a restart.
use crate::fail::Res;
use crate::launch::supervise::{self, End};
use crate::pair::domain::Attached;
use crate::sync::clean;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// After commands that took less nothing is flushed: they may be one of many.
const LONG: Duration = Duration::from_secs(1);
/// The longest that anybody waits for disks here.
const DISKS: Duration = Duration::from_secs(10);

/// Starts a `mirror wait --clean` for each pair, and waits for them, a fifth of the time that the command took; not if
/// it was ended by a signal, or a signal comes. What is not done then is done behind this: nothing ends a process that
/// waits for a disk, and this one is to end.
pub fn clean(pairs: Vec<Attached>, took: Duration, end: &Res<End>) {
    let ended = matches!(end, Ok(End::Status(s)) if s.signal().is_none());
    if took < LONG {
        return;
    }
    let left: Vec<_> = pairs
        .into_iter()
        .filter(|p| !clean::of(&p.pair))
        .map(|p| p.pair.line.virt)
        .collect();
    let start = |virt| {
        let mut c = Command::new("/proc/self/exe");
        c.args(["wait", "--clean", "--timeout", "60", "--"])
            .arg(virt)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        supervise::as_started(&mut c, supervise::unblocked());
        c.spawn().ok()
    };
    let mut children: Vec<Child> = left.iter().filter_map(start).collect();
    if children.is_empty() || !ended {
        return;
    }
    // Who reads what the command wrote waits for its end, not for disks.
    hush();
    let until = Instant::now() + (took / 5).min(DISKS);
    let mut pause = Duration::from_micros(500);
    while Instant::now() < until && !supervise::called() {
        children.retain_mut(|c| matches!(c.try_wait(), Ok(None)));
        if children.is_empty() {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Standard input and outputs are nobody's any more.
fn hush() {
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null");
    if let Ok(null) = null {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}
