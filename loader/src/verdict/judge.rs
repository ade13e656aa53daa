//! The judgement on one file, without any record.
use super::file::{Head, Key};
use super::search;
use mirror_core::verdicts::Verdict;
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
    let Some(head) = Head::read(&f)? else {
        return Ok(None);
    };
    Ok(Some(Judged {
        verdict: search::verdict(&f, &head)?,
        key: head.key,
    }))
}
