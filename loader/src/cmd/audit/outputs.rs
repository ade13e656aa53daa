//! All that an audit is told to: lines, JSON or the live view, and a log, metrics, a command, a service manager.
use super::args::Audit;
use super::hook::Hook;
use super::live::Live;
use super::log::{self, Event, Log};
use super::metrics::{self, Metrics};
use super::service::Service;
use super::summary::Summary;
use super::terminal;
use super::told::told;
use super::view::{View, way_out};
use crate::audit::finding::Finding;
use crate::audit::watch::Watch;
use crate::cmd::look;
use crate::fail::Res;
use crate::output;
use crate::signal::Gentle;
use crate::text;
use mirror_core::Leg;
use std::time::{Duration, Instant};

/// Where it all goes.
pub struct Outputs {
    view: View,
    /// The live view, if there is one.
    pub live: Option<Live>,
    /// By pair, if no line is wanted for each finding.
    summaries: Option<Vec<Summary>>,
    hook: Option<Hook>,
    metrics: Option<Metrics>,
    log: Option<Log>,
    service: Service,
    heal: bool,
    json: bool,
}

/// Whether the audit is drawn on the terminal.
pub fn drawn(a: &Audit) -> bool {
    a.command.is_empty() && !a.json && !a.plain && !a.summary && terminal::usable()
}

/// How long after their changes findings were judged: the longest.
fn lag(found: &[Finding]) -> Option<Duration> {
    let now = crate::audit::source::now();
    let first = found.iter().map(|f| f.time).min()?;
    Some(Duration::from_nanos(now.saturating_sub(first)))
}

impl Outputs {
    /// What was asked for: what cannot be had ends the audit before it begins.
    pub fn open(a: &Audit, signals: &Gentle) -> Res<Outputs> {
        let log = a.log.as_deref().map(Log::open).transpose()?;
        let metrics = a.metrics.as_deref().map(metrics::open).transpose()?;
        if let Some(at) = metrics.as_ref().and_then(|m| m.address)
            && !drawn(a)
        {
            output::note!("mirror: audit: metrics at http://{at}/metrics");
        }
        let hook = |c| Hook::new(c, signals.before(), drawn(a));
        Ok(Outputs {
            view: View {
                json: a.json,
                aside: !a.command.is_empty(),
                // A log has its lines already.
                still: log.is_some() && !a.json,
            },
            live: None,
            summaries: a.summary.then(Vec::new),
            hook: a.exec.as_deref().map(hook),
            metrics,
            log,
            service: Service::of_environment(),
            heal: a.heal,
            json: a.json,
        })
    }

    /// It has begun.
    pub fn start(&mut self, a: &Audit, watches: &[Watch]) -> Res<()> {
        if let Some(m) = &mut self.metrics {
            for (at, w) in watches.iter().enumerate() {
                m.update(at, w, &[], None);
            }
            m.turn(true)?;
        }
        if drawn(a) {
            self.live = Some(Live::begin(a.heal));
        }
        for (at, w) in watches.iter().enumerate() {
            self.add(at, w);
        }
        self.service.ready(&status(watches));
        Ok(())
    }

    /// A pair's audit has begun.
    pub fn add(&mut self, at: usize, w: &Watch) {
        if let Some(m) = &mut self.metrics {
            m.update(at, w, &[], None);
        }
        let state = look::look(&w.pair.pair.line).state.word();
        match &mut self.live {
            Some(l) => l.add(w),
            None => self
                .view
                .start(w, state, self.heal, self.summaries.is_none()),
        }
        if let Some(all) = &mut self.summaries {
            all.push(Summary::default());
        }
        let title = w.source.tier().title();
        self.log(Event::Start, w, &format!("audit begun: {title}"));
        if w.leaves_roots() {
            let shown = text::path(&w.pair.pair.line.virt);
            self.say(&format!(
                "{shown}: mode, owner or attributes of the legs' own roots differ: changes of these are not told"
            ));
        }
    }

    /// A pair is not watched any more; the others are.
    pub fn leave(&mut self, at: usize, w: &Watch, why: &str) {
        match &mut self.live {
            Some(l) => {
                l.remove(at);
                l.say(why.to_owned());
            }
            None => self.view.left(w, why),
        }
        self.end(at, w, self.json || self.live.is_some());
        if let Some(m) = &mut self.metrics {
            m.remove(at);
        }
        if let Some(all) = self.summaries.as_mut().filter(|all| at < all.len()) {
            all.remove(at);
        }
    }

    /// Something that is no matter of a watched pair.
    pub fn say(&mut self, what: &str) {
        match &mut self.live {
            Some(l) => l.say(what.to_owned()),
            None => output::note!("mirror: audit: {what}"),
        }
    }

    fn log(&mut self, event: Event, w: &Watch, what: &str) {
        let virt = &w.pair.pair.line.virt;
        if let Some(l) = &mut self.log {
            let message = format!("{}: {what}", text::path(virt));
            l.write(event, &message, &log::of_pair(event, virt));
        }
    }

    /// What was found at one time.
    pub fn findings(&mut self, at: usize, w: &Watch, found: &[Finding]) {
        if found.is_empty() {
            return;
        }
        match (&mut self.summaries, &mut self.live) {
            (Some(all), _) => all.iter_mut().skip(at).take(1).for_each(|s| s.add(found)),
            (_, Some(live)) => live.findings(at, found, lag(found)),
            _ => self.view.findings(w, found),
        }
        let virt = &w.pair.pair.line.virt;
        if self.log.is_some() || self.hook.is_some() {
            for t in told(found) {
                let fields = log::of_finding(&t, virt);
                if let Some(l) = &mut self.log {
                    l.write(log::event_of(&t), &t.sentence(virt), &fields);
                }
                if let Some(h) = &mut self.hook {
                    h.add(fields);
                }
            }
        }
        if let Some(m) = &mut self.metrics {
            m.update(at, w, found, lag(found));
        }
    }

    /// Events were lost.
    pub fn lost(&mut self, at: usize, w: &Watch) {
        match &mut self.live {
            Some(live) => live.lost(at),
            None => self.view.lost(w),
        }
        let virt = &w.pair.pair.line.virt;
        let v = text::shell(virt);
        self.log(
            Event::Lost,
            w,
            &format!("events were lost, changes may have been missed. mirror verify {v}"),
        );
        if let Some(h) = &mut self.hook {
            h.add(log::of_pair(Event::Lost, virt));
        }
    }

    /// A leg has gone away.
    pub fn gone(&mut self, w: &Watch, leg: Leg, what: &str) {
        self.log(Event::Gone, w, what);
        if let Some(h) = &mut self.hook {
            let virt = &w.pair.pair.line.virt;
            let mut fields = log::of_pair(Event::Gone, virt);
            let letter: String = leg.letter().into();
            fields.push(("MIRROR_LEG", letter.into()));
            h.add(fields);
        }
    }

    /// The loop has come round.
    pub fn turn(&mut self, watches: &[Watch]) {
        if let Some(m) = &mut self.metrics {
            for (at, w) in watches.iter().enumerate() {
                m.update(at, w, &[], None);
            }
        }
        let trouble = [
            self.metrics
                .as_mut()
                .and_then(|m| m.turn(false).err())
                .map(|e| e.text),
            self.hook.as_mut().and_then(Hook::turn),
        ];
        for t in trouble.into_iter().flatten() {
            self.say(&t);
        }
        self.service.alive(|| status(watches));
        if let Some(l) = &mut self.live {
            l.turn(watches);
        }
    }

    /// When to come round again.
    pub fn next(&self) -> Option<Instant> {
        let all = [
            self.live.as_ref().and_then(Live::next),
            self.metrics.as_ref().and_then(Metrics::next),
            self.hook.as_ref().and_then(Hook::next),
            self.service.next(),
        ];
        all.into_iter().flatten().min()
    }

    /// Whether keys are waited for.
    pub fn listens(&self) -> bool {
        self.live.as_ref().is_some_and(Live::listens)
    }

    /// The tables so far.
    pub fn summary(&self, watches: &[Watch]) {
        for (w, s) in watches.iter().zip(self.summaries.iter().flatten()) {
            self.view.summary(w, s);
        }
    }

    /// The end begins.
    pub fn ends(&mut self) {
        self.service.ends();
        // What is said from here on stays on the terminal.
        if let Some(mut l) = self.live.take() {
            l.leave();
        }
    }

    /// A pair's audit is over.
    pub fn end(&mut self, at: usize, w: &Watch, json: bool) {
        if let Some(s) = self.summaries.as_ref().and_then(|all| all.get(at)) {
            self.view.summary(w, s);
        }
        if self.live.is_none() {
            self.view.end(w);
        }
        let c = w.counts;
        self.log(
            Event::End,
            w,
            &format!(
                "audit ended: mirrored {}, unmirrored {}, healed {}, held {}, lost {}",
                c.mirrored, c.unmirrored, c.healed, c.held, c.lost
            ),
        );
        if let Some(m) = &mut self.metrics {
            m.update(at, w, &[], None);
        }
        if c.left > 0 && !json {
            output::note!("{}", way_out(&w.pair.pair, !w.held().is_empty()));
        }
    }

    /// All is over.
    pub fn close(&mut self) {
        if let Some(Err(e)) = self.metrics.as_mut().map(|m| m.turn(true)) {
            output::note!("mirror: audit: {}", e.text);
        }
        let left = self.hook.as_mut().map_or(0, Hook::end);
        if left > 0 {
            output::note!(
                "mirror: audit: --exec was too slow: {} not told",
                text::plural(left, "finding")
            );
        }
        let dropped = self.log.as_ref().map_or(0, |l| l.dropped);
        if dropped > 0 {
            output::note!(
                "mirror: audit: {} not taken by the log",
                text::plural(dropped, "message")
            );
        }
    }
}

/// How it stands, in a line.
fn status(watches: &[Watch]) -> String {
    let sum = |f: fn(&Watch) -> u64| watches.iter().map(f).fold(0, u64::saturating_add);
    let pairs = match watches {
        [] => "no pair".into(),
        [w] => text::path(&w.pair.pair.line.virt),
        _ => text::plural(watches.len() as u64, "pair"),
    };
    format!(
        "{pairs}: {} not mirrored, {} healed, events lost {}",
        text::plural(sum(|w| w.counts.unmirrored), "change"),
        text::count(sum(|w| w.counts.healed)),
        text::plural(sum(|w| w.counts.lost), "time")
    )
}
