//! Other file systems that could stand in V's place. Each is set up in the fairest mode that it has.
//! They are mounted in the run's own namespaces only; whatever happens, [`Mounted`] takes them away,
//! and the kernel does when the namespaces end.
mod gluster;

use super::columns::Column;
use super::facts::first_line;
use super::results::{LeftOut, Meaning};
use super::{ground, sandbox, watch};
use crate::Result;
use mirror_tests::tool;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a peer comes up.
enum How {
    /// A FUSE program that stays in the foreground: its arguments, with `{a}`, `{b}` and `{m}` for
    /// two trees and the mount point.
    Fuse(&'static [&'static str]),
    /// glusterd, two bricks, a client.
    Gluster,
}

/// A peer.
pub struct Peer {
    /// Its key in all tables.
    pub key: &'static str,
    program: &'static str,
    meaning: &'static str,
    version: &'static [&'static str],
    how: How,
}

/// All peers that this benchmark knows.
pub const PEERS: &[Peer] = &[
    Peer {
        key: "bindfs",
        program: "bindfs",
        meaning: "FUSE pass-through, ONE copy: what a user-space file system costs before it mirrors anything",
        version: &["--version"],
        how: How::Fuse(&["-f", "{a}", "{m}"]),
    },
    Peer {
        key: "mergerfs",
        program: "mergerfs",
        meaning: "FUSE union with category.create=all, category.action=all: names in two trees, data in ONE",
        version: &["--version"],
        how: How::Fuse(&[
            "-f",
            "-o",
            "category.create=all,category.action=all,minfreespace=0",
            "{a}:{b}",
            "{m}",
        ]),
    },
    Peer {
        key: "unionfs-fuse",
        program: "unionfs",
        meaning: "FUSE pass-through of one writable branch, ONE copy",
        version: &["--version"],
        how: How::Fuse(&["-f", "{a}=RW", "{m}"]),
    },
    Peer {
        key: "chironfs",
        program: "chironfs",
        meaning: "FUSE, two copies, synchronous, no order between programs; fsync is a stub",
        version: &["--version"],
        how: How::Fuse(&["-f", "{a}={b}", "{m}"]),
    },
    Peer {
        key: "gluster",
        program: "glusterd",
        meaning: "GlusterFS replica 2 on one host, bricks on the two trees, default options: two copies, synchronous, under locks: the real peer",
        version: &["--version"],
        how: How::Gluster,
    },
];

impl Peer {
    /// What its column means.
    pub fn meaning(&self) -> Meaning {
        Meaning {
            key: self.key.into(),
            label: self.key.into(),
            meaning: self.meaning.into(),
        }
    }

    /// Its version, as it says itself.
    pub fn version(&self) -> Option<String> {
        first_line(Command::new(tool(self.program)?).args(self.version))
    }
}

/// Peers that can be tried here, and those that cannot, with the reason.
pub fn present(outside: Option<&str>) -> (Vec<&'static Peer>, Vec<LeftOut>) {
    let mut here = Vec::new();
    let mut left_out = Vec::new();
    for peer in PEERS {
        let reason = if tool(peer.program).is_none() {
            Some("not installed".into())
        } else if let Some(why) = outside {
            Some(format!("no namespaces of our own to mount it in ({why})"))
        } else {
            File::open("/dev/fuse")
                .err()
                .map(|e| format!("/dev/fuse: {e}"))
        };
        match reason {
            None => here.push(peer),
            Some(reason) => left_out.push(LeftOut {
                key: peer.key.into(),
                reason,
            }),
        }
    }
    (here, left_out)
}

/// A mounted peer.
pub struct Mounted {
    point: PathBuf,
    minor: u32,
    daemons: Vec<Child>,
    gluster: Option<gluster::Services>,
}

/// Mounts a peer: its trees on the two file systems of the pair, beside the pair's own.
pub fn mount(peer: &Peer, base: &Path) -> Result<Mounted> {
    let dir = |place: &str| -> Result<PathBuf> {
        let d = base.join(place).join(format!("peer-{}", peer.key));
        ground::create(&d)?;
        Ok(d)
    };
    let (a, b, point) = (dir("a")?, dir("b")?, dir("p")?);
    let mut mounted = Mounted {
        point: point.clone(),
        minor: 0,
        daemons: Vec::new(),
        gluster: None,
    };
    match &peer.how {
        How::Fuse(args) => {
            let program = tool(peer.program).ok_or("not installed")?;
            let mut c = Command::new(program);
            for arg in *args {
                let arg = arg.replace("{a}", text(&a)?);
                c.arg(arg.replace("{b}", text(&b)?).replace("{m}", text(&point)?));
            }
            mounted.daemons.push(daemon(&mut c, &base.join("p"))?);
        }
        How::Gluster => {
            let services = gluster::Services::start(base)?;
            mounted.gluster = Some(services);
            gluster::volume([&a, &b])?;
            let mut c = gluster::client(&point);
            mounted.daemons.push(daemon(&mut c, &base.join("p"))?);
        }
    }
    mounted.wait()?;
    Ok(mounted)
}

fn text(path: &Path) -> Result<&str> {
    let text = path.to_str().ok_or("a path that is not UTF-8")?;
    if text.contains([' ', ':', '=', ',']) {
        return Err(format!("{text}: a path that this peer cannot take"));
    }
    Ok(text)
}

/// Starts a program that stays; its words go to a log.
fn daemon(c: &mut Command, folder: &Path) -> Result<Child> {
    use std::os::unix::process::CommandExt;
    let log = File::options()
        .append(true)
        .create(true)
        .open(folder.join("peers.log"))
        .map_err(|e| e.to_string())?;
    let err = log.try_clone().map_err(|e| e.to_string())?;
    c.process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(err)
        .spawn()
        .map_err(|e| format!("{}: {e}", c.get_program().display()))
}

impl Mounted {
    /// Waits until the kernel knows the mount; asks nothing of the file system itself.
    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            super::interrupt::check()?;
            if let Some((_, minor)) = sandbox::device_of(&self.point) {
                self.minor = minor;
                watch::add_connection(minor);
                return self.answers();
            }
            for d in &mut self.daemons {
                if let Ok(Some(status)) = d.try_wait() {
                    return Err(format!("could not be mounted: {status}"));
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("could not be mounted in 20 s".into())
    }

    /// The first call into it, by a process that the watchdog can end.
    fn answers(&self) -> Result<()> {
        let mut c = Command::new("sh");
        c.args(["-c", "echo x > \"$1\"/.probe && rm \"$1\"/.probe", "sh"])
            .arg(&self.point);
        let r = watch::run(&mut c, Duration::from_secs(30));
        r.map(drop).map_err(|e| format!("does not answer: {e}"))
    }

    /// The column of this mount.
    pub fn column(&self, peer: &Peer) -> Column {
        Column {
            key: peer.key,
            dirs: vec![self.point.clone()],
            reading: self.point.clone(),
            preload: false,
            net: false,
            peer: true,
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, and the connection given up: nothing here waits for the daemon.
        sandbox::unmount(&self.point);
        if self.minor != 0 {
            watch::abort_connection(self.minor);
        }
        for d in &mut self.daemons {
            let _ = d.kill();
            let _ = d.wait();
        }
    }
}
