//! The live view: what is known, what of it is shown, and what keys do to that. Drawing is `terminal`'s.
pub use super::layout::Head;
use super::layout::{counts, ends, join, title, widths};
use super::terminal::{Key, Line, Move, Style, fit};
use super::told::Told;
use crate::audit::finding::Done;
use crate::text;
use std::collections::VecDeque;
use std::time::Duration;

/// Findings that can be looked at; older ones are only counted.
const ROWS: usize = 10_000;

/// A finding.
#[derive(Clone)]
struct Row {
    cells: [String; 7],
    bad: bool,
}

/// What somebody who looks has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The end.
    Quit,
    /// What is held is put back where it went away.
    Restore,
    /// What is held goes away on the other leg too.
    Carry,
}

/// What the keys are for just now.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Table,
    Filter,
    List,
    Sure(bool),
}

/// The live view.
#[derive(Default)]
pub struct Screen {
    /// The pairs.
    pub heads: Vec<Head>,
    /// What is held, a line each.
    pub held: Vec<String>,
    /// What there is to say at the bottom.
    pub said: String,
    /// Whether findings are healed, and not only told.
    pub heal: bool,
    rows: VecDeque<Row>,
    /// How many have come since the table was stopped.
    paused: Option<usize>,
    filter: String,
    mode: Mode,
    /// Lines that are below the shown ones.
    below: usize,
}

impl Screen {
    /// Nothing has come yet.
    pub fn new(heads: Vec<Head>, heal: bool) -> Screen {
        Screen {
            heads,
            heal,
            ..Screen::default()
        }
    }

    /// A finding has come.
    pub fn add(&mut self, t: &Told<'_>, virt: &str, after: Option<Duration>) {
        let done = match (&t.first.done, after) {
            (Done::Found, _) => "-".into(),
            (Done::Healed, Some(d)) => format!("healed {:.1} s", d.as_secs_f64()),
            (Done::Undone, Some(d)) => format!("undone {:.1} s", d.as_secs_f64()),
            _ => t.done(),
        };
        let path = match self.heads.len() {
            1 => t.path.clone(),
            _ => format!("{virt}/{}", t.path),
        };
        let bad = matches!(t.first.done, Done::Held | Done::Conflict | Done::Failed(_));
        self.push(Row {
            cells: [
                t.clock(),
                t.leg().to_string(),
                t.operation(),
                path,
                t.by(),
                t.first.why.word().into(),
                done,
            ],
            bad,
        });
    }

    /// Events were lost: a line among the findings.
    pub fn lost(&mut self, virt: &str, time: String) {
        let what = "EVENTS LOST".to_owned();
        let path = format!("mirror verify {virt}");
        let cells = [
            time,
            String::new(),
            what,
            path,
            String::new(),
            String::new(),
            String::new(),
        ];
        self.push(Row { cells, bad: true });
    }

    fn push(&mut self, row: Row) {
        let shown = self.passes(&row);
        self.rows.push_back(row);
        if self.rows.len() > ROWS {
            self.rows.pop_front();
        }
        // Who looks at older ones goes on seeing the same.
        match &mut self.paused {
            Some(n) => *n += 1,
            None if shown && self.below > 0 => self.below = self.below.saturating_add(1),
            None => {}
        }
    }

    fn passes(&self, row: &Row) -> bool {
        self.filter.is_empty() || row.cells.iter().any(|c| c.contains(&self.filter))
    }

    /// What a key does; what it asks of the audit.
    pub fn key(&mut self, key: Key) -> Option<Wish> {
        self.said.clear();
        match (self.mode, key) {
            (Mode::Filter, Key::Char(c)) => self.filter.push(c),
            (Mode::Filter, Key::Back) => _ = self.filter.pop(),
            (Mode::Filter, Key::Enter) => self.mode = Mode::Table,
            (Mode::Filter, Key::Escape) => {
                self.filter.clear();
                self.mode = Mode::Table;
            }
            (Mode::Sure(restore), Key::Char('y')) => {
                self.mode = Mode::Table;
                return Some(if restore { Wish::Restore } else { Wish::Carry });
            }
            (Mode::Sure(_), _) => self.mode = Mode::Table,
            (_, Key::Char('q')) => return Some(Wish::Quit),
            (_, Key::Char('r')) if !self.held.is_empty() => self.mode = Mode::Sure(true),
            (_, Key::Char('c')) if !self.held.is_empty() => self.mode = Mode::Sure(false),
            (_, Key::Char('r' | 'c')) => self.said = "nothing is held".into(),
            (Mode::List, Key::Char('l') | Key::Escape) => {
                self.mode = Mode::Table;
                self.below = 0;
            }
            (Mode::Table, Key::Char('l')) => {
                self.mode = Mode::List;
                self.below = usize::MAX;
            }
            (Mode::Table, Key::Char('p')) => {
                self.paused = match self.paused {
                    None => Some(0),
                    Some(_) => {
                        self.below = 0;
                        None
                    }
                };
            }
            (Mode::Table, Key::Char('/')) => {
                self.mode = Mode::Filter;
                self.below = 0;
            }
            (Mode::Table, Key::Escape) => {
                self.filter.clear();
                self.below = 0;
            }
            (_, Key::Move(to)) => self.scroll(to),
            _ => {}
        }
        None
    }

    fn scroll(&mut self, to: Move) {
        const PAGE: usize = 10;
        self.below = match to {
            Move::Up => self.below.saturating_add(1),
            Move::Down => self.below.saturating_sub(1),
            Move::PageUp => self.below.saturating_add(PAGE),
            Move::PageDown => self.below.saturating_sub(PAGE),
            Move::Home => usize::MAX,
            Move::End => 0,
        };
    }

    /// The lines of the screen.
    pub fn lines(&mut self, columns: usize, height: usize, up: Duration) -> Vec<Line> {
        let plain = |text: &str| Line {
            text: fit(text, columns),
            style: Style::Plain,
        };
        let bold = |text: &str| Line {
            text: fit(text, columns),
            style: Style::Bold,
        };
        let mut all = vec![];
        for h in &self.heads {
            all.push(bold(&title(h, columns, up, self.heal)));
            all.push(plain(&counts(h, columns, self.heal)));
        }
        if let [h] = self.heads.as_slice() {
            all.push(plain(&ends(&h.blind, "(mirror audit --explain)", columns)));
        }
        let foot = self.foot(columns);
        let room = height.saturating_sub(all.len() + foot.len() + 1).max(1);
        let table = match self.mode {
            Mode::List => self.list(columns, room),
            _ => self.table(columns, room),
        };
        all.extend(table);
        all.truncate(height.saturating_sub(foot.len()));
        while all.len() + foot.len() < height {
            all.push(Line::default());
        }
        all.extend(foot);
        all.truncate(height);
        all
    }

    /// The part of a list that is shown: its end, or what was scrolled to.
    fn part<T>(below: &mut usize, list: Vec<T>, room: usize) -> Vec<T> {
        *below = (*below).min(list.len().saturating_sub(room));
        let end = list.len() - *below;
        let begin = end.saturating_sub(room);
        list.into_iter().skip(begin).take(end - begin).collect()
    }

    fn table(&mut self, columns: usize, room: usize) -> Vec<Line> {
        let newer = self.paused.unwrap_or(0);
        let seen = self.rows.iter().take(self.rows.len().saturating_sub(newer));
        let shown: Vec<&Row> = seen.filter(|r| self.passes(r)).collect();
        let mut below = self.below;
        let shown = Self::part(&mut below, shown, room);
        let widths = widths(columns, self.heal);
        let titles = ["TIME", "LEG", "OPERATION", "PATH", "BY", "WHY", "DONE"];
        let mut all = vec![Line {
            text: fit(&join(&titles.map(str::to_owned), &widths), columns),
            style: Style::Bold,
        }];
        all.extend(shown.iter().map(|r| Line {
            text: fit(&join(&r.cells, &widths), columns),
            style: if r.bad { Style::Reverse } else { Style::Plain },
        }));
        self.below = below;
        all
    }

    fn list(&mut self, columns: usize, room: usize) -> Vec<Line> {
        let title = match self.held.len() {
            0 => "nothing is held".into(),
            n => format!("held: {}", text::plural(n as u64, "name")),
        };
        let shown: Vec<&String> = self.held.iter().collect();
        let shown = Self::part(&mut self.below, shown, room);
        let line = |text: &str, style| Line {
            text: fit(text, columns),
            style,
        };
        let mut all = vec![line(&title, Style::Bold)];
        all.extend(shown.iter().map(|s| line(s, Style::Plain)));
        all
    }

    /// The last lines: what is held, what was said, and the keys.
    fn foot(&self, columns: usize) -> Vec<Line> {
        let mut all = vec![];
        let held = text::plural(self.held.len() as u64, "name");
        let (first, style) = match self.mode {
            Mode::Filter => (format!("filter: {}_", self.filter), Style::Bold),
            Mode::Sure(true) => (
                format!("put {held} back from the leg that still has them?  y / n"),
                Style::Reverse,
            ),
            Mode::Sure(false) => (
                format!("remove {held} from the leg that still has them (kept aside)?  y / n"),
                Style::Reverse,
            ),
            _ if !self.said.is_empty() => (self.said.clone(), Style::Bold),
            _ if !self.held.is_empty() => (
                format!(
                    "HELD {held}:   r put them back   c remove them on the other leg too   l list"
                ),
                Style::Reverse,
            ),
            _ => (String::new(), Style::Plain),
        };
        if !first.is_empty() {
            all.push(Line {
                text: fit(&first, columns),
                style,
            });
        }
        let mut keys = match self.mode {
            Mode::Filter => "Enter keeps it   Esc shows all".to_owned(),
            Mode::List => "l back   q quit   arrows scroll".into(),
            _ => "q quit   p pause   / filter   l held   arrows scroll".into(),
        };
        if let Some(n) = self.paused {
            keys = format!(
                "PAUSED, {} since   p goes on   q quit",
                text::plural(n as u64, "line")
            );
        } else if self.below > 0 && self.mode == Mode::Table {
            keys += &format!("   ({} below)", text::count(self.below as u64));
        }
        if self.mode != Mode::Filter && !self.filter.is_empty() {
            keys += &format!("   only \"{}\" (Esc: all)", self.filter);
        }
        all.push(Line {
            text: fit(&keys, columns),
            style: Style::Plain,
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::audit::terminal::width;

    fn row(path: &str) -> Row {
        let c = |s: &str| s.to_owned();
        Row {
            cells: [
                c("14:40:02"),
                c("a"),
                c("write"),
                c(path),
                c("sh[1] root"),
                c("static"),
                c("-"),
            ],
            bad: false,
        }
    }

    fn screen(rows: usize) -> Screen {
        let mut s = Screen {
            heads: vec![Head {
                virt: "/srv/data".into(),
                state: "IN SYNC".into(),
                ..Head::default()
            }],
            ..Screen::default()
        };
        for i in 0..rows {
            s.push(row(&format!("file{i}")));
        }
        s
    }

    fn text(s: &mut Screen, columns: usize, height: usize) -> String {
        let lines = s.lines(columns, height, Duration::from_secs(3725));
        assert_eq!(lines.len(), height);
        for l in &lines {
            assert!(width(&l.text) <= columns, "{columns}: {}", l.text);
        }
        let all: Vec<String> = lines.into_iter().map(|l| l.text).collect();
        all.join("\n")
    }

    #[test]
    fn any_size_has_a_screen() {
        let mut s = screen(100);
        s.held.push("x".into());
        for columns in [1, 2, 10, 40, 79, 80, 81, 109, 110, 200] {
            for height in [1, 2, 3, 5, 24, 100, 300] {
                text(&mut s, columns, height);
            }
        }
        let t = text(&mut s, 80, 24);
        assert!(t.contains("up 01:02:05"), "{t}");
        assert!(t.contains("file99") && !t.contains("file10 "), "{t}");
    }

    #[test]
    fn keys_do_what_they_say() {
        let mut s = screen(50);
        let key = |s: &mut Screen, k: &str| k.chars().filter_map(|c| s.key(Key::Char(c))).last();
        // What is paused stays, and is counted.
        key(&mut s, "p");
        s.push(row("later"));
        let t = text(&mut s, 100, 20);
        assert!(!t.contains("later") && t.contains("PAUSED, 1 line"), "{t}");
        key(&mut s, "p");
        assert!(text(&mut s, 100, 20).contains("later"));
        // A filter.
        key(&mut s, "/file7q");
        s.key(Key::Back);
        let t = text(&mut s, 100, 20);
        assert!(t.contains("filter: file7_") && t.contains("file7 "), "{t}");
        assert!(!t.contains("file49"), "{t}");
        s.key(Key::Enter);
        assert!(text(&mut s, 100, 20).contains("only \"file7\""));
        s.key(Key::Escape);
        assert!(text(&mut s, 100, 20).contains("file49"));
        // What is scrolled to stays too.
        s.key(Key::Move(Move::Home));
        s.push(row("newest"));
        let t = text(&mut s, 100, 20);
        assert!(t.contains("file0 ") && !t.contains("newest"), "{t}");
        s.key(Key::Move(Move::End));
        assert!(text(&mut s, 100, 20).contains("newest"));
        // Nothing is decided without a second key.
        assert_eq!(key(&mut s, "r"), None);
        assert!(text(&mut s, 100, 20).contains("nothing is held"));
        s.held = vec!["b d/1".into()];
        assert_eq!(key(&mut s, "rn"), None);
        assert_eq!(key(&mut s, "ry"), Some(Wish::Restore));
        assert_eq!(key(&mut s, "cy"), Some(Wish::Carry));
        key(&mut s, "l");
        assert!(text(&mut s, 100, 20).contains("b d/1"));
        assert_eq!(key(&mut s, "q"), Some(Wish::Quit));
    }
}
