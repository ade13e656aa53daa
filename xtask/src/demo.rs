//! `cargo xtask demo`: the main job, step by step, with ordinary programs; no root, no network,
//! everything in /tmp/mfs-demo. What is measured is measured now.
mod bypass;
mod degraded;

use crate::{Result, build};
use mirror_tests::{Level, Tree};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = "/tmp/mfs-demo";
const WRITERS: usize = 20;
/// Bytes of one record: long enough that a kill often falls into a write.
const RECORD: usize = 64 * 1024;

/// Ordinary programs; `$ROOT`, `$CHECKOUT` and `$TAR` are given.
const PROGRAMS: &str = r#"
git clone -q "$CHECKOUT" src
tar xf "$TAR"
if command -v sqlite3 >/dev/null; then sqlite3 app.db "$SCHEMA"; else /usr/bin/python3 -c 'import os, sqlite3; sqlite3.connect("app.db").executescript(os.environ["SCHEMA"])'; fi
if command -v cc >/dev/null; then cc -o hello hello.c && ./hello; fi
sed -i 's/one/two/' docs/page1; cp -a docs copy; mv copy/page2 copy/renamed; rm docs/page3; ln -s docs latest; chmod 640 docs/page4
"#;
const SCHEMA: &str = "create table t(id integer primary key, v text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) insert into t select i, 'row ' || i from n;";

/// The demo's folder: that of an earlier demo of this user, or a new one. Asked before anything is built.
fn folder() -> Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    for tool in ["git", "tar"] {
        if mirror_tests::tool(tool).is_none() {
            return Err(format!("the demo needs the program {tool}"));
        }
    }
    // SAFETY: geteuid has no arguments and cannot fail.
    let me = unsafe { libc::geteuid() };
    for root in [PathBuf::from(ROOT), PathBuf::from(format!("{ROOT}-{me}"))] {
        match fs::symlink_metadata(&root) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(root),
            Ok(m) if m.is_dir() && m.uid() == me => return Ok(root),
            _ => {}
        }
    }
    Err(format!("{ROOT} and {ROOT}-{me} belong to somebody else"))
}

struct Demo {
    root: PathBuf,
    step: usize,
    good: bool,
}

/// Runs all steps; `Ok(false)` when one did not come out as it must.
pub fn demo() -> Result<bool> {
    let mut d = Demo {
        root: folder()?,
        step: 0,
        good: true,
    };
    let start = Instant::now();
    build::build()?;
    d.say(
        "build",
        &format!(
            "mirror, libmirror.so, mirror-run            {:.0} s",
            start.elapsed().as_secs_f64()
        ),
    );
    d.two_trees()?;
    d.ordinary_programs()?;
    d.either_copy_alone()?;
    d.kills()?;
    let running = d.goes_away()?;
    d.returns(running)?;
    d.bypass()?;
    d.cost()?;
    let root = d.root.display();
    println!(
        "Everything is in {root}; try your own: MIRRORTAB={root}/tab {} run -- COMMAND\n\
         Remove with: MIRRORTAB={root}/tab {} detach {root}/data; rm -rf {root}",
        crate::dist().join("mirror").display(),
        crate::dist().join("mirror").display()
    );
    Ok(d.good)
}

impl Demo {
    fn say(&mut self, what: &str, text: &str) {
        self.step += 1;
        println!("[{}/9] {what:<28} {text}", self.step);
    }

    fn more(text: &str) {
        println!("{:35}{text}", "");
    }

    /// A fact that the demo stands for: it is said when it is not so.
    fn must(&mut self, fact: bool, otherwise: &str) {
        if !fact {
            self.good = false;
            println!("{:35}WRONG: {otherwise}", "");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut c = Command::new(program);
        c.env("MIRRORTAB", self.path("tab"))
            .env("MIRROR_CACHE", self.path("cache"))
            .env_remove("LD_PRELOAD");
        c.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        c.env("CHECKOUT", self.path("checkout"))
            .env("TAR", self.path("docs.tar"))
            .env("SCHEMA", SCHEMA);
        c.current_dir(&self.root).stdin(Stdio::null());
        c
    }

    fn mirror(&self, args: &[&str]) -> Result<(i32, String)> {
        let o = self
            .command(crate::dist().join("mirror"))
            .args(args)
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&[o.stdout, o.stderr].concat())
            .trim()
            .to_owned();
        Ok((o.status.code().unwrap_or(-1), text))
    }

    /// Both disks read by this program: how many objects, and whether they are equal.
    fn compare(&self) -> (usize, usize, Vec<String>) {
        let (a, b) = (
            Tree::read(&self.path("disk1")),
            Tree::read(&self.path("disk2")),
        );
        (a.len(), b.len(), a.differences(&b, Level::Strict).0)
    }

    fn two_trees(&mut self) -> Result<()> {
        let root = self.root.display().to_string();
        if self.root.exists() {
            // A demo that ran before: its pair is given back first.
            // It may have ended in the midst of step 6.
            let _ = fs::rename(self.path("unplugged"), self.path("disk2"));
            let _ = self.mirror(&["detach", &format!("{root}/data")]);
            fs::remove_dir_all(&self.root).map_err(|e| format!("{root}: {e}"))?;
        }
        for d in [
            "", "disk1", "disk2", "checkout", "docs", "hand1", "hand2", "cache",
        ] {
            fs::create_dir(self.path(d)).map_err(|e| format!("{root}/{d}: {e}"))?;
        }
        let (a, b, v) = (
            format!("{root}/disk1"),
            format!("{root}/disk2"),
            format!("{root}/data"),
        );
        self.say(
            "two trees, one directory",
            &format!("$ mirror init {a} {b} --at {v} --on-failure degrade"),
        );
        let (code, text) = self.mirror(&[
            "init",
            &a,
            &b,
            "--at",
            &v,
            "--on-failure",
            "degrade",
            "--yes",
        ])?;
        if code != 0 {
            return Err(format!("mirror init: {text}"));
        }
        Self::more(
            text.lines()
                .find(|l| l.starts_with("ready"))
                .unwrap_or("ready"),
        );
        Ok(())
    }

    fn ordinary_programs(&mut self) -> Result<()> {
        let make = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo \"file $i\" > checkout/f$i; echo \"page one $i\" > docs/page$i; done; \
                    tar cf docs.tar docs; cd checkout; git init -q -b main .; git add .; \
                    git -c user.name=demo -c user.email=demo@example.org commit -qm demo; \
                    printf '#include <stdio.h>\\nint main(void) { puts(\"hello from V\"); }\\n' > ../hello.c";
        build::run(self.command("sh").args(["-euc", make]))?;
        self.say("ordinary programs", "$ mirror run -- sh -c 'cd data; git clone …; tar xf …; sqlite3 app.db …; cc hello.c; sed -i …'");
        let script = format!("cd data; cp ../hello.c .; {PROGRAMS}");
        let (code, text) = self.mirror(&["run", "--", "sh", "-euc", &script])?;
        self.must(code == 0, &format!("exit {code}: {text}"));
        let (a, b, differences) = self.compare();
        let equal = if differences.is_empty() {
            "equal"
        } else {
            "DIFFERENT"
        };
        Self::more(&format!("disk1 {a} files   disk2 {b} files   {equal}"));
        self.must(differences.is_empty() && a > 1000, &differences.join("; "));
        Ok(())
    }

    fn either_copy_alone(&mut self) -> Result<()> {
        let query = "select count(*) from t";
        let db = self.path("disk2/app.db");
        let script = "command -v sqlite3 >/dev/null && exec sqlite3 \"$1\" \"$2\"; \
                      exec /usr/bin/python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' \"$1\" \"$2\"";
        let o = self
            .command("sh")
            .args(["-c", script, "sh"])
            .arg(&db)
            .arg(query)
            .output()
            .map_err(|e| e.to_string())?;
        let count = String::from_utf8_lossy(&o.stdout).trim().to_owned();
        self.say(
            "either copy alone",
            &format!(
                "$ sqlite3 {} '{query}'   -> {count}   (no mirror involved)",
                db.display()
            ),
        );
        self.must(count == "1000", &String::from_utf8_lossy(&o.stderr));
        Ok(())
    }

    fn kills(&mut self) -> Result<()> {
        let (mut torn, mut lost, mut acknowledged) = (0, 0, 0);
        for i in 0..WRITERS {
            let name = format!("killed{i}");
            let mut c = self.command(crate::dist().join("mirror-run"));
            let own = std::env::current_exe().map_err(|e| e.to_string())?;
            let last = kill_a_writer(
                c.arg(own)
                    .arg("demo-writer")
                    .arg(self.path("data").join(&name)),
            )?;
            let files = ["disk1", "disk2"].map(|d| self.path(d).join(&name));
            torn += usize::from(fs::read(&files[0]).ok() != fs::read(&files[1]).ok());
            // The next program that changes something recovers what the killed one left.
            let (code, text) = self.mirror(&["run", "--", "sh", "-c", "echo next > data/next"])?;
            self.must(code == 0, &text);
            lost += usize::from(files.iter().any(|f| !holds(f, last)));
            acknowledged += last;
        }
        let (_, _, mut differences) = self.compare();
        let late = differences.len();
        let times_alone = late > 0 && differences.iter().all(|d| d.contains(": mtime "));
        if times_alone {
            // docs/LIMITS.md: the last time that a killed writer owed.
            let (code, text) =
                self.mirror(&["resync", &format!("{}/data", self.root.display()), "--yes"])?;
            self.must(code == 0, &text);
            differences = self.compare().2;
        }
        let healed = if differences.is_empty() { WRITERS } else { 0 };
        self.say(
            "kill -9 in mid-write",
            &format!("{WRITERS} writers killed ({torn} left a torn record); {healed} recovered; {lost} of {acknowledged} acknowledged records lost"),
        );
        if times_alone {
            Self::more(&format!(
                "{late} of them by mirror resync: their last time differed by a tick of the clock"
            ));
        }
        self.must(differences.is_empty() && lost == 0, &differences.join("; "));
        let mut different = 0;
        for i in 0..WRITERS {
            let files = ["hand1", "hand2"].map(|d| self.path(d).join(format!("killed{i}")));
            let own = std::env::current_exe().map_err(|e| e.to_string())?;
            kill_a_writer(self.command(own).arg("demo-writer").args(&files))?;
            different += usize::from(fs::read(&files[0]).ok() != fs::read(&files[1]).ok());
        }
        Self::more(&format!(
            "by hand (every record written twice): {different} of {WRITERS} left different   (measured now)"
        ));
        Ok(())
    }

    /// One small measurement, interleaved; `cargo xtask bench` is the real one.
    fn cost(&mut self) -> Result<()> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        // Fresh folders, and a disk that has nothing left to write back.
        fs::create_dir(self.path("plain")).map_err(|e| e.to_string())?;
        let (code, text) = self.mirror(&[
            "run", "--", "mkdir", "plain/c", "hand1/c", "hand2/c", "data/c",
        ])?;
        self.must(code == 0, &text);
        build::run(&mut self.command("sync"))?;
        let mut best = [[f64::INFINITY; 2]; 3];
        for _ in 0..5 {
            for (i, dirs) in [vec!["plain/c"], vec!["hand1/c", "hand2/c"], vec!["data/c"]]
                .iter()
                .enumerate()
            {
                let mut c = self.command(&own);
                if i == 2 {
                    c.env("LD_PRELOAD", crate::dist().join("libmirror.so"));
                }
                let o = c
                    .arg("demo-cost")
                    .args(dirs.iter().map(|d| self.path(d)))
                    .output()
                    .map_err(|e| e.to_string())?;
                let text = String::from_utf8_lossy(&o.stdout).into_owned();
                let mut times = text
                    .split_whitespace()
                    .map(|n| n.parse::<f64>().unwrap_or(f64::NAN));
                for slot in &mut best[i] {
                    *slot = slot.min(times.next().ok_or_else(|| format!("demo-cost: {o:?}"))?);
                }
            }
        }
        let [native, hand, mirror] = best;
        self.say(
            "what it cost",
            &format!(
                "small files {:.1} x one tree (by hand {:.1} x)   reads {:.2} x   (best of 5; cargo xtask bench)",
                mirror[0] / native[0],
                hand[0] / native[0],
                mirror[1] / native[1]
            ),
        );
        Ok(())
    }
}

/// Whether a file holds all acknowledged records.
fn holds(file: &Path, records: usize) -> bool {
    let text = fs::read(file).unwrap_or_default();
    text.len() >= records * RECORD
        && (0..records).all(|n| text[n * RECORD..].starts_with(format!("{n:015}\n").as_bytes()))
}

/// Starts a writer and kills it at a random instant; how many records it had acknowledged.
fn kill_a_writer(c: &mut Command) -> Result<usize> {
    let mut child = c
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{c:?}: {e}"))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
    let mut count = usize::from(lines.next().is_some());
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|e| e.to_string())?;
    std::thread::sleep(Duration::from_micros(
        u64::from(clock.subsec_nanos()) / 7 % 8000,
    ));
    child.kill().map_err(|e| e.to_string())?;
    child.wait().map_err(|e| e.to_string())?;
    count += lines
        .map_while(std::result::Result::ok)
        .filter(|l| !l.is_empty())
        .count();
    Ok(count)
}

/// `xtask demo-writer FILE [FILE2]`: records without end, each acknowledged on standard output.
pub fn writer(files: &[String]) -> std::io::Result<()> {
    let mut open: Vec<fs::File> = files
        .iter()
        .map(fs::File::create)
        .collect::<std::io::Result<_>>()?;
    let mut record = vec![b'.'; RECORD];
    let mut out = std::io::stdout();
    for n in 0..2000 {
        record[..16].copy_from_slice(format!("{n:015}\n").as_bytes());
        for file in &mut open {
            file.write_all(&record)?;
        }
        writeln!(out, "{n}")?;
        out.flush()?;
    }
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

/// `xtask demo-cost DIR [DIR2]`: seconds of changing small files, and of reading one.
pub fn cost_loop(dirs: &[String]) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let start = Instant::now();
    for i in 0..300 {
        for dir in dirs {
            let name = format!("{dir}/cost{i}");
            fs::write(&name, [b'c'; 4096])?;
            fs::rename(&name, format!("{name}r"))?;
            fs::remove_file(format!("{name}r"))?;
        }
    }
    let changes = start.elapsed();
    let name = format!("{}/cost", dirs[0]);
    fs::write(&name, [b'c'; 4096])?;
    let start = Instant::now();
    for _ in 0..20_000 {
        fs::metadata(&name)?;
    }
    let file = fs::File::open(&name)?;
    let mut buffer = [0; 4096];
    for _ in 0..20_000 {
        file.read_exact_at(&mut buffer, 0)?;
    }
    let reads = start.elapsed();
    fs::remove_file(&name)?;
    println!("{} {}", changes.as_secs_f64(), reads.as_secs_f64());
    Ok(())
}
