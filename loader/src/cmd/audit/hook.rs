//! `--exec`: a command for each finding. What it is about stands in its environment and never in its words, so
//! no name can become a command. One runs at a time; what comes meanwhile waits, and what does not fit is
//! counted and told to the next one.
use super::log::Fields;
use super::service;
use crate::launch::supervise;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Events that wait.
const QUEUE: usize = 100;
/// Commands are started no faster than this.
const PACE: Duration = Duration::from_millis(20);
/// How long those that wait may still be run when the audit ends.
const LAST: Duration = Duration::from_secs(10);

/// The command, and what waits for it.
pub struct Hook {
    command: OsString,
    mask: libc::sigset_t,
    /// The terminal is drawn on.
    quiet: bool,
    queue: VecDeque<Fields>,
    skipped: u64,
    running: Option<Child>,
    next: Instant,
    /// What went wrong the first time.
    trouble: Option<String>,
    told: bool,
}

impl Hook {
    /// Nothing has happened yet.
    pub fn new(command: &OsStr, mask: libc::sigset_t, quiet: bool) -> Hook {
        Hook {
            command: command.into(),
            mask,
            quiet,
            queue: VecDeque::new(),
            skipped: 0,
            running: None,
            next: Instant::now(),
            trouble: None,
            told: false,
        }
    }

    /// Something to tell.
    pub fn add(&mut self, fields: Fields) {
        match self.queue.len() < QUEUE {
            true => self.queue.push_back(fields),
            false => self.skipped += 1,
        }
    }

    /// Goes on. What went wrong, once.
    pub fn turn(&mut self) -> Option<String> {
        if let Some(child) = &mut self.running {
            match child.try_wait() {
                Ok(None) => return None,
                Ok(Some(s)) if !s.success() => self.fault(format!("--exec: {s}")),
                Ok(Some(_)) => {}
                Err(e) => self.fault(format!("--exec: {}", crate::fail::reason(&e))),
            }
            self.running = None;
        }
        if self.next <= Instant::now()
            && let Some(fields) = self.queue.pop_front()
        {
            self.start(fields);
        }
        self.trouble.take()
    }

    fn fault(&mut self, what: String) {
        if !std::mem::replace(&mut self.told, true) {
            self.trouble = Some(what);
        }
    }

    fn start(&mut self, fields: Fields) {
        let mut c = Command::new("/bin/sh");
        c.arg("-c").arg(&self.command).stdin(Stdio::null());
        for (name, value) in &fields {
            // A path has no zero byte, and nothing else has one either.
            c.env(name, OsStr::from_bytes(value));
        }
        c.env("MIRROR_SKIPPED", self.skipped.to_string());
        c.env_remove(service::SOCKET);
        // Standard output is the audit's.
        let out = rustix::stdio::stderr();
        match rustix::io::fcntl_dupfd_cloexec(out, 3) {
            Ok(fd) if !self.quiet => _ = c.stdout::<OwnedFd>(fd),
            _ => _ = c.stdout(Stdio::null()),
        }
        if self.quiet {
            c.stderr(Stdio::null());
        }
        supervise::as_started(&mut c, self.mask);
        self.next = Instant::now() + PACE;
        match c.spawn() {
            Ok(child) => {
                self.skipped = 0;
                self.running = Some(child);
            }
            Err(e) => self.fault(format!("--exec: {}", crate::fail::reason(&e))),
        }
    }

    /// When to come again.
    pub fn next(&self) -> Option<Instant> {
        match &self.running {
            // It is asked whether it has ended.
            Some(_) => Some(Instant::now() + PACE),
            None => (!self.queue.is_empty()).then_some(self.next),
        }
    }

    /// The audit is over: those that wait are run, for a while. How many were not.
    pub fn end(&mut self) -> u64 {
        let until = Instant::now() + LAST;
        while (self.running.is_some() || !self.queue.is_empty()) && Instant::now() < until {
            self.turn();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.skipped + self.queue.len() as u64
    }
}
