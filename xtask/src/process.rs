//! One test process with a watchdog: its own process group, killed as a whole when its time is over.
use mirror_tests::Clock;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A started process.
pub struct Watched {
    child: Child,
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
            child,
            started: Instant::now(),
            clock: Clock::start(),
            limit,
        })
    }

    /// The end, if it has come; the watchdog strikes here.
    pub fn poll(&mut self) -> Option<End> {
        use std::os::unix::process::ExitStatusExt;
        let after = self.started.elapsed();
        if let Some(status) = self.child.try_wait().expect("waiting for an own child") {
            let code = status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            return Some(End::Exit { code, after });
        }
        if self.clock.spent() < self.limit {
            return None;
        }
        self.kill_group();
        let _ = self.child.wait();
        Some(End::TimedOut(self.limit))
    }

    /// SIGKILL for the group; nobody there is no error.
    pub fn kill_group(&self) {
        let group = i32::try_from(self.child.id()).expect("pids fit");
        // SAFETY: kill has no memory effects; the group is that of a child which we started.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}
