//! Where the kernel would write this process's core file: if that is in a pair, it stands on one leg alone, and
//! nobody is there any more to see it. So the directory is listed before (`mirror_core::cores`); the command looks
//! there for core files that one leg alone has.
//!
//! Rules: nothing is done while the process may not leave a core file, which is the default. What cannot be told,
//! or not be listed, makes the pairs ones to be compared.
use crate::attach::session;
use crate::calls::exec::count::count_unsure;
use crate::config::CONFIG;
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::resolve::locate;
use crate::process::limits::own_fd;
use crate::regs::{NATIVE, Regs, arg};
use crate::user::UserPtr;
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::Leg;
use mirror_core::calls::Call;
use mirror_core::cores::{LONGEST, PATTERN, place};
use mirror_pair::cores;
use mirror_sys as sys;
use mirror_sys::Sys;

/// The process may leave a core file, or might have when it was asked last.
#[unsafe(link_section = ".data.boot")]
static MAY: AtomicBool = AtomicBool::new(false);

/// At boot.
pub fn at_boot() {
    if sys::core_limit() != 0 {
        MAY.store(true, Ordering::Relaxed);
        expect();
    }
}

/// The cwd is another one.
#[inline]
pub fn moved() {
    if MAY.load(Ordering::Relaxed) {
        expect();
    }
}

/// A limit is about to be set: of this process, or (prlimit64) of another one, whose cwd is listed as it is now.
#[cold]
#[inline(never)]
pub fn limit(regs: &Regs) -> usize {
    let own = regs.is(Call::Setrlimit);
    let (pid, new) = match own {
        true => (0, arg(regs, 1)),
        false => (arg(regs, 0) as u32, arg(regs, 2)),
    };
    match UserPtr::<[u64; 2]>::new(new).read() {
        Ok([soft, _]) if soft != 0 => raised(pid),
        _ => {}
    }
    NATIVE
}

fn raised(pid: u32) {
    if pid == 0 || pid == sys::getpid() as u32 {
        MAY.store(true, Ordering::Relaxed);
        expect();
        return;
    }
    let mut dir = Path::new();
    let _ = dir.append(b"/proc/");
    sys::append_number(pid, &mut dir);
    let _ = dir.append(b"/cwd");
    from(&dir);
}

/// The cwd, and where the pattern leads from it.
#[cold]
#[inline(never)]
fn expect() {
    let mut dir = Path::new();
    let _ = dir.append(b".");
    from(&dir);
}

fn from(start: &Path) {
    let listed = target(start).and_then(|to| match to {
        Some(to) => list(&to),
        None => Ok(()),
    });
    // Where a user may not list, it may not use the pair either.
    let absent = [
        Errno::ENOENT,
        Errno::ENOTDIR,
        Errno::EACCES,
        Errno::EPERM,
        Errno::EROFS,
        Errno::ESRCH,
    ];
    if listed.is_err_and(|e| !absent.contains(&e)) {
        count_unsure(None);
    }
}

/// The directory into which the kernel would write. `None`: it writes elsewhere.
#[inline(never)]
fn target(start: &Path) -> Sys<Option<Path>> {
    let mut text = [0u8; 256];
    let file = Path::from_bytes(PATTERN).map_err(|_| Errno::EIO)?;
    let n = own_fd(|| sys::openat(c::AT_FDCWD, &file, c::O_RDONLY | c::O_CLOEXEC, 0));
    let len = match n {
        Ok(n) => {
            let len = sys::pread(n, &mut text, 0);
            let _ = sys::close(n);
            len?
        }
        // It is not told: as the kernel begins.
        Err(Errno::ENOENT | Errno::EACCES) => 0,
        Err(e) => return Err(e),
    };
    let Some(place) = place(text.get(..len).unwrap_or(&[])) else {
        return Ok(None);
    };
    // One for all processes: the command looks there.
    if place.dir.first() == Some(&b'/') {
        return Ok(None);
    }
    let mut dir = start.clone();
    if dir.append(b"/").is_err() || dir.append(place.dir).is_err() {
        return Err(Errno::ENAMETOOLONG);
    }
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let n = own_fd(|| sys::openat(c::AT_FDCWD, &dir, flags, 0))?;
    let told = sys::fd_path(n, &mut dir);
    let _ = sys::close(n);
    told.map(|()| Some(dir))
}

/// Lists a directory that is in a pair.
#[inline(never)]
fn list(dir: &Path) -> Sys<()> {
    let mut loc = Loc::new();
    match locate(c::AT_FDCWD, dir, Last::Follow, &mut loc) {
        Place::In => add(loc.pair, loc.text()),
        Place::Root(_) => add(loc.pair, b""),
        Place::Fail(e) => Err(e),
        Place::Nameless | Place::Linked => Err(Errno::EIO),
        Place::Control | Place::Out(_) => Ok(()),
    }
}

fn add(pair: usize, rel: &[u8]) -> Sys<()> {
    let Some(conf) = CONFIG.get().pairs().get(pair).filter(|p| !p.closed) else {
        return Ok(());
    };
    // Beyond it the write would be a SIGXFSZ.
    if sys::file_size_limit() < LONGEST {
        return Err(Errno::EFBIG);
    }
    if let Some(root) = session::root_of(pair, Leg::A) {
        return cores::list(root, rel);
    }
    let path = Path::from_bytes(conf.legs[Leg::A].to_bytes()).map_err(|_| Errno::EIO)?;
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let root = own_fd(|| sys::openat(c::AT_FDCWD, &path, flags, 0))?;
    let done = cores::list(root, rel);
    let _ = sys::close(root);
    done
}
