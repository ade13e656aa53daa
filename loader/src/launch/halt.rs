//! The command is stopped: so is `mirror run`, for as long as that lasts and no longer.
//!
//! A shell waits for `mirror run`, and takes the terminal back when that stops. But a stopped process does not see
//! the command go on, or end, when somebody continues or kills the command alone. So a watcher looks, and lets
//! `mirror run` go on.
use std::ffi::CString;

/// How often the watcher looks, in milliseconds.
const GLANCE: i32 = 50;

/// The process that looks whether a stopped command goes on.
struct Watcher(libc::pid_t);

/// Stops this process because the command was stopped by `signal`, until a shell or the watcher lets it go on.
/// Returns the watcher's id: its signals are not for the command.
///
/// SIGSTOP is passed on as SIGTSTP: the kernel stops nobody by that where no shell is left that could let it go on.
pub fn with(pid: i32, signal: i32) -> i32 {
    let signal = match signal {
        libc::SIGTTIN | libc::SIGTTOU => signal,
        _ => libc::SIGTSTP,
    };
    let watcher = Watcher::start(pid);
    stop(signal);
    watcher.map_or(0, |w| w.0)
}

/// Takes the signal's default action here, once, also if it waits already.
fn stop(signal: i32) {
    // SAFETY: sets and actions are initialised; a default disposition runs no code. What was is put back.
    unsafe {
        let mut one: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut one);
        libc::sigaddset(&mut one, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &one, &mut before);
        let mut old: libc::sigaction = std::mem::zeroed();
        let default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &default, &mut old);
        libc::kill(libc::getpid(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &one, std::ptr::null_mut());
        libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        libc::sigaction(signal, &old, std::ptr::null_mut());
    }
}

impl Watcher {
    /// Starts it. `None`: there is no room for a process.
    fn start(pid: i32) -> Option<Watcher> {
        let stat = CString::new(format!("/proc/{pid}/stat")).ok()?;
        // SAFETY: plain system calls. Only this thread is here, so the child may go on like any process.
        unsafe {
            let own = libc::getpid();
            match libc::fork() {
                0 => watch(own, &stat),
                w if w > 0 => Some(Watcher(w)),
                _ => None,
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // SAFETY: our own child, which is not yet waited for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// The watcher: lets its parent go on as long as the command is not stopped. Only the parent ends it. A session of
/// its own: what stops or ends the job is not meant for it. No descriptors: nobody waits for it to close them.
fn watch(parent: i32, stat: &std::ffi::CStr) -> ! {
    // SAFETY: system calls without pointers, but for an empty list and a path that lives on.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != parent {
            libc::_exit(0);
        }
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        loop {
            if state(stat).is_some_and(|s| s != b'T') {
                libc::kill(parent, libc::SIGCONT);
            }
            libc::poll(std::ptr::null_mut(), 0, GLANCE);
        }
    }
}

/// The letter of a process's state; `None`: it could not be found out.
fn state(stat: &std::ffi::CStr) -> Option<u8> {
    let mut b = [0u8; 512];
    // SAFETY: a path that ends in zero; the buffer is as long as said; the descriptor is ours.
    let n = unsafe {
        let fd = libc::open(stat.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return None;
        }
        let n = libc::read(fd, b.as_mut_ptr().cast(), b.len());
        libc::close(fd);
        n
    };
    let said = b.get(..usize::try_from(n).ok()?)?;
    // The name before it may have any characters.
    let end = said.iter().rposition(|c| *c == b')')?;
    said.get(end + 2).copied()
}

/// Whether a process is stopped.
pub fn is_stopped(pid: i32) -> bool {
    CString::new(format!("/proc/{pid}/stat")).is_ok_and(|path| state(&path) == Some(b'T'))
}
