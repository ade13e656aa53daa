//! What an audit holds for a decision: names that went away on one leg, `.mirror/held` of leg a. A line each:
//! the leg's letter, when (seconds since 1970), the path, who (both with fstab's escapes).
use crate::text;
use crate::tree::beneath::{Root, like_folder};
use mirror_core::path::is_control;
use mirror_core::{BothLocked, Leg};
use rustix::fs::{Mode, OFlags};
use std::io;

/// The file.
pub const FILE: &[u8] = b".mirror/held";

/// A name that went away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The leg where it went away.
    pub leg: Leg,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Below the leg.
    pub rel: Vec<u8>,
    /// Who did it.
    pub by: String,
}

impl Held {
    fn line(&self) -> Vec<u8> {
        let mut b = format!("{} {} ", self.leg.letter(), self.time).into_bytes();
        b.extend(text::escape(&self.rel));
        b.push(b' ');
        b.extend(text::escape(self.by.as_bytes()));
        b.push(b'\n');
        b
    }

    fn parse(line: &[u8]) -> Option<Held> {
        let mut words = line.split(|b| *b == b' ');
        let leg = Leg::from_letter(words.next()?)?;
        let time = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let rel = text::unescape(words.next()?);
        let by = text::show(&text::unescape(words.next()?));
        // The whole leg, and what is not a user's, is nobody's to decide.
        let names = || rel.split(|b| *b == b'/');
        let plain = names().all(|n| !n.is_empty() && n != b"." && n != b"..");
        (plain && !rel.contains(&0) && !is_control(&rel)).then_some(Held { leg, time, rel, by })
    }

    /// A line of a list.
    pub fn shown(&self, before: &str) -> String {
        format!(
            "{}  gone on leg {}: {before}{}   by {}",
            text::iso(self.time),
            self.leg.letter(),
            text::below(&self.rel),
            self.by
        )
    }
}

/// All of them, a path once.
pub fn read(root: &Root) -> Vec<Held> {
    parse(&root.read(FILE).unwrap_or_default())
}

/// The file's lines; what is none is passed over.
pub fn parse(b: &[u8]) -> Vec<Held> {
    let mut all: Vec<Held> = b.split(|b| *b == b'\n').filter_map(Held::parse).collect();
    all.sort_by(|x, y| (&x.rel, y.time).cmp(&(&y.rel, x.time)));
    all.dedup_by(|x, y| x.rel == y.rel);
    all
}

/// Adds one.
pub fn add(root: &Root, h: &Held, _: &BothLocked) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let fd = root.control(FILE, flags, Mode::RUSR | Mode::WUSR)?;
    if rustix::fs::fstat(&fd)?.st_size == 0 {
        like_folder(&root.dir(b".mirror")?, &fd);
    }
    let line = h.line();
    match rustix::io::write(&fd, &line)? {
        n if n == line.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Writes what is left of them.
pub fn write(root: &Root, all: &[Held], _: &BothLocked) -> io::Result<()> {
    let lines: Vec<u8> = all.iter().flat_map(Held::line).collect();
    root.replace(FILE, &lines)
}

/// Nothing is held any more.
pub fn clear(root: &Root, held: &BothLocked) {
    if !read(root).is_empty() {
        let _ = write(root, &[], held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back() {
        let h = |rel: &[u8], time| Held {
            leg: Leg::B,
            time,
            rel: rel.into(),
            by: "rm[7] root".into(),
        };
        let all = [h(b"a b/c\n\xff", 1), h(b"d", 2)];
        let lines: Vec<u8> = all.iter().flat_map(Held::line).collect();
        assert_eq!(parse(&lines), all);
        // The newest of a path.
        assert_eq!(
            parse(&[h(b"d", 1).line(), h(b"d", 2).line()].concat()),
            [h(b"d", 2)]
        );
        for bad in [
            &b"a 1  x"[..],
            b"c 1 f x",
            b"a 1 ../f x",
            b"a 1 .mirror/leg x",
            b"a 1 f",
            b"a x f x",
            b"a 1 /f x",
            b"a 1 d/./f x",
            b"",
        ] {
            assert_eq!(parse(bad), [], "{bad:?}");
        }
        // Any cut, and any byte turned, is read, and what is taken is a name below a leg.
        for at in 0..lines.len() {
            let mut turned = lines.clone();
            turned[at] ^= 0x2f;
            for b in [&lines[..at], &turned] {
                for h in parse(b) {
                    assert!(!h.rel.is_empty() && !h.rel.starts_with(b"/"));
                    assert!(!is_control(&h.rel));
                }
            }
        }
    }
}
