//! Commands with a time limit. A command that takes too long, or is running when somebody asks for
//! an end, is killed with its process group. If that does not end it, it hangs in a FUSE file system:
//! then the kernel is told to give up the connections.
use super::interrupt;
use crate::Result;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// What the watchdog looks at: the group of the command that runs now.
struct Job {
    group: i32,
    deadline: Instant,
    /// When its group was killed.
    killed: Option<Instant>,
}

/// How the error of a command begins that was killed after its time.
pub const TOO_LONG: &str = "took longer";

static JOB: Mutex<Option<Job>> = Mutex::new(None);
/// Files whose writing makes the kernel give up a FUSE connection.
static CONNECTIONS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on the connection of this FUSE mount is given up when a command hangs.
pub fn add_connection(minor: u32) {
    lock(&CONNECTIONS).push(format!("/sys/fs/fuse/connections/{minor}/abort").into());
}

/// Gives up the connection of one mount and forgets it.
pub fn abort_connection(minor: u32) {
    let file = PathBuf::from(format!("/sys/fs/fuse/connections/{minor}/abort"));
    let _ = std::fs::write(&file, "1");
    lock(&CONNECTIONS).retain(|f| *f != file);
}

/// The watchdog's thread; it ends with the program.
fn watchdog() {
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let mut job = lock(&JOB);
        let Some(job) = job.as_mut() else { continue };
        match job.killed {
            None if interrupt::interrupted() || Instant::now() > job.deadline => {
                job.killed = Some(Instant::now());
                // SAFETY: kill has no memory effects; the group's leader has not been reaped (see `run`).
                unsafe { libc::kill(-job.group, libc::SIGKILL) };
            }
            Some(when) if when.elapsed() > Duration::from_secs(2) => {
                for file in lock(&CONNECTIONS).iter() {
                    let _ = std::fs::write(file, "1");
                }
            }
            _ => {}
        }
    }
}

/// Standard output and seconds of a command that must succeed within a time.
pub fn run(c: &mut Command, limit: Duration) -> Result<(String, f64)> {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| drop(std::thread::spawn(watchdog)));
    interrupt::check()?;
    c.process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = c
        .spawn()
        .map_err(|e| format!("{}: {e}", c.get_program().display()))?;
    let pid = child.id();
    *lock(&JOB) = Some(Job {
        group: i32::try_from(pid).expect("pids fit"),
        deadline: start + limit,
        killed: None,
    });
    ended(pid);
    let seconds = start.elapsed().as_secs_f64();
    // The child is dead and not reaped: its number cannot have been given to another group yet.
    let killed = lock(&JOB).take().is_some_and(|j| j.killed.is_some());
    let status = child.wait().map_err(|e| e.to_string())?;
    interrupt::check()?;
    if killed {
        return Err(format!("{TOO_LONG} than {} s", limit.as_secs()));
    }
    let (mut out, mut err) = (String::new(), String::new());
    if let Some(mut p) = child.stdout.take() {
        let _ = p.read_to_string(&mut out);
    }
    if let Some(mut p) = child.stderr.take() {
        let _ = p.read_to_string(&mut err);
    }
    if !status.success() {
        let last = err.trim().lines().next_back().unwrap_or_default();
        return Err(format!("{status}: {last}"));
    }
    Ok((out, seconds))
}

/// Waits for the end of a child and leaves it to be reaped.
fn ended(pid: u32) {
    loop {
        // SAFETY: a zeroed siginfo_t is a valid one.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is valid for the call.
        if unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) } == 0
            || std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR)
        {
            return;
        }
    }
}

/// The least disturbed of several runs.
pub fn least(times: usize, mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..times {
        least = least.min(run()?);
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_limit() {
        let mut c = Command::new("sh");
        c.args(["-c", "sleep 50 & sleep 50"]);
        let e = run(&mut c, Duration::from_millis(100)).unwrap_err();
        assert!(e.starts_with(TOO_LONG), "{e}");
        let (out, _) = run(Command::new("echo").arg("x"), Duration::from_secs(60)).unwrap();
        assert_eq!(out, "x\n");
        let e = run(
            Command::new("sh").args(["-c", "echo no >&2; exit 3"]),
            Duration::from_secs(60),
        )
        .unwrap_err();
        assert!(e.contains('3') && e.contains("no"), "{e}");
    }
}
