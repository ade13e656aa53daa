//! A machine that is emulated in whole (no KVM is needed), with this machine's files read-only.
use crate::process::{End, Watched};
use crate::{Result, interrupt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Debian has the program that serves files to a guest.
const SERVERS: &[&str] = &["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];
const QEMU: &str = "qemu-system-x86_64";
const MEMORY: &str = "1024M";

/// What is missing, as it is to be installed.
pub fn missing() -> Option<&'static str> {
    if !mirror_tests::is_root() {
        return Some("needs root");
    }
    if !mirror_tests::have(QEMU) {
        return Some(
            "needs qemu-system-x86_64: apt-get install --no-install-recommends qemu-system-x86",
        );
    }
    if server().is_none() {
        return Some("needs virtiofsd: apt-get install virtiofsd (Debian 12: qemu-system-common)");
    }
    let tools = ["cc", "xz", "apt-get", "mkfs.ext4"];
    if tools.iter().all(|t| mirror_tests::have(t)) {
        None
    } else {
        Some("needs cc, xz, apt-get and mkfs.ext4")
    }
}

fn server() -> Option<PathBuf> {
    SERVERS.iter().map(PathBuf::from).find(|p| p.is_file())
}

/// Dies with this tool, whatever becomes of it.
fn tied(c: &mut Command) -> &mut Command {
    // SAFETY: the child makes one system call, which is async-signal-safe.
    unsafe {
        c.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        })
    }
}

/// Serves the root file system and the build folder, both read-only, in a mount namespace of its own.
struct Served {
    child: Child,
    socket: PathBuf,
}

impl Served {
    fn start(folder: &Path) -> Result<Served> {
        let socket = folder.join("files.socket");
        let _ = std::fs::remove_file(&socket);
        let tree = folder.join("tree");
        std::fs::create_dir_all(&tree).map_err(|e| e.to_string())?;
        let script = "set -e; mount --make-rprivate /; mount --bind / \"$1\"; mount -o remount,bind,ro \"$1\"
            mount --bind \"$2\" \"$1$2\"; mount -o remount,bind,ro \"$1$2\"
            exec \"$3\" --socket-path=\"$4\" -o source=\"$1\" -o cache=always -o sandbox=chroot -o log_level=err";
        let mut c = Command::new("unshare");
        c.args(["-m", "sh", "-c", script, "sh"])
            .arg(&tree)
            .arg(crate::target());
        c.arg(server().ok_or("no virtiofsd")?).arg(&socket);
        let log = std::fs::File::create(folder.join("files.log")).map_err(|e| e.to_string())?;
        c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = tied(&mut c).spawn().map_err(|e| format!("unshare: {e}"))?;
        let mut served = Served { child, socket };
        for _ in 0..600 {
            if served.socket.exists() {
                return Ok(served);
            }
            if served.child.try_wait().is_ok_and(|s| s.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!(
            "virtiofsd did not start: {}",
            folder.join("files.log").display()
        ))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Boots a kernel and waits for its end; what the console said is in `log`.
pub fn boot(folder: &Path, image: &Path, initrd: &Path, log: &Path, limit: Duration) -> Result<()> {
    let disk = folder.join("disk.img");
    let file = std::fs::File::create(&disk).map_err(|e| format!("{}: {e}", disk.display()))?;
    file.set_len(2 << 30).map_err(|e| e.to_string())?;
    super::output(
        Command::new("mkfs.ext4")
            .args(["-q", "-E", "lazy_itable_init=1", "-I", "256"])
            .arg(&disk),
    )?;
    let served = Served::start(folder)?;
    let mut c = Command::new(QEMU);
    c.args([
        "-accel",
        "tcg",
        "-m",
        MEMORY,
        "-smp",
        "2",
        "-display",
        "none",
        "-no-reboot",
        "-nodefaults",
    ]);
    c.args(["-serial", "stdio", "-numa", "node,memdev=m"]);
    c.args([
        "-object",
        &format!("memory-backend-memfd,id=m,size={MEMORY},share=on"),
    ]);
    c.args([
        "-chardev",
        &format!("socket,id=c,path={}", served.socket.display()),
    ]);
    c.args(["-device", "vhost-user-fs-pci,chardev=c,tag=root"]);
    c.args([
        "-drive",
        &format!("file={},if=virtio,format=raw,cache=unsafe", disk.display()),
    ]);
    c.arg("-kernel").arg(image).arg("-initrd").arg(initrd);
    c.args(["-append", "console=ttyS0 quiet panic=-1"]);
    let mut watched =
        Watched::start(tied(&mut c), log, limit).map_err(|e| format!("{QEMU}: {e}"))?;
    let end = loop {
        if let Some(end) = watched.poll() {
            break end;
        }
        if interrupt::interrupted() {
            watched.kill_group();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    drop(served);
    let _ = std::fs::remove_file(&disk);
    interrupt::check()?;
    match end {
        End::Exit { code: 0, .. } => Ok(()),
        End::Exit { code, .. } => Err(format!("qemu: exit {code}")),
        End::TimedOut(after) => Err(format!("killed after {} s", after.as_secs())),
    }
}
