//! Signals of the command itself.
use crate::tree::content::STOP;
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
