//! `mirror audit`: watches both legs and tells each change that is not a mirrored one.
use super::audit_view::{View, way_out};
use super::sub::{CommandLine, Sub};
use super::{Found, look};
use crate::audit::open;
use crate::audit::watch::{Ask, Watch};
use crate::fail::{Context, Fail, Kind, Res};
use crate::launch::supervise;
use crate::output;
use crate::signal::Gentle;
use crate::text;
use crate::tree::beneath::Root;
use clap::Args;
use mirror_audit::Tier;
use rustix::event::{PollFd, PollFlags, poll};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Watch both legs: tell each change that did not go through the mirror
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, 3 changes that were not mirrored, 4 events were lost (whatever else was found); with a COMMAND its own if that is not 0."
)]
pub struct Audit {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// What to watch with: t1 and t2 eBPF, t3 fanotify, t4 inotify (default: the best that is possible)
    #[arg(long, value_name = "TIER", value_parser = ["auto", "t1", "t2", "t3", "t4"], default_value = "auto")]
    pub tier: String,
    /// Carry changes of leg a to leg b, and undo those of leg b; what b loses is kept aside
    #[arg(long)]
    pub heal: bool,
    /// With --heal: hold what removes more than so many objects at once
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub brake: u64,
    /// Machine-readable output: a line for each event
    #[arg(long)]
    pub json: bool,
    /// Say which ways of watching this machine allows, and what each does not see
    #[arg(long)]
    pub explain: bool,
    /// Run this command mirrored, and audit for as long as it runs
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl Sub for Audit {
    const NAME: &'static str = "audit";
    fn run(&self, _: CommandLine) -> Res<u8> {
        if self.explain {
            return explain(self);
        }
        run(self)
    }
}

/// How often a leg's root is looked at.
const ROOTS: Duration = Duration::from_secs(2);

fn pairs(a: &Audit) -> Res<Vec<Watch>> {
    let ask = Ask {
        tier: Tier::parse(&a.tier),
        heal: a.heal,
        brake: a.brake,
    };
    let mut all = vec![];
    for found in super::each(a.pair.as_slice(), true)? {
        match found {
            Found::Pair(p) if p.incomplete().is_some() => {
                let v = text::shell(&p.line.virt);
                return Err(Fail::new(
                    Kind::Leg,
                    format!("{v}: its first copy has not finished. mirror resync {v}"),
                ));
            }
            Found::Pair(p) => all.push(Watch::open(*p, ask)?),
            Found::Lost(k) => {
                return Err(Fail::new(Kind::Leg, k.instead(k.sentence())));
            }
        }
    }
    Ok(all)
}

/// What the loop waits for.
struct Waiting {
    signals: Gentle,
    child: Option<(Child, OwnedFd)>,
    ended: Option<ExitStatus>,
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

    /// Whether it is over.
    fn over(&mut self) -> Res<bool> {
        let signal = self.signals.taken();
        let Some((child, _)) = &mut self.child else {
            return Ok(signal.is_some());
        };
        if let Some(s) = signal.filter(|s| *s != libc::SIGINT) {
            // ^C reaches the command by the terminal.
            let to = rustix::process::Pid::from_child(child);
            if let Some(s) = rustix::process::Signal::from_named_raw(s) {
                let _ = rustix::process::kill_process(to, s);
            }
        }
        self.ended = child.try_wait().about("the command")?;
        Ok(self.ended.is_some())
    }

    fn fds<'a>(&'a self, watches: &'a [Watch]) -> Vec<BorrowedFd<'a>> {
        let mut all: Vec<BorrowedFd<'a>> = watches.iter().map(|w| w.source.ready()).collect();
        all.push(self.signals.fd());
        all.extend(self.child.as_ref().map(|c| c.1.as_fd()));
        all
    }

    fn wait(&self, watches: &[Watch], until: Instant) {
        let fds = self.fds(watches);
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
    }
}

/// Runs it.
pub fn run(a: &Audit) -> Res<u8> {
    let view = View {
        json: a.json,
        aside: !a.command.is_empty(),
    };
    let mut waiting = Waiting {
        signals: Gentle::begin().about("signals")?,
        child: None,
        ended: None,
    };
    let mut watches = pairs(a)?;
    for w in &watches {
        let state = look::look(&w.pair.pair.line).state.word();
        view.start(w, state, a.heal);
    }
    waiting.start(a, &watches)?;
    let mut lost_root = false;
    let mut roots = Instant::now();
    while !waiting.over()? && !lost_root {
        let soon = watches.iter().filter_map(Watch::next).min();
        let until = roots + ROOTS;
        waiting.wait(&watches, soon.map_or(until, |s| s.min(until)));
        for w in &mut watches {
            turn(w, view)?;
            lost_root |= w.gone.is_some();
        }
        if roots + ROOTS <= Instant::now() {
            roots = Instant::now();
            for w in &mut watches {
                w.look_at_roots();
                lost_root |= w.gone.is_some();
            }
        }
    }
    // A second signal ends it at once.
    waiting.signals.end();
    finish(a, view, &mut watches, &mut waiting)
}

/// Takes and judges what there is.
fn turn(w: &mut Watch, view: View) -> Res<()> {
    let lost = w.counts.lost;
    w.read().about("the source of events")?;
    if w.counts.lost > lost {
        view.lost(w);
    }
    if w.next().is_some_and(|t| t <= Instant::now()) {
        let found = w.judge(false)?;
        view.findings(w, &found);
    }
    Ok(())
}

fn finish(a: &Audit, view: View, watches: &mut [Watch], waiting: &mut Waiting) -> Res<u8> {
    let mut code = 0;
    let mut failed = None;
    for w in watches {
        let before = w.counts.lost;
        if let Some(leg) = w.gone {
            failed = Some(w.vanished(leg));
        } else {
            let found = w.end()?;
            view.findings(w, &found);
        }
        if w.counts.lost > before {
            view.lost(w);
        }
        view.end(w);
        if w.counts.left > 0 && !a.json {
            output::note!("{}", way_out(&w.pair.pair, w.counts.held > 0));
        }
        code = match code {
            // There may be more than what was found.
            _ if w.counts.lost > 0 => 4,
            0 if w.counts.unmirrored > 0 => 3,
            c => c,
        };
    }
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
            Found::Pair(p) => p.legs[0].root.again().ok(),
            Found::Lost(_) => None,
        }),
        Err(e) if a.pair.is_some() => return Err(e),
        Err(_) => None,
    };
    let root = match place {
        Some(r) => r,
        None => Root::open(&std::env::temp_dir()).about("a folder to try in")?,
    };
    for (tier, tried) in open::tiers(&root) {
        match tried {
            Ok(source) => {
                output::say!("{}   can be used", tier.title());
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
