//! `--install`: the Debian packages of the programs that the suites use.
use crate::Result;
use std::process::Command;

/// A file that tells whether the package is there, and the package.
const NEEDED: &[(&str, &str)] = &[
    ("/usr/bin/strace", "strace"),
    ("/usr/bin/rsync", "rsync"),
    ("/usr/bin/dash", "dash"),
    ("/usr/bin/gawk", "gawk"),
    ("/usr/bin/perl", "perl"),
    ("/usr/bin/setfattr", "attr"),
    ("/usr/bin/setfacl", "acl"),
    ("/usr/bin/sqlite3", "sqlite3"),
    ("/usr/bin/vim", "vim"),
    ("/usr/bin/patch", "patch"),
    ("/usr/bin/make", "make"),
    ("/usr/bin/gcc", "gcc"),
    ("/usr/bin/g++", "g++"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/zsh", "zsh"),
    ("/usr/bin/fish", "fish"),
    ("/usr/bin/groff", "groff-base"),
    ("/usr/bin/objcopy", "binutils"),
    ("/usr/bin/pgrep", "procps"),
    ("/usr/bin/man", "man-db"),
    ("/usr/bin/python3", "python3"),
    ("/usr/bin/xxd", "xxd"),
    ("/usr/bin/flock", "util-linux"),
    ("/usr/bin/fakeroot", "fakeroot"),
    ("/usr/bin/fakechroot", "fakechroot"),
    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libeatmydata.so", "libeatmydata1"),
    (
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "libfaketime",
    ),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    ("/usr/sbin/mkfs.xfs", "xfsprogs"),
    ("/usr/sbin/mkfs.btrfs", "btrfs-progs"),
    (
        "/usr/lib/python3.11/test/test_shutil.py",
        "libpython3.11-testsuite",
    ),
];

/// Installs what is missing, one package at a time: one that cannot be had costs its tests only
/// (they are then named as skipped). Needs root.
pub fn install() -> Result<()> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(file, _)| !std::path::Path::new(file).exists())
        .map(|(_, p)| *p)
        .collect();
    packages(&missing);
    outside();
    Ok(())
}

/// An outside suite, where the suite of that name looks for it. Whoever cannot have it has that test skipped.
fn outside() {
    const SUITE: &str = "pjdfstest";
    let root = crate::target().join("outside");
    if root.join("bin").join(SUITE).exists() {
        return;
    }
    println!("installing: {SUITE}");
    let mut c = crate::build::cargo();
    c.args(["install", "--quiet", "--locked", "--version", "0.2.2"]);
    let done = c.arg(SUITE).arg("--root").arg(&root).status();
    if !done.is_ok_and(|s| s.success()) {
        eprintln!("xtask: {SUITE} cannot be had");
    }
}

/// Installs packages, with a word about those that cannot be had.
pub fn packages(missing: &[&str]) {
    if missing.is_empty() {
        return;
    }
    if !mirror_tests::is_root() {
        eprintln!(
            "xtask: --install needs root; not installed: {}",
            missing.join(" ")
        );
        return;
    }
    println!("installing: {}", missing.join(" "));
    let apt = |args: &[&str]| {
        let mut c = Command::new("apt-get");
        // Another installation may be under way: wait for its end.
        c.args([
            "-qq",
            "-o",
            "Dpkg::Use-Pty=0",
            "-o",
            "DPkg::Lock::Timeout=300",
        ])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive");
        c.stdout(std::process::Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    if !apt(&["update"]) {
        eprintln!("xtask: apt-get update failed; trying with the lists that are there");
    }
    for package in missing {
        if !apt(&["install", "-y", "--no-install-recommends", package]) {
            eprintln!("xtask: could not install {package}: its tests will be skipped by name");
        }
    }
}
