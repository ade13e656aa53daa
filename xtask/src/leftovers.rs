//! What a test run must not leave behind: processes, mounts, loop devices, runtime files, folders.
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Processes that carry our mark (`MFS_RUN=run`) in their environment, without ourselves.
fn processes(run: &str) -> Vec<(i32, String)> {
    let mark = format!("MFS_RUN={run}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ.split(|b| *b == 0).any(|v| v == mark.as_bytes()) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}

/// Mount points below a directory, deepest last.
fn mounts(below: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table
        .lines()
        .filter_map(|l| l.split(' ').nth(1))
        .map(PathBuf::from);
    points.filter(|p| p.starts_with(below)).collect()
}

/// Loop devices whose image lies below a directory.
fn loops(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(file.trim_end()).starts_with(below) {
            found.push(Path::new("/dev").join(entry.file_name()));
        }
    }
    found
}

/// Ends and removes what one test left below its folder; says what that was. `run` marks processes
/// of this test alone.
pub fn sweep(run: &str, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    // A child that outlives its parent by moments is no leftover.
    for _ in 0..40 {
        if processes(run).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for (pid, command) in processes(run) {
        found.push(format!("process {pid} {command}"));
        // SAFETY: kill has no memory effects; the process carries the mark of this test.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    if !found.is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for point in mounts(folder).into_iter().rev() {
        found.push(format!("mount {}", point.display()));
        let _ = Command::new("umount").arg("-l").arg(&point).status();
    }
    for device in loops(folder) {
        found.push(format!("loop device {}", device.display()));
        let _ = Command::new("losetup").arg("-d").arg(&device).status();
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(format!("folder {}", entry.path().display()));
    }
    let _ = Command::new("chmod")
        .args(["-R", "u+rwX"])
        .arg(folder)
        .status();
    let _ = fs::remove_dir_all(folder);
    found
}

/// Set for a run that has folders of runtime files of its own: the descriptor of the mount namespace it came from.
const PRIVATE: &str = "MFS_PRIVATE";

/// The mount namespace that a private run came from.
pub fn outer_mounts() -> Option<i32> {
    std::env::var(PRIVATE).ok()?.parse().ok()
}

/// Becomes the same command in a mount namespace with folders of runtime files of its own: what tests leave
/// there can be counted, and goes with the run. Returns where that cannot be had.
pub fn in_private_folders() {
    use std::os::unix::process::CommandExt;
    // SAFETY: fcntl on a number touches no memory.
    let inherited = |fd: i32, on: i32| unsafe { libc::fcntl(fd, libc::F_SETFD, on) };
    if let Some(fd) = outer_mounts() {
        inherited(fd, libc::FD_CLOEXEC);
    }
    if !mirror_tests::is_root() || std::env::var_os(PRIVATE).is_some() {
        return;
    }
    let Ok(outer) = fs::File::open("/proc/self/ns/mnt") else {
        return;
    };
    const MOUNT: &str =
        "mkdir -p -m 711 /run/mirror && mount -t tmpfs -o mode=711 none /run/mirror &&
        mount -t tmpfs -o mode=1777 none /dev/shm";
    let namespace = |script: &str| {
        let mut c = Command::new("unshare");
        c.args(["--mount", "sh", "-c", script, "sh"]);
        c
    };
    let tried = namespace(MOUNT)
        .stderr(std::process::Stdio::null())
        .status();
    if let (Ok(true), Ok(exe)) = (tried.map(|s| s.success()), std::env::current_exe()) {
        let mut c = namespace(&format!("{MOUNT} && exec \"$@\""));
        inherited(outer.as_raw_fd(), 0);
        let e = c
            .arg(exe)
            .args(std::env::args_os().skip(1))
            .env(PRIVATE, outer.as_raw_fd().to_string())
            .exec();
        eprintln!("xtask: unshare: {e}");
    }
}

/// All that is in the folders of runtime files of a private run, but the lists of each user.
fn strays() -> Vec<String> {
    let mut found = Vec::new();
    if std::env::var_os(PRIVATE).is_none() {
        return found;
    }
    for folder in ["/run/mirror", "/dev/shm"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = name.strip_prefix("mirror-").unwrap_or(&name);
            let list = ["refused", "unmirrored"]
                .iter()
                .any(|l| name.starts_with(l));
            let id = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
            if id && !list {
                // One whose founder was killed before its first write says nothing, and stays (docs/LIMITS.md).
                if entry.metadata().is_ok_and(|m| m.len() > 0) {
                    found.push(format!("runtime file {}", entry.path().display()));
                }
            }
        }
    }
    found
}

/// Runtime files of tests that are still there; removed. The list has the ids of their pairs.
pub fn runtime_files(list: &Path) -> Vec<String> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let mut found = Vec::new();
    let pairs: Vec<String> = text.lines().map(str::to_owned).collect();
    for path in mirror_tests::runtime_files_of(&pairs) {
        found.push(format!("runtime file {}", path.display()));
        let _ = fs::remove_file(path);
    }
    found.extend(strays());
    found.sort();
    found.dedup();
    found
}
