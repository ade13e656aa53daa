//! A running program whose lines on standard output are read as they come.
use crate::pace::Clock;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long something may take that must not take for ever, by a [`Clock`]; less than a test's own limit.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// How often a wait looks at the clock.
const GLANCE: Duration = Duration::from_millis(200);

/// A child process in a process group of its own; when it is dropped, all that is left of the group is killed.
pub struct Talker {
    child: Child,
    lines: Receiver<String>,
}

impl Talker {
    /// Starts a program.
    pub fn start(c: &mut Command) -> Talker {
        let mut child = c
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("starting a program");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Talker { child, lines }
    }

    /// Its standard input, if that is a pipe; asked once.
    pub fn input(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("piped")
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// The next line, if one comes within this time; `None` also at the end of the output.
    pub fn line_within(&self, time: Duration) -> Option<String> {
        self.lines.recv_timeout(time).ok()
    }

    /// The next line. Panics when none comes.
    #[track_caller]
    pub fn line(&self) -> String {
        let mut clock = Clock::start();
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => return line,
                Err(RecvTimeoutError::Disconnected) => panic!("its output has ended"),
                Err(RecvTimeoutError::Timeout) if clock.spent() < PATIENCE => {}
                Err(RecvTimeoutError::Timeout) => panic!("no line for {} s", PATIENCE.as_secs()),
            }
        }
    }

    /// Waits until all who hold its output have ended. Panics when they do not.
    #[track_caller]
    pub fn drain(&self) -> Vec<String> {
        let mut clock = Clock::start();
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => all.push(line),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) if clock.spent() < PATIENCE => {}
                Err(RecvTimeoutError::Timeout) => panic!("somebody still runs; so far: {all:?}"),
            }
        }
    }

    /// How it ended (128 + signal as a shell says it), once it has, within [`PATIENCE`].
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let mut clock = Clock::start();
        while clock.spent() < PATIENCE {
            if let Some(s) = self.child.try_wait().expect("waiting") {
                return s
                    .code()
                    .unwrap_or_else(|| 128 + s.signal().unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!(
            "process {} does not end within {} s",
            self.pid(),
            PATIENCE.as_secs()
        );
    }

    /// Does something while it stands still.
    pub fn still<T>(&self, what: impl FnOnce() -> T) -> T {
        still(self.pid(), what)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        send(-self.pid(), libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Does something while a child of the test stands still: what happens meanwhile comes to it all at once.
pub fn still<T>(pid: i32, what: impl FnOnce() -> T) -> T {
    send(pid, libc::SIGSTOP);
    let until = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
    // SAFETY: all bits of this struct may be zero, and the kernel writes no more than it.
    let r = unsafe {
        let mut info = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid.unsigned_abs(), &mut info, until)
    };
    assert_eq!(r, 0, "waiting for {pid} to stop");
    let t = what();
    send(pid, libc::SIGCONT);
    t
}

/// Sends a signal to a process that the test has started.
pub fn send(pid: i32, signal: i32) {
    // SAFETY: kill has no effect on memory.
    unsafe { libc::kill(pid, signal) };
}
