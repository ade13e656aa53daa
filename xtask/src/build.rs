//! `cargo xtask build`: the three files that make the product.
use crate::{Result, dist, root, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library is compiled apart, with flags that the command does not need (shim/BUILD.md): no
/// calls of memcpy's like made out of loops, unwind tables (static CFI), no vector registers, and little
/// inlined: it is mapped into every program.
pub const SHIM_FLAGS: &str = "-C opt-level=2 -C llvm-args=-inline-threshold=40 -C llvm-args=-disable-loop-idiom-all -C force-unwind-tables=yes -C no-vectorize-loops -C no-vectorize-slp -C relocation-model=pic";

/// cargo, as this tool was started by it.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command that may print; `Err` when it fails.
pub fn run(c: &mut Command) -> Result<()> {
    let status = c.status().map_err(|e| format!("{c:?}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{c:?}: {status}"))
    }
}

/// Builds all three and returns the folder they are in.
pub fn build() -> Result<PathBuf> {
    let dist = dist();
    fs::create_dir_all(&dist).map_err(|e| format!("{}: {e}", dist.display()))?;
    run(cargo().args(["build", "--quiet", "--release", "-p", "mirror-loader"]))?;
    stripped(&target().join("release/mirror"), &dist.join("mirror"))?;
    stripped(&library("release")?, &dist.join("libmirror.so"))?;
    let wrapper = root().join("loader/mirror-run");
    if wrapper.exists() {
        install(&wrapper, &dist.join("mirror-run"), 0o755)?;
    } else {
        eprintln!(
            "xtask: loader/mirror-run is not written yet: no mirror-run in {}",
            dist.display()
        );
    }
    manual(&dist)?;
    Ok(dist)
}

/// The manual pages, written by the command from its own definition.
fn manual(dist: &Path) -> Result<()> {
    let mut c = Command::new(dist.join("mirror"));
    run(c
        .args(["man", "--out"])
        .arg(dist.join("man"))
        .stdout(std::process::Stdio::null()))
}

/// Builds the library with its own flags and target directory; returns the file.
pub fn library(profile: &str) -> Result<PathBuf> {
    let dir = target().join("shim");
    let mut c = cargo();
    c.args([
        "build",
        "--quiet",
        "--profile",
        profile,
        "-p",
        "mirror-shim",
        "--target-dir",
    ])
    .arg(&dir);
    run(c
        .env("RUSTFLAGS", SHIM_FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(dir.join(profile).join("libmirror.so"))
}

/// The program without its symbols; these go into `.debug` beside it, where gdb looks for them.
fn stripped(from: &Path, to: &Path) -> Result<()> {
    let name = to.file_name().expect("a file").to_string_lossy();
    let folder = to.with_file_name(".debug");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let debug = folder.join(format!("{name}.debug"));
    let bare = folder.join(format!("{name}.bare"));
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([from, &debug]))?;
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run(Command::new("objcopy")
        .arg("--strip-all")
        .arg(link)
        .args([from, &bare]))?;
    install(&bare, to, 0o755)?;
    fs::remove_file(&bare).map_err(|e| format!("{}: {e}", bare.display()))
}

/// A copy put in place by rename: running programs keep the library that they have mapped.
fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let new = to.with_extension("new");
    let step = |e: std::io::Error| format!("{} -> {}: {e}", from.display(), to.display());
    fs::copy(from, &new).map_err(step)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).map_err(step)?;
    fs::rename(&new, to).map_err(step)
}
