//! Namespaces of our own for a run by root. Whatever a run mounts, starts or listens on lies in
//! private mount, pid and network namespaces; the kernel takes all of it away when the run ends, in
//! whatever way it ends. The outer process only waits, passes signals on and removes a folder.
use super::interrupt;
use crate::Result;
use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// In the environment of the inner process: the folder that is its own.
const INSIDE: &str = "MIRROR_BENCH_INSIDE";
/// An address that only the private network namespace has.
pub const ADDRESS: &str = "10.99.0.1";

/// Where this process stands.
pub enum Stand {
    /// The run is over: it went on in an inner process.
    Done(bool),
    /// In namespaces of its own; the folder is a file system in memory.
    Inside,
    /// Among everything else, and why.
    Outside(String),
}

/// Whether this process is the inner one.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again in namespaces of its own, or says why it goes on without them.
pub fn enter() -> Result<Stand> {
    if let Some(folder) = std::env::var_os(INSIDE) {
        interrupt::install();
        furnish(Path::new(&folder)).map_err(|e| format!("private mounts: {e}"))?;
        return Ok(Stand::Inside);
    }
    if !mirror_tests::is_root() {
        interrupt::install();
        return Ok(Stand::Outside("not root".into()));
    }
    // SAFETY: affects the children of this process only.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        let e = io::Error::last_os_error();
        interrupt::install();
        return Ok(Stand::Outside(format!("no namespaces: {e}")));
    }
    let folder = std::env::temp_dir().join(format!("mirror-bench.{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    interrupt::install();
    let result = inner(&folder);
    let _ = std::fs::remove_dir(&folder);
    result.map(Stand::Done)
}

/// Runs the inner process to its end.
fn inner(folder: &Path) -> Result<bool> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut c = Command::new(exe);
    c.args(std::env::args_os().skip(1))
        .env(INSIDE, folder)
        .stdin(Stdio::null());
    // The terminal's Ctrl-C goes to the outer process, which passes it on.
    c.process_group(0);
    // SAFETY: two system calls, nothing of this process's memory is used.
    unsafe {
        c.pre_exec(|| {
            let flags = libc::CLONE_NEWNS | libc::CLONE_NEWNET;
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::unshare(flags) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = c.spawn().map_err(|e| format!("the inner process: {e}"))?;
    let pid = i32::try_from(child.id()).expect("pids fit");
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Ok(status.success());
        }
        if interrupt::interrupted() && !told {
            told = true;
            // SAFETY: kill has no memory effects; the child has not been waited for.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The mounts of the inner process; none of them is seen outside.
fn furnish(folder: &Path) -> io::Result<()> {
    mount(
        "none",
        Path::new("/"),
        "",
        libc::MS_REC | libc::MS_PRIVATE,
        "",
    )?;
    mount("proc", Path::new("/proc"), "proc", 0, "")?;
    mount("tmpfs", folder, "tmpfs", 0, "mode=0755,size=75%")?;
    // What these are needed for says by itself that they are missing.
    let _ = mount(
        "fusectl",
        Path::new("/sys/fs/fuse/connections"),
        "fusectl",
        0,
        "",
    );
    let _ = mount(
        "tracefs",
        Path::new("/sys/kernel/tracing"),
        "tracefs",
        0,
        "",
    );
    for args in [
        &["link", "set", "lo", "up"][..],
        &["addr", "add", &format!("{ADDRESS}/32"), "dev", "lo"],
    ] {
        let _ = Command::new("ip").args(args).stderr(Stdio::null()).status();
    }
    // SAFETY: this process has one thread now.
    unsafe { std::env::set_var("TMPDIR", folder) };
    Ok(())
}

/// mount(2).
pub fn mount(
    what: &str,
    place: &Path,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let text = |b: &[u8]| CString::new(b).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let (what, kind, data) = (
        text(what.as_bytes())?,
        text(kind.as_bytes())?,
        text(data.as_bytes())?,
    );
    let place = text(place.as_os_str().as_bytes())?;
    // SAFETY: all five are valid for the call; the strings end in NUL.
    let r = unsafe {
        libc::mount(
            what.as_ptr(),
            place.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    if r == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes a mount away at once, whoever uses it; asks nothing of the file system in it.
pub fn unmount(place: &Path) {
    use std::os::unix::ffi::OsStrExt;
    if let Ok(place) = CString::new(place.as_os_str().as_bytes()) {
        // SAFETY: the string is valid for the call.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) };
    }
}

/// The device number of the mount at a place, from the kernel's table: no call into the file system.
pub fn device_of(place: &Path) -> Option<(u32, u32)> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    device_in(&table, place)
}

fn device_in(table: &str, place: &Path) -> Option<(u32, u32)> {
    // The last mount of a place covers the others.
    table.lines().rev().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let path = PathBuf::from(fields.get(4)?.replace("\\040", " "));
        let (major, minor) = fields.get(2)?.split_once(':')?;
        (path == place).then_some((major.parse().ok()?, minor.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_from_the_table() {
        let table = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                     30 27 0:50 / /tmp/a\\040b rw - fuse x rw\n\
                     31 27 0:51 / /tmp/a\\040b rw - fuse y rw\n";
        assert_eq!(device_in(table, Path::new("/tmp/a b")), Some((0, 51)));
        assert_eq!(device_in(table, Path::new("/tmp")), None);
    }
}
