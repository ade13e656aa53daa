//! Ctrl-C and its like: a flag that everything which takes time looks at, so that a run ends in
//! order and its mounts are taken away.
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// From now on the signals that ask for an end only set the flag.
pub fn install() {
    let handler: extern "C" fn(libc::c_int) = note;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: the handler only stores into an atomic.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Whether somebody asked for an end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// `Err` when somebody asked for an end.
pub fn check() -> crate::Result<()> {
    if interrupted() {
        Err("interrupted".into())
    } else {
        Ok(())
    }
}
