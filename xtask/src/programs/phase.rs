//! One command of a trial: a time limit, its output, and the end of everything that it started.
use crate::process::{End, Watched};
use crate::{Result, interrupt};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How a command ended.
pub struct Ended {
    /// Exit code, 128 + signal, or 137 after the time limit.
    pub code: i32,
    /// Everything it said.
    pub text: String,
    /// Processes that were still there and have been ended.
    pub left: Vec<String>,
}

/// Runs a command to its end. What it leaves is ended: this process adopts the orphans of its children.
pub fn run(c: &mut Command, log: &Path, limit: u64) -> Result<Ended> {
    // SAFETY: a flag of this process, no memory involved.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let limit = Duration::from_secs(limit);
    let mut process = Watched::start(c, log, limit).map_err(|e| format!("{c:?}: {e}"))?;
    let end = loop {
        if let Some(end) = process.poll() {
            break Some(end);
        }
        reap(process.id());
        if interrupt::interrupted() {
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let struck = !matches!(end, Some(End::Exit { .. }));
    if struck {
        process.kill_group();
    }
    let left = end_descendants(struck);
    interrupt::check()?;
    let mut text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let code = match end {
        Some(End::Exit { code, .. }) => code,
        _ => {
            text.push_str(&format!("\n(killed after {} s)", limit.as_secs()));
            137
        }
    };
    Ok(Ended {
        code,
        text,
        left: if struck { Vec::new() } else { left },
    })
}

/// Ends what descends from this process, after it had a moment to end by itself; its command lines.
fn end_descendants(at_once: bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for round in 0..400 {
        reap(0);
        let alive = descendants();
        if alive.is_empty() {
            break;
        }
        if at_once || round >= 100 {
            for (pid, command) in alive {
                if !found.contains(&command) {
                    found.push(command);
                }
                // SAFETY: kill has no memory effects; the process descends from this one.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    found
}

/// Takes the ends of adopted children, as init would; that of `but` is somebody else's.
fn reap(but: i32) {
    let me = std::process::id().cast_signed();
    for p in processes() {
        if p.parent == me && p.dead && p.pid != but {
            // SAFETY: waitpid may be given no place for the status.
            unsafe { libc::waitpid(p.pid, std::ptr::null_mut(), libc::WNOHANG) };
        }
    }
}

struct Process {
    pid: i32,
    parent: i32,
    dead: bool,
}

fn processes() -> Vec<Process> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `pid (name) state parent …`; the name may hold anything.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let dead = fields.next() == Some("Z");
        if let Some(parent) = fields.next().and_then(|p| p.parse().ok()) {
            all.push(Process { pid, parent, dead });
        }
    }
    all
}

/// The processes that descend from this one, without the dead.
fn descendants() -> Vec<(i32, String)> {
    let all = processes();
    let mut mine = vec![std::process::id().cast_signed()];
    let mut next = 0;
    while let Some(&parent) = mine.get(next) {
        let children = all.iter().filter(|p| p.parent == parent && !p.dead);
        mine.extend(children.map(|p| p.pid));
        next += 1;
    }
    let command = |pid: &i32| {
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .replace('\0', " ")
            .trim()
            .to_owned()
    };
    mine[1..].iter().map(|pid| (*pid, command(pid))).collect()
}
