//! Walking two legs side by side.
use super::equal::{Seen, Work};
use crate::tree::beneath::join;
use crate::tree::content::check_stop;
use crate::tree::differs::Presence;
use crate::tree::{outer, symlink};
use std::io;

/// What a walk found.
#[derive(Default)]
pub struct Tally {
    /// Objects looked at (of both legs, each path once).
    pub objects: u64,
    /// Only on the source.
    pub missing: u64,
    /// Only on the copy.
    pub extra: u64,
    /// On both, but different.
    pub different: u64,
    /// Symlinks whose text leads out of the leg: what is there is not mirrored.
    pub links_out: u64,
    /// Files of either leg with names outside it.
    pub names_out: u64,
    /// Paths that could not be looked at or repaired, and why.
    pub trouble: Vec<(Vec<u8>, String)>,
}

impl Tally {
    /// All differences.
    pub fn differences(&self) -> u64 {
        self.missing + self.extra + self.different
    }
    fn add(&mut self, what: Presence) {
        match what {
            w if w.equal() => {}
            Presence::OnlySource => self.missing += 1,
            Presence::OnlyCopy => self.extra += 1,
            _ => self.different += 1,
        }
    }
}

/// What is done with a path that seems to differ (looked at without any lock).
pub trait Visit {
    /// Confirms or repairs. Returns what was found in the end.
    fn differs(&mut self, work: &mut Work<'_>, rel: &[u8], seen: Seen) -> io::Result<Seen>;
}

/// A visitor that believes what it sees: for trees that nobody changes.
pub struct Collect<F: FnMut(&[u8], &Seen)>(pub F);

impl<F: FnMut(&[u8], &Seen)> Visit for Collect<F> {
    fn differs(&mut self, _: &mut Work<'_>, rel: &[u8], seen: Seen) -> io::Result<Seen> {
        (self.0)(rel, &seen);
        Ok(seen)
    }
}

/// Errors after which going on makes no sense.
pub fn fatal(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ENOSPC
                | libc::EDQUOT
                | libc::EROFS
                | libc::ESTALE
                | libc::ENODEV
                | libc::ENOTCONN
        )
    ) || e.kind() == io::ErrorKind::Interrupted
}

fn names(work: &Work<'_>, rel: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let gone = |e: &io::Error| {
        matches!(
            e.raw_os_error(),
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
        )
    };
    let mut all = match work.source.root.names(rel) {
        Err(e) if gone(&e) && !rel.is_empty() => Vec::new(),
        r => r?,
    };
    match work.copy.root.names(rel) {
        Err(e) if gone(&e) && !rel.is_empty() => {}
        r => all.extend(r?),
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Walks everything. Differences go to `visit`; what cannot be handled is listed, not fatal, unless it
/// concerns the leg as a whole.
pub fn walk(work: &mut Work<'_>, visit: &mut dyn Visit) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut outer = [(); 2].map(|()| outer::Names::default());
    let mut todo: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(dir) = todo.pop() {
        for (leg, outer) in [work.source, work.copy].into_iter().zip(&mut outer) {
            outer.enter(&leg.root, &dir);
        }
        let list = match names(work, &dir) {
            Ok(l) => l,
            Err(e) if dir.is_empty() || fatal(&e) => return Err(e),
            Err(e) => {
                tally.trouble.push((dir, crate::fail::reason(&e)));
                continue;
            }
        };
        let mut below = Vec::new();
        for name in list {
            check_stop()?;
            let rel = join(&dir, &name);
            tally.objects += 1;
            match one(work, visit, &rel) {
                Ok(seen) => {
                    tally.add(seen.what);
                    tally.links_out += u64::from(leads_out(work, &rel, &seen));
                    for (m, outer) in [&seen.source, &seen.copy].into_iter().zip(&mut outer) {
                        if let Some(m) = m.as_ref().filter(|m| m.is_file()) {
                            outer.meet(m.id(), m.st.st_nlink);
                        }
                    }
                    let is_dir = |m: &Option<crate::tree::object::Meta>| {
                        m.as_ref().is_some_and(|m| m.is_dir())
                    };
                    if is_dir(&seen.source) || (seen.source.is_none() && is_dir(&seen.copy)) {
                        below.push(rel);
                    }
                }
                Err(e) if fatal(&e) => return Err(e),
                Err(e) => tally.trouble.push((rel, crate::fail::reason(&e))),
            }
        }
        // The first names first, so that progress and reports follow the alphabet.
        todo.extend(below.into_iter().rev());
    }
    for (leg, outer) in [work.source, work.copy].into_iter().zip(outer) {
        let inodes = outer.outside_of(&leg.root);
        tally.names_out += inodes.len() as u64;
        outer::list(&leg.root, &inodes);
    }
    Ok(tally)
}

/// Whether what stands there is a symlink that leads out of the source.
fn leads_out(work: &Work<'_>, rel: &[u8], seen: &Seen) -> bool {
    let root = work.source.root.path.as_os_str().as_encoded_bytes();
    seen.source.as_ref().is_some_and(|m| {
        m.kind == rustix::fs::FileType::Symlink && symlink::leads_out(root, rel, &m.target)
    })
}

fn one(work: &mut Work<'_>, visit: &mut dyn Visit, rel: &[u8]) -> io::Result<Seen> {
    let before = work.bar.position();
    let seen = work.compare(rel);
    let differs = seen.as_ref().map_or(true, |s| !s.what.equal());
    if !differs {
        let seen = seen?;
        if let (Some(s), Some(d)) = (&seen.source, &seen.copy) {
            work.links.note(rel, s, d);
            if s.is_file() && work.bar.position() == before {
                work.bar.inc(s.size());
            }
        }
        return Ok(seen);
    }
    work.bar.set_position(before);
    // An error may come from a change under way: it is looked at again under the locks.
    let seen = match seen {
        Ok(s) => s,
        Err(e) if fatal(&e) => return Err(e),
        Err(_) => Seen {
            source: None,
            copy: None,
            what: Presence::Neither,
        },
    };
    visit.differs(work, rel, seen)
}
