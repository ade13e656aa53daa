//! Files that somebody has mapped for writing: what their second leg holds is not what the first one held before.
use crate::change::target::{Cx, Hint};

impl Hint {
    /// This path.
    pub fn set(&mut self, path: &[u8]) {
        self.len = 0;
        if let Some(d) = self.buf.get_mut(..path.len()) {
            d.copy_from_slice(path);
            self.len = path.len();
        }
    }
}

impl Cx<'_> {
    /// Whether the file of this change is mapped so.
    pub fn is_mapped(&self) -> bool {
        let inode = self.intent.inode.a;
        inode != 0 && self.s.runtime().mapped_file(inode).is_some()
    }
}
