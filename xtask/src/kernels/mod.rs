//! `cargo xtask kernels`: boots Debian's kernels in emulated machines, and runs there what depends on the
//! kernel.
mod fetch;
mod guest;
mod initrd;

use crate::suites::{self, Test};
use crate::{Result, build, interrupt, target};
use fetch::Kernel;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is run in each guest, unless something else is asked for: parts of `suite test_name`.
const CHOSEN: &[&str] = &[
    "harness in_place::",
    "audit what_this_user_may_use_is_said",
    "audit strangers::",
    "audit mirrored_changes_are_no_findings",
];
/// For one guest, of a machine that is not busy.
const LIMIT: Duration = Duration::from_secs(1200);
/// For one test in it; an emulated processor is some ten times slower.
const TEST_LIMIT: u64 = 300;

/// Boots each kernel (`--only WORD`: those whose release has the word) and runs the tests.
pub fn kernels(args: &[String]) -> Result<bool> {
    let mut only = Vec::new();
    let mut filters = Vec::new();
    let mut rest = args.iter();
    while let Some(a) = rest.next() {
        match a.as_str() {
            "--only" => only.push(rest.next().ok_or("--only what?")?),
            a if a.starts_with("--") => return Err(format!("unknown option {a}")),
            a => filters.push(a),
        }
    }
    if filters.is_empty() {
        filters = CHOSEN.to_vec();
    }
    if let Some(what) = guest::missing() {
        return Err(format!("kernels: nothing was run: {what}"));
    }
    build::build()?;
    let mut tests = suites::list()?;
    tests.retain(|t| filters.iter().any(|f| t.title().contains(f)));
    if tests.is_empty() {
        return Err(format!("kernels: no test has {}", filters.join(" or ")));
    }
    let folder = target().join("kernels");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let init = folder.join("init");
    let source = crate::root().join("xtask/src/kernels/init.c");
    output(
        Command::new("cc")
            .args(["-static", "-O1", "-o"])
            .arg(&init)
            .arg(source),
    )?;
    let kernels = match fetch::kernels(&folder) {
        Ok(all) => all,
        Err(e) => {
            return Err(format!(
                "kernels: nothing was run: none can be fetched: {e}"
            ));
        }
    };
    interrupt::install();
    let mut table = String::new();
    let mut good = true;
    for kernel in &kernels {
        if !only.is_empty() && !only.iter().any(|w| kernel.release.contains(w.as_str())) {
            continue;
        }
        let began = Instant::now();
        println!("boot  {}", kernel.release);
        let (line, fine) = one(&folder, kernel, &init, &tests)?;
        good &= fine;
        let _ = writeln!(
            table,
            "{:<32} {line}, {} s",
            kernel.release,
            began.elapsed().as_secs()
        );
    }
    if table.is_empty() {
        return Err("kernels: nothing was run: there is no such kernel".into());
    }
    print!("\n{table}");
    Ok(good)
}

/// One kernel: what is to be said of it, and whether nothing failed.
fn one(folder: &Path, kernel: &Kernel, init: &Path, tests: &[Test]) -> Result<(String, bool)> {
    let initrd = folder.join("initrd");
    initrd::write(kernel, init, &script(tests), &initrd)?;
    let log = folder.join(format!("{}.log", kernel.release));
    let end = guest::boot(folder, &kernel.image, &initrd, &log, LIMIT);
    interrupt::check()?;
    let said = std::fs::read(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let mut told = told(&String::from_utf8_lossy(&said), tests);
    if let Err(e) = end {
        told.failed.push(e);
    }
    for f in &told.failed {
        println!("FAIL  {}: {f}  (see {})", kernel.release, log.display());
    }
    for s in &told.skipped {
        println!("skip  {}: {s}", kernel.release);
    }
    for n in &told.notes {
        println!("note  {}: {n}", kernel.release);
    }
    let line = format!(
        "{}: {} passed, {} failed, {} skipped",
        told.tier,
        told.passed,
        told.failed.len(),
        told.skipped.len()
    );
    Ok((line, told.good()))
}

/// What the guest's shell does.
fn script(tests: &[Test]) -> String {
    let mut s = format!(
        "exec 2>&1\nexport PATH={} HOME=/tmp/home TMPDIR=/tmp MIRROR_DIST={} RUST_BACKTRACE=0\n\
         export MFS_PROGRAMS=/tmp/programs MIRROR_CACHE=/tmp/cache MFS_RUNTIME_LIST=/tmp/runtime\n\
         mkdir -p /tmp/home /tmp/programs; touch /tmp/runtime; chmod 1777 /tmp /dev/shm; cd /tmp\n\
         mirror=$MIRROR_DIST/mirror\n$mirror audit --explain\n$mirror doctor\n",
        mirror_tests::PATH,
        crate::dist().display()
    );
    for (i, t) in tests.iter().enumerate() {
        let _ = write!(
            s,
            "echo '@begin {i}'; timeout {TEST_LIMIT} {} --exact '{}' --nocapture --test-threads=1 < /dev/null\necho \"@done {i} $?\"\n",
            t.binary.display(),
            t.name
        );
    }
    s
}

#[derive(Default)]
struct Told {
    /// The best tier of an audit there.
    tier: String,
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// What tests have measured.
    notes: Vec<String>,
}

impl Told {
    /// Whether something was tried there, and nothing failed.
    fn good(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }
}

/// Reads the console.
fn told(console: &str, tests: &[Test]) -> Told {
    let mut told = Told {
        tier: "no audit".into(),
        ..Told::default()
    };
    let mut skip = None;
    let mut done = 0;
    for line in console.lines().map(str::trim_end) {
        if let Some((tier, _)) = line.trim().split_once("   can be used") {
            if told.tier == "no audit" {
                tier.clone_into(&mut told.tier);
            }
        } else if line.starts_with("@begin ") {
            skip = None;
        } else if let Some((_, why)) = line.split_once("SKIP: ") {
            skip.get_or_insert(why.to_owned());
        } else if let Some((_, note)) = line.split_once("NOTE: ") {
            told.notes.push(note.to_owned());
        } else if let Some((n, code)) = line.strip_prefix("@done ").and_then(|l| l.split_once(' '))
        {
            done += 1;
            let title = n
                .parse()
                .ok()
                .and_then(|n: usize| tests.get(n))
                .map(Test::title);
            let title = title.unwrap_or_default();
            match (code, skip.take()) {
                ("0", None) => told.passed += 1,
                ("0", Some(why)) => told.skipped.push(format!("{title}  {why}")),
                _ => told.failed.push(format!("{title}: exit {code}")),
            }
        }
    }
    if done < tests.len() {
        told.failed
            .push(format!("{} tests did not run", tests.len() - done));
    }
    told
}

/// What a command prints; `Err` when it fails.
fn output(c: &mut Command) -> Result<String> {
    let o = c.output().map_err(|e| format!("{c:?}: {e}"))?;
    if o.status.success() {
        return Ok(String::from_utf8_lossy(&o.stdout).into_owned());
    }
    Err(format!(
        "{c:?}: {}",
        String::from_utf8_lossy(&o.stderr).trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::User;
    use std::path::PathBuf;

    #[test]
    fn a_console_is_read_to_its_end() {
        let t = |name: &str| Test {
            binary: PathBuf::new(),
            suite: "audit".into(),
            name: name.into(),
            user: User::Own,
            net: false,
            audit: false,
            locks: None,
        };
        let tests = ["one", "two", "three", "four"].map(t);
        let said = "T2 eBPF tracepoints   can be used\r\nT3 fanotify   can be used\r\n@begin 0\r\n@done 0 0\r\n\
            @begin 1\r\ntest two ... SKIP: no\r\n@done 1 0\r\n@begin 2\r\n@done 2 101\r\n";
        let told = told(said, &tests);
        assert_eq!(
            (told.tier.as_str(), told.passed),
            ("T2 eBPF tracepoints", 1)
        );
        assert_eq!(told.skipped, ["audit two  no"]);
        assert_eq!(
            told.failed,
            ["audit three: exit 101", "1 tests did not run"]
        );
        assert!(!told.good());
    }

    #[test]
    fn where_nothing_was_tried_nothing_is_good() {
        let with = |passed, failed: &[&str]| Told {
            passed,
            failed: failed.iter().map(|f| (*f).to_owned()).collect(),
            skipped: vec!["one".into()],
            ..Told::default()
        };
        assert!(with(1, &[]).good());
        assert!(!with(0, &[]).good() && !with(1, &["two"]).good());
        assert!(!told("", &[]).good());
    }
}
