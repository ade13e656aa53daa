//! A program that is stopped before one of its calls (ptrace), while somebody else does something.
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that stands at its first mark.
pub struct Traced {
    child: Child,
    pid: i32,
}

enum Stop {
    Call,
    Mark,
    Signal(i32),
    Over,
}

impl Traced {
    /// Starts a program, which stops itself (SIGSTOP) where it is to be looked at, and again behind that.
    pub fn start(mut c: Command) -> Traced {
        c.stdin(Stdio::piped());
        // SAFETY: ptrace is a system call, and asks nothing of memory here.
        unsafe {
            c.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let child = c.spawn().expect("a traced program");
        let pid = i32::try_from(child.id()).expect("a pid");
        let mut t = Traced { child, pid };
        assert!(matches!(t.wait(), Stop::Signal(libc::SIGTRAP)));
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        t.ask(libc::PTRACE_SETOPTIONS, options as usize);
        let mut signal = 0;
        loop {
            t.ask(libc::PTRACE_CONT, signal as usize);
            match t.wait() {
                Stop::Mark => return t,
                Stop::Signal(libc::SIGTRAP) => signal = 0,
                Stop::Signal(s) => signal = s,
                _ => panic!("it never began"),
            }
        }
    }

    fn ask(&self, request: libc::c_uint, data: usize) {
        // SAFETY: these requests write no memory of ours.
        let r = unsafe { libc::ptrace(request, self.pid, 0usize, data) };
        assert_ne!(r, -1, "{}", io::Error::last_os_error());
    }

    fn look(&mut self, flags: i32) -> Option<Stop> {
        let mut status = 0;
        // SAFETY: the status is a local variable.
        let r = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL | flags) };
        assert!(r >= 0, "{}", io::Error::last_os_error());
        (r != 0).then_some(match status {
            s if libc::WIFEXITED(s) || libc::WIFSIGNALED(s) => Stop::Over,
            s if libc::WSTOPSIG(s) == libc::SIGTRAP | 0x80 => Stop::Call,
            s if libc::WSTOPSIG(s) == libc::SIGSTOP => Stop::Mark,
            s => Stop::Signal(libc::WSTOPSIG(s)),
        })
    }

    fn wait(&mut self) -> Stop {
        self.look(0).expect("it was waited for")
    }

    /// Lets it go on until it is about to make its `nth` call. `false`: it makes fewer.
    pub fn reach(&mut self, nth: usize) -> bool {
        let mut signal = 0;
        let mut stops = 0;
        loop {
            self.ask(libc::PTRACE_SYSCALL, signal as usize);
            signal = 0;
            match self.wait() {
                // At its way in, and at its way out.
                Stop::Call if stops == 2 * nth => return true,
                Stop::Call => stops += 1,
                Stop::Signal(s) => signal = s,
                Stop::Mark | Stop::Over => return false,
            }
        }
    }

    /// What thread `tid` does: the number of the call in which it sleeps.
    pub fn sleeps(&self, tid: i32) -> Option<i64> {
        let of = |what| fs::read_to_string(format!("/proc/{}/task/{tid}/{what}", self.pid)).ok();
        let stat = of("stat")?;
        let state = stat.rsplit(')').next()?.trim_start().chars().next()?;
        (state == 'S').then_some(())?;
        of("syscall")?.split(' ').next()?.parse().ok()
    }

    /// Lets it go on to its second mark, or until it waits for somebody in one of these calls. `false`: it waits.
    pub fn goes_on(&mut self, calls: &[i64]) -> bool {
        let mut signal = 0;
        loop {
            self.ask(libc::PTRACE_CONT, signal as usize);
            loop {
                match self.look(libc::WNOHANG) {
                    None if self.sleeps(self.pid).is_some_and(|n| calls.contains(&n)) => {
                        return false;
                    }
                    None => std::thread::sleep(Duration::from_millis(1)),
                    Some(Stop::Mark | Stop::Over) => return true,
                    Some(Stop::Signal(s)) => {
                        signal = s;
                        break;
                    }
                    Some(Stop::Call) => break,
                }
            }
        }
    }

    /// Its second thread gets a byte on standard input.
    pub fn tell(&mut self) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(b"g").unwrap();
    }

    /// Whether all of them were read.
    pub fn has_read(&self) -> bool {
        let (input, mut left) = (self.child.stdin.as_ref().expect("a pipe"), 0i32);
        // SAFETY: the kernel stores a number.
        let r = unsafe { libc::ioctl(input.as_raw_fd(), libc::FIONREAD, &raw mut left) };
        r == 0 && left == 0
    }

    /// What a number of its leads to.
    pub fn leads(&self, number: u32) -> String {
        let link = format!("/proc/{}/fd/{number}", self.pid);
        fs::read_link(link).unwrap().to_string_lossy().into_owned()
    }

    /// Whether its second thread sleeps in one of these calls.
    pub fn second_sleeps(&self, calls: &[i64]) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let names = tasks.filter_map(|t| t.ok()?.file_name().into_string().ok());
        let mut ids = names.filter_map(|n| n.parse().ok());
        ids.any(|t| t != self.pid && self.sleeps(t).is_some_and(|n| calls.contains(&n)))
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.pid == 0 || std::thread::panicking() {
            // With its tracer it ends.
            return;
        }
        // SAFETY: kill has no memory effects; nobody has waited for the child, or it is a zombie's pid no more.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        while !matches!(self.look(0), Some(Stop::Over)) {}
    }
}

impl Traced {
    /// Goes on from its second mark to its end: its exit code.
    pub fn ends(&mut self) -> Option<i32> {
        self.ask(libc::PTRACE_DETACH, 0);
        self.child.stdin = None;
        let code = self.child.wait().expect("its end").code();
        self.pid = 0;
        code
    }
}
