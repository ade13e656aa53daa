//! Signs of a pair's state that are looked for in several places.
use super::explain;
use super::finding::Finding;
use crate::pair::state::State;
use crate::sync::turn::Running;
use crate::tree::beneath::Root;
use crate::tree::probe;
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

/// Whether a leg cannot be written. A file system that has shut itself down may not say so when asked.
pub fn read_only(root: &Root) -> bool {
    let open = || root.control(OWNER_RECORD, OFlags::RDWR, Mode::empty());
    probe::read_only(root) || open().is_err_and(|e| e.raw_os_error() == Some(libc::EROFS))
}
