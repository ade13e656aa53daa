//! A program on a terminal of its own (a pty), and what it has drawn there.
use crate::pace::Clock;
use crate::talker::PATIENCE;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What stands on the screen.
struct Grid {
    rows: usize,
    columns: usize,
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// The beginning of a sequence, or of a character.
    rest: Vec<u8>,
    /// Whether the other screen is shown.
    other: bool,
    /// What it covers.
    under: (Vec<Vec<char>>, (usize, usize)),
    /// How often the whole screen was cleared.
    cleared: usize,
}

impl Grid {
    fn new(rows: usize, columns: usize) -> Grid {
        Grid {
            rows,
            columns,
            cells: vec![vec![' '; columns]; rows],
            at: (0, 0),
            rest: vec![],
            other: false,
            under: (vec![], (0, 0)),
            cleared: 0,
        }
    }

    fn feed(&mut self, b: &[u8]) {
        self.rest.extend(b);
        let all = std::mem::take(&mut self.rest);
        let valid = match std::str::from_utf8(&all) {
            Ok(s) => s.len(),
            Err(e) => e.valid_up_to(),
        };
        let text = std::str::from_utf8(&all[..valid]).unwrap();
        let mut chars = text.char_indices();
        while let Some((i, c)) = chars.next() {
            if c != '\x1b' {
                self.put(c);
                continue;
            }
            let body = &text[i + 1..];
            let Some(end) = body.find(|c: char| c.is_ascii_alphabetic()) else {
                self.rest = all[i..].to_vec();
                return;
            };
            self.sequence(&body[..=end]);
            while chars.as_str().len() > body.len() - end - 1 {
                chars.next();
            }
        }
        self.rest = all[valid..].to_vec();
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.at.1 = 0,
            '\n' => self.at.0 = (self.at.0 + 1).min(self.rows - 1),
            c => {
                let (r, k) = self.at;
                if r < self.rows && k < self.columns {
                    self.cells[r][k] = c;
                    self.at.1 += 1;
                }
            }
        }
    }

    fn sequence(&mut self, s: &str) {
        let inner = s.trim_start_matches('[');
        let (numbers, kind) = inner.split_at(inner.len() - 1);
        match kind {
            "H" => {
                let mut n = numbers.split(';').map(|n| n.parse::<usize>().unwrap_or(1));
                self.at = (n.next().unwrap_or(1) - 1, n.next().unwrap_or(1) - 1);
            }
            "J" => {
                self.cleared += 1;
                self.cells = vec![vec![' '; self.columns]; self.rows];
            }
            "K" => self.cells[self.at.0][self.at.1..].fill(' '),
            "h" | "l" if numbers == "?1049" => {
                self.other = kind == "h";
                if self.other {
                    self.under = (self.cells.clone(), self.at);
                } else {
                    (self.cells, self.at) = std::mem::take(&mut self.under);
                }
            }
            "h" | "l" | "m" => {}
            _ => panic!("a sequence that is not known: {s:?}"),
        }
    }

    fn text(&self) -> String {
        let line = |l: &Vec<char>| l.iter().collect::<String>().trim_end().to_owned();
        let all: Vec<String> = self.cells.iter().map(line).collect();
        all.join("\n")
    }
}

/// A program on a terminal; it is killed when this is dropped.
pub struct Screen {
    child: Child,
    keys: File,
    grid: Arc<Mutex<Grid>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

fn size(rows: usize, columns: usize) -> libc::winsize {
    libc::winsize {
        ws_row: rows as u16,
        ws_col: columns as u16,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Screen {
    /// Starts a program with a terminal of this size as its three descriptors.
    pub fn start(c: &mut Command, rows: usize, columns: usize) -> Screen {
        let (mut master, mut slave) = (0, 0);
        // SAFETY: out-buffers of the right types; name and terminal settings are not asked for.
        let made = unsafe {
            libc::openpty(
                &mut master,
                &mut slave,
                std::ptr::null_mut(),
                std::ptr::null(),
                &size(rows, columns),
            )
        };
        assert_eq!(made, 0, "openpty: {}", std::io::Error::last_os_error());
        // SAFETY: descriptors that were opened just now and belong to nobody else.
        let (master, slave) =
            unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        // SAFETY: makes a flag of a descriptor of ours.
        unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let end = || slave.try_clone().expect("a descriptor");
        c.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: both calls are async-signal-safe.
        unsafe {
            c.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = c.spawn().expect("starting a program");
        // The command holds copies of the terminal's end.
        c.stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        drop(slave);
        let keys = File::from(master);
        let mut out = keys.try_clone().expect("a descriptor");
        let grid = Arc::new(Mutex::new(Grid::new(rows, columns)));
        let theirs = grid.clone();
        let reader = std::thread::spawn(move || {
            let mut b = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut b) {
                theirs.lock().unwrap().feed(&b[..n]);
            }
        });
        Screen {
            child,
            keys,
            grid,
            reader: Some(reader),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What stands there.
    pub fn text(&self) -> String {
        self.grid.lock().unwrap().text()
    }

    /// Whether the program has taken the other screen, and how often it has cleared it.
    pub fn drawn(&self) -> (bool, usize) {
        let g = self.grid.lock().unwrap();
        (g.other, g.cleared)
    }

    /// Waits until the text is as it should be. Panics when that does not come.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let mut clock = Clock::start();
        loop {
            let text = self.text();
            if is(&text) {
                return text;
            }
            assert!(clock.spent() < PATIENCE, "no {what}:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a text.
    #[track_caller]
    pub fn shows(&self, what: &str) -> String {
        self.until(what, |t| t.contains(what))
    }

    /// Types.
    pub fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal");
    }

    /// Gives it another size; the program hears of it.
    pub fn resize(&mut self, rows: usize, columns: usize) {
        {
            let mut g = self.grid.lock().unwrap();
            let cleared = g.cleared;
            *g = Grid {
                cleared,
                other: g.other,
                under: (vec![vec![' '; columns]; rows], (0, 0)),
                ..Grid::new(rows, columns)
            };
        }
        // SAFETY: a descriptor of ours, and a struct of the right type.
        let r = unsafe {
            libc::ioctl(
                self.keys.as_raw_fd(),
                libc::TIOCSWINSZ,
                &size(rows, columns),
            )
        };
        assert_eq!(r, 0);
    }

    /// Whether the terminal shows what is typed, and gives lines as it did before.
    pub fn cooked(&self) -> bool {
        // SAFETY: an out-buffer of the right type.
        unsafe {
            let mut t: libc::termios = std::mem::zeroed();
            let r = libc::tcgetattr(self.keys.as_raw_fd(), &mut t);
            r == 0 && t.c_lflag & (libc::ECHO | libc::ICANON) == libc::ECHO | libc::ICANON
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut clock = Clock::start();
        let status = loop {
            if let Some(s) = self.child.try_wait().expect("the program") {
                break s;
            }
            assert!(clock.spent() < PATIENCE, "no end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        };
        if let Some(r) = self.reader.take() {
            let _ = r.join();
        }
        status
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
