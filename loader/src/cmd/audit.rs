//! `mirror audit`: watches both legs and tells each change that is not a mirrored one.
mod args;
mod decide;
mod hook;
mod layout;
mod live;
mod log;
mod metrics;
mod outputs;
mod pairs;
mod screen;
mod service;
mod summary;
mod terminal;
mod told;
pub mod view;

pub use args::Audit;

use super::Found;
use super::sub::{CommandLine, Sub};
use crate::audit::held::Choice;
use crate::audit::open;
use crate::audit::watch::Watch;
use crate::fail::{Context, Res};
use crate::launch::supervise;
use crate::output;
use crate::signal::Gentle;
use crate::tree::beneath::Root;
use mirror_audit::Tier;
use outputs::Outputs;
use pairs::Pairs;
use rustix::event::{PollFd, PollFlags, poll};
use screen::Wish;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

impl Sub for Audit {
    const NAME: &'static str = "audit";
    fn run(&self, _: CommandLine) -> Res<u8> {
        if self.explain {
            return explain(self);
        }
        if let Some(what) = &self.held {
            return decide::run(self, what);
        }
        run(self)
    }
}

/// What the loop waits for.
struct Waiting {
    signals: Gentle,
    child: Option<(Child, OwnedFd)>,
    ended: Option<ExitStatus>,
    /// Somebody wants the end.
    asked: bool,
}

impl Waiting {
    /// Starts the command, if there is one: mirrored, by another `mirror`.
    fn start(&mut self, a: &Audit, watches: &[Watch]) -> Res<()> {
        let Some(word) = a.command.first() else {
            return Ok(());
        };
        let mut c = Command::new("/proc/self/exe");
        std::os::unix::process::CommandExt::arg0(&mut c, "mirror");
        c.arg("run");
        if a.pair.is_some() {
            for w in watches {
                c.arg("--pair").arg(&w.pair.pair.line.virt);
            }
        }
        c.arg("--").args(&a.command);
        supervise::as_started(&mut c, self.signals.before());
        let child = c.spawn().about(supervise::short(word))?;
        let pid = rustix::process::Pid::from_child(&child);
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .about("the command")?;
        self.child = Some((child, fd));
        Ok(())
    }

    /// Whether it is over; what else signals ask for.
    fn over(&mut self, out: &mut Outputs, watches: &[Watch]) -> Res<bool> {
        while let Some(signal) = self.signals.taken() {
            match (signal, &mut out.live) {
                (libc::SIGUSR1, _) => out.summary(watches),
                (libc::SIGWINCH, Some(l)) => l.resized(),
                (libc::SIGTSTP, Some(l)) => l.stop(),
                (libc::SIGWINCH | libc::SIGTSTP, None) => {}
                (s, _) => self.end_asked(s),
            }
        }
        if let Some((child, _)) = &mut self.child {
            self.ended = child.try_wait().about("the command")?;
        }
        Ok(self.asked || self.ended.is_some())
    }

    /// Somebody wants the end: the command, if there is one, is to end first.
    fn end_asked(&mut self, signal: i32) {
        let Some((child, _)) = &mut self.child else {
            self.asked = true;
            return;
        };
        // ^C reaches the command by the terminal.
        if signal != libc::SIGINT {
            let to = rustix::process::Pid::from_child(child);
            if let Some(s) = rustix::process::Signal::from_named_raw(signal) {
                let _ = rustix::process::kill_process(to, s);
            }
        }
    }

    fn fds<'a>(&'a self, watches: &'a [Watch], keys: bool) -> Vec<BorrowedFd<'a>> {
        let mut all: Vec<BorrowedFd<'a>> = watches.iter().map(|w| w.source.ready()).collect();
        all.push(self.signals.fd());
        all.extend(self.child.as_ref().map(|c| c.1.as_fd()));
        all.extend(keys.then(rustix::stdio::stdin));
        all
    }

    /// Waits for something to happen. Whether keys may have been typed.
    fn wait(&self, watches: &[Watch], until: Instant, keys: bool) -> bool {
        let fds = self.fds(watches, keys);
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up: what is due is due then.
        let millis = i64::try_from(left.as_millis()).unwrap_or(i64::MAX) + 1;
        let timeout = rustix::fs::Timespec {
            tv_sec: millis / 1000,
            tv_nsec: (millis % 1000) * 1_000_000,
        };
        let _ = poll(&mut polled, Some(&timeout));
        keys && polled.last().is_some_and(|p| !p.revents().is_empty())
    }
}

/// Runs it.
pub fn run(a: &Audit) -> Res<u8> {
    let also: &[i32] = match (a.summary, outputs::drawn(a)) {
        (true, _) => &[libc::SIGUSR1],
        (_, true) => &[libc::SIGWINCH, libc::SIGTSTP],
        _ => &[],
    };
    let mut waiting = Waiting {
        signals: Gentle::begin(also).about("signals")?,
        child: None,
        ended: None,
        asked: false,
    };
    let mut out = Outputs::open(a, &waiting.signals)?;
    let mut pairs = Pairs::begin(a)?;
    out.start(a, &pairs.watches)?;
    waiting.start(a, &pairs.watches)?;
    while !waiting.over(&mut out, &pairs.watches)? {
        pairs.turn(&mut out);
        if pairs.lost() {
            break;
        }
        let soon = pairs.watches.iter().filter_map(Watch::next).min();
        let until = [Some(pairs.next()), soon, out.next()];
        let until = until
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(Instant::now);
        let typed = waiting.wait(&pairs.watches, until, out.listens());
        for (at, w) in pairs.watches.iter_mut().enumerate() {
            turn(at, w, &mut out)?;
        }
        if typed && let Some(l) = &mut out.live {
            let wishes = l.keys();
            for wish in wishes {
                waiting.asked |= wish == Wish::Quit;
                granted(wish, &pairs.watches, &mut out);
            }
        }
        out.turn(&pairs.watches);
    }
    // A second signal ends it at once.
    waiting.signals.end();
    out.ends();
    finish(a, out, &mut pairs, &mut waiting)
}

/// What somebody at the terminal decided about what is held.
fn granted(wish: Wish, watches: &[Watch], out: &mut Outputs) {
    let choice = match wish {
        Wish::Quit => return,
        Wish::Restore => Choice::Restore,
        Wish::Carry => Choice::Carry,
    };
    let mut said = vec![];
    for w in watches.iter().filter(|w| !w.held().is_empty()) {
        said.push(match w.decide(choice) {
            Ok(d) => decide::sentence(&w.pair.pair, choice, d),
            Err(e) => e.text,
        });
    }
    if let Some(l) = &mut out.live {
        l.say(said.join("   "));
        l.look_soon();
    }
}

/// Takes and judges what there is.
fn turn(at: usize, w: &mut Watch, out: &mut Outputs) -> Res<()> {
    let lost = w.counts.lost;
    w.read().about("the source of events")?;
    if w.counts.lost > lost {
        out.lost(at, w);
    }
    if w.next().is_some_and(|t| t <= Instant::now()) {
        let found = w.judge(false)?;
        out.findings(at, w, &found);
    }
    Ok(())
}

fn finish(a: &Audit, mut out: Outputs, pairs: &mut Pairs, waiting: &mut Waiting) -> Res<u8> {
    let mut code = pairs.code;
    let mut failed = None;
    for (at, w) in pairs.watches.iter_mut().enumerate() {
        let before = w.counts.lost;
        if let Some(leg) = w.gone {
            let f = w.vanished(leg);
            out.gone(w, leg, &f.text);
            failed = Some(f);
        } else {
            match w.end() {
                Ok(found) => out.findings(at, w, &found),
                // The others are ended all the same.
                Err(f) => failed = Some(f),
            }
        }
        if w.counts.lost > before {
            out.lost(at, w);
        }
        out.end(at, w, a.json);
        code = pairs::code(code, w.counts);
    }
    out.close();
    if let Some(mut child) = waiting.child.take().filter(|_| waiting.ended.is_none()) {
        waiting.ended = child.0.wait().ok();
    }
    if let Some(f) = failed {
        return Err(f);
    }
    match waiting.ended.take() {
        Some(status) if !status.success() => Ok(supervise::end_like(status)),
        _ => Ok(code),
    }
}

/// Which tiers there are, and what each does not see.
fn explain(a: &Audit) -> Res<u8> {
    let place = match super::each(a.pair.as_slice(), false) {
        Ok(found) => found.into_iter().find_map(|f| match f {
            Found::Pair(p) => p.legs.a.root.again().ok(),
            Found::Lost(_) => None,
        }),
        Err(e) if a.pair.is_some() => return Err(e),
        Err(_) => None,
    };
    let root = match place {
        Some(r) => r,
        None => Root::open(&std::env::temp_dir()).about("a folder to try in")?,
    };
    for (tier, tried) in open::tiers(&root, Tier::parse(&a.tier)) {
        match tried {
            Ok(source) => {
                let how = match tier {
                    Tier::T1 => ": with --tier t1",
                    _ => "",
                };
                output::say!("{}   can be used{how}", tier.title());
                for b in source.blind() {
                    output::say!("    does not see: {b}");
                }
            }
            Err(e) => output::say!("{}   cannot be used: {}", tier.title(), e.text),
        }
    }
    output::say!(
        "T3 and T4 see both legs, not which changes belong together: a path at which something happened is\n\
         compared on both legs, what differs again while no mirrored program can change it. What is equal then\n\
         is no finding, also if it was changed and changed back."
    );
    Ok(0)
}
