//! Comparing and repairing an attached pair while programs use it: look without any lock, then take
//! the pair's locks for each difference, look again, act, release.
use super::equal::{Same, Seen, Work};
use super::file;
use super::heal::locked;
use super::keep::Keeper;
use super::mapped;
use super::walk::{Tally, Visit, walk};
use crate::fail::{Fail, Kind, Res};
use crate::pair::away;
use crate::pair::domain::Attached;
use crate::text;
use crate::tree::beneath::{Root, join};
use crate::tree::content::STOP;
use crate::tree::differs::Presence;
use crate::tree::probe;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mirror_core::word::LegState;
use mirror_core::{BothLocked, Leg};
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;

/// One confirmed difference, for a report.
pub struct Difference {
    /// Its path below the legs.
    pub rel: Vec<u8>,
    /// Who has it, and in what the objects differ.
    pub what: Presence,
    /// Type of the object, as a word.
    pub kind: &'static str,
}

/// The word for a type.
pub fn kind_word(seen: &Seen) -> &'static str {
    use rustix::fs::FileType as T;
    match seen.source.as_ref().or(seen.copy.as_ref()).map(|m| m.kind) {
        Some(T::RegularFile) => "file",
        Some(T::Directory) => "directory",
        Some(T::Symlink) => "symlink",
        Some(T::Fifo) => "fifo",
        Some(T::Socket) => "socket",
        Some(T::BlockDevice | T::CharacterDevice) => "device",
        _ => "object",
    }
}

struct Confirm<'a, F> {
    pair: &'a Attached,
    found: F,
}

impl<F: FnMut(&[u8], &Seen)> Visit for Confirm<'_, F> {
    fn differs(&mut self, work: &mut Work<'_>, rel: &[u8], _: Seen) -> io::Result<Seen> {
        let seen = locked(self.pair, |held| work.compare_held(rel, held)).map_err(to_io)??;
        if mapped::may_explain(self.pair, &seen) {
            // Nobody knows which of the two it is: such a file is not said to be equal, nor different.
            return Err(io::Error::other("a program has it mapped for writing"));
        }
        if seen.what.equal() {
            work.remember(rel)?;
        } else {
            (self.found)(rel, &seen);
        }
        Ok(seen)
    }
}

struct Repair<'a, F> {
    pair: &'a Attached,
    /// Told after each repair: paths repaired, versions kept.
    count: F,
    repaired: u64,
}

impl<F: FnMut(u64, u64)> Visit for Repair<'_, F> {
    fn differs(&mut self, work: &mut Work<'_>, rel: &[u8], _: Seen) -> io::Result<Seen> {
        let from = work.source.record.leg;
        let right = || self.pair.runtime.word().leg(from) == LegState::InSync;
        let act = |held: &BothLocked| match right() {
            true => work.make_equal(rel, held),
            // It was left behind meanwhile: what it lacks would go from the other leg too.
            false => Err(rustix::io::Errno::STALE.into()),
        };
        let seen = locked(self.pair, act).map_err(to_io)??;
        if !seen.what.equal() {
            self.repaired += 1;
            (self.count)(self.repaired, work.keeper.kept);
        }
        Ok(seen)
    }
}

fn to_io(f: Fail) -> io::Error {
    if f.kind == Kind::Interrupted {
        io::Error::from(rustix::io::Errno::INTR)
    } else {
        io::Error::other(f.text)
    }
}

/// A bar of bytes, drawn only on a terminal.
pub fn bar(total: u64, tail: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let b = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = format!(
        "[{{bar:24}}] {{binary_bytes}} of {{binary_total_bytes}}  {{percent}} %  {{binary_bytes_per_sec}}  {tail}"
    );
    if let Ok(s) = ProgressStyle::with_template(&template) {
        b.set_style(s.progress_chars("##-"));
    }
    b
}

/// Bytes of leg `from`, as a total for a progress bar.
pub fn total(p: &Attached, from: Leg) -> u64 {
    tree_bytes(&p.pair.legs[from].root).0
}

/// Bytes and files of a tree, without looking into files.
pub fn tree_bytes(root: &Root) -> (u64, u64) {
    let (mut bytes, mut files) = (0, 0);
    let mut todo: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(dir) = todo.pop() {
        if STOP.load(Ordering::Relaxed) {
            break;
        }
        let (Ok(list), Ok(fd)) = (root.names(&dir), root.dir(&dir)) else {
            continue;
        };
        for n in list {
            let Ok(st) =
                rustix::fs::statat(&fd, n.as_slice(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            match rustix::fs::FileType::from_raw_mode(st.st_mode) {
                rustix::fs::FileType::Directory => todo.push(crate::tree::beneath::join(&dir, &n)),
                rustix::fs::FileType::RegularFile => {
                    bytes += u64::try_from(st.st_size).unwrap_or(0);
                    files += 1;
                }
                _ => files += 1,
            }
        }
    }
    (bytes, files)
}

pub(super) fn work<'a>(p: &'a Attached, from: Leg, keeper: Keeper, bar: ProgressBar) -> Work<'a> {
    let f = probe::fidelity(p.pair.trees());
    let mut w = Work::new(
        &p.pair.legs[from],
        &p.pair.legs[from.other()],
        f,
        false,
        bar,
    );
    w.keeper = keeper;
    w.returns = from == Leg::A && away::is_away(&p.pair);
    w
}

pub(super) fn stopped(p: &Attached, e: io::Error, to: Leg) -> Fail {
    let copy = &p.pair.legs[to];
    let where_ = format!("leg {} ({})", copy.letter(), text::path(&copy.root.path));
    match e.raw_os_error() {
        Some(libc::EINTR) => Fail::new(Kind::Interrupted, "stopped"),
        Some(libc::ESTALE) => Fail::new(
            Kind::Leg,
            "a leg is not the directory that it was (unmounted, or replaced). Nothing more was done",
        ),
        Some(libc::ENOSPC | libc::EDQUOT) => Fail::failed(format!(
            "{where_} is full. Make room there, then type the same command again: it goes on"
        )),
        _ => Fail::failed(format!("{where_}: {}", crate::fail::reason(&e))),
    }
}

/// Compares both legs, `from` as the one that is right; every difference has been confirmed under the
/// locks.
pub fn compare(p: &Attached, from: Leg, bar: ProgressBar) -> Res<(Tally, Vec<Difference>)> {
    let mut found = Vec::new();
    let tally = confirm(p, from, bar, |rel, seen| {
        found.push(Difference {
            rel: rel.to_vec(),
            what: seen.what,
            kind: kind_word(seen),
        });
    })?;
    Ok((tally, found))
}

/// The same, each difference told as it is found.
pub fn confirm(
    p: &Attached,
    from: Leg,
    bar: ProgressBar,
    found: impl FnMut(&[u8], &Seen),
) -> Res<Tally> {
    let mut v = Confirm { pair: p, found };
    let mut w = work(p, from, Keeper::new(false), bar.clone());
    let tally = walk(&mut w, &mut v).map_err(|e| stopped(p, e, from.other()));
    bar.finish_and_clear();
    tally
}

/// Removes from the copy what a killed repair left half made. Whoever makes something there for a pair
/// in use holds the locks; only trials of the file system do not, and their process lives.
pub fn sweep(p: &Attached, from: Leg) -> Res<()> {
    const TMP: &[u8] = b".mirror/tmp";
    let root = &p.pair.legs[from.other()].root;
    let lives = |name: &[u8]| {
        let pid: String = name
            .iter()
            .skip_while(|b| !b.is_ascii_digit())
            .take_while(|b| b.is_ascii_digit())
            .map(|b| char::from(*b))
            .collect();
        std::path::Path::new("/proc")
            .join(pid)
            .join("stat")
            .exists()
    };
    let done = locked(p, |held| -> io::Result<()> {
        for name in root.names(TMP)?.iter().filter(|n| !lives(n)) {
            file::remove(root, &join(TMP, name), held)?;
        }
        Ok(())
    })?;
    done.map_err(|e| stopped(p, e, from.other()))
}

/// What a repair did.
pub struct Repaired {
    /// The walk.
    pub tally: Tally,
    /// Versions kept aside, their bytes, and versions that were not kept.
    pub kept: (u64, u64, u64),
    /// Where they are, below the losing leg's root.
    pub folder: Option<Vec<u8>>,
}

/// Walks once and makes every difference as it is on leg `from`. `count` is told after each what has been
/// done in this walk: paths repaired, versions kept.
pub fn repair(
    p: &Attached,
    from: Leg,
    keeper: Keeper,
    privileged: bool,
    bar: ProgressBar,
    same: &mut Option<Same>,
    count: impl FnMut(u64, u64),
) -> Res<Repaired> {
    let mut w = work(p, from, keeper, bar.clone());
    w.privileged = privileged;
    w.same = same.take();
    let mut visit = Repair {
        pair: p,
        count,
        repaired: 0,
    };
    let r = walk(&mut w, &mut visit);
    let made = std::mem::take(&mut w.made);
    for rel in made.into_iter().rev() {
        // A directory that cannot be given its attributes is found by the next walk.
        let _ = locked(p, |held| w.finish_made(&rel, held))?;
    }
    bar.finish_and_clear();
    *same = w.same.take();
    let tally = r.map_err(|e| stopped(p, e, from.other()))?;
    w.copy.root.sync()?;
    Ok(Repaired {
        tally,
        kept: (w.keeper.kept, w.keeper.bytes, w.keeper.skipped),
        folder: w.keeper.folder().map(<[u8]>::to_vec),
    })
}
