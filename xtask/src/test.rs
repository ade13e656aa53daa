//! `cargo xtask test`: build, then every test as a process of its own with a time limit; one line
//! per test, and at the end the counts.
use crate::process::{End, Watched};
use crate::suites::{self, Test, User};
use crate::{Result, build, install, interrupt, leftovers, tidy};
use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io::Error;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The ordinary user of a run by root: nobody, everywhere.
const NOBODY: u32 = 65534;

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<(String, String)>,
}

/// The folder of one run and what in it each user uses.
struct Run {
    id: String,
    folder: PathBuf,
    copies: HashMap<PathBuf, PathBuf>,
}

struct Running {
    test: Test,
    process: Watched,
    number: usize,
}

/// Lets the suite `ways` write docs/COVERAGE.md.
pub fn coverage() -> Result<bool> {
    // SAFETY: this tool has one thread when it calls this.
    unsafe { std::env::set_var("MIRROR_WRITE_COVERAGE", "1") };
    test(&["ways no_way".to_owned()])
}

/// Lets the suite `sweep` strike everywhere, or what is named.
pub fn sweep(what: &[String]) -> Result<bool> {
    // SAFETY: this tool has one thread when it calls this.
    unsafe {
        std::env::set_var("MIRROR_SWEEP", what.join(" "));
        std::env::set_var("MFS_SHOW", "1");
    };
    let mut suites = vec!["sweep part_".to_owned()];
    if what.first().is_none_or(|w| w == "all") {
        suites.push("recovery ".to_owned());
    }
    test(&suites)
}

/// Runs it all; `Ok(false)` when a test failed.
pub fn test(args: &[String]) -> Result<bool> {
    let filters: Vec<&String> = args.iter().filter(|a| !a.starts_with("--")).collect();
    if let Some(unknown) = args.iter().find(|a| {
        a.starts_with("--") && !["--install", "--net", "--audit", "--flock"].contains(&a.as_str())
    }) {
        return Err(format!("unknown option {unknown}"));
    }
    if args.iter().any(|a| a == "--install") {
        install::install()?;
    }
    leftovers::in_private_folders();
    let started = Instant::now();
    build::build()?;
    let mut tests = suites::list()?;
    let netted = suites::netted(&tests);
    let audited = suites::audited(&tests);
    let flocked = suites::flocked(&tests);
    if mirror_tests::is_root() {
        tests.extend(suites::ordinary(&tests));
    }
    if args.iter().any(|a| a == "--net") {
        tests = tests.into_iter().map(Test::with_the_net).collect();
    } else if args.iter().any(|a| a == "--audit") {
        tests = tests.into_iter().map(Test::with_an_audit).collect();
    } else {
        tests.extend(netted);
        tests.extend(audited);
    }
    if args.iter().any(|a| a == "--flock") {
        tests = tests.into_iter().map(Test::with_flocks).collect();
    } else {
        tests.extend(flocked);
    }
    tests.retain(|t| wanted(&filters, &t.title()));
    let checks: Vec<_> = tidy::CHECKS
        .iter()
        .filter(|(name, _)| wanted(&filters, &format!("tidy {name}")))
        .collect();
    println!(
        "built in {:.0} s; {} tests",
        started.elapsed().as_secs_f64(),
        tests.len() + checks.len()
    );
    let mut counts = Counts::default();
    for (name, check) in checks {
        counts.tidy(name, &check()?);
    }
    // From here on processes, mounts and files are to be taken away at the end, whatever that is.
    interrupt::install();
    let mut run = Run::new(&tests)?;
    // The long ones first, so that none is left alone at the end.
    tests.sort_by_key(|t| std::cmp::Reverse(t.limit()));
    let (serial, parallel): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(Test::serial);
    // Half of a test is waiting: for disks, for moments, for what it has started.
    let jobs = std::thread::available_parallelism().map_or(4, |n| (2 * n.get()).clamp(4, 8));
    run.all(parallel, jobs, &mut counts)?;
    run.all(serial, 1, &mut counts)?;
    run.finish(&mut counts);
    Ok(summary(&counts, started.elapsed()))
}

/// Whether a title is asked for.
fn wanted(filters: &[&String], title: &str) -> bool {
    filters.is_empty() || filters.iter().any(|f| title.contains(f.as_str()))
}

impl Counts {
    /// One check of the sources or the built library.
    fn tidy(&mut self, name: &str, found: &[String]) {
        if found.is_empty() {
            println!("ok    tidy {name}");
            self.passed += 1;
            return;
        }
        println!("FAIL  tidy {name}");
        found.iter().for_each(|f| println!("      | {f}"));
        self.failed
            .push(format!("tidy {name}: {} findings", found.len()));
    }
}

fn summary(counts: &Counts, time: Duration) -> bool {
    if !counts.skipped.is_empty() {
        println!("\nskipped:");
        counts
            .skipped
            .iter()
            .for_each(|(name, why)| println!("  {name}: {why}"));
    }
    if !counts.failed.is_empty() {
        println!("\nfailed:");
        counts.failed.iter().for_each(|name| println!("  {name}"));
    }
    println!("\n{:.0} s", time.as_secs_f64());
    println!(
        "{} passed, {} failed, {} skipped",
        counts.passed,
        counts.failed.len(),
        counts.skipped.len()
    );
    counts.failed.is_empty()
}

/// Lets a command start in a mount namespace, and there in a folder.
fn in_mounts(c: &mut Command, outer: i32, folder: &Path, ordinary: bool) -> std::io::Result<()> {
    let folder = CString::new(folder.as_os_str().as_bytes())?;
    let done = |r: i32| (r == 0).then_some(()).ok_or_else(Error::last_os_error);
    let enter = move || {
        // SAFETY: calls that are safe between fork and exec; the text outlives them, and there are no groups to read.
        unsafe {
            done(libc::setns(outer, libc::CLONE_NEWNS))?;
            done(libc::chdir(folder.as_ptr()))?;
            if ordinary {
                done(libc::setgroups(0, std::ptr::null()))?;
                done(libc::setgid(NOBODY))?;
                done(libc::setuid(NOBODY))?;
            }
        }
        Ok(())
    };
    // SAFETY: it allocates nothing, and takes no lock.
    unsafe { c.pre_exec(enter) };
    Ok(())
}

impl Run {
    fn new(tests: &[Test]) -> Result<Run> {
        let id = std::process::id().to_string();
        let folder = std::env::temp_dir().join(format!("mfs-run.{id}"));
        let mut run = Run {
            id,
            folder,
            copies: HashMap::new(),
        };
        run.prepare(tests)
            .map_err(|e| format!("{}: {e}", run.folder.display()))?;
        Ok(run)
    }

    /// Caches per user, and copies of everything that the ordinary user must be able to reach.
    fn prepare(&mut self, tests: &[Test]) -> std::io::Result<()> {
        let make = |p: &Path, mode: u32| {
            fs::create_dir(p)?;
            fs::set_permissions(p, fs::Permissions::from_mode(mode))
        };
        make(&self.folder, 0o755)?;
        make(&self.folder.join("own"), 0o755)?;
        make(&Self::programs(&self.folder.join("own")), 0o755)?;
        fs::write(self.folder.join("runtime"), "")?;
        fs::set_permissions(
            self.folder.join("runtime"),
            fs::Permissions::from_mode(0o666),
        )?;
        if !tests.iter().any(|t| t.user == User::Ordinary) {
            return Ok(());
        }
        make(&self.folder.join("ordinary"), 0o700)?;
        let programs = Self::programs(&self.folder.join("ordinary"));
        make(&programs, 0o700)?;
        for folder in [self.folder.join("ordinary"), programs] {
            chown(folder, Some(NOBODY), Some(NOBODY))?;
        }
        make(&self.folder.join("dist"), 0o755)?;
        for entry in fs::read_dir(crate::dist())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                continue; // the manual
            }
            fs::copy(
                entry.path(),
                self.folder.join("dist").join(entry.file_name()),
            )?;
        }
        for test in tests.iter().filter(|t| t.user == User::Ordinary) {
            if !self.copies.contains_key(&test.binary) {
                let to = self.folder.join(test.binary.file_name().expect("a file"));
                fs::copy(&test.binary, &to)?;
                self.copies.insert(test.binary.clone(), to);
            }
        }
        Ok(())
    }

    fn start(&self, test: Test, number: usize) -> std::io::Result<Running> {
        let ordinary = test.user == User::Ordinary;
        let home = self.folder.join(if ordinary { "ordinary" } else { "own" });
        let folder = self.test_folder(number);
        fs::create_dir(&folder)?;
        let binary = if ordinary {
            &self.copies[&test.binary]
        } else {
            &test.binary
        };
        let dist = if ordinary {
            self.folder.join("dist")
        } else {
            crate::dist()
        };
        let mut c = Command::new(binary);
        c.args(["--exact", &test.name, "--nocapture", "--test-threads=1"]);
        c.env("MFS_RUN", self.mark(number))
            .env("MFS_RUNTIME_LIST", self.folder.join("runtime"));
        c.env("MIRROR_DIST", dist)
            .env("TMPDIR", &folder)
            .env("HOME", &home);
        c.env("MFS_PROGRAMS", Self::programs(&home));
        c.env("MIRROR_CACHE", home.join("cache"))
            .env("RUST_BACKTRACE", "0");
        if test.net {
            c.env("MIRROR_NET", "always");
        }
        if test.audit {
            c.env("MIRROR_AUDIT", "always");
        }
        if let Some(locks) = test.locks {
            c.env("MIRROR_LOCKS", locks);
        }
        c.env_remove("LD_PRELOAD")
            .env_remove("MIRROR")
            .env_remove("MIRRORTAB")
            .current_dir(&folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        if ordinary {
            chown(&folder, Some(NOBODY), Some(NOBODY))?;
        }
        match leftovers::outer_mounts().filter(|_| test.outer_mounts()) {
            Some(outer) => in_mounts(&mut c, outer, &folder, ordinary)?,
            None if ordinary => drop(c.uid(NOBODY).gid(NOBODY)),
            None => {}
        }
        let process = Watched::start(&mut c, &self.log(number), test.limit())?;
        Ok(Running {
            test,
            process,
            number,
        })
    }

    fn all(&mut self, tests: Vec<Test>, jobs: usize, counts: &mut Counts) -> Result<()> {
        let mut waiting = tests.into_iter();
        let mut running: Vec<Running> = Vec::new();
        loop {
            while running.len() < jobs {
                let Some(test) = waiting.next() else { break };
                let title = test.title();
                let number =
                    counts.passed + counts.failed.len() + counts.skipped.len() + running.len();
                running.push(
                    self.start(test, number)
                        .map_err(|e| format!("{title}: {e}"))?,
                );
            }
            if running.is_empty() {
                return Ok(());
            }
            let mut still = Vec::new();
            for mut r in running {
                match r.process.poll() {
                    None => still.push(r),
                    Some(end) => self.ended(&r, &end, counts),
                }
            }
            running = still;
            if interrupt::interrupted() {
                for r in &running {
                    r.process.kill_group();
                    leftovers::sweep(&self.mark(r.number), &self.test_folder(r.number));
                }
                let _ = leftovers::runtime_files(&self.folder.join("runtime"));
                return Err("interrupted; what the tests had made is removed".into());
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn ended(&self, r: &Running, end: &End, counts: &mut Counts) {
        let title = r.test.title();
        let log = fs::read(self.log(r.number)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        // The harness prints SKIP after libtest's own `test name ... `.
        let skip = log
            .lines()
            .find_map(|l| l.split_once("SKIP: "))
            .map(|(_, reason)| reason.to_owned());
        let left = leftovers::sweep(&self.mark(r.number), &self.test_folder(r.number));
        r.process.kill_group();
        let (failure, time) = match end {
            End::TimedOut(limit) => (
                Some(format!("killed after {} s", limit.as_secs())),
                format!("{:.2} s", limit.as_secs_f64()),
            ),
            End::Exit { code, after, work } => {
                let failure = match code {
                    0 if left.is_empty() => None,
                    0 => Some(format!("left behind: {}", left.join(", "))),
                    _ => Some(format!("exit {code}")),
                };
                let (after, work) = (after.as_secs_f64(), work.as_secs_f64());
                (failure, format!("{after:.2} s, {work:.2} s of work"))
            }
        };
        match (failure, skip) {
            (Some(why), _) => {
                println!("FAIL  {title}  ({time})  {why}");
                let lines: Vec<&str> = log.lines().collect();
                for line in &lines[lines.len().saturating_sub(70)..] {
                    println!("      | {line}");
                }
                counts.failed.push(format!("{title}: {why}"));
            }
            (None, Some(reason)) => {
                println!("skip  {title}  {reason}");
                counts.skipped.push((title, reason));
            }
            (None, None) => {
                println!("ok    {title}  ({time})");
                if std::env::var_os("MFS_SHOW").is_some() {
                    print!("{log}");
                }
                counts.passed += 1;
            }
        }
    }

    /// The last test of all: nothing of ours is left on the machine.
    fn finish(&self, counts: &mut Counts) {
        let left = leftovers::runtime_files(&self.folder.join("runtime"));
        let title = "leftovers: runtime files of the tests";
        if left.is_empty() {
            println!("ok    {title}");
            counts.passed += 1;
        } else {
            println!("FAIL  {title}");
            left.iter().for_each(|l| println!("      | {l}"));
            counts.failed.push(format!("{title}: {} left", left.len()));
        }
    }

    /// Where programs that tests compile are kept: each is compiled once a run.
    fn programs(home: &Path) -> PathBuf {
        home.join("programs")
    }
    fn mark(&self, number: usize) -> String {
        format!("{}.{number}", self.id)
    }
    fn log(&self, number: usize) -> PathBuf {
        self.folder.join(format!("log.{number}"))
    }
    fn test_folder(&self, number: usize) -> PathBuf {
        self.folder.join(format!("t{number}"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
