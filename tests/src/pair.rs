//! One pair for one test: two legs, V, and beside leg A a plain directory in which the same scripts
//! run natively, for comparison. Everything is undone when it is dropped.
//!
//! ```text
//! BASE/a/v    leg A          BASE/a/n   the plain directory (same file system as leg A)
//! BASE/b/v    leg B          BASE/m/v   V of a link pair (in place: V is leg A)
//! BASE/s/m    scratch folder and cwd of mirrored runs     BASE/s/n   of native runs
//! BASE/p      helper programs    BASE/home   BASE/tab
//! ```
use crate::audited::Audited;
use crate::compare::{Level, Tree};
use crate::environment::{self, PATH, base_dir, built};
use crate::loops::{FsType, LoopFs};
use crate::output::Output;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How V is realised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// V is leg A.
    InPlace,
    /// V is a symlink to the source leg.
    Link,
}

/// What the legs lie on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fs {
    /// Two folders of the temporary directory.
    Plain,
    /// Two loop-mounted file systems of the given types.
    Loop(FsType, FsType),
}

/// A pair and its surroundings.
pub struct Pair {
    base: PathBuf,
    kind: Kind,
    v: PathBuf,
    legs: [PathBuf; 2],
    pub(crate) runtime: RefCell<Vec<String>>,
    unstable: RefCell<Vec<String>>,
    audited: RefCell<Option<Audited>>,
    // Dropped (unmounted) by hand, before the base directory goes.
    mounts: Vec<LoopFs>,
}

/// Which directory a script sees as V.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Native,
    Mirrored,
}

impl Pair {
    /// A pair on plain folders, given to one test.
    pub fn with(kind: Kind, test: fn(&Pair)) {
        test(&Pair::new(kind, Fs::Plain).expect("plain folders can always be made"));
    }

    /// A pair on plain folders whose locks have this many stripes (`None`: the default).
    pub fn striped(kind: Kind, stripes: Option<u32>) -> Pair {
        let pair = Pair::bare(kind, Fs::Plain).expect("plain folders can always be made");
        match stripes {
            Some(n) => pair.init(&["--stripes", &n.to_string()]).ok(),
            None => pair.init(&[]).ok(),
        };
        pair
    }

    /// A fresh pair with empty legs; `None` (and a SKIP line) when this machine cannot have it.
    pub fn new(kind: Kind, fs: Fs) -> Option<Pair> {
        let pair = Pair::bare(kind, fs)?;
        pair.init(&[]).ok();
        Some(pair)
    }

    /// The folders of a pair that has not been initialised.
    pub fn bare(kind: Kind, fs: Fs) -> Option<Pair> {
        // SAFETY: umask cannot fail; tests are processes of their own and set it before they start threads.
        unsafe { libc::umask(0o022) };
        let base = base_dir();
        let dir = |name: &str| base.join(name);
        let mut mounts = Vec::new();
        for d in ["m", "s", "s/m", "s/n", "p", "home"] {
            fs::create_dir(dir(d)).expect("a new directory");
        }
        match fs {
            Fs::Plain => ["a", "b"]
                .iter()
                .for_each(|d| fs::create_dir(dir(d)).expect("a new directory")),
            Fs::Loop(a, b) => {
                for (name, kind) in [("a", a), ("b", b)] {
                    match LoopFs::new(kind, &dir(name), 320) {
                        Ok(m) => mounts.push(m),
                        Err(reason) => {
                            crate::skip(reason);
                            drop(mounts);
                            let _ = fs::remove_dir_all(&base);
                            return None;
                        }
                    }
                }
            }
        }
        let legs = [dir("a/v"), dir("b/v")];
        for d in [&legs[0], &legs[1], &dir("a/n")] {
            fs::create_dir(d).expect("a new directory");
        }
        let v = if kind == Kind::InPlace {
            legs[0].clone()
        } else {
            dir("m/v")
        };
        let unstable = RefCell::new(Vec::new());
        Some(Pair {
            base,
            kind,
            v,
            legs,
            runtime: RefCell::new(Vec::new()),
            unstable,
            audited: RefCell::new(None),
            mounts,
        })
    }

    /// `mirror init` with further arguments.
    pub fn init(&self, more: &[&str]) -> Output {
        let mut c = self.mirror_command("init");
        c.args(&self.legs);
        if self.kind == Kind::Link {
            c.arg("--at").arg(&self.v);
        }
        c.arg("--yes").args(more);
        // The same suites with the other kind of locks.
        if let Some(locks) = std::env::var_os("MIRROR_LOCKS").filter(|_| !more.contains(&"--locks"))
        {
            c.arg("--locks").arg(locks);
        }
        let o = Output::from_std(c.output().expect("running mirror init"));
        self.watch_runtime();
        if o.code == 0 {
            let before = self.end_audit();
            assert!(before.is_empty(), "{before:#?}");
            *self.audited.borrow_mut() = Audited::begin(self);
        }
        o
    }

    fn end_audit(&self) -> Vec<String> {
        let audit = self.audited.borrow_mut().take();
        audit.map(Audited::end).unwrap_or_default()
    }

    /// Runtime files say in their first bytes which pair's they are, and nothing else does: the id in leg
    /// A's record is noted, so that they are found and removed at the end.
    pub fn watch_runtime(&self) {
        let Ok(record) = fs::read_to_string(self.legs[0].join(".mirror/leg")) else {
            return;
        };
        for id in record.lines().filter_map(|l| l.strip_prefix("pair=")) {
            self.runtime.borrow_mut().push(id.to_owned());
            if let Some(list) = std::env::var_os("MFS_RUNTIME_LIST") {
                use std::io::Write;
                let file = fs::OpenOptions::new().append(true).create(true).open(list);
                let _ = file.and_then(|mut f| writeln!(f, "{id}"));
            }
        }
    }

    /// The runtime files that are there: those that name this pair.
    pub fn runtime_files(&self) -> Vec<PathBuf> {
        runtime_files_of(&self.runtime.borrow())
    }

    /// How V is realised.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// The virtual directory.
    pub fn v(&self) -> &Path {
        &self.v
    }
    /// Leg A.
    pub fn a(&self) -> &Path {
        &self.legs[0]
    }
    /// Leg B.
    pub fn b(&self) -> &Path {
        &self.legs[1]
    }
    /// The plain directory of native runs.
    pub fn native(&self) -> PathBuf {
        self.base.join("a/n")
    }
    /// A folder for helper programs and data, outside the pair (`$P` in scripts).
    pub fn programs(&self) -> PathBuf {
        self.base.join("p")
    }
    /// The scratch folder and cwd of mirrored runs (`$S`).
    pub fn scratch(&self) -> PathBuf {
        self.base.join("s/m")
    }
    /// The file that MIRRORTAB names.
    pub fn tab(&self) -> PathBuf {
        self.base.join("tab")
    }

    /// Names whose content is different in every run (a path's ending): left out of the comparison
    /// with the native run, not of that of the two legs.
    pub fn unstable(&self, endings: &[&str]) {
        self.unstable
            .borrow_mut()
            .extend(endings.iter().map(|s| (*s).to_owned()));
    }

    fn environment(&self, c: &mut Command, side: Side) {
        let (v, scratch) = match side {
            Side::Mirrored => (self.v.clone(), self.base.join("s/m")),
            Side::Native => (self.native(), self.base.join("s/n")),
        };
        let kept = ["MFS_RUN", "MIRROR_SOAK", "MIRROR_NET", "RUST_BACKTRACE"]
            .map(|k| (k, std::env::var_os(k)));
        c.env_clear()
            .envs(kept.into_iter().filter_map(|(k, v)| Some((k, v?))));
        c.env("PATH", PATH)
            .env("HOME", self.base.join("home"))
            .env("LC_ALL", "C")
            .env("TZ", "UTC0");
        c.env("MIRRORTAB", self.tab()).env("MIRROR_CACHE", cache());
        c.env("V", v)
            .env("S", &scratch)
            .env("P", self.programs())
            .env("TMPDIR", &scratch);
        c.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0");
        for who in ["AUTHOR", "COMMITTER"] {
            c.env(format!("GIT_{who}_NAME"), "A U Thor")
                .env(format!("GIT_{who}_EMAIL"), "a@example.org");
            c.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
        }
        if side == Side::Mirrored {
            c.env("A", self.a()).env("B", self.b());
        }
        c.current_dir(scratch).stdin(Stdio::null());
    }

    /// `mirror SUBCOMMAND`, ready to get arguments.
    pub fn mirror_command(&self, subcommand: &str) -> Command {
        let mut c = Command::new(built("mirror"));
        self.environment(&mut c, Side::Mirrored);
        c.arg(subcommand);
        c
    }

    /// `mirror SUBCOMMAND ARGS…`, finished.
    pub fn mirror(&self, subcommand: &str, args: &[&str]) -> Output {
        let o = self
            .mirror_command(subcommand)
            .args(args)
            .output()
            .expect("running mirror");
        Output::from_std(o).normalised(&self.names())
    }

    /// `mirror verify V`.
    pub fn verify(&self) -> Output {
        let o = self
            .mirror_command("verify")
            .arg(&self.v)
            .output()
            .expect("running mirror");
        Output::from_std(o).normalised(&self.names())
    }

    /// `mirror resync V --yes`.
    pub fn resync(&self) -> Output {
        let o = self
            .mirror_command("resync")
            .arg(&self.v)
            .arg("--yes")
            .output()
            .expect("running mirror");
        Output::from_std(o).normalised(&self.names())
    }

    /// `mirror run -- PROGRAM`, ready to get arguments and to be spawned.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut c = self.mirror_command("run");
        c.arg("--").arg(program);
        c
    }

    /// A program preloaded by the wrapper script: no command waits for it or repairs after it.
    pub fn preloaded(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut c = Command::new(built("mirror-run"));
        self.environment(&mut c, Side::Mirrored);
        c.arg(program);
        c
    }

    /// A program as it would run without the mirror, V being the plain directory.
    pub fn native_command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut c = Command::new(program);
        self.environment(&mut c, Side::Native);
        c
    }

    /// A program as it runs without the mirror but on the pair's own V: a bypass.
    pub fn bypass(&self, script: &str) -> Output {
        let mut c = Command::new("bash");
        self.environment(&mut c, Side::Mirrored);
        Output::from_std(c.arg("-c").arg(script).output().expect("running bash"))
            .normalised(&self.names())
    }

    /// Paths and their names, longest paths first.
    fn names(&self) -> Vec<(PathBuf, &'static str)> {
        let mut names = vec![
            (self.base.join("m/v"), "$V"),
            (self.base.join("a/v"), "$V"),
            (self.native(), "$V"),
            (self.base.join("b/v"), "$B"),
            (self.base.join("s/m"), "$S"),
            (self.base.join("s/n"), "$S"),
            (self.base.clone(), "$BASE"),
        ];
        names.sort_by_key(|(p, _)| std::cmp::Reverse(p.as_os_str().len()));
        names
    }

    /// Runs a bash script through the mirror: cwd outside V; V, A, B, S, P in the environment.
    pub fn run(&self, script: &str) -> Output {
        let o = self
            .command("bash")
            .arg("-c")
            .arg(script)
            .output()
            .expect("running mirror run");
        Output::from_std(o).normalised(&self.names())
    }

    /// Runs the same script natively in the plain directory.
    pub fn plain(&self, script: &str) -> Output {
        let o = self
            .native_command("bash")
            .arg("-c")
            .arg(script)
            .output()
            .expect("running bash");
        Output::from_std(o).normalised(&self.names())
    }

    /// Runs a script without the mirror in a mount namespace of its own; `$D` has the built files. `None`: it
    /// ended with 77, since it could not mount; said to be skipped.
    pub fn in_namespace(&self, script: &str) -> Option<Output> {
        fs::write(self.programs().join("outer.sh"), script).expect("a script");
        let dist = crate::dist();
        let o = self.bypass(&format!(
            "export D={}; unshare -m bash $P/outer.sh",
            dist.display()
        ));
        if o.code == 77 {
            crate::skip("cannot mount here");
            return None;
        }
        Some(o)
    }

    /// Runs the script both ways: the same output and exit code, equal trees.
    #[track_caller]
    pub fn both(&self, script: &str) -> Output {
        let native = self.plain(script);
        let mirrored = self.run(script);
        assert!(
            native.out == mirrored.out && native.code == mirrored.code,
            "script: {script}\n--- native: {native:?}\n--- mirrored: {mirrored:?}\n{}",
            first_difference(&native, &mirrored)
        );
        self.assert_equal();
        self.assert_like_native();
        mirrored
    }

    /// Runs the script both ways, requiring success.
    #[track_caller]
    pub fn both_ok(&self, script: &str) -> Output {
        self.both(&format!("set -eu; {script}")).ok()
    }

    /// Leg A and leg B are the same tree, and no difference is pending.
    #[track_caller]
    pub fn assert_equal(&self) {
        self.assert_legs(Level::Strict);
        self.assert_nothing_pending();
    }

    /// Leg A and leg B are the same tree at this level.
    #[track_caller]
    pub fn assert_legs(&self, level: Level) {
        let d = Tree::read(self.a()).differences(&Tree::read(self.b()), level);
        assert!(d.0.is_empty(), "the legs differ:\n{d}");
    }

    /// Both legs' lists of pending objects are there and empty.
    #[track_caller]
    pub fn assert_nothing_pending(&self) {
        for leg in &self.legs {
            let list = leg.join(".mirror/pending");
            let text = fs::read(&list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
            assert!(
                text.is_empty(),
                "pending on {}:\n{}",
                leg.display(),
                String::from_utf8_lossy(&text)
            );
        }
    }

    /// Leg A and the plain directory are the same tree, but for times and unstable names.
    #[track_caller]
    pub fn assert_like_native(&self) {
        let unstable = self.unstable.borrow();
        let read = |root: &Path| Tree::read(root).normalised(&self.names());
        let mut d = read(self.a()).differences(&read(&self.native()), Level::NoTimes);
        d.0.retain(|line| !unstable.iter().any(|u| line.contains(&format!("{u}: "))));
        assert!(
            d.0.is_empty(),
            "leg A and the native directory differ:\n{d}"
        );
    }
}

/// Where runtime files lie, what their names begin with (docs/FORMATS.md), and where in them the pair's
/// id stands.
const RUNTIME_PLACES: [(&str, &str); 2] = [("/run/mirror", ""), ("/dev/shm", "mirror-")];
const RUNTIME_PAIR: std::ops::Range<usize> = 56..72;

/// The runtime files of these pairs (ids in hex).
pub fn runtime_files_of(pairs: &[String]) -> Vec<PathBuf> {
    let of = |file: &Path| -> Option<String> {
        use std::io::Read;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let file = fs::File::options()
            .read(true)
            .custom_flags(flags)
            .open(file);
        let mut first = [0; RUNTIME_PAIR.end];
        file.ok()?.read_exact(&mut first).ok()?;
        Some(
            first[RUNTIME_PAIR]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
        )
    };
    let mut found = Vec::new();
    for (folder, start) in RUNTIME_PLACES {
        let all = fs::read_dir(folder).into_iter().flatten().flatten();
        let named = all.filter(|e| e.file_name().to_string_lossy().starts_with(start));
        found.extend(
            named
                .map(|e| e.path())
                .filter(|p| of(p).is_some_and(|id| pairs.contains(&id))),
        );
    }
    found.sort();
    found
}

/// The runtime file that a leg's `.mirror/owner` names: one that was cut short does not say whose it is.
fn named_by(leg: &Path) -> Vec<PathBuf> {
    let record = fs::read(leg.join(".mirror/owner")).unwrap_or_default();
    let id: String = record
        .get(8..24)
        .unwrap_or(&[])
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let name = |(folder, start): (&str, &str)| Path::new(folder).join(format!("{start}{id}"));
    let all = RUNTIME_PLACES.map(name);
    all.into_iter().filter(|p| p.is_file()).collect()
}

/// Removes the runtime files of all pairs that have a leg below a test's folder, before that goes.
pub fn forget_pairs(base: &Path) {
    let (mut todo, mut pairs) = (vec![base.to_path_buf()], Vec::new());
    while let Some(dir) = todo.pop() {
        for file in named_by(&dir) {
            let _ = fs::remove_file(file);
        }
        let record = fs::read_to_string(dir.join(".mirror/leg")).unwrap_or_default();
        let ids = record.lines().filter_map(|l| l.strip_prefix("pair="));
        pairs.extend(ids.map(str::to_owned));
        let below = fs::read_dir(dir).into_iter().flatten().flatten();
        let folders = below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        todo.extend(folders.map(|e| e.path()));
    }
    if !pairs.is_empty() {
        for file in runtime_files_of(&pairs) {
            let _ = fs::remove_file(file);
        }
    }
}

/// The first line in which two outputs differ.
fn first_difference(native: &Output, mirrored: &Output) -> String {
    let lines = |o: &Output| {
        String::from_utf8_lossy(&o.out)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (n, m) = (lines(native), lines(mirrored));
    let at = (0..n.len().max(m.len())).find(|&i| n.get(i) != m.get(i));
    at.map_or_else(String::new, |i| {
        format!(
            "=== line {}: {:?} natively, {:?} mirrored",
            i + 1,
            n.get(i),
            m.get(i)
        )
    })
}

/// The folder of prepared libc images, shared by all tests of a run.
fn cache() -> PathBuf {
    // SAFETY: geteuid has no arguments and cannot fail.
    let uid = unsafe { libc::geteuid() };
    let dir = std::env::var_os("MIRROR_CACHE").map_or_else(
        || environment::dist().join(format!("../test-cache-{uid}")),
        PathBuf::from,
    );
    if fs::create_dir(&dir).is_ok() {
        let _ = fs::set_permissions(&dir, fs::Permissions::from_mode(0o755));
    }
    dir
}

impl Drop for Pair {
    fn drop(&mut self) {
        let found = self.end_audit();
        if std::env::var_os("MFS_KEEP").is_some()
            && std::thread::panicking()
            && self.mounts.is_empty()
        {
            println!("kept: {}", self.base.display());
            return;
        }
        let named: Vec<PathBuf> = self.legs.iter().flat_map(|leg| named_by(leg)).collect();
        let _ = self.mirror_command("detach").arg(&self.v).output();
        let user = fs::metadata(self.a()).map_or(0, |m| m.uid());
        for path in self.runtime_files().into_iter().chain(named) {
            // A forged record names root's; root gives a user's pair's to the user.
            let roots = fs::metadata(&path).is_ok_and(|m| m.uid() == 0);
            if !roots || user == 0 {
                let _ = fs::remove_file(path);
            }
        }
        self.mounts.clear();
        // chmod 0 directories of a test would stop an ordinary user.
        let _ = Command::new("chmod")
            .args(["-R", "u+rwX"])
            .arg(&self.base)
            .stderr(Stdio::null())
            .status();
        if let Err(e) = fs::remove_dir_all(&self.base) {
            println!("{}: {e}", self.base.display());
        }
        if !found.is_empty() {
            println!("the audit found:\n{}", found.join("\n"));
            assert!(
                std::thread::panicking(),
                "a program with the library changed one leg alone"
            );
        }
    }
}
