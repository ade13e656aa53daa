//! `cargo xtask tidy`: format, lints, the arrows between crates, the built library, house rules.
use crate::build::{self, cargo};
use crate::supply;
use crate::{Result, root};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may depend on whom (docs/ARCHITECTURE.md). Nobody links the library.
const ARROWS: &[(&str, &[&str])] = &[
    ("mirror-core", &[]),
    ("mirror-sys", &["mirror-core"]),
    ("mirror-pair", &["mirror-core", "mirror-sys"]),
    ("mirror-audit", &["mirror-core"]),
    ("mirror-shim", &["mirror-core", "mirror-pair", "mirror-sys"]),
    (
        "mirror-loader",
        &["mirror-audit", "mirror-core", "mirror-pair", "mirror-sys"],
    ),
    ("mirror-sim", &["mirror-core", "mirror-pair"]),
    ("mirror-fuzz", &["mirror-audit", "mirror-core"]),
    ("mirror-tests", &[]),
    ("xtask", &["mirror-tests"]),
];

/// Files longer than [`LONG`] lines, and why they are one file.
const LONG_FILES: &[(&str, &str)] = &[
    (
        "shim/src/attach/session.rs",
        "attaching, its descriptors and its locks share the table of sessions",
    ),
    (
        "tests/src/pair.rs",
        "one pair for one test: its folders, programs and checks",
    ),
];
const LONG: usize = 500;

/// Weak symbols that linkers add to every shared object.
const WEAK: &[&str] = &[
    "__cxa_finalize",
    "__gmon_start__",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
];
/// Parts of symbol names that mean a way to panic.
const PANICS: &[&str] = &[
    "core9panicking",
    "core::panicking",
    "panic_fmt",
    "panic_bounds_check",
    "unwrap_failed",
    "expect_failed",
];

/// Texts that must not stand in the crates that run inside other people's programs (or, for the
/// first three, anywhere). Written in two halves so that this file does not find itself.
const EVERYWHERE: &[&str] = &[
    "core", "sys", "pair", "audit", "shim", "loader", "sim", "fuzz", "tests", "xtask",
];
const BANNED: &[(&str, &[&str])] = &[
    ("tod\u{6f}!", EVERYWHERE),
    ("unimplement\u{65}d!", EVERYWHERE),
    ("db\u{67}!", EVERYWHERE),
    ("printl\u{6e}!", &["core", "sys", "pair", "shim"]),
    ("eprin\u{74}!", &["core", "sys", "pair", "shim"]),
];

/// What a check found.
pub type Findings = Vec<String>;
/// A name and what finds violations.
pub type Check = (&'static str, fn() -> Result<Findings>);

/// All checks.
pub const CHECKS: &[Check] = &[
    ("format", || tool(cargo().args(["fmt", "--all", "--check"]))),
    ("lints", lints),
    ("oldest compiler", supply::compiler),
    ("dependencies", supply::dependencies),
    ("crate arrows", arrows),
    ("rooms", crate::house::check),
    ("no_std without alloc", no_std),
    ("house rules", house_rules),
    ("no compiled programs", compiled),
    ("the table of programs", crate::programs::documented),
    ("the audit's object", crate::ebpf::check),
    ("the built library", library),
];

/// Runs every check; `Ok(false)` when one found something.
pub fn tidy() -> Result<bool> {
    let mut good = true;
    for (name, check) in CHECKS {
        let found = check()?;
        println!("{}  {name}", if found.is_empty() { "ok  " } else { "FAIL" });
        found.iter().for_each(|f| println!("      {f}"));
        good &= found.is_empty();
    }
    Ok(good)
}

/// A tool whose failure is the finding; its last lines are shown.
pub fn tool(c: &mut Command) -> Result<Findings> {
    let o = c.output().map_err(|e| format!("{c:?}: {e}"))?;
    if o.status.success() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&[o.stdout, o.stderr].concat()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(40)..]
        .iter()
        .map(|l| (*l).to_owned())
        .collect())
}

fn lints() -> Result<Findings> {
    let host = [
        "clippy",
        "--quiet",
        "--workspace",
        "--exclude",
        "mirror-shim",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    let mut found = tool(cargo().args(host))?;
    // The library by itself: no_std, and no test harness can link it.
    let shim = crate::target().join("shim");
    found.extend(tool(
        cargo()
            .args([
                "clippy",
                "--quiet",
                "--release",
                "-p",
                "mirror-shim",
                "--target-dir",
            ])
            .arg(shim)
            .args(["--", "-D", "warnings"])
            .env("RUSTFLAGS", build::SHIM_FLAGS)
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?);
    Ok(found)
}

fn arrows() -> Result<Findings> {
    let mut found = Vec::new();
    let o = cargo()
        .args([
            "tree",
            "--workspace",
            "--depth",
            "1",
            "--prefix",
            "depth",
            "-e",
            "all",
            "--format",
            " {p}",
        ])
        .output()
        .map_err(|e| e.to_string())?;
    if !o.status.success() {
        return Err(format!(
            "cargo tree: {}",
            String::from_utf8_lossy(&o.stderr)
        ));
    }
    let mut from = String::new();
    let own: BTreeSet<&str> = ARROWS.iter().map(|(n, _)| *n).collect();
    for line in String::from_utf8_lossy(&o.stdout).lines() {
        let Some((depth, rest)) = line.split_once(' ') else {
            continue;
        };
        let name = rest.split(' ').next().unwrap_or_default().to_owned();
        if depth == "0" {
            from = name;
            if !own.contains(from.as_str()) {
                found.push(format!(
                    "{from}: a crate without a row in ARROWS (xtask/src/tidy.rs)"
                ));
            }
        } else if own.contains(name.as_str()) {
            let allowed = ARROWS
                .iter()
                .find(|(n, _)| *n == from)
                .map_or(&[][..], |(_, a)| a);
            if !allowed.contains(&name.as_str()) {
                found.push(format!("{from} -> {name}: no such arrow"));
            }
        }
    }
    Ok(found)
}

fn no_std() -> Result<Findings> {
    let mut found = Vec::new();
    for name in ["core", "sys", "pair", "shim"] {
        let lib = root().join(name).join("src/lib.rs");
        if !read(&lib)?.contains("#![no_std]") {
            found.push(format!("{}: not no_std", lib.display()));
        }
        for file in sources(&root().join(name)) {
            let text = read(&file)?;
            if file.to_string_lossy().ends_with("_tests.rs") {
                continue;
            }
            if text.contains("extern crate alloc")
                || text.contains("extern crate std") && !text.contains("#[cfg(test)]")
            {
                found.push(format!("{}: alloc or std", file.display()));
            }
        }
    }
    Ok(found)
}

fn house_rules() -> Result<Findings> {
    let mut found = Vec::new();
    for name in EVERYWHERE {
        for file in sources(&root().join(name)) {
            let text = read(&file)?;
            let shown = file
                .strip_prefix(root())
                .unwrap_or(&file)
                .display()
                .to_string();
            let lines = text.lines().count();
            let excused = LONG_FILES.iter().any(|(f, _)| *f == shown);
            match (lines > LONG, excused) {
                (true, false) => found.push(format!(
                    "{shown}: {lines} lines (a reason in LONG_FILES, or two files)"
                )),
                (false, true) => found.push(format!("{shown}: in LONG_FILES and not long")),
                _ => {}
            }
            for (banned, crates) in BANNED {
                // A build script talks to cargo on its output.
                if crates.contains(name)
                    && !shown.ends_with("build.rs")
                    && text.lines().any(|l| !is_comment(l) && l.contains(banned))
                {
                    found.push(format!("{shown}: {banned}"));
                }
            }
            found.extend(
                unexplained_unsafe(&text)
                    .into_iter()
                    .map(|n| format!("{shown}:{n}: unsafe without SAFETY")),
            );
        }
    }
    let stale = LONG_FILES.iter().filter(|(f, _)| !root().join(f).exists());
    found.extend(stale.map(|(f, _)| format!("{f}: in LONG_FILES and not there")));
    Ok(found)
}

/// Compiled programs among the files that git keeps: tests keep theirs in a folder, and one that is
/// named wrongly is easily taken along.
fn compiled() -> Result<Findings> {
    const KEPT: &[&str] = &["ebpf/audit.bpf.o"];
    let o = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .map_err(|e| format!("git: {e}"))?;
    // An unpacked archive of the sources has no list.
    let listed = String::from_utf8_lossy(&o.stdout);
    let files = listed.split('\0').filter(|f| !KEPT.contains(f));
    let elf = files.filter(|f| {
        let mut first = [0; 4];
        let opened = fs::File::open(root().join(f));
        opened.is_ok_and(|mut f| f.read_exact(&mut first).is_ok()) && first == *b"\x7fELF"
    });
    Ok(elf.map(|f| format!("{f}: compiled")).collect())
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Line numbers of unsafe blocks and impls with no SAFETY comment in the lines before or on them.
fn unexplained_unsafe(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |l: &str| {
        let code = l.split("//").next().unwrap_or_default();
        !is_comment(l) && (code.contains("unsafe {") || code.contains("unsafe impl"))
    };
    let mut bad = Vec::new();
    for (i, line) in lines.iter().enumerate().filter(|(_, l)| begins(l)) {
        // A comment explains the statement below it: look back over its lines.
        let explained = line.contains("SAFETY")
            || lines[..i]
                .iter()
                .rev()
                .take(8)
                .take_while(|l| !l.trim().is_empty())
                .any(|l| l.contains("SAFETY"));
        if !explained {
            bad.push(i + 1);
        }
    }
    bad
}

/// The library as it is built, and with its symbols.
fn library() -> Result<Findings> {
    let mut found = Vec::new();
    let built = build::library("release")?;
    let read_elf = |args: &[&str]| -> Result<String> {
        let o = Command::new(args[0])
            .args(&args[1..])
            .arg(&built)
            .output()
            .map_err(|e| format!("{}: {e}", args[0]))?;
        Ok(String::from_utf8_lossy(&o.stdout).into_owned())
    };
    for line in read_elf(&["readelf", "-dW"])?
        .lines()
        .filter(|l| l.contains("(NEEDED)") || l.contains("(TEXTREL)"))
    {
        found.push(line.trim().to_owned());
    }
    for line in read_elf(&["nm", "-D", "--undefined-only"])?.lines() {
        let mut words = line.split_whitespace();
        let (kind, name) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let name = name.split('@').next().unwrap_or_default();
        if kind != "w" || !WEAK.contains(&name) {
            found.push(format!("undefined: {line}"));
        }
    }
    let symbols = read_elf(&["nm"])?;
    if symbols.lines().count() < 20 {
        found.push("the build has no symbol table to look for panics in".into());
    }
    for line in symbols
        .lines()
        .filter(|l| PANICS.iter().any(|p| l.contains(p)))
    {
        found.push(format!("a way to panic: {line}"));
    }
    Ok(found)
}

/// The text of a file.
pub fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

/// All Rust files of a crate.
pub fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        for entry in fs::read_dir(&d).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "target" {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_wants_a_reason() {
        assert_eq!(
            unexplained_unsafe("// SAFETY: x\nunsafe { a() };\nlet y = 1;\n\nunsafe { b() };"),
            vec![5]
        );
        assert!(unexplained_unsafe("// an unsafe { in a comment").is_empty());
    }
}
