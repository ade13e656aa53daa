//! A command is started, with the library, as far as its entry point: ld.so has loaded and relocated
//! everything, the library has started, constructors of libraries have run. Then it is killed; no
//! instruction of the program's own is executed.
use crate::launch::supervise::as_started;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long ld.so and the constructors may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
pub enum Trial {
    /// It came to its entry point; whether the library proved that it attached.
    Started { attached: bool },
    /// It ended before, and said this.
    Ended(ExitStatus, String),
    /// It could not be tried.
    NotTried(String),
}

/// Starts a command and stops it at its entry point.
pub fn start(mut c: Command) -> Trial {
    let Ok((read, write)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) else {
        return Trial::NotTried("no pipe".into());
    };
    let n = write.as_raw_fd();
    c.env("MIRROR_PROOF", n.to_string());
    c.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    as_started(&mut c, super::supervise::mask());
    // SAFETY: two system calls between fork and exec.
    unsafe {
        c.pre_exec(move || {
            libc::fcntl(n, libc::F_SETFD, 0);
            if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = match c.spawn() {
        Ok(c) => c,
        Err(e) => return Trial::NotTried(crate::fail::reason(&e)),
    };
    drop(write);
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    let seen = follow(pid);
    match seen {
        Some(Seen::Ended(status)) => Trial::Ended(status, said(&mut child)),
        Some(Seen::Entry) => {
            kill(pid);
            Trial::Started {
                attached: proved(read),
            }
        }
        None => {
            kill(pid);
            Trial::NotTried("it could not be followed to its entry point".into())
        }
    }
}

enum Seen {
    Entry,
    Ended(ExitStatus),
}

/// Runs the traced child up to its entry point.
fn follow(pid: i32) -> Option<Seen> {
    let until = Instant::now() + PATIENCE;
    let mut entry = None;
    while Instant::now() < until {
        let mut status = 0;
        // SAFETY: waitpid on our own child with a valid out-pointer.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            0 => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            got if got != pid => return None,
            _ => {}
        }
        if !libc::WIFSTOPPED(status) {
            return Some(Seen::Ended(ExitStatus::from_raw(status)));
        }
        let mut signal = libc::WSTOPSIG(status);
        match entry {
            // The exec.
            None => {
                let at = entry_of(pid)?;
                stop_at(pid, at)?;
                entry = Some(at);
                signal = 0;
            }
            Some(at) if signal == libc::SIGTRAP && stands_at(pid) == at.wrapping_add(1) => {
                return Some(Seen::Entry);
            }
            Some(_) => {}
        }
        // SAFETY: the child is stopped and ours; the signal goes on to it.
        unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, signal) };
    }
    None
}

/// AT_ENTRY of its auxiliary vector: the program's, not ld.so's.
fn entry_of(pid: i32) -> Option<usize> {
    let all = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    let word = |b: &[u8]| b.first_chunk().map(|w| usize::from_le_bytes(*w));
    all.chunks_exact(16).find_map(|e| {
        let (kind, value) = e.split_at(8);
        (word(kind)? == libc::AT_ENTRY as usize).then(|| word(value))?
    })
}

/// Puts a breakpoint (int3) at an address; the child dies with this process.
fn stop_at(pid: i32, at: usize) -> Option<()> {
    // SAFETY: the child is stopped and ours; only its memory is changed. −1 may be a word, so errno decides.
    unsafe {
        *libc::__errno_location() = 0;
        let word = libc::ptrace(libc::PTRACE_PEEKTEXT, pid, at, 0);
        if *libc::__errno_location() != 0 {
            return None;
        }
        let trap = (word & !0xff) | 0xcc;
        let kill = libc::PTRACE_O_EXITKILL;
        (libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, kill) == 0
            && libc::ptrace(libc::PTRACE_POKETEXT, pid, at, trap) == 0)
            .then_some(())
    }
}

/// The stopped child's instruction pointer.
fn stands_at(pid: i32) -> usize {
    const RIP: usize = 16 * 8;
    // SAFETY: the child is stopped and ours; reads a word of its registers.
    unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, pid, RIP, 0) as usize }
}

fn kill(pid: i32) {
    let mut status = 0;
    // SAFETY: our own child, not reaped yet.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        while libc::waitpid(pid, &mut status, 0) == pid && libc::WIFSTOPPED(status) {}
    }
}

fn proved(read: OwnedFd) -> bool {
    let mut b = [0u8; 1];
    matches!(std::fs::File::from(read).read(&mut b), Ok(1))
}

/// The last line that it printed. What it has started may still hold the pipe: never waited for.
fn said(child: &mut Child) -> String {
    let Some(mut pipe) = child.stderr.take() else {
        return String::new();
    };
    let _ = rustix::io::ioctl_fionbio(&pipe, true);
    let mut all = vec![0u8; 1 << 16];
    let n = pipe.read(&mut all).unwrap_or(0);
    let last = all[..n]
        .split(|&b| b == b'\n')
        .rfind(|l| !l.trim_ascii().is_empty());
    crate::text::show(last.unwrap_or(b"").trim_ascii())
}
