//! Verdicts on files: whether their executable text has an instruction of its own that makes a system
//! call, which the prepared libc does not see. `libmirror.so` looks its process's files up in what is
//! written here (docs/FORMATS.md).
//!
//! Rules of this module: clean is a proof, or it is not said. Bytes that could be such an instruction are
//! refuted only by decoding the function that they lie in from its start; what lies in no known function,
//! or behind something that is no instruction, is not settled.
mod closure;
mod file;
mod places;
mod search;
mod store;
#[cfg(test)]
mod tests;

pub use closure::closure;
pub use file::Key;
pub use mirror_core::verdicts::Verdict;
pub use places::{files, folders};
pub use store::Store;

use std::fs::File;
use std::io;
use std::path::Path;

/// What was found out about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it is found by; `None`: it has no build-id that can be a key, and is judged each time.
    pub key: Option<Key>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Judges a file without looking into any record; `None`: not a program or library of this machine.
pub fn judge(path: &Path) -> io::Result<Option<Judged>> {
    let f = File::open(path)?;
    let Some(head) = file::Head::read(&f)? else {
        return Ok(None);
    };
    Ok(Some(Judged {
        verdict: search::verdict(&f, &head)?,
        key: head.key,
    }))
}
