//! The folders of the trials. Nothing of them is left.
use super::{case, prepare};
use crate::Result;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of one run of this tool: copies of the product and of the cases that every user can read.
pub struct Folder {
    pub path: PathBuf,
}

impl Folder {
    pub fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("mfs-programs.{}", std::process::id()));
        let folder = Folder { path };
        folder
            .fill()
            .map_err(|e| format!("{}: {e}", folder.path.display()))?;
        Ok(folder)
    }

    fn fill(&self) -> std::io::Result<()> {
        open_folder(&self.path)?;
        for (from, name) in [(crate::dist(), "dist"), (case::folder(), "cases")] {
            let to = self.path.join(name);
            open_folder(&to)?;
            for entry in fs::read_dir(from)?.flatten().filter(|e| e.path().is_file()) {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn open_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Removes a tree, also what its modes protect.
fn remove(path: &Path) {
    let _ = Command::new("chmod")
        .args(["-R", "u+rwX"])
        .arg(path)
        .stderr(Stdio::null())
        .status();
    let _ = fs::remove_dir_all(path);
}

/// The folders of one trial:
///
/// ```text
/// a/v  leg A and V (of a link pair: V; a/leg is leg A)      b/v  leg B      n/v  the plain directory
/// s/n, s/m  scratch of the native and the mirrored run      tab, cache
/// ```
pub struct Ground {
    pub path: PathBuf,
    dist: PathBuf,
    cases: PathBuf,
    link: bool,
    /// Numbers of the user and its group.
    pub user: (u32, u32),
    port: u16,
}

impl Ground {
    pub fn new(folder: &Folder, user: (u32, u32), link: bool) -> Result<Ground> {
        let path = folder.path.join("trial");
        let make = || {
            open_folder(&path)?;
            let leg = if link { "a/leg" } else { "a/v" };
            for name in [
                "a", "b", "n", "s", leg, "b/v", "n/v", "s/n", "s/m", "s/n/home", "s/m/home",
            ] {
                open_folder(&path.join(name))?;
                chown(path.join(name), Some(user.0), Some(user.1))?;
            }
            chown(&path, Some(user.0), Some(user.1))
        };
        make().map_err(|e: std::io::Error| format!("{}: {e}", path.display()))?;
        // Some port that is free now; both runs get the same.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .map_or(34_567, |a| a.port());
        let [dist, cases] = ["dist", "cases"].map(|d| folder.path.join(d));
        Ok(Ground {
            path,
            dist,
            cases,
            link,
            user,
            port,
        })
    }

    pub fn native(&self) -> PathBuf {
        self.path.join("n/v")
    }
    /// V.
    pub fn v(&self) -> PathBuf {
        self.path.join("a/v")
    }
    /// Leg A, which is V itself in place.
    pub fn a(&self) -> PathBuf {
        self.path.join(if self.link { "a/leg" } else { "a/v" })
    }
    pub fn b(&self) -> PathBuf {
        self.path.join("b/v")
    }

    /// A command as the user, with scratch space of its own (`n` or `m`).
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, side: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut c = Command::new(program);
        let scratch = self.path.join("s").join(side);
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            let of_cargo = name.starts_with("CARGO")
                || name.starts_with("RUSTUP_")
                || name == "RUST_RECURSION_COUNT";
            if of_cargo
                || name.starts_with("MIRROR")
                || ["LD_PRELOAD", "LD_LIBRARY_PATH"].contains(&name.as_ref())
            {
                c.env_remove(key);
            }
        }
        for (key, value) in self.variables(&scratch) {
            c.env(key, value);
        }
        if mirror_tests::is_root() && self.user.0 != 0 {
            c.uid(self.user.0).gid(self.user.1);
        }
        c.current_dir(scratch).stdin(Stdio::null());
        c
    }

    fn variables(&self, scratch: &Path) -> Vec<(&'static str, OsString)> {
        let mut list: Vec<(&'static str, OsString)> = vec![
            ("PATH", prepare::path().into()),
            ("PYTHON", prepare::python().into()),
            ("HOME", scratch.join("home").into()),
            ("S", scratch.into()),
            ("TMPDIR", scratch.into()),
            ("CASES", self.cases.clone().into()),
            ("PORT", self.port.to_string().into()),
            ("MIRRORTAB", self.path.join("tab").into()),
            ("MIRROR_CACHE", self.path.join("cache").into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC0".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
        ];
        for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
            list.push((name, "A U Thor".into()));
        }
        for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            list.push((name, "a@example.org".into()));
        }
        if let Some(home) = std::env::var_os("RUSTUP_HOME").or_else(|| {
            Some(
                PathBuf::from(std::env::var_os("HOME")?)
                    .join(".rustup")
                    .into(),
            )
        }) {
            list.push(("RUSTUP_HOME", home));
        }
        list
    }

    /// One part of a case in a directory.
    pub fn part(&self, case: &str, part: &str, directory: &Path, side: &str) -> Command {
        let mut c = self.command("sh", side);
        c.env("RUN", "");
        self.arguments(&mut c, case, part, directory);
        c
    }

    /// The same, mirrored.
    pub fn mirrored(&self, case: &str, part: &str, directory: &Path) -> Command {
        let mut c = self.mirror("run");
        c.args(["--", "sh"]);
        // For programs that are to be the command's own command, not a child of the shell.
        c.env(
            "RUN",
            format!("{} run --", self.dist.join("mirror").display()),
        );
        self.arguments(&mut c, case, part, directory);
        c
    }

    fn arguments(&self, c: &mut Command, case: &str, part: &str, directory: &Path) {
        c.args(["-euc", r#". "$1/lib"; . "$1/$2.sh"; cd "$4"; "$3""#, "sh"]);
        c.arg(&self.cases).args([case, part]).arg(directory);
    }

    /// `mirror SUBCOMMAND`.
    pub fn mirror(&self, subcommand: &str) -> Command {
        let mut c = self.command(self.dist.join("mirror"), "m");
        c.arg(subcommand);
        c
    }

    /// Leg A is lost; leg B comes in its place.
    pub fn only_b(&self) -> Result<()> {
        if self.link {
            let _ = fs::remove_file(self.v());
        }
        remove(&self.a());
        fs::rename(self.b(), self.v()).map_err(|e| format!("{}: {e}", self.b().display()))
    }

    /// The ids of the pair, so that its runtime files are found.
    pub fn pairs(&self) -> Vec<String> {
        let record = fs::read_to_string(self.a().join(".mirror/leg")).unwrap_or_default();
        record
            .lines()
            .filter_map(|l| l.strip_prefix("pair="))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        remove(&self.path);
    }
}
