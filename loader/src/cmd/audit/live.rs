//! The live view on a terminal: `screen` says what it shows, `terminal` draws it.
use super::screen::{Head, Screen, Wish};
use super::terminal::Terminal;
use super::told::told;
use crate::audit::finding::Finding;
use crate::audit::watch::Watch;
use crate::cmd::look;
use crate::text;
use std::time::{Duration, Instant};

/// How often it is drawn, at most.
const PACE: Duration = Duration::from_millis(100);
/// How often it is drawn when nothing happens: the clock goes on.
const TICK: Duration = Duration::from_secs(1);
/// How often the pairs' states are looked at.
const STATES: Duration = Duration::from_secs(2);

/// The view, and when it was what.
pub struct Live {
    /// What it shows.
    pub screen: Screen,
    terminal: Terminal,
    began: Instant,
    drawn: Option<Instant>,
    changed: bool,
    looked: Option<Instant>,
    /// What was mirrored when the rate was last taken.
    before: Vec<u64>,
}

impl Live {
    /// Takes the terminal.
    pub fn begin(heal: bool) -> Live {
        Live {
            screen: Screen::new(vec![], heal),
            terminal: Terminal::take(),
            began: Instant::now(),
            drawn: None,
            changed: true,
            looked: None,
            before: vec![],
        }
    }

    /// One more pair.
    pub fn add(&mut self, w: &Watch) {
        self.screen.heads.push(Head {
            virt: text::path(&w.pair.pair.line.virt),
            tier: w.source.tier().title().into(),
            blind: format!(
                "{} does not see: {}",
                w.source.tier().word().to_uppercase(),
                w.source.blind().join("; ")
            ),
            ..Head::default()
        });
        self.before.push(w.counts.mirrored);
        self.look_soon();
    }

    /// The pair with this number is not watched any more.
    pub fn remove(&mut self, at: usize) {
        if at < self.screen.heads.len() {
            self.screen.heads.remove(at);
        }
        if at < self.before.len() {
            self.before.remove(at);
        }
        self.look_soon();
    }

    /// What was found at one time in the pair with this number.
    pub fn findings(&mut self, at: usize, found: &[Finding], lag: Option<Duration>) {
        let Some(h) = self.screen.heads.get_mut(at) else {
            return;
        };
        h.lag = lag.or(h.lag);
        let virt = h.virt.clone();
        let now = crate::audit::source::now();
        for t in told(found) {
            let after = Duration::from_nanos(now.saturating_sub(t.first.time));
            self.screen.add(&t, &virt, Some(after));
        }
        self.changed = true;
    }

    /// Events were lost.
    pub fn lost(&mut self, at: usize) {
        if let Some(h) = self.screen.heads.get(at) {
            let iso = text::iso(text::now());
            let time = iso.get(11..19).unwrap_or(&iso).to_owned();
            let virt = h.virt.clone();
            self.screen.lost(&virt, time);
        }
        self.changed = true;
    }

    /// Something to say at the bottom.
    pub fn say(&mut self, what: String) {
        self.screen.said = what;
        self.changed = true;
    }

    /// Goes on: looks at the pairs now and then, and draws.
    pub fn turn(&mut self, watches: &[Watch]) {
        let now = Instant::now();
        let since = self.looked.map(|t| now.duration_since(t));
        if since.is_none_or(|d| d >= STATES) {
            self.looked = Some(now);
            self.look(watches, since);
        }
        for (h, w) in self.screen.heads.iter_mut().zip(watches) {
            self.changed |= h.counts != w.counts;
            h.counts = w.counts;
        }
        let old = self.drawn.map(|t| now.duration_since(t));
        let due = match self.changed {
            true => PACE,
            false => TICK,
        };
        if old.is_none_or(|d| d >= due) {
            self.draw();
        }
    }

    fn look(&mut self, watches: &[Watch], since: Option<Duration>) {
        let mut held = vec![];
        self.before.resize(watches.len(), 0);
        let one = watches.len() == 1;
        for ((h, w), before) in self
            .screen
            .heads
            .iter_mut()
            .zip(watches)
            .zip(&mut self.before)
        {
            h.state = look::look(&w.pair.pair.line).state.word().into();
            let more = w.counts.mirrored.saturating_sub(*before);
            *before = w.counts.mirrored;
            let secs = since.map_or(1.0, |d| d.as_secs_f64().max(0.001));
            h.rate = (more as f64 / secs).round() as u64;
            let of = w.held();
            h.held = of.len() as u64;
            let v = if one {
                String::new()
            } else {
                format!("{}/", h.virt)
            };
            held.extend(of.iter().map(|e| crate::pair::held::shown(e, &v)));
        }
        self.screen.held = held;
        self.changed = true;
    }

    /// The pairs are looked at when it next goes on.
    pub fn look_soon(&mut self) {
        self.looked = None;
    }

    fn draw(&mut self) {
        let (columns, rows) = self.terminal.size();
        let lines = self.screen.lines(columns, rows, self.began.elapsed());
        self.terminal.draw(lines);
        self.drawn = Some(Instant::now());
        self.changed = false;
    }

    /// When to come again.
    pub fn next(&self) -> Option<Instant> {
        let wait = if self.changed { PACE } else { TICK };
        Some(self.drawn.map_or_else(Instant::now, |t| t + wait))
    }

    /// Whether keys can come.
    pub fn listens(&self) -> bool {
        self.terminal.listens()
    }

    /// What was typed. What is asked of the audit.
    pub fn keys(&mut self) -> Vec<Wish> {
        let keys = self.terminal.keys();
        if keys.is_empty() {
            return vec![];
        }
        let wishes: Vec<Wish> = keys
            .into_iter()
            .filter_map(|k| self.screen.key(k))
            .collect();
        // Who types sees at once what it does.
        self.draw();
        wishes
    }

    /// The terminal has another size.
    pub fn resized(&mut self) {
        self.terminal.resized();
        self.draw();
    }

    /// ^Z.
    pub fn stop(&mut self) {
        self.terminal.stop();
        self.draw();
    }

    /// Gives the terminal back.
    pub fn leave(&mut self) {
        self.terminal.leave();
    }
}
