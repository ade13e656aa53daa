//! What writes to a file of a pair without a call that the library sees: an unmirrored program with its
//! descriptor, a loop device, a ring of io_uring that others have made.
//!
//! Rules: a writer that is let go makes its object pending; one that can be kept out is refused.
use crate::attach::session;
use crate::calls::paired::outer;
use crate::path::loc::Loc;
use crate::process::actor::{guest, in_turn};
use crate::process::fds::{self, ANY_PARTNER, PAIRED};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::K;
use mirror_core::RESERVED;
use mirror_core::StateWord;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// The object of descriptor `n`, of a pair and open for writing, is written by others from now on.
#[inline(never)]
pub fn record(n: i32) {
    let mut loc = Loc::new();
    let _ = crate::calls::paired::recognise::recognise(n, &mut loc);
    let (pair, rel) = match (fds::hint(n), fds::info(n)) {
        (PAIRED, Some(i)) => {
            let mut buf = [0u8; 232];
            let rel = i.path(&mut buf);
            loc.set_text(rel);
            (usize::from(i.pair.load(Ordering::Relaxed)), loc.text())
        }
        _ => (loc.pair, loc.text()),
    };
    record_at(pair, rel);
}

/// The object at a place in a pair is written by others from now on.
#[inline(never)]
pub fn record_at(pair: usize, rel: &[u8]) {
    // Without a name it may be anything.
    let rel: &[u8] = if rel.is_empty() { b"." } else { rel };
    let listed = in_turn(|| {
        let s = session::session(pair, guest())?;
        crate::repair::pending::pending(&s, rel);
        s.runtime().set_bits(StateWord::UNMIRRORED);
        if guest() {
            session::release_guest(&s);
        }
        Ok::<(), Errno>(())
    });
    // The pair itself cannot be told.
    if listed.is_err() {
        outer::unsure(pair);
    }
}

/// Whether `n` is a loop device.
pub fn is_loop(n: i32) -> bool {
    const LOOP_MAJOR: u64 = 7;
    sys::fstat(n).is_ok_and(|st| st.kind() == c::S_IFBLK && st.rdev() >> 8 & 0xfff == LOOP_MAJOR)
}

/// Whether `n` may write.
pub fn writes(n: i32) -> bool {
    sys::opened_for(n, |mode| mode != c::O_RDONLY)
}

/// Whether `n` is a ring of io_uring. None is made by a program with the library: it was inherited, or came
/// over a socket.
#[inline(never)]
pub fn is_ring(n: i32) -> bool {
    // What belongs to no file system has no kind.
    if !sys::fstat(n).is_ok_and(|st| st.kind() == 0) {
        return false;
    }
    let mut text = PathText::<64>::new();
    let told = sys::fd_path(n, &mut text);
    // Without /proc nobody can tell.
    told.is_err() || text.as_bytes() == b"anon_inode:[io_uring]"
}

/// Each writable descriptor of a pair that an unmirrored program will have makes its object pending.
/// `exec`: only those that survive the exec.
#[inline(never)]
pub fn record_writable(exec: bool) {
    if !ANY_PARTNER.load(Ordering::Relaxed) {
        return;
    }
    for n in 0..RESERVED {
        let Ok(flags) = sys::fd_flags(n.saturating_add(K)) else {
            continue;
        };
        if exec && flags & c::FD_CLOEXEC != 0 {
            continue;
        }
        crate::calls::paired::lent::record(n);
    }
}
