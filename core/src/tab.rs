//! The mirrortab (mirrortab(5)): one line per pair, in the manner of fstab(5):
//! `virtual  leg-a  leg-b  options`, with the escapes \040 \011 \012 \134 and `#` comments.
//! Shared by the command and the preloaded library, so it never allocates.
use crate::path::PATH_MAX;
use crate::record::Id;
use crate::{LockKind, PerLeg};

/// What a pair does when a leg is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Go on with the other leg, marked.
    Degrade,
    /// Undo where it can be, errno to the program.
    Fail,
}

/// What a pair does when the partner is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Undo, ENOSPC to the program.
    Error,
    /// Go on with the other leg, marked.
    Degrade,
}

/// What happens when a program is started that cannot be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmirrorable {
    /// It is counted and told.
    Warn,
    /// It is not started: EACCES.
    Refuse,
    /// It is counted, and not told.
    Quiet,
}

/// The options of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `on-failure=`
    pub on_failure: OnFailure,
    /// `on-full=`
    pub on_full: OnFull,
    /// `id=`: the pair's id. A leg of another pair is refused.
    pub id: Option<Id>,
    /// `uid=`: the user to whom both legs' `.mirror` belong. Another one's is refused.
    pub uid: Option<u32>,
    /// `root-wait=`: for so many seconds programs of root wait for a lock in a pair of another user;
    /// 0: for ever.
    pub root_wait: u32,
    /// `unmirrorable=`
    pub unmirrorable: Unmirrorable,
    /// `locks=`: programs with other locks are refused. `None`: what the pair's programs have.
    pub locks: Option<LockKind>,
}

/// [`Options::root_wait`] unless the tab says otherwise.
pub const ROOT_WAIT: u32 = 120;

impl Options {
    /// What stands for an empty or missing field, or `defaults`.
    pub const DEFAULT: Options = Options {
        on_failure: OnFailure::Fail,
        on_full: OnFull::Error,
        id: None,
        uid: None,
        root_wait: ROOT_WAIT,
        unmirrorable: Unmirrorable::Warn,
        locks: None,
    };
}

/// Room for the texts of any pair.
pub const ROOM: usize = 3 * PATH_MAX;

/// One pair as a line of the tab gives it. Paths are absolute and normal.
pub struct Entry<'a> {
    /// The virtual directory (equal to leg A in place, or a symlink to the source leg), then legs A and B,
    /// one behind the other, each with a NUL behind it.
    room: &'a mut [u8],
    ends: [usize; 3],
    /// Policies.
    pub options: Options,
    /// The line's number in its file, from 1.
    pub line: u32,
}

impl<'a> Entry<'a> {
    /// An empty entry to parse into. Less room than [`ROOM`] is enough for short paths
    /// ([`Fault::NoRoom`] otherwise).
    pub const fn over(room: &'a mut [u8]) -> Entry<'a> {
        Entry {
            room,
            ends: [0; 3],
            options: Options::DEFAULT,
            line: 0,
        }
    }
    fn start(&self, which: usize) -> usize {
        match which
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
        {
            Some(end) => end.saturating_add(1),
            None => 0,
        }
    }
    fn text(&self, which: usize) -> &[u8] {
        let end = self.ends.get(which).copied().unwrap_or(0);
        self.room.get(self.start(which)..end).unwrap_or(&[])
    }
    /// The virtual directory.
    pub fn virt(&self) -> &[u8] {
        self.text(0)
    }
    /// Legs A and B.
    pub fn legs(&self) -> PerLeg<&[u8]> {
        [self.text(1), self.text(2)].into()
    }
    /// V and both legs.
    pub fn paths(&self) -> [&[u8]; 3] {
        [0, 1, 2].map(|which| self.text(which))
    }
    /// How much of the room the three texts take, with the NUL behind each.
    pub fn used(&self) -> usize {
        self.ends.last().map_or(0, |end| end.saturating_add(1))
    }
    /// Whether V is leg A itself.
    pub fn in_place(&self) -> bool {
        self.text(0) == self.text(1)
    }
    /// Stores a text; those before it have been stored.
    #[inline(never)]
    fn store(&mut self, which: usize, text: Text<'_>) -> Result<(), Fault> {
        let start = self.start(which);
        let mut end = start;
        let mut put = |at: usize, byte: u8| match self.room.get_mut(at) {
            Some(place) => {
                *place = byte;
                Ok(())
            }
            None => Err(Fault::NoRoom),
        };
        for byte in text {
            put(end, byte?)?;
            end = end.saturating_add(1);
            if end.saturating_sub(start) >= PATH_MAX {
                return Err(Fault::TooLong);
            }
        }
        put(end, 0)?;
        if let Some(e) = self.ends.get_mut(which) {
            *e = end;
        }
        Ok(())
    }
}

/// What is wrong with a line or a MIRROR value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fewer than three fields.
    MissingField,
    /// More than four fields.
    ExtraField,
    /// A path is not absolute.
    NotAbsolute,
    /// A path contains "." or ".." components, "//", a trailing slash, or a NUL, where the kernel stops.
    NotNormal,
    /// A path is too long (PATH_MAX).
    TooLong,
    /// The room that was given to the entry is too small.
    NoRoom,
    /// An escape other than \040 \011 \012 \134.
    BadEscape,
    /// An option that does not exist.
    UnknownOption,
    /// An option's value that does not exist.
    BadValue,
    /// Legs are the same or one contains the other.
    LegsOverlap,
    /// V lies inside a leg, or a leg inside V, without V being leg A.
    VirtualOverlap,
    /// MIRROR: more than one ':' or '=', or an empty part; paths with these signs need a mirrortab.
    BadMirrorValue,
}

impl Fault {
    /// The message of this fault, for one line of output.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::MissingField => "needs three fields: virtual leg-a leg-b [options]",
            Fault::ExtraField => "has more than four fields (write a space in a path as \\040)",
            Fault::NotAbsolute => "has a path that is not absolute",
            Fault::NotNormal => "has a path with '.', '..', '//', a NUL, or a '/' at its end",
            Fault::TooLong | Fault::NoRoom => "has a path that is too long",
            Fault::BadEscape => "has an escape other than \\040 \\011 \\012 \\134",
            Fault::UnknownOption => {
                "has an unknown option (on-failure=degrade|fail, on-full=error|degrade, unmirrorable=warn|refuse|quiet, id=, uid=, root-wait=, locks=flock|memory)"
            }
            Fault::BadValue => {
                "has an unknown value (on-failure=degrade|fail, on-full=error|degrade, unmirrorable=warn|refuse|quiet, id=32 hex digits, uid=number, root-wait=seconds, locks=flock|memory)"
            }
            Fault::LegsOverlap => "has legs that are the same or contain one another",
            Fault::VirtualOverlap => "has a virtual directory that overlaps a leg",
            Fault::BadMirrorValue => {
                "is not V=A:B or A:B (a path with ':' or '=' needs a mirrortab)"
            }
        }
    }
}

/// Parses one line (without its newline). `Ok(false)`: blank or a comment.
pub fn parse_line(line: &[u8], number: u32, out: &mut Entry<'_>) -> Result<bool, Fault> {
    let mut fields = line
        .split(|c| matches!(c, b' ' | b'\t' | b'\r'))
        .filter(|f| !f.is_empty());
    let Some(first) = fields.next() else {
        return Ok(false);
    };
    if first.first() == Some(&b'#') {
        return Ok(false);
    }
    out.line = number;
    out.options = Options::DEFAULT;
    let a = fields.next().ok_or(Fault::MissingField)?;
    let b = fields.next().ok_or(Fault::MissingField)?;
    for (which, field) in [first, a, b].into_iter().enumerate() {
        out.store(
            which,
            Text {
                rest: field,
                escaped: true,
            },
        )?;
    }
    match fields.next() {
        None => {}
        Some(f) if f.first() == Some(&b'#') => return check(out).map(|()| true),
        Some(f) => parse_options(f, &mut out.options)?,
    }
    match fields.next() {
        None => {}
        Some(f) if f.first() == Some(&b'#') => {}
        Some(_) => return Err(Fault::ExtraField),
    }
    check(out)?;
    Ok(true)
}

/// Parses `MIRROR`: `V=A:B`, or `A:B` (in place, V is A).
pub fn parse_mirror(value: &[u8], out: &mut Entry<'_>) -> Result<(), Fault> {
    let count = |c: u8| value.iter().filter(|&&x| x == c).count();
    if count(b':') != 1 || count(b'=') > 1 {
        return Err(Fault::BadMirrorValue);
    }
    let (v, legs) = match value.iter().position(|&c| c == b'=') {
        Some(i) => (
            value.get(..i),
            value.get(i.wrapping_add(1)..).unwrap_or(&[]),
        ),
        None => (None, value),
    };
    let mut parts = legs.split(|&c| c == b':');
    let (Some(a), Some(b)) = (parts.next(), parts.next()) else {
        return Err(Fault::BadMirrorValue);
    };
    let v = v.unwrap_or(a);
    if v.is_empty() || a.is_empty() || b.is_empty() {
        return Err(Fault::BadMirrorValue);
    }
    out.options = Options::DEFAULT;
    out.line = 0;
    for (which, text) in [v, a, b].into_iter().enumerate() {
        out.store(
            which,
            Text {
                rest: text,
                escaped: false,
            },
        )?;
    }
    check(out)
}

fn parse_options(field: &[u8], o: &mut Options) -> Result<(), Fault> {
    for opt in field.split(|&c| c == b',') {
        let (key, value) = match opt.iter().position(|&c| c == b'=') {
            Some(i) => (
                opt.get(..i).unwrap_or(opt),
                opt.get(i.wrapping_add(1)..).unwrap_or(&[]),
            ),
            None => (opt, &b""[..]),
        };
        match (key, value) {
            (b"defaults", b"") => {}
            (b"on-failure", b"degrade") => o.on_failure = OnFailure::Degrade,
            (b"on-failure", b"fail") => o.on_failure = OnFailure::Fail,
            (b"on-full", b"error") => o.on_full = OnFull::Error,
            (b"on-full", b"degrade") => o.on_full = OnFull::Degrade,
            (b"unmirrorable", b"warn") => o.unmirrorable = Unmirrorable::Warn,
            (b"unmirrorable", b"refuse") => o.unmirrorable = Unmirrorable::Refuse,
            (b"unmirrorable", b"quiet") => o.unmirrorable = Unmirrorable::Quiet,
            (b"id", v) => o.id = Some(Id::from_hex(v).ok_or(Fault::BadValue)?),
            (b"uid", v) => o.uid = Some(number(v).ok_or(Fault::BadValue)?),
            (b"locks", v) => o.locks = Some(LockKind::parse(v).ok_or(Fault::BadValue)?),
            (b"root-wait", v) => o.root_wait = number(v).ok_or(Fault::BadValue)?,
            (b"on-failure" | b"on-full" | b"unmirrorable", _) => return Err(Fault::BadValue),
            _ => return Err(Fault::UnknownOption),
        }
    }
    Ok(())
}

fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |n, &c| {
        let digit = c.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// The bytes that a text stands for.
struct Text<'a> {
    rest: &'a [u8],
    escaped: bool,
}

impl Iterator for Text<'_> {
    type Item = Result<u8, Fault>;

    fn next(&mut self) -> Option<Result<u8, Fault>> {
        let (&c, tail) = self.rest.split_first()?;
        self.rest = tail;
        if c != b'\\' || !self.escaped {
            return Some(Ok(c));
        }
        self.rest = tail.get(3..).unwrap_or(&[]);
        Some(match tail.get(..3) {
            Some(b"040") => Ok(b' '),
            Some(b"011") => Ok(b'\t'),
            Some(b"012") => Ok(b'\n'),
            Some(b"134") => Ok(b'\\'),
            _ => Err(Fault::BadEscape),
        })
    }
}

fn normal(p: &[u8]) -> Result<(), Fault> {
    let Some((b'/', rest)) = p.split_first() else {
        return Err(Fault::NotAbsolute);
    };
    // "/" itself cannot be a leg or V: everything overlaps it.
    if rest
        .split(|&c| c == b'/')
        .any(|c| c.is_empty() || c == b"." || c == b".." || c.contains(&0))
    {
        return Err(Fault::NotNormal);
    }
    Ok(())
}

/// Whether two absolute, normal texts are equal or one contains the other.
pub fn overlap(a: &[u8], b: &[u8]) -> bool {
    !matches!(crate::path::under(a, b), crate::path::Under::Outside)
}

fn check(e: &Entry<'_>) -> Result<(), Fault> {
    e.paths().into_iter().try_for_each(normal)?;
    let PerLeg { a, b } = e.legs();
    if overlap(a, b) {
        return Err(Fault::LegsOverlap);
    }
    if !e.in_place() && e.legs().into_iter().any(|l| overlap(e.virt(), l)) {
        return Err(Fault::VirtualOverlap);
    }
    Ok(())
}

/// The lines of a tab's text with their numbers, from 1.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    text.split(|&c| c == b'\n').zip(1u32..).map(|(l, n)| (n, l))
}

#[cfg(test)]
#[path = "tab_tests.rs"]
mod tests;
