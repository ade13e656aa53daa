//! What a leg has written down, and what it would keep if it crashed now.
use crate::tree::Tree;

/// What a leg would keep.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// States since the last sync, one before each change; kept only if a crash is due.
    pub(crate) history: Vec<Tree>,
    /// Whether to keep them.
    pub keep: bool,
    /// Changes so far.
    pub changes: u64,
    /// So many of them must survive: a program was told so.
    pub promised: u64,
    /// Crashed: every call fails.
    pub gone: bool,
    /// What will be there when the leg comes back.
    pub(crate) kept: Option<Tree>,
}

impl Disk {
    /// A change is about to be made.
    pub fn before_change(&mut self, now: &Tree) {
        self.changes += 1;
        if self.keep {
            self.history.push(now.clone());
        }
    }
}
