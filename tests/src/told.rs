//! A running program that does what it is told, line by line.
use crate::{Pair, Talker};
use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};

/// A program whose standard input is a pipe; the rest of it is a [`Talker`]'s.
pub struct Told {
    talker: Talker,
    to: Option<ChildStdin>,
}

impl Told {
    /// Starts a program.
    pub fn start(mut c: Command) -> Told {
        let mut talker = Talker::start(c.stdin(Stdio::piped()));
        let to = Some(talker.input());
        Told { talker, to }
    }

    /// A preloaded bash that carries out each line, and says `yes` or `no`.
    pub fn shell(pair: &Pair) -> Told {
        let mut c = pair.preloaded("bash");
        c.arg("-c")
            .arg("while read -r line; do if eval \"$line\"; then echo yes; else echo no; fi; done");
        Told::start(c)
    }

    /// Preloaded python that runs `code`.
    pub fn python(pair: &Pair, code: &str) -> Told {
        let mut c = pair.preloaded("python3");
        c.args(["-c", code]);
        Told::start(c)
    }

    /// Writes a line to it.
    pub fn tell(&mut self, what: &str) {
        let to = self.to.as_mut().expect("its input is open");
        to.write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    /// Its next line. Panics when none comes.
    #[track_caller]
    pub fn line(&self) -> String {
        self.talker.line().trim_end().to_owned()
    }

    /// It does that, and says `yes`.
    #[track_caller]
    pub fn does(&mut self, what: &str) {
        self.tell(what);
        assert_eq!(self.line(), "yes", "{what}");
    }

    /// It tries that, and says `no`.
    #[track_caller]
    pub fn fails(&mut self, what: &str) {
        self.tell(what);
        assert_eq!(self.line(), "no", "{what}");
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.talker.pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        self.talker.signal(signal);
    }

    /// How it ended, without being told to.
    #[track_caller]
    pub fn ended(&mut self) -> i32 {
        self.talker.end()
    }

    /// What else is written, until all who hold its output have ended.
    #[track_caller]
    pub fn drain(&self) -> Vec<String> {
        self.talker.drain()
    }

    /// Closes its input, and waits for its end, which is a success.
    #[track_caller]
    pub fn end(mut self) {
        self.to = None;
        assert_eq!(self.ended(), 0);
    }
}
