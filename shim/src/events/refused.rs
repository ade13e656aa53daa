//! A change in V that was refused, and the record that says why: the program sees only an errno.
//!
//! Rules: nothing here may change the answer, wait, or send the program a signal; what cannot be recorded
//! is lost. One record for each pair and reason in a process.
use crate::config::CONFIG;
use core::sync::atomic::{AtomicU32, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::MAX_PAIRS;
use mirror_core::path::PathText;
use mirror_core::refusal::{self, Record, Refusal};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Why a pair cannot be used.
#[derive(Clone, Copy)]
pub struct Refused {
    /// The reason.
    pub why: Refusal,
    /// What it began with.
    pub errno: Errno,
    /// The system call that answered so, if it was one.
    pub call: Option<u16>,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Refused {
        Refused {
            why: Refusal::of(errno),
            errno,
            call: sys::failed(errno),
        }
    }
}

impl Refused {
    /// A reason of the protocol's own.
    pub fn new(why: Refusal) -> Refused {
        Refused {
            why,
            errno: Errno::EIO,
            call: None,
        }
    }
}

/// A reason for errors that do not tell it themselves; where a permission, a limit or room is missing, that
/// is the reason.
pub fn unless_told(why: Refusal) -> impl Fn(Errno) -> Refused {
    move |errno| {
        let told = Refused::from(errno);
        match told.why {
            Refusal::Other => Refused { why, ..told },
            _ => told,
        }
    }
}

static SAID: [AtomicU32; MAX_PAIRS] = [const { AtomicU32::new(0) }; MAX_PAIRS];

/// Writes the record, once.
#[cold]
#[inline(never)]
pub fn record(pair: usize, r: &Refused) {
    let bit = 1u32 << (r.why as u32 & 31);
    let (Some(said), Some(conf)) = (SAID.get(pair), CONFIG.get().pairs().get(pair)) else {
        return;
    };
    if said.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        let _ = write((conf.virt.to_bytes(), conf.tag()), r);
    }
}

/// Writes down that an object of a pair was found to differ, once for each process, pair and outcome.
#[cold]
#[inline(never)]
pub fn found(pair: usize, why: Refusal, errno: Errno, rel: &[u8]) {
    let bit = 1u32 << (why as u32 & 31);
    let (Some(said), Some(conf)) = (SAID.get(pair), CONFIG.get().pairs().get(pair)) else {
        return;
    };
    if said.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return;
    }
    let v = conf.virt.to_bytes();
    let mut text = [0u8; refusal::TEXT];
    let mut used = 0usize;
    for (d, s) in text.iter_mut().zip(v.iter().chain(&[0]).chain(rel)) {
        *d = *s;
        used = used.saturating_add(1);
    }
    let text = text.get(..used).unwrap_or(&[]);
    let found = Refused {
        why,
        errno,
        call: None,
    };
    let _ = write((text, conf.tag()), &found);
}

fn write(v: (&[u8], u64), r: &Refused) -> Sys<()> {
    // Beyond it the write would be a SIGXFSZ.
    if sys::file_size_limit() < refusal::FILE as u64 {
        return Ok(());
    }
    let uid = sys::euid();
    let n = open_ring(&refusal::ring(uid), refusal::OTHERS, uid)?;
    let who = (sys::getpid() as u32, uid);
    let bytes = Record::new(r.why, r.errno, who, sys::realtime(), sys::comm(), v)
        .of_call(r.call)
        .encode();
    let done = put(n, uid, &bytes);
    let _ = sys::close(n);
    done
}

/// Opens a ring of records, or makes it; root's where it may be.
pub fn open_ring(path: &PathText<64>, others: &[u8], uid: u32) -> Sys<i32> {
    if uid == NOBODY && unmapped() {
        return Err(Errno::EPERM);
    }
    match open_one(path, uid) {
        Err(_) if uid == 0 => open_one(&refusal::spare(others), uid),
        r => r,
    }
}

/// Whom a user namespace shows that does not map one's user (kernel.overflowuid): what such a process made
/// would belong to its real user, and be in the way of nobody's.
const NOBODY: u32 = 65534;

/// Whether this is a user namespace that does not map every user.
fn unmapped() -> bool {
    let mut map = [0u8; 64];
    let mut path = PathText::<64>::new();
    let flags = c::O_RDONLY | c::O_CLOEXEC;
    if path.set(b"/proc/self/uid_map").is_err() {
        return false;
    }
    let Ok(n) = sys::openat(c::AT_FDCWD, &path, flags, 0) else {
        return false;
    };
    let len = sys::pread(n, &mut map, 0).unwrap_or(0);
    let _ = sys::close(n);
    let map = map.get(..len).unwrap_or(&[]);
    !map.windows(10).any(|w| w == b"4294967295")
}

fn open_one(path: &PathText<64>, uid: u32) -> Sys<i32> {
    let flags = c::O_RDWR | c::O_CLOEXEC | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY;
    match sys::openat(c::AT_FDCWD, path, flags, 0) {
        Err(Errno::ENOENT) => {}
        r => return r,
    }
    if uid == 0 {
        let mut folder: PathText<64> = path.clone();
        folder.pop();
        let _ = sys::mkdirat(c::AT_FDCWD, &folder, 0o711);
    }
    let n = match sys::openat(c::AT_FDCWD, path, flags | c::O_CREAT | c::O_EXCL, 0o600) {
        // Another one has just made it.
        Err(Errno::EEXIST) => return sys::openat(c::AT_FDCWD, path, flags, 0),
        r => r?,
    };
    // Not what the program's umask leaves of it.
    let _ = sys::fchmod(n, 0o600);
    Ok(n)
}

/// Puts the record where the oldest one, or none, stands. Two processes would choose the same place, so it is
/// done under a lock on the ring; its end is the descriptor's. Whoever keeps it for long is not waited for.
fn put(n: i32, uid: u32, bytes: &[u8; refusal::SIZE]) -> Sys<()> {
    let st = sys::fstat(n)?;
    if st.kind() != c::S_IFREG || st.uid() != uid || st.mode() & 0o7777 != 0o600 || st.nlink() != 1
    {
        return Err(Errno::EACCES);
    }
    for _ in 0..64 {
        if sys::flock(n, c::LOCK_EX | c::LOCK_NB) != Err(Errno::EAGAIN) {
            break;
        }
        sys::yield_now();
    }
    if st.size() != refusal::FILE as u64 {
        sys::ftruncate(n, refusal::FILE as u64)?;
    }
    let at = oldest(n)?;
    sys::pwrite(n, bytes, at).map(|_| ())
}

/// Where the oldest record, or none, stands.
fn oldest(n: i32) -> Sys<u64> {
    let (mut best, mut oldest) = (0u64, u64::MAX);
    let first = sys::gettid() as u64;
    for i in 0..refusal::SLOTS as u64 {
        let slot = first.wrapping_add(i) % refusal::SLOTS as u64;
        let at = slot.wrapping_mul(refusal::SIZE as u64);
        let mut time = [0u8; 8];
        sys::pread(n, &mut time, at.wrapping_add(refusal::TIME.start as u64))?;
        let time = u64::from_le_bytes(time);
        if time < oldest {
            (best, oldest) = (at, time);
        }
    }
    Ok(best)
}
