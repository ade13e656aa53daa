//! The columns of the tables: where the same work is done.
use super::ground::Ground;
use super::results::Meaning;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// No sample of our own takes longer; a peer's may.
const LIMIT: Duration = Duration::from_secs(300);
/// Longest time of a peer's sample.
const PEER_LIMIT: Duration = Duration::from_secs(120);

/// A place to work in.
pub struct Column {
    /// Its key in all tables.
    pub key: &'static str,
    /// Directories in which each change is made, one after the other.
    pub dirs: Vec<PathBuf>,
    /// The directory for work that only reads.
    pub reading: PathBuf,
    /// Whether the library is preloaded.
    pub preload: bool,
    /// Whether the preloaded library puts up the net in any case.
    pub net: bool,
    /// Whether it is a peer's mount.
    pub peer: bool,
}

/// The three columns that are always there.
pub fn own(ground: &Ground) -> Vec<Column> {
    let native = ground.pair().native();
    let hand = ground.hand();
    let v = ground.pair().v().to_owned();
    let column = |key, dirs, reading, preload| Column {
        key,
        dirs,
        reading,
        preload,
        net: false,
        peer: false,
    };
    vec![
        column("native", vec![native.clone()], native, false),
        column("hand", hand.to_vec(), hand[0].clone(), false),
        // Reading on leg a itself: a link pair's V is a symlink, a step on the way natively too.
        column("mirror", vec![v], ground.pair().a().to_owned(), true),
    ]
}

/// What the three columns mean.
pub fn meanings() -> Vec<Meaning> {
    let meaning = |key: &str, label: &str, meaning: &str| Meaning {
        key: key.into(),
        label: label.into(),
        meaning: meaning.into(),
    };
    vec![
        meaning("native", "native", "one plain directory, one copy"),
        meaning(
            "hand",
            "by hand",
            "each change made twice, in two plain directories: no lock, no record, no order between programs; reads from one copy; whole programs run once for each directory",
        ),
        meaning(
            "mirror",
            "mirror",
            "one virtual directory under libmirror.so, two copies; whole programs run once",
        ),
    ]
}

impl Column {
    /// A command that works in this column: the preload is all that differs.
    pub fn command(&self, ground: &Ground, program: &Path) -> Command {
        let mut c = ground.pair().native_command(program);
        if self.preload {
            c.env("LD_PRELOAD", crate::dist().join("libmirror.so"));
        }
        if self.net {
            c.env("MIRROR_NET", "always");
        }
        c
    }

    /// How long one sample may take.
    pub fn limit(&self) -> Duration {
        if self.peer { PEER_LIMIT } else { LIMIT }
    }
}
