//! What the programs need: what is missing, and `--install`.
use super::case::Case;
use crate::{Result, build, install};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The account of the runs as an ordinary user, when this tool runs as root.
pub const ORDINARY: &str = "nobody";

/// Where `--install` puts what does not come from Debian.
fn own() -> PathBuf {
    crate::target().join("programs")
}

/// The directories in which programs are looked for.
pub fn path() -> String {
    let mut path = format!(
        "{0}/node/node_modules/.bin:{1}:{0}/python/bin",
        own().display(),
        mirror_tests::PATH
    );
    // Rust's tools lie in a home directory.
    if let Some(dir) = std::env::var_os("CARGO")
        .and_then(|c| PathBuf::from(c).parent().map(|p| p.display().to_string()))
    {
        path = format!("{path}:{dir}");
    }
    path
}

/// The interpreter with the modules that `--install` got.
pub fn python() -> PathBuf {
    let own = own().join("python/bin/python3");
    if own.exists() {
        own
    } else {
        PathBuf::from("/usr/bin/python3")
    }
}

/// Why a case cannot run as this user.
pub fn missing(case: &Case, user: &str) -> Option<String> {
    if user != "ordinary" && !mirror_tests::is_root() {
        return Some("needs root".into());
    }
    if account(user).is_none() {
        return Some(format!("no account {user}"));
    }
    let there = |need: &str| {
        if let Some(module) = need.strip_prefix("python:") {
            let mut c = Command::new(python());
            c.args(["-c", &format!("import {module}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            return c.status().is_ok_and(|s| s.success());
        }
        path()
            .split(':')
            .any(|d| std::path::Path::new(d).join(need).exists())
    };
    let missing: Vec<&str> = case
        .needs
        .iter()
        .map(String::as_str)
        .filter(|n| !there(n))
        .collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(" ")))
}

/// The numbers of an account; those of this process for `ordinary` when it is one already.
pub fn account(user: &str) -> Option<(u32, u32)> {
    if user == "ordinary" && !mirror_tests::is_root() {
        // SAFETY: both have no arguments and cannot fail.
        return Some(unsafe { (libc::geteuid(), libc::getegid()) });
    }
    let name = if user == "ordinary" { ORDINARY } else { user };
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = accounts
        .lines()
        .find(|l| l.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Gets what is missing: packages from Debian, Python modules and node packages into `target/programs`.
pub fn install(cases: &[Case]) -> Result<()> {
    let lacking: Vec<&Case> = cases
        .iter()
        .filter(|c| missing(c, "ordinary").is_some_and(|w| w.starts_with("not installed")))
        .collect();
    let of = |list: fn(&Case) -> &Vec<String>| {
        let mut all: Vec<&str> = lacking
            .iter()
            .flat_map(|c| list(c))
            .map(String::as_str)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    install::packages(&of(|c| &c.packages));
    let (pip, npm) = (of(|c| &c.pip), of(|c| &c.npm));
    let try_to = |c: &mut Command| {
        if let Err(e) = build::run(c) {
            eprintln!("xtask: {e}: what needs it will be skipped by name");
        }
    };
    if !pip.is_empty() {
        let venv = own().join("python");
        if !venv.exists() {
            try_to(
                Command::new("/usr/bin/python3")
                    .args(["-m", "venv"])
                    .arg(&venv),
            );
        }
        try_to(
            Command::new(venv.join("bin/pip"))
                .args(["install", "--quiet"])
                .args(pip),
        );
    }
    if !npm.is_empty() {
        try_to(
            Command::new("npm")
                .args(["install", "--silent", "--prefix"])
                .arg(own().join("node"))
                .args(npm),
        );
    }
    Ok(())
}
