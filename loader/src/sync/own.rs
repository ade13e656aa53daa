//! Files that the command itself writes – a mirrortab, prepared images, verdicts – may lie in a tree of a
//! pair: in a home that is mirrored. The library leaves this command alone, so they are carried over here.
use super::heal::locked;
use super::keep::Keeper;
use super::session;
use crate::fail::Res;
use crate::pair::domain;
use crate::pair::legs::Pair;
use crate::pair::tab::{self, Line};
use indicatif::ProgressBar;
use mirror_core::Leg;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Makes a file that was just written, and the directories above it, equal on the other leg, if it lies in
/// a leg. What does not come of it (nobody may, a leg is away) is found by `mirror verify`.
pub fn carry(file: &Path) {
    let (Ok(lines), Ok(file)) = (tab::load(), std::fs::canonicalize(file)) else {
        return;
    };
    for line in &lines {
        for (leg, path) in line.legs.each() {
            let root = std::fs::canonicalize(path);
            if let Some(rel) = root.ok().and_then(|r| file.strip_prefix(r).ok()) {
                let _ = carry_one(line, leg, rel.as_os_str().as_bytes());
            }
        }
    }
}

fn carry_one(line: &Line, from: Leg, rel: &[u8]) -> Res<()> {
    let p = domain::attach(Pair::open(line)?)?;
    let mut w = session::work(&p, from, Keeper::new(false), ProgressBar::hidden());
    let done = locked(&p, |held| {
        let seen = w.make_equal(rel, held);
        for made in std::mem::take(&mut w.made).into_iter().rev() {
            let _ = w.finish_made(&made, held);
        }
        seen.map(drop)
    })?;
    done.map_err(|e| session::stopped(&p, e, from.other()))
}
