//! Where the work is done: a pair, a plain directory and two directories for the work by hand. As
//! root both trees lie on file systems of their own, made for the round: ext4 skips the numbers of
//! files that were removed in the last minutes, so a tree in which the round before cleaned up makes
//! creating files many times dearer, for whoever comes first.
use super::sandbox;
use crate::{Result, build};
use mirror_tests::{Fs, Kind, Pair, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Size of a tree's file system; the image has no more blocks than are used.
const MIB: u64 = 8 << 10;
/// Less free memory than this, and the trees lie on the disk.
const MEMORY: u64 = 12 << 30;

/// A pair and its surroundings. Everything is undone when it is dropped.
pub struct Ground {
    pair: Option<Pair>,
    mounts: Vec<PathBuf>,
    /// A folder of our own in somebody's directory, to be removed.
    folder: Option<PathBuf>,
}

/// What the trees of a run lie on.
#[derive(Clone, PartialEq, Debug)]
pub enum Floor {
    /// File systems made for each round, of this type.
    Fresh(&'static str),
    /// A directory that was there.
    Directory(PathBuf),
}

impl Floor {
    /// Fresh ones where this machine can have them.
    pub fn choose(on: Option<&Path>, inside: bool) -> Floor {
        let memory = super::facts::available_memory();
        match on {
            Some(dir) => Floor::Directory(dir.into()),
            None if inside && memory > MEMORY && tool("mkfs.ext4").is_some() && loops() => {
                Floor::Fresh("ext4")
            }
            // TMPDIR is in memory inside: a disk says more.
            None if inside => Floor::Directory("/tmp".into()),
            None => Floor::Directory(std::env::temp_dir()),
        }
    }

    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Floor::Fresh(kind) => {
                format!(
                    "{kind}, one file system for each tree, in memory, made anew for each round"
                )
            }
            Floor::Directory(dir) => {
                let kind = super::facts::file_system_of(dir);
                format!("{kind}, one file system for both trees, not made anew")
            }
        }
    }
}

fn loops() -> bool {
    Path::new("/dev/loop-control").exists()
}

impl Ground {
    /// A fresh pair.
    pub fn new(floor: &Floor) -> Result<Ground> {
        let kept = std::env::var_os("TMPDIR");
        let mut folder = None;
        if let Floor::Directory(dir) = floor {
            // Numbers of processes are small in a namespace: the time makes the name our own.
            let since = std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .unwrap_or_default();
            let own = dir.join(format!("mirror-bench.{}", since.as_nanos()));
            create(&own)?;
            set_tmpdir(Some(own.as_os_str()));
            folder = Some(own);
        }
        let pair = Pair::bare(Kind::Link, Fs::Plain);
        set_tmpdir(kept.as_deref());
        let pair = pair.ok_or("no folders for a pair")?;
        let mut ground = Ground {
            pair: Some(pair),
            mounts: Vec::new(),
            folder,
        };
        if let Floor::Fresh(kind) = floor {
            for leg in ["a", "b"] {
                ground.fresh(kind, leg)?;
            }
            for dir in ["a/v", "a/n", "b/v"] {
                create(&ground.base().join(dir))?;
            }
        }
        create(&ground.base().join("a/h"))?;
        create(&ground.base().join("b/h"))?;
        let o = ground.pair().init(&[]);
        if o.code != 0 {
            return Err(format!("mirror init: {o:?}"));
        }
        // The first mirrored command prepares the image of libc.
        ground.pair().run("true").ok();
        Ok(ground)
    }

    /// Mounts a new file system over a leg's folder.
    fn fresh(&mut self, kind: &str, leg: &str) -> Result<()> {
        let place = self.base().join(leg);
        let image = self.base().join(format!("{leg}.img"));
        let file = fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(MIB << 20).map_err(|e| e.to_string())?;
        let mkfs = tool(&format!("mkfs.{kind}")).ok_or("no mkfs")?;
        // All tables now, nothing left for a thread of the kernel to do while we measure.
        let ready = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        build::run(
            Command::new(mkfs)
                .args(["-q", "-F", "-E", ready])
                .arg(&image)
                .stdout(Stdio::null()),
        )?;
        build::run(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&place),
        )?;
        self.mounts.push(place);
        Ok(())
    }

    /// The pair.
    pub fn pair(&self) -> &Pair {
        self.pair.as_ref().expect("there until it is dropped")
    }

    /// The folder around everything.
    pub fn base(&self) -> PathBuf {
        let programs = self.pair().programs();
        programs.parent().expect("a folder of the base").into()
    }

    /// Writes back what the two file systems hold; no other one, which might hang.
    pub fn settle(&self) -> Result<()> {
        let mut c = Command::new("sync");
        c.arg("-f").args(["a", "b"].map(|d| self.base().join(d)));
        super::watch::run(&mut c, std::time::Duration::from_secs(300)).map(drop)
    }

    /// The two directories of the work by hand, on the pair's two file systems.
    pub fn hand(&self) -> [PathBuf; 2] {
        [self.base().join("a/h"), self.base().join("b/h")]
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // The pair is detached while its trees are there; then its folders can go.
        if let Some(pair) = self.pair.take() {
            let _ = pair
                .mirror_command("detach")
                .arg(pair.v())
                .stderr(Stdio::null())
                .output();
            for place in self.mounts.drain(..).rev() {
                sandbox::unmount(&place);
            }
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The harness makes its folders where TMPDIR says.
fn set_tmpdir(to: Option<&std::ffi::OsStr>) {
    // SAFETY: the only other thread of this tool, the watchdog, reads no environment.
    unsafe {
        match to {
            Some(dir) => std::env::set_var("TMPDIR", dir),
            None => std::env::remove_var("TMPDIR"),
        }
    }
}

/// A new directory.
pub fn create(dir: &Path) -> Result<()> {
    fs::create_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))
}
