//! Signals and limits of the command itself.
use crate::tree::content::STOP;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether SIGXFSZ was ignored when the program started.
static SIZE_IGNORED: AtomicBool = AtomicBool::new(false);

/// A file that reaches the limit of file sizes is an error with a text, not the command's death.
pub fn ignore_size() {
    // SAFETY: sets a disposition; no handler runs.
    let old = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    SIZE_IGNORED.store(old == libc::SIG_IGN, Ordering::Relaxed);
}

/// Whether a child must find SIGXFSZ ignored, as this program found it.
pub fn size_was_ignored() -> bool {
    SIZE_IGNORED.load(Ordering::Relaxed)
}

/// Whether SIGPIPE was ignored when the program started (Rust's runtime changes it before `main`).
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_pipe() {
    // SAFETY: sigaction with a null new action only reads; the zeroed struct is a valid out-buffer.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
        {
            PIPE_IGNORED.store(true, Ordering::Relaxed);
        }
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static NOTE_PIPE: extern "C" fn() = note_pipe;

/// Whether a child must find SIGPIPE ignored, as this program found it.
pub fn pipe_was_ignored() -> bool {
    PIPE_IGNORED.load(Ordering::Relaxed)
}

/// A closed pipe ends the command quietly, like other tools.
pub fn default_pipe() {
    // SAFETY: sets a default disposition; no handler runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// The soft limit of descriptors that this program was started with.
static SOFT: OnceLock<Rlimit> = OnceLock::new();

/// Takes all the descriptors that this program may have: a small soft limit is meant for other programs, and a pair
/// that cannot be looked at for want of descriptors is not damaged.
pub fn raise_descriptors() {
    let old = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: old.maximum,
        maximum: old.maximum,
    };
    if all.current != old.current && setrlimit(Resource::Nofile, all).is_ok() {
        let _ = SOFT.set(old);
    }
}

/// The limit that a child is to find, if it is not this program's.
pub fn descriptors_given() -> Option<libc::rlimit> {
    let endless = |n: Option<u64>| n.unwrap_or(libc::RLIM_INFINITY);
    SOFT.get().map(|old| libc::rlimit {
        rlim_cur: endless(old.current),
        rlim_max: endless(old.maximum),
    })
}

/// Signals that ask a watching command to end: they wait in a descriptor until it looks.
pub struct Gentle {
    fd: OwnedFd,
    before: libc::sigset_t,
    after: libc::sigset_t,
}

impl Gentle {
    /// From here on SIGINT, SIGTERM and SIGHUP are taken by [`Gentle::taken`]. One that is ignored stays so.
    /// `also`: others that do not ask for the end.
    pub fn begin(also: &[i32]) -> io::Result<Gentle> {
        // SAFETY: the sets are initialised; signalfd returns a new descriptor or -1.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for s in also {
                libc::sigaddset(&mut set, *s);
            }
            let mut after: libc::sigset_t = std::mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, &set, &mut before);
            // One of these that waits would end the process.
            libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut after);
            for s in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                let mut old: libc::sigaction = std::mem::zeroed();
                let known = libc::sigaction(s, std::ptr::null(), &mut old) == 0;
                if !(known && old.sa_sigaction == libc::SIG_IGN) {
                    libc::sigaddset(&mut set, s);
                }
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Gentle {
                fd: OwnedFd::from_raw_fd(fd),
                before,
                after,
            })
        }
    }

    /// The mask that a child is to have.
    pub fn before(&self) -> libc::sigset_t {
        self.before
    }

    /// Readable when there is a signal.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The signal that has come, if one has.
    pub fn taken(&self) -> Option<i32> {
        let mut b = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut b) {
            Ok(n) if n == b.len() => {
                let s = b.get(..4)?.try_into().ok()?;
                i32::try_from(u32::from_ne_bytes(s)).ok()
            }
            _ => None,
        }
    }

    /// From here on those that ask for the end do what they do to any program.
    pub fn end(&self) {
        // SAFETY: the mask that this process had, and the others.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &self.after, std::ptr::null_mut()) };
    }
}

extern "C" fn on_stop(_: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// From here on ^C (and SIGTERM, SIGHUP) ends long work at a point from which it can go on later.
/// A signal that is ignored stays ignored.
pub fn stop_gently() {
    for s in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores into an atomic; the structs are fully initialised.
        unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(s, std::ptr::null(), &mut old) == 0
                && old.sa_sigaction == libc::SIG_IGN
            {
                continue;
            }
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = on_stop as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(s, &new, std::ptr::null_mut());
        }
    }
}
