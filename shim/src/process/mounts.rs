//! Whether a file system is read-only, or this process's mount of it alone.
use crate::process::limits::own_fd;
use libc as c;
use mirror_core::path::PathText;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Whether the file system that an object is on is read-only itself, or has made itself so. `false`: this mount
/// alone is, or it cannot be told.
#[cold]
#[inline(never)]
pub fn is_read_only(n: i32) -> bool {
    let Ok(wanted) = sys::mount_shown(n) else {
        return false;
    };
    let (mut id, mut field, mut dash) = (0u64, 0usize, usize::MAX);
    // The beginning of a field, and whether the mount's line, and the file system's, say "ro".
    let (mut word, mut at) = ([0u8; 12], 0usize);
    let (mut found, mut mount, mut own) = (false, false, false);
    let done = read(|b| {
        if b != b' ' && b != b'\n' && b != b',' {
            if field == 0 {
                let digit = u64::from(b.wrapping_sub(b'0'));
                id = id.wrapping_mul(10).wrapping_add(digit);
            }
            if let Some(d) = word.get_mut(at) {
                *d = b;
            }
            at = at.saturating_add(1);
            return;
        }
        let text = word.get(..at).unwrap_or(&[]);
        if id == wanted && field > 0 {
            found = true;
            mount |= field == 5 && text == b"ro";
            own |= field == dash.saturating_add(3) && (text == b"ro" || text == b"emergency_ro");
        }
        if field > 5 && text == b"-" && dash == usize::MAX {
            dash = field;
        }
        at = 0;
        match b {
            b',' => {}
            b' ' => field = field.saturating_add(1),
            _ => (id, field, dash) = (0, 0, usize::MAX),
        }
    });
    done.is_ok() && found && (own || !mount)
}

/// Whether the root of what this process sees is a copy of another mount namespace's, which follows that one
/// (as systemd makes them for its services). Also where it cannot be told.
#[cold]
#[inline(never)]
pub fn root_follows_another() -> bool {
    let (mut field, mut word, mut at) = (0usize, [0u8; 12], 0usize);
    let (mut root, mut dash, mut follows, mut found) = (false, false, false, false);
    let done = read(|b| {
        if b != b' ' && b != b'\n' {
            if let Some(d) = word.get_mut(at) {
                *d = b;
            }
            at = at.saturating_add(1);
            return;
        }
        let text = word.get(..at).unwrap_or(&word);
        match field {
            4 => root = text == b"/",
            6.. => {
                dash |= text == b"-";
                follows |= root && !dash && text.starts_with(b"master:");
            }
            _ => {}
        }
        found |= root;
        (field, at) = (field.saturating_add(1), 0);
        if b == b'\n' {
            (field, dash, root) = (0, false, false);
        }
    });
    done.is_err() || !found || follows
}

/// Each byte of /proc/thread-self/mountinfo.
fn read(mut take: impl FnMut(u8)) -> Sys<()> {
    let name = PathText::<64>::from_bytes(b"/proc/thread-self/mountinfo").unwrap_or_default();
    let n = own_fd(|| sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0))?;
    let mut buf = [0u8; 2048];
    let r = loop {
        match sys::read(n, &mut buf) {
            Ok(0) => break Ok(()),
            Ok(k) => {
                let part = buf.get(..k).unwrap_or(&[]);
                part.iter().copied().for_each(&mut take);
            }
            Err(e) => break Err(e),
        }
    };
    let _ = sys::close(n);
    r
}
