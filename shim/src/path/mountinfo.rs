//! Lines of /proc/self/mountinfo.
use crate::process::limits::spare;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::Path;
use mirror_sys as sys;
use mirror_sys::Sys;

/// What goes on in a text behind a directory's: "" or "/…"; `None`: it does not lie there.
pub fn below<'a>(text: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    let dir = if dir == b"/" { b"" } else { dir };
    let text = if text == b"/" { b"" } else { text };
    let rest = text.strip_prefix(dir)?;
    (rest.is_empty() || rest.first() == Some(&b'/')).then_some(rest)
}

/// What is of interest in a line of mountinfo.
pub struct Line {
    /// A hash of the file system's device.
    pub device: u64,
    /// Which directory (or file) of the file system it shows; empty: there is no such line.
    pub root: Path,
    /// Where, from the process's root.
    pub point: Path,
    /// A text did not fit.
    cut: bool,
}

impl Line {
    /// No line.
    pub const fn new() -> Line {
        Line {
            device: 0,
            root: Path::new(),
            point: Path::new(),
            cut: false,
        }
    }
    fn clear(&mut self) {
        self.device = 0;
        self.root.truncate(0);
        self.point.truncate(0);
        self.cut = false;
    }
    /// Field 2 is the device, 3 the root, 4 the place.
    fn add(&mut self, field: usize, b: u8) {
        match field {
            2 => self.device = self.device.wrapping_mul(257).wrapping_add(u64::from(b)),
            3 => self.cut |= self.root.append(&[b]).is_err(),
            4 => self.cut |= self.point.append(&[b]).is_err(),
            _ => {}
        }
    }
}

/// Reads the lines of two mounts.
#[inline(never)]
pub fn read_lines(wanted: [u64; 2], lines: &mut [Line; 2]) -> Sys<()> {
    let mut parser = Parser::default();
    read(|b| {
        if b == b'\n' {
            parser = Parser::default();
            return;
        }
        if b == b' ' && parser.field == 0 {
            parser.line = wanted.iter().position(|w| *w == parser.id);
        }
        parser.take(b, lines);
    })?;
    if lines.iter().any(|l| l.cut) {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(())
}

/// Whether there is a line, by the mount's number and what stands there, of which this is true.
#[inline(never)]
pub fn any(mut is: impl FnMut(u64, &Line) -> bool) -> Sys<bool> {
    let mut parser = Parser::default();
    let mut lines = [Line::new()];
    let mut found = false;
    read(|b| {
        if b == b'\n' {
            let [line] = &mut lines;
            found |= line.cut || is(parser.id, line);
            line.clear();
            parser = Parser::default();
            return;
        }
        parser.line = Some(0);
        parser.take(b, &mut lines);
    })?;
    Ok(found)
}

/// The mount of an open object, by what the process knows of its descriptor: its file system is not asked.
#[cold]
#[inline(never)]
pub fn of_descriptor(n: i32) -> Sys<u64> {
    let mut name = Path::from_bytes(b"/proc/thread-self/fdinfo/").unwrap_or_default();
    sys::append_number(n as u32, &mut name);
    let info = spare(|| sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0))?;
    let mut buf = [0u8; 512];
    let len = sys::read(info, &mut buf);
    let _ = sys::close(info);
    let text = buf.get(..len?).unwrap_or(&[]);
    let id = text
        .split(|b| *b == b'\n')
        .find_map(|l| l.strip_prefix(b"mnt_id:\t"));
    let digits = id.filter(|d| !d.is_empty() && d.iter().all(u8::is_ascii_digit));
    let number = digits.map(|d| {
        d.iter().fold(0u64, |v, b| {
            let digit = u64::from(b.wrapping_sub(b'0'));
            v.wrapping_mul(10).wrapping_add(digit)
        })
    });
    number.ok_or(Errno::EIO)
}

fn read(mut take: impl FnMut(u8)) -> Sys<()> {
    let name = Path::from_bytes(b"/proc/thread-self/mountinfo").unwrap_or_default();
    let n = spare(|| sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0))?;
    let mut buf = [0u8; 4096];
    let r = loop {
        match sys::read(n, &mut buf) {
            Ok(0) => break Ok(()),
            Ok(k) => buf
                .get(..k)
                .unwrap_or(&[])
                .iter()
                .copied()
                .for_each(&mut take),
            Err(e) => break Err(e),
        }
    };
    let _ = sys::close(n);
    r
}

#[derive(Default)]
struct Parser {
    field: usize,
    id: u64,
    line: Option<usize>,
    /// Digits of an escape that are missing, and its value so far.
    escape: (u8, u8),
}

impl Parser {
    fn take(&mut self, b: u8, lines: &mut [Line]) {
        match b {
            b' ' => self.field = self.field.saturating_add(1),
            _ if self.field == 0 => {
                let digit = u64::from(b.wrapping_sub(b'0'));
                self.id = self.id.wrapping_mul(10).wrapping_add(digit);
            }
            _ => {
                if let Some(l) = self.line.and_then(|i| lines.get_mut(i))
                    && let Some(b) = self.plain(b)
                {
                    l.add(self.field, b);
                }
            }
        }
    }
    /// Takes `\ooo` back.
    fn plain(&mut self, b: u8) -> Option<u8> {
        match self.escape {
            (0, _) if b == b'\\' => {
                self.escape = (3, 0);
                None
            }
            (0, _) => Some(b),
            (left, v) => {
                let v = v.wrapping_mul(8).wrapping_add(b.wrapping_sub(b'0'));
                self.escape = (left.saturating_sub(1), v);
                (left == 1).then_some(v)
            }
        }
    }
}
