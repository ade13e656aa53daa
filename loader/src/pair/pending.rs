//! The list of paths known to differ, `.mirror/pending` of each leg, as the command reads it.
//!
//! Rule: a list that cannot be read whole is no empty list. Who cannot read it may not say that nothing differs, and
//! strikes nothing from it.
use crate::fail::{Fail, Kind, blind, reason};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::PerLeg;
use mirror_core::record::PENDING_LOG;
use std::io;
use std::path::PathBuf;

/// What both lists say.
pub struct Pending {
    /// The paths, each once.
    pub paths: Vec<Vec<u8>>,
    /// Lists that could not be read.
    pub unread: Vec<Unlisted>,
}

/// A list that could not be read.
pub struct Unlisted {
    /// Its file.
    pub file: PathBuf,
    /// A sentence.
    pub why: String,
    /// The list may be sound.
    pub blind: bool,
}

/// The bytes of a leg's list, all of them.
pub fn bytes(root: &Root) -> io::Result<Vec<u8>> {
    root.read(PENDING_LOG)
}

/// That a leg's list cannot be read.
fn unlisted(root: &Root, e: &io::Error) -> Unlisted {
    let file = root.path.join(text::show(PENDING_LOG));
    let why = format!(
        "{}: the list of paths known to differ cannot be read: {}",
        text::path(&file),
        reason(e)
    );
    let blind = blind(e);
    Unlisted { file, why, blind }
}

/// The same as a failure.
pub fn failed(root: &Root, e: &io::Error) -> Fail {
    Fail::new(Kind::Leg, unlisted(root, e).why)
}

/// The paths in a list, in the order in which they were found.
fn paths(list: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let lines = list.split(|&b| b == b'\n');
    lines.filter(|l| !l.is_empty()).map(text::unescape)
}

/// What both legs' lists say.
pub fn of(trees: PerLeg<&Root>) -> Pending {
    let (mut all, mut unread) = (vec![], vec![]);
    for root in trees {
        match bytes(root) {
            Ok(list) => all.extend(paths(&list)),
            Err(e) => unread.push(unlisted(root, &e)),
        }
    }
    all.sort();
    all.dedup();
    Pending { paths: all, unread }
}
