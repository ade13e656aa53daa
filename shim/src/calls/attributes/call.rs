//! What one of the attribute calls names and asks for, whatever its shape.
use crate::calls::args::{self, copy_path};
use crate::path::loc::{Last, Name, Path};
use crate::regs::{Regs, arg};
use libc as c;
use mirror_core::calls::Call;
use mirror_core::ioctls::{Verdict, verdict};
use mirror_core::marks::By;
use mirror_sys as sys;

/// How the call names its object.
#[derive(Clone, Copy)]
pub struct Request {
    /// Where a relative path starts.
    pub dir: i32,
    /// Address of the path; 0: the descriptor itself.
    pub path: usize,
    /// Whether a symlink at its end is followed.
    pub last: Last,
    /// What is asked for.
    pub kind: Kind,
}

/// The change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Permission bits.
    Mode(u32),
    /// User and group, −1 for as it is.
    Owner(u32, u32),
    /// Access and modification time.
    Times,
    /// An extended attribute's value.
    SetXattr,
    /// An extended attribute's end.
    RemoveXattr,
    /// A file's size in bytes.
    Truncate(u64),
    /// Flags and the like.
    Marks(By),
    /// An ioctl that nobody here knows: the addressed leg's object alone is changed.
    Unknown,
}

/// What the kernel knows; it refuses the rest before it looks at the path.
const AT_FLAGS: usize = (c::AT_SYMLINK_NOFOLLOW | c::AT_EMPTY_PATH) as usize;

/// Reads the call's arguments; `None`: the kernel refuses them before it looks at the path.
// long: one arm for each call
pub fn parse(regs: &Regs) -> Option<Request> {
    let a = |i| arg(regs, i);
    // The kernel looks at 32 bits of them.
    let flags = |i| arg(regs, i) as u32 as usize;
    let cwd = c::AT_FDCWD;
    let at = |flags: usize, follow_by_default: bool| {
        let nofollow = flags & c::AT_SYMLINK_NOFOLLOW as usize != 0;
        if follow_by_default && !nofollow {
            Last::Follow
        } else {
            Last::Keep
        }
    };
    let empty = |flags: usize| flags & c::AT_EMPTY_PATH as usize != 0;
    let call = |dir, path, last, kind| {
        Some(Request {
            dir,
            path,
            last,
            kind,
        })
    };
    match regs.call() {
        Some(Call::Chmod) => call(cwd, a(0), Last::Follow, Kind::Mode(a(1) as u32)),
        Some(Call::Fchmodat) => call(a(0) as i32, a(1), Last::Follow, Kind::Mode(a(2) as u32)),
        Some(Call::Fchmodat2 | Call::Utimensat) if flags(3) & !AT_FLAGS != 0 => None,
        Some(Call::Fchownat) if flags(4) & !AT_FLAGS != 0 => None,
        Some(Call::Utimensat) if sets_nothing(a(2)) => None,
        Some(Call::Truncate) if (a(1) as i64) < 0 => None,
        Some(Call::Fchmodat2) => {
            let path = if empty(a(3)) && is_empty(a(1)) {
                0
            } else {
                a(1)
            };
            call(
                a(0) as i32,
                path,
                at(flags(3), true),
                Kind::Mode(a(2) as u32),
            )
        }
        Some(Call::Fchmod) => call(a(0) as i32, 0, Last::Keep, Kind::Mode(a(1) as u32)),
        Some(Call::Chown) => call(
            cwd,
            a(0),
            Last::Follow,
            Kind::Owner(a(1) as u32, a(2) as u32),
        ),
        Some(Call::Lchown) => call(cwd, a(0), Last::Keep, Kind::Owner(a(1) as u32, a(2) as u32)),
        Some(Call::Fchown) => call(
            a(0) as i32,
            0,
            Last::Keep,
            Kind::Owner(a(1) as u32, a(2) as u32),
        ),
        Some(Call::Fchownat) => {
            let path = if empty(a(4)) && is_empty(a(1)) {
                0
            } else {
                a(1)
            };
            call(
                a(0) as i32,
                path,
                at(flags(4), true),
                Kind::Owner(a(2) as u32, a(3) as u32),
            )
        }
        Some(Call::Utime | Call::Utimes) => call(cwd, a(0), Last::Follow, Kind::Times),
        Some(Call::Futimesat) => call(a(0) as i32, a(1), Last::Follow, Kind::Times),
        Some(Call::Utimensat) => {
            let path = if empty(a(3)) && is_empty(a(1)) {
                0
            } else {
                a(1)
            };
            call(a(0) as i32, path, at(flags(3), true), Kind::Times)
        }
        Some(Call::Setxattr) => call(cwd, a(0), Last::Follow, Kind::SetXattr),
        Some(Call::Lsetxattr) => call(cwd, a(0), Last::Keep, Kind::SetXattr),
        Some(Call::Fsetxattr) => call(a(0) as i32, 0, Last::Keep, Kind::SetXattr),
        Some(Call::Removexattr) => call(cwd, a(0), Last::Follow, Kind::RemoveXattr),
        Some(Call::Lremovexattr) => call(cwd, a(0), Last::Keep, Kind::RemoveXattr),
        Some(Call::Fremovexattr) => call(a(0) as i32, 0, Last::Keep, Kind::RemoveXattr),
        Some(Call::Setxattrat | Call::Removexattrat) if flags(2) & !AT_FLAGS != 0 => None,
        Some(Call::Setxattrat | Call::Removexattrat) => {
            let none = empty(a(2)) && is_empty_or_null(a(1));
            let kind = match regs.call() {
                Some(Call::Setxattrat) => Kind::SetXattr,
                _ => Kind::RemoveXattr,
            };
            let path = if none { 0 } else { a(1) };
            call(a(0) as i32, path, at(flags(2), true), kind)
        }
        Some(Call::FileSetattr) if flags(4) & !AT_FLAGS != 0 => None,
        Some(Call::FileSetattr) => {
            let none = empty(a(4)) && is_empty_or_null(a(1));
            let path = if none { 0 } else { a(1) };
            call(a(0) as i32, path, at(flags(4), true), Kind::Marks(By::Call))
        }
        Some(Call::Ioctl) => {
            let kind = match verdict(args::command(regs)) {
                Verdict::Marks(m) => Kind::Marks(By::Ioctl(m)),
                _ => Kind::Unknown,
            };
            call(a(0) as i32, 0, Last::Keep, kind)
        }
        Some(Call::Truncate) => call(cwd, a(0), Last::Follow, Kind::Truncate(a(1) as u64)),
        _ => None,
    }
}

/// Whether both times are UTIME_OMIT: then the kernel does not look at the path. It is asked with a
/// descriptor that is none.
fn sets_nothing(times: usize) -> bool {
    let name: Name = Name::from_bytes(b"x").unwrap_or_default();
    let none = -1isize as usize;
    // SAFETY: our own path; the program's times, checked by the kernel.
    let r = unsafe { sys::syscall4(c::SYS_utimensat, none, name.as_ptr() as usize, times, 0) };
    times != 0 && sys::ret(r).is_ok()
}

/// The empty path (not a null pointer) from AT_FDCWD: the cwd.
pub fn is_cwd(regs: &Regs, call: &Request) -> bool {
    let at = matches!(
        regs.call(),
        Some(
            Call::Fchownat
                | Call::Utimensat
                | Call::Fchmodat2
                | Call::Setxattrat
                | Call::Removexattrat
                | Call::FileSetattr
        )
    );
    at && call.path == 0 && call.dir == c::AT_FDCWD && arg(regs, 1) != 0
}

/// The calls since Linux 6.11 take a null pointer for the empty path.
fn is_empty_or_null(path: usize) -> bool {
    path == 0 || is_empty(path)
}

fn is_empty(path: usize) -> bool {
    let mut p = Path::new();
    path != 0 && copy_path(path, &mut p).is_some() && p.is_empty()
}
