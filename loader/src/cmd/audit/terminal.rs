//! A terminal as a screen: drawn line by line, only what has changed; keys without Enter. It is given back as
//! it was.
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr,
    tcgetpgrp, tcgetwinsize, tcsetattr,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As text.
    #[default]
    Plain,
    /// Bold.
    Bold,
    /// Bright on dark turned round.
    Reverse,
}

/// A line of the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its text, without control characters.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Return.
    Enter,
    /// Backspace.
    Back,
    /// Escape.
    Escape,
    /// A line up or down, a page up or down, the first or the last line.
    Move(Move),
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what their names say")]
pub enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// The terminal, taken.
pub struct Terminal {
    /// How it was, if keys can be read.
    before: Option<Termios>,
    shown: Vec<Line>,
    taken: bool,
}

/// Whether standard output is a terminal that this process may draw on.
pub fn usable() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|t| t.is_empty() || t == "dumb");
    let front = tcgetpgrp(stdout()).is_ok_and(|g| g == rustix::process::getpgrp());
    isatty(stdout()) && !dumb && front
}

fn put(mut b: &[u8]) {
    while !b.is_empty() {
        match rustix::io::write(stdout(), b) {
            Ok(n) => b = b.get(n..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut fd = [rustix::event::PollFd::from_borrowed_fd(
                    stdout(),
                    rustix::event::PollFlags::OUT,
                )];
                let _ = rustix::event::poll(&mut fd, None);
            }
            // Nobody looks any more: SIGHUP ends this.
            Err(_) => return,
        }
    }
}

impl Terminal {
    /// Takes it.
    pub fn take() -> Terminal {
        let before = match isatty(stdin()) {
            true => tcgetattr(stdin()).ok(),
            false => None,
        };
        let mut t = Terminal {
            before,
            shown: vec![],
            taken: false,
        };
        t.again();
        t
    }

    /// Takes it again.
    pub fn again(&mut self) {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
            // ^S must not stop the audit.
            raw.input_modes -= InputModes::IXON;
            raw.special_codes[SpecialCodeIndex::VMIN] = 0;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        }
        // Another screen, no cursor, lines are cut and not broken.
        put(b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J");
        self.shown.clear();
        self.taken = true;
    }

    /// Gives it back.
    pub fn leave(&mut self) {
        if !std::mem::take(&mut self.taken) {
            return;
        }
        put(b"\x1b[?7h\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }

    /// Stops this process, as ^Z does, and takes the terminal again when it goes on.
    pub fn stop(&mut self) {
        self.leave();
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::STOP);
        self.again();
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(stdout()).ok();
        let size = size.filter(|s| s.ws_col > 0 && s.ws_row > 0);
        size.map_or((80, 24), |s| (s.ws_col.into(), s.ws_row.into()))
    }

    /// Its size may have changed: everything is drawn again.
    pub fn resized(&mut self) {
        put(b"\x1b[2J");
        self.shown.clear();
    }

    /// Draws what has changed, in one go.
    pub fn draw(&mut self, lines: Vec<Line>) {
        let b = update(&self.shown, &lines);
        if !b.is_empty() {
            put(&b);
        }
        self.shown = lines;
    }

    /// Whether keys can come.
    pub fn listens(&self) -> bool {
        self.before.is_some()
    }

    /// What was typed.
    pub fn keys(&mut self) -> Vec<Key> {
        let mut b = [0u8; 256];
        match rustix::io::read(stdin(), &mut b) {
            Ok(n) if n > 0 => keys(b.get(..n).unwrap_or_default()),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => vec![],
            // Its end: no more is asked.
            _ => {
                self.before = None;
                vec![]
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What makes one screen of another.
fn update(old: &[Line], new: &[Line]) -> Vec<u8> {
    let mut b = vec![];
    for at in 0..new.len().max(old.len()) {
        let line = new.get(at);
        if line == old.get(at) {
            continue;
        }
        b.extend(format!("\x1b[{};1H", at + 1).bytes());
        if let Some(l) = line {
            match l.style {
                Style::Plain => {}
                Style::Bold => b.extend(b"\x1b[1m"),
                Style::Reverse => b.extend(b"\x1b[7m"),
            }
            b.extend(l.text.bytes());
            if l.style != Style::Plain {
                b.extend(b"\x1b[0m");
            }
        }
        b.extend(b"\x1b[K");
    }
    if !b.is_empty() {
        b.splice(0..0, *b"\x1b[?2026h");
        b.extend(b"\x1b[?2026l");
    }
    b
}

/// What bytes of a terminal mean.
fn keys(b: &[u8]) -> Vec<Key> {
    let text = String::from_utf8_lossy(b);
    let mut rest = text.as_ref();
    let mut all = vec![];
    const SEQUENCES: &[(&str, Move)] = &[
        ("[A", Move::Up),
        ("OA", Move::Up),
        ("[B", Move::Down),
        ("OB", Move::Down),
        ("[5~", Move::PageUp),
        ("[6~", Move::PageDown),
        ("[H", Move::Home),
        ("OH", Move::Home),
        ("[1~", Move::Home),
        ("[F", Move::End),
        ("OF", Move::End),
        ("[4~", Move::End),
    ];
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '\x1b' => {
                let known = SEQUENCES.iter().find(|(s, _)| rest.starts_with(s));
                if let Some((s, to)) = known {
                    rest = rest.get(s.len()..).unwrap_or_default();
                    all.push(Key::Move(*to));
                } else if let Some(r) = rest.strip_prefix('[') {
                    // One that is not used: up to its last byte.
                    let end = r.find(|c: char| ('@'..='~').contains(&c));
                    rest = end.and_then(|e| r.get(e + 1..)).unwrap_or_default();
                } else {
                    all.push(Key::Escape);
                }
            }
            '\r' | '\n' => all.push(Key::Enter),
            '\x7f' | '\x08' => all.push(Key::Back),
            c if c.is_control() => {}
            c => all.push(Key::Char(c)),
        }
    }
    all
}

/// How many columns a text takes.
pub fn width(s: &str) -> usize {
    s.width()
}

/// What of a text fits into so many columns; what is cut off is said by `…`.
pub fn fit(s: &str, columns: usize) -> String {
    if s.width() <= columns {
        return s.to_owned();
    }
    let mut out = String::new();
    let mut left = columns.saturating_sub(1);
    for c in s.chars() {
        let w = c.width().unwrap_or(0);
        if w > left {
            break;
        }
        left -= w;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The same, from the end.
pub fn fit_end(s: &str, columns: usize) -> String {
    if s.width() <= columns {
        return s.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut begin = s.len();
    for (at, c) in s.char_indices().rev() {
        let w = c.width().unwrap_or(0);
        if w > left {
            break;
        }
        left -= w;
        begin = at;
    }
    match columns {
        0 => String::new(),
        _ => format!("…{}", s.get(begin..).unwrap_or_default()),
    }
}

/// A text with spaces after it, up to so many columns.
pub fn pad(s: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(s.width());
    format!("{s}{}", " ".repeat(spaces))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            text: text.into(),
            style: Style::Plain,
        }
    }

    #[test]
    fn only_what_has_changed_is_drawn() {
        let old = [line("one"), line("two"), line("three")];
        assert!(update(&old, &old).is_empty());
        let new = [line("one"), line("2"), line("three")];
        let b = String::from_utf8(update(&old, &new)).unwrap();
        assert_eq!(b, "\x1b[?2026h\x1b[2;1H2\x1b[K\x1b[?2026l");
        let b = String::from_utf8(update(&old, &old[..2])).unwrap();
        assert_eq!(b, "\x1b[?2026h\x1b[3;1H\x1b[K\x1b[?2026l");
    }

    #[test]
    fn keys_are_read() {
        use Key::*;
        let rows: &[(&[u8], &[Key])] = &[
            (b"q", &[Char('q')]),
            (
                b"/ab\x7f\r",
                &[Char('/'), Char('a'), Char('b'), Back, Enter],
            ),
            (b"\x1b", &[Escape]),
            (
                b"\x1b[A\x1b[6~",
                &[Move(super::Move::Up), Move(super::Move::PageDown)],
            ),
            // One that means nothing here.
            (b"\x1b[1;5Cx", &[Char('x')]),
            (b"\x1b[", &[]),
            ("ä\u{1}".as_bytes(), &[Char('ä')]),
        ];
        for (b, want) in rows {
            assert_eq!(keys(b), *want, "{b:?}");
        }
    }

    #[test]
    fn texts_fit_by_columns() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit_end("dir/name", 5), "…name");
        assert_eq!(fit_end("漢字", 3), "…字");
        assert_eq!(
            (fit("ab", 0), fit_end("ab", 0)),
            (String::new(), String::new())
        );
        assert_eq!(pad("漢", 4), "漢  ");
    }
}
