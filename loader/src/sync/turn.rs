//! One repair of a pair at a time, in one direction: two that ran in opposite directions would exchange
//! what they repair. The flock on `.mirror/resync` of both legs says who; its text is for display.
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::control::{Pair, letter};
use crate::text;
use crate::tree::beneath::like_folder;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The lock file, in each leg.
pub const FILE: &[u8] = b".mirror/resync";

/// The right to repair, until it is dropped.
pub struct Turn {
    _held: [OwnedFd; 2],
}

/// A repair that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its process, as it said.
    pub pid: u32,
    /// Letters of the leg that is right and of the one that is made like it.
    pub way: (char, char),
}

impl Running {
    fn parse(s: &str) -> Option<Running> {
        let mut f = s.split_whitespace();
        let pid = f.next()?.parse().ok()?;
        let mut one = || f.next().and_then(|w| w.chars().next());
        Some(Running {
            pid,
            way: (one()?, one()?),
        })
    }
}

fn open(p: &Pair, i: usize) -> Res<OwnedFd> {
    let root = &p.legs[i].root;
    let flags = OFlags::RDWR | OFlags::CREATE;
    let about = || format!("{}/{}", text::path(&root.path), text::show(FILE));
    let fd = root
        .control(FILE, flags, Mode::RUSR | Mode::WUSR)
        .about(about())?;
    like_folder(&root.dir(b".mirror").about(about())?, &fd);
    Ok(fd)
}

/// Takes the turn for a repair from leg `from`; refuses while another repair runs.
pub fn take(p: &Pair, from: usize) -> Res<Turn> {
    let held = [open(p, 0)?, open(p, 1)?];
    for fd in &held {
        // `status` holds it for moments, to see whether it is free.
        let mut tries = 0;
        while let Err(e) = rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(Fail::io(text::path(&p.line.virt), e));
            }
            tries += 1;
            if tries == 10 {
                let who = read(fd).map_or_else(|| "another process".into(), describe);
                return Err(Fail::new(
                    Kind::Busy,
                    format!(
                        "{}: {who} is at it. One repair at a time: mirror wait {}",
                        text::path(&p.line.virt),
                        text::shell(&p.line.virt)
                    ),
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let (from, to) = (letter(from), letter(1 - from));
    let line = format!("{} {from} {to}\n", std::process::id());
    for fd in &held {
        // For display only.
        let _ = rustix::fs::ftruncate(fd, 0);
        let _ = rustix::io::pwrite(fd, line.as_bytes(), 0);
    }
    Ok(Turn { _held: held })
}

fn describe(r: Running) -> String {
    format!("a repair from {} to {} (pid {})", r.way.0, r.way.1, r.pid)
}

fn read(fd: &OwnedFd) -> Option<Running> {
    let mut b = [0u8; 64];
    let n = rustix::io::pread(fd, &mut b, 0).ok()?;
    Running::parse(std::str::from_utf8(b.get(..n)?).ok()?)
}

/// The repair that runs now, if one does.
pub fn running(p: &Pair) -> Option<Running> {
    let root = &p.legs[0].root;
    let fd = root.control(FILE, OFlags::RDONLY, Mode::empty()).ok()?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => read(&fd).or(Some(Running {
            pid: 0,
            way: ('a', 'b'),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_understood() {
        let r = Running::parse("4711 b a\n").unwrap();
        assert_eq!((r.pid, r.way), (4711, ('b', 'a')));
        assert_eq!(Running::parse(""), None);
        assert_eq!(Running::parse("x a b"), None);
    }
}
