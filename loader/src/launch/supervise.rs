//! `mirror run` as a parent: the command behaves as if it had been started without it. Signals are
//! forwarded, stopping and going on work, its code or its death by a signal becomes ours.
use super::halt;
use crate::fail::{Fail, Kind, Res, reason};
use crate::text;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

const FORWARDED: [i32; 12] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGALRM,
];

/// How long the command has to prove that it attached.
const PROOF: Duration = Duration::from_secs(2);
/// How often it is looked for afterwards, while it may still come, and for how long.
const AGAIN: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(60);

/// How the command ended.
pub enum End {
    /// By itself.
    Status(ExitStatus),
    /// libmirror.so said why and left: its message has been printed.
    Refused,
}

/// Puts a child into the state in which this process was started.
pub fn as_started(c: &mut Command, mask: libc::sigset_t) {
    let ignored = crate::signal::pipe_was_ignored();
    let size_ignored = crate::signal::size_was_ignored();
    let descriptors = crate::signal::descriptors_given();
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        c.pre_exec(move || {
            libc::sigprocmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut());
            if ignored {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            }
            if !size_ignored {
                libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            }
            if let Some(limit) = &descriptors {
                libc::setrlimit(libc::RLIMIT_NOFILE, limit);
            }
            Ok(())
        });
    }
}

/// This process's signal mask.
pub fn mask() -> libc::sigset_t {
    // SAFETY: a null new set only reads; the zeroed set is a valid out-buffer.
    unsafe {
        let mut m: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut m);
        m
    }
}

/// None blocked.
pub fn unblocked() -> libc::sigset_t {
    // SAFETY: the set is initialised by the call.
    unsafe {
        let mut m: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut m);
        m
    }
}

/// Whether a signal waits that was to be forwarded to the command, and that ends or stops a program.
pub fn called() -> bool {
    // SAFETY: the set is initialised by the call.
    unsafe {
        let mut m: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut m);
        let kinds = FORWARDED
            .iter()
            .filter(|s| ![libc::SIGWINCH, libc::SIGCONT].contains(s));
        kinds
            .into_iter()
            .any(|s| libc::sigismember(&raw const m, *s) == 1)
    }
}

fn ignored(s: i32) -> bool {
    // SAFETY: a null new action only reads.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(s, std::ptr::null(), &mut old) == 0 && old.sa_sigaction == libc::SIG_IGN
    }
}

/// Blocks the forwarded signals and returns a descriptor that tells of them.
fn listen(before: &libc::sigset_t) -> io::Result<OwnedFd> {
    // SAFETY: the sets are initialised; signalfd returns a new descriptor or -1.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        // Somebody may have left SIGCHLD ignored: then children would vanish unseen.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        for s in FORWARDED {
            if !ignored(s) && libc::sigismember(before, s) == 0 {
                libc::sigaddset(&mut set, s);
            }
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

fn send(pid: i32, s: i32) {
    // SAFETY: plain kill of our own, not yet reaped child.
    unsafe { libc::kill(pid, s) };
}

/// Kills the command and what it has started. Each is stopped before its children are looked up, so
/// that none is missed.
fn stop_all(pid: i32) {
    let mut all = vec![pid];
    let mut i = 0;
    while let Some(&p) = all.get(i) {
        send(p, libc::SIGSTOP);
        all.extend(
            children(p)
                .into_iter()
                .filter(|c| !all.contains(c))
                .collect::<Vec<_>>(),
        );
        i += 1;
    }
    for p in all {
        send(p, libc::SIGKILL);
    }
}

fn children(of: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|p| {
            let stat = std::fs::read_to_string(format!("/proc/{p}/stat")).unwrap_or_default();
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
            parent == Some(of)
        })
        .collect()
}

fn next(fd: &OwnedFd) -> Option<libc::signalfd_siginfo> {
    // SAFETY: the buffer has exactly the size that the kernel fills.
    unsafe {
        let mut info: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        let n = libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size);
        (usize::try_from(n) == Ok(size)).then_some(info)
    }
}

/// The proof of attachment: libmirror.so writes one byte into the pipe and closes it.
struct Proof {
    pipe: OwnedFd,
    /// When it is looked for next.
    until: Instant,
    /// When it must have come, however slow the machine is.
    last: Instant,
    /// Nobody can write into the pipe any more.
    closed: bool,
}

impl Proof {
    /// The time that it may take begins now: before, the command was stopped.
    fn anew(&mut self) {
        self.until = Instant::now() + PROOF;
        self.last = Instant::now() + LAST;
    }
}

/// Whether libmirror.so may still come to its start: it is mapped, or libc, which ld.so maps after it, is
/// not. A machine may be busy, or a disk slow.
fn may_come(pid: i32) -> bool {
    let Ok(maps) = std::fs::read(format!("/proc/{pid}/maps")) else {
        return false;
    };
    let mapped = |name: &[u8]| {
        maps.split(|&b| b == b'\n')
            .filter_map(mirror_core::maps::parse)
            .any(|m| m.path.contains(&b'/') && m.name().starts_with(name))
    };
    mapped(b"libmirror.so") || !mapped(b"libc.so") && !mapped(b"libc-")
}

/// Starts the command and waits for its end. `prove`: it must show that it attached.
pub fn run(mut c: Command, name: &str, prove: bool) -> Res<End> {
    let before = mask();
    let fail = |what: &str, e: io::Error| Fail::failed(format!("{what}: {}", reason(&e)));
    let signals = listen(&before).map_err(|e| fail("signals", e))?;
    as_started(&mut c, before);
    let mut ends = None;
    c.env_remove("MIRROR_PROOF");
    if prove {
        let (r, w) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| fail("pipe", e.into()))?;
        let n = w.as_raw_fd();
        c.env("MIRROR_PROOF", n.to_string());
        // SAFETY: fcntl on a descriptor that is open in the child; async-signal-safe.
        unsafe {
            c.pre_exec(move || {
                libc::fcntl(n, libc::F_SETFD, 0);
                Ok(())
            });
        }
        ends = Some((r, w));
    }
    let child = c.spawn().map_err(|e| match e.raw_os_error() {
        Some(libc::ENOENT) => Fail::new(Kind::NotFound, format!("{name}: command not found")),
        _ => Fail::new(Kind::NotRunnable, format!("{name}: {}", reason(&e))),
    })?;
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    let proof = ends.map(|(pipe, _write)| Proof {
        pipe,
        until: Instant::now() + PROOF,
        last: Instant::now() + LAST,
        closed: false,
    });
    follow(pid, name, &signals, proof)
}

fn follow(pid: i32, name: &str, signals: &OwnedFd, mut proof: Option<Proof>) -> Res<End> {
    let mut proved = proof.is_none();
    let mut watcher = 0;
    loop {
        // The end of the child comes before a missing proof: a command may be shorter than both.
        match seen(pid, libc::WNOHANG | libc::WUNTRACED) {
            Seen::Ended(status) => {
                if !proved && !proof.as_ref().is_some_and(|p| attached(&p.pipe)) {
                    return unproved(pid, name, status);
                }
                return Ok(End::Status(status));
            }
            Seen::Stopped(signal) => {
                watcher = halt::with(pid, signal);
                if let Some(p) = &mut proof {
                    p.anew();
                }
            }
            Seen::Nothing => {}
        }
        let left = proof
            .as_ref()
            .map(|p| p.until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|d| Timespec::try_from(d).ok());
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        if let Some(p) = proof.as_ref().filter(|p| !p.closed) {
            fds.push(PollFd::from_borrowed_fd(p.pipe.as_fd(), PollFlags::IN));
        }
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let spoke = fds.get(1).is_some_and(|f| !f.revents().is_empty());
        let heard = !fds[0].revents().is_empty();
        drop(fds);
        while heard && let Some(info) = next(signals) {
            forward(pid, watcher, &info);
        }
        let Some(p) = &mut proof else { continue };
        if spoke && !p.closed && attached(&p.pipe) {
            proved = true;
            proof = None;
        } else if spoke && !p.closed {
            // Most likely it ends just now: then it is judged by its end.
            p.closed = true;
            p.until = Instant::now() + PROOF;
        } else if p.until <= Instant::now() {
            if halt::is_stopped(pid) {
                p.anew();
                continue;
            }
            if !p.closed && p.last > Instant::now() && may_come(pid) {
                p.until = Instant::now() + AGAIN;
                continue;
            }
            stop_all(pid);
            while reap_wait(pid).is_none() {}
            return Err(not_attached(pid, name));
        }
    }
}

/// How a program ended, in words.
pub fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(s) => {
            // SAFETY: strsignal returns a C string that stays until the next call; one thread is here.
            let text = unsafe {
                let p = libc::strsignal(s);
                (!p.is_null()).then(|| std::ffi::CStr::from_ptr(p).to_string_lossy().into_owned())
            };
            format!("died of signal {s} ({})", text.unwrap_or_default())
        }
        None => format!("ended with exit code {}", status.code().unwrap_or(-1)),
    }
}

/// It ended before libmirror.so said that it had attached.
fn ended(pid: i32, name: &str, status: ExitStatus) -> Fail {
    let why = if status.signal().is_some() {
        ""
    } else {
        " Either ld.so could not load libmirror.so, or the program gave up at once: a message of theirs stands above."
    };
    Fail::failed(format!(
        "{name}[{pid}] did not attach: it {} at its start.{why} mirror doctor {name}",
        how(status)
    ))
}

fn not_attached(pid: i32, name: &str) -> Fail {
    Fail::failed(format!(
        "{name}[{pid}] runs, but did not attach (ld.so could not load libmirror.so: noexec, or another C library?). Stopped. mirror doctor {name}"
    ))
}

fn unproved(pid: i32, name: &str, status: ExitStatus) -> Res<End> {
    if status.code() == Some(78) {
        Ok(End::Refused)
    } else {
        Err(ended(pid, name, status))
    }
}

fn attached(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if !matches!(rustix::event::poll(&mut fds, Some(&zero)), Ok(1)) {
        return false;
    }
    let mut b = [0u8; 1];
    pipe.try_clone()
        .is_ok_and(|p| matches!(std::fs::File::from(p).read(&mut b), Ok(1)))
}

/// What has become of the command.
enum Seen {
    Nothing,
    /// By this signal.
    Stopped(i32),
    Ended(ExitStatus),
}

fn reap_wait(pid: i32) -> Option<ExitStatus> {
    match seen(pid, 0) {
        Seen::Ended(status) => Some(status),
        _ => None,
    }
}

fn seen(pid: i32, flags: i32) -> Seen {
    let mut status = 0;
    // SAFETY: waitpid on our own child with a valid out-pointer.
    let got = unsafe { libc::waitpid(pid, &mut status, flags) };
    if got != pid {
        Seen::Nothing
    } else if libc::WIFSTOPPED(status) {
        Seen::Stopped(libc::WSTOPSIG(status))
    } else {
        Seen::Ended(ExitStatus::from_raw(status))
    }
}

/// Passes a signal on, unless the terminal has given it to the whole group already, or it is of the command itself, or
/// of the watcher (`halt`).
fn forward(pid: i32, watcher: i32, info: &libc::signalfd_siginfo) {
    let s = i32::try_from(info.ssi_signo).unwrap_or(0);
    let from = i32::try_from(info.ssi_pid);
    if s == libc::SIGCHLD || from == Ok(pid) || watcher > 0 && from == Ok(watcher) {
        return;
    }
    // SAFETY: getpgid of our own child and of ourselves.
    let same_group = unsafe { libc::getpgid(pid) == libc::getpgrp() };
    if info.ssi_code == libc::SI_KERNEL && same_group {
        return;
    }
    send(pid, s);
}

/// Whether the kernel has written a core file of it, by a name that begins in the command's directory.
pub fn left_a_core_file(status: ExitStatus) -> bool {
    let relative = || {
        let pattern = std::fs::read("/proc/sys/kernel/core_pattern").unwrap_or_default();
        !matches!(pattern.first(), Some(b'/' | b'|' | b'@'))
    };
    status.core_dumped() && relative()
}

/// Ends this process as the command ended.
pub fn end_like(status: ExitStatus) -> u8 {
    let Some(s) = status.signal() else {
        return u8::try_from(status.code().unwrap_or(125)).unwrap_or(125);
    };
    // SAFETY: default disposition, then the signal to ourselves; no core of this process beside the command's.
    unsafe {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::signal(s, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, s);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::kill(libc::getpid(), s);
    }
    u8::try_from(128 + s).unwrap_or(255)
}

/// The name of a command for messages.
pub fn short(word: &std::ffi::OsStr) -> String {
    let p = std::path::Path::new(word);
    text::show(p.file_name().unwrap_or(word).as_encoded_bytes())
}
