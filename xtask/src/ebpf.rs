//! `cargo xtask ebpf`: the kernel's half of the audit. Its object lies in the repository, so that no build
//! needs clang; tidy checks that it is the one of its source.
use crate::tidy::Findings;
use crate::{Result, root, target};
use std::path::Path;
use std::process::Command;

/// The compiler whose object is committed: Debian's package `clang-14`, and what it calls itself.
const CLANG: &str = "clang-14";
const VERSION: &str = "14.0.6";
/// Takes out what the kernel does not read; of the package `llvm-14`.
const STRIP: &str = "llvm-strip-14";

const OBJECT: &str = "ebpf/audit.bpf.o";
/// One line each: the sum of the sources, and of the object.
const SUMS: &str = "ebpf/audit.bpf.sums";
const SOURCES: &[&str] = &[
    "ebpf/audit.bpf.c",
    "ebpf/began.h",
    "ebpf/calls.h",
    "ebpf/helpers.h",
    "ebpf/hooks.h",
    "ebpf/kernel.h",
    "ebpf/layout.h",
    "ebpf/open.h",
    "ebpf/pairs.h",
];

/// Builds the object and its sums.
pub fn ebpf() -> Result<bool> {
    if !has_compiler() {
        return Err(format!(
            "{CLANG} {VERSION} is not here: apt-get install --no-install-recommends clang-14 llvm-14"
        ));
    }
    compile(&root().join(OBJECT))?;
    std::fs::write(root().join(SUMS), sums()?).map_err(|e| format!("{SUMS}: {e}"))?;
    Ok(true)
}

/// For tidy: the committed object is that of its source.
pub fn check() -> Result<Findings> {
    let kept = crate::tidy::read(&root().join(SUMS))?;
    if kept != sums()? {
        return Ok(vec![format!(
            "{OBJECT} is not the object of its source: cargo xtask ebpf"
        )]);
    }
    if !has_compiler() {
        println!("skip  {OBJECT} is not compiled again: no {CLANG} {VERSION}");
        return Ok(Vec::new());
    }
    let again = target().join("audit.bpf.o");
    compile(&again)?;
    let same = bytes(&again)? == bytes(&root().join(OBJECT))?;
    Ok(if same {
        Vec::new()
    } else {
        vec![format!("{CLANG} makes another {OBJECT} of its source")]
    })
}

fn has_compiler() -> bool {
    let has = |tool| {
        Command::new(tool)
            .arg("--version")
            .output()
            .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains(VERSION))
    };
    has(CLANG) && has(STRIP)
}

fn compile(to: &Path) -> Result<()> {
    let map = format!("-ffile-prefix-map={}=.", root().display());
    run(Command::new(CLANG)
        .args([
            "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror",
        ])
        .args(["-Wno-unused-function", &map, "-c", "ebpf/audit.bpf.c", "-o"])
        .arg(to))?;
    run(Command::new(STRIP).arg("-g").arg(to))
}

fn run(c: &mut Command) -> Result<()> {
    let o = c
        .current_dir(root())
        .output()
        .map_err(|e| format!("{c:?}: {e}"))?;
    o.status
        .success()
        .then_some(())
        .ok_or_else(|| String::from_utf8_lossy(&o.stderr).into_owned())
}

fn sums() -> Result<String> {
    let mut sources = Vec::new();
    for s in SOURCES {
        sources.extend(bytes(&root().join(s))?);
    }
    let object = bytes(&root().join(OBJECT))?;
    Ok(format!(
        "source {:016x}\nobject {:016x}\n",
        sum(&sources),
        sum(&object)
    ))
}

fn bytes(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))
}

/// FNV-1a: it is to find a forgotten build, nobody's forgery.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
    })
}
