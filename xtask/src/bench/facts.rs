//! Facts about the machine and the programs that a figure depends on.
use super::results::Machine;
use crate::root;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The machine, and its load before the run.
pub fn machine(file_system: String) -> Machine {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|l| l.starts_with(name));
        let value = line.and_then(|l| l.split_once(':'));
        value.map_or_else(String::new, |(_, v)| v.trim().to_owned())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        cpu: field("model name"),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
        memory: meminfo("MemTotal"),
        kernel: kernel.trim().to_owned(),
        virtual_machine: field("flags").split(' ').any(|f| f == "hypervisor"),
        file_system,
        load: [load(), f64::NAN],
    }
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|w| w.parse().ok());
    first.unwrap_or(f64::NAN)
}

fn meminfo(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(name));
    let kib = line
        .and_then(|l| l.split_whitespace().nth(1))
        .and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Bytes of memory that could be had now.
pub fn available_memory() -> u64 {
    meminfo("MemAvailable")
}

/// The type of the file system that a directory lies on.
pub fn file_system_of(dir: &Path) -> String {
    let args = ["-n", "-o", "FSTYPE", "-T"];
    first_line(Command::new("findmnt").args(args).arg(dir)).unwrap_or_else(|| "unknown".into())
}

/// Now, in ISO 8601.
pub fn now() -> String {
    first_line(Command::new("date").args(["-u", "+%FT%TZ"])).unwrap_or_default()
}

/// Versions of what was built and of what it was built with.
pub fn versions() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, version: Option<String>| {
        if let Some(v) = version {
            all.insert(name.to_owned(), v);
        }
    };
    add("mirror", Some(revision()));
    add("rustc", first_line(Command::new("rustc").arg("--version")));
    add("libc", first_line(Command::new("ldd").arg("--version")));
    add("cc", first_line(Command::new("cc").arg("--version")));
    add("git", first_line(Command::new("git").arg("--version")));
    all
}

/// The version and the commit of this repository; `+` when files were changed.
fn revision() -> String {
    let git = |args: &[&str]| first_line(Command::new("git").arg("-C").arg(root()).args(args));
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "no commit".into());
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    let mark = if changed { "+" } else { "" };
    format!("{} ({commit}{mark})", env!("CARGO_PKG_VERSION"))
}

/// The first line that a command prints, if it succeeds and prints any.
pub fn first_line(c: &mut Command) -> Option<String> {
    let o = c.output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8_lossy(&o.stdout).into_owned();
    text.lines().next().map(|l| l.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_something() {
        let m = machine("x".into());
        assert!(m.cores >= 1 && m.memory > 1 << 20 && !m.kernel.is_empty());
        assert!(now().ends_with('Z') && now().len() == 20, "{}", now());
        assert!(revision().starts_with(env!("CARGO_PKG_VERSION")));
    }
}
