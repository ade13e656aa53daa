//! The domain of a pair: which runtime file is shared, and by whom. The same protocol stands in the
//! command (docs/FORMATS).
//!
//! Rules: as in `attach`; a runtime file is only believed if it is whole, ours, and named by both legs.
use crate::attach::{Session, text};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::owner::{OWNER_SIZE, Owner};
use mirror_core::path::PathText;
use mirror_core::record::{self, Id};
use mirror_core::runtime::{self, RuntimeFile};
use mirror_core::{Errno, StateWord};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The kernel's boot id, as 16 bytes.
fn boot_id() -> Sys<Id> {
    let n = sys::openat(
        c::AT_FDCWD,
        &text(b"/proc/sys/kernel/random/boot_id"),
        c::O_RDONLY | c::O_CLOEXEC,
        0,
    )?;
    let mut buf = [0u8; 40];
    let len = sys::pread(n, &mut buf, 0);
    let _ = sys::close(n);
    let mut hex = [0u8; 32];
    let digits = buf
        .get(..len?)
        .unwrap_or(&[])
        .iter()
        .filter(|b| b.is_ascii_hexdigit());
    for (d, s) in hex.iter_mut().zip(digits) {
        *d = *s;
    }
    Id::from_hex(&hex).ok_or(Errno::EIO)
}

/// The protocol of the domain (who shares the runtime file), see docs/FORMATS: hold both records
/// shared; if they name the live runtime file, that is the domain. Else take both exclusively, which
/// only succeeds when nobody is attached, and found a new one.
#[cold]
#[inline(never)]
pub fn join_domain(owner: &[i32; 2], pair: Id, path: &PathText<256>, s: &Session) -> Sys<usize> {
    let boot = boot_id()?;
    for _ in 0..200 {
        if flock_all(owner, c::LOCK_SH)? {
            if let Some(found) = live(owner, pair, boot, path, s) {
                return Ok(found);
            }
            if flock_all(owner, c::LOCK_EX)? {
                // Somebody may have founded it between the two locks.
                let found = match live(owner, pair, boot, path, s) {
                    Some(f) => Ok(f),
                    None => found_domain(owner, pair, boot, path, s),
                };
                let _ = flock_all(owner, c::LOCK_SH);
                return found;
            }
        }
        for n in owner {
            let _ = sys::flock(*n, c::LOCK_UN);
        }
        sys::sleep_us(1000);
    }
    // Live holders of another domain: another host, or a container that does not share the folder.
    Err(Errno::EIO)
}

fn flock_all(owner: &[i32; 2], op: i32) -> Sys<bool> {
    for n in owner {
        match sys::flock(*n, op | c::LOCK_NB) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

fn live(owner: &[i32; 2], pair: Id, boot: Id, path: &PathText<256>, s: &Session) -> Option<usize> {
    let mut id = None;
    for n in owner {
        let mut b = [0u8; OWNER_SIZE];
        sys::pread(*n, &mut b, 0).ok()?;
        let o = Owner::parse(&b)?;
        if o.boot != boot || id.is_some_and(|i| i != o.runtime) {
            return None;
        }
        id = Some(o.runtime);
    }
    let n = sys::openat(
        c::AT_FDCWD,
        path,
        c::O_RDWR | c::O_CLOEXEC | c::O_NOFOLLOW,
        0,
    )
    .ok()?;
    let at = map(n);
    let _ = sys::close(n);
    let at = at.ok()?;
    // SAFETY: as in Session::runtime.
    let rt = unsafe { &*(at as *const RuntimeFile) };
    let stripes = rt.header.stripes.load(Ordering::Relaxed) == s.stripes as u64;
    if stripes && rt.header.verify() == Some((id?, pair)) {
        return Some(at);
    }
    // SAFETY: just mapped, used by nobody.
    unsafe { sys::unmap(at, runtime::SIZE) };
    None
}

/// Maps a runtime file of the right size, owned by the one who owns the pair or by us.
fn map(n: i32) -> Sys<usize> {
    let st = sys::fstat(n)?;
    // SAFETY: takes no pointer.
    let euid = unsafe { sys::syscall0(c::SYS_geteuid) } as u32;
    let ours = (st.uid() == euid || st.uid() == 0) && st.mode() & 0o022 == 0;
    if st.kind() != c::S_IFREG || st.size() != runtime::SIZE as u64 || !ours {
        return Err(Errno::EIO);
    }
    sys::map_shared(n, runtime::SIZE)
}

fn found_domain(
    owner: &[i32; 2],
    pair: Id,
    boot: Id,
    path: &PathText<256>,
    s: &Session,
) -> Sys<usize> {
    let mut id = [0u8; 16];
    sys::random(&mut id)?;
    let id = Id(id);
    let mut dir = path.clone();
    dir.pop();
    let mode = if dir.as_bytes() == b"/run/mirror" {
        0o755
    } else {
        0o700
    };
    match sys::mkdirat(c::AT_FDCWD, &dir, mode) {
        Ok(_) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(e),
    }
    let d = sys::openat(
        c::AT_FDCWD,
        &dir,
        c::O_PATH | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_CLOEXEC,
        0,
    )?;
    let st = sys::fstat(d);
    let _ = sys::close(d);
    // Nobody else may be able to put a file there.
    // SAFETY: takes no pointer.
    let euid = unsafe { sys::syscall0(c::SYS_geteuid) } as u32;
    if !st.is_ok_and(|st| (st.uid() == 0 || st.uid() == euid) && st.mode() & 0o022 == 0) {
        return Err(Errno::EIO);
    }
    let mut tmp = path.clone();
    let _ = tmp.append(b".");
    let _ = tmp.append(id.hex().get(..16).unwrap_or(&[]));
    let n = sys::openat(
        c::AT_FDCWD,
        &tmp,
        c::O_RDWR | c::O_CREAT | c::O_EXCL | c::O_CLOEXEC | c::O_NOFOLLOW,
        0o600,
    )?;
    // Preallocated: a hole in it would be a SIGBUS in somebody else's program.
    let at = sys::fallocate(n, 0, 0, runtime::SIZE as u64).and_then(|_| map(n));
    let _ = sys::close(n);
    let at = match at {
        Ok(a) => a,
        Err(e) => {
            let _ = sys::unlinkat(c::AT_FDCWD, &tmp, 0);
            return Err(e);
        }
    };
    // SAFETY: as in Session::runtime.
    let rt = unsafe { &*(at as *const RuntimeFile) };
    rt.header.init(id, boot, pair, s.stripes);
    if has_pending(s) {
        rt.header
            .word
            .fetch_or(StateWord::PENDING, Ordering::Relaxed);
    }
    sys::renameat2(c::AT_FDCWD, &tmp, c::AT_FDCWD, path, 0)?;
    let bytes = Owner { runtime: id, boot }.encode();
    for n in owner {
        sys::pwrite(*n, &bytes, 0)?;
        sys::fdatasync(*n)?;
    }
    Ok(at)
}

fn has_pending(s: &Session) -> bool {
    s.root.iter().any(|&r| {
        sys::fstatat(r, &text(record::PENDING_LOG), c::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|st| st.size() > 0)
    })
}
