//! One test process with a watchdog: its own process group, killed as a whole when its time is over.
use mirror_tests::Clock;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A started process.
pub struct Watched {
    pid: i32,
    started: Instant,
    /// Runs slower while the machine is busy: the limit is one of work, not of time.
    clock: Clock,
    limit: Duration,
}

/// How a process ended.
pub enum End {
    /// By itself.
    Exit {
        /// Exit code, or 128 + signal.
        code: i32,
        /// Run time.
        after: Duration,
        /// Time of a processor, of it and of all descendants that were waited for.
        work: Duration,
    },
    /// It was killed after its time limit.
    TimedOut(Duration),
}

impl Watched {
    /// Starts a command in a new process group, its output going to `log`.
    pub fn start(command: &mut Command, log: &Path, limit: Duration) -> std::io::Result<Watched> {
        let out = File::create(log)?;
        let err = out.try_clone()?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()?;
        Ok(Watched {
            pid: i32::try_from(child.id()).expect("pids fit"),
            started: Instant::now(),
            clock: Clock::start(),
            limit,
        })
    }

    /// The number of the process, which is that of its group.
    pub fn id(&self) -> i32 {
        self.pid
    }

    /// The end, if it has come; the watchdog strikes here.
    pub fn poll(&mut self) -> Option<End> {
        let after = self.started.elapsed();
        if let Some((code, work)) = self.wait(libc::WNOHANG) {
            return Some(End::Exit { code, after, work });
        }
        if self.clock.spent() < self.limit {
            return None;
        }
        self.kill_group();
        self.wait(0);
        Some(End::TimedOut(self.limit))
    }

    /// The exit code (128 + signal) and the work of the ended process.
    fn wait(&self, flags: i32) -> Option<(i32, Duration)> {
        let mut status = 0;
        // SAFETY: an all-zero rusage is a valid value.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the process is a child that nobody else waits for; both pointers are to live variables.
        let ended = unsafe { libc::wait4(self.pid, &raw mut status, flags, &raw mut used) };
        if ended != self.pid {
            return None;
        }
        let code = if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            128 + libc::WTERMSIG(status)
        };
        let time = |t: libc::timeval| {
            let micros = t.tv_sec * 1_000_000 + t.tv_usec;
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        };
        Some((code, time(used.ru_utime) + time(used.ru_stime)))
    }

    /// SIGKILL for the group; nobody there is no error.
    pub fn kill_group(&self) {
        // SAFETY: kill has no memory effects; the group is that of a child which we started.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
    }
}
