//! Signs of a pair's state that are looked for in several places.
use super::explain;
use super::finding::Finding;
use crate::fail::{Context, Res};
use crate::pair::legs::Pair;
use crate::pair::lock::Locks;
use crate::pair::runtime::Runtime;
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::sync::mapped;
use crate::sync::turn::Running;
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::probe;
use mirror_core::Leg;
use mirror_core::record::OWNER_RECORD;
use rustix::fs::{Mode, OFlags};

/// A repair is under way.
pub fn resyncing(r: &Running, v: &str) -> Finding {
    Finding {
        code: None,
        ..Finding::new(
            State::Resyncing,
            explain::PENDING,
            format!(
                "{} -> {} (pid {}): safe again when done; programs keep running",
                r.way.0, r.way.1, r.pid
            ),
        )
    }
    .act(format!("mirror wait {v}"), "returns when in sync")
}

/// Whether a leg has nothing in it, and the other one has: emptied by mistake, or not what it seems.
pub fn emptied(pair: &Pair, leg: Leg) -> Res<bool> {
    let trees = pair.trees();
    let names = |leg: Leg| trees[leg].names(b"").about(text::path(&trees[leg].path));
    Ok(names(leg)?.is_empty() && !names(leg.other())?.is_empty())
}

/// What to type where leg a was emptied while leg b was away: that it is right, and that leg b is. (No resync makes
/// leg a like a leg b that lacks what was done meanwhile, and none empties leg b.)
pub fn emptied_alone(l: &Line) -> [(String, &'static str); 2] {
    let v = text::shell(&l.virt);
    let again = super::lost::again(l, Leg::A, false);
    [
        (
            format!("mirror detach {v} && {again} --source b"),
            "if that was a mistake: look first whether leg a's disk is the right one; then leg a gets what leg b had when it was left behind",
        ),
        (
            format!("mirror leg replace {v} b NEW"),
            "if all shall be gone: with a new, empty leg b; the old one stays as it is",
        ),
    ]
}

/// Whether a leg cannot be written. A file system that has shut itself down may not say so when asked.
pub fn read_only(root: &Root) -> bool {
    let open = || root.control(OWNER_RECORD, OFlags::RDWR, Mode::empty());
    probe::read_only(root) || open().is_err_and(|e| e.raw_os_error() == Some(libc::EROFS))
}

/// Whether an announced change is that of a crashed process: its locks are free.
pub fn to_recover(rt: &Runtime, pair: &Pair) -> Res<bool> {
    let mut locks = Locks::open(pair.trees())?;
    Ok(locks.any_dead(rt) || mapped::count(rt, pair).dead != 0)
}
