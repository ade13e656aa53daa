//! One repair of a pair at a time, in one direction: two that ran in opposite directions would exchange
//! what they repair. The flock on `.mirror/resync` of both legs says who. Its text says what runs, for
//! display, and which repair has begun and not ended: its direction must not be forgotten.
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::legs::Pair;
use crate::pair::repairing::{FILE, LEN, file};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::{Leg, PerLeg};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The right to repair, until it is dropped.
pub struct Turn {
    held: PerLeg<OwnedFd>,
    from: Leg,
    begun: Option<Unfinished>,
}

/// A repair that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its process, as it said.
    pub pid: u32,
    /// Letters of the leg that is right and of the one that is made like it.
    pub way: (char, char),
}

/// A repair that has begun and not ended with both legs equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The leg that is right.
    pub from: Leg,
    /// Paths repaired so far, over all starts.
    pub repaired: u64,
    /// Versions kept so far.
    pub kept: u64,
    /// It went to its end and left so many paths. `None`: it was stopped.
    pub left: Option<u64>,
}

impl Unfinished {
    /// Letters of the leg that is right and of the one that is made like it.
    pub fn way(&self) -> (char, char) {
        (self.from.letter(), self.from.other().letter())
    }
}

/// What a text says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    /// No repair yet.
    None,
    /// The last one, and what is not finished.
    Last(Running, Option<Unfinished>),
    /// It cannot be understood.
    Damaged,
}

impl Text {
    fn parse(b: &[u8]) -> Text {
        let parsed = || -> Option<Text> {
            let mut f = std::str::from_utf8(b).ok()?.split_whitespace();
            let Some(pid) = f.next() else {
                return Some(Text::None);
            };
            let pid = pid.parse().ok()?;
            let leg = |f: &mut std::str::SplitWhitespace<'_>| {
                f.next().and_then(|w| Leg::from_letter(w.as_bytes()))
            };
            let (from, to) = (leg(&mut f)?, leg(&mut f)?);
            let running = Running {
                pid,
                way: (from.letter(), to.letter()),
            };
            let open = match f.next() {
                None => None,
                Some("unfinished") => {
                    let from = leg(&mut f)?;
                    let (repaired, kept) = (f.next()?.parse().ok()?, f.next()?.parse().ok()?);
                    let left = f.next().map(|n| n.parse().ok());
                    Some(Unfinished {
                        from,
                        repaired,
                        kept,
                        left: match left {
                            Some(None) => return None,
                            l => l.flatten(),
                        },
                    })
                }
                Some(_) => return None,
            };
            (from != to).then_some(Text::Last(running, open))
        };
        parsed().unwrap_or(Text::Damaged)
    }

    fn encode(from: Leg, open: Option<&Unfinished>) -> Vec<u8> {
        let mut s = format!(
            "{} {} {}",
            std::process::id(),
            from.letter(),
            from.other().letter()
        );
        if let Some(u) = open {
            s += &format!(" unfinished {} {} {}", u.from.letter(), u.repaired, u.kept);
            if let Some(n) = u.left {
                s += &format!(" {n}");
            }
        }
        let mut b = s.into_bytes();
        b.resize(LEN - 1, b' ');
        b.push(b'\n');
        b
    }
}

/// Whether a repair has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// No.
    No,
    /// Yes.
    Unfinished(Unfinished),
    /// The record of it is damaged: perhaps, and nobody knows in which direction.
    Unknown,
}

impl Open {
    fn of(texts: PerLeg<Text>) -> Open {
        // Leg a's is written first, before anything is repaired: where the two disagree, leg b's is the
        // direction in which something has been done.
        let mut open = Open::No;
        for t in texts {
            match t {
                Text::Last(_, Some(u)) => open = Open::Unfinished(u),
                Text::Damaged if open == Open::No => open = Open::Unknown,
                _ => {}
            }
        }
        open
    }
}

fn open(root: &Root) -> Res<OwnedFd> {
    file(root).about(format!("{}/{}", text::path(&root.path), text::show(FILE)))
}

/// Takes the turn for a repair from leg `from`; refuses while another repair runs. What is not
/// finished stays on record.
pub fn take(p: &Pair, from: Leg) -> Res<Turn> {
    let roots = p.trees();
    let held = PerLeg {
        a: open(roots.a)?,
        b: open(roots.b)?,
    };
    for fd in &held {
        // `status` holds it for moments, to see whether it is free.
        let mut tries = 0;
        while let Err(e) = rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(Fail::io(text::path(&p.line.virt), e));
            }
            tries += 1;
            if tries == 10 {
                let who = match read(fd) {
                    Text::Last(r, _) => describe(&r),
                    _ => "another process".into(),
                };
                return Err(Fail::new(
                    Kind::Busy,
                    format!(
                        "{}: {who} is running. One repair at a time: mirror wait {}",
                        text::path(&p.line.virt),
                        text::shell(&p.line.virt)
                    ),
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for fd in &held {
        let old = match read(fd) {
            Text::Last(_, open) => open,
            Text::None => None,
            // Not written over: what it said is not known.
            Text::Damaged => continue,
        };
        // For display only.
        let _ = rustix::io::pwrite(fd, &Text::encode(from, old.as_ref()), 0);
    }
    Ok(Turn {
        held,
        from,
        begun: None,
    })
}

impl Turn {
    fn write(&self, open: Option<&Unfinished>) -> io::Result<()> {
        let text = Text::encode(self.from, open);
        for fd in &self.held {
            let mut done = 0;
            while done < text.len() {
                done += rustix::io::pwrite(fd, &text[done..], done as u64)?;
            }
            rustix::fs::ftruncate(fd, LEN as u64)?;
            rustix::fs::fdatasync(fd)?;
        }
        Ok(())
    }

    /// Puts the direction on record, on both legs, before the first repair. What an interrupted repair in
    /// the same direction has done counts on.
    pub fn begin(&mut self) -> io::Result<Unfinished> {
        let before = Open::of(self.held.as_ref().map(read));
        let u = match before {
            Open::Unfinished(u) if u.from == self.from => Unfinished { left: None, ..u },
            _ => Unfinished {
                from: self.from,
                repaired: 0,
                kept: 0,
                left: None,
            },
        };
        self.write(Some(&u))?;
        self.begun = Some(u);
        Ok(u)
    }

    /// Puts what has been done by now on record. For display: a count that is not written is no harm.
    pub fn count(&mut self, repaired: u64, kept: u64) {
        if let Some(u) = &mut self.begun {
            u.repaired = repaired;
            u.kept = kept;
            let text = Text::encode(self.from, Some(u));
            for fd in &self.held {
                let _ = rustix::io::pwrite(fd, &text, 0);
            }
        }
    }

    /// The repair went to its end, and left so many paths.
    pub fn left(&mut self, paths: u64) -> io::Result<()> {
        match &mut self.begun {
            Some(u) => {
                u.left = Some(paths);
                let u = *u;
                self.write(Some(&u))
            }
            None => Ok(()),
        }
    }

    /// Both legs are equal: nothing is unfinished.
    pub fn whole(&mut self) -> io::Result<()> {
        self.begun = None;
        self.write(None)
    }
}

fn describe(r: &Running) -> String {
    format!("a repair from {} to {} (pid {})", r.way.0, r.way.1, r.pid)
}

fn read(fd: &OwnedFd) -> Text {
    let mut b = [0u8; LEN];
    match rustix::io::pread(fd, &mut b, 0) {
        Ok(n) => Text::parse(b.get(..n).unwrap_or_default()),
        Err(_) => Text::Damaged,
    }
}

fn look(root: &Root) -> Text {
    match root.control(FILE, OFlags::RDONLY, Mode::empty()) {
        Ok(fd) => read(&fd),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Text::None,
        Err(_) => Text::Damaged,
    }
}

/// The repair that runs now, if one does.
pub fn running(p: &Pair) -> Option<Running> {
    let root = &p.legs.a.root;
    let fd = root.control(FILE, OFlags::RDONLY, Mode::empty()).ok()?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Some(match read(&fd) {
            Text::Last(r, _) => r,
            _ => Running {
                pid: 0,
                way: ('a', 'b'),
            },
        }),
        _ => None,
    }
}

/// Whether a repair has begun and not ended.
pub fn unfinished(p: &Pair) -> Open {
    Open::of(p.trees().map(look))
}

/// A comparison has found both legs equal: no repair is unfinished, unless one runs.
pub fn none_needed(p: &Pair, from: Leg) {
    if unfinished(p) != Open::No
        && let Ok(mut turn) = take(p, from)
    {
        // Otherwise it stays on record: a resync then finds nothing to do.
        let _ = turn.whole();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_understood() {
        let Text::Last(r, None) = Text::parse(b"4711 b a\n") else {
            panic!("an older text");
        };
        assert_eq!((r.pid, r.way), (4711, ('b', 'a')));
        assert_eq!(Text::parse(b"  \n"), Text::None);
        for bad in [
            "x a b",
            "1 a a",
            "1 a",
            "1 a b c",
            "1 a b unfinished",
            "1 a b unfinished b 1 1 x",
        ] {
            assert_eq!(Text::parse(bad.as_bytes()), Text::Damaged, "{bad}");
        }
        let u = Unfinished {
            from: Leg::B,
            repaired: 128,
            kept: 3,
            left: Some(2),
        };
        let b = Text::encode(Leg::A, Some(&u));
        assert_eq!(b.len(), LEN);
        assert!(matches!(Text::parse(&b), Text::Last(r, Some(x)) if x == u && r.way == ('a', 'b')));
        let long = Unfinished {
            repaired: u64::MAX,
            kept: u64::MAX,
            left: Some(u64::MAX),
            ..u
        };
        assert_eq!(Text::encode(Leg::A, Some(&long)).len(), LEN);
    }

    #[test]
    fn where_legs_disagree_leg_b_knows() {
        let t = |from| {
            Text::parse(&Text::encode(
                Leg::A,
                Some(&Unfinished {
                    from,
                    repaired: 0,
                    kept: 0,
                    left: None,
                }),
            ))
        };
        let of = |a, b| match Open::of(PerLeg { a, b }) {
            Open::Unfinished(u) => Some(u.from),
            _ => None,
        };
        // Killed while it was turned round, before anything was done.
        assert_eq!(of(t(Leg::A), t(Leg::B)), Some(Leg::B));
        assert_eq!(of(t(Leg::A), Text::None), Some(Leg::A));
        assert_eq!(of(Text::None, t(Leg::B)), Some(Leg::B));
        assert_eq!(of(t(Leg::B), Text::Damaged), Some(Leg::B));
        assert_eq!(Open::of([Text::Damaged, Text::None].into()), Open::Unknown);
        assert_eq!(Open::of([Text::None, Text::None].into()), Open::No);
    }
}
