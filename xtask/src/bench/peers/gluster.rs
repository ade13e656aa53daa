//! GlusterFS replica 2 on one host: glusterd with a state of its own, listening on an address that
//! only the private network namespace has.
use super::daemon;
use crate::Result;
use crate::bench::sandbox::{self, ADDRESS};
use crate::bench::watch;
use mirror_tests::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const VOLUME: &str = "bench";

/// glusterd and what it starts.
pub struct Services {
    glusterd: Child,
    covered: Vec<PathBuf>,
}

impl Services {
    /// Covers glusterd's state with empty folders in memory and starts it.
    pub fn start(base: &Path) -> Result<Services> {
        let mut covered = Vec::new();
        for place in ["/var/lib/glusterd", "/var/log/glusterfs", "/run/gluster"] {
            let place = PathBuf::from(place);
            fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
            sandbox::mount("tmpfs", &place, "tmpfs", 0, "").map_err(|e| e.to_string())?;
            covered.push(place);
        }
        fs::create_dir("/var/lib/glusterd/groups").map_err(|e| e.to_string())?;
        let program = tool("glusterd").ok_or("not installed")?;
        let glusterd = daemon(Command::new(program).arg("--no-daemon"), &base.join("p"))?;
        Ok(Services { glusterd, covered })
    }
}

/// Makes and starts the volume, as soon as glusterd answers.
pub fn volume(bricks: [&Path; 2]) -> Result<()> {
    let start = Instant::now();
    while let Err(e) = gluster(&["volume", "info"]) {
        if start.elapsed() > LIMIT {
            return Err(format!("glusterd does not answer: {e}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let bricks = bricks.map(|b| format!("{ADDRESS}:{}", b.display()));
    let mut create = vec!["volume", "create", VOLUME, "replica", "2"];
    create.extend(bricks.iter().map(String::as_str));
    create.push("force");
    gluster(&create)?;
    gluster(&["volume", "start", VOLUME])
}

fn gluster(args: &[&str]) -> Result<()> {
    let program = tool("gluster").ok_or("needs the program gluster")?;
    let mut c = Command::new(program);
    c.arg("--mode=script").args(args);
    watch::run(&mut c, LIMIT).map(drop)
}

/// The client, in the foreground.
pub fn client(point: &Path) -> Command {
    let mut c = Command::new(tool("glusterfs").unwrap_or_else(|| "glusterfs".into()));
    c.arg("--no-daemon")
        .arg(format!("--volfile-server={ADDRESS}"))
        .arg(format!("--volfile-id={VOLUME}"))
        .arg(point);
    c
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.glusterd.kill();
        let _ = self.glusterd.wait();
        // Bricks and the heal daemon put themselves into the background. In this pid namespace every
        // process of that name was started by the glusterd above.
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|n| n.parse::<i32>().ok());
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if let Some(pid) = pid
                && name.starts_with("gluster")
            {
                // SAFETY: kill has no memory effects.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
        for place in self.covered.drain(..) {
            sandbox::unmount(&place);
        }
    }
}
